"""How a face is drawn: its features as polygons in the head's own coordinates, posed and filled.

All faces are laid out at once with numpy: an array is (N, P, K) for N faces, P parts (1, or the left and the right
one) and K points along an outline, or what broadcasts to that; a trait or an action is (N, 1, 1). Only the filling of
the polygons loops over the faces. The head is an ellipse of half-width 0.75 and half-height 1 around (0, 0), with y
pointing down.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np

SUPERSAMPLING = 3  # polygons are filled on a grid this many times finer and averaged down: smooth edges
FRACTION_BITS = 4  # OpenCV takes coordinates as integers in 1/16 of a pixel

SIDES = np.array([-1.0, 1.0])[:, None]  # (P, 1): left and right of the image
ALONG = np.linspace(0, 1, 7)  # from the inner to the outer end of a stroke
ACROSS = np.linspace(-1, 1, 9)  # from the left to the right end of a lid or lip
AROUND = np.linspace(0, 2 * np.pi, 20, endpoint=False)
EYE_X, EYE_Y, EYE_HALF_WIDTH = 0.33, -0.1, 0.19
MOUTH_Y = 0.52


class Shape(NamedTuple):
    """One polygon (or a pair) of every face.

    Attributes:
        outline: (N, P, K, 2) in head coordinates, or what broadcasts to it.
        shade: (N, 1, 1) gray level, 0 to 255.
        shown: (N, 1, 1) bool, the faces that have it.
    """

    outline: np.ndarray
    shade: np.ndarray
    shown: np.ndarray | bool = True


def outline(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return points (..., K, 2) of broadcast coordinates."""
    return np.stack(np.broadcast_arrays(x, y), -1)


def ellipse(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the outline of an axis-parallel ellipse with half-axes `a` and `b`."""
    return outline(x + a * np.cos(AROUND), y + b * np.sin(AROUND))


def between(x: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return the outline of the area between two curves over the same `x`."""
    x, upper, lower = np.broadcast_arrays(x, upper, lower)
    return outline(np.concatenate((x, x[..., ::-1]), -1), np.concatenate((upper, lower[..., ::-1]), -1))


def stroke(x: np.ndarray, y: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Return the outline of a brush stroke along a curve; `width` may vary along it."""
    path = outline(x, y)
    tangent = np.gradient(path, axis=-2)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-6
    offset = tangent[..., ::-1] * (-0.5, 0.5) * (np.zeros(path.shape[:-1]) + width)[..., None]
    return np.concatenate((path + offset, (path - offset)[..., ::-1, :]), -2)


def head(trait: SimpleNamespace) -> Iterator[Shape]:
    """Hair behind the head, neck and clothes, ears, skin, hair in front."""
    skin, hair = trait.skin, trait.hair
    x, y = np.cos(AROUND), np.sin(AROUND)
    long = trait.style > 0.6
    yield Shape(ellipse(0, 0.1, 0.86 + trait.volume, 1.15 + trait.volume), hair * 0.8, long)
    yield Shape(outline(x * 1.5, 1.75 + y * 0.62), trait.clothes)
    yield Shape(outline(x * 0.4, 0.9 + y * 0.5), skin * 0.75)
    yield Shape(ellipse(SIDES * 0.75, 0.02, 0.11, 0.2), skin * 0.85, ~long)
    jaw = np.where(y > 0, np.abs(x) ** trait.jaw * np.sign(x), x)
    yield Shape(outline(0.76 * jaw, y), skin)
    rim = np.sqrt(np.maximum(0, 1 - ACROSS**2))
    crescent = between(ACROSS, 0.74 * rim, (0.68 - 0.25 * trait.shadow) * rim)[..., ::-1]  # x and y swapped
    yield Shape(crescent * outline(np.sign(trait.light_side), 1), skin * 0.92)
    arc = np.linspace(np.pi, 2 * np.pi, 13)
    top_x, top_y = (0.78 + trait.volume) * np.cos(arc), (1.03 + trait.volume) * np.sin(arc) + 0.02
    line = trait.hairline - 0.12 * np.cos(2 * np.cos(arc)) + trait.parting * np.sin(3 * np.cos(arc))
    fringe = np.maximum(top_y, line + trait.sides * np.cos(arc) ** 6)
    yield Shape(between(top_x, top_y, fringe), hair, trait.style > 0.12)


def wrinkles(trait: SimpleNamespace, action: SimpleNamespace) -> Iterator[Shape]:
    """Folds that the actions press into the skin: forehead, between the brows, across the nose, beside the mouth."""
    lift, skin, width = action.inner + action.outer, trait.skin, 0.022
    for y in (-0.62, -0.53):
        across = y - 0.04 * (1 - ACROSS**2) - 0.03 * lift
        yield Shape(stroke(0.3 * ACROSS, across, width), skin * (1 - 0.16 * lift), lift > 0.6)
    x = SIDES * (0.045 + 0.01 * ALONG)
    yield Shape(stroke(x, -0.36 + 0.16 * ALONG, width * 1.3), skin * (1 - 0.35 * action.lower), action.lower > 0.4)
    for y in (-0.12, -0.04):
        across = y + 0.03 * ACROSS**2
        yield Shape(stroke(0.09 * ACROSS, across, width), skin * (1 - 0.35 * action.wrinkle), action.wrinkle > 0.4)
    deep = np.maximum(action.smile, action.wrinkle)
    x = SIDES * (0.16 + (0.17 + 0.07 * action.smile) * ALONG**0.7)
    y = 0.24 - 0.05 * action.wrinkle + 0.3 * ALONG**1.4
    yield Shape(stroke(x, y, width * 1.2), skin * (0.97 - 0.25 * deep))
    cheek = ellipse(SIDES * 0.42, 0.17 - 0.03 * action.cheek, 0.14, 0.09)
    yield Shape(cheek, skin * (1 + 0.07 * action.cheek), action.cheek > 0.3)


def brows(trait: SimpleNamespace, action: SimpleNamespace) -> Iterator[Shape]:
    """Brows that rise at either end, arch, or are drawn down and together."""
    inner, outer, lower = (getattr(action, name) * (1 + trait.lean * SIDES) for name in ("inner", "outer", "lower"))
    x = SIDES * (0.13 - 0.05 * lower * (1 - ALONG) + 0.4 * ALONG)
    rest = trait.brow_y - trait.arch * np.sin(np.pi * ALONG) + trait.brow_tilt * (ALONG - 0.4)
    raised = (
        0.21 * inner * (1 - ALONG) ** 1.3 + 0.18 * outer * ALONG**0.8 + 0.06 * inner * outer * np.sin(np.pi * ALONG)
    )
    y = rest - raised + lower * (0.03 + 0.14 * (1 - ALONG) ** 1.2) + 0.05 * action.wrinkle
    yield Shape(stroke(x, y, trait.brow_width * (1 - 0.65 * ALONG**1.5)), trait.hair * 0.8)


def eyes(trait: SimpleNamespace, action: SimpleNamespace) -> Iterator[Shape]:
    """Sockets, eyeballs cut by the lids, irises, and the lids' edges."""
    skin = trait.skin
    squint = action.tight + 0.5 * action.wrinkle
    up = 0.115 * trait.eye_size * (1 + 0.5 * action.wide - 0.45 * squint - 0.25 * action.cheek - 0.25 * action.droop)
    low = 0.075 * trait.eye_size * (1 + 0.4 * action.wide - 0.5 * squint) - 0.09 * action.cheek

    def lids(across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rim = 1 - across**2
        slope = (trait.eye_tilt + 0.05 * action.droop) * across * SIDES
        upper = EYE_Y + slope - up * rim**0.75 + 0.03 * action.droop * np.maximum(across * SIDES, 0)
        return upper, np.maximum(upper + 0.018, EYE_Y + slope + low * rim)

    x, (upper, lower) = EYE_X * SIDES + EYE_HALF_WIDTH * ACROSS, lids(ACROSS)
    yield Shape(ellipse(EYE_X * SIDES, EYE_Y - 0.04, 0.24, 0.16), skin * trait.socket)
    yield Shape(between(x, upper, lower), 195 + 0.2 * skin)
    for radius, shade in ((0.095, trait.iris), (0.047, 0.3 * trait.iris)):
        gaze = trait.gaze + radius * np.cos(AROUND)
        ball = EYE_Y - 0.015 + radius * np.sin(AROUND)
        yield Shape(outline(EYE_X * SIDES + gaze, np.clip(ball, *lids(gaze / EYE_HALF_WIDTH))), shade)
    yield Shape(stroke(x, upper, 0.03 * (1 - 0.5 * ACROSS**2)), np.minimum(skin * 0.4, 60))
    yield Shape(stroke(x, lower, 0.014), skin * 0.65)
    yield Shape(stroke(x, upper - 0.045 - 0.02 * action.droop, 0.016), skin * 0.72, action.wide < 0.7)


def nose(trait: SimpleNamespace, action: SimpleNamespace) -> Iterator[Shape]:
    """A shaded flank, the wings' edge and the nostrils; a wrinkled nose is shorter and wider."""
    width, base = trait.nose_width * (1 + 0.18 * action.wrinkle), trait.nose_y - 0.06 * action.wrinkle
    flank = np.concatenate((ALONG * 0, ALONG[::-1]))
    y = np.concatenate((ALONG, ALONG[::-1])) * (base + 0.12) - 0.12
    yield Shape(outline(np.sign(trait.light_side) * (0.05 + flank * width * 0.8), y), trait.skin * 0.88)
    y = base - 0.07 * ACROSS**2 + 0.015 * np.cos(3 * np.pi * ACROSS)
    yield Shape(stroke(width * ACROSS, y, 0.024), trait.skin * 0.66)
    yield Shape(ellipse(SIDES * width * 0.5, base - 0.015, 0.038, 0.02), trait.skin * 0.4)


def beard(trait: SimpleNamespace) -> Iterator[Shape]:
    """Stubble or a full beard around the mouth, and a moustache."""
    shade = trait.skin + (trait.hair - trait.skin) * trait.beard_depth
    edge = 0.74 * ACROSS * (1 - 0.05 * ACROSS**2)
    chin = np.sqrt(np.maximum(0, 1 - (0.92 * ACROSS) ** 2)) * 1.0
    top = 0.1 + 0.27 * (1 - ACROSS**2) ** 0.4
    yield Shape(between(edge * 0.98, np.minimum(top, chin), chin), shade, trait.beard > 0.86)
    moustache = 0.36 + 0.1 * ACROSS**2
    yield Shape(between(0.3 * ACROSS, moustache, moustache + 0.1 - 0.06 * ACROSS**2), shade * 0.95, trait.beard > 0.8)


def mouth(trait: SimpleNamespace, action: SimpleNamespace) -> Iterator[Shape]:
    """Lips, the opening between them, teeth and tongue."""
    lean = 1 + 1.5 * trait.lean * ACROSS
    rim = np.maximum(0, 1 - ACROSS**2) ** (0.5 - 0.2 * action.square)
    half_width = trait.mouth_width * (1 + 0.3 * action.smile + 0.28 * action.stretch)
    corners = 0.19 * (action.frown - action.smile) * lean + trait.mouth_curve
    raised = 0.09 * action.wrinkle * lean * (1 - 0.4 * ACROSS**2)
    middle = MOUTH_Y + corners * (ACROSS**2 - 0.4) - raised
    gap = 0.4 * action.open * rim
    upper, lower = middle - 0.4 * gap, middle + 0.6 * gap + 0.4 * raised * (action.open > 0.1)
    lip = trait.lips * (1 - 0.75 * action.press) * (1 - ACROSS**2) ** 0.6
    bow = 1 - 0.2 * np.exp(-((ACROSS / 0.2) ** 2))
    x = half_width * ACROSS
    yield Shape(between(x, upper - 0.8 * lip * bow, lower + lip), trait.skin * trait.lip_shade)
    yield Shape(between(x, upper, lower + 0.012), np.minimum(trait.skin * 0.35, 45))
    bottom = np.maximum(upper, np.minimum(lower, upper + action.teeth * 0.2))
    yield Shape(between(0.9 * x, upper, bottom), 190 + 0.2 * trait.skin, (action.open > 0.15) & (action.teeth > 0.15))
    tongue = lower - 0.35 * gap * (1 - ACROSS**2)
    yield Shape(between(0.6 * x, tongue, lower), trait.skin * 0.55, (action.open > 0.5) & (action.teeth < 0.6))
    shadow = MOUTH_Y + 0.2 + 0.25 * action.open
    yield Shape(stroke(0.13 * ACROSS, shadow + 0.02 * ACROSS**2, 0.03), trait.skin * 0.85)


def glasses(trait: SimpleNamespace) -> Iterator[Shape]:
    """Round or squarish frames, bridge and temples."""
    shown, frame = trait.glasses > 0.85, trait.frame
    ring = np.append(AROUND, 0)
    x = np.sign(np.cos(ring)) * np.abs(np.cos(ring)) ** trait.roundness
    y = np.sign(np.sin(ring)) * np.abs(np.sin(ring)) ** trait.roundness
    width = 0.035
    yield Shape(stroke(SIDES * 0.32 + 0.23 * x, EYE_Y + 0.02 + 0.18 * y, width), frame, shown)
    yield Shape(stroke(0.09 * ACROSS, EYE_Y - 0.02 + 0.02 * ACROSS**2, width), frame, shown)
    yield Shape(stroke(SIDES * (0.55 + 0.2 * ALONG), EYE_Y, width), frame, shown)


def covers(trait: SimpleNamespace) -> Iterator[Shape]:
    """What may hide a part of the face: a hand with four fingers, or a bar across it."""
    hand, shade = trait.cover > 0.93, trait.skin * 0.9
    x, y = trait.hand_x, trait.hand_y
    yield Shape(ellipse(x, y + 0.3, 0.3, 0.36), shade, hand)
    for finger in range(4):
        left = x - 0.3 + 0.17 * finger
        path = left + 0.12 + 0.06 * (finger - 1.5) * ALONG
        yield Shape(
            stroke(path, y + 0.2 - 0.55 * ALONG, 0.14 * (1 - 0.3 * ALONG**4)), shade * (0.97 + 0.02 * finger), hand
        )
    bar = stroke(1.6 * ACROSS, trait.bar_y + trait.bar_slope * ACROSS, 0.2)
    yield Shape(bar, trait.clothes, trait.cover < 0.05)


def portrait(trait: SimpleNamespace, action: SimpleNamespace) -> Iterator[Shape]:
    """Yield every shape of the faces, from back to front."""
    yield from head(trait)
    yield from beard(trait)
    for feature in (wrinkles, nose, eyes, brows, mouth):
        yield from feature(trait, action)
    yield from glasses(trait)
    yield from covers(trait)


def pose(points: np.ndarray, trait: SimpleNamespace) -> np.ndarray:
    """Turn points (N, P, K, 2) of the head's front as a ball would turn, then rotate, scale and shift them.

    Returns:
        Points in units of the image, 0 to 1 from edge to edge.
    """
    x, y = points[..., 0], points[..., 1]
    depth = 0.75 * np.sqrt(np.maximum(0, 1 - (x / 0.76) ** 2 - y**2))
    x = x * np.cos(trait.yaw) + depth * np.sin(trait.yaw)
    y = y * np.cos(trait.pitch) + depth * np.sin(trait.pitch)
    cos, sin = np.cos(trait.roll) * trait.scale, np.sin(trait.roll) * trait.scale
    return outline(0.5 + trait.shift_x + x * cos - y * sin, 0.5 + trait.shift_y + x * sin + y * cos)


def fill(shapes: list[Shape], background: np.ndarray, size: int) -> np.ndarray:
    """Fill the posed shapes over backgrounds of one shade each; return images (N, size, size) uint8."""
    fine = size * SUPERSAMPLING
    grid = [np.rint((shape.outline * fine - 0.5) * 2**FRACTION_BITS).astype(np.int32) for shape in shapes]
    count = len(background)
    shades = [np.clip(np.broadcast_to(s.shade, (count, 1, 1))[:, 0, 0], 0, 255).tolist() for s in shapes]
    shown = [np.broadcast_to(s.shown, (count, 1, 1))[:, 0, 0].tolist() for s in shapes]
    canvas, images = np.empty((fine, fine), np.uint8), np.empty((count, size, size), np.uint8)
    for i in range(count):
        canvas[:] = background[i]
        for outlines, shade, there in zip(grid, shades, shown, strict=True):
            if there[i]:
                cv2.fillPoly(canvas, outlines[i], shade[i], shift=FRACTION_BITS)
        cv2.resize(canvas, (size, size), dst=images[i], interpolation=cv2.INTER_AREA)
    return images
