import itertools
import shutil
import tarfile

import pytest
import yaml

from fer.errors import UserError
from fer.evaluation.study.grouping import read_study
from fer.evaluation.study.run_reader import find_runs, natural, read_run
from fer.provenance import read_words
from tests.runs import ROOT, configure
from tests.studies import SIX, touch, write_run, write_settings


def study(*folders):
    return read_study(find_runs(list(folders)))


def labels(*folders):
    return [[setting.label for setting in task.settings] for task in study(*folders).tasks]


def sweep(folder, *choices, **more):
    """Write the runs of a sweep; each choice is "key=a;b" (values may hold commas) or a word."""
    parts = [[f"{word.partition('=')[0]}={value}" for value in word.partition("=")[2].split(";")] for word in choices]
    for number, words in enumerate(itertools.product(*parts)):
        write_run(folder, *words, number=number, **more)
    return folder


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (["augmentation=none;mid", "seed=1;2;3"], ["augmentation=none", "augmentation=mid"]),
        (["optimizer.lr=0.1;0.03;1e-3"], ["optimizer.lr=0.1", "optimizer.lr=0.03", "optimizer.lr=0.001"]),
        (["model.widths=[8,16];[16,32]"], ["model.widths=[8, 16]", "model.widths=[16, 32]"]),
        (
            ["augmentation=none;mid", "trainer.max_epochs=9", "model=small;base", "seed=1;2"],
            [f"augmentation={a}, model={m}" for a in ("none", "mid") for m in ("small", "base")],
        ),
        (
            ["loss.weighting=none;balanced", "optimizer.lr=0.1;0.2"],
            [f"loss.weighting={w}, optimizer.lr={r}" for w in ("none", "balanced") for r in (0.1, 0.2)],
        ),
        (["seed=1;2"], ["augmentation=mid"]),
        (["test=true", "workers=0;1"], ["augmentation=mid"]),
    ],
)
def test_settings_are_named_by_the_keys_that_tell_them_apart(tmp_path, choices, expected):
    assert labels(sweep(tmp_path, *choices)) == [expected]


def test_deleted_and_added_transforms_name_settings(tmp_path):
    write_run(tmp_path, "augmentation=mid", number=0)
    write_run(tmp_path, "~augmentation.transforms.flip", number=1)
    write_run(tmp_path, "+augmentation.transforms.blur={transform: Blur, p: 0.1}", number=2)
    key, other = "augmentation.transforms.flip", "augmentation.transforms.blur"
    assert labels(tmp_path) == [
        [f"{key}=with, {other}=without", f"{key}=without, {other}=without", f"{key}=with, {other}=with"]
    ]


def test_a_strength_swept_beside_a_strategy(tmp_path):
    sweep(tmp_path, "augmentation=mid;full", "augmentation.transforms.flip.p=0.1;0.3")
    key = "augmentation.transforms.flip.p"
    assert labels(tmp_path) == [[f"augmentation={a}, {key}={p}" for a in ("mid", "full") for p in (0.1, 0.3)]]


def test_several_sweeps_are_named_by_what_really_differs(tmp_path):
    first = sweep(tmp_path / "a", "augmentation=none;mid", "trainer.max_epochs=4", "seed=1;2")
    second = sweep(tmp_path / "b", "trainer.max_epochs=8", "model.widths=[8,16]")
    assert labels(first, second) == [
        [f"augmentation={a}, trainer.max_epochs={e}" for a, e in (("none", 4), ("mid", 4), ("mid", 8))]
    ]
    assert labels(tmp_path) == labels(first, second)


def test_the_default_of_another_sweep_is_the_same_setting(tmp_path):
    write_run(tmp_path / "a", "augmentation=mid", "seed=1")
    write_run(tmp_path / "b", "seed=2")
    [task] = study(tmp_path).tasks
    assert [[run.seed for run in setting.runs] for setting in task.settings] == [[1, 2]]


def test_runs_of_an_experiment_are_named_by_it(tmp_path):
    write_run(tmp_path, "experiment=laptop", "optimizer.lr=0.3")
    write_run(tmp_path, "model=small")
    assert labels(tmp_path) == [["experiment=laptop", "experiment=without"]]


def test_runs_without_hydras_own_file_are_named_by_their_configuration(tmp_path):
    for folder in (write_run(tmp_path, "augmentation=none"), write_run(tmp_path, "augmentation=mid")):
        (folder / ".hydra/hydra.yaml").unlink()
    assert labels(tmp_path) == [["augmentation=mid", "augmentation=none"]]  # in the folders' order


def test_other_images_or_classes_are_another_task(tmp_path):
    sweep(tmp_path, "dataset=fer2013", "augmentation=none;mid")
    sweep(tmp_path, "dataset=ferplus", "augmentation=none;mid", classes=(*SIX, "neutral"))
    sweep(tmp_path, "dataset=ferplus", "dataset.seed=1;2", images=120)
    tasks = study(tmp_path).tasks
    assert [task.title for task in tasks] == ["fer2013, 6 classes", "ferplus, 7 classes", "ferplus, 6 classes"]
    assert [[s.label for s in task.settings] for task in tasks[:2]] == [["augmentation=none", "augmentation=mid"]] * 2


def test_tasks_of_the_same_name_say_what_differs(tmp_path):
    write_run(tmp_path, "dataset.seed=0", images=120)
    write_run(tmp_path, "dataset.seed=1", images=240)
    titles = [task.title for task in study(tmp_path).tasks]
    assert titles == [f"fer2013, 6 classes, images {i + 1} (dataset.seed={i})" for i in (0, 1)]


def test_runs_without_predictions_or_without_test_are_of_the_same_task(tmp_path):
    first, second = write_run(tmp_path, "augmentation=none"), write_run(tmp_path, "augmentation=mid", "test=false")
    third = write_run(tmp_path, "augmentation=full")
    for name in ("predictions.csv", "predictions_val.csv"):
        (third / name).unlink()
    (first / "predictions_val.csv").unlink()
    assert "test/accuracy" not in read_run(second).metrics
    assert [len(task.settings) for task in study(tmp_path).tasks] == [3]


def test_of_two_runs_of_a_setting_and_a_seed_the_newer_counts(tmp_path):
    newer, older = write_run(tmp_path / "a", "seed=1"), write_run(tmp_path / "b", "seed=1")
    touch(newer, 100)
    found = study(tmp_path)
    assert [run.folder for run in found.tasks[0].runs] == [newer]
    assert {run.folder: run.problem for run in found.runs} == {
        newer: None,
        older: "left out: seed=1 is a newer run of the same setting and seed",
    }


def test_settings_come_in_the_order_in_which_they_were_typed(tmp_path):
    words = ["vflip", "none", "mid", *(f"x{i}" for i in range(9))]
    for number, name in enumerate(words):
        write_run(tmp_path, f"augmentation={name}", number=number, images=12)
    assert labels(tmp_path) == [[f"augmentation={name}" for name in words]]


def test_folders_sort_as_people_count():
    assert sorted(["10_b", "9_a", "2"], key=natural) == ["2", "9_a", "10_b"]
    assert sorted(["lr=10", "lr=9"], key=natural) == ["lr=9", "lr=10"]


DAMAGE = {
    "metrics.json": [
        "",
        "{",
        "[1]",
        '{"val/accuracy": "x"}',
        "null",
        '{"val/accuracy": NaN}',
        "\0\0",
        '{"classes": 3}',
    ],
    ".hydra/config.yaml": ["a: [", "${oops}", "a: ${missing}"],
}


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in DAMAGE.items() for text in texts])
def test_a_damaged_run_does_not_count_and_says_why(tmp_path, name, content):
    folder = write_run(tmp_path, "seed=1", images=12)
    (folder / name).write_text(content)
    run = read_run(folder)
    assert run.problem.startswith(f"damaged: {name.rpartition('/')[2]}"), run.problem


@pytest.mark.parametrize(("name", "content"), [("overrides", "- ["), ("overrides", "3"), ("hydra", "a: [")])
def test_a_run_without_its_words_counts(tmp_path, name, content):
    folder = write_run(tmp_path, "augmentation=none", images=12)
    (folder / f".hydra/{name}.yaml").write_text(content)
    run = read_run(folder)
    assert run.problem is None
    assert run.notes[0].startswith(f"{name}.yaml cannot be read")
    assert run.value("augmentation") == "none"


def test_lost_settings_are_damage(tmp_path):
    folder = write_run(tmp_path, "seed=1", images=12)
    (folder / ".hydra/config.yaml").unlink()
    assert read_run(folder).problem == "damaged: there is no config.yaml"


@pytest.mark.parametrize("name", ["predictions.csv", "predictions_val.csv"])
@pytest.mark.parametrize("content", ["", "index,target\n", "\0", "index,target,angry\n1,angry,x\n", None])
def test_damaged_predictions_are_left_out_and_the_run_counts(tmp_path, name, content):
    folder = write_run(tmp_path, "seed=1", images=12)
    text = (folder / name).read_text()
    (folder / name).write_text(text[: len(text) // 2] if content is None else content)
    run = read_run(folder)
    assert run.problem is None
    assert len(run.notes) == 1 and run.notes[0].startswith(f"{name} cannot be read")
    assert len(run.predictions) <= 1


def test_predictions_of_another_run_are_found_out(tmp_path):
    folder, other = write_run(tmp_path, "seed=1"), write_run(tmp_path, "seed=2", accuracy=0.5)
    (other / "predictions.csv").replace(folder / "predictions.csv")
    assert read_run(folder).notes == ["predictions.csv cannot be read (it does not agree with metrics.json)"]


def test_a_damaged_history_is_noted(tmp_path):
    folder = write_run(tmp_path, "seed=1", images=12)
    (folder / "history.csv").write_text("epoch,val/accuracy\nx,0.3\n")
    assert read_run(folder).notes[0].startswith("history.csv cannot be read")


def test_failed_and_unfinished_runs_say_so(tmp_path):
    failed, begun = write_settings(tmp_path, "seed=1"), write_settings(tmp_path, "seed=2")
    (failed / "error.txt").write_text("the loss is NaN\n")
    assert read_run(failed).problem == "failed: the loss is NaN"
    assert read_run(begun).problem == "not finished"
    (begun / "history.csv").write_text("epoch,val/accuracy\n1,0.3\n2,\n")
    assert read_run(begun).problem == "not finished, 1 of 4 epochs so far"


def test_predictions_come_in_the_order_of_their_rows(tmp_path):
    predictions = read_run(write_run(tmp_path, "seed=1", images=12, accuracy=1)).predictions["test"]
    assert predictions.rows.tolist() == list(range(1000, 1012))
    assert predictions.targets.tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert predictions.hits.all()


def test_a_folder_that_is_none_or_has_no_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        find_runs([tmp_path / "x"])
    with pytest.raises(UserError, match="there are none"):
        find_runs([tmp_path])


def test_runs_are_found_once_and_not_inside_runs(tmp_path):
    folder = write_run(tmp_path / "a" / "b", "seed=1", images=12)
    write_run(folder / "checkpoints", "seed=2", images=12)
    write_run(tmp_path / ".cache", "seed=3", images=12)
    assert find_runs([tmp_path, tmp_path / "a", folder]) == [folder]


KEPT = sorted((ROOT / "docs/study/runs").glob("*.tar.gz"))


@pytest.mark.parametrize("kept", KEPT, ids=[path.name for path in KEPT])
def test_a_run_that_was_kept_and_a_new_one_of_the_same_words_are_one_setting(tmp_path, kept):
    with tarfile.open(kept) as archive:
        archive.extractall(tmp_path, filter="data")
    (old,) = tmp_path.iterdir()
    words = [word.replace("'", "") for word in read_words(old)[0]]
    shutil.copytree(old, new := tmp_path / "new")
    settings = configure(*words, "seed=77", only=True).model_dump(mode="json", exclude={"sweep"})  # as Hydra writes it
    (new / ".hydra/config.yaml").write_text(yaml.safe_dump(settings))
    (task,) = study(tmp_path).tasks
    (setting,) = task.settings
    assert [run.seed for run in setting.runs][-1] == 77 and len(setting.runs) == 2
