import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer.evaluation import report
from tests.studies import SIX, touch, write_run, write_settings


@pytest.fixture
def make(capsys):
    """Return a function that runs the command: (exit code, report, stdout, stderr)."""

    def run(*words):
        words = [str(word) for word in words]
        code = 0
        try:
            report.main(words)
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        text = Path(out.strip()).read_text(encoding="utf-8") if code == 0 else ""
        return code, text, out, err

    return run


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr(report, "_write_figure", lambda figure, path: path.touch())


def sweep(folder, accuracies, seeds=(1,), spread=0.0, **more):
    """Write the runs of strategies, (name, accuracy) each, whose seeds differ by a spread."""
    for name, accuracy in accuracies.items():
        for seed in seeds:
            shift = spread * (seed - np.mean(seeds))
            words = (f"augmentation={name}", f"seed={seed}")
            write_run(folder, *words, accuracy=accuracy + shift, draw=seed, number=len(list(folder.glob("*"))), **more)
    return folder


def conclusion(text):
    return text.partition("## Conclusion")[2].partition("\n## ")[0]


def summary(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_nets_that_may_have_learned_nothing_are_named(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.19, "mid": 0.21, "vflip": 0.6}, seeds=(1, 2))
    text = conclusion(make(tmp_path)[1])
    assert "**Hardly better than chance**: `mid` and `none`." in text
    for place in tmp_path.glob("*none*"):
        (place / "predictions.csv").unlink()  # without which nobody knows the classes' shares
    assert "**Hardly better than chance**: `mid`." in conclusion(make(tmp_path)[1])


def test_a_difference_is_the_same_in_the_conclusion_and_in_the_table(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.5}, seeds=(1,), images=400)
    path = next(tmp_path.glob("*mid*")) / "metrics.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"test/accuracy": 0.501}))  # a tie of six decimals that was predicted otherwise
    text = make(tmp_path)[1]
    assert "`mid` (−10.0 points of accuracy" in conclusion(text)
    assert "| `mid` | −10.0 |" in text.partition("## Difference")[2]


def test_a_whole_report(tmp_path, make):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8, "vflip": 0.6}, seeds=(1, 2, 3), spread=0.01)
    code, text, out, err = make(tmp_path)
    assert (code, err, out.strip()) == (0, "", str(tmp_path / "report.md"))
    pictures = re.findall(r"!\[[^]]+\]\((.+)\)", text)
    assert len(pictures) == 5
    for picture in pictures:
        assert np.asarray(Image.open(tmp_path / picture).convert("RGB")).std() > 10
    assert text.startswith("# Study: 3 settings, 9 runs\n")
    said = conclusion(text)
    assert "Best on validation, and so the choice: `mid`" in said
    assert re.search(
        r"Better than `none`\*\* on test: `mid` \(\+20\.0 points of accuracy; over images .*p < 0.001", said
    )
    assert (
        "Not distinguishable from `none`: `vflip` (0.0 points of accuracy; over images 0.0 to 0.0, p = 1.000)" in said
    )
    assert "corrected by Holm for 2 comparisons" in said
    assert "nothing can be said over seeds" not in said
    assert not [*tmp_path.rglob("*.partial"), *tmp_path.rglob("*.lock")]


def test_a_part_of_test_is_not_compared_where_runs_have_different_faces_of_it(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, seeds=(1, 2))
    for place in tmp_path.glob("*/metrics.json"):
        found = json.loads(place.read_text())
        parts = {"test_unseen": 50 if "none" in str(place) else 47, "test_crowd": 40}
        figures = {f"{part}/{key}": value for part, n in parts.items() for key, value in (("accuracy", 0.5), ("n", n))}
        place.write_text(json.dumps(found | figures))
    text = make(tmp_path)[1]
    assert "| test, crowd accuracy |" in text and "test, unseen accuracy" not in text
    assert "No figures of `test_unseen`: the runs have 47 and 50 faces of it." in text
    columns = summary(tmp_path)[0].keys()
    assert "test_crowd/accuracy_mean" in columns and not [name for name in columns if "unseen" in name]


@pytest.mark.parametrize(("kind", "begins"), [pytest.param("svg", b"<?xml", marks=pytest.mark.slow), ("pdf", b"%PDF")])
def test_figures_can_be_drawn_for_print(tmp_path, make, kind, begins):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, seeds=(1, 2, 3), spread=0.01)
    code, text, _, err = make(tmp_path, "--output", tmp_path / "print", "--format", kind)
    assert (code, err) == (0, "")
    pictures = re.findall(r"!\[[^]]+\]\((.+)\)", text)
    assert len(pictures) == 5
    assert all((tmp_path / "print" / picture).read_bytes().startswith(begins) for picture in pictures)
    assert f"--format {kind}" in text


def test_the_numbers_of_the_summary(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, seeds=(1, 2, 3), spread=0.01)
    make(tmp_path)
    first, second = summary(tmp_path)
    assert (first["augmentation"], first["rank"], first["seeds"], first["verdict"]) == ("mid", "1", "3", "better")
    assert (second["augmentation"], second["verdict"]) == ("none", "baseline")
    assert float(first["test/accuracy_mean"]) == pytest.approx(0.8)
    assert float(first["test/accuracy_sd"]) == pytest.approx(0.01)
    assert float(first["test/accuracy_low"]) == pytest.approx(0.8 - 4.30265 * 0.01 / 3**0.5, abs=1e-6)
    assert float(first["test/accuracy_difference"]) == pytest.approx(0.2)
    assert float(first["test/accuracy_difference_seeds_low"]) < 0.2 < float(first["test/accuracy_difference_high"])
    assert second["test/accuracy_difference"] == ""


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [((1,), "Each setting has one seed, fewer than three"), ((1, 2), "Each setting has two seeds"), ((1, 2, 3), None)],
)
def test_few_seeds_are_said(tmp_path, make, without_figures, seeds, expected):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, seeds=seeds, spread=0.01)
    _, text, *_ = make(tmp_path)
    assert "Better than `none`** on test: `mid`" in text
    assert ("nothing can be said over seeds" in text) == bool(expected)
    assert (expected or "") in conclusion(text)
    assert ("bootstrap interval over the images" in text) == (len(seeds) == 1)
    assert ("over seeds" in text.partition("### Differences")[2].partition("|")[0]) is False


def test_a_setting_with_fewer_seeds_than_the_others_is_named(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, seeds=(1, 2, 3), spread=0.01)
    write_run(tmp_path, "augmentation=full", accuracy=0.7)
    assert "`full` has one seed, fewer than three" in conclusion(make(tmp_path)[1])


def test_what_only_the_images_tell_is_not_a_win(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.67}, seeds=(1, 2, 3), spread=0.08)
    said = conclusion(make(tmp_path)[1])
    assert "Inconclusive beside `none`: only one of the two tests, over images and seeds, is significant" in said
    assert "Better" not in said


def test_without_predictions_only_seeds_can_tell(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, seeds=(1, 2, 3), spread=0.01)
    sweep(tmp_path, {"full": 0.8}, seeds=(1,))
    for path in tmp_path.rglob("predictions*.csv"):
        path.unlink()
    said = conclusion(make(tmp_path)[1])
    assert re.search(r"Better than `none`\*\* on test: `mid` \(\+20.0 points of accuracy; over seeds", said)
    assert "Nothing can be said about `full` beside `none`" in said


def test_failed_unfinished_damaged_and_repeated_runs_are_listed(tmp_path, make, without_figures):
    sweep(tmp_path / "a", {"none": 0.6, "mid": 0.8})
    touch(write_run(tmp_path / "b", "augmentation=mid", "seed=1"), 100)
    failed = write_settings(tmp_path, "augmentation=full", "seed=2")
    (failed / "error.txt").write_text("the loss is *NaN* in epoch 3 | lower lr\n<b>\n")
    write_settings(tmp_path, "augmentation=full", "seed=3")
    (write_run(tmp_path, "augmentation=full", "seed=4") / "metrics.json").write_text("{")
    code, text, *_ = make(tmp_path)
    assert code == 0
    assert "**Missing: 1 run failed, 1 run not finished and 1 run damaged**" in conclusion(text)
    assert "| failed: the loss is \\*NaN\\* in epoch 3 \\| lower lr \\<b\\> | 2 |" in text
    assert "left out: augmentation=mid,seed=1 is a newer run of the same setting and seed" in text
    assert "`augmentation=full, seed=3` | not finished" in text
    assert len(re.findall(r"^\| `.*\| counts \|", text, re.MULTILINE)) == 2


def test_nothing_finished_is_a_report_too(tmp_path, make):
    write_settings(tmp_path, "seed=1")
    code, text, *_ = make(tmp_path)
    assert code == 0
    assert "No run is finished: nothing can be concluded." in text
    assert summary(tmp_path) == []


def test_without_test_validation_is_compared_and_that_is_said(tmp_path, make, without_figures):
    for name, accuracy in (("none", 0.6), ("mid", 0.8)):
        write_run(tmp_path, f"augmentation={name}", "test=false", accuracy=accuracy)
    text = make(tmp_path)[1]
    assert "Worse than `mid`** on validation: `none`" in text
    assert "There is no test figure" in conclusion(text)
    assert "test accuracy" not in text.partition("### Differences")[0]


def test_settings_that_were_not_tested_are_ranked_and_not_compared(tmp_path, make):
    write_run(tmp_path, "augmentation=none", accuracy=0.6)
    write_run(tmp_path, "augmentation=mid", "test=false", accuracy=0.8)
    for path in tmp_path.rglob("metrics.json"):  # of an older version
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if "recall" not in k}))
    code, text, *_ = make(tmp_path, "--baseline", "none")
    assert code == 0
    assert "the choice: `mid`** (80.0 % accuracy there); it was not tested." in text
    assert "Nothing can be said about `mid` beside `none`" in text
    assert "Of `mid`, 0 of 1 runs have test figures." in text


def test_each_task_has_a_section_and_a_baseline_of_its_own(tmp_path, make, without_figures):
    sweep(tmp_path / "a", {"none": 0.6, "mid": 0.8})
    sweep(tmp_path / "b", {"vflip": 0.6, "mid": 0.8}, classes=(*SIX, "neutral"))
    text = make(tmp_path)[1]
    assert "**fer2013, 6 classes**\n\n**Best" in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[1:3] == [
        "fer2013, 6 classes",
        "fer2013, 7 classes",
    ]
    assert "Better than `none`" in text
    assert "Better than `vflip`" in text
    assert (tmp_path / "figures/study_recall_2.png").exists()
    assert len(summary(tmp_path)) == 4


@pytest.mark.parametrize("label", ["augmentation=mid", "mid"])
def test_the_baseline_can_be_chosen(tmp_path, make, without_figures, label):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8})
    text = make(tmp_path, "--baseline", label)[1]
    assert "Worse than `mid`** on test: `none` (−20.0 points of accuracy" in text
    assert f"--baseline {label}`" in text


def test_a_baseline_of_several_keys(tmp_path, make, without_figures):
    for name, rate in (("none", 0.1), ("none", 0.2), ("mid", 0.1)):
        write_run(tmp_path, f"augmentation={name}", f"optimizer.lr={rate}")
    text = make(tmp_path, "--baseline", "augmentation=none,optimizer.lr=0.2")[1]
    assert "`augmentation=none, optimizer.lr=0.2` (baseline)" in text


def test_an_unknown_baseline_is_refused_with_the_labels(tmp_path, make):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, images=12)
    code, _, _, err = make(tmp_path, "--baseline", "full")
    assert code == 2
    assert err == 'error: --baseline "full": expected one of augmentation=none; augmentation=mid\n'


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["missing"], "there is no such folder"),
        (["."], "expected runs of train.py, but there are none"),
        ([".", "."], "expected --output"),
        ([], "required: DIR"),
        ([".", "--wrong"], "--wrong"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(tmp_path, monkeypatch, make, words, told):
    monkeypatch.chdir(tmp_path)
    code, _, _, err = make(*words)
    assert code == 2
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_no_mistake(tmp_path, make):
    sweep(tmp_path / "a", {"none": 0.6}, images=12)
    (tmp_path / "file").touch()
    code, _, _, err = make(tmp_path / "a", "--output", tmp_path / "file" / "x")
    assert code == 1
    assert err.startswith("failed: ")


def test_several_folders_go_into_one_report(tmp_path, make, without_figures):
    first, second = sweep(tmp_path / "a", {"none": 0.6}), sweep(tmp_path / "b", {"mid": 0.8})
    text = make(first, second, "--output", tmp_path / "new" / "c")[1]
    assert "Better than `none`** on test: `mid`" in text
    assert "`../../a/augmentation=none,seed=1`" in text
    assert not (first / "report.md").exists()


def test_a_single_run_can_be_reported(tmp_path, make):
    folder = write_run(tmp_path, "augmentation=mid", "seed=1")
    code, text, *_ = make(folder)
    assert code == 0
    assert "There is nothing to compare" in text
    assert (folder / "report.md").exists()
    assert len(re.findall(r"!\[", text)) == 2


def test_names_with_special_characters_stay_as_they_are(tmp_path, make):
    for name in ["a|b", "*c*_d_", "[e](f)", "$g$", "`h`"]:
        write_run(tmp_path, f"model.tag='{name}'", accuracy=0.7, images=60)
    code, text, *_ = make(tmp_path)
    assert code == 0
    ranking = text.partition("### Ranking")[2]
    for shown in (
        r"`model.tag=a\|b`",
        "`model.tag=*c*_d_`",
        "`model.tag=[e](f)`",
        "`model.tag=$g$`",
        "`` model.tag=`h` ``",
    ):
        assert f"| {shown} " in ranking
    bars = [line for line in ranking.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in bars[:7]}) == 1


def test_loss_ranks_upwards_and_views_have_columns(tmp_path, make, without_figures):
    for name, accuracy in (("none", 0.6), ("mid", 0.8)):
        write_run(
            tmp_path, f"augmentation={name}", "monitor=val/loss", accuracy=accuracy, **{"test_flip/accuracy": 0.9}
        )
    text = make(tmp_path)[1]
    assert "the choice: `mid`** (0.200 loss there)" in text
    assert "test, flip accuracy" in text
    assert "Ranked by `val/loss`" in text


@pytest.mark.parametrize(
    ("monitor", "worse", "better", "shown"),
    [("val/ece", 0.9, 0.25, "25.0 % ece"), ("val/precision/fear", 0.25, 0.9, "90.0 % precision/fear")],
)
def test_any_metric_ranks_in_its_direction(tmp_path, make, without_figures, monitor, worse, better, shown):
    for name, value in (("none", worse), ("mid", better)):
        write_run(tmp_path, f"augmentation={name}", f"monitor={monitor}", **{monitor: value})
    text = make(tmp_path)[1]
    assert f"the choice: `mid`** ({shown} there)" in text
    assert f"val {monitor[4:]} |" in text or f"val {monitor[4:].upper()} |" in text


def test_runs_of_other_machines_are_noted(tmp_path, make, without_figures):
    write_run(tmp_path, "augmentation=none", versions={"torch": "2.15.0"}, threads=2)
    write_run(tmp_path, "augmentation=mid", device="cuda", versions={"torch": "2.16.0"}, threads=1)
    text = make(tmp_path)[1]
    assert "The runs differ in threads (1; 2)." in text
    assert "The runs differ in device (cuda; cpu)." in text
    assert "The runs differ in versions (torch 2.16.0; torch 2.15.0)." in text


def test_the_same_runs_make_the_same_report(tmp_path, make, without_figures):
    sweep(tmp_path, {"none": 0.6, "mid": 0.63})
    assert make(tmp_path)[1] == make(tmp_path)[1]


def test_help_is_quick_and_imports_little():
    code = (
        "import sys\nfrom fer.evaluation import report\n"
        "try: report.main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "print(*{'numpy', 'torch', 'matplotlib', 'omegaconf', 'yaml', 'scipy'} & set(sys.modules), 'end')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--baseline" in out
    assert out.endswith("\nend\n")


def test_a_report_needs_no_torch(tmp_path):
    sweep(tmp_path, {"none": 0.6, "mid": 0.8}, images=12)
    code = f"import sys\nfrom fer.evaluation.report import main\nmain([{str(tmp_path)!r}])\n"
    subprocess.run([sys.executable, "-c", f"{code}assert 'torch' not in sys.modules"], check=True)
