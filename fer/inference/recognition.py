"""What is seen in a picture, as Python's users get it: one type for photos, frames of clips and of cameras."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.errors import UserError
from fer.inference.results import FaceResult

if TYPE_CHECKING:
    import pandas
    import supervision
    from PIL.Image import Image

# Of a table's columns that are no float64; pandas' own, which can be missing: by itself it would take float or object
# for them, whichever fits the cells that it happens to see.
KINDS = {"frame": "Int64", "track": "Int64", "file": "string", "emotion": "string", "error": "string"}


@dataclass(frozen=True, eq=False, repr=False)
class Face:
    """One face in one picture.

    Attributes:
        emotion: the most probable one, or "not sure".
        probabilities: of every emotion that the net knows, in its order; floats of sum 1. In a clip smoothed over time.
        box: x, y, width and height in pixels of the picture, from its upper left corner; may reach beyond the border.
        score: the detector's confidence that this is a face, 0 to 1.
        landmarks: (5, 2) float32, x and y in pixels of right eye, left eye, nose, right and left corner of the mouth,
            right being the person's own; None if the detector gives none.
        track: its number in the clip, from 1, the same while it is in sight; None in a photo.

    Examples:
        >>> from fer import Recognizer
        >>> from fer.data.synthetic import draw_faces
        >>> drawn = draw_faces(6, size=160, seed=18)[0][5]
        >>> face = Recognizer.load("ferplus", detector="none").image(drawn).faces[0]
        >>> face.emotion, face.box, face.probabilities["happy"] > 0.9
        ('happy', (0.0, 0.0, 160.0, 160.0), True)
        >>> face.crop.shape, face.heatmap.shape
        ((48, 48), (48, 48))
    """

    emotion: str
    probabilities: Mapping[str, float]
    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None
    track: int | None
    _seen: FaceResult
    _explain: Callable[[np.ndarray, str], np.ndarray]

    def __repr__(self) -> str:
        x, y, width, height = (round(value) for value in self.box)
        number = "" if self.track is None else f"#{self.track} "
        best = max(self.probabilities.values())
        return f"<Face {number}{self.emotion} {best:.0%} at {x}, {y}, {width}x{height} pixels>"

    @property
    def crop(self) -> np.ndarray:
        """(S, S) uint8 gray: what the net looked at."""
        return self._seen.crop

    @cached_property
    def heatmap(self) -> np.ndarray:
        """(S, S) float32, 0 to 1 over `crop`: where the face speaks for its most probable emotion.

        Made when it is first read, unless `Recognizer.load` was asked for heatmaps.
        """
        if self._seen.heatmap is not None:
            return self._seen.heatmap
        return self._explain(self.crop, max(self.probabilities, key=lambda name: self.probabilities[name]))


@dataclass(frozen=True, eq=False, repr=False)
class Recognition:
    """What is seen in a photo, or in a frame of a clip or a camera. It keeps the picture: keep `to_dict()` of many.

    Attributes:
        faces: from left to right; none, if there are none.
        width, height: of the picture in pixels, turned upright; 0 without one.
        file: of a photo, its path; None for arrays and frames.
        index: of a frame, its number from 0; None for photos.
        time: of a frame, seconds from the first one; None for photos.
        error: why there is nothing to be seen: a file that cannot be read, a frame that cannot be decoded; None if
            all went well.
        classes: the emotions that the net knows, in its order.

    Examples:
        >>> import numpy as np
        >>> from fer import Recognizer
        >>> from fer.data.synthetic import draw_faces
        >>> picture = np.hstack(draw_faces(6, size=160, seed=18)[0][3:])
        >>> photo = Recognizer.load("ferplus", detector="haar").image(picture)
        >>> photo.width, photo.height, len(photo.faces)
        (480, 160, 3)
        >>> photo.draw(heatmap=True).save("drawn.png")
        >>> sorted(photo.to_dict()["faces"][0])
        ['box', 'emotion', 'probabilities', 'score']
    """

    faces: tuple[Face, ...]
    width: int
    height: int
    file: str | None = None
    index: int | None = None
    time: float | None = None
    error: str | None = None
    classes: tuple[str, ...] = ()
    _picture: np.ndarray | None = field(default=None)

    def __repr__(self) -> str:
        place = self.file or ("photo" if self.index is None else f"frame {self.index} at {self.time:.2f} s")
        return f"<Recognition of {place}: {self.error or ', '.join(face.emotion for face in self.faces) or 'no face'}>"

    def _repr_png_(self) -> bytes | None:
        """Show the drawn picture in a notebook."""
        if self._picture is None:
            return None
        import io

        self.draw().save(file := io.BytesIO(), "PNG")
        return file.getvalue()

    @property
    def image(self) -> np.ndarray | None:
        """The picture, upright, (H, W, 3) uint8 red-green-blue; None if there is none."""
        return None if self._picture is None else np.ascontiguousarray(self._picture[..., ::-1])

    def draw(self, heatmap: bool | str = "auto", bars: bool = True, labels: bool = True) -> "Image":
        """Return the picture with boxes, labels, bars and heatmaps, as a Pillow image in RGB.

        Args:
            heatmap: True, on every face; False, on none; or "auto": faint on small and dark faces.
            bars: each face's probabilities, where there is room.
            labels: each face's emotion, where there is room.

        Raises:
            UserError: if there is no picture, as it could not be read, or a word is none of those.
        """
        from PIL import Image

        from fer.inference.draw.annotate import Style, annotate

        for name, value in {"heatmap": heatmap, "bars": bars, "labels": labels}.items():
            if value not in (True, False) and (name, value) != ("heatmap", "auto"):
                known = 'True, False or "auto"' if name == "heatmap" else "True or False"
                raise UserError(f"{name}: expected {known}, but got {value!r}")
        if self._picture is None:
            raise UserError(f"{self!r}: expected a picture to draw on, but there is none")
        seen = [face._seen._replace(heatmap=face.heatmap if heatmap else None) for face in self.faces]
        style = Style(heatmap=bool(heatmap), faint=heatmap == "auto", bars=bars, labels=labels)
        drawn = annotate(self._picture, seen, self.classes, style)
        return Image.fromarray(np.ascontiguousarray(drawn[..., ::-1]))

    def to_dict(self) -> dict[str, Any]:
        """Return the record that infer.py writes as a line of JSON: rounded, without pictures."""
        from fer.inference.io.records import record

        place = {"file": self.file} if self.index is None else {"frame": self.index, "time": self.time}
        return record(place, [face._seen for face in self.faces], self.classes, self.error)

    def to_supervision(self) -> "supervision.Detections":
        """Return the faces as `supervision.Detections`: corners, scores, numbers of classes and tracks, names.

        Raises:
            UserError: if the library supervision is missing.
        """
        try:
            from supervision import Detections
        except ImportError:
            raise UserError("expected the library supervision, but found nothing: pip install supervision") from None
        boxes = np.array([face.box for face in self.faces], np.float32).reshape(-1, 4)
        names = [max(face.probabilities, key=lambda name: face.probabilities[name]) for face in self.faces]
        tracks = [face.track for face in self.faces]
        return Detections(
            xyxy=np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1),
            confidence=np.array([face.score for face in self.faces], np.float32),
            class_id=np.array([self.classes.index(name) for name in names], int),
            tracker_id=np.array(tracks, int) if tracks and None not in tracks else None,
            data={"class_name": np.array([face.emotion for face in self.faces])},
        )


def make_face(seen: FaceResult, classes: tuple[str, ...], explain: Callable[[np.ndarray, str], np.ndarray]) -> Face:
    """Return a face as Python's users get it.

    Args:
        seen: what the pipeline knows of it.
        classes: of the net.
        explain: makes the heatmap of a crop for an emotion.
    """
    probabilities = dict(zip(classes, seen.probabilities.tolist(), strict=True))
    return Face(
        emotion=seen.emotion,
        probabilities=MappingProxyType(probabilities),
        box=tuple(map(float, seen.face.box)),
        score=float(seen.face.score),
        landmarks=seen.face.landmarks,
        track=seen.track,
        _seen=seen,
        _explain=explain,
    )


def to_pandas(recognized: "Recognition | Iterable[Recognition]") -> "pandas.DataFrame":
    """Return a table with a row for each face, and one for each picture without faces.

    Its columns are those of infer.py's CSV: `frame` (Int64), `time` (seconds) and `track` (Int64), or `file`; `x`, `y`,
    `w`, `h` (pixels), `score`, `emotion`, each emotion's probability, `error`. Numbers are float64 and words pandas'
    string where nothing else is said; a cell without a value is `pandas.NA`, or NaN among floats. Arrays
    have no file name: to tell them apart, loop over them, and join tables `to_pandas(photo).assign(file=name)`.

    Args:
        recognized: one picture or several, as `Recognizer.video("clip.mp4")`; they are taken one after another, and
            none is kept.

    Raises:
        UserError: if the library pandas is missing, or this is something else.

    Examples:
        >>> import numpy as np
        >>> from fer import Recognizer, to_pandas
        >>> from fer.data.synthetic import draw_faces
        >>> picture = np.hstack(draw_faces(6, size=160, seed=18)[0][3:])
        >>> table = to_pandas(Recognizer.load("ferplus", detector="haar").image(picture))
        >>> table["emotion"].tolist()
        ['sad', 'surprise', 'happy']
        >>> (table[["angry", "happy", "sad"]] > 0.5).sum().to_dict()
        {'angry': 0, 'happy': 1, 'sad': 1}
    """
    try:
        import pandas
    except ImportError:
        raise UserError("expected the library pandas, but found nothing: pip install pandas") from None
    is_one = isinstance(recognized, Recognition | str | dict) or not isinstance(recognized, Iterable)
    table = pandas.DataFrame(_rows([recognized] if is_one else recognized))
    return table.astype({name: KINDS.get(name, "float64") for name in table})


def _rows(recognized: Iterable[Recognition]) -> Iterator[dict[str, Any]]:
    from fer.inference.io.records import columns, rows

    for one in recognized:
        if not isinstance(one, Recognition):
            raise UserError(f"expected what Recognizer.image, images or video give, but got {type(one).__name__}")
        names = columns(one.index is not None, one.classes)
        for row in rows(one.to_dict()):
            yield {name: row.get(name) for name in names}
