"""An interrupted run continues from its last whole epoch, and ends as if nothing had happened."""

import itertools
import json
import os
import pickle
import random
import shutil
import signal
import time
from typing import NamedTuple

import pytest
import torch
from lightning.pytorch.callbacks import Callback

import fer.training.run
from fer.errors import Terminated, UserError
from fer.training.run import run
from tests.data import write_class_folders
from tests.runs import command, configure, start, tensors, wait_until_gone, without_figures


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_figures(monkeypatch)


class Interrupt(Callback):
    """Raise an error in the middle of an epoch, counted from 0."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            raise self.error


def interrupted(monkeypatch, config, folder, epoch, error=None):
    """Run until an error in an epoch."""
    build = fer.training.run.make_trainer
    error = error or RuntimeError("power")

    def with_interrupt(config, folder, watchers):
        return build(config, folder, [*watchers, Interrupt(epoch, error)])

    with monkeypatch.context() as patch:
        patch.setattr(fer.training.run, "make_trainer", with_interrupt)
        with pytest.raises(type(error)):
            run(config, folder)
    assert not (folder / "metrics.json").exists()
    assert not (folder / "weights.safetensors").exists()


def plain(value):
    """Return nested values with tensors as lists, for comparison to the last bit."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.tolist() if isinstance(value, torch.Tensor) else value


def kept(folder, name="last"):
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)


def outcome(folder):
    """Return all that must be equal to the last bit; not the time, and the paths."""
    results = json.loads((folder / "metrics.json").read_text())
    del results["seconds"], results["images_per_second"]
    last = kept(folder)
    history = last["callbacks"]["Record"]["history"]
    del history["train/images_per_second"]
    return {
        "results": results,
        "predictions": [(folder / f"predictions{end}.csv").read_text() for end in ("", "_val")],
        "weights": tensors(folder / "weights.safetensors"),
        "history": history,
        "training": plain([last[key] for key in ("epoch", "state_dict", "optimizer_states", "lr_schedulers")]),
    }


SETTINGS = {
    "averaged, with workers": ["ema=0.9", "augmentation=full", "workers=2"],
    "mixed and dropping": ["mixup=0.4", "cutmix=1", "model.dropout=0.3", "model.drop_path=0.2", "optimizer=adamw"],
    "plateau": ["scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.1", "optimizer.lr=0.2"],
}


# The last one is always tried: a plateau's state is what a checkpoint forgets most easily.
@pytest.mark.parametrize(
    "words",
    [pytest.param(words, id=name, marks=[pytest.mark.slow] * (name != "plateau")) for name, words in SETTINGS.items()],
)
def test_a_run_resumed_twice_ends_like_an_uninterrupted_one(words, tmp_path, monkeypatch):
    config = configure("trainer.max_epochs=4", *words)
    run(config, tmp_path / "whole")
    interrupted(monkeypatch, config, tmp_path / "twice", epoch=2)
    interrupted(monkeypatch, config, tmp_path / "twice", epoch=3, error=Terminated())
    run(config, tmp_path / "twice")
    assert outcome(tmp_path / "twice") == outcome(tmp_path / "whole")


@pytest.fixture
def falling(monkeypatch):
    """Make every reading worse than the one before, so that the first epoch stays the best."""
    count = itertools.count()

    def evaluate(logits, targets, classes):
        return {"accuracy": 1 / (1 + next(count)), "loss": 1.0}

    monkeypatch.setattr("fer.training.lightning_module.compute_metrics", evaluate)


def test_the_last_whole_epoch_is_kept_also_if_it_was_not_the_best(tmp_path, monkeypatch, falling):
    config = configure("trainer.max_epochs=4")
    interrupted(monkeypatch, config, tmp_path, epoch=3)
    assert (kept(tmp_path, "best")["epoch"], kept(tmp_path)["epoch"]) == (0, 2)


@pytest.mark.slow
def test_a_run_that_had_stopped_early_does_not_go_on(tmp_path, monkeypatch):
    config = configure("trainer.max_epochs=9", "early_stopping=1", "monitor=val/loss", "optimizer.lr=1")
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(fer.training.run, "evaluate", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(config, tmp_path / "twice")
    run(config, tmp_path / "twice")
    assert kept(tmp_path / "whole")["epoch"] < 8
    assert outcome(tmp_path / "twice") == outcome(tmp_path / "whole")


def test_a_run_whose_folder_was_moved_still_knows_its_best_epoch(tmp_path, monkeypatch, falling):
    config = configure("trainer.max_epochs=3")
    interrupted(monkeypatch, config, tmp_path / "here", epoch=1)
    (tmp_path / "here").rename(tmp_path / "there")
    run(config, tmp_path / "there")
    assert kept(tmp_path / "there", "best")["epoch"] == 0


def test_a_run_without_a_checkpoint_starts_anew(tmp_path, monkeypatch):
    config = configure("trainer.max_epochs=1")
    interrupted(monkeypatch, config, tmp_path / "twice", epoch=0, error=KeyboardInterrupt())
    run(config, tmp_path / "twice")
    run(config, tmp_path / "whole")
    assert outcome(tmp_path / "twice") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_goes_on_with_its_data_elsewhere_but_not_with_other_data(tmp_path, monkeypatch):
    def config(place, *words):
        return configure("dataset=folder", f"dataset.root={tmp_path / place}", "trainer.max_epochs=3", *words)

    write_class_folders(tmp_path / "data", per_class=6)
    run(config("data"), tmp_path / "whole")
    interrupted(monkeypatch, config("data"), tmp_path / "twice", epoch=2)
    (tmp_path / "data").rename(tmp_path / "moved data")
    write_class_folders(tmp_path / "other", per_class=6, seed=1)
    shutil.copytree(tmp_path / "moved data", tmp_path / "relabelled")
    sad, happy = (tmp_path / "relabelled" / "train" / name / "0.png" for name in ("sad", "happy"))
    sad.rename(tmp_path / "kept.png")
    happy.rename(sad)
    (tmp_path / "kept.png").rename(happy)
    before = plain(kept(tmp_path / "twice"))
    for place in ("other", "relabelled"):
        with pytest.raises(
            UserError, match=r"^resume: expected the faces of the interrupted run, but of these the pix"
        ):
            run(config(place), tmp_path / "twice")
    assert plain(kept(tmp_path / "twice")) == before
    run(config("moved data"), tmp_path / "twice")
    assert outcome(tmp_path / "twice") == outcome(tmp_path / "whole")


def test_device_and_place_of_the_data_may_differ_when_a_run_goes_on(train, task, tmp_path):
    for name in ("a", "b"):
        write_class_folders(tmp_path / name, per_class=1)
    words = ("dataset=folder", "augmentation=none", "batch_size=8")
    assert train(*words, "dataset.root=a", "hydra.run.dir=run").code == 0
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"some")
    other = ("dataset.root=b", "trainer=cpu", "trainer.precision=32-true", "resume=run")
    result = train(*words, *other, "batch_size=9")
    assert (result.code, len(task.calls)) == (2, 1)
    assert "run, but batch_size: 8 -> 9\n" in result.err
    assert train(*words, *other).code == 0
    assert len(task.calls) == 2


# --- damaged checkpoints ---


class Hostile:
    """A pickle that makes a file when it is opened."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The folder of a run that was interrupted after its first epoch, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "begun"
    with pytest.MonkeyPatch.context() as patch:
        without_figures(patch)
        interrupted(patch, configure("trainer.max_epochs=2", "ema=0.9"), folder, epoch=1)
    return folder


def without(*place):
    """Return what takes a part out of a checkpoint."""

    def change(checkpoint):
        part = checkpoint
        for key in place[:-1]:
            part = part[key]
        del part[place[-1]]

    return change


def changed(value, *place):
    """Return what puts something else in the place of a part of a checkpoint."""

    def change(checkpoint):
        part = checkpoint
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = value

    return change


HISTORY = ("callbacks", "Record", "history")
CHANGES = {
    "no weights": (without("state_dict"), "it has no state_dict"),
    "other weights": (
        changed(torch.zeros(3), "state_dict", "net.head.weight"),
        "net.head.weight is no tensor of shape",
    ),
    "fewer weights": (without("state_dict", "net.head.bias"), "it has no state_dict.net.head.bias"),
    "more weights": (changed(torch.zeros(3), "state_dict", "more"), "state_dict has more, which this net has not"),
    "no version": (without("pytorch-lightning_version"), "it has no pytorch-lightning_version"),
    "no loops": (without("loops"), "it has no loops"),
    "no progress": (without("loops", "fit_loop", "epoch_progress"), "it has no loops.fit_loop.epoch_progress"),
    "no average": (without("averaging_state"), "it has no averaging_state"),
    "no optimiser": (changed([], "optimizer_states"), "optimizer_states has 0 parts, not 1"),
    "no watchers": (changed({}, "callbacks"), "it has no callbacks.Record"),
    "another history": (changed("long", *HISTORY), "callbacks.Record.history is something else"),
    "an empty history": (changed([], *HISTORY, "val/accuracy"), "its history of val/accuracy is something else"),
    "no points": (changed([3, "a"], *HISTORY, "train/loss"), "its history of train/loss is something else"),
}


def refused(folder, name="last"):
    """Return what is said of a checkpoint that cannot be gone on from; the folder stays as it is."""
    before = {path: path.read_bytes() for path in folder.glob("checkpoints/*")}
    with pytest.raises(UserError) as error:
        run(configure("trainer.max_epochs=2", "ema=0.9"), folder)
    assert {path: path.read_bytes() for path in folder.glob("checkpoints/*")} == before
    said, path = str(error.value), folder / "checkpoints" / f"{name}.ckpt"
    start, end = f"{path}: expected a checkpoint of this run, but ", f"delete {path.parent} and run the same command"
    assert said.startswith(start)
    assert said.endswith(end)
    return said.removeprefix(start)


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_that_cannot_be_gone_on_from_is_refused(begun, tmp_path, change, says):
    shutil.copytree(begun, tmp_path / "run")
    checkpoint = kept(tmp_path / "run")
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "run/checkpoints/last.ckpt")
    assert says in refused(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["last", "best"])
def test_a_damaged_checkpoint_is_refused_and_nothing_in_it_is_run(begun, tmp_path, name):
    shutil.copytree(begun, tmp_path / "run")
    path, ran = tmp_path / f"run/checkpoints/{name}.ckpt", tmp_path / "ran"
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], bytes(len(whole)), pickle.dumps(Hostile(ran)), pickle.dumps({})):
        path.write_bytes(content)
        assert refused(tmp_path / "run", name).startswith(("it is damaged, or", "it has no"))
    torch.save({"state_dict": Hostile(ran)}, path)
    assert refused(tmp_path / "run", name).startswith("it is damaged, or")
    assert not ran.exists()


def test_a_checkpoint_that_is_gone_is_missed_at_the_start(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    (tmp_path / "run/checkpoints/best.ckpt").unlink()
    assert refused(tmp_path / "run", "best").startswith("there is no such file")


# --- kills ---


class Kill(NamedTuple):
    """How a process ends."""

    number: signal.Signals
    code: int
    to_group: bool  # as from a terminal, or to the one process


KILLS = {
    "Ctrl-C": Kill(signal.SIGINT, 130, True),
    "terminated": Kill(signal.SIGTERM, 143, False),
    "terminated with all its workers": Kill(signal.SIGTERM, 143, True),
    "killed": Kill(signal.SIGKILL, -9, True),
}


LONG = ("trainer.max_epochs=6", "dataset.train=480", "ema=0.9", "workers=2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of an uninterrupted run of the command."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert command(*LONG, f"hydra.run.dir={folder}")[0] == 0
    return outcome(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_a_killed_command_is_resumed_by_itself_and_the_folder(kill, tmp_path, whole):
    twice = tmp_path / "a run, with 'odd' marks (1)=?"
    process = start(*LONG, f"hydra.run.dir={twice}")
    for line in process.stdout:
        if line.startswith("epoch   1/"):
            break
    time.sleep(random.uniform(0, 1))
    group = os.getpgid(process.pid)
    os.killpg(group, kill.number) if kill.to_group else process.send_signal(kill.number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == kill.code
    assert "Traceback" not in err
    assert not (twice / "metrics.json").exists()
    wait_until_gone(group)
    assert command(*LONG, f"resume={twice}")[0] == 0
    assert outcome(twice) == whole


def test_an_interruption_tells_whether_anything_was_kept(tmp_path, monkeypatch, capsys):
    for epoch, told in enumerate(
        ("nothing was kept, as no epoch had ended: the same command with resume=", "to continue: the")
    ):
        interrupted(monkeypatch, configure("test=false"), tmp_path / str(epoch), epoch, KeyboardInterrupt())
        assert f"\n{told}" in capsys.readouterr().out
