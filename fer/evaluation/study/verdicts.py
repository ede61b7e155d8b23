"""What can be concluded from a study and what cannot, in plain words.

A setting beats the baseline if neither source of variation is likely to explain its lead: the images and, with three
runs of both, the seeds; each after correction for the number of comparisons.
"""

import math

from fer.evaluation.markdown import code, listed, p_equals, per_cent, points, span
from fer.evaluation.statistics import FEWEST
from fer.evaluation.study.ranking import ALPHA, Ranking, Row
from fer.monitor import is_share

PLACES = {"test": "test", "val": "validation"}
NUMBERS = {1: "one seed", 2: "two seeds"}
SHORT = 30  # letters of a name that is repeated
MAX_NAMED = 5  # settings of one kind that a sentence names


def conclude(ranking: Ranking) -> list[str]:
    """Return the lines of a task: the choice in a sentence, and a point for each verdict and each caveat."""
    name = ranking.baseline.setting.name
    said = [_by_chance(ranking)]
    said += [f"The baseline is {code(name)}."] if ranking.others and len(name) > SHORT else []
    said += [_of_kind(ranking, kind) for kind in KINDS]
    count = sum(verdict(row, ranking.split) != "unknown" for row in ranking.others)
    if count:
        corrected = f"corrected by Holm for {count} comparisons" if count > 1 else "of one comparison"
        said.append(f"Intervals are 95 %; p is {corrected}.")
    if ranking.split == "val":
        said.append("There is no test figure; validation also chose the epochs, and so flatters every setting.")
    return [_choice(ranking), "", *(f"- {point}" for point in [*said, *_few_seeds(ranking)] if point), ""]


def _choice(ranking: Ranking) -> str:
    best, name = ranking.rows[0], ranking.monitor.removeprefix("val/").replace("_", " ")
    value = best.mean(ranking.monitor)
    shown = f"{value:.3f} {name}" if not is_share(ranking.monitor) else f"{per_cent(value)} % {name}"
    test = "" if ranking.split == "val" else f"; {_test(best)}"
    if not ranking.others:
        return (
            f"One setting, {code(best.setting.name)}: {shown} on validation{test}. There is nothing to compare it with."
        )
    own = ", the baseline itself" if best is ranking.baseline else ""
    return f"**Best on validation, and so the choice: {code(best.setting.name)}** ({shown} there){own}{test}."


def _by_chance(ranking: Ranking) -> str:
    """Name the settings whose nets may have learned nothing, "" if there are none."""
    rows = [row for row in ranking.rows if row.is_chance(ranking.split)]
    if not rows:
        return ""
    whose = listed([code(row.setting.name) for row in rows], MAX_NAMED)
    return (
        f"**Hardly better than chance**: {whose}. No run's 95 % interval of accuracy on {PLACES[ranking.split]} lies "
        "above the share of the largest class, so that a choice among such nets tells nothing."
    )


def _test(row: Row) -> str:
    figure = row.figures["test/accuracy"]
    if not figure.n:
        return "it was not tested"
    over = f" ({per_cent(figure.low)} to {per_cent(figure.high)} over seeds)" if figure.n >= FEWEST else ""
    return f"on test it has {per_cent(figure.mean)} % accuracy{over}"


def verdict(row: Row, split: str) -> str:
    """Return "better", "worse", "half" (only one of the two tests is significant), "open" or "unknown"."""
    difference = row.images.get(f"{split}/accuracy") or row.seeds
    if difference is None:
        return "unknown"
    told = [p < ALPHA for p in (row.p_images, row.p_seeds) if not math.isnan(p)]
    if all(told):
        return "better" if difference.value > 0 else "worse"
    return "half" if any(told) else "open"


KINDS = {  # what is said of a verdict's settings, and how much evidence the sentence has room for
    "better": ("**Better than {baseline}** on {split}: {told}.", "all"),
    "worse": ("**Worse than {baseline}** on {split}: {told}.", "all"),
    "half": (
        "Inconclusive beside {baseline}: only one of the two tests, over images and seeds, is significant for {told}.",
        "unclear",
    ),
    "open": ("Not distinguishable from {baseline}: {told}.", "first"),
    "unknown": (
        "Nothing can be said about {told} beside {baseline}: that takes predictions, or three seeds, of both.",
        "",
    ),
}


def _of_kind(ranking: Ranking, kind: str) -> str:
    """Return the sentence on all settings of one verdict, "" if there are none."""
    rows = [row for row in ranking.others if verdict(row, ranking.split) == kind]
    if not rows:
        return ""
    sentence, evidence = KINDS[kind]
    told = listed([code(row.setting.name) + _evidence(row, ranking, evidence) for row in rows], MAX_NAMED)
    return sentence.format(split=PLACES[ranking.split], baseline=_baseline(ranking), told=told)


def _baseline(ranking: Ranking) -> str:
    """Return the baseline's name; one that would swell every sentence is introduced in a sentence of its own."""
    name = ranking.baseline.setting.name
    return code(name) if len(name) <= SHORT else "the baseline"


def _evidence(row: Row, ranking: Ranking, which: str) -> str:
    """Return the size of a difference, and the intervals and p of all tests, of those that tell nothing, or of one."""
    if not which:
        return ""
    images = row.images.get(f"{ranking.split}/accuracy")
    tests = [("images", images, row.p_images), ("seeds", row.seeds, row.p_seeds)]
    tests = [test for test in tests if test[1] and (which != "unclear" or test[2] >= ALPHA)]
    told = [f"over {over} {span(found)}, {p_equals(p)}" for over, found, p in tests[: 1 if which == "first" else 2]]
    return f" ({points(ranking.change(row, f'{ranking.split}/accuracy'))} points of accuracy; {'; '.join(told)})"


def _few_seeds(ranking: Ranking) -> list[str]:
    """Say for which settings nothing can be said over seeds."""
    few = [row for row in ranking.rows if len(row.setting.runs) < FEWEST]
    if not few:
        return []
    counts = {len(row.setting.runs) for row in few}
    number = NUMBERS[counts.pop()] if len(counts) == 1 else "one or two seeds"
    if len(few) < len(ranking.rows) and ranking.baseline not in few:
        whose = listed([code(row.setting.name) for row in few], MAX_NAMED)
    else:
        whose = "The baseline" if len(few) < len(ranking.rows) else "Each setting" if ranking.others else "It"
    return [
        f"{whose} {'have' if len(few) > 1 and whose[0] == '`' else 'has'} {number}, fewer than three: the intervals "
        "are over the images, for these nets only; nothing can be said over seeds."
    ]
