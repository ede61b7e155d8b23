"""Libraries that only some commands need: whether they are installed, asked before any work, and how they come."""

from importlib.metadata import requires
from importlib.util import find_spec

from fer.errors import UserError
from fer.paths import HOME, INSTALLED

EXTRAS = {  # by their name in pyproject.toml; libraries as they are imported
    "export": ("onnx", "onnxruntime"),
    "mlflow": ("mlflow",),
    "parquet": ("pyarrow",),
    "train": (
        *("torch", "torchvision", "lightning", "albumentations", "torchmetrics", "tensorboard", "pytorch_grad_cam"),
        "optuna",
    ),
    "wandb": ("wandb",),
}


def require(extra: str, *libraries: str, of: str | None = None) -> None:
    """Make sure that the libraries of an extra are installed, without importing them.

    Args:
        extra: a key of `EXTRAS`.
        libraries: those that are needed; all of the extra's if left out.
        of: the setting that needs them, as it was typed.

    Raises:
        UserError: naming those that are not.
    """
    if lacking := [name for name in libraries or EXTRAS[extra] if not _is_there(name)]:
        names = " and ".join(filter(None, (", ".join(lacking[:-1]), lacking[-1])))
        start = f"{of}: " if of else ""
        raise UserError(f"{start}expected {names}, but found nothing: {how(extra)}")


def how(extra: str) -> str:
    """Return the command that installs an extra: beside a wheel, which has no checkout, by its libraries."""
    if HOME != INSTALLED:
        return f'pip install -e ".[{extra}]"'
    needed = [line.partition(";") for line in requires("fer-lightning") or ()]
    return "pip install " + " ".join(f'"{name.strip()}"' for name, _, mark in needed if f"'{extra}'" in mark)


def _is_there(library: str) -> bool:
    """Tell whether a library is installed; a folder of its name, as wandb leaves one, imports as an empty package."""
    spec = find_spec(library)
    return spec is not None and spec.origin is not None
