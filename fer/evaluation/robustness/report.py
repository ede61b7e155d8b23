"""The files of a measurement: robustness.md with figures, and robustness.csv."""

import csv
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from fer.atomic import whole_file
from fer.evaluation.evaluate import pixels
from fer.evaluation.robustness.figures import rows
from fer.evaluation.robustness.measure import Found
from fer.evaluation.robustness.plots import comparison, curves, severities
from fer.run_folder import make_folder

REPORT, RESULTS = "robustness.md", "robustness.csv"
DPI, COLOURS = 100, 64
SHEET_DPI, STEP = 75, 8  # of the sheet; from one of its gray levels to the next


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
    """Return a figure as PNG, in few colours: a third of the bytes, so that reports can lie in a repository."""
    figure.set_dpi(SHEET_DPI if is_gray else DPI)
    image = pixels(figure)
    if is_gray:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = np.where(image > 255 - STEP, 255, image // STEP * STEP).astype(np.uint8)
    picture, data = Image.fromarray(image), BytesIO()
    picture = picture if is_gray else picture.quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(data, "PNG", optimize=True)
    return data.getvalue()
