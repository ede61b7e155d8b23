"""The loaders whose speeds `fer.data.benchmark` compares, and the table that it prints."""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

import fer.config.resolvers  # noqa: F401 (for OmegaConf)
from fer.benchmarks import machine, spread
from fer.data.augmentation import build_strategy
from fer.data.batches import Batches, BatchKey, Faces, Transform, make_loader
from fer.data.synthetic import read_synthetic
from fer.data.table import Split, Table
from fer.models.inputs import normalise
from fer.paths import CONF

MEAN, STD = 0.5, 0.25
TARGETS = {
    "none": "difference at most 3",
    "hflip": "difference at most 3",
    "vflip": "",
    "mid": "ratio at least 0.85",
    "full": "ratio at least 0.85",
}


class BareCalls(Faces):
    """Make an epoch's Albumentations calls in the workers, and send nothing back."""

    def __getitem__(self, key: BatchKey) -> int:
        call_each(self.transform, self.images.numpy()[key.indices])
        return key.number


def in_turns(*ways: Callable[[], Any], turns: int, clock: Callable[[], float] = time.process_time) -> np.ndarray:
    """Call each way once to warm up, then all in turns; return the seconds of each call, (turns, ways)."""
    for way in ways:
        way()
    seconds = np.empty((turns, len(ways)))
    for turn, place in np.ndindex(seconds.shape):
        began = clock()
        ways[place]()
        seconds[turn, place] = clock() - began
    return seconds


def call_each(transform: Transform | None, images: np.ndarray) -> None:
    """Make the bare Albumentations call on each of images (N, H, W) uint8; without a transform only pick each."""
    if transform is None:
        for _ in images:
            pass
        return
    for image in images:
        transform(image=image)["image"]


def load_epoch(loader: DataLoader[Any], finish: Callable[[Any], Any] | None = None) -> None:
    """Go through the loader's next epoch, and do to each batch what finishes it."""
    if isinstance(loader.sampler, Batches):
        loader.sampler.set_epoch(loader.sampler.epoch + 1)
    for batch in loader:
        if finish:
            finish(batch)


def time_strategy(name: str, faces: Table, batch: int, turns: int) -> np.ndarray:
    """Return microseconds a face, (turns, 2): of the bare calls, and of our loader in this process."""
    bare, ours = (make_transform(name, faces) for _ in range(2))
    loader = make_ours(faces, ours, batch)
    ways = lambda: call_each(bare, faces.images), lambda: load_epoch(loader)
    return in_turns(*ways, turns=turns) / len(faces) * 1e6


def time_workers(faces: Table, batch: int, turns: int, workers: int) -> np.ndarray:
    """Return wall microseconds a face under `full`, (turns, 3): bare calls in this process; workers; workers' ceiling.

    The ceiling is what the same workers reach when they make the bare calls and nothing else.
    """
    transforms = [make_transform("full", faces) for _ in range(3)]
    ours = make_ours(faces, transforms[1], batch, workers)
    ceiling = make_ours(faces, transforms[2], batch, workers, BareCalls)
    ways = (lambda: call_each(transforms[0], faces.images), lambda: load_epoch(ours), lambda: load_epoch(ceiling))
    return in_turns(*ways, turns=turns, clock=time.perf_counter) / len(faces) * 1e6


def time_usual(suffix: str, faces: Table, batch: int, turns: int) -> np.ndarray:
    """Return microseconds a face under `hflip` up to normalised float batches, (turns, 2): the usual way, and ours."""
    flips = [make_transform("hflip", faces) for _ in range(2)]
    ours = make_ours(faces, flips[1], batch)
    with tempfile.TemporaryDirectory() as folder:
        write_files(faces, Path(folder), suffix)
        usual = make_usual(Path(folder), flips[0], batch)
        ways = lambda: load_epoch(usual), lambda: load_epoch(ours, lambda made: normalise(made.images, MEAN, STD))
        return in_turns(*ways, turns=turns) / len(faces) * 1e6


def make_transform(name: str, faces: Table) -> Transform | None:
    """Return the pipeline of conf/augmentation/NAME.yaml."""
    size = faces.images.shape[1]
    option = OmegaConf.load(CONF / "augmentation" / f"{name}.yaml")
    config = OmegaConf.create({"model": {"input_size": size}, "augmentation": option})
    return build_strategy(OmegaConf.to_container(config, resolve=True)["augmentation"]["transforms"], size)


def make_ours(
    faces: Table, transform: Transform | None, batch: int, workers: int = 0, kind: type[Faces] = Faces
) -> DataLoader[Any]:
    """Return our loader, shuffling as in training."""
    batches = Batches(len(faces), batch, seed=1, shuffle=True)
    return make_loader(kind(faces, transform, False, seed=1), batches, workers, pin_memory=False)


def write_files(faces: Table, folder: Path, suffix: str) -> None:
    """Write one image file a face into class folders."""
    for name in faces.classes:
        (folder / name).mkdir()
    for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        cv2.imwrite(str(folder / faces.classes[label] / f"{number}{suffix}"), image)


def make_usual(folder: Path, flip: Transform, batch: int) -> DataLoader[Any]:
    """Return what most write: torchvision's ImageFolder, Albumentations, ToTensor, Normalize, default collate."""
    from PIL import Image
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    finish = transforms.Compose([transforms.ToTensor(), transforms.Normalize([MEAN], [STD])])

    def load(path: str) -> np.ndarray:
        with Image.open(path) as image:
            return np.array(image.convert("L"))

    dataset = ImageFolder(str(folder), lambda image: finish(flip(image=image)["image"]), loader=load)
    return DataLoader(dataset, batch, shuffle=True, drop_last=True)


def measure(asked: argparse.Namespace) -> None:
    """Print each comparison as soon as it is made."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    kept = asked.faces // asked.batch * asked.batch  # the incomplete last batch would not be loaded
    faces = read_synthetic(asked.size, train=kept, val=12, test=12).part(Split.TRAIN)
    print(machine())
    print(
        f"{kept:,} drawn faces of {asked.size}x{asked.size}, batches of {asked.batch}, one thread a process; "
        f"medians of {asked.repeats} turns (lowest to highest)"
    )
    print_strategies(asked.strategies or list(TARGETS), faces, asked.batch, asked.repeats)
    if asked.workers:
        print_workers(faces, asked.batch, asked.repeats, asked.workers)
    print_usual(faces, asked.batch, asked.repeats)


def print_strategies(names: Sequence[str], faces: Table, batch: int, turns: int) -> None:
    """Print a row for each strategy."""
    print("\nOur loader in one process beside the bare Albumentations calls on the same faces; CPU microseconds a face")
    print(f"{'strategy':10}{'bare':>8}{'ours':>8}  {'ours - bare':25}{'bare / ours':24}target")
    for name in names:
        bare, ours = time_strategy(name, faces, batch, turns).T
        figures = f"{np.median(bare):8.1f}{np.median(ours):8.1f}  {spread(ours - bare):25}{spread(bare / ours):24}"
        print(f"{name:10}{figures}{TARGETS.get(name, '')}".rstrip(), flush=True)


def print_workers(faces: Table, batch: int, turns: int, workers: int) -> None:
    """Print how near several workers come to that many times the bare calls."""
    bare, ours, ceiling = time_workers(faces, batch, turns, workers).T
    print(f"\n{workers} workers on full: faces a second over {workers} times the bare calls' in one process; wall time")
    print(f"{'our loader':42}{spread(bare / ours / workers):24}at least 0.75")
    print(f"{'workers that make only the bare calls':42}{spread(bare / ceiling / workers):24}the machine's own limit")


def print_usual(faces: Table, batch: int, turns: int) -> None:
    """Print how many times faster ours is than a file a face."""
    print("\nUp to normalised float batches under hflip, beside torchvision's ImageFolder; CPU microseconds a face")
    print(f"{'files':10}{'usual':>8}{'ours':>8}  {'usual / ours':25}target")
    for suffix in (".png", ".jpg"):
        usual, ours = time_usual(suffix, faces, batch, turns).T
        figures = f"{np.median(usual):8.1f}{np.median(ours):8.1f}  {spread(usual / ours):25}"
        print(f"{suffix:10}{figures}at least 3", flush=True)
