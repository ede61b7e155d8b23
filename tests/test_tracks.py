import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fer.faces.detection import Detection
from fer.inference.tracking.optical_flow import FlowTracker
from fer.inference.tracking.smoothing import Smoother
from fer.inference.tracking.tracker import SceneCutDetector, Tracker, assign

MEDIA, YUNET = Path(os.environ.get("FER_MEDIA", "none")), os.environ.get("FER_YUNET", "")
CLIPS = ("test.mp4", "short_hamilton_clip.mp4")


def face(x, y, side=80):
    """A face around a centre."""
    return Detection((x - side / 2, y - side / 2, side, side), 0.9)


def iou(one, other):
    (ax, ay, aw, ah), (bx, by, bw, bh) = one, other
    across, down = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
    common = max(across, 0) * max(down, 0)
    return common / (aw * ah + bw * bh - common)


def times(seconds, fps):
    return [index / fps for index in range(round(seconds * fps))]


@pytest.mark.parametrize("fps", [10, 30, 60])
def test_moving_face_keeps_its_number(fps):
    tracker = Tracker()
    for time in times(3, fps):
        turn = 2 * math.pi * time / 3
        assert tracker.update([face(300 + 150 * math.cos(turn), 300 + 150 * math.sin(turn))], time) == [1]


@pytest.mark.parametrize("fps", [15, 30, 60])
@pytest.mark.parametrize("hidden", [False, True])
def test_crossing_faces_keep_their_numbers(fps, hidden):
    rng, tracker = np.random.default_rng(fps), Tracker()
    for time in times(4, fps):
        faces = [face(100 + 150 * time, 200), face(700 - 150 * time, 210)]
        faces = [face(*(np.array(f.box[:2]) + 40 + rng.normal(0, 2, 2))) for f in faces]
        covered = hidden and abs(faces[0].box[0] - faces[1].box[0]) < 60  # the one behind is not found
        shown = faces[:1] if covered else faces
        assert tracker.update(shown, time) == [1, 2][: len(shown)]


@pytest.mark.parametrize("fps", [10, 30, 60])
@pytest.mark.parametrize(("absence", "number"), [(0.0, 1), (0.4, 1), (0.7, 2)])
def test_absence_shorter_than_the_patience_is_bridged(fps, absence, number):
    tracker = Tracker(patience=0.5)
    for time in times(1, fps):
        assert tracker.update([face(100 + 200 * time, 100)], time) == [1]
    back = 1 - 1 / fps + max(absence, 1 / fps)
    for time in times(4, fps):
        if 1 <= time < back:
            assert tracker.update([], time) == []
    assert tracker.update([face(100 + 200 * back, 100)], back) == [number]


def test_missed_and_false_detections_do_not_disturb_a_track():
    tracker, given = Tracker(), set()
    for index in range(100):
        faces = [] if index % 7 == 3 else [face(100 + index, 100)]
        false = [face(600, 100 + 37 * index % 300, 30)] if index % 20 == 10 else []
        numbers = tracker.update(faces + false, index / 30)
        assert numbers[: len(faces)] == [1] * len(faces)
        assert given.isdisjoint(numbers[len(faces) :])
        given.update(numbers[len(faces) :])
    assert given == {2, 3, 4, 5, 6}


def test_number_is_never_given_twice():
    tracker = Tracker(patience=0.2)
    numbers = [tracker.update([face(100, 100)], time)[0] for time in (0, 0.1, 3, 3.1, 6)]
    assert numbers == [1, 1, 2, 2, 3]


def test_slow_clip_keeps_its_tracks_whatever_the_patience():
    tracker = Tracker(patience=0.5)
    assert [tracker.update([face(100 + 10 * second, 100)], second) for second in range(5)] == [[1]] * 5


def test_clock_that_starts_anew_ends_the_tracks():
    tracker = Tracker()
    assert tracker.update([face(100, 100)], 500.0) == [1]
    assert tracker.update([face(100, 100)], 0.0) == [2]
    assert tracker.update([face(100, 100)], 0.1) == [2]


def test_faces_are_matched_together_not_one_by_one():
    tracker = Tracker()
    assert tracker.update([face(0, 0, 60), face(30, 0, 60)], 0) == [1, 2]
    # The first is now nearest to where the second was.
    assert tracker.update([face(22, 0, 60), face(62, 0, 60)], 0.1) == [1, 2]


def test_face_of_another_size_or_far_away_is_new():
    tracker = Tracker()
    assert tracker.update([face(100, 100, 40)], 0) == [1]
    assert tracker.update([face(100, 100, 100)], 0.03) == [2]
    assert tracker.update([face(250, 100, 100)], 0.06) == [3]


def test_thirty_faces_in_any_order_and_none():
    rng, tracker = np.random.default_rng(0), Tracker()
    assert tracker.update([], 0) == []
    places = np.stack(np.meshgrid(np.arange(6), np.arange(5)), 2).reshape(-1, 2) * 70.0
    speed = rng.normal(0, 30, places.shape)
    for index in range(30):
        order = rng.permutation(30) if index else np.arange(30)
        now = places + speed * min(index / 30, 0.5) + rng.normal(0, 1, places.shape)
        numbers = tracker.update([face(*now[k], 60) for k in order], index / 30)
        assert numbers == [k + 1 for k in order]


def noise(seed, shape=(12, 16, 3), size=(320, 240)):
    """A picture of soft blobs, (240, 320, 3) uint8."""
    small = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def scene(step, background=1, x=40.0, y=60.0):
    """A textured face of 72 x 72 pixels that has moved by `step`, in a picture (240, 320, 3), and its true box."""
    image, patch = noise(background), noise(99, (18, 18, 3), (72, 72))
    move = np.float64([[1, 0, x + 4.5 * step], [0, 1, y + 2.25 * step]])
    cv2.warpAffine(patch, move, (320, 240), image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return image, (x + 4.5 * step, y + 2.25 * step, 72.0, 72.0)


class Find:
    """A detector that knows the answer and counts how often it is asked."""

    def __init__(self):
        self.faces, self.asked = [], 0

    def __call__(self, image):
        self.asked += 1
        return self.faces


def test_following_stays_on_a_face_between_detections():
    find = Find()
    follower = FlowTracker(find, every=5)
    for step in range(23):
        image, box = scene(step)
        points = np.float32([box[:2]] * 5)
        find.faces = [Detection(box, 0.8, points)]
        (found,) = follower.find(image)
        assert iou(found.box, box) > 0.95
        assert np.abs(found.landmarks - points).max() < 2
        assert found.landmarks.dtype == np.float32
        assert found.score == 0.8
    assert find.asked == 5


def test_large_pictures_are_followed_in_their_own_pixels():
    find = Find()
    follower = FlowTracker(find, every=9)
    for step in range(9):
        image, box = scene(step)
        box = tuple(4 * np.array(box))
        find.faces = [Detection(box, 0.8)]
        (found,) = follower.find(cv2.resize(image, None, fx=4, fy=4))
        assert iou(found.box, box) > 0.93
    assert find.asked == 1


def test_every_frame_is_searched_where_asked():
    find = Find()
    follower = FlowTracker(find, every=1)
    for step in range(4):
        image, box = scene(step)
        find.faces = [Detection(box, 0.8)]
        assert follower.find(image) == find.faces
    assert find.asked == 4


def test_lost_face_is_searched_at_once_and_dropped():
    find = Find()
    follower = FlowTracker(find, every=10)
    image, box = scene(0)
    find.faces = [Detection(box, 0.8)]
    follower.find(image)
    follower.find(scene(1)[0])
    assert find.asked == 1
    find.faces = []
    assert follower.find(noise(5)) == []
    assert find.asked == 2
    assert follower.find(noise(5)) == []
    assert find.asked == 2  # nothing to follow: the next one is due in time


def test_face_that_leaves_the_picture_does_not_break_following():
    find = Find()
    follower = FlowTracker(find, every=50)
    for step in range(50):
        image, box = scene(step, x=200.0)
        find.faces = [Detection(box, 0.8)] if box[0] < 300 else []
        follower.find(image)
    assert follower.find(image) == []


def test_cut_is_seen_and_movement_and_light_are_not():
    cuts = SceneCutDetector()
    wide = noise(3, size=(960, 480))
    assert not cuts.is_cut(wide[:240, :320])
    for step in range(10):
        view = wide[:240, 8 * step : 320 + 8 * step]
        assert not cuts.is_cut(cv2.convertScaleAbs(view, alpha=0.5 if step % 2 else 1.0))
    assert cuts.is_cut(wide[240:, 640:])
    assert not cuts.is_cut(wide[240:, 640:])


def test_face_that_moves_on_a_plain_ground_is_no_cut():
    cuts = SceneCutDetector()
    for step in range(8):
        image = np.full((240, 320, 3), 20, np.uint8)
        cv2.circle(image, (30 + 35 * step, 120), 20, (200, 200, 200), -1)
        assert not cuts.is_cut(image)


def test_cut_ends_the_tracks():
    tracker = Tracker()
    for index in range(5):
        assert tracker.update([face(100, 100)], index / 30, noise(1)) == [1]
    assert tracker.update([face(100, 100)], 5 / 30, noise(2)) == [2]
    assert tracker.update([face(100, 100)], 6 / 30, noise(2)) == [2]


def step_answer(tau, fps, change=3.0, seconds=6.0):
    """Times and smoothed probabilities where the first class gives way to the second at `change`."""
    smoother, at = Smoother(tau), times(seconds, fps)
    values = [np.float32([0.9, 0.1] if time < change else [0.1, 0.9]) for time in at]
    return np.array(at), np.stack([smoother(1, value, time) for value, time in zip(values, at, strict=True)])


@pytest.mark.parametrize("tau", [0.1, 0.4, 1.0])
def test_smoothing_is_the_same_at_any_frame_rate(tau):
    slow, fast = step_answer(tau, 10)[1], step_answer(tau, 60)[1]
    # A value counts for the interval before it: a slow frame knows what comes up to five fast ones later.
    assert np.abs(slow - fast[5::6]).max() < 1e-5


@pytest.mark.parametrize("fps", [10, 30, 60])
@pytest.mark.parametrize("tau", [0.2, 0.4, 1.0])
def test_real_change_is_followed_within_the_time_constant(tau, fps):
    at, values = step_answer(tau, fps, change=5 * tau, seconds=10 * tau)
    flip = at[values.argmax(1) == 1][0] - 5 * tau
    assert abs(flip - tau * math.log(2)) <= 1 / fps + 1e-6
    assert flip < tau
    assert np.allclose(values.sum(1), 1, atol=1e-5)


def test_first_value_and_one_after_long_absence_count_in_full():
    smoother = Smoother(0.4)
    first, other = np.float32([0.7, 0.3]), np.float32([0.2, 0.8])
    assert np.array_equal(smoother(1, first, 5.0), first)
    assert np.array_equal(smoother(2, other, 5.0), other)
    assert np.allclose(smoother(1, other, 5.0 + 4.0), other, atol=1e-4)
    assert smoother(1, first, 9.01).dtype == np.float32
    off = Smoother(0)
    off(1, first, 0.0)
    assert np.array_equal(off(1, other, 0.01), other)


def test_flicker_is_counted_and_lowered_by_smoothing():
    rng, smoother = np.random.default_rng(0), Smoother(0.4)
    raw, smooth = [], []
    for time in times(10, 30):
        noisy = np.exp(np.array([0.6 if time < 5 else 0.0, 0.3, 0.0 if time < 5 else 0.6]) + rng.normal(0, 0.5, 3))
        raw.append(int(noisy.argmax()))
        smooth.append(int(smoother(7, (noisy / noisy.sum()).astype(np.float32), time).argmax()))
    flicker = smoother.flicker[7]
    assert flicker.raw == sum(one != other for one, other in pairwise(raw))
    assert flicker.smooth == sum(one != other for one, other in pairwise(smooth))
    assert flicker.seconds == pytest.approx(10 - 1 / 30)
    assert flicker.rates[0] == pytest.approx(flicker.raw / flicker.seconds)
    assert 1 <= flicker.smooth < flicker.raw / 5
    assert smooth[0] == 0
    assert smooth[-1] == 2


def test_flicker_of_all_tracks_adds_up_and_their_memory_is_bounded():
    smoother, values = Smoother(0.0), np.eye(2, dtype=np.float32)
    for track in range(5000):
        for index in range(4 if track % 5 else 6):
            smoother(track, values[index % 2], track + index / 10)
    assert smoother.total.raw == smoother.total.smooth == 4000 * 3 + 1000 * 5
    assert smoother.total.rates[0] == pytest.approx(10)
    assert len(smoother.flicker) <= 2 * Smoother.KEPT
    assert len(smoother._states) < 100
    longest = [track for track in smoother.flicker if track % 5 == 0 and track < 4000]
    assert len(longest) > 700  # of 800: the long ones are kept


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 5), (7, 3), (12, 12), (60, 80)])
@pytest.mark.parametrize("kind", ["any", "many that are equal", "all equal"])
def test_pairs_are_the_cheapest(shape, kind):
    for seed in range(20):
        cost = np.random.default_rng(seed).uniform(-1, 1, shape)
        cost = {"any": cost, "many that are equal": cost.round(), "all equal": cost * 0}[kind]
        rows, columns = assign(cost)
        assert len(rows) == len(set(rows)) == len(set(columns)) == min(shape)
        assert cost[rows, columns].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum(), abs=1e-4)


def test_many_faces_are_followed_without_scipy():
    code = (
        "import sys; from fer.inference.tracking.tracker import Tracker; from fer.faces.detection import Detection\n"
        "import fer.inference.tracking.optical_flow, fer.inference.draw.timeline_plot\n"
        "tracker = Tracker()\n"
        "faces = [[Detection((x + y, 0, 9, 9), 1.0) for y in (0, 50)] for x in range(9)]\n"
        "for pair in faces: assert tracker.update(pair, 0.0)\n"
        "assert not {'scipy', 'matplotlib', 'torch', 'rich'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def read_clip(name):
    clip, frames = cv2.VideoCapture(str(MEDIA / name)), []
    while (frame := clip.read()[1]) is not None:
        frames.append(frame)
    return frames, clip.get(cv2.CAP_PROP_FPS)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not (MEDIA.is_dir() and YUNET), reason="FER_MEDIA names no folder or FER_YUNET no file")
@pytest.mark.parametrize("name", CLIPS)
def test_real_faces_are_followed_as_if_every_frame_was_searched(name):
    frames, _ = read_clip(name)
    net = cv2.FaceDetectorYN.create(YUNET, "", frames[0].shape[1::-1], 0.6)
    searched = [[Detection(tuple(row[:4]), row[14]) for row in net.detect(image)[1]] for image in frames]
    known = {id(image): faces for image, faces in zip(frames, searched, strict=True)}
    follower, overlaps = FlowTracker(lambda image: known[id(image)], every=3), []
    for image, faces in zip(frames, searched, strict=True):
        found = follower.find(image)
        overlaps += [max((iou(face.box, other.box) for other in found), default=0) for face in faces]
    assert np.mean(overlaps) > 0.92


@pytest.mark.real
@pytest.mark.skipif(not MEDIA.is_dir(), reason="FER_MEDIA names no folder")
@pytest.mark.parametrize(("name", "cuts"), [(CLIPS[0], []), (CLIPS[1], [20, 82, 211])])
def test_real_cuts_are_found(name, cuts):
    scenes = SceneCutDetector()
    assert [index for index, image in enumerate(read_clip(name)[0]) if scenes.is_cut(image)] == cuts
