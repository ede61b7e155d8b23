"""Whether an ONNX model answers as its net does, on drawn faces and on noise, one and several at once."""

import time
from typing import Any, NamedTuple

import numpy as np
import torch

from fer.data.synthetic import draw_faces
from fer.errors import RunError
from fer.export.graph import INPUT, Answer
from fer.header import Header
from fer.models.cam import BEST, features_of, gate
from fer.models.inputs import normalise
from fer.onnx_runtime import import_onnxruntime

LIMIT = 1e-4  # largest difference of probabilities, and of maps as a share of their largest value, if that is over 1
COUNT = 7  # faces at once, beside one
ROUNDS = 30  # one face each


class Proof(NamedTuple):
    """How a model compares.

    Attributes:
        difference: the largest from PyTorch.
        milliseconds: for one face on one thread, the median.
    """

    difference: float
    milliseconds: float


def prove(model: bytes, answer: Answer) -> Proof:
    """Compare a model in ONNX Runtime, on the CPU, with its net in PyTorch.

    PyTorch goes the net's own way, by its head, so that equal probabilities also prove that the maps' means, the bias
    and the temperature make them.

    Raises:
        RunError: if they differ by more than `LIMIT`, and where, or if ONNX Runtime cannot run the model.
    """
    session = _load(model)
    size, worst = answer.header.input_size, 0.0
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, size, size), np.uint8)
    for kind, images in {"faces": draw_faces(COUNT, size)[0], "noise": noise}.items():
        for count in (1, COUNT):
            found = session.run(None, {INPUT: images[:count, None].astype(np.float32)})
            for name, difference in _differences(found, images[:count], answer).items():
                if not difference <= LIMIT:  # NaN is not, either
                    raise RunError(
                        f"expected ONNX Runtime to answer as PyTorch does, to {LIMIT:g}, but its {name} of {kind} "
                        f"(n = {count}) differ by {difference:.2g}: the ONNX file was not written"
                    )
                worst = max(worst, difference)
    one = images[:1, None].astype(np.float32)
    return Proof(worst, 1e3 * float(np.median([_seconds(session, one) for _ in range(ROUNDS)])))


def _load(model: bytes) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own have no base in common
        reason = str(error).strip().split("\n")[0]
        raise RunError(f"expected a net that ONNX Runtime can run, but it cannot ({reason})") from error


@torch.no_grad()
def _differences(found: list[np.ndarray], images: np.ndarray, answer: Answer) -> dict[str, float]:
    """Return the largest difference of each output, and of the probabilities from what the maps found make them."""
    net, header = answer.net, answer.header
    features = features_of(net, normalise(torch.from_numpy(images), header.mean, header.std), BEST)
    probabilities = _softmax(net.forward_head(features.last), header)
    differences = {"probabilities": _largest(found[0] - probabilities)}
    if answer.has_maps:
        maps = torch.einsum("kc,nchw->nkhw", net.head.weight, features.last)
        expected = [gate(maps, features.chosen), maps] if answer.gates else [maps]
        for name, one, values in zip(answer.outputs[1:], found[1:], expected, strict=True):
            differences[name] = _largest(one - values.numpy()) / max(1.0, _largest(values.numpy()))
        logits = torch.from_numpy(found[-1].mean((2, 3))) + net.head.bias
        differences["maps' means"] = _largest(found[0] - _softmax(logits, header))
    return differences


def _softmax(logits: torch.Tensor, header: Header) -> np.ndarray:
    return (logits / header.temperature).softmax(1).numpy()


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def _seconds(session: Any, face: np.ndarray) -> float:
    began = time.perf_counter()
    session.run(None, {INPUT: face})
    return time.perf_counter() - began
