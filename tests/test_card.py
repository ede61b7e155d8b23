"""Model cards: every figure is the evaluation's, and what is no evaluation of the file is refused."""

import json
import re
import shutil

import pytest
from omegaconf import OmegaConf

from fer.emotions import class_names
from fer.evaluation import card
from fer.training.run import run
from tests.runs import configure, without_figures

CROPS = {"detector": "yunet", "split": "test", "n": 24, "found": 20}
CROPS |= {"accuracy_as_they_are": 0.5, "accuracy_found_anew": 0.45}


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
    (tmp_path / "crops.json").write_text(json.dumps(CROPS))
    seeds = [str(runs / "seed1"), str(runs / "seed2")]
    words = ["--output", str(tmp_path / "card.md"), "--crops", str(tmp_path / "crops.json"), "--seeds", *seeds]
    card.main([str(runs / "evaluated"), *words])
    text = (tmp_path / "card.md").read_text()
    found = json.loads((runs / "evaluated/metrics.json").read_text())
    cells = [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    for name, key in (("test (read once)", "test"), ("validation, mirrored too", "val_flip")):
        low, middle, high = (f"{100 * found[f'{key}/accuracy{end}']:.1f}" for end in ("_low", "", "_high"))
        assert next(row for row in cells if row[0] == name)[1:3] == [
            f"{found[f'{key}/n']}",
            f"{middle} ({low} to {high})",
        ]
    counts = [list(map(int, row[1:])) for row in cells if row[0] in class_names(6) and len(row) == 7]
    assert sum(map(sum, counts)) == 24
    assert sum(counts[i][i] for i in range(6)) == round(24 * found["test/accuracy"])
    assert f"over the temperature {found['temperature']:g}," in text
    assert "20 of 24 test faces are found by the detector (yunet). On these the accuracy is 50.0 as" in text
    assert "2 trainings that differ in the seed" in text and "seed 2" in text
    assert "tta=flip dataset.root=DIR" in text and "trained on synthetic" not in text
    assert not re.search(r"\bnan\b|None", text)


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


def test_a_training_is_refused_and_so_are_crops_that_cannot_be_read(runs, tmp_path, capsys):
    output = ["--output", str(tmp_path / "card.md")]
    for words, sentence in (
        ([str(runs / "seed1")], "but it is a training"),
        ([str(runs / "evaluated"), "--crops", str(tmp_path / "no.json")], "expected figures of fer.inference.recrop"),
    ):
        with pytest.raises(SystemExit, match="2"):
            card.main([*words, *output])
        assert sentence in capsys.readouterr().err
