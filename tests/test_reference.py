"""The reference of the Python interface is that of the code, and every example in a docstring does what it shows."""

import doctest
import importlib

import pytest

import fer
from tests.reference import TOLD, page
from tests.runs import ROOT

SLOW = ("fer.api.train", "fer.api.evaluate")


def examples() -> dict[str, doctest.DocTest]:
    """Return the examples of the package, by the name of what they are about."""
    files = [path for path in (ROOT / "fer").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(files)]
    found = doctest.DocTestFinder(exclude_empty=True)
    all_of = [found.find(importlib.import_module(name), globs={}) for name in modules]  # which import what they use
    return {one.name: one for some in all_of for one in some if one.examples}


EXAMPLES = examples()


def test_the_reference_is_made_from_the_docstrings():
    kept = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    assert page() == kept, "python -m tests.reference > docs/python.md"


def test_what_is_public_has_an_example():
    public = {f"{thing.__module__}.{name}" for name, thing in TOLD["fer"].items()}
    assert public - set(EXAMPLES) == {"fer.api.Run"}  # what train, whose example has one, returns
    assert set(TOLD["fer"]) == set(fer.__all__) - {"__version__"}


@pytest.mark.parametrize(
    "example", [pytest.param(one, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, one in EXAMPLES.items()]
)
def test_an_example_does_what_it_shows(example: doctest.DocTest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for what it writes
    if "to_pandas" in example.docstring:
        pytest.importorskip("pandas")
    said: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert found.attempted and not found.failed, "".join(said)
