"""A net's ONNX file in ONNX Runtime, without torch: maps are in the file, of gated Grad-CAM and of Grad-CAM."""

from pathlib import Path
from typing import Any

import numpy as np

from fer.errors import UserError, printable
from fer.extras import how
from fer.header import Header
from fer.inference.engines import Maps, require_name
from fer.onnx_runtime import import_onnxruntime
from fer.paths import WEIGHTS

PROVIDERS = {  # of each device: what ONNX Runtime calls it, and the package that brings it
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu in the place of onnxruntime"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on a Mac"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino in the place of onnxruntime"),
}
DEVICES = ("auto", *PROVIDERS)
FATAL = 4  # ONNX Runtime logs nothing less: what goes wrong is raised, too, and told in a sentence


class OnnxEngine:
    """An ONNX file of `python -m fer.export`; see `fer.inference.engines.Engine`. Other processes load it again.

    Args:
        path: the file.
        header: its header.
        device: one of `DEVICES`; "cuda:1" is the second GPU.
        threads: on the CPU; None takes a thread a core.

    Raises:
        UserError: if the file is damaged or does not fit its header, or the device cannot be used.
    """

    layers = 0

    def __init__(self, path: Path, header: Header, device: str, threads: int | None) -> None:
        self.path, self.header, self.wanted, self.threads = path, header, device, threads
        self.session = self._start(*_provider(device))
        self.device = next(kind for kind, (name, _) in PROVIDERS.items() if name == self.session.get_providers()[0])
        self.maps = self._maps()
        self.explainers = tuple(self.maps)

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxEngine, (self.path, self.header, self.wanted, self.threads)

    def probabilities(self, faces: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        return self._run(["probabilities"], faces)[0]

    def with_maps(self, faces: np.ndarray, explainer: str, layer: int | None = None) -> tuple[np.ndarray, Maps]:
        """See `Engine`; the mathematics stand at the top of `fer.models.cam`."""
        probabilities, maps = self._run(["probabilities", self.maps[explainer]], faces)  # (N, K), (N, K, h, w)
        return probabilities, lambda labels: maps[np.arange(len(maps)), labels]

    def why_not(self, explainer: str) -> str:
        """See `Engine`."""
        here = f"one of {', '.join(self.explainers)}, none" if self.explainers else "none"
        return f"expected {here}, as {self.path.name} holds no others: {self._elsewhere()}"

    def why_no_layer(self) -> str:
        """See `Engine`."""
        return f"expected null, as {self.path.name} holds the maps of one layer: {self._elsewhere()}"

    def _elsewhere(self) -> str:
        source, project = self.path.with_suffix(".safetensors"), WEIGHTS.parent
        place = source.relative_to(project) if source.is_relative_to(project) else source
        file = f"weights={place}" if source.is_file() else "the .safetensors file that it was made from"
        return f"take {file}, for which PyTorch is needed ({how('train')})"

    def _run(self, names: list[str], faces: np.ndarray) -> list[np.ndarray]:
        try:
            return self.session.run(names, {"faces": faces[:, None].astype(np.float32)})
        except Exception as error:  # its own have no base in common
            raise self._cannot(error) from error

    def _start(self, provider: str, options: dict[str, str]) -> Any:
        onnxruntime = import_onnxruntime()
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = FATAL
        settings.intra_op_num_threads = self.threads or 0
        # Several threads wait for the next face by spinning: on two busy cores a face then took 17 ms of their time
        # instead of 6.5. One thread has nobody to wait for.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [(provider, options), "CPUExecutionProvider"] if options or "CPU" not in provider else [provider]
        try:
            session = onnxruntime.InferenceSession(str(self.path), settings, providers=providers)
        except Exception as error:
            raise self._cannot(error) from error
        if self.wanted != "auto" and provider not in session.get_providers():
            raise UserError(
                f"device={self.wanted}: expected a device that ONNX Runtime can use here, but its {provider} does not "
                "start, as something that it needs is missing: use device=auto"
            )
        return session

    def _maps(self) -> dict[str, str]:
        """Return the output of each explainer, if the inputs and outputs are those that the header speaks of.

        Files of before version 0.3, and of nets without layers, have Grad-CAM's as `maps`, and no others.
        """
        size, classes = self.header.input_size, len(self.header.classes)
        found = {place.name: place.shape[1:] for place in (*self.session.get_inputs(), *self.session.get_outputs())}
        wanted = {"faces": [1, size, size], "probabilities": [classes]}
        maps = {name: found.pop(name) for name in ("maps", "gradcam") if name in found}
        if found != wanted or any(len(shape) != 3 or shape[0] != classes for shape in maps.values()):
            raise UserError(
                f"weights={self.path}: expected a net of faces of {size} pixels and {classes} classes, as the file's "
                f"header says, but it has others ({printable(str(found))}): export it again"
            )
        if "gradcam" in maps:
            return {"gatedcam": "maps", "gradcam": "gradcam"}
        return {"gradcam": "maps"} if maps else {}

    def _cannot(self, error: Exception) -> UserError:
        reason = printable(str(error).strip().split("\n")[0])
        return UserError(
            f"weights={self.path}: expected a net that ONNX Runtime can run, but it cannot ({reason}): export it again"
        )


def _provider(device: str) -> tuple[str, dict[str, str]]:
    """Return what ONNX Runtime calls a device, and the options with which it is taken.

    Raises:
        UserError: if there is no such device here.
    """
    there = import_onnxruntime().get_available_providers()
    kind, _, number = device.partition(":")
    require_name("device", kind, DEVICES, _why_no_device)
    if kind == "auto":
        kind = "cuda" if PROVIDERS["cuda"][0] in there else "cpu"
    name, package = PROVIDERS[kind]
    if name not in there:
        raise UserError(
            f"device={device}: expected an ONNX Runtime with {name}, but this one has {', '.join(there)}: install "
            f"{package}, or use device=auto"
        )
    if number and (kind != "cuda" or not number.isdecimal()):
        raise UserError(f"device={device}: expected {kind}{', or cuda:1 for the second GPU' * (kind == 'cuda')}")
    return name, {"device_id": number} if number else {}


def _why_no_device(kind: str) -> str:
    known = ", ".join(DEVICES)
    return f"expected one of {known} for an .onnx file, but {kind} is PyTorch's: take the .safetensors file"
