"""conf/ holds together, and the command line says what it means, paths as typed."""

import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from fer.config.jobs import Command, Job, check_jobs
from fer.config.words import PATHS, quote_path
from fer.data.augmentation import build_strategy
from fer.errors import UserError
from fer.schema import TrainConfig
from fer.weights import read_weights
from tests.runs import ROOT

CONF = Path(__file__).parents[1] / "conf"
OPTIONS = Command(CONF, "train", []).options
OPTIONS["model"].remove("weights")  # which is of a file, and so has tests of its own
DATASETS = OPTIONS["dataset"]
GROUPS = [group for group in OPTIONS if group not in ("dataset", "experiment", "sweep", "logger")]
ROUNDS = range(max(len(OPTIONS[group]) for group in GROUPS))


def jobs_of(*words: str, multirun: bool = False, config_dir: Path | None = None) -> list[Job]:
    overrides = [quote_path(word) for word in words]
    return check_jobs(Command(CONF, "train", overrides, multirun, config_dir), TrainConfig)


def config_of(*words: str) -> TrainConfig:
    [job] = jobs_of(*words)
    return job.config


def option(place: str) -> dict:
    """Return the contents of conf/PLACE.yaml."""
    return yaml.safe_load((CONF / f"{place}.yaml").read_text(encoding="utf-8"))


# --- conf/ ---


@pytest.mark.parametrize("index", ROUNDS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_option_goes_with_every_dataset(dataset, index):
    chosen = {group: OPTIONS[group][index % len(OPTIONS[group])] for group in GROUPS}
    config = config_of(f"dataset={dataset}", *(f"{group}={option}" for group, option in chosen.items()))
    assert {group: getattr(config, group).name for group in GROUPS} == chosen
    assert config.dataset.name == dataset.partition("_")[0]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("experiment", OPTIONS["experiment"])
def test_every_experiment_goes_with_every_dataset(experiment, dataset):
    assert config_of(f"experiment={experiment}", f"dataset={dataset}").dataset.name == dataset.partition("_")[0]


def test_the_shipped_recipe_is_that_of_the_shipped_file():
    training = read_weights(ROOT / "weights/ferplus.safetensors")[1].training
    while "started_from" in training:  # the first of a row
        training = training["started_from"]
    command = training["command"]
    assert f"`{command}`" in (ROOT / "weights/ferplus.md").read_text(encoding="utf-8")
    [typed], [shipped] = (jobs_of(*words) for words in (shlex.split(command)[2:], ("experiment=shipped", "tta=flip")))
    for plain in (typed.plain, shipped.plain):
        assert plain["augmentation"].pop("name") in ("strong", "soft")
        assert plain["dataset"].pop("root")
    assert shipped.plain == typed.plain


def test_every_key_of_every_option_has_a_comment_or_says_itself():
    for path in CONF.glob("*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^# (?!@)", text, re.M), f"{path}: no comment that --help could show"
        assert text.isascii(), f"{path}: --help is printed on consoles that may know ASCII only"


@pytest.mark.parametrize("name", OPTIONS["augmentation"])
def test_strategies_build(name):
    transforms = config_of("dataset=synthetic", f"augmentation={name}", "model.input_size=48").augmentation.transforms
    pipeline = build_strategy(transforms, 48)
    if pipeline:  # 40 is what experiment=cpu was measured with
        size = 40 if name in ("strong", "soft") else 48
        assert pipeline(image=np.zeros((48, 48), np.uint8))["image"].shape == (size, size)
    assert (pipeline is None) == (name == "none")
    assert len(pipeline.transforms if pipeline else ()) == len(transforms)


@pytest.mark.parametrize("name", [name for name in OPTIONS["model"] if name != "timm"])
def test_nets_are_as_large_as_they_say(name):
    import torch
    from pydantic import TypeAdapter

    from fer.architectures import Model
    from fer.models.factory import build_net

    text = (CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    millions, size = re.match(r"# ([\d.]+) M parameters at (\d+) pixels", text).groups()
    plain = option(f"model/{name}")
    net = build_net(6, TypeAdapter(Model).validate_python(plain).arguments()).eval()
    found = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    assert f"{found:.{len(millions.partition('.')[2])}f}" == millions
    assert plain["input_size"] == int(size)
    with torch.inference_mode():
        assert net(torch.zeros(1, 1, int(size), int(size))).shape == (1, 6)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("experiment=laptop optimizer=adamw", {"optimizer": option("optimizer/adamw"), "model.name": "laptop"}),
        (
            "experiment=laptop dataset=synthetic",
            {"model.name": "laptop", "trainer.max_epochs": option("experiment/laptop")["trainer"]["max_epochs"]},
        ),
        ("dataset=synthetic", {"model": option("model/tiny"), "batch_size": option("dataset/synthetic")["batch_size"]}),
        ("dataset=synthetic model=small", {"model": option("model/small")}),
        ("dataset=synthetic trainer.max_epochs=3 batch_size=9", {"trainer.max_epochs": 3, "batch_size": 9}),
        ("experiment=laptop trainer.max_epochs=3 model=tiny", {"trainer.max_epochs": 3, "model.name": "tiny"}),
        ("experiment=debug", {"dataset.name": "synthetic", "trainer.max_epochs": 2, "model.name": "tiny"}),
        ("trainer.max_epochs=3 trainer=cpu", {"trainer.max_epochs": 3, "trainer.accelerator": "cpu"}),
        ("~augmentation.transforms.flip", {"augmentation.transforms": ["affine", "light"]}),
        ("augmentation.transforms.flip.p=0.3", {"augmentation.transforms.flip.p": 0.3}),
        (
            "augmentation=hflip +augmentation.transforms.turn._target_=albumentations.Rotate",
            {"augmentation.transforms": ["flip", "turn"]},
        ),
    ],
)
def test_command_line_beats_experiment_beats_dataset_beats_defaults(words, expected):
    [job] = jobs_of(*words.split())
    for key, value in expected.items():
        found = job.plain
        for part in key.split("."):
            found = found[part]
        assert (list(found) if isinstance(value, list) else found) == value, key


def test_own_options_come_from_another_folder(tmp_path):
    folder = tmp_path / "it's mine (1)"
    (folder / "augmentation").mkdir(parents=True)
    mine = folder / "augmentation" / "mine.yaml"
    mine.write_text((CONF / "augmentation" / "full.yaml").read_text().replace("name: full", "name: mine"))
    [job] = jobs_of("augmentation=mine", config_dir=folder)
    assert job.config.augmentation.name == "mine"
    mine.rename(folder / "augmentation" / "mid.yaml")
    with pytest.raises(UserError, match=r"mid\.yaml: augmentation=mid is built in: give your option another name"):
        jobs_of(config_dir=folder)


def test_a_checked_configuration_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        config_of().seed = 2


# --- sweeps ---


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        ("seed=1,2", [1, 2]),
        ("seed=range(3,6)", [3, 4, 5]),
        ("seed=choice(7,8) tta=flip", [7, 8]),
        ("seed=1 model.widths=[8,16,32,64],[4,8,16,32]", [1, 1]),
    ],
)
def test_sweeps_become_jobs(words, seeds):
    assert [job.config.seed for job in jobs_of(*words.split(), multirun=True)] == seeds


def test_sweeps_over_all_options_by_glob():
    jobs = jobs_of("augmentation=glob(*,exclude=[f*,m*,s*])", multirun=True)
    expected = [name for name in OPTIONS["augmentation"] if name[0] not in "fms"]
    assert sorted(job.config.augmentation.name for job in jobs) == sorted(expected)
    assert {"hflip", "none", "vflip"} <= set(expected)


# --- paths ---

NASTY = [
    "/data/fer 2013",
    " leading and trailing ",
    "/home/josé/Bücher/データ/😀",
    "IMG (1).jpg",
    "[a] {b} <c>",
    "a=b,c=d",
    "http://host/video?x=1&y=2",
    "it's",
    '"quoted" inside',
    "'half",
    "C:\\new data\\table",
    "C:\\folder\\",
    "back\\'slash",
    "a\\\\b",
    "#hash",
    "a: b",
    "folder/",
    "../relative",
    "$HOME",
    "%TEMP%",
    "a;b|c!*",
    "3",
    "true",
    "1e3",
    "range(1,3)",
    "-m",
    ".",
]


def parsed(word: str) -> object:
    """Return the value that Hydra reads in a word."""
    override = OverridesParser.create().parse_override(quote_path(word))
    assert not override.is_sweep_override()
    return override.value()


@pytest.mark.parametrize("path", NASTY)
def test_paths_are_taken_as_typed(path):
    for key in (*PATHS, "+weights", "++weights"):
        assert parsed(f"{key}={path}") == path


def test_any_path_is_taken_as_typed():
    draw = random.Random(0)
    for _ in range(300):
        path = "".join(draw.choices(" '\"\\/,=?#()[]{}:~$@*!;é😀a1", k=draw.randint(1, 12)))
        if path[0] != "~" and path[0] + path[-1] not in ("''", '""') and "${" not in path:
            assert parsed(f"dataset.root={path}") == path


def test_paths_reach_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = ("dataset.root", "weights", "hydra.run.dir")
    for paths in (NASTY[:3], NASTY[4:7], NASTY[8:11]):
        [job] = jobs_of(*(f"{key}={path}" for key, path in zip(keys, paths, strict=True)))
        assert [job.plain["dataset"]["root"], job.plain["weights"]] == paths[:2]
        assert job.folder == Path(paths[2])
        assert job.config.dataset.root == Path(paths[0])
        [resumed] = jobs_of(f"resume={paths[1]}", f"hydra.run.dir={paths[2]}")
        assert resumed.folder == Path(resumed.plain["resume"]) == Path(paths[1])


def test_home_is_expanded(monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, "/home/me")
    assert parsed("dataset.root=~/my data/") == "/home/me/my data/"
    assert parsed("dataset.root=~nobody-of-that-name/x") == "~nobody-of-that-name/x"
    assert parsed("dataset.root=a/~/b") == "a/~/b"


def test_what_is_quoted_for_hydra_already_stays():
    assert parsed("dataset.root='my, data'") == "my, data"
    assert parsed('dataset.root="it\'s"') == "it's"
    jobs = jobs_of("dataset.root='a, b','c'", multirun=True)
    assert [job.plain["dataset"]["root"] for job in jobs] == ["a, b", "c"]


def test_other_words_are_left_alone():
    for word in ("seed=1,2", "model.widths=[8,16]", "~weights", "weights", "weights=null", "monitor=val/loss", "-m"):
        assert quote_path(word) == word


@pytest.mark.slow
def test_one_command_makes_the_whole_table_with_one_recipe():
    jobs = jobs_of("experiment=glob(fer*)", "seed=1,2,3", multirun=True)
    rows = {(job.config.dataset.name, job.config.augmentation.name) for job in jobs}
    assert rows == {("fer2013", name) for name in ("none", "hflip", "vflip", "mid", "full")} | {
        ("ferplus", "none"), ("ferplus", "full"),
    }  # fmt: skip
    assert len(jobs) == 21
    assert {(job.config.dataset.classes, job.config.model.input_size) for job in jobs} == {(6, 64)}
    recipes = {job.config.model_copy(update={"dataset": None, "augmentation": None, "seed": 0}) for job in jobs}
    assert len(recipes) == 1
