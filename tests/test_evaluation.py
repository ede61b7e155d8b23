import copy
import math
import warnings

import numpy as np
import pytest
import torch
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import distributed, multiprocessing

from fer.emotions import class_names
from fer.evaluation.calibration import LOWEST, answered, fit_temperature, fit_threshold
from fer.evaluation.confusion import confusion, rates
from fer.evaluation.metrics import compute_metrics, other_metrics
from fer.evaluation.outputs import OutputCollector, Outputs
from fer.evaluation.results import split_results
from fer.evaluation.statistics import bootstrap
from fer.models.cam import explain, features_of, heatmaps
from fer.models.maps import finish
from fer.models.se_resnet import SEResNet

SIX = class_names(6)


def sample(count, classes=6, seed=0, scale=2.5):
    """Logits of a calibrated classifier and the targets that it would meet."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(count, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


# Calibration


def test_the_temperature_undoes_what_made_a_net_too_sure():
    logits, targets = sample(20_000)
    assert fit_temperature(logits, targets) == pytest.approx(1, abs=0.05)
    assert fit_temperature(2.5 * logits, targets) == pytest.approx(2.5, abs=0.1)
    sure = compute_metrics(2.5 * logits, targets, SIX)
    scaled = compute_metrics(2.5 * logits / fit_temperature(2.5 * logits, targets), targets, SIX)
    assert scaled["ece"] < 0.02 < 0.1 < sure["ece"]
    assert scaled["accuracy"] == sure["accuracy"]


def test_the_temperature_is_the_best_one_to_four_digits():
    logits = torch.tensor(4 * [[2.0, 0.0]])  # right three times of four: sigmoid(2 / T) has to be 3 / 4
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])) == round(2 / math.log(3), 4)


def test_an_evaluated_split_tells_its_calibration_error_with_the_temperature_and_without():
    logits, targets = sample(500)
    raw = Outputs(logits, targets, torch.arange(500))
    found = split_results({"test": raw}, {"test": raw.scaled(4.0)}, SIX)
    assert found["test/ece"] == pytest.approx(compute_metrics(logits / 4, targets, SIX)["ece"], abs=1e-6)
    assert found["test/ece_uncalibrated"] == pytest.approx(compute_metrics(logits, targets, SIX)["ece"], abs=1e-6)


def test_a_split_without_mistakes_has_a_temperature_all_the_same():
    assert fit_temperature(torch.eye(6), torch.arange(6)) == pytest.approx(LOWEST, rel=1e-3)


# The threshold of answers


def faces(*answers):
    """Logits and targets of two classes, for (confidence, whether it is right)."""
    confidence, right = (torch.tensor(values, dtype=torch.float64) for values in zip(*answers, strict=True))
    return torch.stack((confidence, 1 - confidence), 1).log(), 1 - right.long()


FOUR = faces((0.9, 1), (0.8, 1), (0.7, 0), (0.6, 1))


@pytest.mark.parametrize(
    ("accuracy", "threshold", "coverage"),
    [
        (0.0, 0.0, 1.0),
        (0.75, 0.0, 1.0),  # all answers reach it
        (0.76, 0.701, 0.5),  # the lowest thousandth above the mistake
        (0.999, 0.701, 0.5),
    ],
)
def test_the_threshold_is_the_lowest_from_which_on_answers_reach_the_accuracy(accuracy, threshold, coverage):
    assert fit_threshold(*FOUR, accuracy) == threshold
    assert answered(*FOUR, threshold) == (coverage, 0.75 if coverage == 1 else 1.0)


def test_a_threshold_leaves_half_of_the_faces_an_answer_whatever_is_asked_for():
    logits, targets = faces((0.9, 0), (0.8, 0), (0.7, 1), (0.6, 1))
    assert fit_threshold(logits, targets, 0.9) == 0.8
    assert answered(logits, targets, 0.8) == (0.5, 0.0)
    coverage, accuracy = answered(logits, targets, 0.95)
    assert coverage == 0 and math.isnan(accuracy)


def test_answers_of_a_calibrated_net_reach_the_accuracy_on_other_faces():
    threshold = fit_threshold(*sample(5000), 0.8)
    coverage, accuracy = answered(*sample(20_000, seed=1), threshold)
    assert 0.5 < coverage < 0.9
    assert accuracy == pytest.approx(0.8, abs=0.015)


def test_an_evaluated_split_tells_what_the_threshold_leaves():
    outputs = {"val": Outputs(*FOUR, torch.arange(4))}
    assert (
        split_results(outputs, outputs, ("a", "b"), 0.75).items()
        >= {
            "val/coverage": 0.5,
            "val/selective_accuracy": 1.0,
        }.items()
    )
    silent = split_results(outputs, outputs, ("a", "b"), 0.95)
    assert silent["val/coverage"] == 0 and "val/selective_accuracy" not in silent


# Metrics


def test_the_area_under_the_risk_coverage_curve_is_the_mean_risk_of_the_most_confident():
    logits, targets = faces((0.9, 1), (0.8, 0), (0.7, 1), (0.6, 0))
    metrics = compute_metrics(logits, targets, "ab")
    assert metrics["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert metrics["excess_aurc"] == pytest.approx(metrics["aurc"] - (0 + 0 + 1 / 3 + 2 / 4) / 4)
    in_order = compute_metrics(*faces((0.9, 1), (0.8, 1), (0.7, 0)), "ab")
    assert in_order["excess_aurc"] == 0 and in_order["aurc"] == pytest.approx(1 / 9)


def test_faces_of_other_classes_are_told_from_the_known_by_their_confidence():
    known, _ = faces((0.9, 1), (0.6, 1))
    other, _ = faces((0.8, 1), (0.55, 1), (0.55, 1))
    found = other_metrics(known, other, 0.6)
    assert found["n"] == 3 and found["confidence"] == pytest.approx(1.9 / 3)
    assert found["answered"] == pytest.approx(1 / 3)
    assert found["auroc"] == pytest.approx(5 / 6)  # of six pairs, one is in the wrong order
    assert other_metrics(known, other, 0.0)["answered"] == 1


def test_the_calibration_error_of_a_class_is_of_all_faces_by_its_probability():
    logits = torch.tensor([[0.7, 0.2, 0.1]] * 10).log()
    metrics = compute_metrics(logits, torch.tensor(5 * [0] + 4 * [1] + [2]), "abc")
    assert [metrics[f"class_ece/{name}"] for name in "abc"] == pytest.approx([0.2, 0.2, 0.0], abs=1e-6)
    assert metrics["classwise_ece"] == pytest.approx(0.4 / 3, abs=1e-6)
    assert metrics["ece"] == pytest.approx(0.2, abs=1e-6)  # of the answers, a, alone


def test_a_class_that_is_only_predicted_counts_in_the_f1_and_one_that_is_not_there_does_not():
    found = rates(np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    assert found["f1"].tolist() == pytest.approx([2 / 3, 1, 0, 0])
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1) / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)


def test_metrics_of_a_case_computed_by_hand():
    # True a, a, a, b, c; predicted a, a, b, b, a.
    predicted = torch.tensor([0, 0, 1, 1, 0])
    logits = torch.log(torch.full((5, 3), 0.1)).scatter(1, predicted[:, None], float(np.log(0.8)))
    metrics = compute_metrics(logits, torch.tensor([0, 0, 0, 1, 2]), ("a", "b", "c"))
    assert metrics["n"] == 5
    assert metrics["loss"] == pytest.approx(-(3 * np.log(0.8) + 2 * np.log(0.1)) / 5, abs=1e-6)
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert [metrics[f"precision/{name}"] for name in "abc"] == pytest.approx([2 / 3, 1 / 2, 0])
    assert [metrics[f"recall/{name}"] for name in "abc"] == pytest.approx([2 / 3, 1, 0])
    assert [metrics[f"f1/{name}"] for name in "abc"] == pytest.approx([2 / 3, 2 / 3, 0])
    assert metrics["f1_macro"] == pytest.approx(4 / 9)
    assert metrics["ece"] == pytest.approx(0.8 - 0.6, abs=1e-6)


def test_confusion_has_true_classes_as_rows():
    matrix = confusion(np.array([0, 0, 2]), np.array([1, 1, 0]), 3)
    assert matrix.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
    assert matrix.dtype == np.int64


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    logits, targets = sample(120, classes=3)
    scores, areas = logits.double().softmax(1).numpy(), []
    for label in range(3):
        positive, negative = scores[targets == label, label], scores[targets != label, label]
        areas.append((positive[:, None] > negative).mean())
    assert compute_metrics(logits, targets, "abc")["auroc"] == pytest.approx(np.mean(areas), abs=1e-6)


def test_calibration_error_is_the_mean_gap_over_fifteen_bins():
    logits, targets = sample(500, scale=4)
    confidence, predictions = logits.double().softmax(1).max(1)
    gap = confidence.numpy() - (predictions == targets).numpy()
    bins = np.floor(confidence.numpy() * 15).astype(int)
    expected = sum(abs(gap[bins == index].sum()) for index in range(15)) / 500
    assert compute_metrics(logits, targets, SIX)["ece"] == pytest.approx(expected, abs=1e-6)


def test_logits_between_0_and_1_are_still_logits():
    logits = torch.tensor([[0.9, 0.1], [0.2, 0.7]])
    confidence = logits.double().softmax(1).max(1).values.mean().item()
    assert compute_metrics(logits, torch.tensor([0, 1]), "ab")["ece"] == pytest.approx(1 - confidence, abs=1e-6)


@pytest.mark.parametrize("targets", [[3], [2, 2, 2], [0, 5], [1, 4, 4, 1]])
def test_absent_classes_give_finite_metrics_without_warnings(targets):
    logits, _ = sample(len(targets))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = compute_metrics(logits, torch.tensor(targets), SIX)
    assert len(metrics) == 10 + 3 * 6 + len(set(targets))  # no recall of a class without faces
    assert all(isinstance(value, float) and 0 <= value < 100 for value in metrics.values())


def test_absent_classes_do_not_lower_the_averages():
    targets = torch.tensor([1, 4, 4, 1])
    metrics = compute_metrics(10 * torch.nn.functional.one_hot(targets, 6).float(), targets, SIX)
    assert metrics["balanced_accuracy"] == metrics["f1_macro"] == metrics["auroc"] == 1
    predicted_absent = compute_metrics(torch.eye(6)[[1, 4, 4, 0]], targets, SIX)
    assert predicted_absent["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)


def test_rates_take_a_stack_of_matrices():
    stack = np.random.default_rng(0).integers(0, 9, (4, 5, 5))
    for name, values in rates(stack).items():
        assert values == pytest.approx(np.stack([rates(matrix)[name] for matrix in stack])), name


# Outputs


def test_outputs_come_sorted_and_once():
    outputs = OutputCollector()
    logits, targets, rows = torch.randn(7, 3), torch.arange(7) % 3, torch.tensor([40, 10, 30, 20, 60, 50, 0])
    for batch in (slice(0, 4), slice(4, 7), slice(1, 3)):  # the last one repeats faces, as a padding sampler does
        outputs.update(logits[batch], targets[batch], rows[batch])
    order = rows.argsort()
    for found, expected in zip(outputs.gathered(), (logits, targets, rows), strict=True):
        assert torch.equal(found, expected[order])
    outputs.reset()
    outputs.update(logits[:2], targets[:2], rows[:2])
    assert outputs.gathered()[2].tolist() == [10, 40]


def test_outputs_keep_no_graph_and_no_half_precision():
    outputs = OutputCollector()
    outputs.update(torch.randn(3, 2, requires_grad=True).bfloat16(), torch.zeros(3).long(), torch.arange(3))
    logits = outputs.gathered()[0]
    assert logits.dtype == torch.float32
    assert not outputs.logits[0].requires_grad


def test_outputs_of_a_single_face_can_be_evaluated():
    outputs = OutputCollector()
    outputs.update(torch.tensor([[0.0, 3.0]]), torch.tensor([1]), torch.tensor([5]))
    logits, targets, rows = outputs.gathered()
    assert (logits.shape, targets.tolist(), rows.tolist()) == ((1, 2), [1], [5])
    assert compute_metrics(logits, targets, "ab")["accuracy"] == 1


def gather(rank, port, found):
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    outputs = OutputCollector()
    for rows in ([[4, 0], [2]], [[3, 1]])[rank]:  # three faces here, two there
        rows = torch.tensor(rows)
        outputs.update(torch.stack((rows, -rows), 1).float(), rows % 2, rows)
    logits, targets, rows = outputs.gathered()
    found.put((rank, logits[:, 0].tolist(), targets.tolist(), rows.tolist()))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_outputs_gather_uneven_processes():
    context = multiprocessing.get_context("spawn")
    found = context.SimpleQueue()
    port = distributed.TCPStore("127.0.0.1", 0, is_master=True).port + 1
    processes = [context.Process(target=gather, args=(rank, port, found)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    results = sorted(found.get() for _ in processes)
    assert results == [(rank, [0, 1, 2, 3, 4], [0, 1, 0, 1, 0], [0, 1, 2, 3, 4]) for rank in range(2)]


# Intervals


def test_interval_of_the_accuracy_is_as_wide_as_the_binomial_formula_says():
    count, hits = 2963, round(0.74 * 2963)
    targets = torch.arange(count) % 6
    predictions = torch.where(torch.arange(count) < hits, targets, (targets + 1) % 6)
    low, high = bootstrap(confusion(targets.numpy(), predictions.numpy(), 6))["accuracy"]
    expected = 1.96 * np.sqrt(0.74 * 0.26 / count)
    assert expected == pytest.approx(0.0158, abs=1e-4)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.08)
    assert (high + low) / 2 == pytest.approx(0.74, abs=0.002)


def test_intervals_hold_the_truth_in_about_95_of_100_test_sets():
    logits, targets = sample(20_000)
    predicted, targets = logits.argmax(1).numpy(), targets.numpy()
    truth = rates(confusion(targets, predicted, 6))
    held = {"accuracy": 0, "balanced_accuracy": 0, "f1_macro": 0}
    for seed in range(150):
        chosen = np.random.default_rng(seed).integers(len(logits), size=500)
        matrix = confusion(targets[chosen], predicted[chosen], 6)
        for name, (low, high) in bootstrap(matrix, resamples=300).items():
            held[name] += low <= truth[name] <= high
    assert all(0.88 <= count / 150 <= 0.99 for count in held.values()), held


def test_intervals_depend_on_the_seed_alone():
    logits, targets = sample(300)
    matrix = confusion(targets.numpy(), logits.argmax(1).numpy(), 6)
    assert bootstrap(matrix) == bootstrap(matrix) != bootstrap(matrix, seed=1)


def test_intervals_are_finite_for_one_image():
    assert bootstrap(confusion(np.array([2]), np.array([2]), 6))["f1_macro"] == (1.0, 1.0)


# Heatmaps


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = SEResNet(6, widths=(8, 16), depths=(1, 1))
    torch.nn.init.ones_(net.stages[-1][0].norm2.weight)
    return net


FACES, LABELS = torch.randn(3, 1, 24, 24, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 5])


def test_grad_cam_equals_the_closed_form(net):
    net.eval()
    with torch.no_grad():
        activations = net.stages(net.stem(FACES))  # (B, c, h, w)
        maps = torch.einsum("bc,bchw->bhw", net.head.weight[LABELS], activations).relu()
    pixels = activations[0, 0].numel()  # Grad-CAM's weights are the head's, over the number of pooled pixels
    expected = scale_cam_image(scale_cam_image(maps.numpy() / pixels, (24, 24)))
    with torch.no_grad():
        found = finish(explain("gradcam", net, features_of(net, FACES, "gradcam"), LABELS), 24)
    assert found.shape == heatmaps(net, FACES, LABELS).shape == (3, 24, 24)
    assert found.dtype == np.float32
    assert found.max() <= 1
    assert found.std() > 0.1
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_grad_cam_works_inside_a_validation_hook(net, context):
    expected = heatmaps(net, FACES, LABELS)
    with context():
        assert np.allclose(heatmaps(net, FACES * 1.0, LABELS), expected)  # times 1.0: born in that mode


def test_grad_cam_leaves_the_net_as_it_was(net):
    net.train()
    net.stem[1].eval()
    net(FACES).sum().backward()
    net.head.weight.requires_grad_(False)
    before, gradients = copy.deepcopy(net), [parameter.grad.clone() for parameter in net.parameters()]
    heatmaps(net, FACES, LABELS)
    assert [module.training for module in net.modules()] == [module.training for module in before.modules()]
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())
    for found, expected in zip(net.parameters(), before.parameters(), strict=True):
        assert found.requires_grad == expected.requires_grad
        assert torch.equal(found, expected)
    assert all(map(torch.equal, (parameter.grad for parameter in net.parameters()), gradients))
    for found, expected in zip(net.buffers(), before.buffers(), strict=True):
        assert torch.equal(found, expected)  # batch norm's running means


def test_grad_cam_works_with_frozen_and_half_precision_weights(net):
    expected = heatmaps(net, FACES, LABELS)
    assert np.allclose(heatmaps(net.requires_grad_(False), FACES, LABELS), expected)
    found = heatmaps(net.bfloat16(), FACES.bfloat16(), LABELS)
    assert np.abs(found - expected).mean() < 0.02
