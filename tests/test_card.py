"""Model cards: every figure is the evaluation's, and what is no evaluation of the file is refused."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from fer.emotions import class_names
from fer.evaluation import card, card_text
from fer.evaluation.slices import SLICES
from fer.evaluation.study.runs import Run
from fer.weights import digest
from tests.runs import configure, run, without_figures

CROPS = {"detector": "yunet", "split": "test", "n": 24, "found": 20}
CROPS |= {"accuracy_as_they_are": 0.5, "accuracy_found_anew": 0.45}
COUNTS = np.array([[3, 1, 0, 0], [0, 0, 2, 0], [0, 1, 4, 0], [0, 0, 0, 0]])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of two trainings with different seeds, and of an evaluation of the first one's weights."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        without_figures(patch)
        for seed in (1, 2):
            train(place / f"seed{seed}", f"seed={seed}")
        train(place / "evaluated", "fit=false", f"weights={place / 'seed1/weights.safetensors'}", "tta=flip")
    return place


def train(folder, *words):
    config = configure(*words)
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(config.model_dump(mode="json"), folder / ".hydra/config.yaml")
    OmegaConf.save(list(words), folder / ".hydra/overrides.yaml")
    run(config, folder)


def test_the_card_says_what_the_evaluation_found(runs, tmp_path):
    (tmp_path / "crops.json").write_text(json.dumps(CROPS | {"weights_sha256": weights_digest(runs)}))
    seeds = [str(runs / "seed1"), str(runs / "seed2")]
    words = ["--output", str(tmp_path / "card.md"), "--crops", str(tmp_path / "crops.json"), "--seeds", *seeds]
    card.main([str(runs / "evaluated"), *words])
    text = (tmp_path / "card.md").read_text()
    found = json.loads((runs / "evaluated/metrics.json").read_text())
    cells = [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    for name, key in (("test", "test"), ("validation, mirrored too", "val_flip")):
        low, middle, high = (f"{100 * found[f'{key}/accuracy{end}']:.1f}" for end in ("_low", "", "_high"))
        assert next(row for row in cells if row[0] == name)[1:3] == [
            f"{found[f'{key}/n']}",
            f"{middle} ({low} to {high})",
        ]
    errors = [row[5] for row in cells if row[0] in class_names(6) and len(row) == 6]
    assert errors == [f"{100 * found[f'test/class_ece/{name}']:.1f}" for name in class_names(6)]
    counts = [list(map(int, row[1:])) for row in cells if row[0] in class_names(6) and len(row) == 7]
    assert sum(map(sum, counts)) == 24
    assert sum(counts[i][i] for i in range(6)) == round(24 * found["test/accuracy"])
    assert f"over the temperature {found['temperature']:g}," in text
    left = [f"{100 * found[f'test/{name}']:.1f} %" for name in ("coverage", "selective_accuracy")]
    assert f'below {100 * found["not_sure"]:.1f} % are "not sure", chosen on validation for 90.0 % right ones.' in text
    assert f"of test, {left[0]} of the faces have an answer, {left[1]} of these the right one." in text
    assert f"curve of test is {100 * found['test/aurc']:.1f}, {100 * found['test/excess_aurc']:.1f} more" in text
    assert "20 of 24 test faces are found by the detector (yunet). On these the accuracy is 50.0 as" in text
    assert "2 trainings that differ in the seed" in text and "seed 2" in text
    assert f"python train.py fit=false weights={found['weights']} tta=flip\n" in text  # drawn faces have no folder
    assert "trained from scratch.\n" in text
    assert not re.search(r"\bnan\b|None", text)


def test_seeds_are_not_averaged_over_different_faces():
    figures = [{"seed": 1, "test_unseen/n": 50}, {"seed": 2, "test_unseen/n": 47}]
    runs = [
        Run(Path(), metrics=own | {"test/accuracy": 0.5, "test/n": 60, "test_unseen/accuracy": 0.5}) for own in figures
    ]
    text = "\n".join(card_text._over_seeds(runs))
    assert "| test |" in text and SLICES["test_unseen"] not in text


@pytest.mark.slow
def test_the_card_of_a_training_from_weights_tells_their_own(runs, tmp_path, monkeypatch):
    without_figures(monkeypatch)
    first = runs / "seed1/weights.safetensors"
    train(tmp_path / "second", "seed=3", f"weights={first}")
    train(tmp_path / "third", "seed=4", f"weights={tmp_path / 'second/weights.safetensors'}")
    train(tmp_path / "evaluated", "fit=false", f"weights={tmp_path / 'third/weights.safetensors'}")
    card.main([str(tmp_path / "evaluated"), "--output", str(tmp_path / "card.md")])
    rows = re.findall(r"^\| started from \| (.+) \|$", (tmp_path / "card.md").read_text(), re.M)
    assert [row.rpartition(", ")[2] for row in rows] == ["seed 3", "seed 1"]
    assert f"`{digest(first)[:16]}…`" in rows[1]
    assert "trained from scratch in 3 trainings, each" in (tmp_path / "card.md").read_text()


def test_a_net_that_began_from_published_weights_is_not_said_to_be_from_scratch():
    training = {"seed": 2, "started_from": {"seed": 1, "pretrained": "resnet18"}}
    assert card_text._origin(training) == "from timm's weights of resnet18, so not from scratch,"
    assert card_text._origin({"seed": 2}) == "from scratch"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda folder: (folder / "metrics.json").unlink(),
            "expected a finished run with its predictions, but not fin",
        ),
        (lambda folder: (folder / "predictions.csv").unlink(), "expected a finished run with its predictions, but has"),
        (lambda folder: edit(folder, dataset="ferplus"), "of the training, synthetic, but got one on ferplus"),
        (lambda folder: edit(folder, weights="none.safetensors"), "there is no such file"),
        (lambda folder: edit(folder, weights_sha256="0"), "as it is now; evaluate the file again"),
    ],
)
def test_what_is_no_evaluation_of_the_file_is_refused(runs, tmp_path, capsys, change, sentence):
    shutil.copytree(runs / "evaluated", tmp_path / "run")
    change(tmp_path / "run")
    with pytest.raises(SystemExit, match="2"):
        card.main([str(tmp_path / "run"), "--output", str(tmp_path / "card.md")])
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "card.md").exists()


def edit(folder, **values):
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_does_not_belong_to_the_weights_is_refused(runs, tmp_path, capsys):
    (tmp_path / "other.json").write_text(json.dumps(CROPS | {"weights_sha256": "0"}))
    shutil.copytree(runs / "seed2", tmp_path / "strange")
    settings = OmegaConf.load(tmp_path / "strange/.hydra/config.yaml")
    OmegaConf.save(OmegaConf.merge(settings, {"ema": 0.5}), tmp_path / "strange/.hydra/config.yaml")
    evaluated, one, two = (str(runs / name) for name in ("evaluated", "seed1", "seed2"))
    for words, sentence in (
        ([one], "but it is a training"),
        ([evaluated, "--crops", str(tmp_path / "no.json")], "expected figures of fer.evaluation.detector_cost"),
        ([evaluated, "--crops", f"{runs}/evaluated/metrics.json"], "expected figures of fer.evaluation.detector_cost"),
        ([evaluated, "--crops", str(tmp_path / "other.json")], "but they are of another file"),
        ([evaluated, "--seeds", one, one], "differ in nothing but the seed"),
        ([evaluated, "--seeds", one, str(tmp_path / "strange")], "differ in nothing but the seed"),
        ([evaluated, "--seeds", evaluated], "expected trainings"),
        ([evaluated, "--seeds", two], "none has the same file"),
    ):
        with pytest.raises(SystemExit, match="2"):
            card.main([*words, "--output", str(tmp_path / "card.md")])
        assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob("card.md*"))


def test_limitations_are_counted_and_only_where_there_is_something_to_count():
    sentences = list(card_text._limitations(COUNTS, ("angry", "fear", "neutral", "sad"), {"test/copies": 0}))
    assert sentences == [
        "Lowest recall: fear, predicted for 0 of 2 such faces.",
        "Lowest precision: fear, right 0 of 2 times.",
        "Never predicted: sad.",
        "Most frequent confusions: fear as neutral (2 of 2); angry as fear (1 of 4); neutral as fear (1 of 5).",
    ]
    sentences = list(card_text._limitations(np.eye(2, dtype=int), ("neutral", "sad"), {"test/copies": 0}))
    assert not any("confusions" in sentence or "Never" in sentence for sentence in sentences)


def test_a_class_that_is_never_predicted_is_not_the_one_of_lowest_precision():
    counts = np.array([[0, 2, 1], [0, 3, 1], [0, 0, 0]])  # angry is never predicted, and sad has no faces
    recall, precision, never, *_ = card_text._limitations(counts, ("angry", "neutral", "sad"), {"test/copies": 0})
    assert recall == "Lowest recall: angry, predicted for 0 of 3 such faces."
    assert precision == "Lowest precision: sad, right 0 of 2 times."
    assert never == "Never predicted: angry."


def test_the_card_counts_exact_and_near_copies():
    figures = {"test/copies": 3, "test/near_copies": 2, "test/n": 40, "test_unseen/accuracy": 0.6}
    for near, words in ((2, ", and 2 more show the same photograph in another light, crop or compression"), (0, "")):
        said = list(card_text._limitations(COUNTS, tuple("abcd"), figures | {"test/near_copies": near}))
        start = "3 of the 40 test images are exact copies of training images"
        assert f"{start}{words}; without them the accuracy is 60.0." in said


def weights_digest(runs):
    return digest(runs / "seed1/weights.safetensors")
