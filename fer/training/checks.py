"""What is checked before any work beyond the schema: data, weights, strategies, devices, and earlier runs' folders."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fer.config import Job, differences
from fer.errors import UserError

MAY_DIFFER = (  # none of them changes what is trained; that the data is the same, FaceData tells by its content
    *("resume", "workers", "test", "tta", "sweep.trials", "dataset.root"),
    *("trainer.name", "trainer.accelerator", "trainer.precision"),
)
SETTINGS, RESULTS, LAST = Path(".hydra/config.yaml"), "metrics.json", Path("checkpoints/last.ckpt")


def check_training(jobs: list[Job], multirun: bool) -> None:
    """Check all jobs; those with wrong settings as far as their other settings allow.

    Raises:
        UserError: with everything that was found wrong, an argument each.
    """
    errors: list[str] = []
    for job in jobs:
        for check in (_check_files, _check_strategy, _check_search, _check_processes, _check_devices):
            errors += check(job)
    if multirun:
        errors += [*_check_queue(jobs), *_check_sweep(jobs)]
    elif jobs:
        errors += _check_folder(jobs[0])
    if errors:
        raise UserError(*errors)


def _check_files(job: Job) -> Iterator[str]:
    from fer.data.sources import locate
    from fer.header import require_readable

    if dataset := job.part("dataset"):
        try:
            locate(dataset, fit=job.part("fit") is not False)
        except UserError as error:
            yield str(error)
    if weights := job.part("weights"):
        try:
            require_readable(weights)
        except UserError as error:
            yield str(error)


def _check_strategy(job: Job) -> Iterator[str]:
    augmentation, model = job.part("augmentation"), job.part("model")
    if not job.part("fit") or not augmentation or not model:
        return
    from fer.data.augmentation import build_strategy

    for name, arguments in augmentation.transforms.items():
        try:
            build_strategy({name: arguments}, model.input_size)
        except UserError as error:
            yield str(error)


def _check_search(job: Job) -> Iterator[str]:
    if job.plain.get("sweep") and job.config:
        from fer.training.space import space_mistakes

        yield from space_mistakes(job.plain, job.schema)


def _check_processes(job: Job) -> Iterator[str]:
    trainer, started = job.part("trainer"), int(os.environ.get("WORLD_SIZE", 1))
    if not trainer or "TORCHELASTIC_RUN_ID" not in os.environ or trainer.devices == "auto":
        return
    wanted = trainer.devices * trainer.num_nodes
    if trainer.strategy != "ddp" or wanted != started:
        yield (
            f"torchrun: started {started} process(es), but expected trainer=ddp and trainer.devices times "
            f"trainer.num_nodes as many, and these are {trainer.strategy}, {trainer.devices} and {trainer.num_nodes}"
        )


def _check_devices(job: Job) -> Iterator[str]:
    trainer = job.part("trainer")
    if job.is_queued or not trainer or trainer.accelerator in ("auto", "cpu"):
        return
    import torch

    has = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    found = has.get(trainer.accelerator, max(has.values()))
    kind = {"cuda": "a CUDA GPU", "mps": "Apple's GPU"}.get(trainer.accelerator, "a GPU")
    if not found:
        yield (
            f"trainer.accelerator={trainer.accelerator}: expected {kind}, but PyTorch finds none: install a PyTorch "
            "built for it, or leave trainer=auto"
        )
    elif trainer.devices != "auto" and trainer.devices > found:
        yield f"trainer.devices={trainer.devices}: expected at most {found}, as PyTorch finds no more of {kind}"


def _check_queue(jobs: list[Job]) -> Iterator[str]:
    if any(job.is_queued for job in jobs) and not shutil.which("sbatch"):
        yield (
            "hydra/launcher=slurm: expected a machine of a Slurm cluster, but there is no sbatch here: start the sweep "
            "on the cluster's login node, or take hydra/launcher=parallel"
        )


def _check_sweep(jobs: list[Job]) -> Iterator[str]:
    if any(job.part("sweep") for job in jobs):
        yield "sweep: expected one command, since a search makes its own trials: leave out -m"
    for job in jobs:
        if (trainer := job.part("trainer")) and trainer.strategy == "ddp":
            yield (
                "trainer.strategy=ddp: expected one run, but -m makes a sweep, and each process of a distributed "
                "run would start the whole sweep again: leave out -m, or sweep with trainer=auto"
            )
    placed = [job for job in jobs if job.folder]
    for name, count in Counter(job.folder.name for job in placed).items():
        if count > 1:
            yield f"{name}: expected different settings for each job of a sweep, but this one comes {count} times"
    if placed:
        yield from _check_sweep_folder(placed)


def _check_sweep_folder(jobs: list[Job]) -> Iterator[str]:
    """Refuse to touch another sweep's jobs, and to go on with a sweep by other settings."""
    sweep, resumed = jobs[0].folder.parent, jobs[0].part("resume")
    if resumed and not (sweep / "multirun.yaml").is_file():
        yield f"resume={resumed}: expected the folder of a sweep, but there is no {sweep / 'multirun.yaml'}"
    elif resumed:
        for job in jobs:
            if any((job.folder / name).exists() for name in (RESULTS, LAST)):
                yield from _compare(job)
    elif any(any(sweep.glob(name)) for name in ("multirun.yaml", RESULTS, f"*/{RESULTS}")):
        yield f"hydra.sweep.dir={sweep}: holds a sweep already: go on with resume={sweep}, or choose another folder"


def _check_folder(job: Job) -> Iterator[str]:
    """Refuse to touch a finished run, and to go on with a run by other settings."""
    folder, resumed = job.folder or job.part("resume"), job.part("resume")
    if not folder:
        return
    before = folder / SETTINGS
    if (folder / RESULTS).exists():
        yield f"{folder}: expected a new or an interrupted run, but this is a finished one: choose another folder"
    elif not resumed and any((folder / name).exists() for name in ("checkpoints", "study.journal")):
        what = "an interrupted run" if (folder / "checkpoints").exists() else "a search"
        yield f"{folder}: holds {what}: go on with resume={folder}, or choose another folder"
    elif resumed and not before.is_file():
        yield f"resume={folder}: expected the folder of an interrupted run, but there is no {before}"
    elif resumed and job.config:
        yield from _compare(job)


def _compare(job: Job) -> Iterator[str]:
    from omegaconf import OmegaConf

    old = OmegaConf.to_container(OmegaConf.load(job.folder / SETTINGS), resolve=True)
    if found := differences(old, job.plain, MAY_DIFFER):
        yield f"resume: expected the settings of the interrupted run {job.folder.name}, but {'; '.join(found)}"
