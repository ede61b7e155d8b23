"""The report of a search: its trials, best first, and Optuna's plots of them."""

import csv
import json
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fer.atomic import whole_file
from fer.errors import RunError, UserError, printable
from fer.evaluation.markdown import code, plain, table
from fer.locks import locked
from fer.run_folder import SETTINGS, STUDY, WORDS

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

IN_A_ROW = 4  # settings in a figure
OWN = ("sweep", "resume", "hydra", "test", "seed")  # keys of the search, and not of the training that it finds
STATES = {"COMPLETE": "whole", "PRUNED": "cut short", "RUNNING": "running or interrupted", "FAIL": "failed"}


def open_study(journal: Path, **options: Any) -> "optuna.Study":
    """Return the study in a file, which is made if it is not there; a file needs no database, also on network disks.

    Raises:
        UserError: if the file is no study.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it tells of every trial, as the search does
    if journal.exists():
        _require_lines(journal)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(storage=storage, study_name="search", load_if_exists=True, **options)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:  # of a line that does not fit
        raise UserError(_no_journal(journal, f"{type(error).__name__}: {error}")) from error


def _require_lines(journal: Path) -> None:
    """Raise a UserError if a line is none of Optuna's; cut off a half last one, as a kill leaves it.

    Optuna itself would write on behind the half line, and never read the file again.
    """
    from optuna.storages.journal import JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(str(journal))  # that of whoever writes
    lock.acquire()
    try:
        with journal.open("rb+") as file:
            end = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                if not _is_entry(line):
                    raise UserError(_no_journal(journal, f"line {number} is {line[:100].decode(errors='replace')}"))
                end += len(line)
            file.truncate(end)
    finally:
        lock.release()


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and isinstance(entry.get("op_code"), int) and "worker_id" in entry


def _no_journal(journal: Path, found: str) -> str:
    return (
        f"{journal}: expected the journal of a search, as Optuna writes it, but {printable(found)}: restore the file, "
        "or search anew in another folder"
    )


def write_search_report(folder: Path) -> Path:
    """Write report.md, summary.csv and figures of the search in a folder; return the path of report.md.

    Raises:
        RunError: if a file cannot be written.
    """
    study = open_study(folder / STUDY)
    try:
        (folder / "figures").mkdir(exist_ok=True)
        with locked(folder / ".report.lock"):
            trials = _ranked(study)
            figures = list(_figures(study, _config(folder)["monitor"], folder / "figures"))
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
    typed = yaml.safe_load((folder / WORDS).read_text(encoding="utf-8"))
    kept = [word for word in typed if word.lstrip("+~").partition("=")[0].partition(".")[0] not in OWN]
    best = open_study(folder / STUDY).best_trial
    return shlex.join(["python", "train.py", *kept, *(f"{key}={value}" for key, value in best.params.items())])


def _config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))


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
    config = _config(folder)
    monitor, count = config["monitor"], len(trials)
    whole = [trial for trial in trials if trial.state.name == "COMPLETE"]
    yield f"# Search: {count} of {config['sweep']['trials']} trials\n"
    if whole:
        yield (
            f"**Best on validation: {name_of(whole[0].number)}, {monitor} {whole[0].value:.4f}.** The best of "
            f"{len(whole)} owes something to chance: train its settings again with other seeds, and score test once:\n"
        )
        yield f"    {best_command(folder)}\n"
    else:
        yield "No trial has come to its end yet.\n"
    keys = sorted({key for trial in trials for key in trial.params})
    header = ["trial", "", monitor, "epochs", *(code(key) for key in keys)]
    yield from table(header, [_trial_row(trial, keys) for trial in trials], left=2)
    yield from (f"![{plain(about)}](figures/{name})\n" for name, about in figures)
    yield "Sampler: TPE (Bergstra et al., 2011); trials below the median of the others at the same epoch are cut short."
    yield "Only the validation split was read. Optuna's own tools open `study.journal` as a JournalStorage.\n"


def _trial_row(trial: "FrozenTrial", keys: list[str]) -> list[str]:
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
    keys = sorted({key for trial in trials for key in trial.params})
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "state", "value", "epochs", *keys])
        for trial in trials:
            values = [trial.params.get(key, "") for key in keys]
            reached = "" if trial.value is None else trial.value
            writer.writerow([trial.number, trial.state.name, reached, len(trial.intermediate_values), *values])


def _figures(study: "optuna.Study", monitor: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Draw what the trials so far allow; yield each figure's file name and what it shows."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    for name, about, plot in _plots(study):
        with warnings.catch_warnings(), pyplot.rc_context({"font.size": 11}):
            warnings.simplefilter("ignore")  # experimental, says Optuna
            drawn = plot()
            figure = (drawn if hasattr(drawn, "figure") else drawn[0]).figure
            _restyle(figure, about, monitor)
            with whole_file(folder / f"{name}.png", "wb") as file:
                figure.savefig(file, dpi=150, format="png", facecolor="white")
            pyplot.close(figure)
        yield f"{name}.png", about


def _plots(study: "optuna.Study") -> Iterator[tuple[str, str, Callable[[], Any]]]:
    import optuna.visualization.matplotlib as draw
    from optuna.importance import PedAnovaImportanceEvaluator

    whole = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if not whole:
        return
    yield "search_history", "Best value over the trials", lambda: draw.plot_optimization_history(study)
    yield "search_curves", "Each trial over its epochs", lambda: draw.plot_intermediate_values(study)
    keys = sorted(whole[0].params)
    if len(whole) > len(keys):
        evaluator = PedAnovaImportanceEvaluator()
        yield (
            "search_importance",
            "Which settings matter",
            lambda: draw.plot_param_importances(study, evaluator=evaluator),
        )
    for start in range(0, len(keys), IN_A_ROW):
        some = keys[start : start + IN_A_ROW]
        about = f"The value against {', '.join(some)}"
        yield f"search_slices_{start // IN_A_ROW}", about, lambda some=some: draw.plot_slice(study, params=some)


def _restyle(figure: Any, title: str, monitor: str) -> None:
    """Give one of Optuna's figures a size, a white ground, and words and type that are legible in a report."""
    from matplotlib.ticker import MaxNLocator, NullFormatter

    words = {"Objective Value": monitor, "Intermediate Value": monitor, "Step": "epoch", "Trial": "trial"}
    figure.set_size_inches(8, 4.4)
    figure.set_layout_engine("constrained" if len(figure.axes) > 2 else "tight")  # of a slice, the first divides by 0
    figure.suptitle(title if "," not in title else "", x=0.02, ha="left", fontweight="bold")
    for axes in figure.axes:
        axes.set_title("")
        axes.set_title("", loc="left")
        axes.set_facecolor("white")
        axes.grid(color="#E3E7EB")
        label = axes.get_xlabel()
        axes.set_xlabel(words.get(label, ".".join(label.split(".")[-2:])))
        axes.set_ylabel(words.get(axes.get_ylabel(), ""))
        axes.xaxis.set_minor_formatter(NullFormatter())  # of a logarithmic axis: they overlap
        if label in ("Step", "Trial"):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if legend := axes.get_legend():
            legend.remove()  # one line a trial says nothing
