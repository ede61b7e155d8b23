"""Locks keep processes apart and leave no file behind."""

import subprocess
import sys

from filelock import FileLock

from fer.locks import let_go, locked

# Counts up, which goes wrong where two do it at once.
CHILD = """
import sys, time
from pathlib import Path
from fer.locks import locked
folder = Path(sys.argv[1])
for _ in range(40):
    with locked(folder / ".lock"):
        number = int((folder / "number").read_text())
        time.sleep(0.001)
        (folder / "number").write_text(str(number + 1))
"""


def test_no_two_processes_hold_a_lock_whose_file_comes_and_goes(tmp_path):
    (tmp_path / "number").write_text("0")
    children = [subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)]) for _ in range(4)]
    assert [child.wait(120) for child in children] == [0] * 4
    assert (tmp_path / "number").read_text() == "160"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_a_lock_s_file_is_gone_even_after_an_error(tmp_path):
    try:
        with locked(tmp_path / ".lock"):
            assert (tmp_path / ".lock").exists()
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert not list(tmp_path.iterdir())
    lock = FileLock(tmp_path / ".lock")
    lock.acquire()
    let_go(lock)
    assert not lock.is_locked
    assert not list(tmp_path.iterdir())
