"""HDR and wide colours become what a usual screen shows: three look-ups or products a pixel, all in 16 bits.

Light is counted in shares of white: HDR's reference white (203 cd/m2, BT.2408) is the white of an SDR clip, so that the
same face looks the same in both. What is brighter is pressed together above three quarters of white, up to the 1,000
cd/m2 that HLG and nearly all PQ clips end at; below, nothing changes.
"""

from functools import lru_cache

import cv2
import numpy as np

PQ, HLG = 16, 18  # transfers in ITU-T H.273
BT2020, P3, UNKNOWN = 9, 12, 2  # primaries there
WHITE, PEAK = 203.0, 1000.0  # cd/m2
KNEE = 0.75  # of white
LEVELS = np.arange(65536) / 65535
# Primaries -> linear light in BT.709's: from BT.2020 by BT.2087, from P3 with the white of D65.
TO_BT709 = {
    BT2020: ((1.6605, -0.5877, -0.0728), (-0.1246, 1.1330, -0.0084), (-0.0182, -0.1006, 1.1187)),
    P3: ((1.2249, -0.2249, 0.0), (-0.0420, 1.0420, 0.0), (-0.0196, -0.0786, 1.0982)),
}


def is_plain(transfer: int, primaries: int) -> bool:
    """Tell whether pictures are for a usual screen as they are; the codes are those of H.273."""
    return transfer not in (PQ, HLG) and primaries not in TO_BT709


def to_screen(image: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Return a picture as a usual screen shows it.

    Args:
        image: (H, W, 3) uint16, red-green-blue, full range.
        transfer, primaries: the codes of H.273.

    Returns:
        (H, W, 3) uint8, blue-green-red, with sRGB's curve, which is how computers show BT.709.
    """
    light, shown = _tables(transfer)
    primaries = BT2020 if primaries == UNKNOWN else primaries
    matrix = np.array(TO_BT709.get(primaries, np.eye(3)), np.float32)[::-1]
    return cv2.LUT(cv2.transform(cv2.LUT(image, light), matrix), shown)


@lru_cache(4)
def _tables(transfer: int) -> tuple[np.ndarray, np.ndarray]:
    """Return level -> light (65536,) uint16, of `most` at 65535, and light -> what is shown of it (65536,) uint8."""
    hdr = transfer in (PQ, HLG)
    most = PEAK / WHITE if hdr else 1.0
    light = {PQ: _pq, HLG: _hlg}.get(transfer, _srgb)(LEVELS)
    shown = _inverse_srgb(_pressed(LEVELS * most) if hdr else LEVELS)
    return np.rint(65535 * np.minimum(light / most, 1)).astype(np.uint16), np.rint(255 * shown).astype(np.uint8)


def _pq(level: np.ndarray) -> np.ndarray:
    """Return the light of PQ's levels: the EOTF of BT.2100, table 4."""
    root = level ** (32 / 2523)
    return 10_000 / WHITE * (np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)


def _hlg(level: np.ndarray) -> np.ndarray:
    """Return the light of HLG's levels: the inverse OETF of BT.2100, table 5; white is 75 % (BT.2408).

    The OOTF is the identity on a screen of 334 cd/m2 (gamma 1.2 + 0.42 log10(peak / 1000), note 5f), which shows white
    with 88 cd/m2: this is a usual screen.
    """

    def scene(level: np.ndarray) -> np.ndarray:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)

    return scene(level) / scene(np.array(0.75))


def _pressed(light: np.ndarray) -> np.ndarray:
    """Return light with what lies between KNEE and the peak pressed into KNEE to 1, smoothly (the curve "Möbius")."""
    peak = PEAK / WHITE
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    scale = (b**2 + 2 * b * KNEE + KNEE**2) / (b - a)
    return np.where(light <= KNEE, light, scale * (light + a) / (light + b))


def _srgb(level: np.ndarray) -> np.ndarray:
    """Return the light of levels on a computer's screen (IEC 61966-2-1)."""
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _inverse_srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
