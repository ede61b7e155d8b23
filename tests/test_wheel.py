"""The wheel is whole: built, installed away from the checkout, and used in a folder that has nothing of ours."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fer
from fer.paths import HOME, WEIGHTS, shipped
from tests.data import write_image
from tests.runs import ROOT, tiny

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout, built without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        folder,
        ROOT,
    ]
    subprocess.run(build, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that has the wheel, this one's libraries, and nothing of this checkout."""
    place = tmp_path_factory.mktemp("an environment")
    venv.create(place, symlinks=os.name != "nt")
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    install = [sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    (own,) = place.rglob("site-packages")
    libraries = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (own / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")  # whose own .pth files are not read
    return scripts


@pytest.fixture
def run(programs: Path, tmp_path: Path):
    """Return a function that runs a program of the environment in an empty folder with a blank in its name."""
    folder = tmp_path / "some where"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}

    def start(program: str, *words: str) -> str:
        command = [programs / program, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    start.folder = folder
    return start


def test_the_wheel_has_what_is_needed_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tracked = subprocess.run(["git", "ls-files", "fer", "conf", "weights"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("no git repository")
    expected = {name if name.startswith("fer/") else f"fer/shipped/{name}" for name in tracked.stdout.splitlines()}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {
        f"fer/shipped/weights/{name}.{end}" for name in shipped() for end in ("safetensors", "onnx", "md")
    } <= expected
    assert wheel.name == f"fer_lightning-{fer.__version__}-py3-none-any.whl"


def test_an_installed_package_loads_trains_and_evaluates_in_any_folder(run):
    words = tiny("trainer.max_epochs=1", "augmentation=none", "workers=0")
    said = run(
        "python",
        "-c",
        "import fer.paths, numpy\n"
        "print(fer.__file__, fer.paths.HOME)\n"
        "for name in fer.paths.shipped():\n"
        "    print(fer.Predictor.load(name, 'cpu').predict(numpy.zeros((48, 48), numpy.uint8)).shape)\n"
        f"run = fer.train({words!r})\n"
        "print(fer.evaluate(run.weights, 'synthetic', test=24)['test/n'], run.folder.parent)\n",
    ).splitlines()
    assert str(ROOT) not in said[0]
    assert said[1:3] == ["(1, 6)", "(1, 8)"]
    assert said[-1] == f"24 {run.folder / 'runs'}"


def test_a_missing_extra_is_told_by_its_libraries_where_there_is_no_checkout(run):
    said = run("python", "-c", "from fer.extras import how; print(how('export'))")
    assert said == 'pip install "onnx<2,>=1.17"\n'


def test_the_installed_commands_are_train_py_and_infer_py(run):
    assert "\nfer-train dataset=synthetic  " in run("fer-train", "--help")
    assert "\nfer-infer a.jpg output=b.png  " in run("fer-infer", "--help")
    jobs = ("-m", "seed=1,2", "hydra/launcher=parallel", "hydra.sweep.dir=sweep")
    run("fer-train", *tiny("trainer.max_epochs=1", "augmentation=none", "workers=0"), *jobs)
    assert len(list(run.folder.glob("sweep/*/metrics.json"))) == 2
    write_image(run.folder / "a.jpg", np.zeros((60, 60), np.uint8))
    run("fer-infer", "a.jpg", "output=b.png", "detector=none", "device=cpu", "weights=weights/fer2013.safetensors")
    assert (run.folder / "b.png").is_file()


def test_a_checkout_is_used_where_it_lies():
    assert HOME == ROOT
    assert WEIGHTS == ROOT / "weights"
