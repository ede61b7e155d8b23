"""The built-in dataset: faces that the program draws itself, so that every command can be tried without a download.

An expression is a mix of facial actions, named after the Facial Action Coding System (Ekman & Friesen, 1978): inner
brow raised, brow lowered, lid tightened, lip corner pulled, ... Each emotion has two typical mixes; a face takes one of
them at a random intensity, on top of a random resting face, pose, light and dress. Weak expressions are ambiguous, so
no net reads all of them.
"""

from types import SimpleNamespace

import cv2
import numpy as np

from fer.data.synthetic_shapes import fill, portrait, pose
from fer.data.table import Split, Table
from fer.emotions import class_names
from fer.errors import UserError

# Columns of EXPRESSIONS, with the action units that they stand for.
ACTIONS = (
    "inner",  # inner brow raised, AU 1
    "outer",  # outer brow raised, AU 2
    "lower",  # brows lowered and drawn together, AU 4
    "wide",  # upper lid raised, AU 5
    "cheek",  # cheek raised, AU 6
    "tight",  # lids tightened, AU 7
    "droop",  # upper lid drooping, AU 43
    "wrinkle",  # nose wrinkled and upper lip raised, AU 9 and 10
    "smile",  # lip corners pulled up, AU 12
    "frown",  # lip corners pulled down, AU 15
    "stretch",  # lips stretched sideways, AU 20; below 0 puckered, AU 18
    "press",  # lips pressed, AU 24
    "open",  # jaw dropped, AU 25 to 27
    "square",  # opening square instead of round, AU 22
    "teeth",  # upper teeth bared
)
EXPRESSIONS = {
    #            inner outer lower wide cheek tight droop wrinkle smile frown stretch press open square teeth
    "angry": (
        (0.0, 0.1, 1.0, 0.2, 0.0, 0.6, 0.0, 0.1, 0.0, 0.3, -0.1, 1.0, 0.0, 0.0, 0.0),
        (0.0, 0.2, 1.0, 0.4, 0.0, 0.4, 0.0, 0.2, 0.0, 0.2, 0.1, 0.0, 0.5, 1.0, 0.9),
    ),
    "disgust": (
        (0.0, 0.0, 0.5, 0.0, 0.3, 0.6, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.4, 0.0, 0.4, 0.7, 0.0, 1.1, 0.0, 0.3, 0.1, 0.0, 0.35, 0.5, 0.6),
    ),
    "fear": (
        (1.0, 0.5, 0.5, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.9, 0.0, 0.3, 0.8, 0.5),
        (1.0, 0.6, 0.4, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.6, 0.0, 0.65, 0.8, 0.3),
    ),
    "happy": (
        (0.0, 0.1, 0.0, 0.0, 0.8, 0.0, 0.0, 0.0, 1.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0),
        (0.1, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.1, 0.0, 0.5, 0.0, 0.8),
    ),
    "sad": (
        (1.0, 0.0, 0.3, 0.0, 0.0, 0.1, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.8, 0.0, 0.5, 0.0, 0.2, 0.3, 0.6, 0.0, 0.0, 1.0, 0.1, 0.5, 0.0, 0.0, 0.0),
    ),
    "surprise": (
        (1.0, 1.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.7, 0.0, 0.6, 0.0, 0.0),
        (1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 1.0, 0.0, 0.3),
    ),
    "neutral": ((0.0,) * 15, (0.0,) * 15),
}

# The ranges of what a face is apart from its emotion: lengths in head units, angles in radians, shades in gray levels.
TRAITS = {
    "skin": (110, 225),
    "hair": (15, 100),
    "clothes": (20, 230),
    "iris": (25, 110),
    "frame": (10, 70),
    "style": (0, 1),
    "volume": (0.02, 0.16),
    "hairline": (-0.72, -0.5),
    "parting": (-0.09, 0.09),
    "sides": (0, 0.5),
    "jaw": (0.8, 1.15),
    "brow_y": (-0.37, -0.32),
    "brow_tilt": (-0.04, 0.04),
    "brow_width": (0.06, 0.12),
    "arch": (0.0, 0.07),
    "eye_size": (0.8, 1.2),
    "eye_tilt": (-0.02, 0.02),
    "gaze": (-0.03, 0.03),
    "socket": (0.86, 0.98),
    "nose_y": (0.2, 0.3),
    "nose_width": (0.13, 0.2),
    "light_side": (-1, 1),
    "shadow": (0, 1),
    "mouth_width": (0.28, 0.36),
    "mouth_curve": (-0.03, 0.03),
    "lips": (0.04, 0.085),
    "lip_shade": (0.55, 0.85),
    "lean": (-0.35, 0.35),
    "beard": (0, 1),
    "beard_depth": (0.15, 0.6),
    "glasses": (0, 1),
    "roundness": (0.4, 1),
    "cover": (0, 1),
    "hand_x": (-0.7, 0.7),
    "hand_y": (0.2, 0.9),
    "bar_y": (-0.9, 0.9),
    "bar_slope": (-0.5, 0.5),
    "yaw": (-0.3, 0.3),
    "pitch": (-0.12, 0.12),
    "roll": (-0.15, 0.15),
    "scale": (0.48, 0.58),
    "shift_x": (-0.05, 0.05),
    "shift_y": (-0.05, 0.05),
}
INTENSITY = (0.5, 1.1)  # of an expression; at the lower end emotions overlap
ACTION_NOISE = 0.1  # standard deviation of every action, in the same unit


def express(labels: np.ndarray, rng: np.random.Generator) -> SimpleNamespace:
    """Return each action of each face, (N, 1, 1), for labels (N,)."""
    table = np.array(list(EXPRESSIONS.values()))  # (7, 2, A)
    count = len(labels)
    actions = table[labels, rng.integers(0, 2, count)] * rng.uniform(*INTENSITY, (count, 1))
    actions += rng.normal(0, ACTION_NOISE, actions.shape)
    signed = np.array([name == "stretch" for name in ACTIONS])
    actions = np.where(signed, actions, np.maximum(actions, 0)).T[:, :, None, None]
    return SimpleNamespace(**dict(zip(ACTIONS, actions, strict=True)))


def photograph(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light faces (N, S, S) uint8 from one side, and add a camera's contrast, blur and noise."""
    count, size = images.shape[:2]
    angle, strength = rng.uniform(0, 2 * np.pi, (count, 1, 1)), rng.uniform(0, 0.35, (count, 1, 1))
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 + strength * (np.cos(angle) * ramp + np.sin(angle) * ramp[:, None])
    contrast, brightness = rng.uniform(0.75, 1.2, (count, 1, 1)), rng.uniform(100, 145, (count, 1, 1))
    photos = ((images * light - 128) * contrast + brightness).astype(np.float32)
    for photo, sigma in zip(photos, rng.uniform(0, 0.012 * size, count), strict=True):
        if sigma > 0.3:
            cv2.GaussianBlur(photo, (0, 0), sigma, dst=photo)
    photos += rng.standard_normal(photos.shape, np.float32) * rng.uniform(1, 7, (count, 1, 1)).astype(np.float32)
    return np.clip(np.rint(photos), 0, 255).astype(np.uint8)


def draw_faces(count: int, size: int, classes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw faces, as many of each emotion (give or take one), in random order.

    Args:
        count: number of faces N.
        size: edge of the square images in pixels.
        classes: 6, or 7 with neutral.
        seed: the same seed draws the same faces.

    Returns:
        Images (N, size, size) uint8, grayscale, and labels (N,) int64, indices into `fer.emotions.EMOTIONS`.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    trait = SimpleNamespace(**{name: rng.uniform(*limits, (count, 1, 1)) for name, limits in TRAITS.items()})
    shapes = [shape._replace(outline=pose(shape.outline, trait)) for shape in portrait(trait, express(labels, rng))]
    images = fill(shapes, rng.integers(10, 245, count), size)
    return photograph(images, rng), labels


def read_synthetic(
    size: int, classes: int = 6, train: int = 1500, val: int = 600, test: int = 600, seed: int = 0
) -> Table:
    """Draw a whole dataset; each split has its own seed, so its faces do not depend on the other splits' sizes.

    Args:
        size: edge of the images in pixels.
        classes: 6, or 7 with neutral.
        train: number of faces for fitting.
        val: number of faces for choosing.
        test: number of faces for the final reading.
        seed: the same seed draws the same faces.

    Raises:
        UserError: if there are other than 6 or 7 classes.
    """
    if classes not in (6, 7):
        raise UserError(
            f"the drawn faces have 6 classes, or 7 with neutral, but {classes} were asked for: ask for 6 or 7"
        )
    counts = {Split.TRAIN: train, Split.VAL: val, Split.TEST: test}
    drawn = [draw_faces(count, size, classes, len(Split) * seed + split) for split, count in counts.items()]
    images, labels = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
    return Table(
        images=images,
        targets=np.eye(classes, dtype=np.float32)[labels],
        splits=np.repeat(np.array(list(counts), np.uint8), list(counts.values())),
        rows=np.arange(len(images)),
        classes=class_names(classes),
    )
