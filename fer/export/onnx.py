"""From a weights file to one ONNX file that says all about itself, and that is proven before it is written."""

import json
from pathlib import Path
from typing import NamedTuple

from fer.atomic import whole_file
from fer.errors import UserError
from fer.export.graph import Answer, make_model
from fer.export.proof import LIMIT, Proof, prove
from fer.extras import require
from fer.faces.schema import usual_crop
from fer.header import ONNX_FORMAT, Header
from fer.paths import is_onnx
from fer.terms import NOT_FOR, licence_of
from fer.weights import digest, load_net

GUIDE = (
    "faces (n, 1, S, S): gray from 0 to 255, cut out and resized by averaging. probabilities (n, K): of the classes in "
    "the metadata. maps (n, K, h, w): where a face speaks for a class, and below zero against it; gradcam: Grad-CAM's, "
    "coarser, with the logits less the bias as means. Metadata is JSON."
)


class Export(NamedTuple):
    """A file that was written, and how it compares; as text, what to say about it."""

    path: Path
    has_maps: bool
    proof: Proof

    def __str__(self) -> str:
        alone = "probabilities alone, since the net does not end in a mean and one linear layer"
        outputs = "probabilities and maps" if self.has_maps else alone
        return (
            f"{self.path}: {self.path.stat().st_size / 1e6:.1f} MB, {outputs}; {self.proof.milliseconds:.1f} ms a face "
            f"on one thread; differs from PyTorch by {self.proof.difference:.1g} at most (limit {LIMIT:g})"
        )


def export(weights: Path, output: Path) -> Export:
    """Write the ONNX file of a weights file.

    Its input `faces` is (N, 1, S, S) float32, gray from 0 to 255; its outputs are `probabilities` (N, K) and, of nets
    that end in the mean and one linear layer, `maps` (N, K, h, w) and, of those with layers, `gradcam` (N, K, h, w),
    which is coarser. Equal versions of the libraries write equal bytes.

    Args:
        weights: a .safetensors file, or the name of a net that comes with the project.
        output: a .onnx file.

    Raises:
        UserError: if a library is missing, or the weights cannot be read or exported, or there is no such folder.
        RunError: if the file does not answer as the net does, or cannot be written.
    """
    require("export")
    if not is_onnx(output) or not output.parent.is_dir():
        raise UserError(f"--output={output}: expected a .onnx file in a folder that is there")
    net, header = load_net(weights)
    answer = Answer(net.requires_grad_(False), header)
    try:
        model = make_model(answer)
    except ValueError as error:
        raise UserError(f"weights={weights}: expected a net that ONNX knows, but {error}") from error
    model.doc_string = GUIDE
    for key, value in entries(header, digest(weights)).items():
        model.metadata_props.add(key=key, value=value)
    content = model.SerializeToString(deterministic=True)
    proof = prove(content, answer)
    with whole_file(output, "wb") as file:
        file.write(content)
    return Export(output, answer.has_maps, proof)


def entries(header: Header, sha256: str) -> dict[str, str]:
    """Return a file's metadata: the weights file's header, and what other programs have to know beside it."""
    crop = usual_crop()
    more = {
        "crop": {"margin": crop.margin, "shift": crop.shift},
        "weights_sha256": sha256,
        "licence": licence_of(header.training),
        "not_for": NOT_FOR,
    }
    return {"format": ONNX_FORMAT} | header.texts() | {name: json.dumps(value) for name, value in more.items()}
