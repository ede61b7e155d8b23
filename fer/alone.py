"""Notices the other package that is imported as `fer`: both in one environment overwrite each other's files.

Imported by `fer` itself and, as the other's `__init__.py` may have taken its place, by the commands.
"""

from pathlib import Path


def require_alone(place: Path) -> None:
    """Look for another package's record beside ours: a list of names, where importlib.metadata takes 20 ms to import.

    Args:
        place: the folder in which the package `fer` lies.

    Raises:
        ImportError: if there is one.
    """
    try:
        records = [path for path in place.iterdir() if path.suffix in (".dist-info", ".egg-info")]
    except OSError:
        return  # a folder that may not be listed
    if others := [path.stem for path in records if path.stem.startswith("fer-")]:  # ours begins with fer_lightning
        raise ImportError(
            f"{place}: expected one package that is imported as fer, but got fer-lightning and {others[0]}, whose "
            "files are mixed now: run `pip uninstall fer fer-lightning` and install fer-lightning anew, in an "
            "environment without the other one"
        )


require_alone(Path(__file__).parents[1])
