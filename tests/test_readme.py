"""Every command of the README does what it says: all are checked, and the trainings are run, cut short."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fer.config.jobs import Command, check_jobs, name_jobs
from fer.config.words import quote_path
from fer.inference.checks import check_inference
from fer.inference.schema import InferConfig
from fer.schema import TrainConfig
from fer.training.checks import check_training
from tests.data import write_class_folders, write_ferplus_csv
from tests.runs import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line for line in re.findall(r"^    (\S.*)$", README, re.M) if re.match(r"python |tensorboard ", line)]
COMMANDS = [part.strip() for line in LINES for part in line.split("&&")]
TRAININGS = [line for line in COMMANDS if line.startswith("python train.py") and "--help" not in line]
INFERENCES = [line for line in COMMANDS if line.startswith("python infer.py") and "--help" not in line]
MODULES = sorted({shlex.split(line)[2] for line in COMMANDS if line.startswith("python -m fer")})

SHORT = ["trainer.max_epochs=1", "batch_size=8", "model.widths=[8,16]", "model.depths=[1,1]", "model.input_size=24"]
FEW = ["dataset.train=24", "dataset.val=12", "dataset.test=12"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder that is a FER2013, a FER+ and a folder dataset at once."""
    folder = tmp_path / "my data"
    write_ferplus_csv(folder, per_class=4)
    write_class_folders(folder)
    return folder


def words_of(line: str, data: Path, run: Path) -> list[str]:
    """Return the words behind train.py, with real folders for the README's."""
    places = {"=RUN_DIR": f"={run}", "=SWEEP_DIR": f"={run.with_name('sweep')}", "=DIR": f"={data}"}
    words = shlex.split(line)[2:]
    for extra, setting in (("timm", "model="), ("wandb", "logger="), ("mlflow", "logger=")):
        if any(word.startswith(setting) and extra in word for word in words):
            pytest.importorskip(extra)
    return [next((word.replace(*place) for place in places.items() if word.endswith(place[0])), word) for word in words]


def test_set_up_is_the_first_two_lines_and_the_powers_are_shown():
    assert LINES[0].endswith("python train.py dataset=synthetic")
    assert LINES[1].endswith("python -m pytest")
    assert len(TRAININGS) >= 12
    assert len(INFERENCES) >= 6
    assert "tensorboard --logdir runs" in LINES


@pytest.mark.parametrize("line", TRAININGS)
def test_trainings_pass_all_checks(line: str, data: Path, tmp_path: Path, login_node: None):
    words = [word for word in words_of(line, data, tmp_path) if not word.startswith("resume=")]
    overrides = [quote_path(word) for word in words if word != "-m"]
    names = name_jobs(overrides) if "-m" in words else []
    jobs = check_jobs(Command(ROOT / "conf", "train", overrides + names, "-m" in words), TrainConfig)
    check_training(jobs, "-m" in words)


@pytest.mark.parametrize("line", INFERENCES)
def test_inferences_pass_all_checks(line: str):
    overrides = [quote_path(word) for word in shlex.split(line)[2:]]
    jobs = check_jobs(Command(ROOT / "conf", "infer", overrides), InferConfig)
    check_inference(jobs, multirun=False)


@pytest.mark.parametrize("module", MODULES)
def test_side_commands_help_without_torch(module: str):
    code = (  # what python -m does
        f"import runpy, sys\nsys.argv = [{module!r}, '--help']\n"
        f"try: runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print({'torch', 'lightning', 'albumentations', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"usage: python -m {module} ")
    assert found.stdout.endswith("\nset()\n")


@pytest.mark.slow
@pytest.mark.parametrize("line", TRAININGS)
def test_trainings_run(line: str, data: Path, tmp_path: Path):
    run = tmp_path / "run"
    places = [f"hydra.run.dir={run}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    words = words_of(line, data, run) + SHORT + (FEW if "synthetic" in line else []) + places
    if "hydra/launcher=slurm" in words:
        pytest.skip("tests/test_slurm.py runs it where there is Slurm")
    if "sweep=optuna" in words:
        words += ["sweep.trials=2"]
    if any(word.startswith("resume=") for word in words):  # what was killed just before its end
        train([word for word in words if not word.startswith("resume=")])
        next(tmp_path.glob("*/**/metrics.json")).unlink()
    train(words)
    found = {path.relative_to(tmp_path).parts[0] for path in tmp_path.glob("*/**/metrics.json")}
    assert found == {"sweep" if "-m" in words else "run"}
    if "-m" in words or "sweep=optuna" in words:
        assert len(list(tmp_path.glob("*/report.md"))) == 1


def train(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "train.py", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
