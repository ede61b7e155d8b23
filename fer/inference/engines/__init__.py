"""What runs a net: the file decides. ONNX Runtime runs .onnx files, PyTorch .safetensors; each is imported when needed.

To add one: a file beside this one with a class that does what `Engine` says, and its kind of file in `load_engine`.
"""

import os
from collections.abc import Callable
from typing import Any, Protocol, get_args

import numpy as np

from fer.config.messages import nearest
from fer.errors import UserError
from fer.extras import require
from fer.header import Header, read_header
from fer.paths import is_onnx, resolve_weights

Maps = Callable[[np.ndarray], np.ndarray]  # of labels (N,) int64: a map (N, h, w) float32 each, not scaled yet


class Engine(Protocol):
    """Runs one net, any number of faces at once; threads may share it.

    Attributes:
        device: where it runs.
        explainers: what makes its heatmaps, the usual one first.
        layers: of the net, among which one can be chosen to be explained; 0 if there is no choice.
    """

    device: Any
    explainers: tuple[str, ...]
    layers: int

    def probabilities(self, faces: np.ndarray) -> np.ndarray:
        """Return the probabilities (N, K) float32 of faces (N, S, S) uint8 gray, N at least 1."""

    def with_maps(self, faces: np.ndarray, explainer: str, layer: int | None = None) -> tuple[np.ndarray, Maps]:
        """Return the probabilities, and what explains them by one of `explainers`, from the same pass.

        The layer is one of `layers`, counted from 1; None for the last.
        """

    def why_not(self, explainer: str) -> str:
        """Return why there is no such explainer here, from "expected" on, and what to do."""

    def why_no_layer(self) -> str:
        """Return which layers can be explained here, from "expected" on."""


def load_engine(word: str | os.PathLike[str], device: Any, threads: int | None) -> tuple[Engine, Header]:
    """Return what runs a weights file, and the file's header.

    Args:
        word: its path, or the name of a net that comes with the project, which is its .onnx file.
        device: as for `fer.Predictor.load`.
        threads: on the CPU; None leaves them to the library.

    Raises:
        UserError: if the file or the device cannot be used, or the library is missing.
    """
    path = resolve_weights(word, ".onnx")
    if is_onnx(path):
        from fer.inference.engines.onnx import OnnxEngine

        header = read_header(path)
        return OnnxEngine(path, header, str(device), threads), header
    read_header(path)  # what is wrong with the file is told without torch, too
    require("train", "torch", "pytorch_grad_cam", of=f"weights={word}")
    from fer.inference.engines.pytorch import load_torch_engine

    return load_torch_engine(path, device, threads)


def require_name(key: str, value: str, here: tuple[str, ...], why: Callable[[str], str]) -> None:
    """Make sure that an engine has a device or an explainer.

    Args:
        key: of conf/infer.yaml, whose schema knows the names of all engines.
        value: the name.
        here: those of this engine.
        why: says of a name of another engine why it is none of this one's, from "expected" on.

    Raises:
        UserError: with the nearest name, or what `why` says.
    """
    if value in here:
        return
    from fer.inference.schema import Explainer, InferConfig  # late: a correct name needs no schema

    known = Explainer.model_fields["name"] if key == "explainer" else InferConfig.model_fields[key]
    if value in get_args(known.annotation):
        raise UserError(f"{key}={value}: {why(value)}")
    raise UserError(f"{key}={value}: expected one of {', '.join(here)}{nearest(str(value), here)}")
