"""Figures of groups of people: accuracy and recall of each, and the gaps between every two of them.

The groups come from a file of the user's (`fer.data.groups`). A gap in accuracy may come from another mix of emotions,
which a gap in recall cannot; so both are compared, and p is corrected for all gaps together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from fer.atomic import whole_file
from fer.counting import counted
from fer.data.groups import Groups
from fer.evaluation.confusion import confusion
from fer.evaluation.markdown import p_value, per_cent, plain, points, span, table
from fer.evaluation.outputs import Outputs
from fer.evaluation.statistics import LEVEL, Difference, between_groups, holm, wilson

ACCURACY = "accuracy"


class Share(NamedTuple):
    """A share of faces that were predicted right, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class GroupFigures:
    """What a net reaches in each group.

    Attributes:
        shares: by group and figure: "accuracy", "recall/NAME" of the classes that have faces in the group.
        gaps: by two groups and figure, the first one's minus the second's; p is corrected by Holm.
        others: test faces of no group.
    """

    shares: dict[tuple[str, str], Share]
    gaps: dict[tuple[str, str, str], Difference]
    others: int

    @property
    def names(self) -> list[str]:
        """The groups."""
        return list(dict.fromkeys(group for group, _ in self.shares))

    def results(self) -> dict[str, float]:
        """Return flat figures for metrics.json: `test_group/NAME/accuracy`, `test_gap/NAME/NAME/accuracy`, ..."""
        found: dict[str, float] = {}
        for (group, figure), (value, low, high, n) in self.shares.items():
            key = f"test_group/{group}/{figure}"
            found |= {f"test_group/{group}/n": n} if figure == ACCURACY else {}
            found |= {key: value, f"{key}_low": low, f"{key}_high": high}
        for names, (value, low, high, p) in self.gaps.items():
            key = "/".join(("test_gap", *names))
            found |= {key: value, f"{key}_low": low, f"{key}_high": high, f"{key}_p": p}
        return found


def compare_groups(outputs: Outputs, groups: Groups, classes: tuple[str, ...]) -> GroupFigures:
    """Return the figures of each group.

    Args:
        outputs: of the test split.
        groups: of its faces, in the order of the outputs.
        classes: C names.
    """
    targets, predicted = outputs.targets.numpy(), outputs.logits.argmax(1).numpy()
    shares: dict[tuple[str, str], Share] = {}
    for code, name in enumerate(groups.names):
        own = groups.codes == code
        matrix = confusion(targets[own], predicted[own], len(classes))
        hits, faces = matrix.diagonal(), matrix.sum(1)
        shares[name, ACCURACY] = _share(hits.sum(), faces.sum())
        for emotion, right, count in zip(classes, hits, faces, strict=True):
            if count:
                shares[name, f"recall/{emotion}"] = _share(right, count)
    return GroupFigures(shares, _gaps(shares, groups.names), int((groups.codes < 0).sum()))


def _share(hits: int, faces: int) -> Share:
    return Share(float(hits / faces), *wilson(int(hits), int(faces)), int(faces))


def _gaps(shares: dict[tuple[str, str], Share], names: tuple[str, ...]) -> dict[tuple[str, str, str], Difference]:
    figures = dict.fromkeys(figure for _, figure in shares)
    gaps = {
        (one, other, figure): between_groups(shares[one, figure][:4:3], shares[other, figure][:4:3])
        for figure in figures
        for one, other in combinations(names, 2)
        if (one, figure) in shares and (other, figure) in shares
    }
    corrected = holm([gap.p for gap in gaps.values()])
    return {key: gap._replace(p=p) for (key, gap), p in zip(gaps.items(), corrected, strict=True)}


def conclusion(found: GroupFigures) -> str:
    """Say in a sentence which gaps are more than chance."""
    told = [
        f"{figure.replace('recall/', 'recall of ')}: {one} {points(gap.value)} points beside {other}"
        for (one, other, figure), gap in found.gaps.items()
        if gap.p < 1 - LEVEL
    ]
    compared = counted(len(found.gaps), "gap")
    if not told:
        return f"Of {compared}, none is more than chance explains; smaller ones than the intervals show may be there."
    return (
        f"Of {compared}, {len(told)} {'is' if len(told) == 1 else 'are'} more than chance explains: {'; '.join(told)}."
    )


def write_groups(path: Path, found: GroupFigures) -> None:
    """Write the groups and their gaps as Markdown.

    Raises:
        RunError: if the file cannot be written.
    """
    with whole_file(path) as file:
        file.write("\n".join(_lines(found)))


def _lines(found: GroupFigures) -> Iterator[str]:
    figures = list(dict.fromkeys(figure for _, figure in found.shares))
    yield "# Test, by groups of people\n"
    yield f"{plain(conclusion(found))}\n"
    header = ("group", "n", *(figure.replace("recall/", "") if figure != ACCURACY else figure for figure in figures))
    rows = [
        (
            plain(name),
            f"{found.shares[name, ACCURACY].n:,}",
            *(_cell(key, found.shares.get((name, key))) for key in figures),
        )
        for name in found.names
    ]
    yield "## Accuracy, and recall of each class\n"
    yield from table([plain(cell) for cell in header], rows)
    rows = [
        (plain(f"{one} − {other}"), plain(figure), points(gap.value), span(gap), p_value(gap.p))
        for (one, other, figure), gap in found.gaps.items()
    ]
    yield "## Gaps\n"
    yield from table(("groups", "figure", "points", "95 % interval", "p"), rows, left=2)
    yield (
        "Per cent, with 95 % intervals (Wilson), the faces of a class in parentheses. Gaps: interval of Newcombe, "
        "Fisher's exact p, corrected by Holm for all of them. Faces of no group, which count nowhere here: "
        f"{found.others:,}. A gap in accuracy may come from another mix of emotions; one in recall does not. Groups "
        "are those of the file that was given: nothing was guessed from a face.\n"
    )


def _cell(figure: str, share: Share | None) -> str:
    if share is None:
        return "–"
    count = "" if figure == ACCURACY else f"; {share.n:,}"  # for which there is a column
    return f"{per_cent(share.value)} ({per_cent(share.low)} to {per_cent(share.high)}{count})"
