"""What is checked before any work beyond the schema of `conf/infer.yaml`."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fer.config.jobs import Job
from fer.errors import UserError, reason
from fer.inference.io.input_kind import mode_of
from fer.paths import redact_address


def check_inference(jobs: list[Job], multirun: bool) -> None:
    """Check the one job.

    Raises:
        UserError: with everything that was found wrong, an argument each.
    """
    if multirun:
        raise UserError("-m: expected one job, since infer.py has no sweeps: leave out -m")
    checks = (_check_kind, _check_places)
    errors = [error for job in jobs if job.config for check in checks for error in check(job.config)]
    if errors:
        raise UserError(*errors)


def _check_kind(config: "InferConfig") -> Iterator[str]:  # noqa: F821 (its import costs)
    """Name the mode that an input is for, where the chosen one cannot be."""
    fits, name = mode_of(config.input), config.input
    is_there = bool(name) and os.path.exists(os.path.expanduser(name))  # noqa: PTH110, PTH111 (pathlib's fail for ~nobody)
    if config.mode == "webcam" and fits != "webcam" and is_there:
        what = {"image": "these are photos", "video": "this is a clip"}[fits]
        yield f"input={name}: expected a camera's number or an address, but {what}: use mode={fits}"
    elif config.mode in ("image", "crop") and fits == "webcam" and not is_there:
        source = redact_address(name)
        yield f"input={source}: expected photos, but this is a camera or a stream: use mode=webcam or mode=video"


def _check_places(config: "InferConfig") -> Iterator[str]:  # noqa: F821 (its import costs)
    output = config.output
    if output is None:
        return
    if problem := _unusable(output):
        yield problem
        return
    source = Path(os.path.realpath(os.path.expanduser(config.input or "/")))  # noqa: PTH111
    target = Path(os.path.realpath(output))
    if config.input and target == source:
        yield f"output={output}: expected another place than the input, which would be lost: choose a new name"
    elif config.input and source in target.parents and source.is_dir():
        yield f"output={output}: expected a place outside the input, of which it would become a part: choose another"
    if config.mode == "crop" and (problem := not_empty(output)):
        yield problem
    a_folder = config.mode == "video" and (output.is_dir() or not output.suffix)
    if config.mode in ("video", "webcam") and not a_folder and output.suffix.lower() not in (".mp4", ".mov", ".mkv"):
        yield f"output={output}: expected a name that ends in .mp4, .mov or .mkv, as mode={config.mode} writes a clip"
    folder = output if output.is_dir() else output.parent
    if not folder.is_dir():
        yield f"output={output}: expected an existing folder to write into, but there is no {folder}: make it"
    elif not os.access(folder, os.W_OK):
        yield f"output={output}: expected a folder that can be written, but {folder} is read-only for you"


def _unusable(output: Path) -> str | None:
    """Return what is wrong with the name of an output, if anything is."""
    longest = output.parent / f"{output.stem}.partial.jsonl"  # of the names that are made from a file's
    for path in (output, longest) if output.suffix else (output,):
        try:
            kind = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return f"output={output}: expected a place to write to, but {reason(error)}: choose another name"
        if path == output and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            return f"output={output}: expected a file, a folder or a new name, but this is a device or a pipe"
    return None


def not_empty(folder: Path) -> str | None:
    """Return why a folder cannot take a dataset's faces, if there is anything in it that is not hidden."""
    try:
        if not folder.is_dir() or all(name.startswith(".") for name in os.listdir(folder)):  # noqa: PTH208
            return None
    except OSError as error:
        return f"output={folder}: expected an empty folder, but {reason(error)}: choose another"
    return f"output={folder}: expected a new or empty folder, as the faces in this one would stay: choose another"
