"""Whole runs: what a folder holds when all went well, and what it does not hold when something went wrong."""

import csv
import errno
import json
import os
import re
import shutil
import sys
import threading
import warnings
from functools import partial

import cv2
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from fer.data.table import Split
from fer.emotions import class_names
from fer.errors import Diverged, RunError, UserError
from fer.evaluation.card import write_card
from fer.evaluation.console import scope
from fer.evaluation.predict import predict
from fer.evaluation.run import read_for
from fer.inference.predictor import Predictor
from fer.training.lightning_module import EmotionModule
from fer.training.optim import choose_precision
from fer.training.run import draw_history
from fer.training.trainer import _tell_unless_told
from fer.weights import Header, load_net, read_weights
from tests.data import (
    write_class_folders,
    write_fer2013_csv,
    write_ferplus_csv,
    write_ferplus_folders,
    write_kaggle_folders,
)
from tests.runs import command, configure, run, tensors, without_figures

DRAWN = ("confusion", "per_class", "reliability", "coverage", "mistakes", "gradcam")


def results(folder):
    return json.loads((folder / "metrics.json").read_text())


def figures(folder, *prefixes):
    """Return the metrics of a run whose keys start so."""
    return {key: value for key, value in results(folder).items() if key.startswith(prefixes)}


@pytest.fixture
def quick(monkeypatch):
    without_figures(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole run with figures, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        run(configure("trainer.max_epochs=3", "tta=flip", "augmentation=full", "workers=1"), folder)
    assert [str(warning.message) for warning in caught if "lightning" in warning.filename] == []
    return folder


@pytest.fixture(scope="module")
def events(finished):
    accumulator = EventAccumulator(str(finished), {"scalars": 0, "images": 0})
    return accumulator.Reload()


def test_metrics_are_flat_and_complete(finished):
    found = results(finished)
    classes = class_names(6)
    names = {"accuracy", "balanced_accuracy", "f1_macro", "auroc", "ece", "ece_uncalibrated", "loss", "n"}
    names |= {"classwise_ece", "aurc", "excess_aurc", "coverage", "selective_accuracy"}
    names |= {f"{name}_{end}" for name in ("accuracy", "balanced_accuracy", "f1_macro") for end in ("low", "high")}
    names |= {f"{kind}/{emotion}" for kind in ("precision", "recall", "f1", "class_ece") for emotion in classes}
    for split in ("val", "test", "train", "val_flip", "test_flip", "test_surest"):
        known = {key.partition("/")[2] for key in found if key.startswith(f"{split}/")}
        assert known == names | ({"copies", "near_copies"} if split == "test" else set())
        assert found[f"{split}/accuracy_low"] <= found[f"{split}/accuracy"] <= found[f"{split}/accuracy_high"]
    assert not {key.rpartition("/")[0] for key in found} & set(found), "a name below a name, which MLflow cannot keep"
    assert (found["test/n"], found["val/n"], found["train/n"]) == (24, 24, 48)
    assert found["classes"] == list(classes)
    assert (found["dataset"], found["augmentation"], found["seed"]) == ("synthetic", "full", 1)
    assert (found["device"], found["precision"], found["input_size"]) == ("cpu", choose_precision("auto", "cpu"), 24)
    assert found["threads"] == torch.get_num_threads()
    assert {"fer", "python", "torch", "lightning", "numpy"} <= set(found["versions"])
    assert 0 < found["seconds"] < 600
    assert found["test_surest/n"] == 19
    header = load_net(finished / "weights.safetensors")[1]
    assert found["temperature"] == header.temperature != 1
    assert found["not_sure"] == header.not_sure
    assert found["not_sure_accuracy"] == header.training["not_sure_accuracy"] == 0.9
    assert not any(isinstance(value, dict) for key, value in found.items() if key != "versions")


@pytest.mark.parametrize(("split", "file"), [("test", "predictions.csv"), ("val", "predictions_val.csv")])
def test_predictions_are_a_row_for_each_face(finished, split, file):
    with (finished / file).open() as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == ["index", "target", *class_names(6)]
    assert len({row["index"] for row in rows}) == len(rows) == 24
    shares = [[float(row[name]) for name in class_names(6)] for row in rows]
    assert [sum(row) for row in shares] == pytest.approx([1] * 24, abs=1e-5)
    hits = [row["target"] == max(class_names(6), key=lambda name, row=row: float(row[name])) for row in rows]
    assert sum(hits) / 24 == pytest.approx(results(finished)[f"{split}/accuracy"])


def test_the_history_is_a_row_for_each_epoch(finished, events):
    with (finished / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    logged = [point.value for point in events.Scalars("accuracy/val")]
    assert [float(row["val/accuracy"]) for row in rows] == pytest.approx(logged)
    found = results(finished)
    assert (found["epochs"], found["best_epoch"]) == (3, 1 + logged.index(max(logged)))
    assert found["images_per_second"] > 0


def test_weights_are_those_of_the_best_checkpoint_and_know_their_training(finished):
    net, header = load_net(finished / "weights.safetensors")
    best = torch.load(finished / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert all(
        torch.equal(tensor, best[f"net.{name}"].half().float() if tensor.ndim > 1 else best[f"net.{name}"])
        for name, tensor in net.state_dict().items()
    )
    assert (finished / "checkpoints/last.ckpt").is_file()
    found = results(finished)
    assert header.metrics == {key: value for key, value in found.items() if "/" in key}
    assert (header.training["augmentation"], header.training["seed"]) == ("full", 1)
    assert (header.classes, header.input_size) == (class_names(6), 24)


def test_figures_are_written(finished):
    names = {f"{split}_{name}.png" for split in ("val", "test") for name in DRAWN}
    assert {path.name for path in (finished / "figures").iterdir()} == names | {
        "augmented_batch.png", "learning_curves.png",
    }  # fmt: skip
    for path in (finished / "figures").iterdir():
        height, width = cv2.imread(str(path)).shape[:2]
        assert width == 1200 and height >= 150


def test_the_dashboard_has_curves_and_figures(events):
    scalars = set(events.Tags()["scalars"])
    assert {"loss/train", "images_per_second/train", "loss/val", "sample_loss/train", "f1/happy/val"} <= scalars
    assert sorted(scalars)[:2] == ["accuracy/train", "accuracy/val"]  # what the page begins with
    (rate,) = [name for name in scalars if name.startswith("lr") and name.endswith("pg1")]
    assert len(events.Scalars(rate)) == len(events.Scalars("accuracy/val")) == 3
    assert all(point.value > 0 for point in events.Scalars("images_per_second/train"))
    images = events.Tags()["images"]
    assert sorted(images) == ["view/augmented_batch", "view/val/confusion", "view/val/gradcam", "view/val/mistakes"]
    assert min(images) > max(scalars)
    assert [image.step for image in events.Images("view/val/confusion")] == [1, 2]
    image = events.Images("view/val/gradcam")[0]
    assert (image.width, image.encoded_image_string[:4]) == (600, b"\x89PNG")


def test_the_dashboard_s_table_of_runs_has_settings_and_final_metrics(events, finished):
    contents = events.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info.hparams
    assert {name: value.string_value or value.number_value for name, value in start.items()} == {
        "dataset": "synthetic", "augmentation": "full", "model": "tiny", "loss": "cross_entropy", "optimizer": "sgd",
        "scheduler": "cosine", "seed": 1,
    }  # fmt: skip
    experiment = HParamsPluginData.FromString(contents["_hparams_/experiment"]).experiment
    names = {info.name.tag for info in experiment.metric_infos}
    assert {"final/test/accuracy", "final/val/f1_macro"} <= names
    value = events.Scalars("final/test/accuracy")[-1].value
    assert value == pytest.approx(results(finished)["test/accuracy"])


def test_a_log_is_told_early_how_long_the_training_will_take(tmp_path, quick, capsys, monkeypatch):
    monkeypatch.setattr("fer.training.progress_line.FIRST", 0)
    run(configure("test=false"), tmp_path)
    out, err = capsys.readouterr()
    (line,) = re.findall(r"^epoch \S+?:.*", out, re.M)
    assert re.fullmatch(r"epoch 1/2: 33% after \d+ s, about .+ left", line)
    assert out.count(" left\n") == 3  # and a line for each of two epochs
    assert err == ""


def test_a_terminal_is_shown_epoch_loss_and_time_from_the_first_batches_on(tmp_path, quick, capsys, monkeypatch):
    monkeypatch.setattr("fer.training.progress_line.EVERY", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(configure("test=false"), tmp_path)
    out, err = capsys.readouterr()
    shown = err.split("\r\x1b[K")
    assert re.fullmatch(r"epoch 1/2   33%  loss \d+\.\d{3}  \d+ s left", shown[1])
    assert [place for place in shown if "100%" in place and place.startswith(("epoch 1/2", "epoch 2/2"))]
    assert shown[-1] == ""  # nothing stays
    assert not re.search("after|100%", out)


def test_a_folder_s_name_is_printed_as_it_is(tmp_path, quick, capsys):
    folder = tmp_path / "run é [a], b=1"
    run(configure("test=false", "trainer.max_epochs=1"), folder)
    assert capsys.readouterr().out.count(str(folder)) == 2  # at the start and at the end


def test_a_run_that_may_not_look_at_the_test_split_does_not(tmp_path, quick):
    run(configure("test=false", "trainer.max_epochs=1"), tmp_path)
    assert not figures(tmp_path, "test")
    assert figures(tmp_path, "val/")
    assert not (tmp_path / "predictions.csv").exists()


def test_the_same_seed_ends_the_same_and_another_does_not(tmp_path, quick):
    for name, words in {"a": (), "b": ("workers=2",), "c": ("seed=2",)}.items():
        run(configure("trainer.max_epochs=2", "model.dropout=0.2", "mixup=0.2", *words), tmp_path / name)
    a, b, c = (tensors(tmp_path / name / "weights.safetensors") for name in "abc")
    assert a == b
    assert a != c
    assert figures(tmp_path / "a", "val/", "test/") == figures(tmp_path / "b", "val/", "test/")


def test_an_evaluation_repeats_the_training_s_figures(finished, tmp_path, quick):
    weights = f"weights={finished / 'weights.safetensors'}"
    run(configure("fit=false", weights, "model=large", "dataset.classes=7", "tta=flip", "seed=5"), tmp_path)
    evaluated = ("val/", "test/", "val_flip/", "test_flip/")
    assert figures(tmp_path, *evaluated) == figures(finished, *evaluated)
    assert (tmp_path / "predictions.csv").read_text() == (finished / "predictions.csv").read_text()
    assert results(tmp_path)["classes"] == list(class_names(6))
    assert results(tmp_path)["augmentation"] == "full"  # what the weights were trained with
    assert not (tmp_path / "weights.safetensors").exists()
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("tta", ["none", "flip", "tencrop", "all"])
def test_views_have_keys_of_their_own(tta, finished, tmp_path, quick):
    run(configure("fit=false", f"weights={finished / 'weights.safetensors'}", f"tta={tta}"), tmp_path)
    assert figures(tmp_path, "val/", "test/") == figures(finished, "val/", "test/")
    found = {key.partition("/")[0] for key in results(tmp_path) if key.startswith(("val", "test"))}
    kinds = {"none": (), "all": ("flip", "tencrop")}.get(tta, (tta,))
    assert found == {"val", "test", "test_surest"} | {f"{split}_{kind}" for split in ("val", "test") for kind in kinds}
    if "tencrop" in kinds:
        assert results(tmp_path)["val_tencrop/loss"] != results(tmp_path)["val/loss"]


def test_seven_classes_are_trained_and_evaluated(tmp_path, quick):
    run(configure("dataset.classes=7", "trainer.max_epochs=1"), tmp_path / "a")
    weights = f"weights={tmp_path / 'a' / 'weights.safetensors'}"
    run(configure("fit=false", weights), tmp_path / "b")
    assert results(tmp_path / "b")["classes"] == list(class_names(7))
    assert figures(tmp_path / "b", "val/", "test/") == figures(tmp_path / "a", "val/", "test/")


SCOPES = {  # classes of the data; what of it the net of six does not know, and what of the net it does not label
    "fewer": (("happy", "sad"), [], ["angry", "disgust", "fear", "surprise"]),
    "more": (class_names(8), ["contempt", "neutral"], []),
    "others, too": (("happy", "bored", "hapy"), ["bored", "hapy"], ["angry", "disgust", "fear", "sad", "surprise"]),
}


@pytest.mark.parametrize(("names", "left", "absent"), SCOPES.values(), ids=SCOPES)
def test_what_net_and_data_have_in_common_is_evaluated_and_the_rest_said(
    names, left, absent, finished, tmp_path, quick, capsys
):
    write_class_folders(tmp_path / "data", names, per_class=3)
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", f"weights={finished / 'weights.safetensors'}")
    run(configure("fit=false", *words), tmp_path / "run")
    found, said = results(tmp_path / "run"), capsys.readouterr().out
    assert found["classes"] == list(class_names(6))
    assert found["test/n"] == 3 * (len(names) - len(left))
    assert found.get("left_out") == ({split: dict.fromkeys(left, 3) for split in ("val", "test")} if left else None)
    assert found.get("without_faces", []) == absent
    assert (f"left out: {' and '.join(f'3 {name}' for name in left)} in test, which the net does not" in said) == bool(
        left
    )
    assert f"no faces to evaluate: {', '.join(absent[:-1])} and {absent[-1]}," in said if absent else True


@pytest.mark.parametrize(
    ("dataset", "write", "classes", "left", "absent"),
    [
        ("fer2013", write_fer2013_csv, class_names(8), [], ["contempt"]),
        ("fer2013", write_kaggle_folders, class_names(8), [], ["contempt"]),
        ("fer2013", write_fer2013_csv, class_names(6), ["neutral"], []),
        ("fer2013", write_kaggle_folders, class_names(6), ["neutral"], []),
        ("ferplus", write_ferplus_csv, class_names(8), [], []),
        ("ferplus", write_ferplus_csv, class_names(6), ["contempt", "neutral"], []),
        (
            "ferplus",
            write_ferplus_folders,
            ("neutral", "bored", "sad"),
            sorted({*class_names(8)} - {"neutral", "sad"}),
            ["bored"],
        ),
        ("synthetic", None, class_names(8), [], ["contempt"]),
    ],
)
def test_every_dataset_is_read_for_the_classes_that_it_shares_with_a_net(
    dataset, write, classes, left, absent, tmp_path
):
    if write:
        write(tmp_path)
    root = (f"dataset.root={tmp_path}",) if write else ()
    config = configure(f"dataset={dataset}", *root, "fit=false", "weights=a.safetensors")
    table = read_for(config, Header(classes, 24, 0.5, 0.25, {}))
    assert table.classes == classes
    assert {classes[label] for label in table.labels} == set(classes) - set(absent)
    assert scope(table).get("without_faces", []) == absent
    assert scope(table).get("left_out", {}).get("test", {}) == dict.fromkeys(left, 2)


def test_only_where_the_threshold_is_chosen_it_is_said_that_it_misses_the_accuracy(tmp_path, quick, capsys):
    run(configure("test=false", "trainer.max_epochs=1"), tmp_path / "run")
    assert "90.0 % right answers were asked for, which no threshold reaches" in capsys.readouterr().out
    run(configure("fit=false", "test=false", f"weights={tmp_path / 'run/weights.safetensors'}"), tmp_path / "again")
    said = capsys.readouterr().out
    assert "not sure below" in said and "were asked for" not in said


def test_an_evaluation_says_what_it_leaves_out_and_that_the_net_tells_the_classes(tmp_path, quick, weights, capsys):
    write_class_folders(tmp_path / "data", ("happy", "neutral"), per_class=2)
    (tmp_path / "run/.hydra").mkdir(parents=True)
    hydra = {
        "overrides": {"task": ["fit=false", "dataset.classes=8"]},
        "job": {"config": {"override_dirname": {"exclude_keys": []}}},
        "runtime": {"choices": {}},
    }
    (tmp_path / "run/.hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    words = ("dataset=folder", "dataset.classes=8", f"dataset.root={tmp_path / 'data'}", f"weights={weights}")
    run(configure(*words, "fit=false"), tmp_path / "run")
    said = capsys.readouterr().out
    assert "left out: 2 neutral in test, which the net does not know\n" in said
    assert re.search(r"no faces to evaluate: angry, disgust, fear, sad.* surprise, which the net knows; a face", said)
    assert "dataset.classes=8: passed over, as the classes of an evaluation are the net's\n" in said


def test_names_of_one_s_own_are_trained_evaluated_and_shown(tmp_path, quick, capsys):
    write_class_folders(tmp_path / "data", ("Focused", "bored", "müde", "happy"), per_class=6)
    data = ("dataset=folder", f"dataset.root={tmp_path / 'data'}")
    run(configure(*data, "dataset.classes=own", "trainer.max_epochs=1"), tmp_path / "a")
    weights = tmp_path / "a" / "weights.safetensors"
    predictor = Predictor.load(weights)
    classes = ("happy", "bored", "focused", "müde")
    assert predictor.classes == classes
    assert predictor.explain([str(tmp_path / "data/test/bored/0.png")], "Müde").shape == (1, 24, 24)
    config = configure(*data, "fit=false", f"weights={weights}")
    run(config, tmp_path / "b")
    assert figures(tmp_path / "b", "val/", "test/") == figures(tmp_path / "a", "val/", "test/")
    assert not {"left_out", "without_faces"} & results(tmp_path / "b").keys()
    run(configure(*data, "dataset.classes=own", f"weights={weights}", "trainer.max_epochs=1"), tmp_path / "c")
    assert "not taken over: nothing" in capsys.readouterr().out
    (tmp_path / "b" / ".hydra").mkdir()  # what the command leaves
    (tmp_path / "b" / ".hydra/config.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    write_card(tmp_path / "b", tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "Predicts 4 classes (happy, bored, focused, müde)" in text
    assert "no neutral" not in text


def test_a_test_split_alone_is_evaluated(finished, tmp_path, quick):
    write_class_folders(tmp_path / "data", class_names(6))
    for split in ("train", "val"):
        (tmp_path / "data" / split).rename(tmp_path / split)
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", f"weights={finished / 'weights.safetensors'}")
    assert run(configure("fit=false", *words), tmp_path / "run") == results(tmp_path / "run")["test/accuracy"]
    assert results(tmp_path / "run")["test/n"] == 12
    assert not any(key.startswith(("val", "train/")) for key in results(tmp_path / "run"))
    with pytest.raises(UserError, match="expected faces in val, but got none"):
        run(configure("fit=false", "test=false", *words), tmp_path / "none")


def test_a_single_class_is_not_trained(tmp_path, quick):
    write_class_folders(tmp_path, ("happy",))
    with pytest.raises(UserError, match="expected faces of two classes or more, but got only happy"):
        run(configure("dataset=folder", f"dataset.root={tmp_path}"), tmp_path / "run")


def test_a_folder_s_own_few_classes_are_trained_and_evaluated(tmp_path, quick):
    write_class_folders(tmp_path / "data", ("sad", "happy", "angry"), per_class=6)
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", "trainer.max_epochs=1")
    run(configure(*words), tmp_path / "a")
    weights = f"weights={tmp_path / 'a' / 'weights.safetensors'}"
    run(configure("fit=false", weights), tmp_path / "b")
    run(configure(*words, "fit=false", weights), tmp_path / "c")
    assert results(tmp_path / "b")["classes"] == ["angry", "happy", "sad"]
    assert results(tmp_path / "b")["test/n"] == 12  # of the drawn faces, those of these classes
    assert figures(tmp_path / "c", "test/") == figures(tmp_path / "a", "test/")


def test_splits_of_a_single_face_are_evaluated_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fer.training.run.draw_augmented", lambda *_: {})
    monkeypatch.setattr("fer.training.run.draw_history", lambda *_: {})
    monkeypatch.setattr("fer.training.dashboard.draw_augmented", lambda *_: {})
    write_class_folders(tmp_path / "data", ("happy", "sad"), per_class=1)
    for split in ("val", "test"):
        (tmp_path / "data" / split / "sad" / "0.png").unlink()
    run(configure("dataset=folder", f"dataset.root={tmp_path / 'data'}", "trainer.max_epochs=1"), tmp_path / "run")
    assert "Per cent of 1 test face (" in capsys.readouterr().out
    for split in ("val", "test", "test_surest"):
        found = figures(tmp_path / "run", f"{split}/")
        assert found[f"{split}/n"] == 1
        assert found[f"{split}/accuracy_low"] == found[f"{split}/accuracy_high"] == found[f"{split}/accuracy"]
    drawn = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert {f"{split}_{name}.png" for split in ("val", "test") for name in DRAWN} <= drawn


def test_weights_for_other_classes_than_the_data_s_are_refused(finished, tmp_path, quick):
    write_class_folders(tmp_path / "data", ("neutral", "contempt"))
    words = ("fit=false", f"weights={finished / 'weights.safetensors'}")
    with pytest.raises(
        UserError,
        match=r"expected a net with classes of dataset=folder \(neutral and contempt\), but its classes are "
        "angry, disgust, fear, happy, sad and surprise",
    ):
        run(configure(*words, "dataset=folder", f"dataset.root={tmp_path / 'data'}"), tmp_path / "run")
    header = Header(("bored", "focused"), 24, 0.5, 0.25, {})
    with pytest.raises(UserError, match=r"dataset=synthetic \(angry, .* more\), but its classes are bored and focused"):
        read_for(configure("fit=false", "weights=a.safetensors"), header)
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize("training", [{}, {"labels": "bored"}, {"labels": ["soft"]}])
def test_labels_that_a_file_s_header_makes_up_are_refused(training):
    config = configure("dataset=ferplus", "fit=false", "weights=a.safetensors")
    header = Header(class_names(6), 24, 0.5, 0.25, {}, training={"dataset": "ferplus"} | training)
    with pytest.raises(UserError, match=r"^weights=a.safetensors: .*: training.labels: expected majority, .* or multi"):
        read_for(config, header)


def test_a_training_starts_from_weights_and_lists_what_it_could_not_take(finished, tmp_path, quick, capsys):
    weights = finished / "weights.safetensors"
    still = ("trainer.max_epochs=1", "optimizer.lr=1e-30", "ema=0", f"weights={weights}")
    run(configure(*still, "dataset.classes=7"), tmp_path / "seven")
    said = capsys.readouterr().out
    assert "the head's rows of neutral: no such class in the file" in said
    old, new = (read_weights(path)[0] for path in (weights, tmp_path / "seven" / "weights.safetensors"))
    assert torch.equal(new["stem.0.weight"], old["stem.0.weight"])
    assert torch.equal(new["head.weight"][:6], old["head.weight"])
    run(configure(*still, "model.widths=[8,24]"), tmp_path / "wide")
    assert "head.weight: (6, 24) here, (6, 16) in the file" in capsys.readouterr().out


def test_a_share_of_the_weights_that_a_training_started_from_is_kept(finished, tmp_path, quick):
    weights = finished / "weights.safetensors"
    words = ("trainer.max_epochs=1", f"weights={weights}")
    run(configure(*words), tmp_path / "whole")
    run(configure(*words, "start_share=0.25"), tmp_path / "share")
    start, end, kept = (
        read_weights(path)[0]
        for path in (weights, *(tmp_path / name / "weights.safetensors" for name in ("whole", "share")))
    )
    assert not torch.equal(start["stem.0.weight"], end["stem.0.weight"])
    for name in ("stem.0.weight", "stem.1.running_var", "head.bias"):
        expected = 0.25 * start[name].float() + 0.75 * end[name].float()
        assert torch.allclose(kept[name].float(), expected, atol=1e-3, rtol=1e-3), name
    assert read_weights(tmp_path / "share/weights.safetensors")[1].training["start_share"] == 0.25
    assert "start_share" not in results(tmp_path / "whole")
    assert results(tmp_path / "share")["val/loss"] != results(tmp_path / "whole")["val/loss"]
    with pytest.raises(UserError, match=r"start_share=0.25: expected the net and classes of .*head's rows of neutral"):
        run(configure(*words, "start_share=0.25", "dataset.classes=7"), tmp_path / "seven")
    with pytest.raises(ValueError, match=r"start_share=0.25: expected a training that starts from weights=FILE"):
        configure("start_share=0.25")


def test_a_finished_training_may_keep_another_share_without_another_epoch(finished, tmp_path, quick):
    words = ("trainer.max_epochs=1", f"weights={finished / 'weights.safetensors'}")
    for folder in ("once", "again"):
        run(configure(*words), tmp_path / folder)
    (tmp_path / "again/metrics.json").unlink()
    run(configure(*words, "start_share=0.5"), tmp_path / "again")
    run(configure(*words, "start_share=0.5"), tmp_path / "at once")
    once, again, straight = (
        read_weights(tmp_path / name / "weights.safetensors")[0] for name in ("once", "again", "at once")
    )
    assert not torch.equal(once["stem.0.weight"], again["stem.0.weight"])
    assert all(torch.equal(tensor, straight[name]) for name, tensor in again.items())
    assert results(tmp_path / "again")["epochs"] == 1


def test_faces_that_were_left_out_are_listed(tmp_path, quick, capsys):
    write_class_folders(tmp_path / "data", ("happy", "sad"), per_class=3)
    (tmp_path / "data/train/sad/1.png").write_bytes(b"no image")
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", "dataset.on_error=skip", "trainer.max_epochs=1")
    run(configure(*words), tmp_path / "run")
    assert re.search(r"left out: 1\n  .*1\.png", capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ("early_stopping=1", "trainer.max_epochs=2", "monitor=val/loss"),
        ("gradient_clip=0.1", "ema=0", "loss=focal", "loss.weighting=effective"),
        ("scheduler=plateau", "monitor=val/recall/fear", "optimizer=adamw", "cutmix=1"),
        ("trainer.precision=bf16-mixed", "loss.weighting=sqrt", "augmentation=none"),
        ("dataset.train=12", "batch_size=64", "loss.weighting=balanced", "model=base", "model.input_size=17"),
    ],
)
def test_settings_that_few_runs_have_work_too(words, tmp_path, quick):
    config = configure("trainer.max_epochs=1", *words)
    assert run(config, tmp_path) == pytest.approx(results(tmp_path)[config.monitor])


def test_a_monitor_of_a_class_that_only_the_data_could_tell_is_refused_before_training(tmp_path, quick):
    write_class_folders(tmp_path / "data")
    config = configure("dataset=folder", f"dataset.root={tmp_path / 'data'}", "monitor=val/recall/contempt")
    with pytest.raises(UserError, match=r"^monitor: expected one of .*, but got 'val/recall/contempt'"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize("metric", ["recall", "f1"])
def test_the_metric_of_a_class_without_validation_faces_cannot_be_monitored(metric, tmp_path, quick):
    write_class_folders(tmp_path / "data")
    shutil.rmtree(tmp_path / "data/val/fear")
    config = configure("dataset=folder", f"dataset.root={tmp_path / 'data'}", f"monitor=val/{metric}/fear")
    with pytest.raises(UserError, match=rf"^monitor=val/{metric}/fear: expected validation faces of fear, but got no"):
        run(config, tmp_path / "run")


@pytest.mark.slow
def test_a_class_without_test_faces_has_no_recall_and_that_is_said(tmp_path, finished, capsys):
    write_class_folders(tmp_path / "data")
    shutil.rmtree(tmp_path / "data/test/fear")
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", f"weights={finished / 'weights.safetensors'}")
    run(configure("fit=false", *words), tmp_path / "run")
    found, said = results(tmp_path / "run"), capsys.readouterr().out
    assert "val/recall/fear" in found and "test/recall/sad" in found
    assert "test/recall/fear" not in found
    assert "no test faces of fear, so no recall\n" in said
    assert re.search(r"^ fear +│ +[\d.]+ │ +– │ +[\d.]+ *$", said, re.M)
    assert (tmp_path / "run/figures/test_per_class.png").is_file()


@pytest.mark.parametrize("words", [("ema=0",), ("ema=0.9", "scheduler=plateau")])
def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_good_weights(words, tmp_path, quick):
    run(configure("trainer.max_epochs=1", *words), tmp_path)
    (tmp_path / "metrics.json").unlink()
    diverging = ("trainer.max_epochs=9", "optimizer.lr=1e30", "gradient_clip=0", "scheduler.warmup=0.9")
    diverging = diverging[:3] if "scheduler=plateau" in words else diverging
    with pytest.raises(RunError, match="no longer finite in epoch") as error:
        run(configure(*words, *diverging), tmp_path / "bad")
    assert not (tmp_path / "bad" / "metrics.json").exists()
    kept = list((tmp_path / "bad").glob("checkpoints/*.ckpt"))
    assert ("last.ckpt and best.ckpt are of the last good epoch" in str(error.value)) is (len(kept) == 2)
    assert ("no epoch had ended before" in str(error.value)) is (not kept)
    for path in kept:
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(torch.isfinite(tensor).all() for tensor in state.values())


def spoil_validation(monkeypatch):
    """Make the outputs of a training's validation infinite, without a loss that is."""
    begin = EmotionModule.on_validation_epoch_start

    def spoiled(module):
        begin(module)
        module.net.head.bias.data.fill_(float("inf"))

    monkeypatch.setattr(EmotionModule, "on_validation_epoch_start", spoiled)


def spoil_evaluation(monkeypatch, split):
    """Make one answer for a split infinite."""

    def spoiled(classify, table, *place):
        outputs = predict(classify, table, *place)
        if int(table.splits[0]) == Split[split.upper()]:
            outputs.logits[0, 0] = float("inf")
        return outputs

    monkeypatch.setattr("fer.evaluation.evaluate.predict", spoiled)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_validation, "the loss is no longer finite in epoch 1; no epoch had ended before"),
        (
            partial(spoil_evaluation, split="val"),
            "the best epoch: expected finite outputs, but those for val are not; lower optimizer.lr",
        ),
        (
            partial(spoil_evaluation, split="test"),
            "the best epoch: expected finite outputs, but those for test are not; lower optimizer.lr",
        ),
    ],
)
def test_outputs_that_are_not_finite_end_the_run_before_anything_is_drawn(spoil, says, tmp_path, monkeypatch, quick):
    spoil(monkeypatch)
    monkeypatch.setattr("fer.training.run.draw_evaluation", lambda *_: pytest.fail("drawn"))
    with pytest.raises(Diverged, match=f"^{says}"):
        run(configure("trainer.max_epochs=1"), tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_weights_whose_outputs_are_not_finite_are_told_by_name(weights, tmp_path, monkeypatch, quick):
    spoil_evaluation(monkeypatch, "val")
    with pytest.raises(RunError, match=r"^weights=.*tiny\.safetensors: expected finite outputs, but those for val are"):
        run(configure("fit=false", f"weights={weights}"), tmp_path)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, quick, monkeypatch):
    save, room = torch.save, [True] * 3  # for best and last of the first epoch, and one of the second

    def save_until_full(checkpoint, file):
        if room:
            room.pop()
            return save(checkpoint, file)
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(RunError, match=r"ckpt could not be written \(.*No space left.*\); the previous checkpoint"):
        run(configure("trainer.max_epochs=5"), tmp_path)
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["epoch"] in (0, 1)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert not (tmp_path / "metrics.json").exists()


def test_a_disk_that_is_full_for_events_ends_the_run_with_one_sentence(tmp_path, quick, monkeypatch):
    tracebacks = []
    monkeypatch.setattr(threading, "excepthook", tracebacks.append)
    monkeypatch.setattr(_tell_unless_told, "__defaults__", (tracebacks.append,))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tensorboard.summary.writer.event_file_writer.RecordWriter.write", full)
    with pytest.raises(RunError, match=r"could not be written \(.*No space left"):
        run(configure("trainer.max_epochs=2"), tmp_path)
    assert not tracebacks


@pytest.mark.parametrize("file", ["figures", "weights.safetensors", "predictions.csv", "metrics.json"])
def test_a_result_that_cannot_be_written_is_one_sentence(file, tmp_path, quick, monkeypatch):
    if file == "figures":
        monkeypatch.setattr("fer.training.run.draw_history", draw_history)  # one figure is enough
    (tmp_path / file).write_text("") if file == "figures" else (tmp_path / file).mkdir()
    with pytest.raises(RunError, match=rf"{file}.* could not be written|could not be written .*{file}"):
        run(configure("trainer.max_epochs=1"), tmp_path)
    assert not (tmp_path / "metrics.json").is_file()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_the_command_leaves_a_whole_folder_and_a_clean_console(tmp_path):
    folder = tmp_path / "run"
    code, out, err = command(f"hydra.run.dir={folder}")
    assert (code, err) == (0, "")
    assert "Warning" not in out
    names = {path.name for path in folder.iterdir() if "events" not in path.name}
    assert names == {
        ".hydra", "checkpoints", "figures", "history.csv", "metrics.json", "predictions.csv", "predictions_val.csv",
        "weights.safetensors",
    }  # fmt: skip
    assert {path.name for path in (folder / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}


@pytest.mark.slow
def test_a_diverged_command_fails_with_one_sentence(tmp_path):
    code, _, err = command("optimizer.lr=1e30", "gradient_clip=0", f"hydra.run.dir={tmp_path}")
    assert code == 1
    assert re.fullmatch(r"failed: the loss is no longer finite in epoch \d.*\n", err)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_net_trains_and_is_explained(tmp_path):
    run(configure("trainer.compile=true", "ema=0.9"), tmp_path)
    assert (tmp_path / "figures/test_gradcam.png").exists()
    assert load_net(tmp_path / "weights.safetensors")
