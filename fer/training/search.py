"""A search by Optuna: trials around `fer.training.run.run`, on validation only, in a study that lies on disk.

Several processes share the study, and a killed one leaves it whole: every trial is a run's folder with checkpoints, and
whoever finds it abandoned goes on with it. Akiba et al., Optuna: A Next-generation Hyperparameter Optimization
Framework, 2019.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from fer.config.messages import find
from fer.errors import CutShort, Diverged, RunError
from fer.evaluation.search_report import name_of, open_study, write_search_report
from fer.locks import let_go, locked
from fer.monitor import sign
from fer.run_folder import STUDY, keep_settings
from fer.schema import TrainConfig
from fer.training.console import print_best
from fer.training.run import run
from fer.training.search_space import Range, is_whole, place, ranges


def search(config: TrainConfig, folder: Path) -> float:
    """Run trials until there are as many as asked for; join a search that is running, or go on with one that is not.

    Args:
        config: the checked configuration, with its section `sweep`.
        folder: takes the study, the trials' folders and the report.

    Returns:
        The best trial's monitored validation metric.

    Raises:
        RunError: if no trial came to its end.
    """
    direction = "maximize" if sign(config.monitor) > 0 else "minimize"
    study = open_study(folder / STUDY, direction=direction)
    study.pruner = optuna.pruners.MedianPruner(config.sweep.startup, config.sweep.warmup)
    while True:
        with claimed_trial(study, config, folder) as trial:
            if trial is None:
                break
            _work(study, trial, config, folder / name_of(trial.number))
        _report(folder)
    _report(folder)
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        raise RunError(f"no trial of {folder} came to its end: see sweep.warmup, and the ranges of sweep.space")
    print_best(folder, study.best_trial.number, study.best_value, config.monitor)
    return study.best_value


def _report(folder: Path) -> None:
    """Bring the report up to date; what goes wrong with it spoils no trial."""
    try:
        write_search_report(folder)
    except Exception as error:
        print(f"the report of {folder} could not be made: {error!r}", flush=True)


@contextmanager
def claimed_trial(study: optuna.Study, config: TrainConfig, folder: Path) -> Iterator[Trial | None]:
    """Yield a trial that is this process's: one that another has left, or a new one; None if there are enough."""
    with locked(folder / ".study.lock"):
        trial, lock = _find_trial(study, config, folder)
    try:
        yield trial
    finally:
        if lock:
            let_go(lock)


def _find_trial(study: optuna.Study, config: TrainConfig, folder: Path) -> tuple[Trial | None, FileLock | None]:
    trials = study.get_trials(deepcopy=False)
    for old in trials:
        if old.state == TrialState.RUNNING and (lock := _lock(folder, old.number)):
            if study.get_trials(deepcopy=False)[old.number].state == TrialState.RUNNING:
                return Trial(study, old._trial_id), lock
            let_go(lock)  # its process has ended it in between
    if len(trials) >= config.sweep.trials:
        return None, None
    # A seed for each trial: the same one comes after an interruption, and another in each process.
    seed = config.seed * 1_000_003 + len(trials)
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=config.sweep.startup, seed=seed, constant_liar=True)
    trial = study.ask(distributions(config))
    return trial, _lock(folder, trial.number)


def _lock(folder: Path, number: int) -> FileLock | None:
    """Return the held lock of a trial; None while another process works on it."""
    place = folder / name_of(number)
    place.mkdir(exist_ok=True)
    lock = FileLock(place / ".trial.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def distributions(config: TrainConfig) -> dict[str, BaseDistribution]:
    """Return Optuna's form of the space."""
    plain = config.model_dump(mode="json")
    return {key: _distribution(values, find(plain, key)) for key, values in ranges(config.sweep.space).items()}


def _distribution(values: Range, present: Any) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution([json.dumps(value) for value in values])  # Optuna keeps no lists
    kind = IntDistribution if is_whole(values, present) else FloatDistribution
    return kind(values["low"], values["high"], log=values.get("log", False))


def values_of(trial: Trial) -> dict[str, Any]:
    """Return a trial's values by their dotted keys."""
    chosen = trial.distributions
    return {
        key: json.loads(value) if isinstance(chosen[key], CategoricalDistribution) else value
        for key, value in trial.params.items()
    }


def _work(study: optuna.Study, trial: Trial, config: TrainConfig, folder: Path) -> None:
    """Train one trial and tell the study how it ended; after an interruption it stays open, for whoever resumes."""
    values = values_of(trial)
    shown = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}
    print(f"\n{folder.name} ({trial.number + 1} of {config.sweep.trials}): {' '.join(_words(shown))}", flush=True)
    trial_config = TrainConfig.model_validate(place(config.model_dump(mode="json"), values) | {"sweep": None})
    _write_settings(folder, trial_config, values)
    try:
        study.tell(trial, run(trial_config, folder, [Pruning(trial)]))
    except (CutShort, Diverged) as reason:
        print(f"cut short: {reason}", flush=True)
        study.tell(trial, state=TrialState.PRUNED)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _words(values: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in values.items()]


def _write_settings(folder: Path, config: TrainConfig, values: dict[str, Any]) -> None:
    """Leave what lies in the folders of runs: the report and TensorBoard's table read it."""
    words = _words(values)
    naming = {"job": {"config": {"override_dirname": {"exclude_keys": ["sweep"]}}}, "overrides": {"task": words}}
    files = (config.model_dump(mode="json"), {"hydra": naming}, words)
    keep_settings(folder, *(yaml.safe_dump(content, sort_keys=False) for content in files))


class Pruning(Callback):
    """Tell the study each epoch's metric, and end a trial that is worse than half of the others were by then."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Report and decide.

        Raises:
            CutShort: if the trial is hopeless.
        """
        epoch, monitor = trainer.current_epoch + 1, module.config.monitor
        value = float(trainer.callback_metrics[monitor])
        self.trial.report(value, epoch)
        if self.trial.should_prune() and epoch < trainer.max_epochs:
            raise CutShort(f"{monitor} {value:.3f} in epoch {epoch} is worse than half of the other trials'")
