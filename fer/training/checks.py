"""What is checked before any work beyond the schema: data, weights, strategies, devices, and earlier runs' folders."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fer import processes
from fer.config.dotted import leaves
from fer.config.jobs import Job, differences
from fer.config.settings_file import completed, read_settings
from fer.counting import counted
from fer.data.schema import classes_of
from fer.errors import UserError, printable
from fer.extras import require
from fer.run_folder import LAST, NET, RESULTS, SETTINGS, STUDY, SWEEP, AtWork, is_at_work

MAY_DIFFER = (  # none of them changes what is trained; that the data is the same, FaceData tells by its content
    *("resume", "workers", "test", "not_sure_accuracy", "tta", "groups", "export", "sweep.trials", "dataset.root"),
    *("logger", "trainer.name", "trainer.accelerator", "trainer.precision", "start_share"),
)


def check_training(jobs: list[Job], multirun: bool) -> None:
    """Check all jobs; those with wrong settings as far as their other settings allow.

    Raises:
        UserError: with everything that was found wrong, an argument each.
    """
    require("train")
    errors: list[str] = []
    checks = (_check_files, _check_net, _check_strategy, _check_search, _check_extras, _check_processes, _check_devices)
    for job in jobs:
        for check in checks if not processes.is_helper() else (_check_processes,):
            errors += check(job)
    if multirun and processes.count() > 1:
        errors.append(
            f"-m: expected one process, which starts the jobs of the sweep, but {processes.count()} have been started: "
            "leave out torchrun or srun"
        )
    if processes.is_helper():
        pass  # the first process looks at the rest
    elif multirun:
        errors += [*_check_queue(jobs), *_check_sweep(jobs)]
    elif jobs:
        errors += _check_folder(jobs[0])
    if errors:
        raise UserError(*errors)


def _check_files(job: Job) -> Iterator[str]:
    from fer.data.readers import locate
    from fer.header import readable_weights

    if dataset := job.part("dataset"):
        try:
            locate(dataset, fit=job.part("fit") is not False)
        except UserError as error:
            yield str(error)
    if weights := job.part("weights"):
        try:
            readable_weights(weights)
        except UserError as error:
            yield str(error)
    if teacher := job.part("teacher"):
        from fer.training.teachers import require_teachers

        try:
            require_teachers(teacher, classes_of(dataset) if dataset else None)
        except UserError as error:
            yield str(error)
    if (groups := job.part("groups")) and not groups.is_file():
        yield f"groups={groups}: expected a CSV file, but there is no such file"


def _check_net(job: Job) -> Iterator[str]:
    """Build the net of a library, which alone knows its backbones; without memory for the weights."""
    model = job.part("model")
    if not model or model.architecture != "timm" or not job.part("fit"):
        return
    import torch

    from fer.models.factory import build_net

    try:
        with torch.device("meta"):
            build_net(2, model.arguments())
    except (ValueError, ImportError) as error:
        yield f"model={model.name}: {error}"


def _check_strategy(job: Job) -> Iterator[str]:
    augmentation, model = job.part("augmentation"), job.part("model")
    if job.part("fit") and augmentation and model:
        yield from _strategy_mistakes(json.dumps(augmentation.transforms), model.input_size)


@cache  # for the jobs of a sweep, most of which have the same
def _strategy_mistakes(transforms: str, size: int) -> tuple[str, ...]:
    from fer.data.augmentation import build_strategy

    strategy = json.loads(transforms)
    try:
        build_strategy(strategy, size)
    except UserError as whole:
        errors = []
        for name, arguments in strategy.items():  # the first stops it, and others may be wrong too
            try:
                build_strategy({name: arguments}, size)
            except UserError as error:
                errors.append(str(error))
        return tuple(errors) or (str(whole),)
    return ()


def _check_search(job: Job) -> Iterator[str]:
    if job.plain.get("sweep") and job.config:
        from fer.training.search_space import space_mistakes

        yield from space_mistakes(job.plain, job.schema)


def _check_extras(job: Job) -> Iterator[str]:
    loggers = job.part("logger")
    needed = {f"logger={name}": name for name in ("wandb", "mlflow") if loggers and getattr(loggers, name)}
    needed |= {"export=true": "export"} if job.part("export") else {}
    for setting, extra in needed.items():
        try:
            require(extra, of=setting)
        except UserError as error:
            yield str(error)


def _check_processes(job: Job) -> Iterator[str]:
    trainer, started = job.part("trainer"), processes.count()
    if not trainer:
        return
    if started > 1 and not trainer.shared_by:
        yield (
            f"{started} processes have been started, by torchrun, srun or the like, and each would train a net of its "
            f"own in one folder: add trainer=ddp trainer.devices={started}, or start one process"
        )
        return
    if trainer.devices == "auto" or not (processes.by_torchrun() or processes.by_srun()):
        return
    if (wanted := trainer.devices * trainer.num_nodes) != started:
        yield (
            f"{'torchrun' if processes.by_torchrun() else 'srun'}: started {counted(started, 'process')}, but expected "
            f"trainer.devices times trainer.num_nodes as many, and these are {trainer.devices} and "
            f"{trainer.num_nodes}, so {wanted}"
        )


def _check_devices(job: Job) -> Iterator[str]:
    trainer = job.part("trainer")
    if job.is_queued or not trainer or trainer.accelerator == "cpu":
        return
    if trainer.accelerator == "auto" and trainer.devices in (1, "auto"):
        return
    import torch

    has = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    found = has.get(trainer.accelerator, max(has.values()))
    kind = {"cuda": "a CUDA GPU", "mps": "Apple's GPU"}.get(trainer.accelerator, "a GPU")
    if not found and trainer.accelerator == "auto":
        return  # processes on the CPU
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
        if (trainer := job.part("trainer")) and trainer.shared_by:
            yield (
                f"{trainer.shared_by}: expected one run, but -m makes a sweep, and each process of a distributed "
                "run would start the whole sweep again: leave out -m, or sweep with one device for each job"
            )
    placed = [job for job in jobs if job.folder]
    for name, count in Counter(job.folder.name for job in placed).items():
        if count > 1:
            yield f"{name}: expected different settings for each job of a sweep, but this one comes {count} times"
    if placed and not placed[0].is_new:
        yield from _check_sweep_folder(placed)


def _check_sweep_folder(jobs: list[Job]) -> Iterator[str]:
    """Refuse to touch another sweep's jobs, and to continue a sweep by other settings."""
    sweep, resumed = jobs[0].folder.parent, jobs[0].part("resume")
    if is_at_work(sweep):
        yield str(AtWork(sweep))
    elif resumed and not (sweep / SWEEP).is_file():
        yield f"resume={resumed}: expected the folder of a sweep, but there is no {sweep / SWEEP}"
    elif resumed:
        for job in jobs:
            if any((job.folder / name).exists() for name in (SETTINGS, RESULTS, LAST)):
                yield from _compare(job)
    elif any(any(sweep.glob(name)) for name in (SWEEP, RESULTS, f"*/{RESULTS}")):
        yield f"hydra.sweep.dir={sweep}: holds a sweep already: continue with resume={sweep}, or choose another folder"


def _check_folder(job: Job) -> Iterator[str]:
    """Refuse to touch a finished run, and to continue a run by other settings."""
    folder, resumed = job.folder or job.part("resume"), job.part("resume")
    if not folder or job.is_new:
        return
    if is_at_work(folder) and not job.joins:
        yield str(AtWork(folder))
    elif (folder / RESULTS).exists():
        yield (
            f"{folder}: expected a new or an interrupted run, but this is a finished one: choose another folder; to "
            f"train its net on, start from weights={folder / NET} with a gentle optimizer.lr=0.01"
        )
    elif not resumed and any((folder / name).exists() for name in (SETTINGS, "checkpoints", STUDY)):
        what = "a search" if (folder / STUDY).exists() else "an interrupted run"
        yield f"{folder}: holds {what}: continue with resume={folder}, or choose another folder"
    elif resumed and not any((folder / name).is_file() for name in (SETTINGS, LAST)):
        yield f"resume={folder}: expected the folder of an interrupted run, but there is no {folder / SETTINGS}"
    elif resumed and not any(_size(folder / name) for name in (SETTINGS, LAST, STUDY)):
        return  # killed before it wrote anything: it starts anew
    elif resumed and job.config:
        yield from _compare(job)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _compare(job: Job) -> Iterator[str]:
    """Compare with what the checkpoint holds, since its net was trained by that; before the first, with `.hydra/`."""
    path = job.folder / SETTINGS
    try:
        old = completed(dict(leaves(_trained_by(job.folder / LAST))))
        found = differences(old, job.config.model_dump(mode="json"), MAY_DIFFER)
    except Exception:  # there is none, or it cannot be read, which is told when it is to be used
        try:
            found = _differences_from(path, job)
        except (OSError, ValueError) as error:
            yield (
                f"{path}: expected the settings that train.py writes, but they cannot be read "
                f"({printable(str(error))}): choose another folder, or start anew without resume="
            )
            return
    if found:
        yield f"resume: expected the settings of the interrupted run {job.folder.name}, but {'; '.join(found)}"


def _trained_by(checkpoint: Path) -> dict[str, Any]:
    import torch

    return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["settings"]


def _differences_from(path: Path, job: Job) -> list[str]:
    old, unresolved = completed(dict(leaves(read_settings(path)))), dict(leaves(job.unresolved))
    # What is looked up, as an environment's ${oc.env:...} is, is not looked up for a file.
    new = {key: old[key] if old.get(key, ...) == unresolved.get(key) else value for key, value in leaves(job.plain)}
    return differences(old, new, MAY_DIFFER)
