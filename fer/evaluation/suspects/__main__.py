"""Suspect labels: the training faces whose label the nets that did not train on them contradict most.

    python train.py -m fold=1,2,3,4,5 test=false dataset.root=DIR
    python -m fer.evaluation.suspects SWEEP_DIR

DIR are the runs of all folds of one training, or folders above them, or their files predictions_fold.csv. Reads the
dataset again, from where the runs read it or from --root. Writes suspects.csv, the most contradicted label first,
suspects.png with the first of these faces, contradictions.csv with copies of a face that have different labels, and
suspects.md, which says how to read them. It is a list to look at, and no verdict.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer.errors import UserError, ending
from fer.extras import require

if TYPE_CHECKING:  # they are imported late: --help needs none of it
    from fer.data.table import Table
    from fer.evaluation.suspects.joined import Joined


def run(places: Sequence[Path], output: Path | None, root: Path | None) -> Path:
    """Join the folds, rank the labels and write the report; return its path.

    Raises:
        UserError: if folds are missing or do not belong together, or the data is not there or is another.
        RunError: if a file cannot be written.
    """
    if output is None and (len(places) > 1 or not places[0].is_dir()):
        raise UserError("expected --output, a folder for the report, as no single DIR is given")
    from fer.evaluation.console import relative_path
    from fer.evaluation.suspects.contradiction import contradict
    from fer.evaluation.suspects.joined import join
    from fer.evaluation.suspects.report import gather, write_suspects
    from fer.run_folder import make_folder

    joined = join(places)
    faces = _read(joined, root)
    print("looking for copies", flush=True)
    found = gather(joined, faces, contradict(joined.probabilities, joined.labels))
    folder = make_folder(output or places[0])
    report = write_suspects(folder, found, _command(places, output, root))
    print(f"{len(found.against.ranked):,} suspect labels of {len(joined.rows):,}\nreport: {relative_path(report)}")
    return report


def _read(joined: "Joined", root: Path | None) -> "Table":
    """Read the faces that the folds tell of, in FER2013's size or the net's if that is larger, so that one sees them.

    Raises:
        UserError: if the data is not there, or not what the folds were trained on.
    """
    from pydantic import TypeAdapter, ValidationError

    from fer.config.settings_file import read_settings
    from fer.data.official import SIDE
    from fer.data.readers import load
    from fer.data.schema import Dataset
    from fer.data.table import Split
    from fer.run_folder import SETTINGS

    first = joined.runs[0]
    section = dict(read_settings(first.folder / SETTINGS)["dataset"]) | ({"root": str(root)} if root else {})
    try:
        config = TypeAdapter(Dataset).validate_python(section)
    except ValidationError as error:
        place, what = ".".join(map(str, error.errors()[0]["loc"])), error.errors()[0]["msg"]
        raise UserError(f"{first.folder / SETTINGS}: expected a dataset, but {place}: {what}") from None
    print(f"reading {config.name}", flush=True)
    table = load(config, max(SIDE, int(first.config.get("model.input_size") or SIDE)))
    faces = table.part(Split.TRAIN).by_rows()
    same = faces.classes == joined.classes and faces.rows.tolist() == joined.rows.tolist()
    if not (same and (faces.labels == joined.labels).all()):
        raise UserError(
            f"{root or getattr(config, 'root', config.name)}: expected the {len(joined.rows):,} training faces of "
            f"{first.folder} and its other folds, but got others or other labels: give their folder by --root"
        )
    return faces


def _command(places: Sequence[Path], output: Path | None, root: Path | None) -> str:
    """Return the command, without the places of this machine."""
    shown = [place.name if place.is_absolute() else str(place) for place in places]
    options = [*(("--output", "DIR") if output else ()), *(("--root", "DIR") if root else ())]
    return shlex.join(("python", "-m", "fer.evaluation.suspects", *shown, *options))


def main(words: Sequence[str] | None = None) -> None:
    """Join, rank and write."""
    parser = argparse.ArgumentParser(
        prog="python -m fer.evaluation.suspects",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="DIR", help="sweep or runs, or predictions_fold.csv")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder of the report; left out: DIR, if there is one"
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="where the data lies now, as dataset.root=DIR")
    asked = parser.parse_args(words)
    with ending(parser):
        require("train")
        run(asked.places, asked.output, asked.root)


if __name__ == "__main__":
    main()
