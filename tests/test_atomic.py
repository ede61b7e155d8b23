"""Files that appear under their names only when they are whole."""

import os
import stat
import sys
from pathlib import Path

import pytest

from fer.atomic import atomic_file
from fer.errors import Terminated

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links and modes are of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("mode", "content"), [("w", "é\r\nä\n"), ("wb", b"\0\r\n\xff")])
def test_file_appears_at_the_end_as_it_was_written(tmp_path, mode, content):
    path = tmp_path / "a b.txt"
    with atomic_file(path, mode) as file:
        file.write(content)
        assert not path.exists()
    assert path.read_bytes() == (content if mode == "wb" else content.encode())
    assert names(tmp_path) == ["a b.txt"]


def test_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    on_disk = []
    monkeypatch.setattr(os, "fsync", lambda number: on_disk.append((os.fstat(number).st_size, names(tmp_path))))
    with atomic_file(tmp_path / "a") as file:
        file.write("whole")
    ((size, before),) = on_disk
    assert (size, "a" in before) == (5, False)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, Terminated])
def test_after_an_error_the_old_file_stays_alone(tmp_path, error):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), atomic_file(tmp_path / "a") as file:
        file.write("new")
        raise error
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_two_writers_of_one_file_do_not_mix_and_the_last_one_wins(tmp_path):
    with atomic_file(tmp_path / "a") as first:
        first.write("first" * 10_000)
        with atomic_file(tmp_path / "a") as second:
            second.write("second")
        assert (tmp_path / "a").read_text() == "second"
    assert (tmp_path / "a").read_text() == "first" * 10_000


def test_what_a_kill_would_leave_is_hidden_and_tells_whose_it_is(tmp_path):
    with atomic_file(tmp_path / "a.png"):
        [left] = names(tmp_path)
    assert left.startswith(".fer-")
    assert left.endswith(".partial")


@needs_links
def test_mode_is_that_of_an_ordinary_file(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "a"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@needs_links
def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("old")
    for link in ("a", "a.partial", ".a.partial"):
        (tmp_path / link).symlink_to("victim")
    with atomic_file(tmp_path / "a") as file:
        file.write("new")
    assert (tmp_path / "victim").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert not (tmp_path / "a").is_symlink()


def test_long_name_works_and_one_too_long_is_refused_before_the_work(tmp_path):
    with atomic_file(tmp_path / ("a" * 251 + ".txt")):
        pass
    with pytest.raises(OSError, match=r"a{252}.*\.txt") as error, atomic_file(tmp_path / ("a" * 252 + ".txt")):
        raise AssertionError("the work began")
    assert ".partial" not in str(error.value)
    assert names(tmp_path) == ["a" * 251 + ".txt"]


@pytest.mark.parametrize("place", ["folder", "none/a", "file/a", os.devnull])
def test_place_that_cannot_be_written_is_named_before_the_work(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"folder|none|file|nul") as error, atomic_file(tmp_path / place):
        raise AssertionError("the work began")
    assert ".partial" not in str(error.value)
    assert names(tmp_path) == ["file", "folder"]
    assert Path(os.devnull).read_bytes() == b""
