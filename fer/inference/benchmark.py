"""How fast `infer.py` is: clips beside another program, each stage, many faces, photos, a camera, the start.

    python -m fer.inference.benchmark CLIP [--peer PYTHON] [words as for infer.py: explainer=none detector.every=3 ...]

The peer is the package `fer` (https://github.com/JustinShenk/fer), which has this package's name and so needs an
environment of its own: `pip install fer tensorflow-cpu 'setuptools<81' 'opencv-contrib-python<5'`. PYTHON is that
environment's. It gets frames that are ready in memory, finds and classifies faces, and explains, draws and writes
nothing; ours reads the file, does all that and writes a clip. Both take turns, since a machine's speed changes from
minute to minute; every ratio is the median over the turns, with the lowest and the highest.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fer.errors import ending
from fer.extras import require


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m fer.inference.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("clip", help="video file")
    parser.add_argument("--peer", help="Python of an environment that has the package fer")
    parser.add_argument("--frames", type=int, default=100, help="of the clip's beginning")
    parser.add_argument("--turns", type=int, default=5, help="after one to warm up")
    parser.add_argument("words", nargs="*", help="key=value and group=option, as for infer.py")
    asked = parser.parse_intermixed_args(words)
    with ending(parser), tempfile.TemporaryDirectory() as folder:
        require("train", "torch")  # whose import is what the start is compared with
        from fer.inference.timing import measure  # late: --help needs none of it

        measure(asked, Path(folder))


if __name__ == "__main__":
    main()
