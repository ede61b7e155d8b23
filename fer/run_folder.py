"""The folder of a run, a sweep or a search: made under a free name, one process's alone, and its settings in `.hydra/`.

Nothing is written to a folder before its lock is held, so that a start that is refused leaves a run at work as it was.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from fer.atomic import atomic_file
from fer.errors import RunError, UserError, is_full
from fer.locks import let_go

RESULTS = "metrics.json"  # written last: with it, a run is finished
PREDICTIONS = {"val": "predictions_val.csv", "test": "predictions.csv", "fold": "predictions_fold.csv"}
COPIES = "copies.csv"  # test faces that training has, too
GROUPS = "groups.md"
NET, EXPORTED = "weights.safetensors", "net.onnx"
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")
SETTINGS, WORDS, HYDRA = (Path(".hydra") / f"{name}.yaml" for name in ("config", "overrides", "hydra"))
IDS = "loggers.json"  # under which other programs know the run
ERROR, OUTPUT = "error.txt", "output.txt"  # of a sweep's job: why it failed, what it said
SWEEP, STUDY = "multirun.yaml", "study.journal"  # of a sweep's folder, of a search's


def resume_root(folder: Path) -> Path:
    """Return what is to be resumed: a run's folder, or that of the sweep or search that it belongs to."""
    is_part = any((folder.parent / name).exists() for name in (SWEEP, STUDY))
    return folder.parent if is_part else folder


class AtWork(UserError):
    """Another process works in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder}: another process works on this run: wait for its end, or stop it")


def cannot_make(folder: Path, error: OSError) -> UserError | RunError:
    """Return what a folder that cannot be made or written to means: a full disk is no mistake of the user."""
    if is_full(error):
        return RunError(f"{folder} could not be written ({error})")
    return UserError(f"the run's folder cannot be made: {error}")


def new_folder(wanted: Path) -> Path:
    """Make a folder that was not there before, under the wanted name or that with `_2`, `_3`, ... behind.

    Raises:
        UserError: if none can be made there.
        RunError: if the disk is full.
    """
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
            with suppress(FileExistsError):  # another process may ask for the name at this very moment
                folder.mkdir()
                return folder
    except OSError as error:
        raise cannot_make(wanted, error) from error
    raise AssertionError  # there is always one more name


def make_folder(folder: Path) -> Path:
    """Make a folder, unless it is there, and return it.

    Raises:
        UserError: if it cannot be made.
        RunError: if the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError as error:
        raise cannot_make(folder, error) from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; this one may come in again.

    Raises:
        AtWork: if one is at work there.
        UserError: if it cannot be written to.
        RunError: if the disk is full.
    """
    path = (folder / ".lock").absolute()
    lock = FileLock(path, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise AtWork(folder) from error
    except OSError as error:
        raise cannot_make(folder, error) from error
    try:
        yield
    finally:
        if lock.lock_counter > 1:
            lock.release()
        else:
            let_go(lock)


def is_at_work(folder: Path) -> bool:
    """Tell whether another process works in a folder, without leaving anything there."""
    if not (folder / ".lock").exists():
        return False
    try:
        with exclusive(folder):
            return False
    except AtWork:
        return True
    except (UserError, RunError):
        return False  # whoever wants to write there will say it


@contextmanager
def taken(folder: Path, is_new: bool) -> Iterator[Path]:
    """Make a folder, or take one that is there, and keep other processes out; yield its path.

    After a UserError nothing is left of what was made, unless the run has begun its work.

    Args:
        folder: of a run, a sweep or a search.
        is_new: whether nobody has named it, so that one that is there is another run's, and a free name is taken.

    Raises:
        AtWork: if another process is at work there.
        UserError: if it cannot be made.
        RunError: if the disk is full.
    """
    made = [place for place in folder.parents if not place.exists()]
    before = set(folder.iterdir()) if folder.is_dir() and not is_new else set()
    if is_new or not folder.exists():
        folder = new_folder(folder) if is_new else make_folder(folder)
        made.insert(0, folder)
    try:
        with exclusive(folder):
            yield folder
    except UserError:
        with suppress(OSError):
            if set(folder.iterdir()) - before == {folder / ".hydra"}:
                shutil.rmtree(folder / ".hydra")
            for place in made:
                place.rmdir()
        raise


def keep_settings(folder: Path, config: str, hydra: str, overrides: str) -> None:
    """Write the three files of `.hydra/`, as Hydra would; those of a finished run stay, as its figures do.

    config.yaml comes last: with it, all are whole.

    Raises:
        RunError: if they cannot be written.
    """
    if (folder / RESULTS).exists():
        return
    place = folder / ".hydra"
    try:
        place.mkdir(exist_ok=True)
        for name, text in (("hydra", hydra), ("overrides", overrides), ("config", config)):
            with atomic_file(place / f"{name}.yaml") as file:
                file.write(text)
    except OSError as error:
        raise RunError(f"{place} could not be written ({error})") from error
