"""FER2013's images from Kaggle, by its own library kagglehub, an extra: from a public copy, https://www.kaggle.com.

The challenge's own files want an account and accepted rules. Public copies want neither, as far as kagglehub's README
says (1.0.3: only private resources, and those that ask for consent); that is Kaggle's to change. The copy has JPEG
files in train/ and test/, with class folders, whose names tell PublicTest from PrivateTest.

The library's cache is put into the target folder, for the images to be moved out of it and not copied: its output_dir
could not go on with what had come. It has no time limit for an answer, but Ctrl-C ends it.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.errors import RunError, UserError, is_full, printable, reason
from fer.extras import how

HANDLE = "msambare/fer2013"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
STAGING = ".kagglehub"  # within the target folder
CACHE = "KAGGLEHUB_CACHE"  # where the library looks for its cache folder's place
FOLDERS = ("train", "test")
LOGIN = "it wants a login, or refuses the one that is set up here"
REFUSED = {401: f"{LOGIN} (401)", 403: f"{LOGIN} (403)", 404: "it is no longer there (404)"}  # of HTTP


def import_kagglehub() -> Any:
    """Return the library.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import kagglehub
        from kagglehub import dataset_download  # noqa: F401 (a folder of that name imports, too)
    except ImportError as error:
        raise UserError(
            "expected the library kagglehub, which fetches the images of FER2013, but it is not installed: "
            f"{how('fetch')}, or download {PAGE} by hand"
        ) from error
    return kagglehub


def fetch_images(folder: Path) -> None:
    """Fetch the copy and put its train/ and test/ into a folder; what an earlier attempt has left there is used.

    Raises:
        UserError: if the library is missing, or something of these names is there already.
        RunError: if it cannot be fetched.
        OSError: if the folder cannot be written to.
    """
    kagglehub, staging = import_kagglehub(), folder.absolute() / STAGING
    if not staging.exists():
        _require_free(folder, FOLDERS)
    staging.mkdir(exist_ok=True)
    try:
        with _cache_in(staging):
            fetched = Path(kagglehub.dataset_download(HANDLE))
    except OSError as error:  # those of the library's HTTP are of this kind, too
        failure = _failure(error, folder, "the same command goes on with what has come")
        _remove_empty(staging)
        raise failure from error
    except Exception as error:  # a damaged archive, or whatever else the library does not expect
        shutil.rmtree(staging, ignore_errors=True)
        raise _failure(error, folder, "the same command starts anew") from error
    _take(fetched, staging, folder)
    clear(folder)


def _remove_empty(staging: Path) -> None:
    """Remove what an attempt that fetched nothing has left."""
    if not any(path.is_file() for path in staging.rglob("*")):
        shutil.rmtree(staging, ignore_errors=True)


def is_half_taken(folder: Path) -> bool:
    """Tell whether an attempt was interrupted when it had put one of its folders into its place."""
    return (folder / STAGING).exists() and sum((folder / name).exists() for name in FOLDERS) == 1


def clear(folder: Path) -> None:
    """Remove what is left of an attempt when all is in its place."""
    shutil.rmtree(folder / STAGING, ignore_errors=True)


def _take(fetched: Path, staging: Path, folder: Path) -> None:
    """Move what was fetched into the folder, each part of it whole or not at all."""
    if staging not in fetched.parents:  # on Kaggle's own machines and Colab, where it lies in a folder for all
        fetched = Path(shutil.copytree(fetched, staging / "copy", dirs_exist_ok=True))
    parts = sorted(fetched.iterdir())
    _require_free(folder, [part.name for part in parts])
    for part in parts:
        part.rename(folder / part.name)


def _require_free(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if os.path.lexists(folder / name):
            raise UserError(
                f"{folder / name}: expected nothing of this name, as the images are to come there, and nothing is "
                "overwritten: move it away, or name another folder"
            )


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Let the library have its cache in a folder."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(CACHE)
        if before is not None:
            os.environ[CACHE] = before


def _failure(error: Exception, folder: Path, then: str) -> RunError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    found, again = REFUSED.get(status) or _reason(error, status), "" if status in REFUSED else f"{then}, or "
    return RunError(
        f"FER2013 could not be fetched from Kaggle: {found}; {again}open {PAGE}, download it by hand and unpack it "
        f"into {folder}"
    )


def _reason(error: Exception, status: int | None) -> str:
    """Return in a few words what the library means."""
    from http.client import HTTPException

    if status:
        return f"it answers {status}"
    if is_full(error):
        return f"the disk is full ({error})"
    while inner := error.__cause__ or error.__context__:  # the library of HTTP wraps the system's own word thrice
        error = inner
    if isinstance(error, HTTPException):
        return "the connection broke"
    return printable(reason(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}")
