"""FER2013 and FER+ for dataset.root=DIR, by one command.

    python -m fer.data.fetch fer2013 DIR
    python -m fer.data.fetch ferplus DIR

FER2013's images come from a public copy on Kaggle (`fer.data.kaggle`), the votes of FER+ from its authors' repository.
What is there already stays as it is; what is there in part is completed. At the end, all that was fetched is compared
with what FER2013 is known to have (`fer.data.official`).
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fer.data.bad_rows import readable
from fer.errors import RunError, UserError, ending, is_full, reason

REPOSITORY = "https://github.com/microsoft/FERPlus"
VOTES_URL = f"{REPOSITORY}/raw/master/fer2013new.csv"
BEGINS = b"Usage,"
MOST_BYTES = 10_000_000  # the file has 1,602,762
NOTE = """\
FER2013's images were gathered on the web for research and belong to their owners; what the page of a copy says of a
licence is its uploader's claim. The votes of FER+ are under Microsoft's MIT licence, which covers no image. This
project hosts none of it: it comes from Kaggle and GitHub, and whether your use is allowed is for you to find out."""
MOST_SAID = 3  # files that cannot be read
AGAIN = "the same command goes on with what has come"
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


@readable()
def _lacking(dataset: str, folder: Path) -> set[str]:
    """Return what of "images" and "votes" a folder does not have yet.

    Raises:
        UserError: if it has images that are none of FER2013's layouts.
    """
    from fer.data.ferplus import locate_ferplus
    from fer.data.kaggle import is_half_taken
    from fer.data.layouts import look
    from fer.data.votes_csv import VOTES

    lacking = {"images"} if is_half_taken(folder) or look(folder) is None else set()
    if dataset == "fer2013":
        return lacking
    if not is_half_taken(folder):
        with suppress(UserError):
            locate_ferplus(folder)
            return set()
    return lacking | (set() if (folder / VOTES).exists() else {"votes"})


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
    from fer.data.votes_csv import VOTES
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


def check(dataset: str, folder: Path) -> str | None:
    """Say what of FER2013 is in a folder, by what is in the images, and whether the votes are on its rows.

    Args:
        dataset: "fer2013" or "ferplus".
        folder: dataset.root.

    Returns:
        A sentence if that is not all of it, with its own labels.
    """
    from fer.data.official import SIDE
    from fer.data.readers import read
    from fer.data.schema import Fer2013, FerPlus

    print(f"Comparing what is in {folder} with FER2013", flush=True)
    if dataset == "fer2013":
        config = Fer2013(name=dataset, root=folder, classes=7, on_error="skip")
    else:  # whose reader compares the votes with FER2013's rows; none of them may be bad
        config = FerPlus(name=dataset, root=folder, classes=8, labels="majority", on_error="raise")
    try:
        table = read(config, SIDE, fit=False)
    except UserError as error:
        return str(error)
    for sentence in (*table.skipped[:MOST_SAID], *(table.origin.sentences if table.origin else ())):
        print(sentence)
    if dataset == "ferplus":
        print(f"the votes are those of its images, with a majority for {len(table):,} of them")
    if table.origin and (table.origin.found != table.origin.official or table.origin.relabelled):
        return f"{folder}: expected all of FER2013 with its own labels, but it is not as published"
    return None


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
        with ending(parser):
            if not fetch(asked.dataset, asked.folder):
                print(f"{asked.folder}: {asked.dataset} is there already, and nothing is fetched", flush=True)
            fault = check(asked.dataset, asked.folder)
    except KeyboardInterrupt:
        parser.exit(INTERRUPTED, f"interrupted: {AGAIN}\n")
    if fault:
        parser.exit(1, f"failed: {fault}; what is there stays: move it away, and the same command fetches it anew\n")
    print(f"All is there: dataset={asked.dataset} dataset.root={asked.folder}")


if __name__ == "__main__":
    main()
