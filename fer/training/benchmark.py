"""How fast `train.py` trains, beside a bare PyTorch loop with the same net, batch and precision on ready tensors.

    python -m fer.training.benchmark [words as for train.py: experiment=laptop batch_size=256 workers=4 ...]

The run is a whole one, with its callbacks, checkpoints and TensorBoard; drawn faces stand in for FER2013. Before each
of its epochs the loops that it is compared with run as many steps, since a machine's speed changes from minute to
minute. Timed is the epoch's training, as in the speed that a run prints; what comes after it (validation, metrics,
checkpoint) is timed apart, since no bare loop has it. Every ratio is the median over the turns, with the lowest and the
highest.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fer.errors import ending
from fer.extras import require


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m fer.training.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24, help="batches an epoch")
    parser.add_argument("--repeats", type=int, default=5, help="turns, one epoch each, after one to warm up")
    parser.add_argument("words", nargs="*", help="key=value and group=option, as for train.py")
    asked = parser.parse_args(words)
    with ending(parser):
        require("train")
        from fer.config.jobs import one_config  # late: --help needs none of it
        from fer.schema import TrainConfig
        from fer.training import timing

        config = timing.shortened(one_config("train", asked.words, TrainConfig), asked.steps, asked.repeats + 1)
    with tempfile.TemporaryDirectory() as folder:
        turns, trainer = timing.measure(config, Path(folder))
    timing.report(config, turns, trainer, asked.steps)


if __name__ == "__main__":
    main()
