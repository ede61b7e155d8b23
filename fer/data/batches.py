"""From a table to batches: whole batches are the unit, so that nothing is done face by face that need not be.

Every batch has a key (epoch, number, indices), made in the main process. All its randomness follows from the seed and
this key, so the same batches come from no, one or many workers, and a resumed run sees what it would have seen.
"""

import atexit
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fer.data.table import Table

Transform = Callable[..., dict[str, Any]]


class Batch(NamedTuple):
    """Faces as they travel to the device: images (B, H, W) uint8, targets (B, C) float32, rows (B,) int64.

    A strategy that crops makes training's images smaller than those of validation and test.
    """

    images: Tensor
    targets: Tensor
    rows: Tensor

    def __reduce__(self) -> tuple[Callable[..., "Batch"], tuple[Tensor, bytes, bytes]]:
        """Come from a worker as one tensor and two short strings: every tensor needs a handshake of its own."""
        return _arrived, (self.images, self.targets.numpy().tobytes(), self.rows.numpy().tobytes())


def _arrived(images: Tensor, targets: bytes, rows: bytes) -> Batch:
    """Undo `Batch.__reduce__`."""
    kinds = (targets, torch.float32), (rows, torch.int64)
    parts = [torch.frombuffer(bytearray(part), dtype=kind) for part, kind in kinds]
    return Batch(images, parts[0].view(len(images), -1), parts[1])


class BatchKey(NamedTuple):
    """What a batch is made from: its epoch, its number over all processes, and (B,) indices into the table."""

    epoch: int
    number: int
    indices: np.ndarray


class Batches(Sampler[BatchKey]):
    """Yield the keys of one epoch's batches, this process's share of them.

    Args:
        count: faces in the table.
        size: faces a batch.
        seed: of the shuffling.
        shuffle: for training: a new order each epoch, and the incomplete last batch is left out. Otherwise each face
            comes exactly once, over all processes together.
        rank, world: this process among all.
    """

    def __init__(self, count: int, size: int, seed: int, shuffle: bool, rank: int = 0, world: int = 1) -> None:
        self.count, self.size, self.seed, self.shuffle = count, size, seed, shuffle
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch that the next iteration is for; Lightning calls this, after a resume too."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.shuffle:
            return max(self.count // (self.size * self.world), 1)
        return -(-len(range(self.rank, self.count, self.world)) // self.size)

    def __iter__(self) -> Iterator[BatchKey]:
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        order = order[self.rank :: self.world]
        for index in range(len(self)):
            part = order[index * self.size : (index + 1) * self.size]
            yield BatchKey(self.epoch, index * self.world + self.rank, part)


class Closing(NamedTuple):
    """A training's last epochs, from `epoch` (from 0) on, and what faces go through in them."""

    epoch: int
    transform: Transform | None


class Faces(Dataset[Batch]):
    """Make batches of a table's faces.

    Args:
        table: the faces.
        transform: an Albumentations pipeline, or None.
        draw_labels: draw one emotion from each target whenever a face is seen (Barsoum et al., 2016).
        seed: of the augmentation and of the drawing.
        closing: what is done instead of `transform` from an epoch on.
    """

    def __init__(
        self,
        table: Table,
        transform: Transform | None,
        draw_labels: bool,
        seed: int,
        closing: Closing | None = None,
    ) -> None:
        # Tensors travel to spawned workers as handles to shared memory, arrays as copies.
        self.images = torch.from_numpy(np.ascontiguousarray(table.images))
        self.targets = torch.from_numpy(table.targets)
        self.rows = torch.from_numpy(table.rows)
        self.transform, self.draw_labels, self.seed, self.closing = transform, draw_labels, seed, closing

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: BatchKey) -> Batch:
        index = torch.from_numpy(key.indices)
        targets, rows = self.targets[index], self.rows[index]
        generator = np.random.default_rng((self.seed, key.epoch, key.number))
        if self.draw_labels:
            targets = draw_one_hot(targets, generator)
        images = self.images.index_select(0, index)  # 4 times faster here than images[index]
        transform = self.closing.transform if self.closing and key.epoch >= self.closing.epoch else self.transform
        if transform is not None:
            # One stream for all: set_random_seed would start each transform's own at the same number, so that in a
            # batch's first face, and for flips in every face, either all transforms act or none.
            transform.set_random_state(generator, random.Random(int(generator.integers(2**32))))
            images = torch.from_numpy(np.stack([transform(image=face)["image"] for face in images.numpy()]))
        return Batch(images, targets, rows)


def draw_one_hot(targets: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw one class from each distribution: (B, C) float32 -> one-hot (B, C) float32."""
    below = torch.from_numpy(generator.random((len(targets), 1)).astype(np.float32)) * targets.sum(1, keepdim=True)
    drawn = (targets.cumsum(1) <= below).sum(1).clamp(max=targets.shape[1] - 1)
    return torch.nn.functional.one_hot(drawn, targets.shape[1]).float()


def make_loader(faces: Faces, batches: Batches, workers: int, pin_memory: bool) -> DataLoader[Batch]:
    """Return a loader of whole batches; its workers stay alive from epoch to epoch."""
    context = None
    if workers:
        faces.images.share_memory_()
        if _is_queued():
            atexit.register(_end_workers)
        # A forked worker starts at once; joblib's own start method, which a sweep would hand down, crashes here.
        context = "fork" if sys.platform == "linux" else "spawn"
    return DataLoader(
        faces,
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_end_quietly,
    )


def _end_quietly(worker: int) -> None:
    """Leave it to the command to say what Ctrl-C and SIGTERM, which often reach all processes, have ended.

    A worker that SIGTERM killed would be an error of its own to PyTorch; one that ignored it would never end. But a job
    on a Slurm cluster works on after SIGTERM, until Slurm kills it: so must its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if _is_queued() else lambda *_: os._exit(0))
    for name in ("SIGUSR1", "SIGUSR2"):  # by which Slurm tells all of a job's processes that it has to queue again
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.excepthook = lambda *_: None  # of the thread whose batch nobody takes any more; real errors go another way


def _is_queued() -> bool:
    return "SUBMITIT_EXECUTOR" in os.environ  # in a job on a Slurm cluster


def _end_workers() -> None:
    """Kill what SIGTERM does not end, before Python waits for it at its exit: a failure may have left workers alive."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would make an error of it
    for worker in multiprocessing.active_children():
        worker.kill()
