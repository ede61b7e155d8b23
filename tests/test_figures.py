import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fer.emotions import class_names
from fer.evaluation import plots as figures
from fer.evaluation.confusion import confusion
from fer.evaluation.metrics import compute_metrics


@pytest.fixture(params=[6, 7, 8])
def case(request):
    """Images, logits, targets and classes of a small test split; the last class does not occur."""
    count, classes = 60, class_names(request.param)
    generator = torch.Generator().manual_seed(request.param)
    images = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=generator).numpy()
    logits = 3 * torch.randn(count, len(classes), generator=generator)
    return images, logits, torch.arange(count) % (len(classes) - 1), classes


def pixels(figure):
    """The figure as it is saved, at half its resolution to save time: (H, W, 3) uint8."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=figure.dpi / 2)
    return np.asarray(Image.open(file).convert("RGB"))


def texts(figure):
    axes = figure.axes[0]
    return [text.get_text() for text in axes.texts if text.get_text()]


def drawn(figure):
    image = pixels(figure)
    assert image.shape[1] == 600
    return (image != 255).any(2).mean() > 0.02 and image.std() > 10


def test_every_figure_is_drawn_for_every_vocabulary(case):
    images, logits, targets, classes = case
    heatmaps = np.linspace(0, 1, 4 * 48 * 48, dtype=np.float32).reshape(4, 48, 48)
    assert drawn(
        figures.confusion_matrix(
            confusion(targets.numpy(), logits.argmax(1).numpy(), len(classes)), classes, "Confusion"
        )
    )
    assert drawn(figures.per_class(compute_metrics(logits, targets, classes), classes, "Classes"))
    assert drawn(figures.reliability(logits, targets, "Reliability"))
    assert drawn(figures.coverage(logits, targets, "Coverage"))
    assert drawn(figures.mistakes(images, logits, targets, classes, "Mistakes"))
    assert drawn(figures.heatmap_panel(images[:4], heatmaps, classes[:4], "Heatmaps"))


def test_many_classes_and_long_names_are_drawn_so_that_they_can_be_told_apart():
    many = tuple(f"class {number}" for number in range(30))
    matrix = np.eye(30, dtype=np.int64)
    assert texts(figures.confusion_matrix(matrix, many, "Confusion")) == []  # 1,800 numbers would take 20 seconds
    rates = {f"{kind}/{name}": 0.5 for kind in ("precision", "recall", "f1") for name in many}
    assert texts(figures.per_class(rates, many, "Classes")) == []
    for names, turned in ((many, 90), (class_names(8), 0), (("looks away from the teacher",) * 4, 90)):
        figure = figures.confusion_matrix(matrix[: len(names), : len(names)], names, "Confusion")
        assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {turned}


def test_figures_leave_pyplot_alone():
    figures.faces(np.zeros((2, 48, 48), np.uint8), ["", ""], "Faces")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_confusion_matrix_shows_counts_and_shares():
    shown = texts(figures.confusion_matrix(np.array([[3, 1], [0, 1200]]), ("angry", "happy"), "Confusion"))
    assert shown == ["75%", "3", "25%", "1", "0%", "0", "100%", "1,200"]


def test_the_gaps_of_the_reliability_lie_between_confidence_and_accuracy():
    logits = torch.tensor([[0.62, 0.38]] * 4).log()  # in the bin from 60 to 67 %
    for right, label in ((4, "accuracy beyond confidence"), (1, "confidence beyond accuracy")):
        targets = torch.tensor([0] * right + [1] * (4 - right))
        axes = figures.reliability(logits, targets, "Test").axes[0]
        [gap] = [bars for bars in axes.containers if bars.get_label() == label]
        [bar] = [bar for bar in gap if bar.get_height() > 0]
        assert sorted((0.62, right / 4)) == pytest.approx([bar.get_y(), bar.get_y() + bar.get_height()])


def test_reliability_names_the_calibration_error():
    logits = torch.tensor([[9.0, -9.0]] * 4)
    figure = figures.reliability(logits, torch.tensor([0, 0, 0, 1]), "Test")
    assert figure.get_suptitle() == "Test · ECE 25.0%"


def test_coverage_is_the_risk_of_the_most_confident_with_the_threshold_marked():
    logits = torch.tensor([[4.0, 0], [3, 0], [2, 0], [1, 0]])
    figure = figures.coverage(logits, torch.tensor([0, 0, 0, 1]), "Test", 0.8)
    assert figure.get_suptitle() == "Test · AURC 6.2%"
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["0.0%", "0.0%", "25.0%", "0.0%\nfrom 80.0% on,\n75% answered"]
    curve, *_, mark = figure.axes[0].lines
    assert curve.get_ydata().tolist() == [0, 0, 0, 0.25]
    assert (mark.get_xdata().item(), mark.get_ydata().item()) == (0.75, 0)
    unmarked = figures.coverage(logits, torch.tensor([0, 0, 0, 1]), "Test")
    assert len(unmarked.axes[0].lines) == len(figure.axes[0].lines) - 1


def test_coverage_begins_where_a_face_more_is_not_a_jump():
    targets = torch.tensor([1, 0] + 38 * [1])  # the most confident face is wrong, and all but the second
    figure = figures.coverage(torch.column_stack((torch.arange(40, 0, -1), torch.zeros(40))), targets, "Test")
    curve, *marks = figure.axes[0].lines
    assert (curve.get_xdata()[0], curve.get_ydata()[0]) == (0.05, 0.5)
    assert [mark.get_xdata().item() for mark in marks] == [0.5, 0.8, 1.0]


def test_mistakes_are_shown_worst_first():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 5.0], [0.0, 3.0, 0.0]])
    images = np.zeros((4, 48, 48), np.uint8)
    arguments = (images, logits, torch.tensor([1, 1, 0, 0]), ("angry", "disgust", "fear"), "Mistakes")
    expected = [
        "Mistakes",
        "angry",
        "predicted fear 99%",
        "angry",
        "predicted disgust 91%",
        "disgust",
        "predicted angry 79%",
    ]
    assert texts(figures.mistakes(*arguments)) == expected
    assert texts(figures.mistakes(*arguments, count=1)) == expected[:3]


def test_no_mistakes_is_said():
    figure = figures.mistakes(np.zeros((2, 48, 48), np.uint8), torch.eye(2), torch.arange(2), ("a", "b"), "Test")
    assert figure.get_suptitle() == "Test: no mistakes"


def test_faces_are_the_same_from_bytes_and_from_a_normalised_batch():
    images = torch.randint(0, 256, (5, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[0, 0, :2] = torch.tensor([0, 255])  # the batch's darkest and lightest pixel
    batch = (images[:, None] / 255 - 0.5) / 0.25
    expected = pixels(figures.faces(images.numpy(), ["happy"] * 5, "Faces")).astype(int)
    found = pixels(figures.faces(batch, ["happy"] * 5, "Faces")).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_faces_keep_a_dark_face_dark_beside_a_light_one():
    batch = torch.tensor([-2.0, -1.5, 2.0])[:, None, None, None].expand(3, 1, 8, 8)
    shown = [image.get_array().mean() for image in figures.faces(batch, ["", "", ""], "Faces").axes[0].images]
    assert shown == pytest.approx([0, 0.125, 1])


def test_a_blank_batch_is_drawn():
    assert pixels(figures.faces(torch.zeros(2, 1, 8, 8), ["a", "b"], "Blank")).std() > 1


def test_heatmap_of_zero_shows_the_bare_face():
    face = np.full((1, 48, 48), 128, np.uint8)
    tile = figures.heatmap_panel(face, np.zeros((1, 48, 48), np.float32), ["happy"], "Heatmaps").axes[0].images[0]
    right = np.asarray(tile.get_array())[:, -48:]
    assert right == pytest.approx(np.full((48, 48, 3), 128 / 255))


def test_learning_curves_mark_the_best_validation_epoch():
    history = {
        "train/loss": [(0, 2.0), (1, 1.0), (2, 0.5)],
        "val/loss": [(0, 1.8), (1, 1.25), (2, 1.4)],
        "val/accuracy": [(0, 0.4), (1, 0.55), (2, 0.6)],
        "lr": [(0, 0.1)],
    }
    figure = figures.learning_curves(history, "Learning")
    loss, accuracy = figure.axes
    assert (loss.texts[0].get_text(), loss.texts[0].xy) == ("1.250", (1, 1.25))
    assert (accuracy.texts[0].get_text(), accuracy.texts[0].xy) == ("60.0%", (2, 0.6))
    assert drawn(figure)


@pytest.mark.parametrize("history", [{}, {"val/loss": [(0, 1.0)]}, {"train/accuracy": [(0, 0.3), (1, 0.4)]}])
def test_learning_curves_do_with_what_there_is(history):
    assert pixels(figures.learning_curves(history, "Learning")).std() > 1


def test_every_colour_of_the_reliability_is_in_a_legend_that_lies_on_no_bar(case):
    _, logits, targets, _ = case
    figure = figures.reliability(logits, targets, "Reliability")
    figure.canvas.draw()
    [legend] = figure.legends
    assert len(legend.get_texts()) == 4  # three colours of bars, and the line
    assert legend.get_window_extent().y1 < min(axes.get_window_extent().y0 for axes in figure.axes)


@pytest.mark.parametrize("shift", [-0.1, 0.1])
def test_the_best_values_are_written_off_the_training_s_curve(shift):
    points = [(1, 0.4), (2, 0.5), (3, 0.6)]
    history = {f"val/{name}": points for name in ("loss", "accuracy")}
    history |= {f"train/{name}": [(epoch, value + shift) for epoch, value in points] for name in ("loss", "accuracy")}
    figure = figures.learning_curves(history, "Training")
    for axes in figure.axes:
        [label] = axes.texts
        assert label.get_va() == ("top" if shift > 0 else "bottom")
