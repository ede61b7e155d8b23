"""The benchmark commands run and print every row with its ratio. How large a ratio is depends on the machine."""

import re
import sys

import cv2
import pytest
import torch

from fer.config.jobs import one_config
from fer.data import benchmark as loading
from fer.data.timing import in_turns
from fer.inference import benchmark as inference
from fer.schema import TrainConfig
from fer.training import benchmark as training
from fer.training import timing
from tests.clips import write_clip

SPREAD = r"(\S+) \((\S+) to (\S+)\)"  # median, lowest, highest


@pytest.fixture(autouse=True)
def threads():
    """The loading benchmark takes one thread; give the others back."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def spreads(lines, start):
    """Return (median, lowest, highest) of each figure in the line that starts so."""
    (line,) = [line for line in lines if line.startswith(start)]
    return [tuple(map(float, found)) for found in re.findall(SPREAD, line)]


@pytest.mark.slow
def test_loading_prints_a_row_for_each_comparison(capsys):
    words = "--faces 70 --size 32 --batch 32 --repeats 2 --workers 1 --strategies none full"
    loading.main(words.split())
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("64 drawn faces of 32x32")  # whole batches only
    ratios = [spreads(lines, start)[-1] for start in ("none", "full", "our loader", "workers that", ".png", ".jpg")]
    assert all(0 <= low <= median <= high and high > 0 for median, low, high in ratios)
    assert "at least 0.85" in next(line for line in lines if line.startswith("full"))


def test_turns_alternate_after_a_call_of_each_to_warm_up():
    calls = []
    clock = iter(range(100)).__next__
    seconds = in_turns(lambda: calls.append("a"), lambda: calls.append("b"), turns=2, clock=clock)
    assert calls == ["a", "b"] * 3
    assert seconds.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("words", [["--strategies", "hfip"], ["--faces", "10"]])
def test_loading_refuses_what_it_cannot_measure(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        loading.main(words)
    assert words[0] in capsys.readouterr().err


@pytest.mark.slow
def test_training_prints_a_row_for_each_loop(capsys, monkeypatch):
    monkeypatch.setattr(timing.Dashboard, "on_validation_epoch_end", lambda *_: None)  # seconds of drawing
    monkeypatch.setattr(timing, "FER2013", (24, 12))
    words = "--steps 2 --repeats 2 experiment=debug ema=0.9"
    training.main(words.split())
    lines = capsys.readouterr().out.splitlines()
    ratios = [spreads(lines, loop)[0] for loop in timing.LOOPS[1:]]
    assert all(0 < low <= median <= high for median, low, high in ratios)
    assert any("2 turns of 2 steps" in line for line in lines)
    assert any(line.startswith("an epoch of FER2013 (24 faces)") for line in lines)


def test_an_epoch_has_as_many_steps_as_asked_for():
    config = timing.shortened(one_config("train", ["experiment=laptop"], TrainConfig), steps=5, epochs=3)
    assert (config.dataset.train, config.trainer.max_epochs) == (5 * config.batch_size, 3)


def test_training_names_a_wrong_word(capsys):
    with pytest.raises(SystemExit, match="2"):
        training.main(["modle=laptop"])
    assert "modle" in capsys.readouterr().err


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, frames=8)
    return path


@pytest.mark.slow
def test_inference_prints_frames_stages_faces_and_start(clip, capsys):
    inference.main([str(clip), "--frames", "6", "--turns", "1", "detector=haar"])
    text = capsys.readouterr().out
    assert "6 frames; HaarDetector, explainer auto; 1 turns" in text
    rate, stages, whole, crowd, photos, python, watched, start = (
        re.search(pattern, text)
        for pattern in (
            r"frames a second +([\d.]+)",
            r"one stage after the other: decode ([\d.]+), detect ([\d.]+), crop [\d.]+, forward ([\d.]+)",
            r"the whole, .*: ([\d.]+), [\d.]+ times decode \+ detect \+ forward \(([\d.]+)\)",
            r"faces in the frame: 1: ([\d.]+), 4: ([\d.]+), 16: ([\d.]+)",
            r"the frames as photos: ([\d.]+) a second, ([\d.]+) \(",
            r"Recognizer\.image: ([\d.]+) ms a photo, ([\d.]+) \(.* times what infer\.py takes",
            r"watched at its own pace: (\d+) frames in ([\d.]+) s, .* drawn (\d+) ms after",
            r"to its first frame: ([\d.]+) s",
        )
    )
    assert float(rate[1]) == pytest.approx(1e3 / float(whole[1]), rel=0.05)
    assert sum(map(float, stages.groups())) == pytest.approx(float(whole[2]), abs=0.2)
    assert float(crowd[1]) > 0 < float(start[1])
    assert float(python[1]) > 0 < float(python[2])
    assert float(photos[1]) > 0 and 0 < int(watched[1]) <= 8


def test_inference_names_what_it_cannot_measure(clip, tmp_path, capsys):
    for words, named in (
        ([str(tmp_path / "none.mp4")], "none.mp4"),
        ([str(clip), "detectr=haar"], "detectr"),
        ([str(clip), "detector=haar", "--peer", sys.executable], "expected a Python with the package fer"),
        ([str(clip), "detector=haar", "--peer", str(tmp_path / "none")], "cannot be started"),
    ):
        with pytest.raises(SystemExit, match="2"):
            inference.main(words)
        assert named in capsys.readouterr().err
