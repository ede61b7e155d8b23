"""The model card of a weights file, in Markdown, from an evaluation of that very file.

    python train.py fit=false weights=weights/NAME.safetensors tta=all dataset.root=DIR hydra.run.dir=RESULTS
    python -m fer.evaluation.card RESULTS --output weights/NAME.md

Mitchell et al., Model Cards for Model Reporting, 2019. Every figure comes from the evaluation's metrics.json and
predictions.csv, how it was trained from the file's header. What `python -m fer.evaluation.robustness --card` has
written into the card of the same weights stays.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer.errors import UserError, ending
from fer.extras import require

if TYPE_CHECKING:  # it is imported late, as all that is heavy: --help needs none of it
    from fer.evaluation.study.runs import Run


def write_card(evaluation: Path, output: Path, seeds: Sequence[Path] = (), crops: Path | None = None) -> None:
    """Write the card.

    Args:
        evaluation: folder of a run with fit=false.
        output: the Markdown file.
        seeds: folders of all trainings of the recipe, that of the weights among them, for figures over seeds.
        crops: figures of `fer.evaluation.detector_cost`, if the card is to have them.

    Raises:
        UserError: if a folder does not hold what it should, or not what belongs to the weights.
        RunError: if the card cannot be written.
    """
    from fer.atomic import whole_file
    from fer.evaluation.card_text import card_lines
    from fer.evaluation.robustness.section import kept
    from fer.paths import exported, resolve_weights
    from fer.weights import digest, read_weights

    run = _read(evaluation)
    if "weights" not in run.metrics:
        raise UserError(f"{evaluation}: expected an evaluation (fit=false weights=FILE), but it is a training")
    weights = resolve_weights(run.metrics["weights"])
    _, header = read_weights(weights)
    if (found := digest(weights)) != run.metrics.get("weights_sha256"):
        raise UserError(f"{evaluation}: expected an evaluation of {weights} as it is now; evaluate the file again")
    _require_same(exported(weights), found)
    if header.training.get("dataset") != run.metrics["dataset"]:
        raise UserError(
            f"{evaluation}: expected an evaluation on the dataset of the training, {header.training.get('dataset')}, "
            f"but got one on {run.metrics['dataset']}"
        )
    runs = _read_seeds(seeds, found) if seeds else []
    crops_sentence = _read_crops(crops, found) if crops else None
    text = kept("\n".join(card_lines(run, weights, header, runs, crops_sentence)), output, found)
    with whole_file(output) as file:
        file.write(text)


def _require_same(export: Path, weights: str) -> None:
    """Raise a UserError if there is an ONNX file beside the weights of a SHA-256 that was made from others."""
    from fer.header import LARGEST
    from fer.onnx_file import read_metadata

    try:
        if not export.is_file() or read_metadata(export, LARGEST).get("weights_sha256") == json.dumps(weights):
            return
        found = "it is of another file"
    except (OSError, ValueError) as error:
        found = f"it cannot be read ({error})"
    raise UserError(
        f"{export}: expected the net of the weights file beside it, but {found}: python -m fer.export writes it anew"
    )


def _read(folder: Path) -> "Run":
    from fer.evaluation.study.run_reader import read_run

    run = read_run(folder)
    if run.problem or "test" not in run.predictions:
        raise UserError(f"{folder}: expected a finished run with its predictions, but {run.problem or 'has none'}")
    return run


def _read_seeds(folders: Sequence[Path], weights: str) -> list["Run"]:
    """Return finished trainings that differ in the seed only, one of them that of the weights of a SHA-256.

    Raises:
        UserError: if they are not that.
    """
    from fer.evaluation.study.grouping import read_study
    from fer.weights import digest

    runs = [_read(folder) for folder in folders]
    settings = read_study(list(folders)).tasks
    kept = [run for task in settings for run in task.runs]
    files = [folder / "weights.safetensors" for folder in folders]
    if strangers := [file for file in files if not file.is_file()]:
        raise UserError(f"--seeds: expected trainings, but there is no {strangers[0]}")
    if len(settings) != 1 or len(settings[0].settings) != 1 or len({run.seed for run in kept}) < len(runs):
        raise UserError("--seeds: expected trainings on the same images that differ in nothing but the seed")
    if weights not in map(digest, files):
        raise UserError("--seeds: expected among them the training that made the weights, but none has the same file")
    return runs


def _read_crops(path: Path, weights: str) -> str:
    """Return what `fer.evaluation.detector_cost` found with the weights of a SHA-256, as a sentence.

    Raises:
        UserError: if the file does not say that.
    """
    from fer.evaluation.markdown import per_cent

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sentence = (
            f"Upscaled and put into larger pictures, {found['found']:,} of {found['n']:,} {found['split']} faces are "
            f"found by the detector ({found['detector']}). On these the accuracy is "
            f"{per_cent(found['accuracy_as_they_are'])} as they are, and {per_cent(found['accuracy_found_anew'])} as "
            "the detector and the crop of infer.py cut them out; with the faces that are not found counted as wrong, "
            f"{per_cent(found['accuracy_found_anew'] * found['found'] / found['n'])}."
        )
    except (OSError, ValueError, TypeError, LookupError) as error:
        wanted = "expected figures of fer.evaluation.detector_cost"
        raise UserError(f"{path}: {wanted}, but it cannot be read ({error})") from error
    if found.get("weights_sha256") != weights:
        raise UserError(f"{path}: expected figures of the same weights, but they are of another file")
    return sentence


def main(words: Sequence[str] | None = None) -> None:
    """Write the card that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m fer.evaluation.card", description=__doc__.splitlines()[0])
    parser.add_argument("evaluation", type=Path, metavar="RESULTS", help="folder of the evaluation, a fit=false run")
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help="the card, a .md file")
    parser.add_argument("--seeds", type=Path, metavar="DIR", nargs="+", default=(), help="all trainings of the recipe")
    parser.add_argument("--crops", type=Path, metavar="FILE", help="what fer.evaluation.detector_cost wrote")
    asked = parser.parse_args(words)
    with ending(parser):
        require("train")
        write_card(asked.evaluation, asked.output, asked.seeds, asked.crops)


if __name__ == "__main__":
    main()
