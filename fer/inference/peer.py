"""The package `fer` from the registry, another program, beside which `fer.inference.benchmark` times ours."""

import subprocess
import tempfile
from pathlib import Path

from fer.errors import UserError

PEER = """
import sys, time, cv2
from fer.fer import FER
clip, count = cv2.VideoCapture(sys.argv[1]), int(sys.argv[2])
frames = [frame for frame in (clip.read()[1] for _ in range(count)) if frame is not None]
detector = FER()
for frame in frames[:5]:
    detector.detect_emotions(frame)
print("ready", flush=True)
for _ in sys.stdin:
    began = time.perf_counter()
    for frame in frames:
        detector.detect_emotions(frame)
    print("seconds", time.perf_counter() - began, len(frames), flush=True)
"""


class Peer:
    """The other program, in a process of its own that waits for its turns."""

    def __init__(self, python: str, clip: Path, frames: int) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command = [python, "-c", PEER, str(clip.resolve()), str(frames)]
        # Not from the checkout: this package would be imported in the place of the peer.
        try:
            self.process = subprocess.Popen(command, text=True, cwd=tempfile.gettempdir(), **pipes)
        except OSError as error:
            raise UserError(f"--peer: expected a Python, but {python} cannot be started ({error.strerror})") from error
        self._until("ready")

    def turn(self) -> float:
        """Return the seconds a frame."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        seconds, count = self._until("seconds")
        return float(seconds) / int(count)

    def _until(self, word: str) -> list[str]:
        for line in self.process.stdout:  # the peer prints other lines, too
            if line.startswith(word):
                return line.split()[1:]
        raise UserError(
            "--peer: expected a Python with the package fer, but it stopped: try python -c 'import fer.fer'"
        )

    def end(self) -> None:
        """Let it go."""
        self.process.kill()
        self.process.wait()
