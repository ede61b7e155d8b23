"""What a measurement of robustness says, line by line, in Markdown; and the section of it in a model card."""

from collections.abc import Callable, Iterator
from typing import Any

from fer.counting import counted
from fer.evaluation.markdown import code, p_value, per_cent, span, table
from fer.evaluation.markdown import points as signed
from fer.evaluation.robustness.corruptions import ALL, AS_IS, CORRUPTIONS, FRAMINGS, OCCLUSIONS, STRENGTHS
from fer.evaluation.robustness.figures import as_is, corruption_error, mean_found, mean_over
from fer.evaluation.robustness.measure import Found, Interval, Score
from fer.evaluation.robustness.strategy import seen_by
from fer.evaluation.statistics import Difference, holm

METHOD = (
    "Per cent, with 95 % intervals over the faces (bootstrap; Wilson for the share that is found). The corruptions are "
    "those of Hendrycks & Dietterich (2019) in kind, with strengths for faces of 48 pixels, and the same chance for "
    "every strength and net. Mean corruption error: of each of the nine corruptions, the errors in all five strengths "
    "over those of the baseline; then the mean; less is better. Of few faces the calibration error is biased upwards."
)


def _within(figure: Interval | Difference) -> str:
    return f"{per_cent(figure.value)} ({per_cent(figure.low)} to {per_cent(figure.high)})"


def lines_of(found: Found, title: str, about: str, command: str) -> Iterator[str]:
    """Yield the lines of the report.

    Args:
        found: what was measured.
        title: of the report.
        about: a sentence on the faces.
        command: that makes it again.
    """
    yield f"# Robustness: {title}\n"
    yield f"{about} {METHOD}\n"
    yield "## Summary\n"
    yield from _summary(found)
    yield f"{_baseline(found)}\n"
    if len(found.asked) > 1:
        yield from _comparison(found)
    yield "![Corruptions and their strengths](figures/severities.png)\n"
    yield "![Accuracy over the strengths](figures/curves.png)\n"
    for subject in found.asked:
        yield from _of_net(found, subject.name)
    yield "## Strengths\n"
    yield from table(
        ("corruption", *map(str, STRENGTHS), "of what"),
        [(name, *(f"{amount:g}" for amount in one.amounts), one.unit) for name, one in ALL.items()],
    )
    yield f"Every figure: robustness.csv. To make it again: {code(command)}\n"


def _baseline(found: Found) -> str:
    if not found.baseline:
        return "No mean corruption error: no net that comes with fer has these classes; --baseline FILE names one."
    is_own = found.baseline in [subject.name for subject in found.asked]
    own = ", which is 100 by itself" if is_own else ""
    return f"The mean corruption error is relative to {code(found.baseline)}{own}."


def _summary(found: Found) -> Iterator[str]:
    header = ["net", "as it is", "mean of nine corruptions", "kept", "mask, sunglasses", "mean corruption error"]
    pictured = len(found.labels["picture"]) > 0
    header += ["pictures: found", "right", "corrupted: found", "right"] if pictured else []
    rows = []
    for net in (subject.name for subject in found.asked):
        clean, mean = as_is(found, net, "crop"), mean_over(found, net, "crop", CORRUPTIONS)
        error = _within(corruption_error(found, net)) if found.baseline else "–"
        row = [code(net), _within(clean.accuracy), _within(mean), per_cent(mean.value / max(clean.right.mean(), 1e-9))]
        row += [_within(mean_over(found, net, "crop", OCCLUSIONS)), "100" if net == found.baseline else error]
        if pictured:
            photo = as_is(found, net, "picture")
            row += [per_cent(photo.found.value), per_cent(photo.accuracy.value)]
            row += [per_cent(mean_found(found, net)), _within(mean_over(found, net, "picture", CORRUPTIONS))]
        rows.append(row)
    return iter(table(header, rows))


def _comparison(found: Found) -> Iterator[str]:
    """Compare the nets by each corruption's mean over the strengths, and with the baseline, or the first of them."""
    nets = [subject.name for subject in found.asked]
    first = found.baseline if found.baseline in nets else nets[0]
    others = [net for net in nets if net != first]
    yield "## Comparison\n"
    rows = [[name, *(per_cent(mean_over(found, net, "crop", [name]).value) for net in nets)] for name in ALL]
    yield from table(("mean over the strengths", *map(code, nets)), rows)
    gains = [mean_over(found, net, "crop", CORRUPTIONS, first) for net in others]
    rows = [
        [code(net), signed(gain.value), span(gain), p_value(p)]
        for net, gain, p in zip(others, gains, holm([gain.p for gain in gains]), strict=True)
    ]
    yield from table((f"nine corruptions, against {code(first)}", "points", "95 % interval", "p (Holm)"), rows)
    yield "![Nets side by side](figures/comparison.png)\n"


def _of_net(found: Found, net: str) -> Iterator[str]:
    yield f"## {code(net)}\n"
    yield "### Frames\n"
    frames = found.of(net, "framing")
    yield f"All {len(frames[AS_IS, 0].right):,} faces, seen with more pixels (of 48) on each side, or fewer.\n"
    header = ("", "accuracy", "balanced accuracy", "calibration error")
    yield from table(header, [(name, *_figures(frames[name, 0])) for name in FRAMINGS])
    yield f"### Crops: {counted(len(found.labels['crop']), 'face')}\n"
    yield f"{seen_sentence(_training(found, net))}\n"
    yield from _grid(found, net, "crop", "accuracy", lambda score: _within(score.accuracy))
    yield from _grid(found, net, "crop", "balanced accuracy / calibration error", _two)
    if n := len(found.labels["picture"]):
        yield f"### In pictures: {counted(n, 'face')}\n"
        yield "Accuracy counts faces that are not found as wrong; the calibration error is that of the found ones.\n"
        yield from _grid(found, net, "picture", "found", lambda score: _within(score.found))
        yield from _grid(found, net, "picture", "accuracy", lambda score: _within(score.accuracy))
        yield from _grid(found, net, "picture", "balanced accuracy / calibration error", _two)


def _figures(score: Score) -> tuple[str, str, str]:
    return _within(score.accuracy), _within(score.balanced_accuracy), per_cent(score.ece)


def _two(score: Score) -> str:
    return f"{per_cent(score.balanced_accuracy.value)} / {per_cent(score.ece)}"


def _grid(found: Found, net: str, stage: str, what: str, show: Callable[[Score], str]) -> Iterator[str]:
    """Yield a table with a row for each corruption and a column for each strength."""
    scores = found.of(net, stage)
    rows = [(name, *(show(scores[name, strength]) for strength in STRENGTHS)) for name in ALL]
    yield f"{what[0].upper()}{what[1:]}; {AS_IS}: {show(scores[AS_IS, 0])}.\n"
    yield from table(("", *map(str, STRENGTHS)), rows)


def _training(found: Found, net: str) -> dict[str, Any]:
    return next(subject.header.training for subject in found.subjects if subject.name == net)


def seen_sentence(training: dict[str, Any]) -> str:
    """Say which of the corruptions a training's strategy has seen."""
    seen = seen_by(training)
    if seen is None:
        return "Which of these its training has seen is not known: its file names no strategy that is known here."
    known = [f"{name} ({', '.join(seen[name])})" for name in CORRUPTIONS if seen[name]]
    strategy = f"{code(str(training['augmentation']))}{' of the last training' if 'started_from' in training else ''}"
    said = f"The strategy {strategy} " + (
        f"has shown it, mostly weaker, {', '.join(known)}, and no other corruption." if known else "has shown it none."
    )
    boxes = seen["mask"]
    return said + (f" Boxes were erased ({', '.join(boxes)}), but no mask or glasses drawn." if boxes else "")


def section_lines(found: Found, net: str, command: str) -> Iterator[str]:
    """Yield the lines of a model card's section on a net, below its heading."""
    frames, crops, pictures = (found.of(net, stage) for stage in ("framing", "crop", "picture"))
    shown = "; ".join(f"{name}: {per_cent(frames[name, 0].accuracy.value)}" for name in FRAMINGS)
    mean, clean = mean_over(found, net, "crop", CORRUPTIONS), crops[AS_IS, 0]
    yield f"Accuracy in per cent. Of all {len(frames[AS_IS, 0].right):,} faces, 48 pixels framed anew: {shown}.\n"
    yield (
        f"Of {len(clean.right):,} of them, drawn by chance: {per_cent(clean.accuracy.value)} as they are, and "
        f"{_within(mean)} in the mean over nine corruptions in five strengths. {seen_sentence(_training(found, net))}\n"
    )
    header, rows = ["", *map(str, STRENGTHS)], []
    for name in ALL:
        cells = [per_cent(crops[name, strength].accuracy.value) for strength in STRENGTHS]
        middle = pictures.get((name, STRENGTHS[2]))
        rows.append(
            [name, *cells, *([per_cent(middle.found.value), per_cent(middle.accuracy.value)] if middle else [])]
        )
    if pictures:
        clean = pictures[AS_IS, 0]
        yield (
            f"Of {len(clean.right):,} in larger pictures the detector finds {per_cent(clean.found.value)}, and "
            f"{per_cent(clean.accuracy.value)} are found and right; the last columns have this for strength 3.\n"
        )
        header += ["found, 3", "right, 3"]
    yield from table(header, rows)
    yield f"    {command}\n"
