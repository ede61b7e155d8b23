"""Searches: the space is checked up front, the study survives everything, and the test split stays unread."""

import json
import math
import os
import signal

import pytest
import yaml
from optuna.distributions import FloatDistribution

import fer.training.search
from fer.errors import Diverged, RunError, UserError
from fer.evaluation.report import main
from fer.evaluation.search_report import open_study, write_search_report
from fer.run_folder import STUDY
from fer.training.search import search
from tests.runs import command, configure, start, wait_until_gone

SPACE = ("~sweep.space.augmentation", "~sweep.space.optimizer.weight_decay")
SMALL = ("sweep=optuna", "augmentation=none", *SPACE)
CHECKED = ("sweep=optuna", "dataset=synthetic")


# --- mistakes ---


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-m"], "sweep: expected one command, since a search makes its own trials: leave out -m"),
        (["test=true"], "sweep: expected test=false"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "sweep: expected test=false, fit=true and"),
        (["trainer.devices=2"], "sweep: expected test=false, fit=true and one device for each net"),
        (["trainer.num_nodes=2"], "sweep: expected test=false, fit=true and one device for each net"),
        (["sweep.trials=0"], "sweep.trials: expected more than 0, but got 0"),
        (["optimizer=adamw", "augmentation=none"], "sweep.space.augmentation.transforms.flip.p: unknown key"),
        (["augmentation=none"], "(to search without it: ~sweep.space.augmentation.transforms.light.p)"),
        (["sweep.space.optimizer.lr.low=0.5"], "optimizer.lr: expected low below high, but got 0.5 and 0.3"),
        (["sweep.space.optimizer.lr.low=0"], "expected low above 0 beside log: true, but got 0"),
        (["sweep.space.optimizer.weight_decay.low=-1", "sweep.space.optimizer.weight_decay.log=false"],
         "sweep.space.optimizer.weight_decay: expected at least 0, but got -1.0"),
        (["+sweep.space.ema={low: 0.9}"], "sweep.space.ema: expected {low, high}, log: true beside them, or a list"),
        (["+sweep.space.batch_size=[32]"], "sweep.space.batch_size: expected at least two values to choose from"),
        (["+sweep.space.batch_size=[32,0]"], "sweep.space.batch_size: expected more than 0, but got 0"),
        (["+sweep.space.seed={low: 1, high: 5}"], "but seed cannot be searched: sweep it, -m seed=1,2,3"),
        (["+sweep.space.model=[tiny,small]"], "sweep.space.model: expected a setting to search, but this is a section"),
        (["~sweep.space.optimizer", "~sweep.space.augmentation"], "expected keys to search, but it is empty"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_any_trial(train, task, words, sentence):
    result = train(*CHECKED, *words)
    assert (result.code, task.calls) == (2, [])
    assert sentence in result.err


def test_the_space_is_changed_on_the_command_line(train, task):
    words = ("sweep.space.optimizer.lr.high=0.2", "+sweep.space.mixup={low: 0, high: 0.4}", "~sweep.space.augmentation")
    assert train(*CHECKED, *words).code == 0
    [(config, folder)] = task.calls
    assert config.sweep.space["optimizer"]["lr"]["high"] == 0.2
    assert config.sweep.space["mixup"] == {"low": 0, "high": 0.4}
    assert not config.test
    assert folder.parent.name == "sweeps"
    assert folder.name.endswith("_optuna_synthetic_mid_tiny")


def test_a_search_goes_on_with_more_trials_but_no_other_settings(train, task, tmp_path):
    words = (*CHECKED, "hydra.run.dir=here")
    assert train(*words).code == 0
    (tmp_path / "here" / "study.journal").touch()
    assert "here: holds a search: continue with resume=here" in train(*words).err
    assert train(*CHECKED, "resume=here", "sweep.trials=99").code == 0
    assert "sweep.startup: 5 -> 6" in train(*CHECKED, "resume=here", "sweep.startup=6").err


# --- trials, with a stub for the training ---


class Stub:
    """A training whose best learning rate is 0.05; raises an error in the trial of a number."""

    def __init__(self):
        self.errors: dict[int, BaseException] = {}
        self.rates: list[float] = []

    def __call__(self, config, folder, watchers):
        [pruning] = watchers
        assert not config.test
        assert config.sweep is None
        assert yaml.safe_load((folder / ".hydra/config.yaml").read_text()) == config.model_dump(mode="json")
        self.rates.append(config.optimizer.lr)
        if error := self.errors.pop(pruning.trial.number, None):
            raise error
        value = 1 - abs(math.log(config.optimizer.lr / 0.05))
        pruning.trial.report(value, 1)
        return value


@pytest.fixture
def stub(monkeypatch):
    stub = Stub()
    monkeypatch.setattr(fer.training.search, "run", stub)
    monkeypatch.setattr("fer.evaluation.search_report._figures", lambda *_: ())  # most of a report's time
    return stub


@pytest.fixture
def go(stub, tmp_path):
    """Return a function that searches in a folder, as the command would."""

    def go(*words: str, folder="search"):
        config = configure(*SMALL, "sweep.trials=8", "sweep.startup=3", *words)
        place = tmp_path / folder
        (place / ".hydra").mkdir(parents=True, exist_ok=True)
        (place / ".hydra/config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
        (place / ".hydra/overrides.yaml").write_text(yaml.safe_dump(["sweep=optuna", "dataset=synthetic", "resume=x"]))
        return search(config, place)

    return go


def states(folder):
    return [trial.state.name for trial in open_study(folder / STUDY).get_trials()]


def test_a_search_finds_what_is_good_and_says_how_to_train_it(go, stub, tmp_path, capsys, monkeypatch):
    best = go()
    monkeypatch.undo()
    write_search_report(tmp_path / "search")
    assert len(stub.rates) == 8
    assert best == pytest.approx(max(1 - abs(math.log(rate / 0.05)) for rate in stub.rates))
    rate = min(stub.rates, key=lambda rate: abs(math.log(rate / 0.05)))
    told = capsys.readouterr().out
    assert f"python train.py dataset=synthetic optimizer.lr={rate}\n" in told
    report = (tmp_path / "search/report.md").read_text()
    assert "# Search: 8 of 8 trials" in report
    assert f"    python train.py dataset=synthetic optimizer.lr={rate}" in report
    assert "test" not in (tmp_path / "search/summary.csv").read_text()
    for name in ("history", "curves", "importance", "slices_0"):
        assert (tmp_path / f"search/figures/search_{name}.png").stat().st_size > 5000
        assert f"figures/search_{name}.png" in report
    assert not list(tmp_path.rglob("*.lock"))


def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(go, stub, tmp_path):
    go(folder="whole")
    whole, stub.rates = stub.rates, []
    stub.errors = {4: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        go()
    assert states(tmp_path / "search") == ["COMPLETE"] * 4 + ["RUNNING"]
    go()
    assert stub.rates == [*whole[:5], *whole[4:]]  # the fifth is taken up again, with its own values
    assert states(tmp_path / "search") == ["COMPLETE"] * 8


def test_a_loss_that_is_not_finite_is_cut_short_and_anything_else_is_a_failure_to_be_redone(go, stub, tmp_path, capsys):
    (tmp_path / "search/trial_002/checkpoints").mkdir(parents=True)
    stub.errors = {2: Diverged("the loss is no longer finite"), 3: RunError("the disk is full")}
    with pytest.raises(RunError, match="the disk is full"):
        go()
    assert states(tmp_path / "search") == ["COMPLETE", "COMPLETE", "PRUNED", "RUNNING"]
    assert not (tmp_path / "search/trial_002/checkpoints").exists()
    assert "cut short: the loss is no longer finite" in capsys.readouterr().out
    go()
    assert states(tmp_path / "search") == ["COMPLETE", "COMPLETE", "PRUNED", *["COMPLETE"] * 5]
    assert "cut short" in (tmp_path / "search/report.md").read_text()


def test_processes_share_a_study_without_sharing_a_trial(go, stub, tmp_path):
    numbers = []

    def both(config, folder, watchers):
        numbers.append(folder.name)
        if len(numbers) == 1:  # while this trial is at work, another process searches to the end
            go()
        return 0.5

    fer.training.search.run = both
    go()
    assert sorted(numbers) == [f"trial_{number:03}" for number in range(8)]
    assert states(tmp_path / "search") == ["COMPLETE"] * 8


def test_a_trial_that_ends_while_another_process_looks_is_not_taken_again(go, stub, tmp_path, monkeypatch):
    stub.errors = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        go()
    lock = fer.training.search._lock

    def ended(folder, number):
        study = open_study(folder / STUDY)
        if number == 2:
            study.tell(2, 0.5)
        return lock(folder, number)

    monkeypatch.setattr(fer.training.search, "_lock", ended)
    go()
    assert states(tmp_path / "search") == ["COMPLETE"] * 8
    assert len(stub.rates) == 8  # 3 before, 5 after


def test_a_strength_set_to_one_is_still_searched_between_its_ends():
    config = configure("sweep=optuna", "augmentation.transforms.flip.p=1", "augmentation.transforms.affine.p=1")
    searched = fer.training.search.distributions(config)
    assert isinstance(searched["augmentation.transforms.affine.p"], FloatDistribution)


def test_lists_and_whole_numbers_are_searched_as_what_they_are(go, stub, tmp_path):
    go("+sweep.space.batch_size={low: 8, high: 64, log: true}", "+sweep.space.optimizer.momentum=[0.8,0.9]")
    trials = [yaml.safe_load(path.read_text()) for path in tmp_path.glob("search/trial_*/.hydra/config.yaml")]
    assert len({trial["batch_size"] for trial in trials}) > 2
    assert all(isinstance(trial["batch_size"], int) for trial in trials)
    assert {trial["optimizer"]["momentum"] for trial in trials} == {0.8, 0.9}


def test_the_report_is_made_again_by_the_command(go, stub, tmp_path, capsys):
    go()
    (tmp_path / "search/report.md").unlink()
    main([str(tmp_path / "search")])
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'search' / 'report.md'}\n")
    assert "8 of 8 trials" in (tmp_path / "search/report.md").read_text()
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "search"), "--format", "pdf"])
    assert end.value.code == 2
    assert "--format pdf: expected png" in capsys.readouterr().err


JOURNALS = {
    "another file": b"dataset,accuracy\n",
    "a list": b"[1]\n",
    "binary": bytes(range(256)) + b"\n",
    "no operation": b'{"op_code": 99, "worker_id": "a"}\n',
    "half an operation": b'{"op_code": 4, "worker_id": "a"}\n',
    "levels": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("line", JOURNALS.values(), ids=JOURNALS)
def test_a_journal_with_a_foreign_line_is_refused_and_left_as_it_is(go, stub, tmp_path, capsys, line):
    go("sweep.trials=1")
    journal = tmp_path / "search" / STUDY
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(spoiled := b"".join([*whole[:3], line, *whole[3:]]))
    with pytest.raises(
        UserError, match=r"journal: expected the journal of a search, as Optuna writes it, but .*anew in"
    ):
        go("sweep.trials=2")
    assert journal.read_bytes().startswith(spoiled)
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "search")])
    assert (end.value.code, capsys.readouterr().err.count("\n")) == (2, 1)


def test_half_a_last_line_is_what_a_kill_leaves(go, stub, tmp_path):
    go("sweep.trials=2")
    journal = tmp_path / "search" / STUDY
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 4, "work')
    go("sweep.trials=3")
    go("sweep.trials=4")
    assert states(tmp_path / "search") == ["COMPLETE"] * 4


# --- whole searches ---

REAL = ("sweep=optuna", "sweep.trials=6", "sweep.startup=1", "sweep.warmup=1")
REAL += ("trainer.max_epochs=3", "dataset.train=96")


@pytest.mark.slow
def test_a_killed_search_is_joined_by_two_processes_and_ends_with_its_trials(tmp_path):
    process = start(*REAL, f"hydra.run.dir={tmp_path}")
    while not (tmp_path / "trial_001/checkpoints/last.ckpt").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_gone(process.pid)
    two = [start(*REAL, f"resume={tmp_path}") for _ in range(2)]
    ends = [(one.communicate(timeout=300), one.returncode) for one in two]
    assert [(code, err) for (_, err), code in ends] == [(0, ""), (0, "")]
    found = states(tmp_path)
    assert len(found) == 6
    assert set(found) <= {"COMPLETE", "PRUNED"}
    metrics = [json.loads(path.read_text()) for path in tmp_path.glob("trial_*/metrics.json")]
    assert len(metrics) == found.count("COMPLETE")
    assert not any("test" in key for found in metrics for key in found)
    assert not list(tmp_path.glob("trial_*/predictions.csv"))
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.slow
def test_a_hopeless_trial_is_cut_short(tmp_path):
    wide = ("sweep.space.optimizer.lr={low: 1.0e-6, high: 0.5, log: true}", "sweep.trials=10")
    code, out, err = command(*REAL, *wide, f"hydra.run.dir={tmp_path}")
    assert (code, err) == (0, "")
    assert "PRUNED" in states(tmp_path)
    assert "cut short: val/accuracy" in out
