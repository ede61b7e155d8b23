"""Training, evaluation and data sets from Python: as the command does it, and the process stays as it was."""

import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra

import fer
from fer.alone import require_alone
from fer.data.table import Split
from fer.errors import RunError, UserError
from tests.data import write_fer2013_csv
from tests.runs import DRAWN, ROOT, tensors, tiny, without_figures

FEW = {"train": 12, "val": 12, "test": 12}
WORDS = tiny("trainer.max_epochs=1", "augmentation=none", "workers=0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without figures."""
    monkeypatch.chdir(tmp_path)
    without_figures(monkeypatch)
    return tmp_path


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    return "\n".join(caught.value.args)


def state() -> dict[str, object]:
    """Return all that a process has once and a training might change."""
    names = ("", "lightning", "lightning.pytorch", "lightning.fabric", "hydra", "matplotlib")
    signals = (signal.SIGINT, signal.SIGTERM)
    return {
        "folder": Path.cwd(),
        "words": sys.argv[:],
        "environment": dict(os.environ),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads(), cv2.getNumThreads()),
        "levels": [logging.getLogger(name).level for name in names] + [cv2.utils.logging.getLogLevel()],
        "handlers": [logging.getLogger(name).handlers[:] for name in names],
        "warnings": (warnings.filters[:], warnings.showwarning),
        "signals": [signal.getsignal(number) for number in signals],
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr),
        "random": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),
        "deterministic": torch.get_deterministic_debug_mode(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "grad": torch.is_grad_enabled(),
        "type": torch.get_default_dtype(),
        "hydra": (GlobalHydra.instance().is_initialized(), version.getbase()),
        "children": multiprocessing.active_children(),
    }


# --- training ---


def test_a_training_returns_what_it_left_and_can_be_evaluated_and_used(here, capsys):
    run = fer.train(WORDS)
    assert run.folder.parent == here / "runs"
    assert run.folder.name.endswith("_synthetic_none_tiny_seed1")
    assert run.metrics == json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert run.metrics["command"] == "python train.py " + " ".join(f"'{w}'" if "[" in w else w for w in WORDS)
    assert repr(run) == f"Run(folder={run.folder!r})"
    with pytest.raises(FrozenInstanceError):
        run.folder = here
    assert "epoch   1/1" in capsys.readouterr().out

    before = sorted(here.rglob("*"))
    found = fer.evaluate(run.weights, "synthetic", device="cpu", **FEW)
    assert len([key for key in found if key.startswith("test/")]) > 20
    assert fer.evaluate(str(run.weights), "synthetic", tta="flip", device="cpu", **FEW)["test_flip/n"] == 12
    assert sorted(here.rglob("*")) == before
    assert capsys.readouterr() == ("", "")
    assert fer.Predictor.load(run.weights, "cpu").predict(np.zeros((1, 24, 24), np.uint8)).shape == (1, 6)


def test_an_evaluation_finds_the_training_s_own_figures(here):
    run = fer.train([*WORDS, "hydra.run.dir=run"])
    found = fer.evaluate(run.weights, "synthetic", device="cpu", train=48, val=24, test=24)
    figures = [key for key in found if key.startswith(("val/", "test/"))]
    assert {key: found[key] for key in figures} == {key: run.metrics[key] for key in figures}
    assert found["temperature"] == run.metrics["temperature"]
    chosen_by = fer.evaluate(run.weights, "synthetic", skip_test=True, device="cpu", train=48, val=24, test=24)
    assert chosen_by["val/accuracy"] == found["val/accuracy"]
    assert not any(key.startswith("test") for key in chosen_by)


def test_the_same_words_train_the_same_net_as_the_command_and_keep_the_same_settings(here, train, task):
    assert train(*WORDS, "hydra.run.dir=command").code == 0
    first, second = fer.train([*WORDS, "hydra.run.dir=a b"]), fer.train([*WORDS, "hydra.run.dir=second"])
    assert first.folder == here / "a b"
    assert tensors(first.weights) == tensors(second.weights)
    for name in ("config.yaml", "overrides.yaml"):
        kept = [(folder / ".hydra" / name).read_text(encoding="utf-8") for folder in (first.folder, here / "command")]
        assert kept[0] == kept[1]
    assert task.calls[0][0].model_dump() == fer.api._read(WORDS)[0].config.model_dump()


def test_an_interrupted_training_goes_on(here, monkeypatch):
    from fer.training.callbacks import Record

    ended = Record.on_train_epoch_end

    def interrupt(self, trainer, module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        ended(self, trainer, module)

    words = [*WORDS, "trainer.max_epochs=2"]
    monkeypatch.setattr(Record, "on_train_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fer.train([*words, "hydra.run.dir=run"])
    monkeypatch.setattr(Record, "on_train_epoch_end", ended)
    assert "continue with resume=run" in refusal(fer.train, [*words, "hydra.run.dir=run"])
    run = fer.train([*words, "resume=run"])
    assert (run.folder, run.metrics["epochs"]) == (here / "run", 2)
    assert "finished" in refusal(fer.train, [*words, "resume=run"])


def test_all_mistakes_are_one_error_and_nothing_is_written(here):
    said = refusal(fer.train, [*WORDS, "typo=1", "seed=-1", "dataset=folder", "dataset.root=nowhere"])
    assert all(part in said for part in ("typo: unknown key", "seed: expected at least 0", "dataset.root=nowhere: "))
    assert not list(here.iterdir())
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "seed=1,2"], "-m: expected one training, but -m makes a sweep"),
        (["seed=1,2"], "seed=1,2: several values make a sweep"),
        (["--help"], "but got a flag"),
        (["--cfg", "job"], "but got a flag"),
        (["sweep=optuna", "test=false"], "sweep: expected one training"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "expected one device"),
        (["fit=false", "weights=fer2013"], "fit=false: expected a training; fer.evaluate"),
        (["nonsense"], "nonsense: expected key=value"),
    ],
)
def test_what_is_no_training_in_this_process_is_refused(here, words, message):
    assert message in refusal(fer.train, [*DRAWN, *words])
    assert not list(here.iterdir())


def test_one_text_is_no_list_of_words():
    assert refusal(fer.train, "seed=1") == "expected a list of words, but got one text: ['seed=1']"


def test_a_failed_run_is_an_error_of_its_own(here):
    with pytest.raises(RunError, match="loss"):
        fer.train([*WORDS, "optimizer.lr=1e30", "gradient_clip=0", "ema=0"])


# --- the process ---


@pytest.mark.parametrize("ending", ["well", "badly"])
def test_a_user_s_process_stays_as_it_was(here, ending):
    fer.train([*WORDS, "hydra.run.dir=first"])  # what importing does once is done
    torch.use_deterministic_algorithms(False)
    random.seed(3)
    before = state()
    wrong = ["optimizer.lr=1e30", "gradient_clip=0"] if ending == "badly" else []
    try:
        fer.train([*WORDS, "workers=1", "hydra.run.dir=second", *wrong])
    except RunError:
        assert wrong
    fer.evaluate("fer2013", "synthetic", device="cpu", **FEW)
    fer.load_dataset("synthetic", **FEW)
    after = state()
    assert {key: after[key] for key in before if before[key] != after[key]} == {}


@pytest.mark.slow
def test_a_program_s_own_hydra_is_left_alone(here):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.2"):
        fer.load_dataset("synthetic", **FEW)
        assert version.getbase() == version._get_version("1.2")
        assert compose("train", ["seed=7"]).seed == 7
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.slow
def test_threads_may_read_data_sets_beside_each_other():
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(lambda seed: fer.load_dataset("synthetic", size=24, seed=seed, **FEW), range(12)))
    assert len({table.images.tobytes() for table in tables}) == 12
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.slow
def test_trainings_of_several_threads_come_one_after_another(here):
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(fer.train, [WORDS, WORDS]))
    assert runs[0].folder != runs[1].folder
    assert tensors(runs[0].weights) == tensors(runs[1].weights)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.slow
def test_a_program_that_trains_ends_when_it_is_terminated(tmp_path):
    program = f"import fer; print('go', flush=True); fer.train({[*WORDS, 'trainer.max_epochs=5000']!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    lines = iter(process.stdout)
    while not next(lines).startswith("epoch "):
        pass
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    assert "the same command with resume=" in "".join(lines)


# --- data sets ---


def test_a_data_set_comes_as_arrays_with_its_splits(tmp_path):
    faces = write_fer2013_csv(tmp_path / "my, data")
    table = fer.load_dataset("fer2013", tmp_path / "my, data", classes=7, split="as_is")
    assert table.images.shape == (len(table), 48, 48)
    assert (table.images.dtype, table.targets.dtype, table.splits.dtype) == (np.uint8, np.float32, np.uint8)
    assert table.targets.shape == (len(table), 7)
    assert len(table) == len(faces.images)
    assert {split: len(table.part(split)) for split in Split} == {
        split: (table.splits == split).sum() for split in Split
    }


def test_arrays_may_be_changed_and_sizes_chosen():
    first = fer.load_dataset("synthetic", size=24, **FEW)
    expected = first.images.copy()
    first.images[:] = 0
    assert np.array_equal(fer.load_dataset("synthetic", size=24, **FEW).images, expected)
    assert expected.shape == (36, 24, 24)


def test_wrong_data_sets_are_refused_with_the_nearest(tmp_path):
    assert "dataset=fer213: expected one of" in refusal(fer.load_dataset, "fer213")
    assert "dataset.clases: unknown key" in refusal(fer.load_dataset, "fer2013", tmp_path, clases=6)
    assert "dataset.classes" in refusal(fer.load_dataset, "fer2013", tmp_path, classes=5)
    assert f"dataset.root={tmp_path}" in refusal(fer.load_dataset, "fer2013", tmp_path)
    assert "weights=none.safetensors" in refusal(fer.evaluate, "none.safetensors", "synthetic")
    assert "tta" in refusal(fer.evaluate, "fer2013", "synthetic", tta="flp")


# --- the other package of the name ---


@pytest.mark.parametrize("record", ["fer-25.10.3.dist-info", "fer-22.4.0-py3.11.egg-info"])
def test_another_package_that_is_imported_as_fer_is_noticed(tmp_path, record):
    (tmp_path / "fer_lightning-0.1.0.dist-info").mkdir()
    (tmp_path / "ferrum-1.dist-info").mkdir()
    require_alone(tmp_path)
    (tmp_path / record).mkdir()
    with pytest.raises(ImportError, match=r"expected one package that is imported as fer, but got .* fer-2[25]"):
        require_alone(tmp_path)


def test_its_class_is_not_looked_for_here_in_vain():
    with pytest.raises(ImportError, match=r"FER is a class of PyPI's package fer, .*: here it is Recognizer"):
        from fer import FER  # noqa: F401


def test_to_notice_it_nothing_slow_is_imported():
    code = "import sys, fer; print({'importlib.metadata', 'pkg_resources', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (found.stdout, found.stderr) == ("set()\n", "")


def test_without_the_libraries_of_training_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr("fer.extras.find_spec", lambda name: None)
    for call in (lambda: fer.train(["dataset=synthetic"]), lambda: fer.evaluate("fer2013", "synthetic")):
        with pytest.raises(UserError, match=r"expected torch, .*: pip install -e \"\.\[train\]\""):
            call()
