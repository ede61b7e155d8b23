"""Batches: each face once, in an order and with an augmentation that seed, epoch and number alone decide."""

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
import yaml

from fer.data.augmentation import build_strategy
from fer.data.batches import Batches, BatchKey, Closing, Faces, draw_one_hot, make_loader
from fer.data.datamodule import FaceData, gray_statistics
from fer.data.table import Split, Table
from fer.emotions import class_names
from tests.runs import ROOT

SIZE = 24


def make_table(count=60, targets=None):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, SIZE, SIZE), np.uint8)
    targets = np.eye(6, dtype=np.float32)[np.arange(count) % 6] if targets is None else targets
    splits = np.repeat([Split.TRAIN, Split.VAL, Split.TEST], [count - 20, 10, 10]).astype(np.uint8)
    return Table(images, targets, splits, np.arange(count) + 1000, class_names(targets.shape[1]))


def strategy(name="full"):
    transforms = yaml.safe_load((ROOT / f"conf/augmentation/{name}.yaml").read_text())["transforms"]
    return build_strategy(transforms, SIZE)


def make_data(workers=0, seed=1, name="full", batch_size=8):
    return FaceData(make_table(), strategy(name), batch_size, workers, seed)


def epoch_of(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return [(batch.rows.tolist(), batch.images.numpy().tobytes()) for batch in loader]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_makes_the_same_batches(workers):
    alone, helped = make_data().train_dataloader(), make_data(workers).train_dataloader()
    for epoch in (0, 1, 5):
        assert epoch_of(helped, epoch) == epoch_of(alone, epoch)


def test_a_crop_makes_training_s_faces_smaller_and_only_those():
    crop = {"_target_": "albumentations.RandomCrop", "height": 20, "width": 20, "p": 1}
    data = FaceData(make_table(), build_strategy({"crop": crop}, SIZE), 8, 0, 1)
    batches = list(data.train_dataloader())
    assert {tuple(batch.images.shape) for batch in batches} == {(8, 20, 20)}
    table = make_table()
    for face, row in zip(batches[0].images.numpy(), batches[0].rows.tolist(), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(table.images[row - 1000], (20, 20)).reshape(-1, 20, 20)
        assert (windows == face).all((1, 2)).any()
    validation = data.val_dataloader()[0]
    assert {batch.images.shape[1:] for batch in validation} == {(SIZE, SIZE)}


def test_the_last_epochs_may_be_of_whole_faces():
    crop = {"_target_": "albumentations.RandomCrop", "height": 20, "width": 20, "p": 1}
    light = {"_target_": "albumentations.RandomBrightnessContrast", "brightness_limit": [0.2, 0.3], "p": 1}
    closing = Closing(2, build_strategy({"crop": crop, "light": light}, SIZE, whole=True))
    data = FaceData(make_table(), build_strategy({"crop": crop, "light": light}, SIZE), 8, 1, 1, closing=closing)
    loader = data.train_dataloader()
    sides = {}
    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        sides[epoch] = {batch.images.shape[1] for batch in batches}
    assert sides == {0: {20}, 1: {20}, 2: {SIZE}, 3: {SIZE}}
    seen = make_table().images[batches[0].rows - 1000]
    assert (batches[0].images.numpy() > seen).mean() > 0.9  # the rest of the strategy goes on
    assert build_strategy({"crop": crop}, SIZE, whole=True) is None


def test_faces_of_other_classes_are_trained_if_they_have_a_target_and_never_validated():
    table, other = make_table().with_classes(class_names(6)[:4]), np.full(4, 0.25, np.float32)
    assert len(table.other_faces.part(Split.TRAIN)) == 12
    more = table.with_others(other).part(Split.TRAIN)
    plain, taught = (FaceData(table, None, 8, 0, 1, taught=faces) for faces in (None, more))
    assert plain.digest != taught.digest and (plain.steps(), taught.steps()) == (3, 5)
    for data, count in ((plain, 0), (taught, 12)):
        batches = list(data.train_dataloader())
        targets = torch.cat([batch.targets for batch in batches])
        rows = torch.cat([batch.rows for batch in batches])
        flat = (targets == 0.25).all(1)
        assert flat.sum() == count
        assert set(rows[flat].tolist()) <= set(table.other_faces.rows.tolist())
        for loader in data.val_dataloader():  # of the sample of train, too
            assert all((batch.targets.amax(1) == 1).all() for batch in loader)


def test_a_later_epoch_does_not_depend_on_the_earlier_ones():
    loader = make_data().train_dataloader()
    first = [epoch_of(loader, epoch) for epoch in range(3)]
    assert epoch_of(make_data().train_dataloader(), 2) == first[2]


def test_other_seeds_make_other_batches():
    assert epoch_of(make_data(seed=1).train_dataloader(), 0) != epoch_of(make_data(seed=2).train_dataloader(), 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_no_epoch_batch_or_worker_repeats_an_augmentation(workers):
    table = make_table()
    same = Table(np.repeat(table.images[:1], 60, 0), table.targets, table.splits, table.rows, table.classes)
    loader = FaceData(same, strategy("mid"), 8, workers, 1).train_dataloader()
    batches = [images for epoch in range(4) for _, images in epoch_of(loader, epoch)]
    assert len(set(batches)) == len(batches) == 20
    faces = Counter(batch[start : start + SIZE**2] for batch in batches for start in range(0, len(batch), SIZE**2))
    repeated = sum(count for face, count in faces.items() if count > 1)
    # One in five is only mirrored, and of these two in three keep their light: 0.2 * 0.7 of 160 faces, in two versions.
    assert repeated < 45
    assert len(faces) > 100


def test_two_processes_augment_the_same_face_differently():
    faces = Faces(make_table(), strategy("mid"), False, 1)
    keys = [BatchKey(0, number, np.arange(8)) for number in (0, 1)]
    assert not torch.equal(faces[keys[0]].images, faces[keys[1]].images)
    assert torch.equal(faces[keys[0]].images, faces[keys[0]].images)


def test_augmentation_leaves_the_table_as_it_is():
    table = make_table()
    before = table.images.copy()
    faces = Faces(table, strategy(), False, 1)
    faces[BatchKey(0, 0, np.arange(60))]
    assert np.array_equal(faces.images.numpy(), before)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 23, 24, 25])
def test_evaluated_faces_come_exactly_once_over_all_processes(count, world):
    parts = [Batches(count, 8, 0, False, rank, world) for rank in range(world)]
    keys = [key for part in parts for key in part]
    assert sorted(index for key in keys for index in key.indices) == list(range(count))
    assert [len(list(part)) for part in parts] == [len(part) for part in parts]


@pytest.mark.parametrize("world", [1, 2])
def test_trained_faces_come_at_most_once_in_full_batches_of_every_process(world):
    parts = [Batches(50, 8, 0, True, rank, world) for rank in range(world)]
    keys = [key for part in parts for key in part]
    indices = [index for key in keys for index in key.indices]
    assert {len(key.indices) for key in keys} == {8}
    assert len(set(indices)) == len(indices) == 48
    assert len({key.number for key in keys}) == len(keys)
    assert len({len(part) for part in parts}) == 1


def test_a_split_smaller_than_a_batch_is_one_batch():
    (key,) = Batches(5, 8, 0, True)
    assert sorted(key.indices) == [0, 1, 2, 3, 4]


def test_the_order_changes_with_epoch_and_seed():
    def order(seed, epoch):
        batches = Batches(64, 8, seed, True)
        batches.set_epoch(epoch)
        return [tuple(key.indices) for key in batches]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_evaluated_faces_are_not_augmented_and_come_in_the_table_s_order():
    data = make_data()
    val, sample = data.val_dataloader()
    batches = list(val)
    assert torch.cat([batch.rows for batch in batches]).tolist() == list(range(1040, 1050))
    assert np.array_equal(torch.cat([batch.images for batch in batches]), data.parts[Split.VAL].images)
    rows = torch.cat([batch.rows for batch in sample]).tolist()
    assert sorted(rows) == list(range(1000, 1040))


def test_the_first_batch_is_the_one_that_is_trained_on_first():
    data = make_data()
    assert torch.equal(data.first_batch().images, next(iter(data.train_dataloader())).images)


def test_labels_are_drawn_anew_for_each_view_as_often_as_their_share_says():
    targets = np.tile(np.array([[0.5, 0.3, 0.2, 0, 0, 0]], np.float32), (400, 1))
    faces = Faces(make_table(400, targets), None, True, 1)
    drawn = torch.stack([faces[BatchKey(epoch, 0, np.arange(400))].targets for epoch in range(20)])
    assert (drawn.sum(2) == 1).all() and drawn.max() == 1
    assert drawn.mean((0, 1)).tolist() == pytest.approx([0.5, 0.3, 0.2, 0, 0, 0], abs=0.02)
    assert drawn.mean(0)[:, 0].min() > 0  # every face gets each of its labels now and then
    assert drawn.mean(0)[:, 0].max() < 1


def test_a_certain_label_is_always_drawn():
    targets = torch.eye(8).repeat(50, 1)
    assert torch.equal(draw_one_hot(targets, np.random.default_rng(0)), targets)


def test_labels_are_drawn_for_training_only():
    table = make_table(targets=np.full((60, 6), 1 / 6, np.float32))
    data = FaceData(table, None, 10, 0, 1, draw_labels=True)
    assert set(next(iter(data.train_dataloader())).targets.unique().tolist()) == {0, 1}
    assert next(iter(data.val_dataloader()[0])).targets.unique().tolist() == pytest.approx([1 / 6])


def test_faces_with_a_pipeline_survive_being_sent_to_another_process():
    faces = Faces(make_table(), strategy(), False, 1)
    key = BatchKey(3, 2, np.arange(10))
    assert torch.equal(pickle.loads(pickle.dumps(faces))[key].images, faces[key].images)


@pytest.mark.slow
def test_loaders_work_where_processes_are_spawned(monkeypatch):
    monkeypatch.setattr("fer.data.batches.sys.platform", "darwin")
    data = make_data(workers=2)
    loader = data.train_dataloader()
    assert loader.multiprocessing_context.get_start_method() == "spawn"
    assert epoch_of(loader, 1) == epoch_of(make_data().train_dataloader(), 1)


def test_workers_are_started_only_for_faces_that_are_augmented(monkeypatch):
    assert make_data(workers=2).train_dataloader().num_workers == 2
    assert make_data(workers=2).val_dataloader()[0].num_workers == 0
    assert make_data(workers=2, name="none").train_dataloader().num_workers == 0
    for cores, chosen in ((1, 0), (2, 1), (16, 1)):  # on a CPU
        monkeypatch.setattr("fer.data.datamodule.cores", lambda cores=cores: cores)
        assert make_data(workers="auto").train_dataloader().num_workers == chosen


def test_gray_statistics_are_those_of_the_training_split():
    table = make_table()
    table.images[table.splits != Split.TRAIN] = 0
    training = table.images[table.splits == Split.TRAIN] / 255
    assert gray_statistics(table) == pytest.approx((training.mean(), training.std()))
    table.images[:] = 7
    assert gray_statistics(table)[1] == pytest.approx(1e-3)  # not zero, by which inputs are divided


def test_a_loader_makes_whole_batches():
    loader = make_loader(Faces(make_table(), None, False, 1), Batches(60, 25, 1, False), 0, False)
    assert [len(batch.rows) for batch in loader] == [25, 25, 10]
