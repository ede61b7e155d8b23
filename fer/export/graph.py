"""From a net to an ONNX model: gray faces in, probabilities and class activation maps out.

PyTorch has two exporters. The one that traces (`dynamo=False`) needs only the package onnx, takes half a second for our
nets instead of ten, and OpenCV's dnn reads what it makes. PyTorch keeps it beside the newer one, which is called here
if it ever goes: nothing else of ours knows of it.
"""

import io
import warnings
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer.header import Header
from fer.models.cam import BEST, features_of, gate, layer_count
from fer.models.inputs import normalise

if TYPE_CHECKING:
    import onnx

OPSET = 17  # what ONNX Runtime has known since 2022, and OpenCV 4 reads
INPUT = "faces"


class Answer(nn.Module):
    """Map gray faces (N, 1, S, S) float32 in [0, 255] to probabilities (N, K), and if it can to maps (N, K, h, w).

    Grad-CAM's maps are the features weighed by the head, class by class: signed, with the logits but for the bias as
    their means; what is shown is their positive part (see `fer.models.cam`). `maps` are these, gated by an earlier
    layer, with `gradcam` as they were beside them; of a net without layers, they are Grad-CAM's. Nets with more than
    the mean and one linear layer behind their features have none.

    Args:
        net: in eval mode.
        header: what its weights file says about it.

    Attributes:
        outputs: the names of what it returns.
    """

    def __init__(self, net: nn.Module, header: Header) -> None:
        super().__init__()
        self.net, self.header = net, header
        # Asked before a trace, which would record how timm's nets find out.
        self.has_maps, self.gates = net.pools_linearly, net.pools_linearly and layer_count(net) > 1
        self.outputs = ("probabilities", *["maps"] * self.has_maps, *["gradcam"] * self.gates)

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, in the order of `outputs`."""
        inputs = normalise(faces.squeeze(1), self.header.mean, self.header.std)
        features = features_of(self.net, inputs, BEST)
        if not self.has_maps:
            return (self._calibrated(self.net.forward_head(features.last)),)
        maps = F.conv2d(features.last, self.net.head.weight[:, :, None, None])
        probabilities = self._calibrated(maps.mean((2, 3)) + self.net.head.bias)
        return (probabilities, gate(maps, features.chosen), maps) if self.gates else (probabilities, maps)

    def _calibrated(self, logits: Tensor) -> Tensor:
        return (logits / self.header.temperature).softmax(1)


def make_model(answer: Answer) -> "onnx.ModelProto":
    """Return the ONNX model of a net, of any number of faces at once, its weights in half precision if that is exact.

    Raises:
        ValueError: if the net has something that ONNX does not know, and what.
    """
    import onnx

    size, names = answer.header.input_size, list(answer.outputs)
    file = io.BytesIO()
    # It warns of the newer exporter, and of the one way through the net that a trace keeps; of a net that it cannot
    # export, it prints all it knows.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                answer.eval(),
                (torch.zeros(2, 1, size, size),),
                file,
                dynamo=False,
                opset_version=OPSET,
                # Otherwise batch norms are folded into the convolutions, whose weights half precision then rounds.
                # ONNX Runtime folds them when it loads the file.
                training=torch.onnx.TrainingMode.PRESERVE,
                input_names=[INPUT],
                output_names=names,
                dynamic_axes={name: {0: "n"} for name in (INPUT, *names)},
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise ValueError(str(error).strip().split("\n")[0]) from error
    model = onnx.load_from_string(file.getvalue())
    _say_shapes(model.graph, answer)
    _halve(model.graph)
    return model


@torch.no_grad()
def _say_shapes(graph: "onnx.GraphProto", answer: Answer) -> None:
    """Write the sizes of the outputs, which a trace does not know behind an enlargement."""
    size = answer.header.input_size
    for place, values in zip(graph.output, answer(torch.zeros(2, 1, size, size)), strict=True):
        for dimension, number in list(zip(place.type.tensor_type.shape.dim, values.shape, strict=True))[1:]:
            dimension.dim_value = number


def _halve(graph: "onnx.GraphProto") -> None:
    """Keep weights that half precision holds to the last digit as such, cast back where the graph begins."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.ndim < 2:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half, values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
