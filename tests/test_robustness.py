"""What nets withstand: corruptions that do what they say, pictures that are found, and the command on tiny nets."""

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fer.data.fer2013 import read_fer2013
from fer.data.synthetic import draw_faces
from fer.data.table import Split
from fer.errors import UserError
from fer.evaluation.robustness.__main__ import _sort, main
from fer.evaluation.robustness.corruptions import (
    ALL,
    AS_IS,
    CORRUPTIONS,
    FRAMINGS,
    OCCLUSIONS,
    STRENGTHS,
    Place,
    chance,
    corrupt,
    usual_place,
)
from fer.evaluation.robustness.figures import corruption_error, mean_over
from fer.evaluation.robustness.measure import (
    Condition,
    Faces,
    Found,
    Interval,
    Score,
    Subject,
    judge,
    load_subjects,
    names_of,
)
from fer.evaluation.robustness.pictures import HEIGHT, WIDTH, Picture, find_places, look, picture_of
from fer.evaluation.robustness.section import kept, put_section
from fer.evaluation.robustness.strategy import seen_by, seen_in
from fer.evaluation.robustness.text import seen_sentence
from fer.evaluation.statistics import wilson
from fer.faces.detection import Detection
from fer.faces.schema import usual_crop
from fer.header import Header
from fer.models.factory import build_net
from fer.weights import digest, save_weights
from tests.conftest import ARCHITECTURE
from tests.runs import DRAWN, ROOT

SIDE = 48


@pytest.fixture(scope="module")
def face():
    return draw_faces(24, SIDE)[0][20]


def corrupted(name, face, strength, row=3, side=None):
    return corrupt(name, face, strength, chance(0, name, row), usual_place(side or len(face)))


def distance(one, other):
    return float(np.abs(one.astype(float) - other).mean())


# --- corruptions ---


@pytest.mark.parametrize("name", ALL)
def test_a_corruption_is_seeded_and_grows_with_its_strength(name, face):
    before = face.copy()
    steps = [corrupted(name, face, strength) for strength in STRENGTHS]
    assert all(step.shape == face.shape and step.dtype == np.uint8 for step in steps)
    distances = [distance(step, face) for step in steps]
    assert distances[0] > 0.5 and all(np.diff(distances) > 0), distances
    assert np.array_equal(steps[2], corrupted(name, face, 3)) and np.array_equal(face, before)


@pytest.mark.parametrize("name", ["motion blur", "noise", "rotation", "mask", "sunglasses"])
def test_chance_is_that_of_the_face(name, face):
    assert len({corrupted(name, face, 3, row).tobytes() for row in range(8)}) > 1


@pytest.mark.parametrize("name", ["blur", "motion blur", "low resolution", "rotation", "mask", "sunglasses"])
def test_a_strength_does_the_same_to_a_larger_image(name, face):
    large = cv2.resize(face, (3 * SIDE, 3 * SIDE), interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(corrupted(name, large, 3), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    assert distance(small, corrupted(name, face, 3)) < 0.35 * distance(corrupted(name, face, 3), face)


def test_light_and_contrast_are_those_of_the_table(face):
    assert corrupted("dark", face, 2).mean() == pytest.approx(0.4 * face.mean(), abs=0.5)
    assert corrupted("bright", face, 5).max() == 255
    assert corrupted("contrast", face, 3).std() == pytest.approx(0.25 * face.std(), rel=0.05)
    assert corrupted("contrast", face, 3).mean() == pytest.approx(face.mean(), abs=0.6)


def test_noise_is_as_large_as_it_says():
    gray = np.full((SIDE, SIDE), 128, np.uint8)
    assert corrupted("noise", gray, 2).std() == pytest.approx(16, rel=0.1)


def test_low_resolution_leaves_a_face_that_is_smaller_already(face):
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    place = Place(8.0, usual_place(8).landmarks)
    assert corrupt("low resolution", picture, 5, chance(0, "low resolution", 0), place) is picture


def test_a_mask_covers_the_mouth_and_sunglasses_the_eyes(face):
    changed = {name: corrupted(name, face, 5) != face for name in OCCLUSIONS}
    right, left, _, *mouth = usual_place(SIDE).landmarks.astype(int)
    for x, y in (right, left):
        assert changed["sunglasses"][y, x] and not changed["mask"][y - 2, x]
    for x, y in mouth:
        assert changed["mask"][y, x] and not changed["sunglasses"][y, x]


def test_frames_show_more_or_less_of_the_same_face(face):
    shown = {name: frame(face) for name, frame in FRAMINGS.items()}
    assert all(image.shape == face.shape for image in shown.values())
    assert np.array_equal(shown[AS_IS], face)
    inner = cv2.resize(face, (40, 40), interpolation=cv2.INTER_AREA)  # 48 of 56 pixels are 41 of 48
    assert distance(shown["padded by 4"][4:44, 4:44], inner) < 0.7 * distance(face[4:44, 4:44], inner)
    assert distance(shown["cut by 3"], face) < distance(shown["padded by 8"], face)


# --- pictures ---


class Spot:
    """Finds the brightest square of 20 pixels, and landmarks where they usually are in it."""

    min_size, width = 1, 1000

    def find(self, image, share=None):
        y, x = np.argwhere(image[..., 0] == 255)[0] if (image == 255).any() else (0, 0)
        side = int((image[y, :, 0] == 255).sum())
        landmarks = usual_place(side).landmarks + np.float32((x, y)) if side else None
        return [Detection((float(x), float(y), float(side), float(side)), 0.9, landmarks)] if side else []


def test_a_face_is_in_the_middle_of_its_picture_with_its_landmarks():
    sides = []
    for row in range(12):
        picture = picture_of(np.full((SIDE, SIDE), 255, np.uint8), usual_place(SIDE), 0, row)
        ys, xs = np.nonzero(picture.image == 255)
        assert picture.image.shape == (HEIGHT, WIDTH)
        assert (xs.min() + xs.max() + 1) / 2 == pytest.approx(WIDTH / 2, abs=1)
        assert (ys.min() + ys.max() + 1) / 2 == pytest.approx(HEIGHT / 2, abs=1)
        sides.append(picture.place.side)
        assert xs.max() + 1 - xs.min() == sides[-1]
        middle = picture.place.landmarks[2] - (xs.min(), ys.min())
        assert middle == pytest.approx(usual_place(SIDE).landmarks[2] * sides[-1] / SIDE, abs=1)
    assert min(sides) >= 48 and max(sides) <= 128 and len(set(sides)) > 4


def test_only_what_lies_on_the_face_is_the_face():
    picture = picture_of(np.full((SIDE, SIDE), 255, np.uint8), usual_place(SIDE), 0, 0)
    square = look(picture, Spot(), usual_crop())
    assert square.side == pytest.approx(0.95 * picture.place.side)
    aside = Picture(np.roll(picture.image, 100, 1), picture.place)
    assert look(aside, Spot(), usual_crop()) is None
    assert look(picture._replace(image=np.zeros_like(picture.image)), Spot(), usual_crop()) is None


def test_landmarks_are_the_faces_own_where_they_are_found():
    dark, bright = np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 255, np.uint8)
    (own, usual), count = find_places([bright, dark], Spot(), usual_place(SIDE))
    assert count == 1 and np.array_equal(usual.landmarks, usual_place(SIDE).landmarks)
    assert own.landmarks == pytest.approx(usual.landmarks, abs=0.5) and own is not usual


# --- figures ---


def score(net, stage, name, strength, right):
    right = np.repeat(np.array(right, bool), 10)
    share = Interval(float(right.mean()), 0, 1)
    return Score(net, Condition(stage, name, strength), right, share, share, share, 0.1)


def found_of(rights, baseline="first"):
    """Nets whose answers to every corruption are the same, in every strength."""
    subjects = [Subject(name, None, Header(("angry", "happy"), SIDE, 0.5, 0.2, ARCHITECTURE), name) for name in rights]
    scores = [
        score(net, "crop", name, strength, right)
        for net, right in rights.items() for name in ALL for strength in STRENGTHS
    ]  # fmt: skip
    return Found(subjects, baseline, scores, {"crop": np.repeat([0, 0, 1, 1], 10), "picture": np.empty(0, int)}, 0)


def test_the_mean_corruption_error_is_relative_to_the_baseline():
    found = found_of({"first": [1, 1, 0, 0], "second": [1, 1, 1, 0], "third": [0, 0, 0, 0]})
    errors = [corruption_error(found, name) for name in ("first", "second", "third")]
    assert [error.value for error in errors] == [1, 0.5, 2]
    assert errors[0] == (1, 1, 1)
    assert errors[1].low < 0.5 < errors[1].high <= 1


def test_nets_are_compared_on_the_same_faces():
    found = found_of({"first": [1, 1, 0, 0], "second": [1, 1, 1, 0]})
    assert mean_over(found, "second", "crop", CORRUPTIONS).value == 0.75
    gain = mean_over(found, "second", "crop", CORRUPTIONS, "first")
    assert gain.value == 0.25 and 0.05 < gain.low < 0.25 < gain.high < 0.5


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0, 0.278), (10, 0.722, 1), (5, 0.237, 0.763)])
def test_wilsons_interval_is_honest_at_the_ends(hits, low, high):
    assert wilson(hits, 10) == pytest.approx((low, high), abs=1e-3)


# --- what training has seen ---


def test_what_training_has_seen_follows_its_strategy_and_its_command():
    changed = "python train.py augmentation=full '~augmentation.transforms.affine' augmentation.transforms.blur.p=0"
    seen = seen_by({"augmentation": "full", "command": changed})
    assert {name for name in ALL if seen[name]} == {"dark", "bright", "contrast", *OCCLUSIONS}
    assert seen["dark"] == ["light"] and seen["mask"] == ["dropout"]


def test_a_transform_that_chooses_between_others_has_shown_what_they_do():
    chosen = [{"_target_": f"albumentations.{name}", "p": p} for name, p in (("MotionBlur", 1), ("GaussNoise", 0))]
    seen = seen_in({"one": {"_target_": "albumentations.OneOf", "transforms": chosen, "p": 0.3}})
    assert {name: names for name, names in seen.items() if names} == {"motion blur": ["one"]}
    scaled = {"_target_": "albumentations.Affine", "scale": [0.9, 1.1]}
    assert not any(seen_in({"scale": scaled}).values())


@pytest.mark.parametrize(
    "training",
    [{}, {"augmentation": "my own"}, {"augmentation": "full", "command": "'"}, {"augmentation": "of_mine"}],
)
def test_of_an_unknown_strategy_nothing_is_claimed(training):
    assert seen_by(training) is None
    assert "is not known" in seen_sentence(training)


# --- cards ---

CARD = "# a\n\nSHA 12ab\n\n## Results\n\nx\n\n## Limitations\n\n- y\n"


def test_a_card_has_one_section_for_each_split():
    card = put_section(put_section(CARD, "validation", "one\n\n"), "test", "two\n\n")
    assert card.count("## What it withstands") == 2
    assert card.index("one") < card.index("two") < card.index("## Limitations")
    again = put_section(card, "validation", "three\n\n")
    assert "one" not in again and again.index("three") < again.index("two") and again.endswith("- y\n")


def test_a_new_card_of_the_same_weights_keeps_the_sections(tmp_path):
    old = tmp_path / "a.md"
    old.write_text(put_section(put_section(CARD, "validation", "one\n\n"), "test", "two\n\n"))
    assert kept(CARD, old, "12ab") == old.read_text()
    assert kept(CARD, old, "34cd") == CARD
    assert kept(CARD, tmp_path / "none.md", "12ab") == CARD


# --- the command ---


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two tiny nets, the second of a run, whose folder has an equals sign."""
    folder = tmp_path_factory.mktemp("nets")
    paths = [folder / "net.safetensors", folder / "augmentation=mid" / "weights.safetensors"]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        net = build_net(6, ARCHITECTURE)
        net(torch.randn(16, 1, 24, 24))
        path.parent.mkdir(exist_ok=True)
        training = {"dataset": "synthetic", "augmentation": "mid", "seed": seed}
        save_weights(path, net.state_dict(), Header(ARCHITECTURE_CLASSES, 24, 0.4, 0.3, ARCHITECTURE, 1.5, training))
    return list(map(str, paths))


ARCHITECTURE_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise")
SMALL = (*DRAWN, "--faces", "4", "--pictures", "2", "--detector", "haar")


@pytest.mark.slow
def test_the_command_writes_report_figures_table_and_card(nets, tmp_path, capsys):
    folder, card = tmp_path / "report", Path(nets[0]).with_suffix(".md")
    card.write_text(CARD.replace("12ab", digest(Path(nets[0]))))
    main([nets[0], *SMALL, "--baseline", nets[1], "--card", "--output", str(folder)])
    text = (folder / "robustness.md").read_text()
    assert text.rstrip() in capsys.readouterr().out
    assert "padded by 8" in text and "relative to `augmentation=mid`" in text and str(tmp_path) not in text
    assert "`mid` has shown it, mostly weaker, dark (light)" in text
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["curves.png", "severities.png"]
    rows = list(csv.DictReader((folder / "robustness.csv").open()))
    assert len(rows) == 4 + 2 * 56 + 56  # frames, crops and pictures; the baseline's crops
    for row in rows:
        assert float(row["accuracy_low"]) <= float(row["accuracy"]) <= float(row["accuracy_high"])
        assert float(row["accuracy"]) <= float(row["found"])
    assert [row["n"] for row in rows[:5]] == ["24"] * 4 + ["4"]
    assert "## What it withstands (validation)" in card.read_text() and card.read_text().endswith("- y\n")


@pytest.mark.slow
def test_several_files_are_compared(nets, tmp_path):
    main([*nets, *DRAWN, "--faces", "4", "--pictures", "0", "--detector", "haar", "--output", str(tmp_path)])
    text = (tmp_path / "robustness.md").read_text()
    assert "| mean over the strengths | `net` | `augmentation=mid` |" in text
    assert "nine corruptions, against `net`" in text and "![Nets side by side](figures/comparison.png)" in text
    assert "In pictures" not in text and (tmp_path / "figures/comparison.png").is_file()


def test_files_are_told_from_words(nets):
    words = ["fer2013", "dataset.root=DIR", *nets, "~augmentation.transforms.flip", "seed=2"]
    assert _sort(words) == ([Path("fer2013"), *map(Path, nets)], [words[1], *words[4:]])
    assert names_of(list(map(Path, nets))) == ["net", "augmentation=mid"]
    assert names_of([Path("a/net.safetensors"), Path("b/net.safetensors")]) == [
        "a/net.safetensors",
        "b/net.safetensors",
    ]


def test_nets_that_cannot_be_compared_are_refused(nets):
    first = Path(nets[0])
    with pytest.raises(UserError, match="expected each net once"):
        load_subjects([first, first], None)
    with pytest.raises(UserError, match=r"^ferplus: expected the classes of net \(angry, .*contempt$"):
        load_subjects([first, Path("ferplus")], None)


def test_the_baseline_is_the_shipped_net_of_the_same_classes(nets):
    subjects, baseline = load_subjects([Path(nets[0])], None)
    assert baseline == "fer2013" and [subject.is_asked for subject in subjects] == [True, False]
    subjects, baseline = load_subjects([Path(nets[0])], Path(nets[0]))
    assert baseline == "net" and len(subjects) == 1


def another_card(nets):
    copy = Path(nets[0]).parent / "other" / "net.safetensors"
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(Path(nets[0]).read_bytes())
    copy.with_suffix(".md").write_text(CARD)
    return str(copy)


MISTAKES = {
    "no file": (lambda nets: DRAWN, "expected a weights file"),
    "a missing file": (lambda nets: ["none.safetensors", *DRAWN], "none.safetensors"),
    "no card": (lambda nets: [nets[1], *DRAWN, "--card"], "expected a model card beside the weights"),
    "a card of other weights": (lambda nets: [another_card(nets), *DRAWN, "--card"], "net.md is of another file"),
    "too few faces": (lambda nets: [nets[0], *DRAWN, "--faces", "1"], "expected at least two faces"),
    "a model for Haar": (lambda nets: [nets[0], *DRAWN, "--detector", "haar", "--model", "x"], "needs no model file"),
}


@pytest.mark.parametrize(("words", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(nets, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(list(words(nets)))
    assert end.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


REAL = Path(os.environ.get("FER_DATA", "none"))


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="FER_DATA names no folder")
def test_the_shipped_net_loses_as_much_in_other_frames_as_its_report_says():
    (subject,), _ = load_subjects([Path("fer2013")], None)
    table = read_fer2013(REAL, SIDE, 6).part(Split.VAL)
    faces = Faces(table, Spot(), 2, 0, 0)
    with (ROOT / "docs/trust/robustness/fer2013/val/robustness.csv").open() as file:
        told = {row["corruption"]: float(row["accuracy"]) for row in csv.DictReader(file) if row["stage"] == "framing"}
    assert set(told) == set(FRAMINGS)
    for name in FRAMINGS:
        condition = Condition("framing", name)
        assert judge(subject, condition, faces.view(condition)).accuracy.value == pytest.approx(told[name], abs=5e-4)
