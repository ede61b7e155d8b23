"""Faithfulness of heatmaps: curves and rank correlations that can be foretold, and the command on tiny nets."""

import csv

import numpy as np
import pytest
import torch

from fer.emotions import class_names
from fer.evaluation.faithfulness import Spec, main, maps_of, shuffled_nets, specs_of
from fer.evaluation.perturbation import SHARES, SIGNS, Perturbed, areas, likeness, ranks
from fer.header import Header
from fer.models.factory import build_net
from fer.models.vgg import VGG
from fer.weights import save_weights
from tests.conftest import ARCHITECTURE
from tests.runs import DRAWN

SIDE = 24
CORNER = (slice(None), slice(4, 10), slice(4, 10))


def corner_alone(faces):
    """Answer by the brightness of a corner, whatever the rest is."""
    first = faces.reshape(len(faces), SIDE, SIDE)[CORNER].mean((1, 2)) / 255
    return torch.stack((first, 1 - first), 1)


@pytest.fixture
def bright():
    """Faces that are dark but for the corner."""
    images = np.zeros((5, SIDE, SIDE), np.uint8)
    images[CORNER] = 255
    return Perturbed(corner_alone, images, 0.0)


def test_the_map_of_what_counts_deletes_and_inserts_at_once(bright):
    right, wrong = (np.zeros((5, SIDE, SIDE), np.float32) for _ in range(2))
    right[CORNER], wrong[:, 12:, 12:] = 1, 1
    best, worst = (areas(bright.curves(maps)) for maps in (right, wrong))
    assert ((best - worst) * SIGNS > 0).all()
    gray = bright.curves(right)[:, [1, 3]]  # the corner is 6 % of the pixels: some of it is left at 5 %, none at 15
    assert gray[:, 0, 2:] == pytest.approx(0, abs=1e-6) and gray[:, 1, 2:] == pytest.approx(1, abs=1e-6)
    assert gray[:, 0, 0] == pytest.approx(1) and gray[:, 1, 0] == pytest.approx(0)


def test_road_prefers_the_map_of_what_counts(bright):
    right = np.zeros((5, SIDE, SIDE), np.float32)
    right[CORNER] = 1
    assert bright.road(right).min() > 0.2 > bright.road(1 - right).max()
    assert np.array_equal(bright.road(right), bright.road(right))


def test_equal_pixels_come_in_a_random_order_that_the_seed_decides():
    flat = np.zeros((2, SIDE, SIDE), np.float32)
    first = ranks(flat, 0)
    assert np.array_equal(first, ranks(flat, 0)) and not np.array_equal(first, ranks(flat, 1))
    assert sorted(first[0].flatten()) == list(range(SIDE**2))
    assert abs(np.corrcoef(first[0].flatten(), np.arange(SIDE**2))[0, 1]) < 0.2
    flat[:, 3, 4] = 1
    assert (ranks(flat, 0)[:, 3, 4] == 0).all()


def test_the_area_of_a_straight_line_is_its_middle():
    assert areas(np.broadcast_to(1 - SHARES, (3, 4, len(SHARES)))) == pytest.approx(0.5)


def test_likeness_is_the_correlation_of_ranks():
    maps = np.random.default_rng(0).random((3, 8, 8))
    assert likeness(maps, np.exp(5 * maps)) == pytest.approx(1)
    assert likeness(maps, -maps) == pytest.approx(-1)
    assert likeness(maps, np.zeros_like(maps)) == pytest.approx(0)


# --- what is compared ---


def header_of(architecture):
    return Header(class_names(6), SIDE, 0.4, 0.3, architecture, 1.5, {"dataset": "fer2013", "seed": 1})


def test_grad_cam_comes_first_and_controls_as_fine_as_the_layers_last():
    assert specs_of(["layercam:1", "gradcam"], 2) == [
        *(Spec("gradcam", 2), Spec("layercam", 1), Spec("gradcam", 1)),
        *(Spec("random", 1), Spec("random", 2), Spec("blob", 2)),
    ]
    assert Spec("gatedcam", 2) not in specs_of([], 2)
    assert list(map(str, specs_of(["layercam:1"], 2))) == ["gradcam:2", "layercam:1", "random:1", "blob"]


def test_random_maps_are_as_fine_as_the_layer_and_the_blob_is_in_the_middle():
    net, images = build_net(6, ARCHITECTURE).eval(), np.zeros((3, SIDE, SIDE), np.uint8)
    header, labels = header_of(ARCHITECTURE), np.zeros(3, np.int64)
    sizes = [maps_of(Spec("random", layer), net, header, images, labels).shape[1] for layer in (1, 2)]
    assert sizes == [maps_of(Spec("layercam", layer), net, header, images, labels).shape[1] for layer in (1, 2)]
    blob = maps_of(Spec("blob", 2), net, header, images, labels)
    assert blob.shape == (3, SIDE, SIDE) and np.allclose(blob, blob[:, ::-1, ::-1])
    assert blob[0, SIDE // 2, SIDE // 2] == blob.max()


def test_weights_are_shuffled_from_the_end_on_and_the_net_stays():
    net = VGG(6, (8, 16), (1, 1), hidden=8).eval()
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    changed = [
        {name.split(".")[0] + name.split(".")[1][:1] for name, weight in other.named_parameters()
         if not torch.equal(weight, before[name])}
        for other in shuffled_nets(net, 0)
    ]  # fmt: skip
    assert changed == [
        {"headw", "hiddenw"},
        {"headw", "hiddenw", "stages4"},
        {"headw", "hiddenw", "stages4", "stages0"},
    ]
    assert all(torch.equal(weight, before[name]) for name, weight in net.named_parameters())


# --- the command ---


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    net = build_net(6, ARCHITECTURE)
    net(torch.randn(16, 1, SIDE, SIDE))
    save_weights(tmp_path / "net.safetensors", net.state_dict(), header_of(ARCHITECTURE))
    return str(tmp_path / "net.safetensors")


def test_the_command_writes_report_figures_and_table(weights, tmp_path, capsys):
    folder = tmp_path / "report"
    main([weights, *DRAWN, "--faces", "4", "--explainers", "gatedcam", "--output", str(folder)])
    text = (folder / "faithfulness.md").read_text()
    assert "`gatedcam:1`" in text and "`blob`" in text and f"fer.evaluation.faithfulness {weights}" in text
    assert text.rstrip() in capsys.readouterr().out
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["curves.png", "gains.png", "maps.png"]
    rows = list(csv.DictReader((folder / "faithfulness.csv").open()))
    assert [(row["explainer"], row["layer"]) for row in rows] == [
        *(("gradcam", "2"), ("gatedcam", "1"), ("random", "2"), ("random", "1"), ("blob", "2"))
    ]
    assert float(rows[0]["gain"]) == 0 and rows[0]["p"] == "" and rows[1]["head"] and not rows[4]["head"]


MISTAKES = {
    "an unknown explainer": (["--explainers", "gradcan"], "expected some of gatedcam, gradcam"),
    "a layer that is not there": (["--explainers", "gradcam:7"], "expected one of the net's layers, from 1 to 2"),
    "too few faces": (["--faces", "1"], "expected at least two"),
    "an unknown word": (["dataset.rot=1"], "dataset.rot"),
}


@pytest.mark.parametrize("words, said", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(weights, capsys, words, said):
    with pytest.raises(SystemExit) as end:
        main([weights, *DRAWN, *words])
    assert end.value.code == 2 and said in capsys.readouterr().err
