"""FER+: the labelling rules on votes counted by hand, both layouts, and files that do not belong together."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.data.fer2013 import read_fer2013
from fer.data.ferplus import locate_ferplus, read_crowd, read_ferplus
from fer.data.table import Split
from fer.data.votes import targets_from
from fer.emotions import EMOTIONS
from fer.errors import UserError
from tests.data import edit_line, write_fer2013_csv, write_ferplus_csv, write_ferplus_folders

REAL = Path(os.environ.get("FER_DATA", "no data"))
WRITERS = [write_ferplus_csv, write_ferplus_folders]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path_factory.mktemp("cache")))


NONE = {}
ONES = dict.fromkeys(("disgust", "fear", "surprise", "neutral", "contempt"), 1)
TWOS = dict.fromkeys(("happy", "disgust", "surprise"), 2)
THIRDS = dict.fromkeys(("fear", "sad", "angry"), 1 / 3)
RULES = [  # votes, then the targets of majority, soft and multi; NONE means discarded
    ({"happy": 10}, {"happy": 1}, {"happy": 1}, {"happy": 1}),
    ({"happy": 9, "sad": 1}, {"happy": 1}, {"happy": 1}, {"happy": 1}),  # a single vote is noise
    ({"happy": 6, "sad": 4}, {"happy": 1}, {"happy": 0.6, "sad": 0.4}, {"happy": 0.5, "sad": 0.5}),
    ({"happy": 5} | ONES, {"happy": 1}, {"happy": 1}, {"happy": 1}),  # five of ten, and all that counts
    ({"happy": 3, "sad": 2} | ONES, {"happy": 1}, {"happy": 0.6, "sad": 0.4}, {"happy": 0.5, "sad": 0.5}),
    ({"unknown": 2, "happy": 2} | ONES, NONE, NONE, {"happy": 1}),
    ({"happy": 5, "sad": 5}, NONE, {"happy": 0.5, "sad": 0.5}, {"happy": 0.5, "sad": 0.5}),  # not above half
    ({"happy": 6, "sad": 2}, {"happy": 1}, {"happy": 1}, {"happy": 1}),  # exactly 75 %
    ({"happy": 8, "sad": 2}, {"happy": 1}, {"happy": 1}, {"happy": 1}),  # 75 % are reached at once
    ({"fear": 4, "sad": 3, "angry": 3}, NONE, {"fear": 0.4, "sad": 0.3, "angry": 0.3}, THIRDS),
    ({"fear": 4, "sad": 2, "angry": 2, "happy": 2}, NONE, NONE, NONE),  # the second level has three: four in all
    ({"sad": 5, "fear": 4, "angry": 3} | TWOS, NONE, {"sad": 5 / 12, "fear": 4 / 12, "angry": 3 / 12}, NONE),  # of 18
    (dict.fromkeys(("fear", "sad", "angry", "happy"), 2), NONE, NONE, NONE),  # four, and each below 30 %
    ({"happy": 3, "fear": 2, "sad": 2}, NONE, {"happy": 3 / 7, "fear": 2 / 7, "sad": 2 / 7}, NONE),
    ({"happy": 5, "unknown": 5}, NONE, NONE, {"happy": 1}),
    ({"happy": 6, "unknown": 4}, {"happy": 1}, {"happy": 1}, {"happy": 1}),
    ({"happy": 4, "sad": 3, "unknown": 3}, NONE, {"happy": 4 / 7, "sad": 3 / 7}, {"happy": 0.5, "sad": 0.5}),
    ({"happy": 3, "sad": 2, "unknown": 5}, NONE, NONE, NONE),
    ({"NF": 10}, NONE, NONE, NONE),
    ({"unknown": 6, "happy": 4}, NONE, NONE, NONE),
    (dict.fromkeys(EMOTIONS, 1), NONE, NONE, NONE),  # nothing but noise
    (NONE, NONE, NONE, NONE),
]  # fmt: skip


@pytest.mark.parametrize(("votes", "majority", "soft", "multi"), RULES)
def test_rules_on_votes_counted_by_hand(votes, majority, soft, multi):
    counts = np.array([[votes.get(name, 0) for name in (*EMOTIONS, "unknown", "NF")]])
    for labels, expected in (("majority", majority), ("soft", soft), ("probability", soft), ("multi", multi)):
        target = targets_from(counts, labels)
        assert target.dtype == np.float32
        np.testing.assert_allclose(target[0], [expected.get(name, 0) for name in EMOTIONS], rtol=1e-6, err_msg=labels)


def _crowd(root, rows=(0,), names=EMOTIONS[:7]):
    table = read_fer2013(root, 48, 7)
    return read_crowd(root, replace(table.select(np.array(rows)), classes=names))


def test_the_crowd_s_word_for_rows_of_a_fer2013_csv(tmp_path):
    faces = write_ferplus_csv(tmp_path)
    rows, names = np.array([5, 0, 1]), ("sad", "angry", "happy")
    table = read_ferplus(tmp_path, 48)
    words = [table.classes[label] for label in table.labels]  # every face has a majority
    expected = [names.index(words[row]) if words[row] in names else -1 for row in rows]
    assert len(set(expected)) > 1
    assert _crowd(tmp_path, rows, names).tolist() == expected
    assert _crowd(tmp_path / "fer2013.csv", rows, names).tolist() == expected
    assert len(faces.images) == len(table)
    edit_line(tmp_path / "fer2013new.csv", 3, ",7,", ",3,")  # the second row's: three for each of two
    assert _crowd(tmp_path, rows, names).tolist() == [*expected[:2], -1]


def test_without_votes_the_crowd_says_nothing(tmp_path):
    write_fer2013_csv(tmp_path)
    assert _crowd(tmp_path) is None
    (tmp_path / "fer2013new.csv").write_text("Usage,Image name,neutral\n")
    with pytest.raises(UserError, match="expected the columns"):
        _crowd(tmp_path)


def test_votes_that_are_not_those_of_the_csv_are_refused(tmp_path):
    write_ferplus_csv(tmp_path)
    path = tmp_path / "fer2013new.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join((header, *rows[:-1])))
    with pytest.raises(UserError, match=r"expected \d+ data rows, as many as"):
        _crowd(tmp_path)
    path.write_text("\n".join((header, *rows, rows[-1])))
    with pytest.raises(UserError, match=r"expected \d+ data rows, as many as"):
        _crowd(tmp_path)
    path.write_text("\n".join((header, *rows[::-1])))
    with pytest.raises(UserError, match=r"line 2: expected the Usage Training"):
        _crowd(tmp_path)


def test_votes_may_lie_above_the_csv(tmp_path):
    write_ferplus_csv(tmp_path / "fer2013")
    (tmp_path / "fer2013/fer2013new.csv").rename(tmp_path / "fer2013new.csv")
    assert _crowd(tmp_path) is not None


@pytest.mark.parametrize("write", WRITERS)
def test_majority_keeps_every_face(tmp_path, write):
    faces = write(tmp_path)
    table = read_ferplus(tmp_path, 48)
    assert table.classes == EMOTIONS
    assert np.array_equal(table.images, faces.images)
    assert np.array_equal(table.labels, faces.emotions)
    assert np.array_equal(table.splits, faces.splits)
    assert np.array_equal(table.rows, np.arange(len(faces.images)))
    assert np.array_equal(table.targets.max(1), np.ones(len(faces.images)))
    assert (table.files is None) == (write is write_ferplus_csv)


@pytest.mark.parametrize("write", WRITERS)
def test_soft_labels_are_for_train_only(tmp_path, write):
    write(tmp_path)
    table = read_ferplus(tmp_path, 48, labels="soft")
    expected = 0.7 * np.eye(8) + 0.3 * np.roll(np.eye(8), 1, 1)  # as tests.data votes: 7 and 3 for the next
    np.testing.assert_allclose(table.part(Split.TRAIN).targets, np.tile(expected, (2, 1)), rtol=1e-6)
    for split in (Split.VAL, Split.TEST):
        assert np.array_equal(table.part(split).targets, np.tile(np.eye(8), (2, 1)))


@pytest.mark.parametrize("labels", ["majority", "soft", "multi"])
@pytest.mark.parametrize("classes", [6, 7])
def test_fewer_classes_keep_faces_led_by_one_of_them(tmp_path, classes, labels):
    faces = write_ferplus_csv(tmp_path)
    table = read_ferplus(tmp_path, 48, classes, labels)
    kept = np.flatnonzero(faces.emotions < classes)
    assert np.array_equal(table.rows, kept)
    np.testing.assert_allclose(table.targets.sum(1), 1, rtol=1e-6)
    last = table.targets[np.flatnonzero(faces.emotions[kept] == classes - 1)]  # its other votes are outside
    assert np.array_equal(last, np.tile(np.eye(classes)[-1], (len(last), 1)))


@pytest.mark.parametrize("name", ["", "fer2013.csv", "fer2013new.csv"])
def test_root_may_be_either_file(tmp_path, name):
    faces = write_ferplus_csv(tmp_path)
    assert len(read_ferplus(tmp_path / name, 32)) == len(faces.images)


def test_folders_may_lie_in_root_itself(tmp_path):
    faces = write_ferplus_folders(tmp_path)
    assert read_ferplus(tmp_path / "data", 32).images.shape == (len(faces.images), 32, 32)


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(
        UserError, match=r"dataset\.root=.*fer2013new\.csv.*FER2013Valid.*, but the folder is empty; fer2013new"
    ) as error:
        locate_ferplus(tmp_path)
    assert all(word in str(error.value) for word in ("microsoft/FERPlus", "Kaggle", "dataset=synthetic"))
    write_fer2013_csv(tmp_path)
    with pytest.raises(UserError, match=r"found only .*fer2013\.csv"):
        locate_ferplus(tmp_path)
    (tmp_path / "fer2013.csv").rename(tmp_path / "fer2013new.csv")
    with pytest.raises(UserError, match=r"found only .*fer2013new\.csv"):
        locate_ferplus(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        locate_ferplus(tmp_path / "nowhere")


def test_repository_without_images_is_told_from_a_complete_one(tmp_path):
    write_ferplus_folders(tmp_path)
    for image in (tmp_path / "data" / "FER2013Valid").glob("*.png"):
        image.unlink()
    with pytest.raises(UserError, match=r"FER2013Valid: expected the images named in label\.csv"):
        locate_ferplus(tmp_path)


def test_votes_of_another_length_are_refused(tmp_path):
    write_ferplus_csv(tmp_path)
    path = tmp_path / "fer2013new.csv"
    path.write_text("\n".join(path.read_text().split("\n")[:-3]) + "\n")
    with pytest.raises(UserError, match=r"fer2013new\.csv: expected 48 data rows, .* but got 46"):
        read_ferplus(tmp_path, 48)


def test_votes_of_another_usage_are_refused(tmp_path):
    write_ferplus_csv(tmp_path)
    edit_line(tmp_path / "fer2013new.csv", 4, "Training", "PublicTest")
    with pytest.raises(UserError, match=r"fer2013new\.csv, line 4: expected the Usage Training, .* but got PublicTest"):
        read_ferplus(tmp_path, 48, on_error="skip")


def test_wrong_header_of_votes_is_named(tmp_path):
    write_ferplus_csv(tmp_path)
    edit_line(tmp_path / "fer2013new.csv", 1, "contempt", "scorn")
    with pytest.raises(UserError, match=r"fer2013new\.csv, line 1: expected the columns Usage,Image name,neutral"):
        read_ferplus(tmp_path, 48)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0,0\n", ",0\n", "10 vote counts"),
        (",7,", ",x,", "10 vote counts"),
        (",7,", f",{'9' * 30},", "at most 6 digits"),  # more than an integer of the machine holds
        (",7,", ",\x1b]0;owned\x07,", r'"[^"\x1b]*\\x1b\]0;owned\\x07'),
        ("Training", "Train", "Usage among"),
        ("Training", "\x1b[2J" * 100, r'got "(\\x1b\[2J){28}\\x1b\.\.\." '),
    ],
)
def test_bad_row_of_votes_is_named_or_left_out(tmp_path, old, new, message):
    faces = write_ferplus_csv(tmp_path)
    path = tmp_path / "fer2013new.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"fer2013new\.csv, line 2: expected .*{message}"):
        read_ferplus(tmp_path, 48)
    table = read_ferplus(tmp_path, 48, on_error="skip")
    assert np.array_equal(table.images, faces.images[1:])
    assert len(table.skipped) == 1


def test_votes_too_large_for_integers_are_named_beside_fer2013_too(tmp_path):
    write_ferplus_csv(tmp_path)
    edit_line(tmp_path / "fer2013new.csv", 2, ",7,", f",{'9' * 18},")
    with pytest.raises(UserError, match=r"fer2013new\.csv, line 2: expected 10 vote counts of at most 6 digits"):
        _crowd(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 200_000, r"line 2: expected at most 100,000 characters"),
        ('"' + "a\n" * 70_000, "is a quotation mark left"),
    ],
)
def test_fields_without_end_are_one_sentence(tmp_path, name, message):
    write_ferplus_csv(tmp_path)
    edit_line(tmp_path / "fer2013new.csv", 2, "fer0000000.png", name)
    with pytest.raises(UserError, match=message):
        read_ferplus(tmp_path, 48)


def test_bad_row_of_pixels_drops_its_votes_too(tmp_path):
    faces = write_ferplus_csv(tmp_path)
    edit_line(tmp_path / "fer2013.csv", 5, " ", " 999 ")
    with pytest.raises(UserError, match=r"fer2013\.csv, line 5: expected 2304 pixel values, but got 2305"):
        read_ferplus(tmp_path, 48)
    table = read_ferplus(tmp_path, 48, on_error="skip")
    kept = np.delete(np.arange(len(faces.images)), 3)
    assert np.array_equal(table.rows, kept)
    assert np.array_equal(table.labels, faces.emotions[kept])


def test_bad_label_row_and_missing_image_are_named_or_left_out(tmp_path):
    write_ferplus_folders(tmp_path)
    folder = tmp_path / "data" / "FER2013Test"
    edit_line(folder / "label.csv", 3, ",7,", ",")
    min(folder.glob("*.png")).unlink()
    with pytest.raises(UserError, match=r"label\.csv, line 3: expected 10 vote counts.*: 2; "):
        read_ferplus(tmp_path, 48)
    table = read_ferplus(tmp_path, 48, on_error="skip")
    assert [cv2.imread(str(tmp_path / "data" / file), 0).tobytes() for file in table.files] == [
        image.tobytes() for image in table.images
    ]
    assert len(table.part(Split.TEST)) == 14
    assert len(table.skipped) == 2
    assert ".png: expected an image" in table.skipped[1]


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="FER_DATA names no folder")
def test_real_majority_counts():
    for classes, expected in ((8, [25_060, 3_199, 3_153]), (6, [16_201, 2_004, 2_047])):
        table = read_ferplus(REAL, 48, classes)
        assert [len(table.part(split)) for split in Split] == expected
    soft = read_ferplus(REAL, 48, labels="soft")
    assert [len(soft.part(split)) for split in Split] == [27_956, 3_199, 3_153]
