"""What is checked before any work beyond the schema: data, weights, strategies, devices, and earlier runs' folders."""

from collections.abc import Iterator
from pathlib import Path

from fer.config import Job, differences, quote_path
from fer.errors import UserError

MAY_DIFFER = ("resume", "workers", "test", "tta")  # none of them changes what is trained


def check_training(jobs: list[Job], multirun: bool) -> list[str]:
    """Check all jobs and return the Hydra overrides that put a resumed run back into its folder.

    Jobs with wrong settings are checked as far as their other settings allow.

    Raises:
        UserError: with everything that was found wrong, an argument each.
    """
    errors: list[str] = []
    for job in jobs:
        for check in (_check_files, _check_strategy, _check_devices):
            errors += check(job)
    if multirun:
        errors += _check_sweep(jobs)
    elif jobs:
        errors += _check_folder(jobs[0])
    if errors:
        raise UserError(*errors)
    resumed = None if multirun else jobs[0].part("resume")
    return [quote_path(f"hydra.run.dir={resumed}")] if resumed else []


def _check_files(job: Job) -> Iterator[str]:
    from fer.data.sources import locate

    if dataset := job.part("dataset"):
        try:
            locate(dataset)
        except UserError as error:
            yield str(error)
    if (weights := job.part("weights")) and not weights.is_file():
        yield f"weights={weights}: expected a .safetensors file, but there is no such file"


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


def _check_devices(job: Job) -> Iterator[str]:
    trainer = job.part("trainer")
    if not trainer or trainer.accelerator in ("auto", "cpu"):
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


def _check_sweep(jobs: list[Job]) -> Iterator[str]:
    for job in jobs:
        if (trainer := job.part("trainer")) and trainer.strategy == "ddp":
            yield (
                "trainer.strategy=ddp: expected one run, but -m makes a sweep, and each process of a distributed "
                "run would start the whole sweep again: leave out -m, or sweep with trainer=auto"
            )
        if job.part("resume"):
            yield "resume: expected one run's folder, which -m cannot take: resume the run on its own"
        if job.folder and any(
            any(job.folder.glob(name)) for name in ("multirun.yaml", "metrics.json", "*/metrics.json")
        ):
            yield f"hydra.sweep.dir={job.folder}: holds earlier results already: choose another folder"


def _check_folder(job: Job) -> Iterator[str]:
    """Refuse to touch a finished run, and to go on with a run by other settings."""
    resumed = job.part("resume")
    folder = resumed or job.folder
    if not folder:
        return
    before = folder / ".hydra" / "config.yaml"
    if (folder / "metrics.json").exists():
        yield f"{folder}: expected a new or an interrupted run, but this is a finished one: choose another folder"
    elif not resumed and (folder / "checkpoints").exists():
        yield f"{folder}: holds an interrupted run: go on with resume={folder}, or choose another folder"
    elif resumed and not before.is_file():
        yield f"resume={folder}: expected the folder of an interrupted run, but there is no {before}"
    elif resumed and job.config:
        yield from _compare(before, job)


def _compare(before: Path, job: Job) -> Iterator[str]:
    from omegaconf import OmegaConf

    old = OmegaConf.to_container(OmegaConf.load(before), resolve=True)
    if found := differences(old, job.plain, MAY_DIFFER):
        yield f"resume: expected the settings of the interrupted run, but {'; '.join(found)}"
