"""CONTRIBUTING.md cannot rot: its examples are applied to a copy of the project, and its commands run there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

import fer
from fer.architectures import ARCHITECTURES, Model
from fer.data.readers import READERS, class_counts
from fer.data.schema import Dataset, FerPlus, Folder
from fer.evaluation import card_text
from fer.faces.detectors import DETECTORS
from fer.faces.schema import DetectorConfig
from fer.inference.schema import Explainer, InferConfig
from fer.models.cam import EXPLAINERS
from fer.models.factory import NETS
from tests.data import make_faces, write_fer2013_csv, write_image
from tests.runs import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in TEXT.split("\n## ")[1:]}
PATCHES = {title: part.split("```diff\n")[1].split("```")[0] for title, part in SECTIONS.items() if "```diff" in part}
COMMANDS = [found[1] for title in PATCHES if (found := re.search(r"Try\s`(.*?)`\.", SECTIONS[title]))]
TRAININGS = [line for line in COMMANDS if "train.py" in line]

CHECKED = """
import sys
from pathlib import Path
from fer.config.jobs import Command, check_jobs
from fer.config.words import quote_path
from fer.data.readers import read
from fer.models.factory import build_net
from fer.schema import TrainConfig
from fer.training.checks import check_training
jobs = check_jobs(Command(Path("conf").resolve(), "train", [quote_path(word) for word in sys.argv[1:]]), TrainConfig)
check_training(jobs, False)
[config] = [job.config for job in jobs]
table = read(config.dataset, config.model.input_size)
net = build_net(len(table.classes), config.model.arguments())
print(config.dataset.name, config.augmentation.name, type(net).__name__, len(table))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project to which all examples have been applied, with files for its commands."""
    folder = tmp_path_factory.mktemp("contributing") / "project"
    for name in ("fer", "conf", "weights"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "infer.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for patch in PATCHES.values():
        for part in patch.split("+++ ")[1:]:
            name, _, hunks = part.partition("\n")
            change(folder / name, hunks)
    for words in (("check", "--fix", "--select=I"), ("format",)):
        python(folder, "-m", "ruff", *words, "--no-cache", "-q", "fer")
    faces = make_faces(per_class=3)
    write_image(folder / "a.jpg", np.full((96, 128), 127, np.uint8))
    write_fer2013_csv(folder / "data", per_class=2)
    np.savez(folder / "faces.npz", images=faces.images, labels=faces.emotions, splits=faces.splits)
    return folder


def change(path: Path, hunks: str) -> None:
    """Write a new file, or apply hunks, each of which has to fit in one place."""
    content = path.read_text(encoding="utf-8") if path.exists() else None
    for hunk in hunks.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
        if content is None:
            assert not old, f"{path} is not there"
            content = new
            continue
        assert old and content.count(old) == 1, f"{path}: the lines beside those to add are not there once:\n{old}"
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")


def python(folder: Path, *words: str) -> str:
    """Run Python in the copy; return what it said."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def words_of(line: str, folder: Path) -> list[str]:
    return [str(folder / "data") if word == "DIR" else word for word in shlex.split(line)[1:]]


# --- the page ---


def test_there_is_a_tested_example_for_each_kind_of_part_and_none_is_long():
    kinds = ("strategy", "net", "dataset", "detector", "explainer", "mode", "evaluation")
    assert [title.split()[-1] for title in PATCHES] == list(kinds)
    assert len(COMMANDS) == len(kinds) == TEXT.count("```") / 2
    assert max(len(re.findall(r"^[+-](?!\+\+|$)", patch, re.M)) for patch in PATCHES.values()) < 40  # lines of code
    assert len(TEXT.splitlines()) < 280


def test_every_file_that_the_page_names_is_there(copy):
    for name in re.findall(r"`((?:fer|conf|tests|docs|\.ci|weights)/[\w./]*)`", TEXT):
        assert (ROOT / name).exists() or (copy / name).exists(), name


def test_examples_keep_the_style(copy):
    python(copy, "-m", "ruff", "check", "--no-cache", "fer")


# --- the examples ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"), zip(TRAININGS, ("synthetic dusk SE", "synthetic mid Plain", "arrays mid SE"), strict=True)
)
def test_trainings_pass_all_checks_and_their_parts_are_made(copy, line, expected):
    assert python(copy, "-c", CHECKED, *words_of(line, copy)[1:]).startswith(expected)


@pytest.mark.slow
@pytest.mark.parametrize("line", TRAININGS)
def test_trainings_run_and_their_nets_look(copy, line, tmp_path):
    python(copy, *words_of(line, copy), f"hydra.run.dir={tmp_path}", "trainer=cpu")
    weights = tmp_path / "weights.safetensors"
    python(copy, "infer.py", "input=a.jpg", f"output={tmp_path / 'b.png'}", "detector=none", f"weights={weights}")
    assert (tmp_path / "b.jsonl").read_text().count("probabilities") == 1


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if "output=b.png" in line])
def test_detectors_and_explainers_are_drawn(copy, line):
    for name in ("b.png", "b.jsonl"):
        (copy / name).unlink(missing_ok=True)
    python(copy, *words_of(line, copy))
    [found] = re.findall(r'"box": (\[.*?\])', (copy / "b.jsonl").read_text())
    assert found == ("[40.0, 24.0, 48.0, 48.0]" if "middle" in line else "[0.0, 0.0, 128.0, 96.0]")
    assert (copy / "b.png").is_file()


def test_a_mode_is_found_by_its_name(copy):
    [line] = [line for line in COMMANDS if "mode=" in line]
    assert "a.jpg: 1 face\n" in python(copy, *words_of(line, copy))


@pytest.mark.slow
def test_an_evaluation_is_a_command(copy):
    [line] = [line for line in COMMANDS if "fer.evaluation" in line]
    found = python(copy, *words_of(line, copy)).splitlines()
    assert [row.partition(":")[0] for row in found] == ["1 times darker", "2 times darker", "4 times darker"]


# --- the tables that the page tells to add to ---


NAMES = ((InferConfig, "mode"), (Explainer, "name"))


def test_every_section_of_the_schema_has_its_part():
    assert READERS.keys() == set(get_args(get_args(Dataset)[0]))
    assert DETECTORS.keys() == set(get_args(get_args(DetectorConfig)[0]))
    options = [option.model_fields["architecture"].annotation for option in get_args(get_args(Model)[0])]
    assert {name for option in options for name in get_args(option)} == NETS.keys() == ARCHITECTURES.keys()


def test_every_name_of_the_schema_has_its_part():
    modes, explainers = (get_args(kind.model_fields[key].annotation) for kind, key in NAMES)
    assert (
        set(explainers)
        == {*EXPLAINERS, "auto", "none"}
        == {path.stem for path in (ROOT / "conf/explainer").glob("*.yaml")}
    )
    for mode in set(modes) - {"auto"}:
        assert "def run(" in (ROOT / f"fer/inference/modes/{mode}.py").read_text(encoding="utf-8")
    listed = (ROOT / "conf/infer.yaml").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in listed if line.startswith("mode: ")]
    assert all(name in line for name in modes), f"conf/infer.yaml: {line}"


def test_the_schema_tells_how_many_classes_a_dataset_may_have():
    assert class_counts(FerPlus.model_construct()) == (6, 7, 8)
    assert class_counts(Folder.model_construct()) == ()


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "fer/__init__.py"
    assert f"\nversion: {fer.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_a_card_needs_no_phrase_for_a_new_kind_of_net():
    header = SimpleNamespace(architecture={"name": "plain"})
    assert card_text._kind(header) == "A net of the kind plain"


def test_the_map_in_the_readme_names_what_is_there():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## For the engineer who takes over\n")[1]
    rows, room = re.findall(r"^    ( *)(\S.*?)  +(.*)$", section, re.M), ROOT
    assert len(rows) > 15
    for indented, names, meaning in rows:
        room = room if indented else ROOT / names.split(", ")[0]
        for name in names.split(", "):
            assert ((room if indented else ROOT) / name).exists(), name
        places = (room, ROOT / "fer", ROOT / "conf", ROOT)
        for name in re.findall(r"\b\w+\.(?:py|yaml)", meaning):
            assert any((place / name).is_file() for place in places), name
