"""Distillation: what teachers answer on the training faces, in the targets of the net that they teach."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.data.readers import read
from fer.data.table import Split
from fer.emotions import class_names
from fer.errors import Diverged, UserError
from fer.evaluation.card_text import _recipe
from fer.evaluation.predict import classifier, predict
from fer.header import Header, read_header
from fer.models.factory import build_net
from fer.provenance import without_places
from fer.training.run import make_data
from fer.training.teachers import teachers_of
from fer.weights import load_net, read_weights, save_weights
from tests.conftest import ARCHITECTURE
from tests.data import write_class_folders
from tests.runs import configure, run, tiny, without_figures

SIDE = 24


def write_net(path, classes=6, size=SIDE, seed=0, temperature=1.5, scale=1.0):
    """Write a net whose answers are far from equal shares, and return its path."""
    torch.manual_seed(seed)
    net = build_net(classes, ARCHITECTURE)
    net.train()(torch.randn(64, 1, size, size))
    with torch.no_grad():
        net.head.weight.mul_(20 * scale)
    path.parent.mkdir(exist_ok=True, parents=True)
    header = Header(
        class_names(classes), size, 0.4, 0.3, ARCHITECTURE, temperature, {"dataset": "synthetic", "seed": seed}
    )
    save_weights(path, net.state_dict(), header)
    return path


@pytest.fixture
def file(tmp_path):
    return write_net(tmp_path / "teacher.safetensors")


def answers(file, table, classes=6):
    """Return what a net answers on the faces of a table, in their order: the calibrated mean of two views."""
    net, header = load_net(file)
    shares = []
    for image, row in zip(table.images, table.rows, strict=True):
        one = table.select(table.rows == row)
        assert np.array_equal(one.images[0], image)
        logits = predict(classifier(net, header, "flip"), one.resized(header.input_size)).logits
        shares.append((logits / header.temperature).softmax(1)[0, :classes].numpy())
    shares = np.array(shares)
    return shares / shares.sum(1, keepdims=True)


def taught(*words):
    """Return the training faces as they come to the net, beside those of the table."""
    config = configure("augmentation=none", *words)
    table = read(config.dataset, config.model.input_size)
    data = make_data(config, table)
    assert all((batch.targets.amax(1) == 1).all() for loader in data.val_dataloader() for batch in loader)
    return data.taught, table.part(Split.TRAIN)


@pytest.mark.parametrize("share", [0.25, 1])
def test_a_share_of_each_training_target_is_the_teacher_s_answer(file, share):
    found, plain = taught(f"teacher={file}", f"teacher_share={share}")
    given = answers(file, plain)
    assert given.max(1).std() > 0.05 and np.array_equal(found.images, plain.images)
    assert np.allclose(found.targets, (1 - share) * plain.targets + share * given, atol=1e-4)
    assert not np.array_equal(taught()[0].targets, found.targets)


def test_several_teachers_answer_by_their_mean_and_one_of_more_classes_for_those_that_are_taught(tmp_path):
    files = [write_net(tmp_path / f"sweep/seed={seed},a/weights.safetensors", seed + 5, seed=seed) for seed in (1, 2)]
    assert teachers_of(tmp_path / "sweep") == files and teachers_of(files[0].parent) == files[:1]
    found, plain = taught(f"teacher='{tmp_path / 'sweep'}'", "teacher_share=1")
    assert np.allclose(found.targets, np.mean([answers(file, plain) for file in files], 0), atol=1e-4)


@pytest.mark.parametrize("size", [16, SIDE * 2])
def test_a_teacher_sees_faces_of_its_own_size(tmp_path, size):
    file = write_net(tmp_path / "a.safetensors", size=size)
    found, plain = taught(f"teacher={file}", "teacher_share=1")
    config = configure()
    seen = plain if size < SIDE else read(config.dataset, size).part(Split.TRAIN)
    assert np.allclose(found.targets, answers(file, seen), atol=1e-4)
    assert found.images.shape[1:] == (SIDE, SIDE)


def test_faces_of_other_classes_are_taught_as_without_a_teacher(file, tmp_path):
    write_class_folders(tmp_path / "faces", class_names(7), per_class=3)
    words = ["dataset=folder", f"dataset.root={tmp_path / 'faces'}", "dataset.classes=6", "dataset.others=uniform"]
    alone, plain = taught(*words)
    found, _ = taught(*words, f"teacher={file}")
    assert len(found) == len(alone) > len(plain)
    assert np.array_equal(found.targets[len(plain) :], alone.targets[len(plain) :])
    assert not np.allclose(found.targets[: len(plain)], plain.targets)


def test_a_taught_training_tells_its_teachers_and_resumes(file, tmp_path, monkeypatch, capsys):
    without_figures(monkeypatch)
    words = (f"teacher={file}", "teacher_share=0.75", "trainer.max_epochs=1")
    run(configure(*words), tmp_path / "run")
    assert f"asking {file} about 48 training faces" in capsys.readouterr().out
    found = json.loads((tmp_path / "run/metrics.json").read_text())
    (told,) = found["teachers"]
    assert (told["name"], told["seed"], found["teacher_share"]) == ("teacher.safetensors", 0, 0.75)
    header = read_header(tmp_path / "run/weights.safetensors")
    lines = dict(_recipe(header.training, header))
    assert lines["taught by"].startswith(f"`teacher.safetensors`, SHA-256 `{told['sha256'][:16]}")
    assert lines["targets"].startswith("75.0 % of the mean answer")
    run(configure(*words, "teacher=null", "dataset.seed=1"), tmp_path / "alone")
    assert "teachers" not in json.loads((tmp_path / "alone/metrics.json").read_text())
    (tmp_path / "run/metrics.json").unlink()
    run(configure(*words), tmp_path / "run")
    again = json.loads((tmp_path / "run/metrics.json").read_text())
    assert again["val/loss"] == found["val/loss"]


def test_a_damaged_teacher_is_told(tmp_path):
    file = write_net(tmp_path / "a.safetensors", scale=1e9)  # half precision has no such numbers
    with pytest.raises(UserError, match=r"^teacher=.*a\.safetensors: "):
        taught(f"teacher={file}")
    state, header = read_weights(write_net(tmp_path / "b.safetensors"))
    save_weights(
        tmp_path / "b.safetensors", state | {"stem.1.weight": torch.full_like(state["stem.1.weight"], 3e38)}, header
    )
    with pytest.raises(Diverged, match=r"^teacher=.*b\.safetensors: an answer is not finite"):
        taught(f"teacher={tmp_path / 'b.safetensors'}")


def test_the_jobs_of_a_sweep_ask_a_teacher_once(file, capsys):
    words = ("dataset.seed=3", f"teacher={file}")
    first, second = (taught(*words, f"seed={seed}", f"teacher_share={share}")[0] for seed, share in ((1, 0.5), (2, 1)))
    assert capsys.readouterr().out.count("asking") == 1
    assert not np.array_equal(first.targets, second.targets)
    write_net(file, seed=9)
    assert not np.array_equal(taught(*words, "teacher_share=1")[0].targets, second.targets)
    assert capsys.readouterr().out.count("asking") == 1


MISTAKES = {
    "teacher=none.safetensors": "teacher=none.safetensors: expected a .safetensors file",
    "teacher=.": "teacher=.: expected a weights file, or the folder of a run or a sweep, but there is no weights",
    "teacher=fer2013 dataset.classes=7": "teacher=fer2013: expected a net that predicts every class that is taught, "
    "but it has no neutral",
    "teacher=fer2013 fit=false weights=fer2013": "fit=false: expected no teacher",
    "teacher=fer2013 fold=1": "fold: expected no teacher",
    "teacher=fer2013 teacher_share=0": "teacher_share: expected more than 0",
}


@pytest.mark.parametrize(("words", "said"), MISTAKES.items(), ids=MISTAKES)
def test_a_wrong_teacher_is_one_sentence_before_any_work(train, task, tmp_path, words, said):
    code, _, error = train(*tiny(*words.split()))
    assert code == 2 and said in error
    assert not task.calls and list(tmp_path.iterdir()) == []


def test_a_teacher_goes_by_its_path_as_typed_and_no_place_is_told(train, task, tmp_path):
    folder = write_net(tmp_path / "seed=1, a" / "weights.safetensors").parent
    assert train(*tiny(f"teacher={folder}")).code == 0
    ((config, _),) = task.calls
    assert config.teacher == folder
    assert without_places([f"teacher={folder}", "seed=2"]) == ["teacher=FILE", "seed=2"]


def test_with_and_without_a_teacher_are_a_sweep(train, task):
    assert train("-m", *tiny("teacher=null,fer2013", "hydra.sweep.dir=sweep")).code == 0
    assert [config.teacher for config, _ in task.calls] == [None, Path("fer2013")]
    assert [folder.name for _, folder in task.calls] == ["teacher=null", "teacher=fer2013"]
