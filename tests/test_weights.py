"""The weights file: what is written comes back, what is wrong is said, and a pickle is never opened."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fer.emotions import class_names
from fer.errors import RunError, UserError
from fer.models.se_resnet import SEResNet
from fer.paths import WEIGHTS, resolve_weights, shipped
from fer.weights import FORMAT, Header, digest, load_net, read_weights, rounded, save_weights, transplant

ARCHITECTURE = {"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 4, "dropout": 0.1, "drop_path": 0.0}
HEADER = Header(
    classes=class_names(6),
    input_size=24,
    mean=0.5,
    std=0.25,
    architecture=ARCHITECTURE,
    temperature=1.5,
    training={"dataset": "fer2013", "seed": 1, "versions": {"torch": "2"}},
    metrics={"test/accuracy": 0.7},
    not_sure=0.4,
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
    assert header == HEADER
    assert not loaded.training
    assert all(tensor.device.type == "cpu" for tensor in loaded.state_dict().values())
    faces = torch.randn(3, 1, 24, 24)
    assert torch.equal(loaded(faces), net.eval()(faces))


def test_shipped_nets_go_by_name_and_by_their_path_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"fer2013", "ferplus"} <= set(shipped())
    file = WEIGHTS / "ferplus.safetensors"
    assert file.is_file()
    for word in ("ferplus", Path("ferplus"), "weights/ferplus.safetensors", file):
        assert resolve_weights(word) == file
    for own in ("own.safetensors", "weights/own.safetensors", "folder/ferplus"):
        assert resolve_weights(own) == Path(own)
    own = Path("weights/ferplus.safetensors")
    own.parent.mkdir()
    own.touch()
    Path("ferplus").mkdir()
    assert resolve_weights(own) == own
    assert resolve_weights("ferplus") == file
    assert len(load_net(Path("ferplus"))[1].classes) == 8
    assert digest(Path("ferplus")) == digest(file)


def test_a_name_that_is_no_shipped_net_is_answered_with_those_that_are():
    assert refusal(Path("ferpuls")) == (
        "weights=ferpuls: expected a .safetensors file or one of fer2013, fer2013-7, ferplus, but there is no such "
        "file; did you mean ferplus?"
    )


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


def architecture(**changes):
    """Return the entry of another architecture; None removes."""
    return {"architecture": json.dumps({k: v for k, v in (ARCHITECTURE | changes).items() if v is not None})}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": None}, "classes: expected a value, but it is missing"),
        (
            {"classes": '["angry", "bo|red"]'},
            'at most 40 letters, digits, blanks and - _ . \' + & ( ), but got "bo|red"',
        ),
        ({"classes": '["angry", "Bored"]'}, 'but got "Bored"'),
        ({"classes": json.dumps(["angry", "b" * 41])}, "of at most 40 letters"),
        ({"classes": '["angry", "not sure"]'}, 'but got "not sure"'),
        ({"classes": '["0", "1"]'}, 'but got "0"'),
        ({"classes": "6"}, "classes: expected"),
        ({"classes": json.dumps(["happy"] * 6)}, "classes: expected each class once, but got happy, happy"),
        ({"classes": json.dumps(["happy"] * 101)}, "classes: expected a list of at most 100"),
        ({"mean": None}, "mean"),
        ({"mean": "NaN"}, "mean: expected at most 1, but got nan"),
        ({"mean": "1e308"}, "mean: expected at most 1, but got 1e+308"),
        ({"mean": "1" + 400 * "0"}, "mean: expected"),
        ({"mean": "false"}, "mean: expected a number, but got false"),
        ({"std": "0"}, "std: expected at least 0.0001, but got 0"),
        ({"std": "1e-38"}, "std: expected at least 0.0001, but got 1e-38"),
        ({"std": '"0.25"'}, "std: expected a number, but got '0.25'"),
        ({"temperature": "-1"}, "temperature: expected at least 0.01, but got -1"),
        ({"temperature": "1e-320"}, "temperature: expected at least 0.01"),
        ({"temperature": "1e300"}, "temperature: expected at most 100"),
        ({"temperature": '"1"'}, "temperature: expected a number, but got '1'"),
        ({"temperature": "true"}, "temperature: expected a number, but got true"),
        ({"not_sure": "1"}, "not_sure: expected less than 1, but got 1"),
        ({"not_sure": "-0.1"}, "not_sure: expected at least 0, but got -0.1"),
        ({"not_sure": "NaN"}, "not_sure: expected"),
        ({"not_sure": '"auto"'}, "not_sure: expected a number, but got 'auto'"),
        ({"input_size": "48.5"}, "input_size: expected a whole number"),
        ({"input_size": "48.0"}, "input_size: expected a whole number"),
        ({"input_size": "true"}, "input_size: expected a whole number"),
        ({"input_size": "100000"}, "input_size: expected at most 512"),
        ({"input_size": "[4"}, "input_size is damaged"),
        ({"architecture": '"large"'}, "architecture: expected keys with values"),
        ({"architecture": "[[1, 2]]"}, "architecture: expected keys with values"),
        (architecture(width=8), "architecture.width: unknown key; did you mean architecture.widths?"),
        (architecture(**{"\x1b[31m": 8}), r"architecture.\x1b[31m: unknown key"),
        (architecture(reduction=None), "architecture.reduction: expected a value, but it is missing"),
        (architecture(reduction=0), "architecture.reduction: expected more than 0"),
        (architecture(reduction=-1), "architecture.reduction: expected more than 0"),
        (architecture(stem_stride=0), "architecture.stem_stride: expected 1 or 2"),
        (architecture(stem_stride=2.0), "architecture.stem_stride: expected a whole number"),
        (architecture(dropout="0.1"), "architecture.dropout: expected a number"),
        (architecture(drop_path=1), "architecture.drop_path: expected less than 1"),
        (architecture(widths=[], depths=[]), "architecture.widths: expected a list of at least 1"),
        (architecture(widths={"a": 1, "b": 2}), "architecture.widths: expected a list in brackets"),
        (architecture(widths="ab", depths="cd"), "architecture.widths: expected a list in brackets"),
        (architecture(widths=[8, True]), "architecture.widths.1: expected a whole number, but got true"),
        (architecture(widths=[8, "16"]), "architecture.widths.1: expected a whole number, but got '16'"),
        (architecture(widths=[8, 20000]), "architecture.widths.1: expected at most 4096"),
        (architecture(widths=[4096, 4096]), "architecture: expected a net of at most 200 million parameters"),
        (architecture(depths=[1, -1]), "architecture.depths.1: expected more than 0"),
        (architecture(depths=[1, 1000000]), "architecture.depths.1: expected at most 200"),
        (architecture(widths=[8, 16, 32]), "architecture: expected as many depths as widths"),
        (architecture(widths=[8] * 6, depths=[1] * 6), "expected input_size of at least 128 for these stages"),
        ({"training": '{"test/accuracy": 1}'}, "training: expected no figures, which belong into metrics"),
        ({"training": "[" * 20000}, "at most 200 levels of training"),
        ({"metrics": "[" * 201 + "]" * 201}, "at most 200 levels of metrics"),
        ({"metrics": json.dumps({"a": "b" * 1000000})}, "at most 1,000,000 characters of metrics"),
        ({"classes": json.dumps(["happy"] * 200_000)}, "at most 1,000,000 characters of classes"),
    ],
)
def test_a_wrong_header_is_told(tmp_path, net, changes, said):
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict(), path, texts(**changes))
    found = refusal(path)
    assert said in found
    assert found.isprintable()
    assert refusal(path, read_weights) == found


MISFIT = "the tensors do not fit the architecture in the file's header: expected "


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (architecture(depths=[1, 2]), "3 blocks, but got 2"),
        (architecture(depths=[200, 200]), "400 blocks, but got 2"),
        (architecture(widths=[8, 24]), "stages.1.0.conv1.weight of shape (24, 8, 3, 3), but got (16, 8, 3, 3)"),
        ({"classes": '["angry", "happy"]'}, "head.weight of shape (2, 16), but got (6, 16)"),
    ],
)
def test_a_header_of_another_net_is_told(tmp_path, net, changes, said):
    path = tmp_path / "net.safetensors"
    save_file(net.state_dict(), path, texts(**changes))
    assert refusal(path).endswith(MISFIT + said)


def test_a_net_is_compared_before_it_is_built(tmp_path, net, monkeypatch):
    save_file(net.state_dict(), tmp_path / "net.safetensors", texts(**architecture(widths=[8, 2048])))
    built = []
    monkeypatch.setattr(torch.nn.init, "kaiming_normal_", lambda weight, **named: built.append(weight))
    assert "(2048, 8, 3, 3), but got (16, 8, 3, 3)" in refusal(tmp_path / "net.safetensors")
    assert not built


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"head.bias": None}, "head.bias, but got no such tensor"),
        ({"stranger": torch.zeros(1)}, "no other tensors, but got stranger"),
        ({"\x1b[31mred": torch.zeros(1)}, r"no other tensors, but got \x1b[31mred"),
        ({"head.bias": torch.zeros(2)}, "head.bias of shape (6,), but got (2,)"),
        ({"head.bias": torch.zeros(6, dtype=torch.bool)}, "head.bias as F16 or BF16 or F32, but got BOOL"),
        ({"head.bias": torch.zeros(6, dtype=torch.int64)}, "head.bias as F16 or BF16 or F32, but got I64"),
        ({"head.bias": torch.zeros(6, dtype=torch.complex64)}, "head.bias as F16 or BF16 or F32, but got C64"),
        ({"head.bias": torch.zeros(6).to(torch.float8_e4m3fn)}, "head.bias as F16 or BF16 or F32, but got F8_E4M3"),
        ({"stem.1.num_batches_tracked": torch.tensor(1.0)}, "stem.1.num_batches_tracked as I64, but got F32"),
    ],
)
def test_tensors_that_do_not_fit_are_told(tmp_path, net, changes, said):
    path = tmp_path / "net.safetensors"
    state = {name: tensor for name, tensor in (net.state_dict() | changes).items() if tensor is not None}
    save_file(state, path, texts())
    assert refusal(path).endswith(MISFIT + said)
    assert refusal(path, read_weights).endswith(MISFIT + said)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_floats_of_other_precision_are_loaded_as_float32(tmp_path, net, kind):
    state = {
        name: tensor.to(kind) if tensor.is_floating_point() else tensor for name, tensor in net.state_dict().items()
    }
    save_file(state, tmp_path / "net.safetensors", texts())
    loaded = load_net(tmp_path / "net.safetensors")[0].state_dict()
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in state.items())
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32, torch.int64}


def test_a_negative_variance_is_told(tmp_path, net):
    state = net.state_dict() | {"stem.1.running_var": torch.full((8,), -1.0)}
    save_file(state, tmp_path / "net.safetensors", texts())
    assert "expected variances of at least 0, but stem.1.running_var" in refusal(tmp_path / "net.safetensors")


def test_a_huge_header_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes((8_000_001).to_bytes(8, "little") + bytes(8_000_001))
    assert "header of this one has 8,000,001 bytes" in refusal(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_or_folder_that_is_closed_to_the_user_is_not_called_missing(path):
    for closed in (path, path.parent):
        mode = closed.stat().st_mode
        closed.chmod(0)
        is_open = os.access(path, os.R_OK)  # to root everything is
        try:
            if not is_open:
                assert "it cannot be read (Permission denied)" in refusal(path)
                assert resolve_weights(path) == path
        finally:
            closed.chmod(mode)
        if is_open:
            pytest.skip("this user may read everything")


def test_fields_that_have_a_default_may_be_missing(tmp_path, net):
    save_file(
        net.state_dict(),
        tmp_path / "net.safetensors",
        texts(temperature=None, training=None, metrics=None, not_sure=None),
    )
    header = load_net(tmp_path / "net.safetensors")[1]
    assert (header.temperature, header.not_sure) == (1, 0)


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


def test_tensors_are_read_by_the_names_of_the_net(path):
    state, header = read_weights(path)
    assert header.classes == class_names(6)
    assert set(state) == set(make_net().state_dict())
