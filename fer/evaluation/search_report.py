"""The report of a search: its trials, best first, and Optuna's plots of them."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fer.errors import RunError
from fer.evaluation.files import whole_file
from fer.evaluation.markdown import code, plain, table

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

JOURNAL = "study.journal"
OWN = ("sweep", "resume", "hydra", "test", "seed")  # keys of the search, and not of the training that it finds
STATES = {"COMPLETE": "whole", "PRUNED": "cut short", "RUNNING": "running or interrupted", "FAIL": "failed"}


def open_study(journal: Path, **options: Any) -> "optuna.Study":
    """Return the study in a file, which is made if it is not there; a file needs no database, also on network disks."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(storage=storage, study_name="search", load_if_exists=True, **options)


def write_search_report(folder: Path) -> Path:
    """Write report.md, summary.csv and figures of the search in a folder; return the path of report.md.

    Raises:
        RunError: if a file cannot be written.
    """
    from filelock import FileLock

    study = open_study(folder / JOURNAL)
    try:
        (folder / "figures").mkdir(exist_ok=True)
        with FileLock(folder / ".report.lock"):
            trials = _ranked(study)
            figures = list(_figures(study, folder / "figures"))
            _write_summary(folder / "summary.csv", trials)
            with whole_file(folder / "report.md") as file:
                file.write("\n".join(_lines(study, trials, figures, folder)))
    except OSError as error:
        raise RunError(f"the report of {folder} could not be written ({error})") from error
    return folder / "report.md"


def name_of(number: int) -> str:
    """Return the name of a trial's folder."""
    return f"trial_{number:03}"


def best_command(folder: Path) -> str:
    """Return the command that trains the best trial's settings, and scores the test split once."""
    typed = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
    kept = [word for word in typed if word.lstrip("+~").partition("=")[0].partition(".")[0] not in OWN]
    best = open_study(folder / JOURNAL).best_trial
    return " ".join(["python train.py", *kept, *(f"{key}={_short(best, key)}" for key in best.params)])


def _short(trial: "FrozenTrial", key: str) -> str:
    value = trial.params[key]
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace(" ", "")


def _ranked(study: "optuna.Study") -> list["FrozenTrial"]:
    """Return the trials: whole ones, best first; then the others, those that came furthest first."""
    sign = 1 if study.direction.name == "MINIMIZE" else -1
    trials = study.get_trials(deepcopy=False)
    whole = [trial for trial in trials if trial.state.name == "COMPLETE"]
    others = [trial for trial in trials if trial.state.name != "COMPLETE"]
    return sorted(whole, key=lambda trial: sign * trial.value) + sorted(
        others, key=lambda trial: (-len(trial.intermediate_values), trial.number)
    )


def _lines(
    study: "optuna.Study", trials: list["FrozenTrial"], figures: list[tuple[str, str]], folder: Path
) -> Iterator[str]:
    config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
    monitor, count = config["monitor"], len(trials)
    whole = [trial for trial in trials if trial.state.name == "COMPLETE"]
    yield f"# Search: {count} of {config['sweep']['trials']} trials\n"
    if whole:
        yield (
            f"**Best on validation: {name_of(whole[0].number)}, {monitor} {whole[0].value:.4f}.** The best of "
            f"{len(whole)} owes something to luck: train its settings again with other seeds, and score test once:\n"
        )
        yield f"    {best_command(folder)}\n"
    else:
        yield "No trial has come to its end yet.\n"
    keys = sorted({key for trial in trials for key in trial.params})
    header = ["trial", "", monitor, "epochs", *(code(key) for key in keys)]
    yield from table(header, [_row(trial, keys) for trial in trials], left=2)
    yield from (f"![{plain(about)}](figures/{name})\n" for name, about in figures)
    yield "Sampler: TPE (Bergstra et al., 2011); trials below the median of the others at the same epoch are cut short."
    yield "Only the validation split was read. Optuna's own tools open `study.journal` as a JournalStorage.\n"


def _row(trial: "FrozenTrial", keys: list[str]) -> list[str]:
    reached = trial.value if trial.value is not None else max(trial.intermediate_values.values(), default=None)
    value = "–" if reached is None else f"{reached:.4f}"
    values = [_short(trial, key) if key in trial.params else "–" for key in keys]
    return [
        name_of(trial.number),
        STATES.get(trial.state.name, "waiting"),
        value,
        str(len(trial.intermediate_values)),
        *values,
    ]


def _write_summary(path: Path, trials: list["FrozenTrial"]) -> None:
    import csv

    keys = sorted({key for trial in trials for key in trial.params})
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "state", "value", "epochs", *keys])
        for trial in trials:
            values = [trial.params.get(key, "") for key in keys]
            reached = "" if trial.value is None else trial.value
            writer.writerow([trial.number, trial.state.name, reached, len(trial.intermediate_values), *values])


def _figures(study: "optuna.Study", folder: Path) -> Iterator[tuple[str, str]]:
    """Draw what the trials so far allow; yield each figure's file name and what it shows."""
    import matplotlib as mpl

    mpl.use("agg")
    import optuna.visualization.matplotlib as draw
    from matplotlib import pyplot
    from optuna.importance import PedAnovaImportanceEvaluator

    whole = sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))
    plots = {
        "search_history.png": (1, "Best value over the trials", lambda: draw.plot_optimization_history(study)),
        "search_curves.png": (1, "Each trial over its epochs", lambda: draw.plot_intermediate_values(study)),
        "search_importance.png": (
            4,
            "Which settings matter",
            lambda: draw.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator()),
        ),
        "search_slices.png": (2, "Each setting against the value", lambda: draw.plot_slice(study)),
    }
    for name, (needed, about, plot) in plots.items():
        if whole < needed:
            continue
        with warnings.catch_warnings(), pyplot.rc_context({"font.size": 11}):
            warnings.simplefilter("ignore")  # experimental, says Optuna
            drawn = plot()
            figure = (drawn if hasattr(drawn, "figure") else drawn[0]).figure
            _restyle(figure, about)
            partial = folder / f"{name}.partial"
            figure.savefig(partial, dpi=150, format="png", facecolor="white")
            pyplot.close(figure)
        partial.replace(folder / name)
        yield name, about


def _restyle(figure: Any, title: str) -> None:
    """Give one of Optuna's figures a size, a white ground and type that is legible in a report."""
    axes = figure.axes
    figure.set_size_inches(8 if len(axes) < 3 else 3.2 * min(len(axes), 4), 4.4)
    figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
    for each in axes:
        each.set_title("")
        each.set_facecolor("white")
        each.grid(color="#E3E7EB")
        each.tick_params(axis="x", labelrotation=0, labelsize=9)
        if (legend := each.get_legend()) and len(legend.get_texts()) > 10:
            legend.remove()  # a line for each trial says nothing
    figure.tight_layout()
