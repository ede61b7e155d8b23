"""Where conf/ and weights/ lie, and what a word for a file means: weights by name or path, an address or a camera.

Imports nothing.
"""

import os
import re
from pathlib import Path

INSTALLED = Path(__file__).with_name("shipped")  # where a wheel has what lies at the top of a checkout: pyproject.toml
HOME = INSTALLED if INSTALLED.is_dir() else Path(__file__).parents[1]
WEIGHTS = HOME / "weights"  # those that come with the project
CONF = HOME / "conf"


def command(name: str) -> str:
    """Return how `train` or `infer` is called from here: "python train.py", or "fer-train" where no train.py is."""
    return f"fer-{name}" if HOME == INSTALLED else f"python {name}.py"


def shipped() -> list[str]:
    """Return the names of the nets that come with the project."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def resolve_weights(word: str | os.PathLike[str], suffix: str = ".safetensors") -> Path:
    """Return the weights file that a word means; whether it is there is for the reader to say.

    Args:
        word: the name of a net that comes with the project, as "ferplus", whatever lies in the working folder; or a
            path. One where there is nothing is looked for below the project's folder too: weights/ferplus.safetensors.
        suffix: which of a shipped net's files its name means: .safetensors to train and evaluate, .onnx to run it.
    """
    if str(word) in shipped():
        return WEIGHTS / f"{word}{suffix}"
    path = Path(os.path.expanduser(word))  # noqa: PTH111 (pathlib's fails for ~nobody)
    beside = HOME / path
    exists = os.path.exists  # Path's own fails in a folder where one may not look
    return beside if not exists(path) and exists(beside) else path


def is_onnx(path: Path) -> bool:
    """Tell whether a file is an ONNX file by its name."""
    return path.suffix.lower() == ".onnx"


def exported(weights: Path) -> Path:
    """Return where the ONNX file of a weights file lies, if it has one."""
    return weights.with_suffix(".onnx")


def is_address(input: str) -> bool:
    """Tell whether an input is an address (rtsp://, http://, ...) and no file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", input) is not None


def redact_address(address: str) -> str:
    """Return an address without its secrets: user and password, and the query, where many cameras have theirs."""
    return re.sub(r"\?.*", "?...", re.sub(r"://.*@", "://***@", address))


def number_of(source: str) -> int | None:
    """Return the number of the camera that an input, "2" or "/dev/video2" or a link to it, means; None for others."""
    device = os.path.realpath(source) if source.startswith("/dev/") else source
    found = re.fullmatch(r"(?:/dev/video)?([0-9]+)", device)
    return int(found[1]) if found else None


def is_live(source: str) -> bool:
    """Tell whether an input is a camera or an address and no file."""
    return is_address(source) or number_of(source) is not None
