"""The files of a search for suspect labels: suspects.csv, suspects.png, contradictions.csv and suspects.md."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.atomic import whole_file
from fer.counting import counted
from fer.data.duplicates import NEAR, families
from fer.data.table import Table
from fer.evaluation.evaluate import pixels
from fer.evaluation.markdown import code, per_cent, plain, table
from fer.evaluation.sheets import gray_levels, sheet
from fer.evaluation.suspects.contradiction import Contradiction
from fer.evaluation.suspects.joined import Joined

REPORT, LISTED, SHEET, COPIES = "suspects.md", "suspects.csv", "suspects.png", "contradictions.csv"
SHOWN, COLUMNS = 30, 6  # faces on the sheet
LEVELS = 4  # gray levels to which its noise is rounded: half of the bytes


@dataclass(frozen=True)
class Found:
    """Suspect labels of N training faces, in the order of rows.

    Attributes:
        joined: what the nets say.
        faces: which are asked about.
        against: what contradicts their labels.
        family: (N,) int64, which faces are copies of each other, equal or nearly.
    """

    joined: Joined
    faces: Table
    against: Contradiction
    family: np.ndarray

    @property
    def disputed(self) -> np.ndarray:
        """(K,) int64: the faces of which a copy has another label, one family after the other."""
        pairs = np.unique(np.column_stack((self.family, self.joined.labels)), axis=0)
        groups, labels = np.unique(pairs[:, 0], return_counts=True)
        chosen = np.flatnonzero(np.isin(self.family, groups[labels > 1]))
        return chosen[np.argsort(self.family[chosen], kind="stable")]

    @property
    def shown(self) -> np.ndarray:
        """(K,) int64: the first suspects, one of each family."""
        _, first = np.unique(self.family[self.against.ranked], return_index=True)
        return self.against.ranked[np.sort(first)[:SHOWN]]


def gather(joined: Joined, faces: Table, against: Contradiction) -> Found:
    """Look for copies among the faces, too; 28,709 of them take 9 s of one core's time."""
    return Found(joined, faces, against, families(faces.images))


def write_suspects(folder: Path, found: Found, command: str) -> Path:
    """Write all files; return the path of suspects.md.

    Raises:
        RunError: if a file cannot be written.
    """
    _write(folder / LISTED, _suspects(found))
    _write(folder / COPIES, _contradictions(found))
    if len(found.against.ranked):
        with whole_file(folder / SHEET, "wb") as file:
            file.write(_draw(found))
    with whole_file(folder / REPORT) as file:
        file.write("\n".join(_lines(found, command)))
    return folder / REPORT


def _write(path: Path, rows: Iterator[tuple[object, ...]]) -> None:
    with whole_file(path) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _suspects(found: Found) -> Iterator[tuple[object, ...]]:
    """Yield header and rows; `copies` are the labels of the other faces of its family."""
    joined, against, names = found.joined, found.against, found.joined.classes
    sizes = np.bincount(found.family)
    files = ("file",) if found.faces.files else ()
    yield ("rank", "index", "label", "predicted", "p_label", "p_predicted", "margin", "copies", *files)
    for rank, place in enumerate(against.ranked.tolist(), 1):
        label, likely = int(joined.labels[place]), int(against.likely[place])
        shares = (joined.probabilities[place, label], joined.probabilities[place, likely], against.margins[place])
        own = np.flatnonzero(found.family == found.family[place]) if sizes[found.family[place]] > 1 else ()
        others = " ".join(sorted(names[joined.labels[other]] for other in own if other != place))
        file = (found.faces.files[place],) if found.faces.files else ()
        row = int(joined.rows[place])
        yield (rank, row, names[label], names[likely], *(f"{share:.4f}" for share in shares), others, *file)


def _contradictions(found: Found) -> Iterator[tuple[object, ...]]:
    files = ("file",) if found.faces.files else ()
    yield ("family", "index", "label", *files)
    numbers: dict[int, int] = {}
    for place in found.disputed.tolist():
        number = numbers.setdefault(int(found.family[place]), len(numbers) + 1)
        file = (found.faces.files[place],) if found.faces.files else ()
        yield (number, int(found.joined.rows[place]), found.joined.classes[found.joined.labels[place]], *file)


def _draw(found: Found) -> bytes:
    """Return the sheet as a gray PNG file, each face with its label and what the net says."""
    joined, against, chosen = found.joined, found.against, found.shown
    captions = [
        f"{joined.classes[joined.labels[place]]}\n{joined.classes[against.likely[place]]} "
        f"{joined.probabilities[place, against.likely[place]]:.0%}\nindex {joined.rows[place]}"
        for place in chosen.tolist()
    ]
    title = "Most contradicted labels (bold), and what the net says"
    figure = sheet(gray_levels(found.faces.images[chosen]), captions, title, COLUMNS)
    figure.set_dpi(100)
    image = cv2.cvtColor(pixels(figure), cv2.COLOR_RGB2GRAY)
    image = np.where(image > 255 - LEVELS, 255, image // LEVELS * LEVELS).astype(np.uint8)
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def _lines(found: Found, command: str) -> Iterator[str]:
    suspects, groups = len(found.against.ranked), len(np.unique(found.family[found.disputed]))
    yield "# Suspect labels of the training split\n"
    yield (
        f"{counted(suspects, 'label')} of {counted(len(found.faces), 'training face')} "
        f"{'is' if suspects == 1 else 'are'} contradicted by nets that did not train on the face: "
        f"[{LISTED}]({LISTED}), the most contradicted first.\n"
    )
    yield (
        "This is a list to look at, and no verdict. A net contradicts a label because the label is wrong, because the "
        "face may be called either, because nothing can be seen, or because the net is wrong; the list does not tell "
        "which. It finds no mistake that the net has learned, too. Whoever leaves faces out or relabels them by this "
        "list alone makes the data agree with the net, and a test split treated so measures nothing.\n"
    )
    if suspects:
        yield f"![The {len(found.shown)} most contradicted labels, one of each face's copies]({SHEET})\n"
    yield "## Labels, and what is more likely\n"
    yield from _by_class(found)
    yield "## Copies with different labels\n"
    yield (
        f"Faces that equal each other in every pixel or nearly (correlation of {NEAR} or more) should have one label. "
        f"{counted(groups, 'group')} of them {'has' if groups == 1 else 'have'} several: "
        f"{counted(len(found.disputed), 'face')}, [{COPIES}]({COPIES}). No net is asked about that.\n"
    )
    yield "## How this was computed\n"
    yield from _method(found)
    yield f"- To make it again: {code(command)}\n"


def _method(found: Found) -> Iterator[str]:
    joined, first = found.joined, found.joined.runs[0]
    right = float((joined.probabilities.argmax(1) == joined.labels).mean())
    yield (
        f"- {len(joined.runs)} nets, {plain(first.value('model'))}, {first.value('trainer.max_epochs')} epochs, "
        f"{first.value('model.input_size')} pixels, seed {first.seed}: each predicts the part of the split that it did "
        f"not train on, and {per_cent(right)} % of these predictions agree with the label. Copies lie in one part. The "
        "fewer agree, the more of the list are mistakes of the net."
    )
    pairs = zip(joined.classes, found.against.thresholds, strict=True)
    limits = ", ".join(f"{plain(name)} {limit:.2f}" for name, limit in pairs)
    yield (
        "- Confident learning (Northcutt, Jiang & Chuang 2021): a class is likely for a face if its probability is at "
        f"least the mean of the faces with this label ({limits}). A label is suspect if another class is likely and "
        "more probable. Rank: probability of the label minus that of the most probable other class (`margin`)."
    )
    if start := first.config.get("weights"):
        yield (
            f"- The nets started from {code(Path(str(start)).name)}. If that was trained on these faces, it knows "
            "them, and the list misses what it has learned by heart."
        )
    if trained := first.metrics.get("command"):
        yield f"- Trained by {code(str(trained))}, and so for each fold."


def _by_class(found: Found) -> Iterator[str]:
    """Yield a table: a row for each label, a column for each class that is likely instead."""
    joined, against, names = found.joined, found.against, found.joined.classes
    pairs = Counter(zip(joined.labels[against.ranked].tolist(), against.likely[against.ranked].tolist(), strict=True))
    faces = np.bincount(joined.labels, minlength=len(names))
    header = ("label", "faces", "suspect", *names)
    rows = []
    for label, name in enumerate(names):
        counts = [pairs[label, other] for other in range(len(names))]
        cells = (f"{count:,}" if label != other else "–" for other, count in enumerate(counts))
        rows.append((plain(name), f"{faces[label]:,}", f"{sum(counts):,}", *cells))
    yield from table([plain(cell) for cell in header], rows)
