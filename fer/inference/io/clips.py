"""Many clips at once: which files an input means, where each one's results go, and what came of all."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer.errors import UserError, reason
from fer.inference.io.images import crop_names, list_files, root_of
from fer.inference.io.input_kind import CLIPS
from fer.inference.timeline import Timeline, clock

if TYPE_CHECKING:
    from rich.table import Table

ANSWERS = 3  # in the table


def is_many(source: str) -> bool:
    """Tell whether an input is a folder or a pattern, and not the name of one file."""
    path = Path(source).expanduser()
    return path.is_dir() or (not set("*?[").isdisjoint(source) and not path.exists())


def list_clips(source: str) -> list[tuple[Path, Path]]:
    """Return the clips that a folder or a pattern means, sorted, each with the place of its result: `more/a.mp4`.

    A name that another clip has taken, as `a.mov` does that of `a.mp4`, keeps its suffix: `a.mp4.mp4`.

    Raises:
        UserError: if there is none.
    """
    try:
        paths, root = list_files(source, CLIPS)[0], root_of(source)
    except OSError as error:
        raise UserError(f"input={source}: expected a place that can be read, but {reason(error)}") from None
    if not paths:
        what = "the folder holds no clip" if Path(source).expanduser().is_dir() else "there is no clip of that name"
        raise UserError(
            f"input={source}: {what}; expected a clip, a folder of clips or a pattern such as clips/*.mp4; check the "
            f"name, or use mode=image for photos (clips: {', '.join(sorted(CLIPS))})"
        )
    taken: set[str] = set()
    return [(path, crop_names(path, root, 1, taken)[0].with_suffix(".mp4")) for path in paths]


def keep_apart(path: Path, sources: Sequence[Path]) -> None:
    """Check that a result replaces none of the inputs.

    Raises:
        UserError: if it would.
    """
    if os.path.realpath(path) in {os.path.realpath(source) for source in sources}:
        raise UserError(f"output={path}: expected another place than the input, which would be lost: choose another")


def overview(timelines: Sequence[tuple[str, Timeline]]) -> "Table":
    """Return one line for each clip: its name, length, frames, faces and answers."""
    from rich.table import Table

    grid = Table(show_edge=False, header_style="dim")
    for name in ("clip", "length", "frames", "with faces", "tracks", "answers"):
        grid.add_column(name, justify="left" if name in ("clip", "answers") else "right")
    for name, timeline in timelines:
        answers = sum((record.answers for record in timeline.longest), Counter())
        shares = [f"{answer} {count / answers.total():.0%}" for answer, count in answers.most_common(ANSWERS)]
        tracks = len(timeline.longest) + timeline.left_out
        counts = [f"{count:,}" for count in (timeline.frames, timeline.with_faces, tracks)]
        grid.add_row(name, clock(timeline.end - timeline.start), *counts, ", ".join(shares))
    return grid
