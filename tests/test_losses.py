"""Losses against their definitions, by hand and against PyTorch's own; schedules and precision."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fer.models.se_resnet import SEResNet
from fer.schema import AdamW, Cosine, CrossEntropy, Focal, Plateau, Sgd
from fer.training.lightning_module import make_mixers
from fer.training.losses import FocalLoss, best_of, class_weights, make_loss, none_of_these
from fer.training.optim import choose_precision, make_optimizer, make_scheduler

COUNTS = np.array([100, 400, 0, 2500])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(64, 4, generator=generator) * 3
    targets = torch.rand(64, 4, generator=generator)
    return logits, targets / targets.sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("weighting", "ratios"),
    [
        ("none", (1, 1)),
        ("balanced", (4, 25)),
        ("sqrt", (2, 5)),
        ("effective", ((1 - 0.999**400) / (1 - 0.999**100), (1 - 0.999**2500) / (1 - 0.999**100))),
    ],
)
def test_class_weights_are_in_the_ratios_of_their_formulas(weighting, ratios):
    weights = class_weights(COUNTS, weighting).double()
    assert (weights[0] / weights[1], weights[0] / weights[3]) == pytest.approx(ratios, rel=1e-5)
    assert weights[2] == 0  # no faces, no say
    assert (weights.numpy() * COUNTS).sum() / COUNTS.sum() == pytest.approx(1)  # the loss keeps its scale


def test_balanced_weights_are_the_usual_ones():
    assert class_weights(np.array([1, 3]), "balanced").tolist() == pytest.approx([2, 2 / 3])  # N / (C n)


@pytest.mark.parametrize("weighting", ["none", "balanced", "sqrt", "effective"])
def test_a_face_of_no_class_is_best_answered_by_equal_probabilities_whatever_the_classes_weigh(weighting):
    counts = np.array([100, 400, 50, 2500])
    target = torch.from_numpy(none_of_these(class_weights(counts, weighting)))[None]
    logits = torch.zeros(1, 4, requires_grad=True)
    loss = make_loss(CrossEntropy(name="cross_entropy", weighting=weighting, label_smoothing=0.0), counts)(
        logits, target
    )
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4), rel=1e-5)
    assert logits.grad.abs().max() < 1e-6


def test_a_class_without_faces_has_no_share_in_the_target_of_a_face_of_no_class():
    assert none_of_these(class_weights(np.array([3, 1, 0]), "none")).tolist() == pytest.approx([1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("one_hot", [False, True])
def test_focal_loss_without_focus_is_cross_entropy(batch, smoothing, one_hot):
    logits, targets = batch
    weight = class_weights(np.array([10, 20, 30, 40]), "balanced")
    if one_hot:
        targets = F.one_hot(targets.argmax(1), 4).float()
    expected = nn.CrossEntropyLoss(weight, label_smoothing=smoothing)(logits, targets)
    assert FocalLoss(0.0, weight, smoothing)(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_focal_loss_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # probabilities 3/4 1/4 and 1/2 1/2
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = (0.25**2 * -math.log(0.75) + 0.5**2 * -math.log(0.5)) / 2
    assert FocalLoss(2.0, torch.ones(2), 0.0)(logits, targets).item() == pytest.approx(expected)


def test_focal_loss_has_finite_gradients_where_the_net_is_certain():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    FocalLoss(0.5, torch.ones(2), 0.0)(logits, torch.tensor([[1.0, 0.0]])).backward()
    assert torch.isfinite(logits.grad).all()


def test_the_configured_loss_weighs_classes_and_smooths(batch):
    logits, targets = batch
    counts = np.array([10, 20, 30, 40])
    weight = torch.tensor([10.0, 5, 10 / 3, 2.5]) / 4
    smooth = CrossEntropy(name="cross_entropy", weighting="balanced", label_smoothing=0.2)
    expected = F.cross_entropy(logits, targets, weight, label_smoothing=0.2)
    assert make_loss(smooth, counts)(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    focal = make_loss(Focal(name="focal", gamma=1.5, weighting="none", label_smoothing=0.0), counts)
    assert focal(logits, targets) < F.cross_entropy(logits, targets)


def test_the_best_target_is_the_likeliest_of_those_accepted():
    logits = torch.tensor([[9.0, 1, 2, 3], [-9.0, -8, -7, 5]])
    targets = torch.tensor([[0.0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0]])
    assert best_of(logits, targets).tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(("mixup", "cutmix", "kinds"), [(0.3, 0.0, 1), (0.0, 1.0, 1), (0.3, 1.0, 2), (0.0, 0.0, 0)])
def test_mixed_targets_stay_distributions(mixup, cutmix, kinds, batch):
    torch.manual_seed(0)
    mixers = make_mixers(mixup, cutmix)
    assert len(mixers) == kinds
    for mixer in mixers:
        images, targets = mixer(torch.randn(64, 1, 8, 8), batch[1])
        assert images.shape == (64, 1, 8, 8)
        assert targets.sum(1).tolist() == pytest.approx([1] * 64)
        assert not torch.equal(targets, batch[1])


def sgd(net, lr=1.0):
    return make_optimizer(Sgd(name="sgd", lr=lr, momentum=0.9, weight_decay=0.01), net)


@pytest.mark.parametrize(
    "config",
    [
        Sgd(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.01),
        AdamW(name="adamw", lr=0.1, betas=(0.9, 0.99), weight_decay=0.01),
    ],
)
def test_weight_decay_leaves_norms_and_biases_alone(config):
    net = SEResNet(6, (8, 16), (1, 1))
    decays = {id(weight): group["weight_decay"] for group in make_optimizer(config, net).param_groups
              for weight in group["params"]}  # fmt: skip
    assert len(decays) == len(list(net.parameters()))
    for module in net.modules():
        for name, weight in module.named_parameters(recurse=False):
            free = isinstance(module, nn.BatchNorm2d) or name == "bias"
            assert decays[id(weight)] == (0 if free else 0.01)


def test_cosine_rises_linearly_and_falls_to_the_floor():
    optimizer = sgd(nn.Linear(1, 1), lr=2.0)
    schedule = make_scheduler(Cosine(name="cosine", warmup=0.1, floor=0.01), optimizer, 100, "val/loss", "min")
    assert schedule["interval"] == "step"
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates[:10] == pytest.approx([2 * (step + 1) / 11 for step in range(10)])
    assert rates[10] == max(rates) == 2
    assert rates[55] == pytest.approx(2 * (0.01 + 0.99 / 2))
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert optimizer.param_groups[1]["lr"] == pytest.approx(2 * 0.01)


def test_cosine_without_a_warm_up_starts_at_the_peak():
    optimizer = sgd(nn.Linear(1, 1))
    make_scheduler(Cosine(name="cosine", warmup=0, floor=0), optimizer, 1, "val/loss", "min")
    assert optimizer.param_groups[0]["lr"] == 1


@pytest.mark.parametrize(("mode", "values"), [("max", [0.5, 0.4, 0.4]), ("min", [0.5, 0.6, 0.6])])
def test_a_plateau_cuts_the_rate_in_the_monitor_s_direction(mode, values):
    optimizer = sgd(nn.Linear(1, 1))
    schedule = make_scheduler(Plateau(name="plateau", factor=0.1, patience=1), optimizer, 9, "val/f1_macro", mode)
    for value in values:
        assert optimizer.param_groups[0]["lr"] == 1
        schedule["scheduler"].step(value)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    assert schedule["monitor"] == "val/f1_macro"


@pytest.mark.parametrize(
    ("accelerator", "has", "expected"),
    [
        ("cuda", True, "bf16-mixed"),
        ("cuda", False, "16-mixed"),
        ("cpu", True, "bf16-mixed"),
        ("cpu", False, "32-true"),
        ("mps", True, "32-true"),
    ],
)
def test_precision_follows_the_hardware(accelerator, has, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision("auto", accelerator) == expected
    assert choose_precision("16-mixed", accelerator) == "16-mixed"
