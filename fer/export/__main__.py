"""One ONNX file of a weights file, for ONNX Runtime and OpenCV, in any language and in a browser.

    python -m fer.export WEIGHTS --output NET.onnx

It holds all that an answer needs: normalisation, temperature, and in its metadata the classes, the size and the crop of
the faces. It is written only if ONNX Runtime answers with it as PyTorch does.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fer.errors import ending
from fer.extras import require


def main(words: Sequence[str] | None = None) -> None:
    """Export the net that is asked for, and say how it compares."""
    parser = argparse.ArgumentParser(prog="python -m fer.export", description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a .safetensors file, or ferplus or fer2013")
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help="the net, a .onnx file")
    asked = parser.parse_args(words)
    with ending(parser):
        require("train", "torch")
        from fer.export.onnx import export  # it imports torch

        print(export(asked.weights, asked.output))


if __name__ == "__main__":
    main()
