"""The weights file: what is written comes back, what is wrong is said, and a pickle is never opened."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from fer.emotions import class_names
from fer.errors import RunError, UserError
from fer.models.se_resnet import SEResNet
from fer.weights import FORMAT, Header, load_net, read_weights, rounded, save_weights, transplant

ARCHITECTURE = {"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 4, "dropout": 0.1}
HEADER = Header(
    classes=class_names(6),
    input_size=24,
    mean=0.5,
    std=0.25,
    architecture=ARCHITECTURE,
    temperature=1.5,
    training={"dataset": "fer2013", "seed": 1, "versions": {"torch": "2"}},
    metrics={"test/accuracy": 0.7},
)


def make_net(classes=6, **changes):
    torch.manual_seed(classes)
    net = SEResNet(classes, **(ARCHITECTURE | changes))
    net(torch.randn(4, 1, 24, 24))  # batch norms away from their start
    net.load_state_dict(rounded(net.state_dict()))  # as a training ends
    return net


@pytest.fixture
def net():
    return make_net()


@pytest.fixture
def path(tmp_path, net):
    save_weights(tmp_path / "net.safetensors", net.state_dict(), HEADER)
    return tmp_path / "net.safetensors"


def texts(**changes):
    """Return a file's metadata, with changes; None removes."""
    values = {name: json.dumps(getattr(HEADER, name)) for name in HEADER.__dataclass_fields__} | {"format": FORMAT}
    return {name: value for name, value in (values | changes).items() if value is not None}


def refusal(path, function=load_net):
    with pytest.raises(UserError) as caught:
        function(path)
    assert str(caught.value).startswith(f"weights={path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_written_comes_back(path, net):
    loaded, header = load_net(path)
    assert header.architecture == ARCHITECTURE | {"widths": [8, 16], "depths": [1, 1]}
    assert [getattr(header, name) for name in ("classes", "input_size", "mean", "std", "temperature")] == [
        class_names(6), 24, 0.5, 0.25, 1.5,
    ]  # fmt: skip
    assert (header.training, header.metrics) == (HEADER.training, HEADER.metrics)
    assert not loaded.training
    assert all(tensor.device.type == "cpu" for tensor in loaded.state_dict().values())
    faces = torch.randn(3, 1, 24, 24)
    assert torch.equal(loaded(faces), net.eval()(faces))


def test_loaded_nets_can_be_trained_on(path):
    net, _ = load_net(path)
    net.train()(torch.randn(2, 1, 24, 24)).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_results_go_into_the_header():
    header = HEADER.trained({"test/accuracy": 0.6, "test/n": 9, "seed": 2})
    assert (header.metrics, header.training) == ({"test/accuracy": 0.6, "test/n": 9}, {"seed": 2})


def test_matrices_are_kept_in_half_the_room_and_loaded_as_floats(path):
    state, _ = read_weights(path)
    kinds = {torch.float16: "head.weight", torch.float32: "head.bias", torch.int64: "stem.1.num_batches_tracked"}
    assert all(state[name].dtype == kind for kind, name in kinds.items())
    assert load_net(path)[0](torch.randn(1, 1, 24, 24)).dtype == torch.float32


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(path, net, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"could not be written .*No space left"):
        save_weights(path, make_net(7).state_dict(), HEADER)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.safetensors")
    assert "it is a folder" in refusal(tmp_path)


@pytest.mark.parametrize(("size", "said"), [(0, "empty"), (5, "cut short"), (300, "cut short"), (-9, "cut short")])
def test_a_file_cut_short_is_refused(path, size, said):
    path.write_bytes(path.read_bytes()[:size])
    assert said in refusal(path)


class Bomb:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_is_refused_without_being_opened(tmp_path):
    for name, write in (("torch", torch.save), ("plain", lambda value, path: path.write_bytes(pickle.dumps(value)))):
        path = tmp_path / f"{name}.safetensors"
        write({"head.weight": Bomb(tmp_path / "exploded")}, path)
        assert "pickle" in refusal(path)
    assert not (tmp_path / "exploded").exists()


def test_numbers_that_are_none_are_refused(tmp_path, net):
    state = net.state_dict()
    state["head.bias"] = torch.full_like(state["head.bias"], float("nan"))
    save_weights(tmp_path / "nan.safetensors", state, HEADER)
    with pytest.raises(UserError, match=r"nan\.safetensors: expected finite numbers, but head\.bias"):
        read_weights(tmp_path / "nan.safetensors")


def test_somebody_else_s_safetensors_are_refused(tmp_path, net):
    path = tmp_path / "theirs.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file(net.state_dict(), path, metadata)
        assert "train.py" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": None}, "classes: expected a value, but it is missing"),
        ({"classes": '["angry", "bored"]'}, "bored"),
        ({"classes": "6"}, "classes: expected"),
        ({"mean": None}, "mean"),
        ({"mean": "NaN"}, "mean: expected a finite number"),
        ({"std": "0"}, "std: expected more than 0"),
        ({"temperature": "-1"}, "temperature: expected more than 0"),
        ({"input_size": "48.5"}, "input_size: expected a whole number"),
        ({"input_size": "100000"}, "input_size: expected at most 512"),
        ({"architecture": '"large"'}, "architecture: expected keys with values"),
        ({"input_size": "[4"}, "damaged"),
        ({"architecture": '{"widths": [8, 16, 32], "depths": [1, 1]}'}, "as many depths as widths"),
        ({"architecture": '{"widths": [8, 24], "depths": [1, 1]}'}, "size mismatch"),
        ({"architecture": '{"width": 8}'}, "unexpected keyword"),
        ({"architecture": '{"widths": "ab", "depths": "cd"}'}, "do not fit"),
        ({"classes": '["angry", "happy"]'}, "size mismatch for head.weight"),
    ],
)
def test_a_wrong_header_is_told(tmp_path, net, changes, said):
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict(), path, texts(**changes))
    assert said in refusal(path)


def test_tensors_that_are_missing_or_too_many_are_told(tmp_path, net):
    path, state = tmp_path / "net.safetensors", net.state_dict()
    save_file({"stranger": torch.zeros(1), **state}, path, texts())
    assert "stranger" in refusal(path)
    del state["head.bias"]
    save_file(state, path, texts())
    assert "head.bias" in refusal(path)


def test_fields_that_have_a_default_may_be_missing(tmp_path, net):
    save_file(net.state_dict(), tmp_path / "net.safetensors", texts(temperature=None, training=None, metrics=None))
    assert load_net(tmp_path / "net.safetensors")[1].temperature == 1


def test_equal_nets_start_from_the_file_s_tensors(path, net):
    torch.manual_seed(7)
    new = SEResNet(6, **ARCHITECTURE)
    assert transplant(new, class_names(6), path) == []
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in new.state_dict().items())


def test_the_head_is_mapped_class_by_class(path, net):
    classes = ("happy", "neutral", "angry")
    new = make_net(3)
    untouched = new.head.weight[1].clone()
    assert transplant(new, classes, path) == ["the head's rows of neutral: no such class in the file"]
    assert torch.equal(new.head.weight[0], net.head.weight[3])
    assert torch.equal(new.head.bias[2], net.head.bias[0])
    assert torch.equal(new.head.weight[1], untouched)
    assert torch.equal(new.stem[0].weight, net.stem[0].weight)
    assert new.head.weight.requires_grad


def test_what_is_not_taken_over_is_listed(path, net):
    new = make_net(widths=(8, 24))
    left = transplant(new, class_names(6), path)
    assert "head.weight: (6, 24) here, (6, 16) in the file" in left
    assert not any(line.startswith(("stem", "stages.0", "head.bias")) for line in left)
    assert torch.equal(new.stages[0][0].conv1.weight, net.stages[0][0].conv1.weight)
    deeper = transplant(make_net(depths=(1, 2)), class_names(6), path)
    assert all(line.startswith("stages.1.1.") and line.endswith("nothing in the file") for line in deeper)


def test_a_head_with_too_few_rows_is_not_taken_over(tmp_path, net):
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict() | {"head.bias": torch.zeros(2)}, path, texts())
    assert transplant(make_net(), class_names(6), path) == ["head.bias: (6,) here, (2,) in the file"]


def test_a_header_is_read_without_building_a_net(path):
    state, header = read_weights(path)
    assert header.classes == class_names(6)
    assert set(state) == set(make_net().state_dict())
