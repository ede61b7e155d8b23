"""Every copy of FER2013 that people have is read as the official one, or refused with a sentence that helps.

The numbers of rows are those of the table in the README. A test's "official" images are drawn: `known` makes the file
of hashes that the package has of the real ones.
"""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fer.data import official as module
from fer.data.bad_rows import Faults
from fer.data.fer2013 import read_fer2013
from fer.data.fer2013_csv import find_csv, read_rows
from fer.data.ferplus import locate_ferplus, read_crowd, read_ferplus
from fer.data.layouts import locate
from fer.data.official import CODES, make_official, match
from fer.data.table import Split
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.card_text import _split
from fer.header import read_header
from tests import layouts
from tests.data import VOTE_HEADER, Faces, edit_line, make_faces, write_fer2013_csv, write_image
from tests.runs import configure, run, without_figures

REAL = Path(os.environ.get("FER_DATA", "no data"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def known(tmp_path_factory, monkeypatch):
    """Return faces of which the package knows the official split; two of train come again in test, one as another."""
    faces = make_faces(per_class=3)
    test = np.flatnonzero(faces.splits == 2)
    faces.images[test[0]], faces.images[test[-1]] = faces.images[0], faces.images[1]
    made = make_official(faces.images, faces.emotions, faces.splits)
    path = tmp_path_factory.mktemp("official") / "official.safetensors"
    save_file(
        {"hashes": made.hashes, "signatures": made.signatures, "codes": made.emotions + CODES * made.splits}, path
    )
    monkeypatch.setattr(module, "PATH", path)
    module.official.cache_clear()
    yield faces
    module.official.cache_clear()


def multiset(images, labels, splits):
    return Counter(
        (image.tobytes(), int(label), int(split)) for image, label, split in zip(images, labels, splits, strict=True)
    )


@pytest.mark.parametrize("write", layouts.EXACT)
def test_a_copy_is_read_as_the_official_data_set_and_decoded_once(tmp_path, known, write, monkeypatch):
    if "parquet" in write.__name__:
        pytest.importorskip("pyarrow")
    write(tmp_path, known)
    monkeypatch.setattr("fer.data.image_files.MANY", 1)
    for _ in range(2):
        table = read_fer2013(tmp_path, 48, 7)
        assert multiset(table.images, table.labels, table.splits) == multiset(
            known.images, known.emotions, known.splits
        )
        assert table.rows.tolist() == list(range(len(known.images)))  # in the challenge's order, whatever the copy's
        assert table.facts == {"dataset_split": "official"}
        monkeypatch.setattr("fer.data.image_files.square", lambda *_: pytest.fail("decoded again"))
        monkeypatch.setattr("fer.data.fer2013_tables.square", lambda *_: pytest.fail("decoded again"))
    assert len(read_fer2013(tmp_path, 48, 6)) == (known.emotions < 6).sum()


@pytest.mark.parametrize("write", layouts.JPEG)
def test_a_compressed_copy_has_the_official_split(tmp_path, known, write):
    write(tmp_path, known)
    table = read_fer2013(tmp_path, 48, 7)
    assert table.facts == {"dataset_split": "official"}
    assert table.rows.tolist() == list(range(len(known.images)))
    assert np.array_equal(table.splits, known.splits) and np.array_equal(table.labels, known.emotions)
    assert np.abs(table.images.astype(int) - known.images).mean() < 30  # noise is what JPEG can do least with


def test_numbers_are_said_aloud_and_refused_in_another_order(tmp_path, known):
    layouts.numbered(tmp_path / "a", known)
    assert "0 angry, 1 disgust" in read_fer2013(tmp_path / "a", 48).origin.sentences[-1]
    turned = Faces(known.images, (known.emotions + 1) % 7, known.splits, known.votes)
    layouts.numbered(tmp_path / "b", turned)
    with pytest.raises(UserError, match=r"63 of 63 differ from the official ones: .* another order; name the folders"):
        read_fer2013(tmp_path / "b", 48)


def test_bare_numbers_of_other_faces_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    layouts.parquet_alphabetical(tmp_path, make_faces())
    with pytest.raises(UserError, match=r"labels with names, but got the numbers \[0, 1, .*, and the images"):
        read_fer2013(tmp_path, 48)


def test_a_split_of_its_own_is_taken_only_if_asked_for_and_said(tmp_path, known):
    layouts.csv_shuffled_and_resplit(tmp_path, known)
    table = read_fer2013(tmp_path, 48, 7, split="as_is")
    rows = match(table.images, table.labels, table.splits)
    leaked = int((known.splits[rows][table.splits == Split.TEST] == 0).sum())
    assert table.facts == {"dataset_split": "as_is", "dataset_leaked": leaked} and leaked > 0
    assert any(f"{leaked} of its test images are among FER2013's training images" in s for s in table.origin.sentences)
    assert not np.array_equal(np.sort(table.splits), np.sort(known.splits)) or not np.array_equal(
        table.splits, known.splits
    )


def test_a_copy_without_splits_cannot_be_taken_as_it_is(tmp_path, known):
    layouts.flat_rgb(tmp_path, known)
    with pytest.raises(UserError, match=r"splits of its own for dataset\.split=as_is"):
        read_fer2013(tmp_path, 48, split="as_is")


def test_what_is_missing_relabelled_strange_or_double_is_counted(tmp_path, known):
    emotions = known.emotions.copy()
    emotions[[3, 7]] = (emotions[[3, 7]] + 1) % 7
    layouts.unnamed(tmp_path, Faces(known.images, emotions, known.splits, known.votes))
    (tmp_path / "train/fearful/im2.png").unlink()
    write_image(tmp_path / "train/sad/more.png", make_faces(seed=5).images[0])
    shutil.copy(tmp_path / "train/happy/im10.png", tmp_path / "train/happy/copy.png")
    table = read_fer2013(tmp_path, 48, 7)
    assert table.facts == {
        "dataset_split": "official",
        "dataset_found": {"train": 20, "val": 21, "test": 21},
        "dataset_strangers": 2,
        "dataset_relabelled": 2,
    }
    said = " ".join(table.origin.sentences)
    assert "20 / 21 / 21 of FER2013's 21 / 21 / 21 images are there" in said and "not whole" in said
    assert table.labels[table.rows == 3] == emotions[3]


def test_images_that_are_mostly_others_are_refused(tmp_path, known):
    layouts.unnamed(tmp_path, known)
    for number, image in enumerate(make_faces(seed=5).images):
        write_image(tmp_path / f"train/sad/more{number}.png", image)
    with pytest.raises(UserError, match=r"of 105 images 63 are known, and no Usage and no file names tell it"):
        read_fer2013(tmp_path, 48)


@pytest.mark.parametrize(
    "write", [layouts.csv_below, layouts.unnamed, layouts.csv_shuffled_and_resplit, layouts.numbered]
)
def test_the_votes_find_their_images_in_any_copy(tmp_path, known, write):
    write(tmp_path, known)
    lines = [
        f"{layouts.USAGES[split]},fer{number:07d}.png,{','.join(map(str, votes))}"
        for number, (split, votes) in enumerate(zip(known.splits, known.votes, strict=True))
    ]
    (tmp_path / "fer2013new.csv").write_text("\n".join([VOTE_HEADER, *lines]) + "\n")
    table = read_ferplus(tmp_path, 48, 8)
    assert table.rows.tolist() == list(range(len(known.images)))
    assert table.labels.tolist() == known.votes[:, [4, 5, 6, 1, 3, 2, 0, 7]].argmax(1).tolist()
    assert table.facts == {"dataset_split": "official"}
    labelled = read_fer2013(tmp_path, 48, 7)
    assert read_crowd(tmp_path, labelled).tolist() == table.labels.tolist()
    edit_line(tmp_path / "fer2013new.csv", 2, "Training", "PrivateTest")
    with pytest.raises(UserError, match=r"line 2: expected the Usage Training, as FER2013 has it, but got PrivateTest"):
        read_ferplus(tmp_path, 48, 8)


@pytest.mark.parametrize("part", ["train", "Validation", "test"])
def test_class_folders_that_somebody_made_of_votes_are_no_official_ferplus(tmp_path, part):
    for name in ("train", part):  # rows 17 and 18
        for emotion in EMOTIONS:
            write_image(tmp_path / "fer2013plus/fer2013" / name / emotion / "a.png", make_faces().images[0])
    with pytest.raises(UserError, match=r"expected fer2013new\.csv .*beside .* but found .*dataset=folder"):
        locate_ferplus(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["faces/a/x.png", "notes.txt"], r"but found faces/, notes\.txt; within these a/; within these x\.png"),
        (["Train_images/happy/a.png", "Test_images/happy/a.png"], r"nearest to \"train/ and test/"),
        (["fer2013_data.csv"], r"is fer2013_data\.csv meant for fer2013\.csv\?"),
        (["a/b/fer2013.tar.gz"], "an archive: unpack it"),
        (["fer2013new.csv"], "found only fer2013new.csv, the votes of FER\\+: the images have to lie beside it"),
    ],
)
def test_another_layout_is_told_level_by_level_with_the_nearest_one(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        locate(tmp_path)


def test_a_parquet_file_without_pyarrow_or_of_other_columns_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    place = locate(tmp_path)
    pytest.importorskip("pyarrow")
    with pytest.raises(UserError, match=r"train\.parquet: expected a Parquet file, but it cannot be read"):
        place.read(None)
    layouts.write_parquet(tmp_path / "train.parquet", {"picture": [b"a"], "y": [1]})
    with pytest.raises(UserError, match=r"a column of images \(image, .*\) and one of labels .*, but got picture, y"):
        place.read(None)
    monkeypatch.setattr("fer.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"expected pyarrow, but found nothing: pip install -e \"\.\[parquet\]\""):
        place.read(None)


def test_a_damaged_tar_is_one_sentence(tmp_path):
    (tmp_path / "train.tar").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"train\.tar: expected a TAR file, but it cannot be read"):
        locate(tmp_path).read(None)


def test_a_tiny_csv_of_other_faces_is_split_as_it_says(tmp_path):
    write_fer2013_csv(tmp_path)
    table = read_fer2013(tmp_path, 48)
    assert table.facts["dataset_split"] == "named" and table.facts["dataset_strangers"] == 42
    assert "as the copy's files say" in table.origin.sentences[0]


def test_metrics_and_card_say_which_split_it_was(tmp_path, known, monkeypatch):
    layouts.csv_shuffled_and_resplit(tmp_path / "data", known)
    without_figures(monkeypatch)
    words = ("dataset=fer2013", f"dataset.root={tmp_path / 'data'}", "trainer.max_epochs=1")
    run(configure(*words, "dataset.split=as_is"), tmp_path / "as_is")
    figures = json.loads((tmp_path / "as_is/metrics.json").read_text())
    assert figures["dataset_split"] == "as_is" and figures["dataset_leaked"] > 0
    run(configure(*words, "fit=false", f"weights={tmp_path / 'as_is/weights.safetensors'}"), tmp_path / "official")
    figures = json.loads((tmp_path / "official/metrics.json").read_text())
    assert figures["dataset_split"] == "official" and "dataset_leaked" not in figures
    header = read_header(tmp_path / "as_is/weights.safetensors")
    text = " ".join(_split(figures, header.training))
    assert "Not on the official split**: trained on a copy's own (`dataset_split: as_is`)" in text
    assert "evaluated" not in text
    missing = " ".join(_split({"dataset_found": {"train": 5, "test": 7}}, {}))
    assert "Not on all of the data**: evaluated on a copy that has 5 of train and 7 of test" in missing


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="FER_DATA names no folder")
@pytest.mark.parametrize("write", [*layouts.EXACT, *layouts.JPEG])
def test_every_layout_of_the_real_data_is_the_same_data_set(tmp_path, write):
    expected = read_fer2013(REAL, 48, 7)
    if "parquet" in write.__name__:
        pytest.importorskip("pyarrow")
    copy = read_rows(find_csv(REAL), Faults("raise"))
    votes = np.zeros((len(copy.images), 10), int)
    write(tmp_path, Faces(copy.images, copy.emotions.astype(int), copy.splits.astype(int), votes))
    table = read_fer2013(tmp_path, 48, 7)
    assert table.facts == {"dataset_split": "official"}
    assert np.array_equal(table.labels, expected.labels) and np.array_equal(table.splits, expected.splits)
    if write in layouts.EXACT:  # the same images in the same order, so the same figures of any net
        assert np.array_equal(table.images, expected.images)
