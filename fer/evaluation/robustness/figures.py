"""The numbers of a measurement: each condition with its intervals, and the means over strengths and corruptions."""

from collections.abc import Iterable, Iterator

import numpy as np

from fer.evaluation.robustness.corruptions import ALL, AS_IS, CORRUPTIONS, STRENGTHS
from fer.evaluation.robustness.measure import Found, Interval, Score
from fer.evaluation.robustness.strategy import seen_by
from fer.evaluation.statistics import LEVEL, Difference, over_images

RESAMPLES = 2000


def rights(found: Found, net: str, stage: str, names: Iterable[str]) -> np.ndarray:
    """Return how often a net is right on each face, (N, K) in [0, 1], means over the strengths of K corruptions."""
    scores = found.of(net, stage)
    return np.stack([np.mean([scores[name, strength].right for strength in STRENGTHS], 0) for name in names], 1)


def mean_over(found: Found, net: str, stage: str, names: Iterable[str], than: str = "") -> Difference:
    """Return the mean accuracy over strengths and corruptions, or how much higher it is than another net's."""
    gains = rights(found, net, stage, names)
    if than:
        gains = gains - rights(found, than, stage, names)
    classes = found.subjects[0].header.classes
    return over_images(gains.mean(1), found.labels[stage], classes)["accuracy"]


def mean_found(found: Found, net: str) -> float:
    """Return the mean share of faces that are found in pictures with one of the nine corruptions."""
    scores = found.of(net, "picture")
    return float(np.mean([scores[name, s].found.value for name in CORRUPTIONS for s in STRENGTHS]))


def corruption_error(found: Found, net: str, seed: int = 0) -> Interval:
    """Return the mean corruption error relative to the baseline: 1 is as good, less is better.

    Hendrycks & Dietterich, 2019: for each of the nine corruptions the sum of the errors over the strengths, over the
    baseline's; then the mean. The interval is a paired percentile bootstrap over the faces.
    """
    errors, base = (1 - rights(found, name, "crop", CORRUPTIONS) for name in (net, found.baseline))  # (N, K)
    n = len(errors)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)  # (R, N)
    drawn = ((draws @ errors) / np.maximum(draws @ base, 1e-9)).mean(1)
    low, high = np.percentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return Interval(float((errors.sum(0) / np.maximum(base.sum(0), 1e-9)).mean()), float(low), float(high))


def rows(found: Found) -> Iterator[dict[str, str | int | float]]:
    """Yield every condition of every net, for the CSV file."""
    subjects = {subject.name: subject for subject in found.subjects}
    seen = {name: seen_by(subject.header.training) for name, subject in subjects.items()}
    for score in found.scores:
        stage, name, strength = score.condition
        known = seen[score.net]
        figures = {name: getattr(score, name) for name in ("found", "accuracy", "balanced_accuracy")}
        yield {
            "net": score.net,
            "sha256": subjects[score.net].sha256,
            "stage": stage,
            "corruption": name,
            "strength": strength,
            "amount": ALL[name].amounts[strength - 1] if strength else "",
            "seen": " ".join(known.get(name, [])) if known else "",
            "n": len(score.right),
            **{f"{key}{end}": value for key, figure in figures.items()
               for end, value in zip(("", "_low", "_high"), figure, strict=True)},
            "ece": score.ece,
        }  # fmt: skip


def as_is(found: Found, net: str, stage: str) -> Score:
    """Return a net's score on faces as they are."""
    return found.of(net, stage)[AS_IS, 0]
