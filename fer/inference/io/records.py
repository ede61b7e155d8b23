"""What was seen, as text for other programs: a line of JSON for every frame or photo, or a row of CSV for every face.

Every frame of a clip has its record: one without a face has no faces in it, one that could not be decoded says so.

    {"frame": 0, "time": 0.0, "faces": [{"track": 1, "box": [x, y, w, h], "score": 0.97, "emotion": "happy",
     "probabilities": {"angry": 0.01, ...}}]}
    {"frame": 1, "time": 0.04, "faces": [], "error": "could not be decoded"}
    {"file": "a.jpg", "faces": [{"box": [x, y, w, h], ...}]}

The CSV has the same in columns: frame, time and track, or file; x, y, w, h, score, emotion, the classes, error. A frame
without faces has one row whose cells are empty.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fer.atomic import growing_file
from fer.errors import RunError, unwritable
from fer.inference.results import FaceResult, Frame

UNREADABLE = "could not be decoded"
BOX, SHARE, TIME = 1, 4, 4  # decimals: tenths of a pixel, probabilities and scores, tenths of milliseconds


def record(
    place: dict[str, Any], seen: Sequence[FaceResult], classes: tuple[str, ...], error: str | None
) -> dict[str, Any]:
    """Return the record of a picture.

    Args:
        place: its frame and time, or its file.
        seen: the faces in it.
        classes: emotion names, in the order of the probabilities.
        error: why there is nothing to be seen.
    """
    if "time" in place:
        place = place | {"time": round(place["time"], TIME)}
    faces = [_face(face, classes, tracked="frame" in place) for face in seen]
    return place | {"faces": faces} | ({"error": error} if error else {})


def _face(seen: FaceResult, classes: tuple[str, ...], tracked: bool) -> dict[str, Any]:
    probabilities = [round(float(value), SHARE) for value in seen.probabilities]
    return ({"track": seen.track} if tracked else {}) | {
        "box": [round(float(value), BOX) for value in seen.face.box],
        "score": round(float(seen.face.score), SHARE),
        "emotion": seen.emotion,
        "probabilities": dict(zip(classes, probabilities, strict=True)),
    }


def columns(of_clip: bool, classes: tuple[str, ...]) -> list[str]:
    """Return the columns of a table of records, of a clip's frames or of photos."""
    place = ["frame", "time", "track"] if of_clip else ["file"]
    return [*place, *"xywh", "score", "emotion", *classes, "error"]


def rows(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record as rows of such a table: one for each face, or one without."""
    place = {key: value for key, value in made.items() if key != "faces"}
    found = []
    for face in made["faces"] or [{}]:
        corners = dict(zip("xywh", face.get("box", ()), strict=False))
        rest = {key: value for key, value in face.items() if key not in ("box", "probabilities")}
        found.append(place | corners | face.get("probabilities", {}) | rest)
    return found


class Records:
    """Write records, within a `with` block; each is in the file as soon as it is made.

    The file grows as `b.partial.jsonl` and gets its own name at the end of the block, also after an interruption;
    after an error it keeps the other name, so that it replaces nothing.

    A process that writes the same file would mix in its own: keep it away (`places.claimed`).

    Args:
        path: the file.
        classes: emotion names, in the order of the probabilities.
        kind: "jsonl" or "csv".

    Raises:
        UserError: if the file cannot be made there.
        RunError: if the disk is full, or writing fails later.
    """

    def __init__(self, path: Path, classes: tuple[str, ...], kind: str = "jsonl") -> None:
        self.path, self.classes, self.count = path, classes, 0
        self._write = self._json if kind == "jsonl" else self._rows
        try:
            if path.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            self.partial = growing_file(path)
            self._file = self.partial.open("w", encoding="utf-8", newline="", buffering=1)  # whole lines
        except OSError as error:
            sentence = f"{path}: expected to write the records there, but it cannot be done ({error.strerror})"
            raise unwritable(f"{sentence}: choose another output", error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._file.close()
            if not self.count:
                self.partial.unlink()
            elif kind is None or not issubclass(kind, Exception):  # interruptions are none
                self.partial.replace(self.path)
        except OSError as failure:
            raise self._write_error(failure) from failure

    def frame(self, frame: Frame, seen: list[FaceResult]) -> None:
        """Record what is seen in a frame of a clip."""
        place = {"frame": frame.index, "time": frame.time}
        self._record(place, seen, UNREADABLE if frame.image is None else None)

    def photo(self, name: str, seen: list[FaceResult]) -> None:
        """Record what is seen in a photo."""
        self._record({"file": name}, seen, None)

    def _record(self, place: dict[str, Any], seen: list[FaceResult], error: str | None) -> None:
        try:
            self._write(record(place, seen, self.classes, error))
        except OSError as failure:
            raise self._write_error(failure) from failure
        self.count += 1

    def _json(self, made: dict[str, Any]) -> None:
        self._file.write(json.dumps(made, ensure_ascii=False, allow_nan=False) + "\n")

    def _rows(self, made: dict[str, Any]) -> None:
        names = columns("frame" in made, self.classes)
        table = csv.DictWriter(self._file, names, restval="", lineterminator="\n")
        if not self.count:
            table.writeheader()
        table.writerows(rows(made))

    def _write_error(self, error: OSError) -> RunError:
        return RunError(
            f"{self.path} could not be written ({error.strerror}); what there is so far is in {self.partial}"
        )
