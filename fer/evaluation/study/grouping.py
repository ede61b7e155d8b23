"""A study: finished runs, gathered by settings, and the settings by the images on which they were evaluated.

A setting is all runs whose configurations agree but for the seed. It is named by the keys in which it differs from the
others, first those that were typed. Settings are compared only on the same images: such a group is a task.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fer.evaluation.study.run_reader import natural, read_run
from fer.evaluation.study.runs import Run, uneven
from fer.run_folder import RESULTS

# The seed, and what changes nothing in what is trained.
NOT_SETTINGS = ("seed", "resume", "workers", "test", "not_sure_accuracy", "tta", "groups", "export", "logger")


@dataclass
class Setting:
    """All runs of one configuration on one task.

    Attributes:
        keys: what tells it from the task's other settings, key -> value.
        runs: by seed.
    """

    keys: dict[str, str]
    runs: list[Run]

    @property
    def label(self) -> str:
        """What `--baseline` takes, as one would type it."""
        return ", ".join(f"{key}={value}" for key, value in self.keys.items())

    @property
    def is_option(self) -> bool:
        """Whether a single group's options are compared: their names speak for themselves, as 0.1 does not."""
        first = self.runs[0]
        return len(self.keys) == 1 and all(key in first.choices or f"{key}.name" in first.config for key in self.keys)

    @property
    def name(self) -> str:
        """The label, or in short the chosen option."""
        return next(iter(self.keys.values())) if self.is_option else self.label


@dataclass
class Task:
    """Settings that were evaluated on the same images, in the order in which they were typed."""

    title: str
    settings: list[Setting]

    @property
    def runs(self) -> list[Run]:
        """All runs of all settings."""
        return [run for setting in self.settings for run in setting.runs]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the emotions."""
        return self.runs[0].classes

    @property
    def heading(self) -> str:
        """What heads the column of their names."""
        first = self.settings[0]
        return next(iter(first.keys)) if first.is_option else "setting"

    def keys(self, name: str) -> list[str]:
        """Return the keys of metrics.json below a name ("test/recall/"), in order; none of uneven parts."""
        keys = dict.fromkeys(key for run in self.runs for key in run.metrics if key.startswith(name))
        return [key for key in keys if key.partition("/")[0] not in self.uneven]

    @cached_property
    def uneven(self) -> dict[str, list[float]]:
        """The parts of test that cannot be compared, and how many faces runs have of them."""
        return uneven(self.runs)

    def find(self, label: str) -> Setting | None:
        """Return the setting of a label, or of its short name."""
        wanted = label.replace(" ", "")
        return next((own for own in self.settings if wanted in (own.label.replace(" ", ""), own.name)), None)


@dataclass
class Study:
    """All runs in natural order, those that do not count included, and the tasks of those that do."""

    runs: list[Run]
    tasks: list[Task]


def read_study(folders: list[Path]) -> Study:
    """Read all runs, as `find_runs` finds them."""
    runs = [read_run(folder) for folder in folders]
    sweeps = list(dict.fromkeys(run.folder.parent for run in runs))
    last = len(runs)
    runs.sort(
        key=lambda run: (
            sweeps.index(run.folder.parent),
            last if run.number is None else run.number,
            natural(run.folder.name),
        )
    )
    groups = [_gather(same) for same in _by_images([run for run in runs if run.problem is None])]
    titles = _titles([settings[0][0] for settings in groups])
    return Study(runs, [_name(title, settings) for title, settings in zip(titles, groups, strict=True)])


def _by_images(runs: list[Run]) -> list[list[Run]]:
    """Part runs by what they were evaluated on, as far as is known: runs without predictions have numbers only."""
    tasks: list[tuple[dict[str, Any], list[Run]]] = []
    for run in runs:
        images = {"classes": run.classes, "dataset": run.dataset}
        images |= {key: run.metrics[key] for key in ("val/n", "test/n") if key in run.metrics}
        images |= {name: run.predictions[name].images for name in ("val", "test") if name in run.predictions}
        for known, members in tasks:
            shared = known.keys() & images.keys()
            proven = shared & {"val", "test"}  # a copy of a dataset may have another name
            if all(known[key] == images[key] for key in shared if key != "dataset" or not proven):
                known |= images
                members.append(run)
                break
        else:
            tasks.append((images, [run]))
    return [members for _, members in tasks]


def _gather(runs: list[Run]) -> list[list[Run]]:
    """Gather the runs of each setting, by seed; of two runs of one seed the newer counts."""
    settings: dict[str, dict[Any, Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key.partition(".")[0] not in NOT_SETTINGS}
        seeds = settings.setdefault(repr(sorted(same.items())), {})
        if other := seeds.get(run.seed):
            older, run = sorted((other, run), key=_when_finished)
            older.problem = f"left out: {run.folder.name} is a newer run of the same setting and seed"
        seeds[run.seed] = run
    return [[seeds[seed] for seed in sorted(seeds)] for seeds in settings.values()]


def _when_finished(run: Run) -> float:
    return (run.folder / RESULTS).stat().st_mtime


def _name(title: str, settings: list[list[Run]]) -> Task:
    names = tell_apart([runs[0] for runs in settings])
    return Task(title, [Setting(keys, runs) for keys, runs in zip(names, settings, strict=True)])


def _titles(runs: list[Run]) -> list[str]:
    """Name tasks by dataset and classes, and by what else tells them apart if that does not."""
    titles = [f"{run.dataset}, {len(run.classes)} classes" for run in runs]
    for title in {title for title in titles if titles.count(title) > 1}:
        same = [index for index, other in enumerate(titles) if other == title]
        for place, (index, keys) in enumerate(zip(same, tell_apart([runs[i] for i in same]), strict=True), 1):
            which = ", ".join(f"{key}={value}" for key, value in keys.items())
            titles[index] = f"{title}, images {place} ({which})"
    return titles


def tell_apart(runs: list[Run]) -> list[dict[str, str]]:
    """Name runs by the keys in which they differ: by each that tells apart what the keys before it do not.

    Typed keys come first, then the sections' names, then every leaf. A single run is named by its augmentation.
    """
    names: list[dict[str, str]] = [{} for _ in runs]
    for key in dict.fromkeys(_candidates(runs)):
        tried = [name | {key: run.value(key)} for name, run in zip(names, runs, strict=True)]
        if _distinct(tried) > _distinct(names):
            names = tried
    return names if names[0] else [{"augmentation": run.value("augmentation")} for run in runs]


def _distinct(names: list[dict[str, str]]) -> int:
    return len({tuple(name.values()) for name in names})


def _candidates(runs: list[Run]) -> Iterator[str]:
    typed, leaves = ([key for run in runs for key in part(run)] for part in (_typed, _leaves))
    yield from typed
    yield from (key.removesuffix(".name") for key in leaves if key.count(".") == 1 and key.endswith(".name"))
    yield from leaves


def _typed(run: Run) -> list[str]:
    typed = [key for key in run.typed if not key.startswith(("hydra.", "hydra/"))]
    return [key for key in typed if key.partition(".")[0] not in NOT_SETTINGS]


def _leaves(run: Run) -> list[str]:
    return [key for key in run.config if key.partition(".")[0] not in NOT_SETTINGS]
