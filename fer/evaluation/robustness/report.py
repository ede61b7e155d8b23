"""The files of a measurement: robustness.md with figures, and robustness.csv."""

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from fer.atomic import whole_file
from fer.evaluation.evaluate import pixels
from fer.evaluation.robustness.figures import rows
from fer.evaluation.robustness.measure import Found
from fer.evaluation.robustness.plots import comparison, curves, severities
from fer.run_folder import make_folder

REPORT, RESULTS = "robustness.md", "robustness.csv"
DPI, LEVELS = 75, 8  # of the figures; gray levels that the sheet's noise is rounded to: a third of the bytes


def write_report(folder: Path, found: Found, lines: Iterable[str], title: str) -> Path:
    """Write robustness.csv, figures/ and robustness.md; return the last one's path.

    Raises:
        UserError: if the folder of the figures cannot be made.
        RunError: if a file cannot be written.
    """
    make_folder(folder / "figures")
    drawn = {"severities": severities(), "curves": curves(found, title)}
    if len(found.asked) > 1:
        drawn["comparison"] = comparison(found, title)
    for name, figure in drawn.items():
        with whole_file(folder / "figures" / f"{name}.png", "wb") as file:
            file.write(_png(figure, is_gray=name == "severities"))
    table = list(rows(found))
    with whole_file(folder / RESULTS) as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {
                key: f"{value:.4f}" if isinstance(value, float) and key != "amount" else value
                for key, value in row.items()
            }
            for row in table
        )
    with whole_file(folder / REPORT) as file:
        file.write("\n".join(lines))
    return folder / REPORT


def _png(figure: Figure, is_gray: bool) -> bytes:
    figure.set_dpi(DPI if is_gray else 100)
    image = pixels(figure)[..., ::-1]
    if is_gray:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = np.where(image > 255 - LEVELS, 255, image // LEVELS * LEVELS).astype(np.uint8)
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
