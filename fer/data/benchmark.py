"""How fast faces are loaded, beside the bare Albumentations calls and beside one image file a face.

    python -m fer.data.benchmark

A machine's speed changes from minute to minute, so what is compared takes turns, and every figure is the median over
the turns, with the lowest and the highest in brackets.
"""

import argparse
from collections.abc import Sequence

from fer.errors import ending
from fer.extras import require
from fer.paths import CONF

STRATEGIES = sorted(path.stem for path in (CONF / "augmentation").glob("*.yaml"))


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m fer.data.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=6400, help="drawn faces an epoch")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--batch", type=int, default=128, help="faces a batch")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each comparison")
    parser.add_argument("--workers", type=int, default=2, help="loader processes of the second comparison; 0 = skip it")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, help="left out: the plain ones, mid and full")
    asked = parser.parse_args(words)
    if asked.faces < asked.batch:
        parser.error(f"--faces: expected at least one batch of {asked.batch}, but got {asked.faces}")
    with ending(parser):
        require("train")
    from fer.data.timing import measure  # late: --help needs none of it

    measure(asked)


if __name__ == "__main__":
    main()
