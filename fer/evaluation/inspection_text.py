"""What an inspection says: tables, and what each finding means for a training, for the console and Markdown alike."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fer.counting import counted
from fer.data.duplicates import BLANK, NEAR
from fer.data.findings import Findings
from fer.data.table import Split, Table
from fer.errors import printable
from fer.evaluation.markdown import listed

MOST = 6  # examples of each kind
UNEVEN = 3  # times as many faces, from which on a class outweighs another
PAIRS = (  # whose copies are looked for where, the most harmful first
    (Split.TEST, Split.TRAIN),
    (Split.VAL, Split.TRAIN),
    (Split.TEST, Split.VAL),
    (Split.TRAIN, Split.TRAIN),
    (Split.VAL, Split.VAL),
    (Split.TEST, Split.TEST),
)


class Part(NamedTuple):
    """One section: a table, whose first column holds names, sentences, and the name of a figure."""

    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]
    figure: str


def parts(found: Findings) -> list[Part]:
    """Return the sections of a report."""
    return [_classes(found), _images(found), _duplicates(found), _labels(found)]


def face_name(table: Table, place: int) -> str:
    """Return the file of a face, or its row, as in predictions.csv, where it comes from no file."""
    return printable(table.files[place]) if table.files else f"row {table.rows[place]}"


def _name(split: int) -> str:
    return Split(split).name.lower()


def _share(count: int, total: int, noun: str) -> str:
    return f"{count:,} of {counted(total, noun)} ({count / total:.1%})"


def _classes(found: Findings) -> Part:
    table, counts = found.table, found.table.counts()
    rows = [(name, *(f"{counts[split][i]:,}" for split in Split)) for i, name in enumerate(table.classes)]
    rows.append(("all", *(f"{counts[split].sum():,}" for split in Split)))
    for name in dict.fromkeys(name for _, name in sorted(table.others)):
        rows.append((f"{name}, left out", *(f"{table.others[split, name]:,}" for split in Split)))
    return Part("Faces", ("class", *map(_name, Split)), tuple(rows), tuple(_about_classes(found)), "classes")


def _about_classes(found: Findings) -> Iterator[str]:
    counts, names = found.table.counts(), found.table.classes
    if found.table.origin:
        yield from found.table.origin.sentences
    for split, faces in counts.items():
        lacking = [name for name, count in zip(names, faces, strict=True) if not count]
        if not faces.any():
            yield f"No faces in {_name(split)}: a training needs train, val and test (dataset=folder: dataset.split)."
        elif lacking:
            yield f"{_name(split)} has no faces of {listed(lacking)}: nothing can be said of that there."
    train = counts[Split.TRAIN]
    if train.any() and train.max() >= UNEVEN * (least := train[train > 0].min()):
        most, rare = names[train.argmax()], names[np.flatnonzero(train == least)[0]]
        yield (
            f"In train, {most} has {train.max() / least:.1f} times as many faces as {rare}: read balanced accuracy and "
            "macro F1 beside accuracy; loss.weighting=balanced (or sqrt, effective) gives rare classes more weight."
        )
    if found.table.others:
        yield "Classes left out are those that dataset.classes does not have."


def _images(found: Findings) -> Part:
    rows = []
    for split in Split:
        if here := int((found.table.splits == split).sum()):
            mean, deviation = found.levels_of(split)
            dark = int(found.blank[found.table.splits == split].sum())
            rows.append((_name(split), f"{here:,}", f"{mean:.1f}", f"{deviation:.1f}", f"{dark:,}"))
    header = ("split", "faces", "mean gray level", "deviation", "blank")
    return Part("Images", header, tuple(rows), tuple(_about_images(found)), "samples")


def _about_images(found: Findings) -> Iterator[str]:
    side = found.table.images.shape[1]
    yield f"Gray levels are those from 0 (black) to 255, of faces as they are read here, {side}x{side} pixels each."
    if found.sizes:
        sizes = np.array(list(found.sizes.elements()))  # (N, 2)
        (left, top), (wide, high), middle = sizes.min(0), sizes.max(0), np.median(sizes, 0).astype(int)
        span = f"{wide}x{high}" if len(found.sizes) == 1 else f"{left}x{top} to {wide}x{high}, half of them up to"
        span += "" if len(found.sizes) == 1 else f" {middle[0]} wide and {middle[1]} high"
        yield f"The {counted(len(sizes), 'file')} on the disk: {span} (pixels, width x height)."
        if oblong := int((sizes[:, 0] != sizes[:, 1]).sum()):
            yield f"{_share(oblong, len(sizes), 'file')} are not square: only the square in the middle of each is read."
        if small := int((sizes.min(1) < side).sum()):
            yield f"{_share(small, len(sizes), 'file')} are smaller than {side} pixels: enlarging adds no detail."
    dark = [face_name(found.table, place) for place in np.flatnonzero(found.blank)]
    if dark:
        yield (
            f"Blank, with a deviation below {BLANK:.0f} gray levels: {counted(len(dark), 'face')}, from which nothing "
            f"is learned and which a net gets right by chance only: {listed(dark)}."
        )
    else:
        yield "No image is blank."


def _duplicates(found: Findings) -> Part:
    sizes = {split: int((found.table.splits == split).sum()) for split in Split}
    rows, sentences = [], []
    for split, other in PAIRS:
        if not sizes[split] or not sizes[other] or (split == other and sizes[split] < 2):
            continue
        here = found.table.splits == split
        equal, near = (int(kind[here, other].sum()) for kind in (found.copied, found.near))
        where = f"within {_name(split)}" if split == other else f"{_name(split)} faces in {_name(other)}"
        rows.append((where, f"{sizes[split]:,}", f"{equal:,}", f"{near:,}"))
        sentences += _about_copies(split, other, sizes[split], equal, near)
    if any(row[2:] != ("0", "0") for row in rows):
        sentences.append(
            f"Nearly equal: small gray copies correlate by {NEAR} or more, which mostly is one photograph in another "
            "light, crop or compression, or one moment of a clip. duplicates.csv names every pair. In a dataset of "
            "your own, keep all copies of a picture in one split; a published one is better left as it is, or its "
            "figures compare with nobody's."
        )
    header = ("where", "faces", "equal", "only nearly equal")
    return Part("Duplicates", header, tuple(rows), tuple(sentences), "duplicates")


def _about_copies(split: Split, other: Split, faces: int, equal: int, near: int) -> Iterator[str]:
    """Yield what so many copies mean."""
    this, there = _name(split), _name(other)
    if split == other:
        if split == Split.TRAIN and equal + near:
            yield (
                f"Of {counted(faces, 'train face')}, {equal:,} equal another one of train, {near:,} more nearly: such "
                "pictures count as often as they occur."
            )
        return
    if not equal + near:
        yield f"No {this} face has a copy in {there}."
        return
    copies = f"No {this} face has an exact copy in {there}, but {near:,} a nearly equal one"
    if equal:
        copies = f"{_share(equal, faces, f'{this} face')} have an exact copy in {there}, and {near:,} more a near one"
    yield f"{copies}: {_meaning(split, other, faces, equal + near)}."


def _meaning(split: Split, other: Split, faces: int, copies: int) -> str:
    if (split, other) == (Split.TEST, Split.VAL):
        return "the choice of the best epoch has seen these faces of test"
    if split == Split.VAL:
        return "the best epoch, and what a search prefers, are in part chosen by faces that a net may know by heart"
    if copies == faces:
        return "test says nothing about new faces"
    return "a net may know them by heart; test_unseen/accuracy and its like in metrics.json leave all of them out"


def _labels(found: Findings) -> Part:
    return Part("Labels that contradict each other", (), (), tuple(_about_labels(found)), "conflicts")


def _about_labels(found: Findings) -> Iterator[str]:
    near, total = found.near_pairs(found.table.labels)[0], len(found.twins.pairs()[0])
    if found.conflicts:
        yield (
            f"Of {counted(len(found.groups), 'group')} of equal faces, {len(found.conflicts):,} have more than one "
            f"label: whatever a net answers, on {counted(found.surely_wrong, 'face')} at least it is wrong."
        )
    elif found.groups:
        yield "Equal faces have equal labels throughout."
    if len(near):
        yield (
            f"{_share(len(near), total, 'pair')} of nearly equal faces have two labels: so often does the dataset "
            "disagree with itself about one photograph."
        )
    if not found.conflicts and not len(near):
        yield "No contradictions were found."
        return
    for kind, pairs in (("equal", found.contradictions()), ("nearly equal", near)):
        for one, other in pairs[:MOST].tolist():
            yield f"{kind}: {_face(found.table, one)} and {_face(found.table, other)}"
    yield "duplicates.csv names them all; in a dataset of your own, look at them and decide."


def _face(table: Table, place: int) -> str:
    return f"{face_name(table, place)} ({_name(table.splits[place])}, {table.classes[table.labels[place]]})"
