"""Give spoiled files and odd words to the commands, in processes of their own, and say which of them went wrong.

    python -m tests.fuzz --seed 7 --inputs 60 weights onnx csv cache images clips words

Wrong are: a traceback, an exit code that means nothing, more than 30 seconds, more than 2 GB. Every input follows from
the seed, the kind and its number; those that went wrong stay in the folder that is named. Needs fork, so no Windows.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from tests.fuzz_inputs import KINDS, Case, Seeds, read_case
from tests.runs import ROOT

SECONDS, BYTES = 30.0, 2 * 10**9
CODES = (0, 1, 2)


class Outcome(NamedTuple):
    """How a case ended."""

    code: int
    seconds: float
    peak: int  # bytes
    said: str

    def fault(self) -> str | None:
        """Say what is wrong, if anything is."""
        if self.seconds > SECONDS:
            return f"took over {SECONDS:g} s"
        if "Traceback" in self.said:
            return f"printed a traceback: {self.said.strip().splitlines()[-1][:200]}"
        if self.code not in CODES:
            return f"ended with {self.code}"
        return f"took {self.peak / 1e9:.1f} GB" if self.peak > BYTES else None


def run_apart(case: Case, folder: Path) -> Outcome:
    """Run a case in a process of its own, in its folder."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _work(case, folder)
    while time.monotonic() - begun < SECONDS + 1:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
    else:
        os.killpg(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - begun
    said = (folder / "said.txt").read_bytes().decode("utf-8", "replace")
    unit = 1 if sys.platform == "darwin" else 1024
    return Outcome(os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss * unit, said)


def _work(case: Case, folder: Path) -> None:
    """Be the command; never return."""
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(said, stream)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["FER_CACHE"] = str(folder / "cache")
        sys.argv = [f"{case.script}.py", *case.words]
        _command(case)
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 70)


def _command(case: Case) -> None:
    from fer.command import main
    from fer.commands import infer, train

    script = {"train": train, "infer": infer}[case.script]

    def read(config: Any, folder: Path) -> float:
        from fer.evaluation.run import read_for
        from fer.training.run import prepare
        from fer.weights import load_net

        folder.mkdir(parents=True, exist_ok=True)
        prepare(config) if config.fit else read_for(config, load_net(config.weights)[1])
        return 0.5

    task = (lambda *_: 0.5) if not case.is_read else read if case.script == "train" else infer.task
    main(script.__file__, script.schema, script.check, task)


def fuzz(kinds: list[str], seed: int, inputs: int, folder: Path) -> Iterator[str]:
    """Yield a sentence for each input that went wrong, and keep its folder; `inputs` of each kind."""
    seeds = Seeds(folder)
    (first := folder / "first").mkdir()
    run_apart(read_case(seeds), first)
    seeds.cache = {path.name: path.read_bytes() for path in (first / "cache").iterdir()}
    for kind in kinds:
        slowest, biggest, codes = 0.0, 0, dict.fromkeys(CODES, 0)
        for number in range(inputs):
            rng = random.Random(zlib.crc32(f"{seed} {kind} {number}".encode()))
            place = folder / f"{kind}_{number}"
            place.mkdir()
            case = KINDS[kind](rng, place, seeds)
            outcome = run_apart(case, place)
            if fault := outcome.fault():
                yield f"{place}: {fault}; {case.script}.py {' '.join(repr(word[:100]) for word in case.words)}"
            else:
                shutil.rmtree(place, ignore_errors=True)
            slowest, biggest = max(slowest, outcome.seconds), max(biggest, outcome.peak)
            codes[outcome.code] = codes.get(outcome.code, 0) + 1
        told = ", ".join(f"{count} ended with {code}" for code, count in codes.items() if count)
        print(f"{kind}: {inputs} inputs, {told}; slowest {slowest:.1f} s, most {biggest / 1e9:.2f} GB", flush=True)


def main() -> int:
    """Fuzz by the words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; without, all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=60, help="of each kind")
    arguments = parser.parse_args()
    _import_all()
    folder = Path(tempfile.mkdtemp(prefix="fer-fuzz-"))
    faults = list(fuzz(arguments.kinds or list(KINDS), arguments.seed, arguments.inputs, folder))
    print("\n".join(faults))
    if not faults:
        shutil.rmtree(folder)
    return min(len(faults), 1)


def _import_all() -> None:
    """Import once what each case would import, and start no thread, since the processes of the cases are copies."""
    sys.path.insert(0, str(ROOT))
    os.environ |= {"NO_ALBUMENTATIONS_UPDATE": "1", "HYDRA_FULL_ERROR": "1", "OMP_NUM_THREADS": "1"}
    import onnxruntime  # noqa: F401

    import fer.command
    import fer.config.jobs
    import fer.data.readers
    import fer.evaluation.run
    import fer.inference.engines.onnx
    import fer.inference.engines.pytorch
    import fer.inference.modes.video
    import fer.inference.run
    import fer.training.checks
    import fer.training.run
    import fer.training.search  # noqa: F401
    from fer.commands import infer, train  # noqa: F401

    cv2.setNumThreads(1)


if __name__ == "__main__":
    sys.exit(main())
