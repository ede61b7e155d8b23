"""What can be concluded from a study and what cannot, in plain words.

A setting beats the baseline if both kinds of luck are unlikely to explain its lead: that of the images and, where three
runs of both allow to tell, that of the seeds; each after correction for the number of comparisons.
"""

import math

from fer.evaluation.comparison import FEWEST
from fer.evaluation.markdown import code, listed, p_equals, per_cent, points, span
from fer.evaluation.ranking import ALPHA, Ranking, Row

PLACES = {"test": "test", "val": "validation"}
NUMBERS = {1: "one seed", 2: "two seeds"}
MOST = 6  # settings of one kind that a paragraph names


def conclude(ranking: Ranking) -> str:
    """Return the paragraph of a task."""
    sentences = [_choice(ranking), *(_of_kind(ranking, kind) for kind in KINDS)]
    count = sum(verdict(row, ranking.split) != "unknown" for row in ranking.others)
    if count:
        corrected = f"corrected by Holm for {count} comparisons" if count > 1 else "of one comparison"
        sentences.append(f"(Intervals are 95 %; p is {corrected}.)")
    if ranking.split == "val":
        sentences.append("There is no test figure; validation also chose the epochs, and so flatters every setting.")
    return " ".join(filter(None, [*sentences, *_few_seeds(ranking)]))


def _choice(ranking: Ranking) -> str:
    best, name = ranking.rows[0], ranking.monitor.removeprefix("val/").replace("_", " ")
    value = best.mean(ranking.monitor)
    shown = f"{value:.3f} {name}" if ranking.monitor.endswith("loss") else f"{per_cent(value)} % {name}"
    test = "" if ranking.split == "val" else f"; on test it has {_test(best)}"
    if not ranking.others:
        return (
            f"One setting, {code(best.setting.name)}: {shown} on validation{test}. There is nothing to compare it with."
        )
    own = ", the baseline itself" if best is ranking.baseline else ""
    return f"**Best on validation, and so the choice: {code(best.setting.name)}** ({shown}){own}{test}."


def _test(row: Row) -> str:
    figure = row.figures["test/accuracy"]
    return f"{per_cent(figure.mean)} % accuracy" + (
        f" ({per_cent(figure.low)} to {per_cent(figure.high)} over seeds)" if figure.n >= FEWEST else ""
    )


def verdict(row: Row, split: str) -> str:
    """Return "better", "worse", "half" (only one of images and seeds tells), "open" or "unknown"."""
    difference = row.images.get(f"{split}/accuracy") or row.seeds
    if difference is None:
        return "unknown"
    told = [p < ALPHA for p in (row.p_images, row.p_seeds) if not math.isnan(p)]
    if all(told):
        return "better" if difference.value > 0 else "worse"
    return "half" if any(told) else "open"


def _of_kind(ranking: Ranking, kind: str) -> str:
    """Return the sentence on all settings of one verdict, "" if there are none."""
    rows = [row for row in ranking.others if verdict(row, ranking.split) == kind]
    split, baseline = ranking.split, code(ranking.baseline.setting.name)
    if not rows:
        return ""
    if kind == "unknown":
        names = listed([code(row.setting.name) for row in rows], MOST)
        return f"Nothing can be said about {names} beside {baseline}: that takes predictions, or three seeds, of both."
    told = listed([f"{code(row.setting.name)} ({_size(row, split)}; {_evidence(row, split)})" for row in rows], MOST)
    return KINDS[kind].format(split=PLACES[split], baseline=baseline, told=told)


KINDS = {
    "better": "On {split} these beat {baseline}: {told}.",
    "worse": "Worse than {baseline}: {told}.",
    "half": "Told apart from {baseline} by one test but not by the other, and so not shown to differ: {told}.",
    "open": "Not distinguishable from {baseline}: {told}.",
    "unknown": "",
}


def _size(row: Row, split: str) -> str:
    value = (row.images.get(f"{split}/accuracy") or row.seeds).value
    return f"{points(value)} points of accuracy"


def _evidence(row: Row, split: str) -> str:
    images = row.images.get(f"{split}/accuracy")
    parts = [f"over images {span(images)}, {p_equals(row.p_images)}"] if images else []
    parts += [f"over seeds {span(row.seeds)}, {p_equals(row.p_seeds)}"] if row.seeds else []
    return "; ".join(parts)


def _few_seeds(ranking: Ranking) -> list[str]:
    """Say for which settings nothing can be said over seeds."""
    few = [row for row in ranking.rows if len(row.setting.runs) < FEWEST]
    if not few:
        return []
    counts = {len(row.setting.runs) for row in few}
    number = NUMBERS[counts.pop()] if len(counts) == 1 else "one or two seeds"
    if len(few) < len(ranking.rows) and ranking.baseline not in few:
        whose = listed([code(row.setting.name) for row in few], MOST)
    else:
        whose = "The baseline" if len(few) < len(ranking.rows) else "Each setting"
    return [
        f"{whose} {'have' if len(few) > 1 and whose[0] == '`' else 'has'} {number}, fewer than three: the intervals "
        "are over the images, for these nets only; nothing can be said over seeds."
    ]
