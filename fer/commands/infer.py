"""Show a facial-emotion classifier at work on images, video and a camera, with Grad-CAM on the face.

python infer.py                                          watch the camera; q quits
python infer.py rtsp://HOST/PATH                         watch a network stream
python infer.py a.mp4 output=b.mp4                       b.mp4 with sound, b.jsonl, and a timeline
python infer.py mode=video input=FOLDER output=FOLDER    every clip in it, and a table of all
python infer.py mode=video http://HOST/PATH output=b.mp4   record a stream until Ctrl-C
python infer.py a.jpg output=b.png                       b.png and b.jsonl
python infer.py FOLDER output=FOLDER                     the same names, and one records.jsonl
python infer.py mode=crop input=FOLDER output=FOLDER     cut faces out, ready for dataset=folder
python infer.py FOLDER detector=none                     images that are faces already
"""

from pathlib import Path
from typing import Any, NoReturn

from fer.command import main as run_command


def schema() -> Any:
    """Return the schema of conf/infer.yaml."""
    from fer.inference.schema import InferConfig

    return InferConfig


def check(jobs: list[Any], multirun: bool) -> None:
    """Check what the schema cannot."""
    from fer.inference.checks import check_inference

    check_inference(jobs, multirun)


def task(config: Any, folder: Path) -> Any:
    """Look at the input; the heavy imports happen here."""
    from fer.inference.run import run

    return run(config)


def main() -> NoReturn:
    """Run the command, and exit with its code."""
    run_command(__file__, schema, check, task, bare="input")


if __name__ == "__main__":
    main()
