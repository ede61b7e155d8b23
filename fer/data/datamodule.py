"""The Lightning data module: training and validation faces as loaders, for however many processes there are."""

import hashlib
from functools import cached_property

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from fer.data.batches import Batch, Batches, Closing, Faces, Transform, make_loader
from fer.data.table import Split, Table
from fer.errors import UserError
from fer.processes import cores

MOST_WORKERS = 8


class FaceData(LightningDataModule):
    """Serve a table.

    Args:
        table: faces of all splits, at the net's input size.
        transform: what training faces go through; None leaves them as they are.
        batch_size: faces a step and process.
        workers: loader processes, or "auto": one beside a CPU of several cores, up to `MOST_WORKERS` beside a GPU.
        seed: of shuffling and augmentation.
        draw_labels: draw a label from each training target whenever it is seen.
        closing: what training faces go through in the last epochs.
        taught: the training faces with the targets by which they are taught, and whatever is taught beside them; None
            takes the table's own.
    """

    def __init__(
        self,
        table: Table,
        transform: Transform | None,
        batch_size: int,
        workers: int | str,
        seed: int,
        draw_labels: bool = False,
        closing: Closing | None = None,
        taught: Table | None = None,
    ) -> None:
        super().__init__()
        self.parts = {split: table.part(split) for split in Split}
        self.taught = self.parts[Split.TRAIN] if taught is None else taught
        self.transform, self.batch_size, self.workers = transform, batch_size, workers
        self.seed, self.draw_labels, self.closing = seed, draw_labels, closing

    @cached_property
    def digest(self) -> str:
        """A number that tells these faces, targets and splits from others, wherever they lie."""
        found = hashlib.blake2b(digest_size=16)
        for split, part in self.parts.items():
            images = self.taught.images if split == Split.TRAIN else part.images
            found.update(f"{split.name} {images.shape} {part.classes}".encode())
            for array in (images, part.targets):  # what teachers say of them follows from the settings
                found.update(np.ascontiguousarray(array))
        return found.hexdigest()

    def state_dict(self) -> dict[str, str]:
        """Return what a checkpoint keeps."""
        return {"digest": self.digest}

    def load_state_dict(self, state: dict[str, str]) -> None:
        """Compare what a checkpoint kept.

        Raises:
            UserError: if the interrupted training had other faces.
        """
        if state != self.state_dict():
            raise UserError(
                "resume: expected the faces of the interrupted run, but of these the pixels, labels or splits are "
                "others: give dataset.root with the same data, or choose another folder to train on these"
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled, augmented batches, in another order each epoch."""
        loader = self._loader(self._train_faces(), shuffle=True)
        if self.trainer:  # Lightning tells the epoch only after workers have begun with it: too late in a resumed run
            loader.sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
        return loader

    def steps(self) -> int:
        """Return the number of training batches in an epoch, for each process."""
        return len(self._batches(len(self.taught), shuffle=True))

    def first_batch(self) -> Batch:
        """Return the first epoch's first training batch."""
        faces = self._train_faces()
        return faces[next(iter(self._batches(len(faces), shuffle=True)))]

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """Return the validation split, and a fixed sample of the training split."""
        return [self._plain(part) for part in (self.parts[Split.VAL], self.parts[Split.TRAIN].sample(self.seed))]

    def _train_faces(self) -> Faces:
        return Faces(self.taught, self.transform, self.draw_labels, self.seed, self.closing)

    def _plain(self, table: Table) -> DataLoader[Batch]:
        return self._loader(Faces(table, None, False, self.seed), shuffle=False)

    def _loader(self, faces: Faces, shuffle: bool) -> DataLoader[Batch]:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        # Faces that are only copied need no helpers: a worker costs more than it brings.
        workers = self._workers(on_gpu) if faces.transform is not None else 0
        return make_loader(faces, self._batches(len(faces), shuffle), workers, pin_memory=on_gpu)

    def _batches(self, count: int, shuffle: bool) -> Batches:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return Batches(count, self.batch_size, self.seed, shuffle, rank, world)

    def _workers(self, on_gpu: bool) -> int:
        if self.workers != "auto":
            return int(self.workers)
        spare = cores() - 1
        # One already hides the augmentation behind a CPU's training; more take cores away from it.
        return min(MOST_WORKERS, max(spare, 1)) if on_gpu else min(spare, 1)


def gray_statistics(table: Table) -> tuple[float, float]:
    """Return mean and standard deviation of the training split's gray, in [0, 1]."""
    counts = np.bincount(table.part(Split.TRAIN).images.ravel(), minlength=256) / 1.0
    levels = np.arange(256) / 255
    mean = (counts * levels).sum() / counts.sum()
    variance = (counts * (levels - mean) ** 2).sum() / counts.sum()
    return float(mean), float(max(variance, 1e-6) ** 0.5)
