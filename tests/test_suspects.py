"""Folds of a training split, and the labels that nets contradict which have not seen them."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from fer.data.duplicates import families
from fer.data.folds import assign_folds, hold_out
from fer.data.readers import load
from fer.data.table import Split, Table
from fer.errors import UserError
from fer.evaluation.outputs import Outputs
from fer.evaluation.report import write_report
from fer.evaluation.results import split_results, write_json, write_predictions
from fer.evaluation.suspects.__main__ import main
from fer.evaluation.suspects.contradiction import contradict
from fer.evaluation.suspects.joined import join
from tests.runs import configure, run, tiny, without_figures

CLASSES = ("angry", "fear", "happy")


def faces(count: int = 60, seed: int = 0) -> Table:
    """Training faces of noise; each third one is a lighter copy of the one before."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 120, (count, 24, 24)).astype(np.uint8)
    images[2::3] = images[1::3] + 60
    targets = np.eye(3, dtype=np.float32)[random.permutation(np.arange(count) % 3)]
    return Table(images, targets, np.full(count, Split.TRAIN, np.uint8), np.arange(count) + 7, CLASSES)


def test_a_family_is_a_chain_of_copies():
    table = faces(9)
    images = np.concatenate((table.images, table.images[:1]))
    assert families(images).tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 5, 0]


def test_folds_part_no_copies_and_have_equal_classes():
    table = faces(120)
    folds = assign_folds(table, 4, seed=1)
    assert (folds[1::3] == folds[2::3]).all()
    counts = np.array([np.bincount(table.labels[folds == fold], minlength=3) for fold in (1, 2, 3, 4)])
    assert counts.sum() == 120 and np.ptp(counts, axis=0).max() <= 2
    assert (folds != assign_folds(table, 4, seed=2)).any()


def test_each_face_is_held_out_once():
    table = faces(30)
    parts = [hold_out(table, fold, 3, seed=1) for fold in (1, 2, 3)]
    assert sorted(np.concatenate([part.held.rows for part in parts])) == table.rows.tolist()
    assert all({*part.rows} | {*part.held.rows} == {*table.rows} and len(part) + len(part.held) == 30 for part in parts)
    with pytest.raises(UserError, match="there are only 2: take fewer folds"):
        hold_out(table.select(np.arange(3)), 1, 3, seed=1)


def test_confident_learning_by_hand():
    shares = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.45, 0.55], [0.1, 0.9], [0.95, 0.05]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = contradict(shares, labels)
    assert found.thresholds == pytest.approx([(0.8 + 0.6 + 0.3) / 3, 0.5])
    assert found.likely.tolist() == [0, 0, 1, 1, 1, 0]
    assert found.margins == pytest.approx([0.6, 0.2, -0.4, 0.1, 0.8, -0.9])
    assert found.ranked.tolist() == [5, 2]


def test_a_class_that_is_below_its_usual_probability_is_no_suspicion():
    shares = np.array([[0.9, 0.1, 0.0], [0.44, 0.56, 0.0], [0.1, 0.9, 0.0]])
    found = contradict(shares, np.array([0, 0, 1]))
    assert found.likely.tolist() == [0, -1, 1] and found.thresholds[2] == np.inf
    assert not len(found.ranked)


DATA = ("dataset.train=90", "dataset.classes=6")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """What the trainings of two folds leave, of nets that guess."""
    folder = tmp_path_factory.mktemp("sweep")
    for fold in (1, 2):
        words = tiny(f"fold={fold}", "folds=2", "test=false", *DATA)
        config, own = configure(*words), folder / f"fold={fold}"
        _keep(own, config, words)
        table = hold_out(load(config.dataset, config.model.input_size), fold, 2, config.seed)
        said = {"fold": _guess(table.held.by_rows()), "val": _guess(table.part(Split.VAL).by_rows())}
        write_predictions(own / "predictions_fold.csv", said["fold"], table.held)
        write_json(own / "metrics.json", split_results(said, said, table.classes) | {"classes": table.classes})
    return folder


def _guess(table: Table) -> Outputs:
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=table.targets.shape) + 2 * table.targets)
    return Outputs(logits.float(), torch.from_numpy(table.labels), torch.from_numpy(table.rows))


def _keep(folder, config, words):
    """Keep a run's settings, as Hydra does."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(words))


@pytest.mark.slow
def test_a_training_leaves_a_fold_out_and_predicts_it(tmp_path, monkeypatch):
    without_figures(monkeypatch)
    config = configure(*tiny("fold=2", "folds=3", "test=false", "trainer.max_epochs=1", *DATA))
    run(config, tmp_path)
    held = hold_out(load(config.dataset, config.model.input_size), 2, 3, config.seed).held.by_rows()
    with (tmp_path / "predictions_fold.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == held.rows.tolist()
    assert [row["target"] for row in rows] == [held.classes[label] for label in held.labels]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["fold"] == "2 of 3" and metrics["fold/n"] == len(held) and metrics["train/n"] == 90 - len(held)


def test_the_folds_make_a_list_of_suspects(sweep, tmp_path, capsys):
    main([str(sweep), "--output", str(tmp_path)])
    config = configure(*DATA)
    table = load(config.dataset, config.model.input_size)
    train = table.part(Split.TRAIN)
    labels = dict(zip(train.rows.tolist(), (train.classes[label] for label in train.labels), strict=True))
    with (tmp_path / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows and [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(row["label"] == labels[int(row["index"])] != row["predicted"] for row in rows)
    margins = [float(row["margin"]) for row in rows]
    assert margins == sorted(margins) and margins[-1] < 0
    assert (tmp_path / "suspects.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "suspects.md").read_text()
    assert f"{len(rows):,} labels of 90 training faces are contradicted" in text and "no verdict" in text
    assert f"{len(rows):,} suspect labels of 90" in capsys.readouterr().out


def test_files_of_the_folds_are_taken_too(sweep):
    found = join([sweep / f"fold={fold}/predictions_fold.csv" for fold in (2, 1)])
    assert [run.config["fold"] for run in found.runs] == [1, 2]
    assert len(found.rows) == 90 and (np.diff(found.rows) > 0).all()


@pytest.mark.slow
def test_a_report_of_the_sweep_compares_its_folds_as_one_task(sweep, tmp_path):
    text = write_report([sweep], tmp_path).read_text()
    assert "2 settings, 2 runs" in text and text.count("### Ranking") == 1


def _gone(sweep):
    shutil.rmtree(sweep / "fold=2")


def _replace(name, old, new):
    def change(sweep):
        path = sweep / "fold=2" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


MISTAKES = {
    "a fold is missing": (_gone, "expected predictions_fold.csv of 2 folds, but got 1: train the others by"),
    "a fold is not finished": (lambda sweep: (sweep / "fold=2/metrics.json").unlink(), "fold=2: not finished"),
    "a fold is damaged": (
        _replace("predictions_fold.csv", "index", "x\n"),
        "fold=2: predictions_fold.csv cannot be read",
    ),
    "another seed": (_replace(".hydra/config.yaml", "\nseed: 1", "\nseed: 2"), "got seed=2 instead of 1"),
    "another dataset": (_replace(".hydra/config.yaml", "train: 90", "train: 91"), "got dataset.train=91 instead of 90"),
    "twice": (_replace(".hydra/config.yaml", "\nfold: 2", "\nfold: 1"), "fold=1 is fold 1, too"),
    "no folds": (
        lambda sweep: [
            _replace(".hydra/config.yaml", "\nfold: 2", "\nfold: null")(sweep),
            shutil.rmtree(sweep / "fold=1"),
        ],
        "none of them left out a fold",
    ),
}


@pytest.mark.parametrize(("change", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(sweep, tmp_path, capsys, change, said):
    own = tmp_path / "sweep"
    shutil.copytree(sweep, own)
    change(own)
    with pytest.raises(SystemExit) as end:
        main([str(own)])
    told = capsys.readouterr().err
    assert end.value.code == 2 and said in told and told.count("\n") == 1
    assert not (own / "suspects.csv").exists()


def test_other_data_is_refused(sweep, tmp_path, capsys):
    own = tmp_path / "sweep"
    shutil.copytree(sweep, own)
    for fold in (1, 2):
        path = own / f"fold={fold}/.hydra/config.yaml"
        path.write_text(path.read_text().replace("train: 90", "train: 84"))
    with pytest.raises(SystemExit) as end:
        main([str(own)])
    assert end.value.code == 2 and "expected the 90 training faces of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fold=6"], "expected a number from 1 to folds=5, but got 6"),
        (["fold=1", "fit=false", "weights=fer2013"], "expected no fold, since an evaluation trains on none"),
    ],
)
def test_a_fold_that_cannot_be_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        configure(*words)
