"""Steady answers: probabilities averaged over time, and how much they flicker, by themselves and smoothed."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Flicker:
    """How often the most probable emotion changes.

    Attributes:
        seconds: in sight, short absences included.
        raw: changes of the net's answer.
        smooth: changes of the smoothed answer.
    """

    seconds: float = 0.0
    raw: int = 0
    smooth: int = 0

    @property
    def rates(self) -> tuple[float, float]:
        """Changes a second, raw and smoothed."""
        seconds = max(self.seconds, 1e-9)
        return self.raw / seconds, self.smooth / seconds

    def add(self, seconds: float, raw: bool, smooth: bool) -> None:
        """Count one step from frame to frame."""
        self.seconds += seconds
        self.raw += raw
        self.smooth += smooth


@dataclass
class _State:
    time: float
    raw: int
    smooth: np.ndarray


class Smoother:
    """Average each track's probabilities over time, the latest most.

    s += (1 - exp(-dt / tau)) (p - s), which is the same curve at any frame rate. Where p jumps from one emotion to
    another that is as sure, the answer follows after tau ln 2. The first value counts in full, and after a long absence
    (dt well above tau) the next one does.

    Args:
        tau: time constant in seconds; 0 = off.

    Attributes:
        total: the flicker of all tracks together; its seconds are theirs added up.
        flicker: of each track by its number; of very many tracks, those in sight for longest.
    """

    MEMORY = 10.0  # seconds after which a track that was not seen is forgotten
    KEPT = 1000  # tracks whose flicker is remembered

    def __init__(self, tau: float) -> None:
        self.tau = tau
        self.total = Flicker()
        self.flicker: dict[int, Flicker] = {}
        self._states: dict[int, _State] = {}

    def __call__(self, track: int, probabilities: np.ndarray, time: float) -> np.ndarray:
        """Return the smoothed probabilities (C,) of a track, given those of its face now and the time in seconds."""
        state = self._states.get(track)
        if state is None:
            self._forget(time)
            self.flicker[track] = Flicker()
            self._states[track] = _State(time, int(probabilities.argmax()), probabilities)
            return probabilities
        passed = max(time - state.time, 0.0)
        weight = 1 - math.exp(-passed / self.tau) if self.tau > 0 else 1.0
        raw = int(probabilities.argmax())
        smooth = weight * probabilities + (1 - weight) * state.smooth
        changes = raw != state.raw, bool(smooth.argmax() != state.smooth.argmax())
        for flicker in (self.total, self.flicker.setdefault(track, Flicker())):
            flicker.add(passed, *changes)
        self._states[track] = _State(time, raw, smooth)
        return smooth

    def _forget(self, time: float) -> None:
        self._states = {track: s for track, s in self._states.items() if abs(time - s.time) < self.MEMORY}
        if len(self.flicker) >= 2 * self.KEPT:
            longest = sorted(self.flicker, key=lambda track: self.flicker[track].seconds)[-self.KEPT :]
            self.flicker = {track: self.flicker[track] for track in longest}
