"""How faithful heatmaps are: what becomes of a net's answer when the pixels that they point at go, or come first.

Petsiuk, Das & Saenko, RISE, 2018. Deletion: the most important pixels are replaced first, and the probability of the
predicted class should fall at once: the area below its curve should be small. Insertion: they come first into an empty
face, and the area should be large. What stands in their place is the face blurred, or its mean gray, as each leaves
traces of its own. Equal pixels, as the zeros of most maps are, come in a random order and not from the top left.

ROAD (Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, 2022) fills the holes from
their rims instead, so that their shape gives less away. It is grad-cam's own, which solves a system of equations for
each picture and threshold, and so looks at fewer faces.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from fer.header import Header
from fer.models.inputs import normalise

SHARES = np.array((0, 0.05, 0.15, 0.35, 0.65, 1))  # of the pixels; most happens at the first
CURVES = ("deletion, blurred", "deletion, gray", "insertion, blurred", "insertion, gray")
SIGNS = np.array((-1, -1, 1, 1))  # of what is better
BLUR = 8  # the face's side over the standard deviation of the blur: 6 of 48 pixels, which leaves no features
THRESHOLDS = [20, 40, 60, 80]  # per cent of the pixels that ROAD takes away

Answers = Callable[[Tensor], Tensor]  # faces (B, S, S) float32, gray 0 to 255 -> probabilities (B, K)


class Answering(nn.Module):
    """A net and its normalisation and temperature: faces (B, S, S) or (B, 1, S, S), 0 to 255, to probabilities."""

    def __init__(self, net: nn.Module, header: Header) -> None:
        super().__init__()
        self.net, self.header = net.to(memory_format=torch.channels_last), header  # as its inputs: a tenth faster

    @torch.inference_mode()
    def forward(self, faces: Tensor) -> Tensor:
        """Return the probabilities (B, K)."""
        inputs = normalise(faces.reshape(len(faces), *faces.shape[-2:]), self.header.mean, self.header.std)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        return (self.net(inputs) / self.header.temperature).softmax(1)


def blurred(images: np.ndarray) -> np.ndarray:
    """Return faces (B, S, S) without features, float32."""
    return np.stack([cv2.GaussianBlur(image.astype(np.float32), (0, 0), image.shape[0] / BLUR) for image in images])


def ranks(maps: np.ndarray, seed: int) -> np.ndarray:
    """Return the place of every pixel of maps (B, S, S) in its own, 0 for the most important; equal ones by chance."""
    flat = maps.reshape(len(maps), -1)
    chance = np.random.default_rng(seed).random(flat.shape)
    order = np.lexsort((chance, -flat), axis=1)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(flat.shape[1]), axis=1)
    return places.reshape(maps.shape)


class Perturbed:
    """Some faces, and the answers to what is left of them.

    Args:
        answers: the net's.
        images: (B, S, S) uint8.
        gray: the mean of all faces, 0 to 255.
        seed: of the order of equal pixels, and of ROAD's noise.

    Attributes:
        labels: (B,) int64, the predicted classes, whose probabilities are followed.
    """

    def __init__(self, answers: Answers, images: np.ndarray, gray: float, seed: int = 0) -> None:
        self.answers, self.images, self.seed = answers, torch.from_numpy(images).float(), seed
        self.empty = (torch.from_numpy(blurred(images)), torch.full_like(self.images, gray))
        probabilities = answers(self.images)
        self.labels = probabilities.argmax(1)
        self.whole = probabilities.amax(1)  # (B,)
        self.nothing = [self._probability(empty) for empty in self.empty]

    def curves(self, maps: np.ndarray) -> np.ndarray:
        """Return the probability (B, 4, 6) along `CURVES`, at each of `SHARES`, of heatmaps (B, S, S)."""
        places = torch.from_numpy(ranks(maps, self.seed))
        found = []
        for inserts in (False, True):
            for empty, nothing in zip(self.empty, self.nothing, strict=True):
                steps = [self._step(places, share, empty, inserts) for share in SHARES[1:-1]]
                ends = (nothing, self.whole) if inserts else (self.whole, nothing)
                found.append(torch.stack([ends[0], *steps, ends[1]], 1))
        return torch.stack(found, 1).numpy()

    def road(self, maps: np.ndarray) -> np.ndarray:
        """Return ROAD's score of each face, (B,): half of what the least important pixels leave above the most."""
        from pytorch_grad_cam.metrics.road import ROADCombined
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        pixels = maps[0].size
        importance = (1 - ranks(maps, self.seed) / pixels).astype(np.float32)  # equal pixels would leave nothing over
        targets = [ClassifierOutputTarget(label) for label in self.labels.tolist()]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # its noise is 0.01 of a gray level
            return ROADCombined(THRESHOLDS)(self.images[:, None], importance, targets, self.answers)

    def _step(self, places: Tensor, share: float, empty: Tensor, inserts: bool) -> Tensor:
        first = places < round(share * places[0].numel())
        return self._probability(torch.where(first == inserts, self.images, empty))

    def _probability(self, faces: Tensor) -> Tensor:
        return self.answers(faces).gather(1, self.labels[:, None])[:, 0]


def areas(curves: np.ndarray) -> np.ndarray:
    """Return the areas (B, 4) below curves (B, 4, 6)."""
    return np.trapezoid(curves, SHARES, axis=2)


def likeness(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation (B,) of heatmaps (B, S, S); 0 where one is of a single value."""
    first, second = (rankdata(values.reshape(len(values), -1), axis=1) for values in (maps, others))
    first, second = (values - values.mean(1, keepdims=True) for values in (first, second))
    scale = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return (first * second).sum(1) / np.maximum(scale, 1e-12)
