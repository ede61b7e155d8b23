"""One ONNX file of a weights file, for ONNX Runtime and OpenCV in any language; or a page that runs it in a browser.

    python -m fer.export WEIGHTS --output NET.onnx
    python -m fer.export WEIGHTS --page FOLDER

The file holds all that an answer needs: normalisation, temperature, and in its metadata the classes, the size and the
crop of the faces. It is written only if ONNX Runtime answers with it as PyTorch does. The page is a folder for any
static host; photos and camera pictures stay in the visitor's browser.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fer.errors import ending
from fer.extras import require


def main(words: Sequence[str] | None = None) -> None:
    """Export the net that is asked for, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m fer.export", description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a .safetensors file, or ferplus or fer2013")
    into = parser.add_mutually_exclusive_group(required=True)
    into.add_argument("--output", type=Path, metavar="FILE", help="the net, a .onnx file")
    into.add_argument("--page", type=Path, metavar="FOLDER", help="the page; WEIGHTS may be a .onnx file, too")
    parser.add_argument("--runtime", type=Path, metavar="FOLDER", help="onnxruntime-web's files, if not to be fetched")
    parser.add_argument("--detector", type=Path, metavar="FILE", help="YuNet's model file, if not to be fetched")
    asked = parser.parse_args(words)
    if asked.output and (asked.runtime or asked.detector):
        parser.error("expected --runtime and --detector beside --page alone, but got --output: leave them out")
    with ending(parser):
        if asked.page:
            from fer.export.web import write_page

            print(write_page(asked.weights, asked.page, asked.runtime, asked.detector, print))
        else:
            require("train", "torch")
            from fer.export.onnx import export  # it imports torch

            print(export(asked.weights, asked.output))


if __name__ == "__main__":
    main()
