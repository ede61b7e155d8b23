"""The rooms of the house: who may import whom, so that each can be read, used and replaced by itself."""

import ast
from pathlib import Path

import pytest

from tests.runs import ROOT

ROOMS = ("config", "data", "faces", "models", "export", "training", "evaluation", "inference")
COMMANDS = ("benchmark.py", "timing.py", "inspect.py")  # of a room by their subject, above all rooms by what they use
BELOW = {  # what each room may import of the others
    "models": set(),
    "config": set(),
    "data": {"config"},
    "faces": {"data", "config"},
    "export": {"config", "data", "faces", "models"},
    "evaluation": {"config", "data", "faces", "models", "export"},
    "inference": {"config", "data", "faces", "models"},
    "training": {"config", "data", "models", "export", "evaluation"},
}


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, at its top and in its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def of_room(room: str) -> dict[Path, set[str]]:
    """Return the imports of a room's files; but for the commands that stand above all rooms."""
    paths = (ROOT / "fer" / room).rglob("*.py")
    return {path: imports(path) for path in paths if path.name not in COMMANDS}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_lies_below(room):
    strangers = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path, names in of_room(room).items()
        for name in names
        for other in ROOMS
        if other != room and name.startswith(f"fer.{other}.") and other not in BELOW[room]
    }
    assert not strangers


@pytest.mark.parametrize("room", ["models", "data", "faces", "export", "evaluation", "inference", "config"])
def test_only_training_and_its_loaders_know_lightning(room):
    users = [path.name for path, names in of_room(room).items() if any(name.startswith("lightning") for name in names)]
    assert users == (["datamodule.py"] if room == "data" else [])


def test_models_import_nothing_of_ours_but_each_other():
    for path, names in of_room("models").items():
        assert all(name.startswith("fer.models.") for name in names if name.startswith("fer")), path


def test_each_room_says_what_it_is_for():
    for path in (ROOT / "fer").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
