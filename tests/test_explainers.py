"""Heatmaps from features alone: equal to the package's from the whole net, in any mode, and without a trace."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.utils import svd_on_activations
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from fer.models.cam import EXPLAINERS, explain, features_of, layer_count
from fer.models.maps import finish
from fer.models.se_resnet import SEResNet
from fer.models.vgg import VGG

PACKAGE = {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "layercam": LayerCAM, "eigencam": EigenCAM}
LABELS = torch.tensor([0, 3, 5, 1])


def make_net(seed=0, **changes):
    torch.manual_seed(seed)
    net = SEResNet(6, **({"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 4} | changes))
    net(torch.randn(8, 1, 24, 24))  # batch norms away from their start
    return net.eval().requires_grad_(False)


def make_inputs(size=24, count=4, seed=1):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def ours(explainer, net, inputs, labels=LABELS):
    return finish(explain(explainer, net, features_of(net, inputs, explainer), labels), inputs.shape[2])


def package(explainer, net, inputs, labels=LABELS):
    cam = PACKAGE[explainer](net, [net.stages[-1]])
    return cam(inputs.clone().requires_grad_(), [ClassifierOutputTarget(label) for label in labels.tolist()])


@pytest.mark.parametrize("explainer", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("size", [16, 24, 33, 48])
@pytest.mark.parametrize("changes", [{}, {"widths": (6, 8, 12), "depths": (1, 1, 2), "stem_stride": 1, "dropout": 0.5}])
def test_heatmaps_equal_the_package_on_the_whole_net(explainer, size, changes):
    net, inputs = make_net(size, **changes), make_inputs(size)
    expected = package(explainer, net, inputs)
    found = ours(explainer, net, inputs)
    assert found.shape == (4, size, size)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4
    assert found.std() > 0.1
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("seed", range(4))
def test_grad_cam_of_every_class_equals_the_package(seed):
    net, inputs = make_net(seed), make_inputs(count=6, seed=seed)
    labels = torch.arange(6)
    assert np.abs(ours("gradcam", net, inputs, labels) - package("gradcam", net, inputs, labels)).max() < 1e-4


@pytest.mark.parametrize("explainer", ["gradcam", "layercam"])
def test_a_class_that_nothing_speaks_for_has_an_empty_map(explainer):
    net, inputs = make_net(), make_inputs()
    net.head.weight[3] = -net.head.weight[3].abs()
    found = ours(explainer, net, inputs)
    assert np.abs(found - package(explainer, net, inputs)).max() < 1e-4
    assert found[1].max() == 0
    assert found[[0, 2, 3]].max((1, 2)).min() > 0.99


@pytest.mark.parametrize("explainer", [name for name in EXPLAINERS if name != "gatedcam"])  # it looks at more
def test_features_of_one_pixel_have_an_empty_map(explainer):
    net, inputs = make_net(), make_inputs(4)
    assert net.forward_features(inputs).shape[2:] == (1, 1)
    assert np.array_equal(ours(explainer, net, inputs), np.zeros((4, 4, 4)))


def test_eigen_cam_equals_the_package_but_for_the_sign_which_the_strength_of_the_features_decides(monkeypatch):
    net, inputs = make_net(), make_inputs()
    features, projection = features_of(net, inputs, "eigencam"), svd_on_activations.get_2d_projection
    found = explain("eigencam", net, features, LABELS)
    scaled, raw = finish(found, 24), package("eigencam", net, inputs)
    monkeypatch.setattr(svd_on_activations, "get_2d_projection", lambda features: -projection(features))
    monkeypatch.setattr("pytorch_grad_cam.eigen_cam.get_2d_projection", lambda features: -projection(features))
    turned = package("eigencam", net, inputs)
    difference = np.minimum(np.abs(scaled - raw).max((1, 2)), np.abs(scaled - turned).max((1, 2)))
    assert difference.max() < 1e-4
    assert np.array_equal(explain("eigencam", net, features, LABELS), found)
    for heatmap, strength in zip(found, features.last.mean(1), strict=True):
        assert np.corrcoef(heatmap.flatten(), strength.flatten())[0, 1] > 0


@pytest.mark.parametrize("explainer", EXPLAINERS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_explainers_work_where_gradients_are_off_and_leave_no_trace(explainer, context):
    net, inputs = make_net(), make_inputs()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    expected = ours(explainer, net, inputs)
    with context():
        assert np.allclose(ours(explainer, net, inputs * 1.0), expected, atol=1e-6)  # times 1.0: born in that mode
    assert not any(module.training or module._forward_hooks or module._backward_hooks for module in net.modules())
    assert not any(weight.requires_grad or weight.grad is not None for weight in net.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_a_face_has_the_same_map_alone_and_in_a_batch(explainer):
    net, inputs = make_net(), make_inputs()
    alone = [ours(explainer, net, inputs[i : i + 1], LABELS[i : i + 1])[0] for i in range(4)]
    assert np.allclose(alone, ours(explainer, net, inputs), atol=1e-4)


def test_threads_do_not_mix_their_faces():
    net, batches = make_net(), [make_inputs(seed=seed) for seed in range(16)]
    expected = [ours("gradcam++", net, batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: ours("gradcam++", net, batch), batches))
    assert np.allclose(found, expected, atol=1e-5)


DEEP = {"widths": (6, 8, 12), "depths": (1, 1, 2), "stem_stride": 1}


@pytest.mark.parametrize("explainer", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_every_layer_is_explained_as_by_the_package(explainer, layer):
    net, inputs = make_net(**DEEP), make_inputs()
    assert layer_count(net) == 3
    cam = PACKAGE[explainer](net, [net.stages[layer - 1]])
    expected = cam(inputs.clone().requires_grad_(), [ClassifierOutputTarget(label) for label in LABELS.tolist()])
    features = features_of(net, inputs, explainer, layer)
    assert features.chosen.shape[2] == 24 >> (layer - 1)
    assert np.abs(finish(explain(explainer, net, features, LABELS), 24) - expected).max() < 1e-4


def test_gated_grad_cam_is_as_fine_as_its_layer_and_speaks_of_the_class_where_that_layer_is_active():
    net, inputs = make_net(**DEEP), make_inputs()
    coarse = explain("gradcam", net, features_of(net, inputs, "gradcam"), LABELS)
    features = features_of(net, inputs, "gatedcam")
    found = explain("gatedcam", net, features, LABELS)
    assert (coarse.shape, found.shape) == ((4, 6, 6), (4, 12, 12))
    enlarged = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None], (12, 12), mode="bilinear")[0].numpy()
    strength = features.chosen.mean(1).numpy()
    assert np.allclose(found, enlarged * (strength - strength.min((1, 2), keepdims=True)), atol=1e-5)
    last = features_of(net, inputs, "gatedcam", 3)
    assert np.allclose(explain("gatedcam", net, last, LABELS), coarse)


@pytest.mark.parametrize("net", [make_net(**DEEP), VGG(6, (6, 8, 12), (1, 2, 1), hidden=5).eval()], ids=["se", "vgg"])
def test_the_layers_one_behind_the_other_are_the_features(net):
    inputs, sizes = make_inputs(), []
    x = inputs
    for part in net.layers():
        x = part(x)
        sizes.append(x.shape[2])
    assert torch.equal(x, net.forward_features(inputs))
    assert sizes == [24, 12, 6]
