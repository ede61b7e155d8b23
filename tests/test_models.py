"""The nets of all options: shapes, odd inputs, randomness only in training; and what they are fed."""

import sys

import pytest
import torch
import yaml
from pydantic import TypeAdapter

from fer.architectures import Model, Stages, typed
from fer.models.factory import build_net
from fer.models.inputs import average_logits, normalise, views
from fer.models.se_resnet import Block, DropPath, SEResNet, SqueezeExcitation
from tests.runs import ROOT

OPTION = TypeAdapter(Model)
OPTIONS = {
    path.stem: OPTION.validate_python(yaml.safe_load(path.read_text()))
    for path in sorted((ROOT / "conf/model").glob("*.yaml"))
    if path.stem != "weights"  # whose values a file tells
}
OURS = {name: option for name, option in OPTIONS.items() if isinstance(option, Stages)}


def build(**changes):
    torch.manual_seed(0)
    return SEResNet(6, **({"widths": (8, 16), "depths": (1, 2)} | changes))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_makes_logits_and_learns_in_all_its_parts(name):
    if name == "timm":
        pytest.importorskip("timm")
    config = OPTIONS[name]
    net, side = build_net(7, config.arguments()), config.input_size
    inputs = torch.randn(2, 1, side, side)
    logits = net(inputs)
    assert logits.shape == (2, 7)
    assert net.head.out_features == 7
    logits.square().sum().backward()
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in net.parameters())
    features = net.eval().forward_features(inputs)
    assert torch.equal(net.forward_head(features), net(inputs))
    is_pooled = features.shape[1] == net.head.in_features and torch.allclose(
        net.head(features.mean((2, 3))), net(inputs), atol=1e-4
    )
    assert net.pools_linearly == is_pooled


@pytest.mark.parametrize(
    "changes", [{}, {"widths": (48, 48, 8), "depths": (1, 3, 2)}, {"widths": (5,), "depths": (2,)}]
)
@pytest.mark.parametrize("config", OURS.values(), ids=OURS)
def test_the_schema_counts_the_parameters_of_all_but_the_head(config, changes):
    odd = {"reduction": 3} if config.architecture == "se_resnet" else {"hidden": 7}
    arguments = config.arguments() | changes | (odd if changes else {})
    with torch.device("meta"):
        net = build_net(6, arguments)
    found = sum(weight.numel() for weight in net.parameters()) - sum(weight.numel() for weight in net.head.parameters())
    assert typed(arguments).parameters() == found


def test_the_plain_net_is_small_and_has_no_blocks():
    net = build_net(6, OPTIONS["vgg"].arguments())
    assert sum(weight.numel() for weight in net.parameters()) < 3e6
    assert sum(isinstance(module, torch.nn.Conv2d) for module in net.modules()) == 8
    assert not any(isinstance(module, SqueezeExcitation | Block) for module in net.modules())


@pytest.mark.parametrize(
    ("backbone", "says"),
    [
        ("resnet8", "expected a backbone that timm knows, but got resnet8; did you mean resnet"),
        ("vit_tiny_patch16_224", "expected a backbone for faces of any size, but vit_tiny_patch16_224 is none"),
        ("swin_s3_tiny_224", "expected a backbone "),
        ("resnet18.nonsense", "timm cannot make it"),
    ],
)
def test_backbones_that_cannot_be_used_are_refused_in_a_sentence(backbone, says):
    pytest.importorskip("timm")
    with torch.device("meta"), pytest.raises(ValueError, match=says):
        build_net(6, {"name": "timm", "backbone": backbone})


def test_a_missing_library_is_one_sentence_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"^expected the library timm, .*: pip install timm$"):
        build_net(6, {"name": "timm", "backbone": "resnet18"})


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv3_small_050", "convnext_atto"])
def test_backbones_of_every_ending_tell_how_they_end(backbone):
    pytest.importorskip("timm")
    net = build_net(6, {"name": "timm", "backbone": backbone}).eval()
    assert net(torch.randn(2, 1, 64, 64)).shape == (2, 6)
    assert net.pools_linearly == (backbone == "resnet18")


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("size", [(47, 47), (48, 33), (16, 16)])
def test_any_size_of_input_is_taken(size, stem_stride):
    assert build(stem_stride=stem_stride).eval()(torch.randn(3, 1, *size)).shape == (3, 6)


def test_each_stage_but_the_first_halves_the_resolution():
    net = build(widths=(4, 6, 8), depths=(1, 2, 1), stem_stride=2)
    x, shapes = net.stem(torch.randn(1, 1, 32, 32)), []
    for stage in net.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 16, 16), (6, 8, 8), (8, 4, 4)]
    assert [len(stage) for stage in net.stages] == [1, 2, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_blocks_learn_the_same_in_either_memory_format(dtype):
    # The gradient of a strided 1x1 convolution from few channels in channels_last is wrong or crashes in oneDNN 3.x.
    torch.manual_seed(0)
    block, faces, found = Block(8, 16, 2, 4, 0.0), torch.randn(5, 8, 12, 12), []
    for layout in (torch.contiguous_format, torch.channels_last):
        block.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            block.to(memory_format=layout)(faces.to(memory_format=layout)).square().sum().backward()
        found.append(torch.cat([weight.grad.flatten() for weight in block.parameters()]))
    assert (found[0] - found[1]).norm() < (1e-4 if dtype == torch.float32 else 0.05) * found[0].norm()


def test_squeeze_and_excitation_scales_each_channel_by_one_gate():
    attention = Block(4, 8, 1, 2, 0.0).attention
    x = torch.rand(2, 8, 5, 5) + 0.1
    gates = attention(x) / x
    assert torch.allclose(gates, gates[:, :, :1, :1].expand_as(gates), atol=1e-5)
    assert gates.min() > 0 and gates.max() < 1
    assert not torch.allclose(gates[0], gates[1])


@pytest.mark.parametrize("changes", [{"dropout": 0.5}, {"drop_path": 0.5}])
def test_dropping_happens_in_training_only(changes):
    net, x = build(**changes), torch.randn(8, 1, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    out = DropPath(0.25)(torch.ones(4000, 2, 3, 3))
    kept = out.flatten(1)
    assert (kept == kept[:, :1]).all()
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert kept.mean().item() == pytest.approx(1, abs=0.05)


def test_drop_path_rises_from_nothing_to_its_value():
    net = build(depths=(2, 3), drop_path=0.2)
    shares = [module.probability for module in net.modules() if isinstance(module, DropPath)]
    assert shares == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_as_many_depths_as_widths_are_asked_for():
    with pytest.raises(ValueError, match="as many depths as widths"):
        build(widths=(8, 16, 32))


def test_inputs_are_normalised_gray():
    images = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    inputs = normalise(images, 0.5, 0.25)
    assert inputs.shape == (1, 1, 2, 2)
    assert inputs.flatten().tolist() == pytest.approx([-2, 2, -1.2, -0.4], abs=1e-6)


def test_views_are_crops_of_the_face_and_their_mirror_images():
    face = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert [view.tolist() for view in views(face, "flip")] == [face.tolist(), face.flip(3).tolist()]
    ten = views(face, "tencrop")
    assert [view[0, 0, 0, 0].item() for view in ten[:5]] == [0, 1, 8, 9, 0]
    assert {view.shape for view in ten} == {(1, 1, 7, 7)}
    assert all(torch.equal(crop.flip(3), mirrored) for crop, mirrored in zip(ten[:5], ten[5:], strict=True))


def test_views_are_averaged_as_probabilities():
    logits = [torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 50.0]])]
    assert average_logits(logits).exp().tolist()[0] == pytest.approx([0.25, 0.75])


def test_flipping_changes_nothing_for_a_face_that_mirrors_itself():
    net = build().eval()
    half = torch.randn(4, 1, 16, 8)
    face = torch.cat([half, half.flip(3)], 3)
    with torch.no_grad():
        flipped = average_logits([net(view) for view in views(face, "flip")]).softmax(1)
        assert torch.allclose(flipped, net(face).softmax(1), atol=1e-6)
