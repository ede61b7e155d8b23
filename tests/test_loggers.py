"""A run is shown where `logger=` says, under one id when it is resumed, and without a network or an account."""

import json
import os
import re
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
import yaml

from fer import extras
from fer.config.jobs import Command, check_jobs
from fer.errors import CutShort, RunError, Terminated, UserError
from fer.evaluation import loggers
from fer.evaluation.loggers import LOGGERS, logging_to
from fer.evaluation.trackers import keep_id, read_ids
from fer.provenance import as_typed, telling_settings
from fer.schema import TrainConfig
from tests.conftest import EASY
from tests.runs import ROOT, command, configure, run, start, without_figures
from tests.test_resume import interrupted

ALL = "logger=[tensorboard,wandb,mlflow]"


def chosen(*words: str) -> dict:
    """Return what the section `logger` of a command holds."""
    [job] = check_jobs(Command(ROOT / "conf", "train", [*EASY, *words]), TrainConfig)
    return job.config.logger.model_dump(exclude_none=True)


# --- settings ---


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), {"tensorboard": {}}),
        (("logger=wandb",), {"wandb": {"project": "fer", "offline": True}}),
        (
            ("logger=[tensorboard, mlflow]", "logger.mlflow.uri='~/a b'"),
            {"tensorboard": {}, "mlflow": {"experiment": "fer", "uri": "~/a b"}},
        ),
    ],
)
def test_one_or_several_loggers_are_chosen(words, found):
    assert chosen(*words) == found


def test_an_experiment_may_choose_several(tmp_path):
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\n# mine\ndefaults:\n  - override /logger: [tensorboard, wandb]\n"
    (tmp_path / "experiment/mine.yaml").write_text(text)
    [job] = check_jobs(Command(ROOT / "conf", "train", [*EASY, "experiment=mine"], False, tmp_path), TrainConfig)
    assert job.config.logger.tensorboard and job.config.logger.wandb and not job.config.logger.mlflow


BRACKETS = "logger=wandb,mlflow: several for one run stand in brackets: logger=[wandb,mlflow]"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("-m logger=wandb,mlflow", BRACKETS),
        (
            "logger=[tensorboard,wanb]",
            "logger=wanb: expected one of mlflow, tensorboard, wandb; did you mean wandb?",
        ),
        ("logger=[]", "logger=: expected one of mlflow, tensorboard, wandb"),
        ("dataset=[fer2013,ferplus]", "dataset=[fer2013,ferplus]: expected one of "),
        (
            "logger=wandb logger.wandb.project=a/b",
            r"logger.wandb.project: expected a name without any of /\#?%:, but got a/b",
        ),
    ],
)
def test_wrong_choices_are_one_sentence(words, sentence):
    overrides = [word for word in words.split() if word != "-m"]
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}") as refused:
        check_jobs(Command(ROOT / "conf", "train", [*EASY, *overrides], "-m" in words), TrainConfig)
    assert len(str(refused.value).splitlines()) == 1


def test_a_library_that_is_missing_is_told_before_anything_is_read(train, task, tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()  # what wandb leaves where it was once used imports as an empty package
    monkeypatch.syspath_prepend(tmp_path)
    find = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: find("tests.no_such" if name == "mlflow" else name))
    if not extras._is_there("wandb"):
        refused = train("dataset=synthetic", "logger=wandb")
        assert refused == (
            2, "", 'error: logger=wandb: expected wandb, but found nothing: pip install -e ".[wandb]"\n'
        )  # fmt: skip
    refused = train("dataset=synthetic", "logger=[tensorboard,mlflow]", "hydra.run.dir=run")
    sentence = 'error: logger=mlflow: expected mlflow, but found nothing: pip install -e ".[mlflow]"\n'
    assert refused == (2, "", sentence)
    assert not task.calls and not (tmp_path / "run").exists()


def test_a_run_goes_on_with_another_logger_and_without_the_key_of_older_ones(train, task, tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "_is_there", lambda _: True)
    assert train(*EASY, "hydra.run.dir=run").code == 0
    settings = tmp_path / "run/.hydra/config.yaml"
    older = yaml.safe_load(settings.read_text())
    del older["logger"]
    settings.write_text(yaml.safe_dump(older))
    assert train(*EASY, "resume=run", ALL, "logger.mlflow.experiment=mine").code == 0
    assert task.calls[-1][0].logger.mlflow.experiment == "mine"


def test_where_a_run_is_shown_is_no_setting_of_it(train, task, monkeypatch):
    monkeypatch.setattr(extras, "_is_there", lambda _: True)
    words = ("seed=3", "logger=mlflow", "logger.mlflow.uri=http://user:secret@host:5000/?a=b")
    assert train(*EASY, *words).code == 0
    config, folder = task.calls[-1]
    assert config.logger.mlflow.uri.endswith("@host:5000/?a=b")
    assert as_typed(folder) == "python train.py dataset=synthetic augmentation=none seed=3"
    assert not [key for key in telling_settings(config, folder) if "logger" in key]


# --- how a run ends ---


@pytest.fixture(scope="module")
def config():
    return configure()


class Notes:
    """A logger that notes what it is told."""

    def __init__(self, *_):
        self.end = None

    def close(self, end):
        self.end = end


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, "FINISHED"),
        (RunError("a"), "FAILED"),
        (ZeroDivisionError(), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (Terminated(), "KILLED"),
        (CutShort(), "KILLED"),
    ],
)
def test_loggers_are_told_how_a_run_ends(config, tmp_path, monkeypatch, error, end):
    monkeypatch.setitem(LOGGERS, "tensorboard", Notes)
    found = []
    try:
        with logging_to(config, tmp_path) as found:
            if error:
                raise error
    except BaseException as raised:
        assert raised is error
    assert [logger.end for logger in found] == [end]


def test_what_a_library_raises_is_a_sentence(config, tmp_path, monkeypatch, capsys):
    Lost = type("Lost", (Exception,), {"__module__": "mlflow.exceptions"})

    class Broken(Notes):
        def close(self, end):
            raise Lost("no\nserver")

    def refuse(*_):
        raise Lost("no server\nbut a long story")

    monkeypatch.setitem(LOGGERS, "tensorboard", Broken)
    with pytest.raises(RunError, match=r"^logger=tensorboard: gone$"), logging_to(config, tmp_path):
        raise Lost("gone")
    assert capsys.readouterr().out == "logger=tensorboard was not closed in order: no\n"
    monkeypatch.setitem(LOGGERS, "tensorboard", refuse)
    with pytest.raises(UserError, match=r"^logger=tensorboard: no server$"), logging_to(config, tmp_path):
        pytest.fail("nothing is trained")


@pytest.mark.parametrize("content", ["", "[1]", '{"wandb": 3}', "\xff"])
def test_ids_that_somebody_has_spoiled_are_new_ones(tmp_path, content):
    (tmp_path / "loggers.json").write_text(content, encoding="latin-1")
    assert read_ids(tmp_path) == {}
    assert [keep_id(tmp_path, "wandb", "a"), keep_id(tmp_path, "mlflow", "b")] == ["a", "b"]
    assert read_ids(tmp_path) == {"wandb": "a", "mlflow": "b"}


# --- with the libraries themselves ---


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Work in an empty folder, in which a library may leave nothing of its own."""
    for name in ("wandb", "mlflow"):
        pytest.importorskip(name)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)


def mlflow_runs(store: Path) -> list:
    """Return the runs in a folder of MLflow's."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store.absolute().as_uri())
    return client, client.search_runs([client.get_experiment_by_name("fer").experiment_id])


def wandb_records(folder: Path) -> list:
    """Return the records of a run's starts, each in the order in which they were written: LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    starts = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        data, at, part, found = path.read_bytes(), 7, b"", []
        while at + 7 <= len(data):
            if (room := 32768 - at % 32768) < 7:
                at += room
                continue
            size, kind = struct.unpack("<4xHB", data[at : at + 7])
            part, at = part + data[at + 7 : at + 7 + size], at + 7 + size
            if kind in (1, 4):  # whole, or the last part
                found.append(Record.FromString(part))
                part = b""
        starts.append(found)
    return starts


def rows(start: list) -> list[dict]:
    """Return a start's rows of the history."""
    histories = [record.history.item for record in start if record.WhichOneof("record_type") == "history"]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row} for row in histories]


@pytest.mark.slow
def test_a_run_and_what_resumes_it_have_one_id_everywhere(libraries, tmp_path, monkeypatch):
    folder, config = tmp_path / "my runs" / "é", configure(ALL, "trainer.max_epochs=3")
    interrupted(monkeypatch, config, folder, epoch=2)
    ids = read_ids(folder)
    client, [found] = mlflow_runs(folder / "mlruns")
    assert found.info.status == "FAILED"
    run(config, folder)
    assert read_ids(folder) == ids and ids.keys() == {"wandb", "mlflow"}
    results = json.loads((folder / "metrics.json").read_text())

    client, [found] = mlflow_runs(folder / "mlruns")
    assert (found.info.run_id, found.info.status, found.info.run_name) == (ids["mlflow"], "FINISHED", "é")
    assert (found.data.params["optimizer.lr"], found.data.params["model.widths"]) == ("0.1", "[8, 16]")
    assert not [key for key in found.data.params if key.startswith("logger")]
    assert found.data.metrics["final/test/accuracy"] == pytest.approx(results["test/accuracy"])
    points = client.get_metric_history(found.info.run_id, "val/accuracy")
    assert [point.step for point in points] == [2, 5, 8]
    pictures = {Path(file.path).name for file in client.list_artifacts(found.info.run_id, "figures")}
    assert pictures == {path.name for path in (folder / "figures").iterdir()}
    views = {file.path.partition("+")[0] for file in client.list_artifacts(found.info.run_id, "images")}
    assert "images/view~val~confusion" in views and "images/view~augmented_batch" in views

    starts = wandb_records(folder)
    runs = [record.run for start in starts for record in start if record.WhichOneof("record_type") == "run"]
    assert {(one.run_id, one.display_name, one.project) for one in runs} == {(ids["wandb"], "é", "fer")}
    assert {path.name.rpartition("-")[2] for path in folder.glob("wandb/offline-run-*")} == {ids["wandb"]}
    first, second = (rows(start) for start in starts)
    assert [[row["_step"] for row in part if "val/accuracy" in row] for part in (first, second)] == [[2, 5], [8]]
    assert first[-1]["_step"] <= second[0]["_step"]
    assert any("view/val/confusion/path" in row and row["epoch"] == 0 for row in first)
    assert any("figures/test_confusion/path" in row for row in second)
    ends = [record.exit.exit_code for start in starts for record in start if record.WhichOneof("record_type") == "exit"]
    assert ends == [1, 0]
    summary = {
        item.key: json.loads(item.value_json)
        for record in starts[-1]
        for item in record.summary.update
        if item.key.startswith("final/")
    }
    assert summary["final/test/accuracy"] == pytest.approx(results["test/accuracy"])
    assert [path.name for path in tmp_path.iterdir()] == ["my runs"]


@pytest.mark.slow
def test_the_command_is_interrupted_and_resumed_without_a_word_of_the_libraries(libraries, tmp_path):
    home = os.environ | {"HOME": str(tmp_path / "home")}
    words = (ALL, "trainer.max_epochs=6", "dataset.train=480")
    process = start(*words, "hydra.run.dir=run", env=home)
    for line in process.stdout:
        if line.startswith("epoch   1/"):
            break
    os.killpg(process.pid, signal.SIGINT)  # as from a terminal
    assert process.communicate(timeout=120)[1] == "interrupted\n"
    assert process.returncode == 130
    [found] = mlflow_runs(tmp_path / "run/mlruns")[1]
    assert found.info.status == "KILLED"
    code, out, err = command(*words, "resume=run", env=home)
    assert (code, err) == (0, "")
    assert "wandb" not in out and "mlflow" not in out.lower()
    [again] = mlflow_runs(tmp_path / "run/mlruns")[1]
    assert (again.info.run_id, again.info.status) == (found.info.run_id, "FINISHED")
    assert {path.name.rpartition("-")[2] for path in tmp_path.glob("run/wandb/offline-run-*")} == {
        read_ids(tmp_path / "run")["wandb"]
    }
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "home"}


@pytest.mark.slow
def test_each_job_of_a_sweep_is_a_run_of_its_own_in_one_group(libraries, tmp_path):
    words = ("-m", "seed=1,2", ALL, "trainer.max_epochs=1", "hydra.sweep.dir=sweep", "hydra/launcher=parallel")
    code, _, err = command(*words)
    assert (code, err) == (0, "")
    runs = mlflow_runs(tmp_path / "sweep/mlruns")[1]
    assert {(one.info.run_name, one.data.tags["sweep"]) for one in runs} == {("seed=1", "sweep"), ("seed=2", "sweep")}
    for name in ("seed=1", "seed=2"):
        [start] = wandb_records(tmp_path / "sweep" / name)
        [one] = {record.run.run_group for record in start if record.WhichOneof("record_type") == "run"}
        assert one == "sweep"
    assert len({read_ids(path)["wandb"] for path in (tmp_path / "sweep").glob("seed=*")}) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"sweep"}


@pytest.mark.slow
def test_an_evaluation_is_shown_too_and_in_a_store_for_all(libraries, tmp_path, weights, monkeypatch):
    without_figures(monkeypatch)
    words = ("fit=false", f"weights={weights}", "logger=mlflow", "logger.mlflow.uri=all runs")
    for name in ("a", "b"):
        run(configure(*words), tmp_path / name)
    client, runs = mlflow_runs(tmp_path / "all runs")
    assert {one.info.run_name for one in runs} == {"a", "b"}
    assert all("final/test/accuracy" in one.data.metrics for one in runs)
    with logging_to(configure(*words), tmp_path / "a") as [logger]:
        logger.metrics({"recall/a class (é)": float("nan")}, 3)
    assert {one.info.run_id for one in mlflow_runs(tmp_path / "all runs")[1]} == {one.info.run_id for one in runs}
    client.delete_experiment(client.get_experiment_by_name("fer").experiment_id)
    with pytest.raises(UserError, match=r"^logger=mlflow: "), logging_to(configure(*words), tmp_path / "c"):
        pytest.fail("nothing is evaluated")


@pytest.mark.slow
def test_a_run_that_its_store_has_lost_is_a_new_one(libraries, tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    keep_id(tmp_path, "mlflow", "0" * 32)
    with logging_to(configure("logger=mlflow"), tmp_path) as [logger]:
        logger.figure("val/confusion", pixels, 1)
    assert read_ids(tmp_path)["mlflow"] == logger.id != "0" * 32


def test_loggers_are_those_of_the_options_and_the_schema():
    options = {path.stem for path in (ROOT / "conf/logger").glob("*.yaml")}
    assert set(TrainConfig.model_fields["logger"].annotation.model_fields) == set(loggers.LOGGERS) == options
