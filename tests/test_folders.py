"""No command touches the results of an earlier run, and only its own settings go on with an interrupted one."""

from pathlib import Path

import pytest
import yaml

from fer.config import Command, check_jobs
from fer.schema import TrainConfig
from tests.conftest import EASY

ROOT = Path(__file__).parents[1]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def earlier(tmp_path) -> Path:
    """Return the folder of an interrupted run with EASY settings."""
    folder = tmp_path / "it's (1)"
    for name in (".hydra", "checkpoints"):
        (folder / name).mkdir(parents=True)
    [job] = check_jobs(Command(ROOT / "conf", "train", list(EASY)), TrainConfig)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(job.plain))
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("key", ["hydra.run.dir", "resume"])
def test_a_finished_run_is_never_touched(train, task, earlier, key):
    (earlier / "metrics.json").write_text("{}")
    before = contents(earlier)
    result = train(*EASY, "seed=1", f"{key}={earlier}")
    assert result.code == 2
    assert "this is a finished one: choose another folder" in result.err
    assert contents(earlier) == before
    assert not task.calls


def test_an_interrupted_run_is_not_overwritten(train, earlier):
    before = contents(earlier)
    result = train(*EASY, f"hydra.run.dir={earlier}")
    assert result.err == (
        f"error: {earlier}: holds an interrupted run: go on with resume={earlier}, or choose another folder\n"
    )
    assert contents(earlier) == before


def test_an_interrupted_run_is_resumed_in_its_folder(train, task, earlier):
    assert train(*EASY, f"resume={earlier.name}/", "workers=1") == (0, "", "")
    [(config, folder)] = task.calls
    assert folder == earlier
    assert config.resume == Path(earlier.name)


def test_a_resume_by_other_settings_lists_the_differences(train, earlier):
    before = contents(earlier)
    result = train(*EASY, "seed=2", "optimizer=adamw", "tta=flip", f"resume={earlier}")
    assert result.code == 2
    told = ("seed: 1 -> 2", "optimizer.name: sgd -> adamw", "optimizer.momentum: 0.9 -> None", "optimizer.lr: ")
    assert [change for change in told if change not in result.err] == []
    assert "tta" not in result.err
    assert contents(earlier) == before


def test_only_a_run_can_be_resumed(train, tmp_path):
    (tmp_path / "photos").mkdir()
    for place in ("photos", "nowhere"):
        result = train(*EASY, f"resume={place}")
        assert result.code == 2
        assert result.err.startswith(
            f"error: resume={place}: expected the folder of an interrupted run, but there is no"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert train("-m", *EASY, "resume=photos").err == (
        "error: resume=photos: expected the folder of a sweep, but there is no photos/multirun.yaml\n"
    )


@pytest.mark.parametrize("left", ["multirun.yaml", "metrics.json", "seed=1/metrics.json"])
def test_earlier_results_are_not_overwritten_by_a_sweep(train, task, tmp_path, left):
    sweep = tmp_path / "sweep"
    (sweep / left).parent.mkdir(parents=True)
    (sweep / left).write_text("{}")
    result = train("-m", *EASY, "seed=1,2", "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (
        2,
        "error: hydra.sweep.dir=sweep: holds a sweep already: go on with resume=sweep, or choose another folder\n",
    )
    assert contents(sweep) == {left: b"{}"}
    assert not task.calls
