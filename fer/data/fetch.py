"""FER2013 and FER+ for dataset.root=DIR, by one command.

    python -m fer.data.fetch fer2013 DIR
    python -m fer.data.fetch ferplus DIR

FER2013's images come from a public copy on Kaggle (`fer.data.kaggle`), the votes of FER+ from its authors' repository.
What is there already stays as it is; what is there in part is completed. At the end, all that was fetched is compared
with what FER2013 is known to have (`fer.data.official`).
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fer.errors import RunError, UserError, is_full, reason

if TYPE_CHECKING:  # imported late, as all that is heavy: --help and a refusal need none of it
    from fer.data.table import Table

REPOSITORY = "https://github.com/microsoft/FERPlus"
VOTES_URL = f"{REPOSITORY}/raw/master/fer2013new.csv"
BEGINS = b"Usage,"
MOST_BYTES = 10_000_000  # the file has 1,602,762
NOTE = """\
FER2013's images were gathered on the web for research and belong to their owners; what the page of a copy says of a
licence is its uploader's claim. The votes of FER+ are under Microsoft's MIT licence, which covers no image. This
project hosts none of it: it comes from Kaggle and GitHub, and whether your use is allowed is for you to find out."""
AGAIN = "the same command goes on with what has come"
MOST_SAID = 3  # files that cannot be read
INTERRUPTED = 130


def fetch(dataset: str, folder: Path) -> bool:
    """Fetch what a folder lacks of a dataset.

    Args:
        dataset: "fer2013" or "ferplus".
        folder: what dataset.root is to be; it is made.

    Returns:
        Whether anything was lacking.

    Raises:
        UserError: if a library is missing, or the folder cannot be written to or holds something else.
        RunError: if something cannot be fetched.
    """
    from fer.data.kaggle import clear, fetch_images, import_kagglehub

    if folder.is_file():
        raise UserError(f"{folder}: expected a folder, but this is a file")
    if not (lacking := _lacking(dataset, folder)):
        return False
    if "images" in lacking:
        import_kagglehub()  # before anything is fetched
    print(NOTE, flush=True)
    with _alone(folder):
        lacking = _lacking(dataset, folder)  # another process may have been at work
        if "votes" in lacking:
            _fetch_votes(folder)
        if "images" in lacking:
            fetch_images(folder)
        clear(folder)
    return True


def _lacking(dataset: str, folder: Path) -> set[str]:
    """Return what of "images" and "votes" a folder does not have yet."""
    from fer.data.fer2013 import locate_fer2013
    from fer.data.ferplus import VOTES, locate_ferplus

    if dataset == "ferplus" and _is_found(locate_ferplus, folder):
        return set()
    lacking = set() if _is_found(locate_fer2013, folder) else {"images"}
    return lacking | ({"votes"} if dataset == "ferplus" and not (folder / VOTES).exists() else set())


def _is_found(locate: Callable[[Path], object], folder: Path) -> bool:
    try:
        locate(folder)
    except UserError:
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder and wait until no other process fetches into it.

    Raises:
        UserError: if it cannot be written to.
        RunError: if the disk is full.
    """
    from fer.locks import locked

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            yield
    except OSError as error:
        if is_full(error):
            raise RunError(f"{folder} could not be written to, as the disk is full: make room; {AGAIN}") from error
        raise UserError(f"{folder}: expected a folder that can be written to, but {reason(error)}") from error


def _fetch_votes(folder: Path) -> None:
    from fer.data.ferplus import VOTES
    from fer.download import download, why

    print(f"Fetching {VOTES} from {VOTES_URL}", flush=True)
    try:
        download(VOTES_URL, folder / VOTES, MOST_BYTES, BEGINS)
    except OSError as error:
        if is_full(error) or isinstance(error, PermissionError):
            raise
        raise RunError(
            f"FER+'s votes could not be fetched from {VOTES_URL}: {why(error)}; {AGAIN}, or open {REPOSITORY}, "
            f"download {VOTES} by hand and put it into {folder}"
        ) from error


def check(dataset: str, folder: Path) -> list[str]:
    """Print what of FER2013 is in a folder, by what is in the images, and whether the votes are those of its rows.

    Args:
        dataset: "fer2013" or "ferplus".
        folder: dataset.root.

    Returns:
        A sentence for all that is wrong.
    """
    from fer.data.ferplus import VOTES

    wrong = []
    try:
        if "images" not in _lacking("fer2013", folder):
            wrong += _check_images(folder)
        if dataset == "ferplus" and (folder / VOTES).exists():
            wrong += _check_votes(folder / VOTES)
        if dataset == "ferplus" and not wrong:
            print(f"FER+: a majority for {len(_read(dataset, folder, classes=8)):,} of the images")
    except UserError as error:
        wrong.append(str(error))
    return wrong


def _check_images(folder: Path) -> list[str]:
    import numpy as np

    from fer.data.official import match, official
    from fer.data.table import Split

    print(f"Comparing the images in {folder} with FER2013's", flush=True)
    known, table = official(), _read("fer2013", folder, classes=7)
    rows = match(table.images, table.labels, table.splits)
    is_known = rows >= 0
    found = rows[is_known]
    counts = np.bincount(known.splits[found], minlength=len(Split))
    parts = zip(Split, counts, known.counts(), strict=True)
    print("FER2013: " + ", ".join(f"{split.name.lower()} {n:,} of {total:,}" for split, n, total in parts) + " images")
    moved, renamed = table.splits[is_known] != known.splits[found], table.labels[is_known] != known.emotions[found]
    wrong = {
        "its images are not there": len(known.splits) - len(found),
        "the images here are none of its own": int((~is_known).sum()),
        "the images here lie in another split than the official one": int(moved.sum()),
        "the images here have another label than the official one": int(renamed.sum()),
    }
    said = [f"{folder}: {count:,} of {what}" for what, count in wrong.items() if count]
    return [*table.skipped[:MOST_SAID], *said] if said else []


def _check_votes(path: Path) -> list[str]:
    from fer.data.csv_lines import read_lines
    from fer.data.fer2013_csv import USAGES
    from fer.data.official import official

    usages = [line.partition(",")[0] for line in read_lines(path)][1:]
    known = official().splits.tolist()
    if [USAGES.get(usage) for usage in usages] == known:
        print(f"FER+: votes on all {len(known):,} images")
        return []
    return [
        f"{path}: expected a row for each of FER2013's {len(known):,} images, in their order, but got {len(usages):,}"
    ]


def _read(dataset: str, folder: Path, classes: int) -> "Table":
    from fer.data.official import SIDE
    from fer.data.readers import read
    from fer.schema import Fer2013, FerPlus

    if dataset == "fer2013":
        config = Fer2013(name=dataset, root=folder, classes=classes, on_error="skip")
    else:
        config = FerPlus(name=dataset, root=folder, classes=classes, labels="majority", on_error="skip")
    return read(config, SIDE, fit=False)


def main(words: Sequence[str] | None = None) -> None:
    """Fetch what is asked for, and check it."""
    parser = argparse.ArgumentParser(
        prog="python -m fer.data.fetch",
        description=f"{__doc__.splitlines()[0]} {NOTE}",
        epilog="exit codes: 0 all is there; 1 it cannot be fetched, or is not FER2013's; 2 a mistake; 130 Ctrl-C",
    )
    parser.add_argument(
        "dataset", choices=("fer2013", "ferplus"), help="ferplus: FER2013, and the votes of FER+ beside it"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="what dataset.root is to be")
    asked = parser.parse_args(words)
    try:
        if not fetch(asked.dataset, asked.folder):
            print(f"{asked.folder}: {asked.dataset} is there already, and nothing is fetched", flush=True)
        wrong = check(asked.dataset, asked.folder)
    except UserError as error:
        parser.error(str(error))
    except RunError as error:
        parser.exit(1, f"failed: {error}\n")
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, f"interrupted: {AGAIN}\n")
    if wrong:
        cure = "it stays as it is: move it away, and the same command fetches it anew"
        parser.exit(1, "".join(f"failed: {sentence}\n" for sentence in wrong) + f"failed: {asked.folder}: {cure}\n")
    print(f"dataset={asked.dataset} dataset.root={asked.folder} reads it")


if __name__ == "__main__":
    main()
