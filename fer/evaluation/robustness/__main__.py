"""What a net withstands: its accuracy on corrupted faces, as crops and in whole pictures, and in other frames.

    python -m fer.evaluation.robustness WEIGHTS dataset.root=DIR
    python -m fer.evaluation.robustness ferplus dataset=ferplus dataset.root=DIR --split test --card
    python -m fer.evaluation.robustness SWEEP_DIR/*/weights.safetensors dataset.root=DIR

Takes the words of train.py for the dataset. All faces of the split are framed anew (padded by 4 and by 8 of 48 pixels,
cut by 3). Some of them get nine corruptions, a mask and sunglasses, in five strengths each. Some of these are put into
larger pictures, which are corrupted as a whole, searched and cut as by infer.py: a face that is not found counts as
wrong. Several files are compared on the same faces. Writes robustness.md with figures, and robustness.csv.
"""

import argparse
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from fer.data.inspect import configure
from fer.errors import UserError, ending
from fer.evaluation.detector_cost import DETECTORS, detector_settings
from fer.extras import require
from fer.paths import resolve_weights

if TYPE_CHECKING:  # they are imported late: --help needs none of it
    from fer.data.table import Table
    from fer.evaluation.robustness.measure import Found, Subject
    from fer.schema import TrainConfig

CORRUPTED, PICTURED = 600, 200  # faces; with 1,000 and 300, a net took 13 minutes on two slow cores


def run(files: Sequence[Path], words: Sequence[str], asked: argparse.Namespace) -> Path:
    """Measure, print and write a report; return its path.

    Raises:
        UserError: if the words are wrong, the weights or the data cannot be used, or a folder cannot be made.
        RunError: if an answer is not finite, or a file cannot be written.
    """
    began = time.perf_counter()
    config = configure([*words, "fit=false", f"weights={files[0]}"])
    from fer.evaluation.console import relative_path
    from fer.evaluation.robustness.measure import Faces, conditions, load_subjects, measure
    from fer.evaluation.robustness.report import write_report
    from fer.evaluation.robustness.section import card_of
    from fer.evaluation.robustness.text import lines_of
    from fer.faces.detectors import IN_COMMANDS, make_detector

    settings = detector_settings("yunet" if asked.model and asked.detector == "auto" else asked.detector, asked.model)
    subjects, baseline = load_subjects(files, asked.baseline)
    cards = [card_of(resolve_weights(file)) for file in files] if asked.card else []
    table = _read(config, subjects, asked.split)
    detector = make_detector(settings, print, options=IN_COMMANDS)
    name = subjects[0].name if len(files) == 1 else f"{len(files)} nets"
    folder = _folder(asked.output, name)
    print(f"measuring {', '.join(one.name for one in subjects)} under {len(conditions())} conditions", flush=True)
    cv2.setNumThreads(1)  # torch has them
    found = measure(subjects, baseline, Faces(table, detector, asked.faces, asked.pictures, config.seed))
    about = _about(found, asked.split, len(table), type(detector).__name__.removesuffix("Detector"))
    title = f"{name} on {config.dataset.name}, {asked.split}"
    lines = list(lines_of(found, title, about, _command(files, words, asked)))
    print("\n".join(lines))
    report = write_report(folder, found, lines, title)
    for subject, card in zip(found.asked, cards, strict=False):
        _write_card(found, subject, card, words, asked)
    print(f"\nreport: {relative_path(report)} ({(time.perf_counter() - began) / 60:.1f} minutes)", flush=True)
    return report


def _read(config: "TrainConfig", subjects: "Sequence[Subject]", place: str) -> "Table":
    """Read the faces of a split, in the size of the net that sees most of them."""
    from fer.data.table import Split, require_one
    from fer.evaluation.run import read_for

    largest = max(subject.header.input_size for subject in subjects)
    table = read_for(config, replace(subjects[0].header, input_size=largest))
    split = Split[place.upper()]
    return require_one(table, [split], str(getattr(config.dataset, "root", config.dataset.name))).part(split)


def _folder(output: Path | None, name: str) -> Path:
    from fer.run_folder import make_folder, new_folder

    moment = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return make_folder(output) if output else new_folder(Path(f"runs/{moment}_robustness_{name.replace(' ', '_')}"))


def _about(found: "Found", split: str, count: int, kind: str) -> str:
    n, pictured = len(found.labels["crop"]), len(found.labels["picture"])
    usual = "where eyes and mouths usually are"
    where = f"by landmarks that {kind} finds on {found.landmarks:,} of them, and {usual} on the others"
    about = f"{n:,} of {count:,} faces of {split}, drawn by the seed, are corrupted. "
    about += f"Mask and sunglasses lie {where if found.landmarks else f'{usual}, as {kind} finds no landmarks'}."
    if not pictured:
        return about
    return (
        f"{about} {pictured:,} of them are put into pictures of 320x240 pixels, 48 to 128 pixels large, before a gray "
        f"wall; these are corrupted as a whole, searched by {kind}, and cut out as by infer.py."
    )


def _command(files: Sequence[Path], words: Sequence[str], asked: argparse.Namespace) -> str:
    """Return the command, without the places of this machine."""
    from fer.provenance import without_places

    nets = [file.name if file.is_absolute() else str(file) for file in files]
    given = {"baseline": asked.baseline and asked.baseline.name, "detector": asked.detector, "split": asked.split}
    given |= {"faces": asked.faces, "pictures": asked.pictures}
    usual = {"baseline": None, "detector": "auto", "split": "val", "faces": CORRUPTED, "pictures": PICTURED}
    options = [word for key, value in given.items() if value != usual[key] for word in (f"--{key}", str(value))]
    return shlex.join(("python", "-m", "fer.evaluation.robustness", *nets, *without_places(words), *options))


def _write_card(
    found: "Found", subject: "Subject", card: Path, words: Sequence[str], asked: argparse.Namespace
) -> None:
    from fer.evaluation.robustness.section import write_section
    from fer.evaluation.robustness.text import section_lines

    names = {"val": "validation", "test": "test"}
    command = _command([Path(subject.name)], words, asked)
    write_section(card, names[asked.split], section_lines(found, subject.name, command))
    print(f"section written: {card}")


def _sort(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Tell weights files from words of train.py: a word has an equals sign, and is no file that is there.

    Raises:
        UserError: if there is no weights file.
    """
    settings = [word for word in words if ("=" in word and not resolve_weights(word).is_file()) or word.startswith("~")]
    if files := [Path(word) for word in words if word not in settings]:
        return files, settings
    raise UserError("expected a weights file, or ferplus or fer2013, but got none")


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m fer.evaluation.robustness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="WORD",
        help="weights files, or ferplus or fer2013; and dataset=NAME dataset.root=DIR seed=1, as for train.py",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the report; left out: a new one in runs/")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="val, by which nets are chosen")
    parser.add_argument(
        "--faces",
        type=int,
        default=CORRUPTED,
        metavar="N",
        help=f"how many are corrupted ({CORRUPTED}); framed anew are all",
    )
    parser.add_argument("--pictures", type=int, default=PICTURED, metavar="N", help=f"in pictures, too ({PICTURED})")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="net of the mean corruption error; left out: ours of its classes"
    )
    parser.add_argument("--card", action="store_true", help="write it into the model card beside each weights file")
    parser.add_argument("--detector", choices=("auto", *DETECTORS), default="auto")
    parser.add_argument("--model", type=Path, metavar="FILE", help="YuNet's; left out: looked for, and fetched once")
    asked = parser.parse_intermixed_args(words)
    if asked.faces < 2 or asked.pictures < 0:
        parser.error("--faces, --pictures: expected at least two faces, and no fewer than 0 in pictures")
    with ending(parser):
        require("train")
        run(*_sort(asked.words), asked)


if __name__ == "__main__":
    main()
