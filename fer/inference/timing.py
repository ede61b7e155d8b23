"""What `fer.inference.benchmark` times, and the figures that it prints."""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import av
import numpy as np

from fer.benchmarks import machine, spread
from fer.config.jobs import one_config
from fer.data.decoding import read_photo
from fer.faces.crops import cut
from fer.faces.detectors import make_detector
from fer.inference.draw.annotate import annotate
from fer.inference.io.images import save_photo
from fer.inference.io.live import Live
from fer.inference.io.records import Records
from fer.inference.io.video_reader import VideoReader
from fer.inference.io.video_writer import VideoWriter
from fer.inference.modes.video import looked_at
from fer.inference.parallel import on_all_cores
from fer.inference.peer import Peer
from fer.inference.pipeline import Pipeline
from fer.inference.recognizer import Recognizer
from fer.inference.results import FaceResult, Frame
from fer.inference.run import load_predictor, make_style
from fer.inference.schema import InferConfig

UNAVOIDABLE = "decode", "detect", "forward"
CROWDS = 1, 4, 16  # faces in a frame


class Work:
    """All that a clip's first frames are timed with.

    Args:
        config: of `infer.py mode=video`.
        frames: how many.
    """

    def __init__(self, config: InferConfig, frames: int) -> None:
        self.config, self.count = config, frames
        self.predictor = load_predictor(config)
        self.detector = make_detector(config.detector, print)
        self.style = make_style(config)

    def pipeline(self) -> Pipeline:
        """Return one that has seen nothing."""
        return Pipeline(self.config, self.predictor, self.detector)

    def frames(self) -> "islice[Frame]":
        """Return the clip's frames, which are decoded as they are taken."""
        return islice(VideoReader(Path(self.config.input)), self.count)

    def run_whole(self, folder: Path) -> int:
        """Do what `infer.py` does with the frames; return their number."""
        pipeline = self.pipeline()
        with ExitStack() as stack:
            clip = stack.enter_context(VideoReader(Path(self.config.input)))
            writer = stack.enter_context(VideoWriter(folder / "whole.mp4", clip.width, clip.height, clip))
            records = stack.enter_context(Records(folder / "whole.jsonl", self.predictor.classes))
            size = clip.width, clip.height
            looked = stack.enter_context(looked_at(islice(clip, self.count), size, pipeline, self.style))
            for frame, seen, image in looked:
                records.frame(frame, seen)
                writer.write(image, frame.time)
        return writer.frames

    def stages(self, folder: Path) -> dict[str, float]:
        """Return each stage's milliseconds a frame, one stage after the other."""
        predictor, classes, size = self.predictor, self.predictor.classes, self.predictor.input_size
        pipeline, clip = self.pipeline(), VideoReader(Path(self.config.input))
        spent: dict[str, float] = {}

        def timed(name: str, step: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
            began = time.perf_counter()
            made = [step(item) for item in items]
            spent[name] = spent.get(name, 0.0) + (time.perf_counter() - began) / len(frames) * 1e3
            return made

        def crop(item: tuple[Frame, list[Any]]) -> np.ndarray:
            crops = [cut(item[0].image, region, size) for region in pipeline.regions(item[0].image, item[1])]
            return np.stack(crops) if crops else np.empty((0, size, size), np.uint8)

        began = time.perf_counter()
        frames = [frame for frame in self.frames() if frame.image is not None]
        spent["decode"] = (time.perf_counter() - began) / len(frames) * 1e3
        found = list(zip(frames, timed("detect", pipeline.find, frames), strict=True))
        crops = timed("crop", crop, found)
        timed("forward", predictor.look, crops)
        seen = timed("all", lambda item: pipeline.look(*item), found)
        spent["explain, track"] = max(spent.pop("all") - spent["crop"] - spent["forward"], 0.0)
        drawn = timed(
            "draw",
            lambda item: annotate(item[0].image, item[1], classes, self.style),
            list(zip(frames, seen, strict=True)),
        )
        began = time.perf_counter()
        with VideoWriter(folder / "stage.mp4", clip.width, clip.height, clip) as writer:
            for frame, image in zip(frames, drawn, strict=True):
                writer.write(image, frame.time)
        spent["encode"] = (time.perf_counter() - began) / len(frames) * 1e3
        return spent

    def crowd(self, faces: int, calls: int = 30) -> float:
        """Return milliseconds a face for so many in a frame: classified and explained, crops ready."""
        crops = np.random.default_rng(1).integers(0, 256, (faces, *[self.predictor.input_size] * 2), np.uint8)
        times = []
        for _ in range(calls):
            began = time.perf_counter()
            self.predictor.look(crops, self.config.explainer.name, layer=self.config.explainer.layer)
            times.append(time.perf_counter() - began)
        return float(np.median(times)) / faces * 1e3


def time_start(clip: str, words: Sequence[str], folder: Path, turns: int) -> np.ndarray:
    """Return seconds, (turns, 2): for `import torch, cv2`, and from the command to its first frame's record."""
    seconds = np.empty((turns + 1, 2))
    for turn, row in enumerate(seconds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch, cv2"], check=True)
        row[0] = time.perf_counter() - began
        output = folder / f"start{turn}.mp4"
        records = output.with_name(f"{output.stem}.partial.jsonl")
        command = [sys.executable, "-m", "fer.commands.infer", *given(clip, words), f"output={output}"]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (records.exists() and records.stat().st_size):
                time.sleep(0.002)
            row[1] = time.perf_counter() - began
            process.kill()
    return seconds[1:]  # the first turn reads the libraries from disk


def time_photos(work: Work, folder: Path, turns: int) -> np.ndarray:
    """Return seconds, (turns, 4), for the clip's frames as a folder of photos.

    They are read, looked at, drawn and written, one after another and on all cores; and only read and looked at, one
    after another, as infer.py does it and from Python.
    """
    frames = [frame.image for frame in work.frames() if frame.image is not None]
    (folder / "photos").mkdir()
    paths = [save_photo(folder / "photos" / f"{number}.jpg", frame) for number, frame in enumerate(frames)]
    alone = load_predictor(work.config.model_copy(update={"mode": "image"}))  # the cores have a photo each
    pipeline = Pipeline(work.config, alone, work.detector)
    recognizer = Recognizer(alone, work.detector, work.config, heatmaps=pipeline.heatmaps)

    def look(path: Path) -> tuple[np.ndarray, list[FaceResult]]:
        image = read_photo(path)
        return image, pipeline.photo(image)

    def draw(path: Path) -> None:
        save_photo(folder / f"drawn{path.name}", annotate(*look(path), work.predictor.classes, work.style))

    ways = (map, draw), (on_all_cores, draw), (map, look), (map, recognizer.image)
    seconds = np.empty((turns + 1, len(ways)))
    for row in seconds:
        for place, (each, step) in enumerate(ways):
            began = time.perf_counter()
            deque(each(step, paths), maxlen=0)
            row[place] = time.perf_counter() - began
    return seconds[1:]


def watch(work: Work, folder: Path) -> tuple[int, float, np.ndarray]:
    """Watch the clip at its own pace, as a camera, without a window.

    Returns:
        How many frames were drawn, in how many seconds, and for each the seconds from its coming to its being drawn.
    """
    clip = streamable(Path(work.config.input), folder / "stream.mkv")
    handler = partial(QuietHandler, directory=str(folder))
    pipeline, late = work.pipeline(), []
    os.environ["no_proxy"] = "127.0.0.1"  # or FFmpeg would ask a proxy for it
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{clip.name}"
        with Live(address, drop_stale=True, say=lambda sentence: None) as live:
            for frame in live:
                annotate(frame.image, pipeline.look(frame, pipeline.find(frame)), work.predictor.classes, work.style)
                late.append(time.monotonic() - live.start - frame.time)
            seconds = time.monotonic() - live.start
        server.shutdown()
    return len(late), seconds, np.array(late)


def streamable(clip: Path, path: Path) -> Path:
    """Write a clip's pictures, as they are, into a file that can be read from its beginning to its end."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def given(clip: str, words: Sequence[str]) -> list[str]:
    """Return the command's words."""
    return ["mode=video", f"input={clip}", *words]


def time_turns(work: Work, peer: Peer | None, folder: Path, turns: int) -> np.ndarray:
    """Return seconds a frame, (turns, 2): ours and the peer's (NaN without one)."""
    seconds = np.full((turns + 1, 2), np.nan)
    for row in seconds:
        began = time.perf_counter()
        frames = work.run_whole(folder)
        row[0] = (time.perf_counter() - began) / frames
        if peer:
            row[1] = peer.turn()
    return seconds[1:]


def report_speed(seconds: np.ndarray, stages: dict[str, float]) -> None:
    """Print the frames per second, and where the time goes."""
    whole = np.median(seconds[:, 0]) * 1e3  # milliseconds a frame
    print(f"\n{'frames a second':46}{1e3 / whole:6.1f}  decode, find, classify, explain, draw, encode")
    if not np.isnan(seconds).any():
        peer = 1 / np.median(seconds[:, 1])
        print(f"{'the peer: find, classify':46}{peer:6.1f}  frames ready in memory")
        print(f"{'ours over the peer':46}{spread(seconds[:, 1] / seconds[:, 0])}  at least 3.5")
    print("\nmilliseconds a frame, one stage after the other: " + ", ".join(f"{k} {v:.1f}" for k, v in stages.items()))
    least = sum(stages[name] for name in UNAVOIDABLE)
    times = f"{whole / least:.2f} times {' + '.join(UNAVOIDABLE)} ({least:.1f})"
    print(f"the whole, in which stages overlap: {whole:.1f}, {times}")


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """Print each part as soon as it is known.

    Raises:
        UserError: with what is wrong with the words, the clip or the peer.
    """
    config = one_config("infer", given(asked.clip, asked.words), InferConfig)
    work = Work(config, asked.frames)
    with ExitStack() as stack:
        peer = Peer(asked.peer, Path(asked.clip), asked.frames) if asked.peer else None
        if peer:
            stack.callback(peer.end)
        seconds = time_turns(work, peer, folder, asked.turns)
    first = next(work.frames()).image
    detector = type(work.detector).__name__
    print(
        f"{machine()}\n{Path(asked.clip).name}, {first.shape[1]}x{first.shape[0]}, {work.count} frames; {detector}, "
        f"explainer {work.config.explainer.name}; {len(seconds)} turns"
    )
    report_speed(seconds, work.stages(folder))
    costs = ", ".join(f"{faces}: {work.crowd(faces):.1f}" for faces in CROWDS)
    print(f"\nmilliseconds a face, classified and explained, by faces in the frame: {costs}")
    alone, together, looked, python = time_photos(work, folder, asked.turns).T
    print(
        f"\nthe frames as photos: {work.count / np.median(together):.1f} a second, {spread(alone / together).strip()} "
        "times as many as one after another"
    )
    print(
        f"Recognizer.image: {np.median(python) / work.count * 1e3:.1f} ms a photo, {spread(python / looked).strip()} "
        "times what infer.py takes to read and look at it"
    )
    number, seconds, late = watch(work, folder)
    least, usual = np.median(late) * 1e3, np.quantile(late, 0.95) * 1e3
    print(
        f"\nwatched at its own pace: {number} frames in {seconds:.1f} s, {number / seconds:.1f} a second; drawn "
        f"{least:.0f} ms after a frame came (median), 95 % within {usual:.0f} ms"
    )
    bare, ours = time_start(asked.clip, asked.words, folder, asked.turns).T
    print(
        f"\nfrom the command to its first frame: {np.median(ours):.1f} s, {spread(ours / bare).strip()} times "
        f"import torch, cv2 ({np.median(bare):.1f} s); at most 0.6"
    )
