"""The tutorial runs for a stranger, without network and data, and shows what it has shown."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT

FILE = ROOT / "docs/tutorial.ipynb"
CELLS = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
TEXT = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
ALONE = """
import socket

connect = socket.socket.connect

def local(self, address):
    if isinstance(address, tuple):  # a host and a port
        raise OSError(f"expected no network, but {address} is asked for")
    return connect(self, address)

socket.socket.connect = local
"""


def test_what_is_kept_is_one_whole_run_without_warnings_and_places_of_a_machine():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"execute_result", "display_data", "stream"}
    assert {output["name"] for output in outputs if "name" in output} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    said = json.dumps([{**output, "data": {**output.get("data", {}), "image/png": ""}} for output in outputs])
    assert not re.search(r"/(root|home|tmp|Users)/|\\\\Users|warning", said, re.IGNORECASE)
    assert FILE.stat().st_size < 700_000


def test_its_links_and_commands_lead_somewhere():
    for place in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (FILE.parent / place).exists(), place
    assert "python -m pip install" in TEXT and "docs/tutorial.ipynb" in TEXT


@pytest.mark.slow
def test_its_cells_run_one_after_another(tmp_path: Path):
    pytest.importorskip("pandas")
    lines = [ALONE, "import matplotlib", "matplotlib.use('agg')", *("".join(cell["source"]) for cell in CODE)]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    kept = "".join("".join(output.get("text", "")) for cell in CODE for output in cell["outputs"])
    for line in ("drawn as  angry, happy, surprise, fear", "ferplus   angry, happy, surprise, surprise"):
        assert line in done.stdout and line in kept
    assert list(tmp_path.iterdir()) == []
