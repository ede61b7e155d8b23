"""FER2013 and FER+ by one command: from a server on this machine that plays GitHub and Kaggle, never the real ones."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from zipfile import BadZipFile

import pytest
from safetensors.numpy import save_file

from fer.data import fetch, kaggle, official
from fer.data.fer2013 import read_fer2013
from fer.data.readers import read
from fer.data.votes_csv import VOTES
from tests.data import USAGES, VOTE_HEADER, make_faces, write_fer2013_csv, write_image, write_kaggle_folders
from tests.hosts import KAGGLE, Host

PATH = "/microsoft/FERPlus/raw/master/fer2013new.csv"
FACES = make_faces()
N = len(FACES.images)
WHOLE = "all FER2013's 14 / 14 / 14 images are there"
FITTING = f"the votes are those of its images, with a majority for {N} of them"


def votes() -> bytes:
    """Return fer2013new.csv for the faces."""
    rows = enumerate(zip(FACES.splits, FACES.votes, strict=True))
    lines = [f"{USAGES[split]},fer{n:07d}.png,{','.join(map(str, counts))}" for n, (split, counts) in rows]
    return ("\n".join([VOTE_HEADER, *lines]) + "\n").encode()


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """Return a folder with train/ and test/, as the copy on Kaggle has them; copy.zip lies beside it."""
    folder = tmp_path_factory.mktemp("kaggle") / "copy"
    write_kaggle_folders(folder)
    shutil.make_archive(folder, "zip", folder)
    return folder


@pytest.fixture
def host(copy, tmp_path_factory, monkeypatch):
    """Yield a server with the votes and the copy's archive; the faces of both are what is official."""
    monkeypatch.setenv("no_proxy", "*")
    host = Host()
    host.files |= {PATH: votes(), "/archive.zip": copy.with_suffix(".zip").read_bytes()}
    monkeypatch.setattr(fetch, "VOTES_URL", host.url + PATH)
    place = tmp_path_factory.mktemp("official") / "official.safetensors"
    made = official.make_official(FACES.images, FACES.emotions, FACES.splits)
    codes = made.emotions + (official.CODES * FACES.splits).astype("uint8")
    save_file({"hashes": made.hashes, "signatures": made.signatures, "codes": codes}, place)
    monkeypatch.setattr(official, "PATH", place)
    official.official.cache_clear()
    read.cache_clear()
    yield host
    official.official.cache_clear()
    host.close()


class Library(ModuleType):
    """What `fer.data.kaggle` uses of kagglehub, without a network."""

    def __init__(self, copy: Path) -> None:
        super().__init__("kagglehub")
        self.copy, self.calls = copy, 0
        self.trouble: Callable[[], None] = lambda: None

    def dataset_download(self, handle: str) -> str:
        self.calls += 1
        place = Path(os.environ["KAGGLEHUB_CACHE"], "datasets", *handle.split("/"), "versions", "1")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.with_name("1.archive").touch()
            self.trouble()
            shutil.copytree(self.copy, place)
        return str(place)


@pytest.fixture
def library(copy, monkeypatch) -> Library:
    library = Library(copy)
    monkeypatch.setitem(sys.modules, "kagglehub", library)
    return library


@pytest.fixture
def kagglehub(host, monkeypatch, tmp_path):
    """Let the real library ask the server on this machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # of somebody who has no token
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    library = pytest.importorskip("kagglehub")  # an extra
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, host.url)
    return library


@pytest.fixture
def run(capsys):
    """Return a function that runs the command: its exit code, and what it said on stdout and on stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            fetch.main([str(word) for word in words])
        except SystemExit as end:
            return end.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_one_sentence(err: str) -> bool:
    lines = [line for line in err.splitlines() if not line.startswith("usage:")]
    return len(lines) == 1 and "Traceback" not in err


# --- FER2013 ---


def test_fer2013_is_fetched_told_whole_and_read(host, library, run, tmp_path):
    code, out, err = run("fer2013", tmp_path / "new" / "data")
    assert (code, err) == (0, "")
    assert out.startswith(fetch.NOTE)
    assert WHOLE in out
    assert listed(tmp_path / "new" / "data") == ["test", "train"]
    assert len(read_fer2013(tmp_path / "new" / "data", 48, classes=7)) == N


def test_what_is_whole_is_not_fetched_again(host, library, run, tmp_path):
    run("fer2013", tmp_path / "data")
    code, out, _ = run("fer2013", tmp_path / "data")
    assert (code, library.calls) == (0, 1)
    assert "nothing is fetched" in out
    assert fetch.NOTE not in out


def test_a_csv_is_fer2013_too(host, library, run, tmp_path):
    write_fer2013_csv(tmp_path)
    assert run("fer2013", tmp_path)[0] == library.calls == 0


def test_without_the_library_the_command_that_installs_it_is_said_before_anything_is_fetched(
    host, run, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    code, out, err = run("ferplus", tmp_path / "data")
    assert (code, out, host.asked) == (2, "", [])
    assert is_one_sentence(err)
    assert 'pip install -e ".[fetch]"' in err
    assert kaggle.PAGE in err
    assert not (tmp_path / "data").exists()


def test_nothing_is_overwritten(host, library, run, tmp_path):
    write_image(tmp_path / "train" / "dog" / "a.png", FACES.images[0])
    code, _, err = run("fer2013", tmp_path)
    assert (code, library.calls) == (2, 0)
    assert is_one_sentence(err)
    assert f"{tmp_path / 'train'}: expected nothing of this name" in err
    assert listed(tmp_path) == ["train"]


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(host, library, run, tmp_path):
    def interrupt() -> None:
        raise KeyboardInterrupt

    library.trouble = interrupt
    code, _, err = run("fer2013", tmp_path)
    assert (code, is_one_sentence(err)) == (130, True)
    assert [path.name for path in tmp_path.rglob("*.archive")] == ["1.archive"]
    assert "KAGGLEHUB_CACHE" not in os.environ
    library.trouble = lambda: None
    assert run("fer2013", tmp_path)[0] == 0
    assert listed(tmp_path) == ["test", "train"]


def test_an_interruption_between_two_folders_is_mended(host, library, run, tmp_path, monkeypatch):
    rename = Path.rename

    def only_test(path: Path, target: Path) -> Path:
        if path.name == "train":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", only_test)
    assert run("fer2013", tmp_path)[0] == 130
    assert listed(tmp_path) == [".kagglehub", "test"]
    monkeypatch.setattr(Path, "rename", rename)
    assert run("fer2013", tmp_path)[0] == 0
    assert listed(tmp_path) == ["test", "train"]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (ConnectionError("nobody there"), "nobody there; the same command goes on"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (BadZipFile("File is not a zip file"), "not a zip file; the same command starts anew"),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_the_page_to_open(host, library, run, tmp_path, trouble, words):
    def fail() -> None:
        raise trouble

    library.trouble = fail
    code, _, err = run("fer2013", tmp_path)
    assert (code, is_one_sentence(err)) == (1, True)
    assert words in err
    assert f"open {kaggle.PAGE}" in err
    assert bool(list(tmp_path.rglob("*.archive"))) == isinstance(trouble, OSError)


def test_a_folder_that_is_everybodys_is_copied(host, library, copy, run, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "dataset_download", lambda handle: str(copy))  # as on Kaggle's machines
    assert run("fer2013", tmp_path)[0] == 0
    assert listed(tmp_path) == listed(copy) == ["test", "train"]


@pytest.mark.parametrize("trouble", ["missing", "stranger", "relabelled", "foreign"])
def test_what_is_not_fer2013_is_said_and_stays(host, library, run, tmp_path, trouble):
    write_kaggle_folders(tmp_path, seed=int(trouble == "foreign"), named=trouble != "foreign")
    first = next(tmp_path.glob("train/angry/*.jpg"))
    if trouble == "missing":
        first.unlink()
    elif trouble == "stranger":
        write_image(first, 255 - FACES.images[0])
    elif trouble == "relabelled":
        first.rename(tmp_path / "train" / "happy" / first.name)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("fer2013", tmp_path)
    assert (code, is_one_sentence(err), library.calls) == (1, True, 0)
    assert {
        "missing": "13 / 14 / 14 of FER2013's 14 / 14 / 14 images are there",
        "stranger": "13 / 14 / 14 of FER2013's 14 / 14 / 14 images are there",
        "relabelled": "1 labels differ",
        "foreign": f"of {N} images 0 are known",
    }[trouble] in out + err
    assert "move it away, and the same command fetches it anew" in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_place_that_cannot_be_a_folder_is_a_mistake(host, library, run, tmp_path, name):
    (tmp_path / "file").touch()
    code, _, err = run("fer2013", tmp_path / name)
    assert (code, is_one_sentence(err)) == (2, True)
    assert f"{tmp_path / name}: expected a folder" in err


def test_help_is_short_and_unknown_names_are_mistakes(run):
    code, out, _ = run("--help")
    assert (code, len(out.splitlines()) < 25) == (0, True)
    assert run("fer2014", "x")[0] == run("fer2013")[0] == 2


# --- the real library ---


def test_kagglehub_fetches_the_copy_without_an_account(host, kagglehub, run, tmp_path):
    code, out, _ = run("fer2013", tmp_path / "data")
    assert code == 0
    assert WHOLE in out
    assert listed(tmp_path / "data") == ["test", "train"]


def test_kagglehub_goes_on_where_the_connection_broke(host, kagglehub, run, tmp_path):
    piece = 1 << 20  # of which the library writes none but whole ones
    host.files["/archive.zip"] = piece * b"x" + host.files["/archive.zip"]  # ZIP does not mind what comes before it
    host.breaks = piece + 5000
    code, _, err = run("fer2013", tmp_path / "data")
    assert code == 1
    assert "from Kaggle: the connection broke; the same command goes on" in err
    host.breaks = None
    assert run("fer2013", tmp_path / "data")[0] == 0
    assert host.asked[-1] == ("/archive.zip", piece)


@pytest.mark.parametrize(
    ("code", "words"), [(403, "it wants a login"), (404, "it is no longer there"), (500, "it answers 500")]
)
@pytest.mark.parametrize("question", ["GetDataset", "DownloadDataset"])
def test_a_refusal_of_kaggle_is_one_sentence(host, kagglehub, run, tmp_path, question, code, words):
    host.codes[f"{KAGGLE}{question}"] = code
    found, _, err = run("fer2013", tmp_path / "data")
    assert (found, is_one_sentence(err)) == (1, True)
    assert words in err
    assert ("the same command" in err) == (code == 500)
    assert f"open {kaggle.PAGE}" in err


def test_kagglehub_without_a_network_is_one_sentence(host, kagglehub, run, tmp_path):
    host.close()
    code, _, err = run("fer2013", tmp_path / "data")
    assert (code, is_one_sentence(err)) == (1, True)
    assert "from Kaggle: connection refused; " in err
    assert f"open {kaggle.PAGE}" in err
    assert not (tmp_path / "data" / kaggle.STAGING).exists()


def test_a_damaged_archive_is_fetched_anew(host, kagglehub, run, tmp_path):
    whole = host.files["/archive.zip"]
    host.files["/archive.zip"] = b"no archive"
    assert run("fer2013", tmp_path / "data")[0] == 1
    host.files["/archive.zip"] = whole
    assert run("fer2013", tmp_path / "data")[0] == 0


# --- the votes of FER+ ---


def test_votes_are_fetched_beside_what_is_there(host, library, run, tmp_path):
    write_fer2013_csv(tmp_path)
    code, out, err = run("ferplus", tmp_path)
    assert (code, err, library.calls) == (0, "", 0)
    assert FITTING in out
    assert (tmp_path / VOTES).read_bytes() == votes()
    assert listed(tmp_path) == ["fer2013.csv", VOTES]
    assert run("ferplus", tmp_path)[0] == 0
    assert host.asked == [(PATH, 0)]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_continued_if_the_server_can(host, run, tmp_path, ranges):
    write_fer2013_csv(tmp_path)
    host.breaks, host.ranges = 700, ranges
    code, _, err = run("ferplus", tmp_path)
    assert (code, is_one_sentence(err)) == (1, True)
    assert "the connection broke; the same command goes on with what has come" in err
    assert (tmp_path / f"{VOTES}.part").read_bytes() == votes()[:700]
    assert not (tmp_path / VOTES).exists()
    host.breaks = None
    assert run("ferplus", tmp_path)[0] == 0
    assert host.asked == [(PATH, 0), (PATH, 700 if ranges else 0)]
    assert (tmp_path / VOTES).read_bytes() == votes()
    assert listed(tmp_path) == ["fer2013.csv", VOTES]


def test_a_whole_part_is_fetched_once_more_and_named(host, run, tmp_path):
    write_fer2013_csv(tmp_path)
    (tmp_path / f"{VOTES}.part").write_bytes(votes())
    assert run("ferplus", tmp_path)[0] == 0
    assert (tmp_path / VOTES).read_bytes() == votes()
    assert listed(tmp_path) == ["fer2013.csv", VOTES]


@pytest.mark.parametrize("trouble", ["nobody", "missing", "page", "large", "full"])
def test_votes_that_do_not_come_are_one_sentence_with_the_page_to_open(host, run, tmp_path, monkeypatch, trouble):
    write_fer2013_csv(tmp_path)
    if trouble == "nobody":
        host.close()
    elif trouble == "missing":
        host.files.clear()
    elif trouble == "page":
        host.files[PATH] = b"<html>Welcome to our hotel</html>"
    elif trouble == "large":
        monkeypatch.setattr(fetch, "MOST_BYTES", 100)
    else:

        def fail(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
    code, _, err = run("ferplus", tmp_path)
    assert (code, is_one_sentence(err)) == (1, True)
    assert {
        "nobody": "Connection refused",
        "missing": "Not Found (404)",
        "page": "something else comes",
        "large": "too large",
        "full": "the disk is full: make room",
    }[trouble] in err
    assert trouble == "full" or f"open {fetch.REPOSITORY}" in err
    assert listed(tmp_path) == ["fer2013.csv", *([f"{VOTES}.part"] if trouble == "full" else [])]


@pytest.mark.parametrize(("rows", "words"), [(N - 1, f"expected {N} data rows"), (N, "line 2: expected the Usage")])
def test_votes_of_other_images_are_said_and_stay(host, run, tmp_path, rows, words):
    write_fer2013_csv(tmp_path)
    lines = votes().splitlines(keepends=True)
    damaged = b"".join([lines[0], *reversed(lines[1:])][: rows + 1])
    (tmp_path / VOTES).write_bytes(damaged)
    code, _, err = run("ferplus", tmp_path)
    assert (code, is_one_sentence(err), host.asked) == (1, True, [])
    assert f"{tmp_path / VOTES}" in err
    assert words in err
    assert (tmp_path / VOTES).read_bytes() == damaged


def test_ferplus_fetches_fer2013_too(host, library, run, tmp_path):
    code, out, _ = run("ferplus", tmp_path)
    assert listed(tmp_path) == [VOTES, "test", "train"]
    assert FITTING in out
    assert code == 0
