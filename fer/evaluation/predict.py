"""A net over a table of faces: raw logits, batch by batch, in float32, on any device; no Lightning.

Whatever maps images to logits can be evaluated: a net of ours behind `classifier`, or another program's session.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fer.data.table import Table
from fer.evaluation.outputs import Outputs
from fer.header import Header
from fer.models.inputs import average_logits, normalise, views

BATCH = 256

Classifier = Callable[[Tensor], Tensor]  # images (B, H, W) uint8 -> logits (B, C), on the same device


def classifier(net: nn.Module, header: Header, view: str = "none") -> Classifier:
    """Return a net with its normalisation before it, and test-time augmentation around it if asked for.

    Args:
        net: maps (B, 1, H, W) to logits (B, C).
        header: its normalisation.
        view: "none", "flip" or "tencrop" (`fer.models.inputs.views`); the views' probabilities are averaged.
    """

    def classify(images: Tensor) -> Tensor:
        inputs = normalise(images, header.mean, header.std).contiguous(memory_format=torch.channels_last)
        if view == "none":
            return net(inputs)
        return average_logits([net(part) for part in views(inputs, view)])

    return classify


@torch.no_grad()  # not inference_mode, whose tensors nobody may change
def predict(classify: Classifier, table: Table, device: torch.device | str = "cpu", batch: int = BATCH) -> Outputs:
    """Return what a net says of every face of a table.

    Args:
        classify: images to logits, as `classifier` makes it; of a net in eval mode, which is on `device`.
        table: N faces, N at least 1.
        device: where the images are brought.
        batch: faces at a time.

    Returns:
        Raw logits, no temperature applied, with targets and rows, on the CPU, in the order of rows.
    """
    order = torch.from_numpy(table.rows).argsort(stable=True)
    images, logits = torch.from_numpy(table.images), []
    with torch.autocast(torch.device(device).type, enabled=False):
        for part in order.split(batch):
            logits.append(classify(images[part].to(device)).float().cpu())
    return Outputs(torch.cat(logits), torch.from_numpy(table.labels)[order], torch.from_numpy(table.rows)[order])
