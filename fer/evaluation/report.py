"""The report of a sweep: which setting is best, and whether that is more than chance.

    python -m fer.evaluation.report DIR... [--output DIR] [--baseline "augmentation=none"] [--format pdf]

DIR is a run's folder, a sweep's, or any folder above runs. Writes report.md, summary.csv and figures/. Runs that
failed, are not finished or are damaged are listed, and spoil nothing.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fer.errors import RunError, UserError
from fer.extras import require
from fer.locks import locked
from fer.run_folder import STUDY

if TYPE_CHECKING:  # they are imported late: --help needs none of it
    from matplotlib.figure import Figure

    from fer.evaluation.study.grouping import Study
    from fer.evaluation.study.ranking import Ranking

FORMATS = ("png", "svg", "pdf")  # of the figures; the first is that of a sweep's own report


def write_report(folders: list[Path], output: Path, baseline: str | None = None, kind: str = FORMATS[0]) -> Path:
    """Report on all runs at or below some folders; each file is replaced when its successor is whole.

    Args:
        folders: where runs are searched for.
        output: takes report.md, summary.csv and figures.
        baseline: label of the setting with which the others are compared; the first that was typed if left out.
        kind: of the figures, one of `FORMATS`.

    Returns:
        The path of report.md.

    Raises:
        UserError: if there are no runs, or no setting of that label.
        RunError: if a file cannot be written.
    """
    from fer.evaluation.study.run_reader import find_runs

    found, held = find_runs(folders), ExitStack()
    try:
        (output / "figures").mkdir(parents=True, exist_ok=True)
        held.enter_context(locked(output / ".report.lock"))  # jobs that end together would mix their reports
    except OSError as error:
        raise RunError(f"{output} cannot be written to ({error})") from error
    with held:
        return _write(found, _command(folders, output, baseline, kind), output, baseline, kind)


def _write(found: list[Path], command: str, output: Path, baseline: str | None, kind: str) -> Path:
    from fer.atomic import whole_file
    from fer.evaluation.study.grouping import read_study
    from fer.evaluation.study.summary_csv import write_summary

    study = read_study(found)
    rankings = _rank(study, baseline)
    lines = list(_lines(study, rankings, output, command, kind))
    write_summary(output / "summary.csv", rankings)
    report = output / "report.md"
    with whole_file(report) as file:
        file.write("\n".join(lines))
    return report


def _rank(study: "Study", baseline: str | None) -> list["Ranking"]:
    """Rank every task; a baseline that only some of them have counts there.

    Raises:
        UserError: if none of them has it.
    """
    from fer.evaluation.study.ranking import rank

    chosen = [task.find(baseline) if baseline else None for task in study.tasks]
    if baseline and study.tasks and not any(chosen):
        labels = dict.fromkeys(setting.label for task in study.tasks for setting in task.settings)
        raise UserError(f'--baseline "{baseline}": expected one of {"; ".join(labels)}')
    return [rank(task, own) for task, own in zip(study.tasks, chosen, strict=True)]


def _lines(study: "Study", rankings: list["Ranking"], output: Path, command: str, kind: str) -> Iterator[str]:
    """Yield the report's lines, and write its figures on the way."""
    from fer.evaluation.study import text

    settings = sum(len(ranking.rows) for ranking in rankings)
    yield f"# Study: {_count(settings, 'setting')}, {_count(len(study.runs), 'run')}\n"
    yield "## Conclusion\n"
    yield from text.conclusions(study, rankings)
    for place, ranking in enumerate(rankings):
        yield f"## {text.plain(ranking.task.title)}\n"
        yield from _sections(ranking, output, f"_{place + 1}.{kind}" if place else f".{kind}")
    yield "## All runs\n"
    names = {id(run): os.path.relpath(run.folder, output) for run in study.runs}
    yield from text.all_runs(study, rankings, names)
    yield "## How this was computed\n"
    yield f"{text.METHOD}\n- To make it again: {text.code(command)}\n"


def _sections(ranking: "Ranking", output: Path, suffix: str) -> Iterator[str]:
    from fer.evaluation.study import plots as draw
    from fer.evaluation.study import text

    def figure(name: str, drawn: "Figure", about: str) -> str:
        path = Path("figures") / f"study_{name}{suffix}"
        _write_figure(drawn, output / path)
        return f"![{about}]({path.as_posix()})\n"

    yield "### Ranking\n"
    yield from text.ranked(ranking)
    yield figure("accuracy", draw.accuracies(ranking), "Accuracy of each setting")
    if ranking.others:
        yield "### Differences to the baseline\n"
        yield from text.compared(ranking)
        if any(f"{ranking.split}/accuracy" in row.images or row.seeds for row in ranking.others):
            yield figure("differences", draw.differences(ranking), "Differences in accuracy with intervals")
        yield "### Classes\n"
        yield from text.by_class(ranking)
        yield figure("recall", draw.recalls(ranking), "Changes of each class's recall")
        yield from text.confusions(ranking)
        best = ranking.others[0]
        if best.confusion is not None and ranking.baseline.confusion is not None:
            yield figure("confusion", draw.confusion_change(ranking, best), "Changes of confusions")
    yield "### Training\n"
    if any(run.curve for run in ranking.task.runs):
        yield figure("curves", draw.curves(ranking), "Accuracy on validation over the epochs")
    yield from text.training(ranking)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _write_figure(figure: "Figure", path: Path) -> None:
    from fer.atomic import whole_file

    with whole_file(path, "wb") as file:
        figure.savefig(file, format=path.suffix[1:])


def _command(folders: list[Path], output: Path, baseline: str | None, kind: str) -> str:
    words = ["python", "-m", "fer.evaluation.report", *map(str, folders)]
    words += ["--output", str(output)] if [output] != folders else []
    words += ["--baseline", baseline] if baseline else []
    words += ["--format", kind] if kind != FORMATS[0] else []
    return shlex.join(words)


def main(words: list[str] | None = None) -> None:
    """Write the report and say where it lies."""

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")

    parser = argparse.ArgumentParser(
        prog="python -m fer.evaluation.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.error = refuse
    parser.add_argument("folders", metavar="DIR", nargs="+", type=Path, help="run, sweep, or any folder above runs")
    parser.add_argument("--output", type=Path, help="folder of the report; DIR if there is one only")
    parser.add_argument("--baseline", metavar="LABEL", help="setting that the others are compared with; else the first")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="of the figures; svg and pdf for print")
    try:
        asked = parser.parse_args(words)
        if asked.output is None and len(asked.folders) > 1:
            raise UserError("several DIR: expected --output, a folder for the report")
        require("train")
        print(_report(asked.folders, asked.output, asked.baseline, asked.format))
    except UserError as error:
        sys.exit(_say(f"error: {error}", 2))
    except RunError as error:
        sys.exit(_say(f"failed: {error}", 1))


def _report(folders: list[Path], output: Path | None, baseline: str | None, kind: str) -> Path:
    if len(folders) == 1 and (folders[0] / STUDY).exists():
        from fer.evaluation.search_report import write_search_report

        if kind != FORMATS[0]:
            raise UserError(f"--format {kind}: expected {FORMATS[0]}, as the figures of a search are Optuna's")
        return write_search_report(folders[0])
    return write_report(folders, output or folders[0], baseline, kind)


def _say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
