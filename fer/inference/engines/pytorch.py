"""A weights file in PyTorch, on all its devices and with all explainers."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from fer.errors import UserError
from fer.header import Header
from fer.inference.engines import Maps, require_name
from fer.models.cam import EXPLAINERS, explain, features_of, layer_count
from fer.models.inputs import normalise
from fer.weights import load_net

DEVICES = ("auto", "cpu", "cuda", "mps")


class TorchEngine:
    """A net in eval mode, which becomes the engine's own; see `fer.inference.engines.Engine`.

    In a forked process torch's own threads are missing, and it hangs; spawned ones may get a copy.
    """

    explainers = tuple(EXPLAINERS)

    def __init__(self, net: nn.Module, header: Header, device: torch.device) -> None:
        # On CPUs channels_last saves most where it counts: on one thread a single face takes 3.4 ms instead of 6.1
        # (batches of 2 to 16 up to 15 % longer), on two threads batches of 1 to 16 take 15 to 20 % less.
        layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        self.net = net.requires_grad_(False).to(device, memory_format=layout)
        self.header, self.device, self.layers = header, device, layer_count(net)

    def probabilities(self, faces: np.ndarray) -> np.ndarray:
        """See `Engine`."""
        return self.with_maps(faces, "none")[0]

    @torch.inference_mode()
    def with_maps(self, faces: np.ndarray, explainer: str, layer: int | None = None) -> tuple[np.ndarray, Maps]:
        """See `Engine`."""
        inputs = normalise(torch.tensor(faces).to(self.device), self.header.mean, self.header.std)
        features = features_of(self.net, inputs, explainer, layer)
        logits = self.net.forward_head(features.last)  # (N, K)

        @torch.inference_mode()
        def maps(labels: np.ndarray) -> np.ndarray:
            return explain(explainer, self.net, features, torch.from_numpy(labels).to(self.device))

        return (logits / self.header.temperature).softmax(1).cpu().numpy(), maps

    def why_not(self, explainer: str) -> str:
        """See `Engine`."""
        return f"expected one of {', '.join(self.explainers)}"

    def why_no_layer(self) -> str:
        """See `Engine`."""
        return f"expected one of the net's layers, from 1 to {self.layers}, or null for the last"


def load_torch_engine(path: Path, device: str | torch.device, threads: int | None) -> tuple[TorchEngine, Header]:
    """Return the engine of a weights file, and its header; see `load_engine`."""
    if threads:
        torch.set_num_threads(threads)  # of the whole process: torch has no others
    with torch.inference_mode(False):  # tensors born in that mode have no gradients, which explainers need
        net, header = load_net(path)
        return TorchEngine(net, header, torch_device(device)), header


def torch_device(name: str | torch.device) -> torch.device:
    """Return a device that works.

    Raises:
        UserError: if there is none of that name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    require_name("device", str(name).partition(":")[0], DEVICES, _why_no_device)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"device={name}: expected a device that torch can use here, but it cannot ({reason}): use device=auto"
        ) from None
    return device


def _why_no_device(kind: str) -> str:
    known = ", ".join(DEVICES)
    return f"expected one of {known} for a .safetensors file, but {kind} is ONNX Runtime's: take the .onnx file"
