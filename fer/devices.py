"""Which device a run takes."""

import tempfile
from functools import cache
from itertools import count
from pathlib import Path

import torch
from filelock import FileLock, Timeout


def find_accelerator(wanted: str) -> str:
    """Return "cuda", "mps" or "cpu" for trainer.accelerator; "none" if a GPU is wanted and there is none."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kinds = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}.get(wanted, (wanted,))
    return next((kind for kind in kinds if has[kind]), "none")


def choose_devices(wanted: int | str, accelerator: str) -> int | str | list[int]:
    """Return Lightning's `devices`: of several CUDA GPUs, one run takes the one that the fewest other runs have."""
    if accelerator == "cuda" and wanted == 1 and torch.cuda.device_count() > 1:
        return [own_gpu()]
    return wanted


def evaluation_device(wanted: str) -> torch.device:
    """Return the one device that evaluates a net, by trainer.accelerator."""
    accelerator = find_accelerator(wanted)
    devices = choose_devices(1, accelerator)
    return torch.device(accelerator, devices[0] if isinstance(devices, list) else None)


@cache
def own_gpu() -> int:
    """Return the number of the GPU that is this process's until it ends, as a job of a parallel sweep among others."""
    gpus = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    return claim(gpus, Path(tempfile.gettempdir()))


HELD: list[FileLock] = []  # until the process ends


def claim(gpus: list[str], folder: Path) -> int:
    """Return the index of the first GPU that the fewest processes hold, and hold it.

    Args:
        gpus: their unique names, the same to all processes of the machine, whatever GPUs each of them sees.
        folder: for a lock file for each GPU and holder.
    """
    for holders in count():
        for index, gpu in enumerate(gpus):
            lock = FileLock(folder / f"fer-{gpu}-{holders}.lock", mode=0o666)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            HELD.append(lock)
            return index
    raise AssertionError  # there is always one more lock
