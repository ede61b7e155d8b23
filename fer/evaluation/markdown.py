"""Numbers and names as Markdown that renders as meant, whatever is in the names."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fer.evaluation.statistics import Difference, Estimate


def code(text: str) -> str:
    """Return a name as code: nothing in it is special, but the pipe in a table, of which `table` takes care."""
    text = " ".join(text.split()) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def plain(text: str) -> str:
    """Return a sentence that somebody else wrote, on one line, with nothing special in it."""
    return re.sub(r"([\\`*_{}\[\]<>#~$])", r"\\\1", " ".join(text.split()))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return the lines of a table; the first columns are left-aligned, the numbers right."""
    marks = [":---"] * left + ["---:"] * (len(header) - left)
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    first, *others = [f"| {' | '.join(row)} |" for row in cells]
    return [first, f"| {' | '.join(marks)} |", *others, ""]


def per_cent(value: float) -> str:
    """Return 70.5 of 0.705, and a dash of NaN."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def answers_left(results: Mapping[str, Any], split: str) -> str:
    """Return what the threshold leaves: "60.2 % of the faces have an answer, 90.0 % of these the right one"."""
    left = f"{per_cent(results[f'{split}/coverage'])} % of the faces have an answer"
    right = results.get(f"{split}/selective_accuracy", math.nan)
    return left if math.isnan(right) else f"{left}, {per_cent(right)} % of these the right one"


def accuracy_missed(results: Mapping[str, Any], asked: float) -> str:
    """Return what to say where the threshold does not reach the accuracy that was asked for; "" where it does.

    Args:
        results: of the faces on which the threshold was chosen: of others they tell nothing.
        asked: of answers, 0 to 1.
    """
    found = results.get("val/selective_accuracy", math.nan)
    if not found < asked:
        return ""
    return (
        f"{per_cent(asked)} % right answers were asked for, which no threshold reaches on validation that leaves half "
        f"of the faces an answer: {per_cent(found)} % of those with the highest such are right."
    )


def others_told(results: Mapping[str, Any], split: str) -> str:
    """Return what the net makes of faces of classes that it does not have, in a sentence."""
    n, *shares = (results[f"{split}_others/{name}"] for name in ("n", "answered", "confidence", "auroc"))
    answered, confidence, area = map(per_cent, shares)
    return (
        f"Of the {n:,} {split} faces of other classes {answered} % have an answer nevertheless; their mean confidence "
        f"is {confidence} %, and the AUROC by which it tells them from the net's own {area}."
    )


def points(value: float) -> str:
    """Return +3.1 of 0.031, and a dash of NaN."""
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "–" if math.isnan(value) else "0.0" if text[1:] == "0.0" else text


def span(difference: Difference | None) -> str:
    """Return "−0.3 to +2.7", and a dash without a difference."""
    known = difference and not math.isnan(difference.low)
    return f"{points(difference.low)} to {points(difference.high)}" if known else "–"


def p_value(p: float) -> str:
    """Return "0.012" or "< 0.001", and a dash of NaN."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equals(p: float) -> str:
    """Return "p = 0.012" or "p < 0.001"."""
    return f"p {p_value(p)}" if p < 0.001 else f"p = {p_value(p)}"


def spread(figure: Estimate | None, scale: float = 100, digits: int = 1) -> str:
    """Return "70.5 ± 0.4" and below it the interval over seeds, as far as there are enough."""
    if figure is None or not figure.n:
        return "–"
    mean, sd, low, high = (f"{scale * value:,.{digits}f}".replace("-", "−") for value in figure[:4])
    if math.isnan(figure.low):
        return mean
    return f"{mean} ± {sd}<br>{low} to {high}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return "a, b and c", or the first few and how many more there are."""
    if (more := len(names) - most) > 0:
        return f"{', '.join(names[:most])} and {more} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
