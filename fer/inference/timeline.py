"""What a clip came to: each track's emotions over time, as a picture and as a table, in memory that stays flat."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fer.counting import counted
from fer.emotions import NOT_SURE
from fer.inference.results import FaceResult
from fer.inference.tracking.smoothing import Flicker
from fer.inference.tracking.tracker import SLOWEST

if TYPE_CHECKING:
    from rich.table import Table

BINS = 2000  # most bins of time; the picture has about half as many pixels across
FINEST = 0.02  # seconds, width of the first bins
KEPT = 100  # tracks that are remembered, those in sight for longest
ENDED = 10.0  # seconds after which a track that is not in sight may be forgotten
MAX_TRACKS = 8  # tracks in the picture and in the table


@dataclass
class TrackSummary:
    """One track.

    Attributes:
        number: of the track.
        start, end: times of the first and the last sighting, in seconds.
        seconds: in sight.
        answers: number of frames by answer.
        bins: sums by bin of time: C probabilities, frames without a sure answer, frames; (C + 2,) float64.
    """

    number: int
    start: float
    end: float
    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    bins: dict[int, np.ndarray] = field(default_factory=dict)

    def shares(self, least: float = 0.0) -> list[tuple[str, float]]:
        """Return the answers with their share of the frames, the most frequent first, those below `least` left out."""
        total = self.answers.total()
        return [(name, count / total) for name, count in self.answers.most_common() if count >= least * total]


class Timeline:
    """Gather the frames of a clip. Time is binned; when the bins run out, they are merged in pairs.

    Args:
        classes: C names, in the order of the probabilities.

    Attributes:
        classes: as given.
        frames, with_faces: numbers of frames so far.
        start, end: times of the first and the last frame, in seconds.
        width: of a bin, in seconds.
        forgotten: number of short tracks that are not remembered any more.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.frames = self.with_faces = self.forgotten = 0
        self.start = self.end = 0.0
        self.width = FINEST
        self._tracks: dict[int, TrackSummary] = {}

    def add(self, time: float, seen: Sequence[FaceResult]) -> None:
        """Add the next frame of a clip, also if nothing is seen in it.

        Args:
            time: in seconds.
            seen: its faces, each with a track.
        """
        if self.frames == 0:
            self.start = self.end = time
        passed = time - self.end if 0 < time - self.end < SLOWEST else 0.0
        self.frames += 1
        self.with_faces += bool(seen)
        self.end = max(self.end, time)
        while self.end - self.start >= BINS * self.width:
            self._merge()
        for one in seen:
            self._add_one(one, max(time, self.start), passed)

    @property
    def longest(self) -> list[TrackSummary]:
        """The tracks that were in sight for longest, in the order of their numbers."""
        chosen = sorted(self._tracks.values(), key=lambda track: -track.seconds)[:MAX_TRACKS]
        return sorted(chosen, key=lambda track: track.number)

    @property
    def left_out(self) -> int:
        """Number of tracks beside the `longest`."""
        return len(self._tracks) + self.forgotten - len(self.longest)

    def _add_one(self, one: FaceResult, time: float, passed: float) -> None:
        if one.track not in self._tracks:
            self._forget(time)
            self._tracks[one.track] = TrackSummary(one.track, time, time)
        track = self._tracks[one.track]
        track.end = max(track.end, time)
        track.seconds += passed
        track.answers[one.emotion] += 1
        place = int((time - self.start) / self.width)
        if place not in track.bins:
            track.bins[place] = np.zeros(len(self.classes) + 2)
        sums = track.bins[place]
        sums[:-2] += one.probabilities
        sums[-2] += one.emotion == NOT_SURE
        sums[-1] += 1

    def _merge(self) -> None:
        self.width *= 2
        for track in self._tracks.values():
            merged: dict[int, np.ndarray] = {}
            for place, sums in track.bins.items():
                merged[place // 2] = merged.get(place // 2, 0) + sums
            track.bins = merged

    def _forget(self, time: float) -> None:
        if len(self._tracks) < 2 * KEPT:
            return
        ended = [track for track in self._tracks.values() if time - track.end > ENDED]
        for track in sorted(ended, key=lambda track: track.seconds)[: len(self._tracks) - KEPT]:
            del self._tracks[track.number]
            self.forgotten += 1


def clock(seconds: float) -> str:
    """Return a time as m:ss or h:mm:ss; with a tenth below one second, where a clip may be over."""
    if 0 < (tenths := round(10 * seconds)) < 10:
        return f"0:00.{tenths}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def summary(timeline: Timeline, flicker: Mapping[int, Flicker], elapsed: float) -> "Table":
    """Return the frames, the speed and the longest tracks as a table for the console.

    Args:
        timeline: of the clip.
        flicker: of each track, as `Smoother` counts it.
        elapsed: seconds that the work took.
    """
    from rich.table import Table

    frames, with_faces = timeline.frames, timeline.with_faces
    rate = frames / max(elapsed, 1e-9)
    title = f"{counted(frames, 'frame')} in {elapsed:.1f} s ({rate:.1f} a second), {with_faces:,} of them with faces"
    style = {"title_justify": "left", "title_style": "bold", "caption_justify": "left", "header_style": "dim"}
    grid = Table(title=title, show_edge=False, **style)
    for name in ("track", "from", "to", "in sight", "answers", "changes a second"):
        grid.add_column(name, justify="left" if name == "answers" else "right")
    for track in timeline.longest:
        raw, smooth = flicker.get(track.number, Flicker()).rates
        answers = ", ".join(f"{name} {share:.0%}" for name, share in track.shares(least=0.05)[:3])
        times = clock(track.start), clock(track.end), f"{track.seconds:.1f} s"
        grid.add_row(str(track.number), *times, answers, f"{raw:.1f}, smoothed {smooth:.1f}")
    grid.caption = left_out(timeline)
    return grid


def left_out(timeline: Timeline) -> str:
    """Return the remark about the tracks beside the longest; empty if there are none."""
    count = timeline.left_out
    return f"and {counted(count, 'more track')}, in sight for less time" if count else ""
