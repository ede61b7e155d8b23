"""Fit temperature and threshold of a weights file anew, as the end of a training does, and keep them in the file.

    python -m fer.evaluation.calibrate WEIGHTS dataset.root=DIR
    python -m fer.evaluation.calibrate WEIGHTS dataset=folder dataset.root=DIR not_sure_accuracy=0.95

Takes the words of train.py. Both numbers are fitted on validation, so that probabilities mean what they say and answers
reach the accuracy that is asked for: of an older file, which has no threshold, or on faces as those that are to be
answered. The threshold leaves at least half of the faces of validation an answer: where that is not to be had with the
accuracy, it says so. No answer changes.

The file itself is written anew, and an ONNX file beside it, too; --output FILE leaves both as they are. Where the
temperature stays, so do all figures of a model card beside them, which then names the new files.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer.errors import UserError, ending
from fer.extras import require

if TYPE_CHECKING:  # they are imported late: --help needs none of it
    from fer.evaluation.evaluate import Evaluation
    from fer.header import Header


def calibrate(weights: Path, words: Sequence[str], output: Path | None = None) -> None:
    """Fit, say what changes, and write.

    Args:
        weights: a .safetensors file, or the name of a net that comes with the project.
        words: key=value and group=option, as for train.py: the dataset, and `not_sure_accuracy`.
        output: the file to write; None for the weights file itself.

    Raises:
        UserError: if the words are wrong, or the weights, the data or the output cannot be used.
        RunError: if a file cannot be written, or an answer is not finite.
    """
    from fer.config.jobs import one_config
    from fer.devices import evaluation_device
    from fer.evaluation.evaluate import evaluate
    from fer.evaluation.run import prepare
    from fer.export.onnx import export
    from fer.paths import exported, resolve_weights
    from fer.schema import TrainConfig
    from fer.weights import digest, read_weights, save_weights

    config = one_config("train", [*words, "fit=false", f"weights={weights}", "test=false"], TrainConfig)
    file = output or resolve_weights(weights)
    if output and not (output.suffix == ".safetensors" and output.parent.is_dir()):
        raise UserError(f"--output {output}: expected the name of a .safetensors file in a folder that is there")
    if (beside := exported(file)).is_file():
        require("export")  # before anything is written
    net, header, table = prepare(config)
    found = evaluate(
        net,
        header,
        table,
        whose=f"weights={weights}",
        test=False,
        calibrate=config.not_sure_accuracy,
        device=evaluation_device(config.trainer.accelerator),
        batch=config.batch_size,
        tell=lambda text: print(text, flush=True),
    )
    _say(header, found, config.not_sure_accuracy)
    written = [path for path in (file, beside) if path.is_file()]
    before = [digest(path) for path in written]
    state, _ = read_weights(weights)
    save_weights(file, state, calibrated(header, found, config.dataset.name, config.not_sure_accuracy))
    print(f"written: {file}")
    if beside in written:
        print(export(file, beside))
    if (card := file.with_suffix(".md")).is_file():
        same = found.temperature == header.temperature
        renamed = dict(zip(before, map(digest, written), strict=True)) if same else {}
        print(_renew(card, renamed))


def _renew(card: Path, renamed: dict[str, str]) -> str:
    """Let a card name the files that have taken the place of others, by SHA-256; return what to say of it."""
    from fer.atomic import whole_file

    text = card.read_text(encoding="utf-8")
    for old, new in renamed.items():
        text = text.replace(old, new)
    if renamed:
        with whole_file(card) as file:
            file.write(text)
    what = "names the new file, but not its threshold" if renamed else "is of the file as it was"
    return f"{card} {what}: evaluate the file again, and write the card from that"


def calibrated(header: "Header", found: "Evaluation", dataset: str, accuracy: float) -> "Header":
    """Return the header with what was found; of its figures, those of other probabilities are left out.

    Args:
        header: as it was.
        found: the evaluation that has fitted both numbers.
        dataset: its name.
        accuracy: that answers are to reach.
    """
    same = found.temperature == header.temperature and dataset == header.training.get("dataset")
    facts = header.training | {"not_sure_accuracy": accuracy, "calibrated_on": dataset}
    figures = (header.metrics if same else {}) | found.results
    return replace(header, temperature=found.temperature, not_sure=found.not_sure, training=facts, metrics=figures)


def _say(header: "Header", found: "Evaluation", accuracy: float) -> None:
    from fer.counting import counted
    from fer.evaluation.markdown import accuracy_missed, answers_left, per_cent

    error = per_cent(found.results["val/ece"])
    print(f"temperature: {header.temperature:g} -> {found.temperature:g}; calibration error {error} %")
    print(f"not sure: below {per_cent(header.not_sure)} % -> {per_cent(found.not_sure)} %")
    print(f"validation, {counted(found.results['val/n'], 'face')}: {answers_left(found.results, 'val')}")
    if missed := accuracy_missed(found.results, accuracy):
        print(missed)


def main(words: Sequence[str] | None = None) -> None:
    """Calibrate the file that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m fer.evaluation.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a .safetensors file, or ferplus or fer2013")
    parser.add_argument("words", nargs="*", help="key=value and group=option, as for train.py")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write this file instead of WEIGHTS")
    asked = parser.parse_intermixed_args(words)
    with ending(parser):
        require("train")
        calibrate(asked.weights, asked.words, asked.output)


if __name__ == "__main__":
    main()
