"""What is checked before any work beyond the schema of `conf/infer.yaml`."""

import os
from collections.abc import Iterator
from pathlib import Path

from fer.config import Job
from fer.errors import UserError


def check_inference(jobs: list[Job], multirun: bool) -> None:
    """Check the one job.

    Raises:
        UserError: with everything that was found wrong, an argument each.
    """
    if multirun:
        raise UserError("-m: expected one job, since infer.py has no sweeps: leave out -m")
    errors = [error for job in jobs if job.config for error in _check_places(job.config)]
    if errors:
        raise UserError(*errors)


def _check_places(config: "InferConfig") -> Iterator[str]:  # noqa: F821 (its import costs)
    output = config.output
    if output is None:
        return
    source = Path(os.path.realpath(os.path.expanduser(config.input or "/")))  # noqa: PTH111
    target = Path(os.path.realpath(output))
    if config.input and target == source:
        yield f"output={output}: expected another place than the input, which would be lost: choose a new name"
    elif config.input and source in target.parents and source.is_dir():
        yield f"output={output}: expected a place outside the input, of which it would become a part: choose another"
    if config.mode == "crop" and output.is_dir() and any(output.iterdir()):
        yield f"output={output}: expected a new or empty folder, as the faces in this one would stay: choose another"
    a_folder = config.mode == "video" and (output.is_dir() or not output.suffix)
    if config.mode in ("video", "webcam") and not a_folder and output.suffix.lower() not in (".mp4", ".mov", ".mkv"):
        yield f"output={output}: expected a name that ends in .mp4, .mov or .mkv, as mode={config.mode} writes a clip"
    if not output.parent.is_dir():
        yield f"output={output}: expected an existing folder to write into, but there is no {output.parent}: make it"
    elif not os.access(output.parent, os.W_OK):
        yield f"output={output}: expected a folder that can be written, but {output.parent} is read-only for you"


def place_of(path: Path) -> Path:
    """Return a path as given or, if there is nothing, below the project's folder: for the weights that come with it."""
    beside = Path(__file__).parents[2] / path
    exists = os.path.exists  # Path's own fails in a folder where one may not look
    return beside if not exists(path) and exists(beside) else path
