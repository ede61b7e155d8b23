"""Libraries that only some commands need: whether they are installed, asked before any work."""

from importlib.util import find_spec

from fer.errors import UserError

EXTRAS = {  # by their name in pyproject.toml; libraries as they are imported
    "export": ("onnx", "onnxruntime"),
    "parquet": ("pyarrow",),
}


def require(extra: str) -> None:
    """Make sure that the libraries of an extra are installed, without importing them.

    Raises:
        UserError: naming those that are not.
    """
    if lacking := [name for name in EXTRAS[extra] if find_spec(name) is None]:
        raise UserError(f'expected {" and ".join(lacking)}, but found nothing: pip install -e ".[{extra}]"')
