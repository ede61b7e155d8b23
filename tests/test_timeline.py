import io

import numpy as np
import pytest
from rich.console import Console

from fer.emotions import EMOTIONS, NOT_SURE, class_names
from fer.faces.detection import CropRegion, Detection
from fer.inference import timeline as module
from fer.inference.draw.timeline_plot import timeline_figure, timeline_picture
from fer.inference.results import FaceResult
from fer.inference.timeline import Timeline, clock, summary
from fer.inference.tracking.smoothing import Flicker
from fer.palette import COLOURS, colours

CLASSES = class_names(6)

CROP = np.zeros((24, 24), np.uint8)


def seen(track, emotion, sure=True):
    """A face of which the net says one emotion with 0.75."""
    probabilities = np.full(6, 0.05, np.float32)
    probabilities[CLASSES.index(emotion)] = 0.75
    face = Detection((0.0, 0.0, 9.0, 9.0), 1.0)
    return FaceResult(
        face, CropRegion((4.5, 4.5), 9.0), track, probabilities, emotion if sure else NOT_SURE, None, CROP
    )


def clip(seconds, tracks, fps=25, start=0.0):
    """A timeline of faces, each (track, emotion, from, to) or with a fifth entry, whether the answer is sure."""
    timeline = Timeline(CLASSES)
    for index in range(round(seconds * fps)):
        time = index / fps
        faces = [seen(track, emotion, *sure) for track, emotion, first, last, *sure in tracks if first <= time < last]
        timeline.add(start + time, faces)
    return timeline


def text(grid):
    console = Console(file=io.StringIO(), width=120)
    console.print(grid)
    return console.file.getvalue()


def picture(timeline):
    """The picture as red-green-blue, signed to be subtracted."""
    return timeline_picture(timeline, "clip.mp4")[..., ::-1].astype(int)


def where(image, colour):
    """(H, W) bool: the pixels of a colour."""
    return (np.abs(image - colour).max(2) <= 2) if isinstance(colour, tuple) else image == colour


def row(image):
    """The part of a picture with the rows' areas and strips."""
    return image[135:, 233:1163]


def test_every_emotion_has_a_colour_of_its_own():
    assert set(COLOURS) == {*EMOTIONS, NOT_SURE}
    colours = np.array(list(COLOURS.values()))
    apart = np.abs(colours[:, None] - colours).sum(2)
    assert apart[~np.eye(len(colours), dtype=bool)].min() > 60


def test_classes_of_other_names_get_colours_of_their_own_that_stay():
    others = [f"mood {number}" for number in range(14)]
    chosen = colours([*EMOTIONS, *others])
    assert {name: chosen[name] for name in COLOURS} == COLOURS
    assert len(set(chosen.values())) == len(COLOURS) + len(others)
    assert [colours(["happy", *others[:3]])[name] for name in others[:3]] == [chosen[name] for name in others[:3]]
    assert colours(["bored"])["bored"] == chosen["mood 0"]
    first = np.array([*COLOURS.values(), *(chosen[name] for name in others[:6])])
    apart = np.abs(first[:, None] - first).sum(2)
    assert apart[~np.eye(len(first), dtype=bool)].min() > 60
    shares = np.array([chosen[name] for name in others]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (luminance + 0.05).min() >= 3 * 0.05  # contrast to black, as of the emotions
    assert 1.05 / (luminance + 0.05).max() >= 1.8  # and to white


def test_picture_has_classes_of_any_name():
    timeline = Timeline(("bored", "happy"))
    face = seen(1, "happy")._replace(probabilities=np.float32([0.8, 0.2]), emotion="bored")
    for index in range(50):
        timeline.add(index / 25, [face])
    areas = row(picture(timeline))
    assert where(areas, colours(("bored", "happy"))["bored"]).sum() > where(areas, COLOURS["happy"]).sum() > 5000


def test_memory_is_bounded_and_nothing_is_lost_in_bins():
    timeline, happy, sad = Timeline(CLASSES), [seen(1, "happy")], [seen(1, "sad")]
    for index in range(100_000):
        timeline.add(index / 25, happy if index < 50_000 else sad)
    (record,) = timeline.longest
    assert len(record.bins) <= module.BINS
    assert max(record.bins) < module.BINS
    assert sum(sums[-1] for sums in record.bins.values()) == 100_000
    places = sorted(record.bins)
    means = np.stack([record.bins[place][:6] / record.bins[place][-1] for place in places])
    halfway = 2000 / timeline.width
    assert (means[: int(halfway)].argmax(1) == CLASSES.index("happy")).all()
    assert (means[int(halfway) + 1 :].argmax(1) == CLASSES.index("sad")).all()
    assert np.allclose(means.sum(1), 1, atol=1e-5)
    assert record.seconds == pytest.approx(4000, rel=1e-3)
    assert record.shares() == [("happy", 0.5), ("sad", 0.5)]


def test_long_gap_in_time_is_no_trouble():
    timeline = Timeline(CLASSES)
    timeline.add(0.0, [seen(1, "happy")])
    timeline.add(1e7, [seen(2, "sad")])
    assert [len(record.bins) for record in timeline.longest] == [1, 1]
    assert max(timeline.longest[1].bins) < module.BINS
    assert timeline.longest[1].seconds == 0


def test_many_short_tracks_are_counted_and_forgotten():
    timeline = Timeline(CLASSES)
    for index in range(6000):
        guests = [seen(10 + index // 2, "happy")]
        timeline.add(index / 10, [*guests, seen(2, "sad")] if 1000 < index < 1100 else guests)
    assert len(timeline._tracks) <= 2 * module.KEPT + 10 * module.ENDED
    assert 2 in [record.number for record in timeline.longest]
    assert timeline.left_out == 3001 - module.MAX_TRACKS


def test_time_in_sight_leaves_absences_out():
    timeline = clip(10, [(3, "happy", 1, 4), (3, "sad", 7, 9)])
    (record,) = timeline.longest
    assert record.seconds == pytest.approx(5, abs=0.1)
    assert (record.start, record.end) == pytest.approx((1, 9), abs=0.05)
    assert record.shares() == [("happy", 0.6), ("sad", 0.4)]
    assert (timeline.frames, timeline.with_faces) == (250, 125)
    assert record.shares(least=0.4) == record.shares()
    assert record.shares(least=0.41) == [("happy", 0.6)]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (0.04, "0:00"), (0.44, "0:00.4"), (0.96, "0:01"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")],
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_summary_states_frames_speed_shares_and_flicker():
    timeline = clip(10, [(3, "happy", 1, 4), (3, "sad", 4, 5), (8, "fear", 0, 2, False)])
    shown = text(summary(timeline, {3: Flicker(4.0, 10, 2)}, elapsed=5.0))
    assert "250 frames in 5.0 s (50.0 a second), 125 of them with faces" in shown
    third, eighth = (next(line for line in shown.splitlines() if f" {n} │" in line) for n in (3, 8))
    for part in ("0:01", "0:05", "4.0 s", "happy 75%, sad 25%", "2.5, smoothed 0.5"):
        assert part in third
    assert "not sure 100%" in eighth
    assert "more track" not in shown


def test_summary_of_many_tracks_and_of_none():
    many = clip(4, [(track, "happy", 0, 4 - track / 5) for track in range(1, 13)])
    shown = text(summary(many, {}, 1.0))
    assert "and 4 more tracks, in sight for less time" in shown
    assert [record.number for record in many.longest] == list(range(1, 9))
    assert "0 frames" in text(summary(Timeline(CLASSES), {}, 0.0))


@pytest.mark.parametrize("tracks", [0, 1, 8, 9])
def test_picture_has_a_row_for_each_of_the_longest_tracks(tracks):
    figure = timeline_figure(clip(2, [(track, "happy", 0, 2) for track in range(tracks)]), "clip.mp4")
    assert len(figure.axes) == min(tracks, 8)
    texts = [text.get_text() for text in figure.texts]
    assert ("no faces" in texts) == (tracks == 0)
    assert ("and 1 more track, in sight for less time" in texts) == (tracks == 9)
    assert [label.get_text() for label in figure.legends[0].get_texts()] == list(CLASSES)


@pytest.mark.parametrize(("seconds", "fps", "start"), [(10, 25, 0.0), (10, 1, 0.0), (7200, 1, 40.0)])
def test_picture_shows_each_emotion_when_it_was(seconds, fps, start):
    half, rest = seconds / 2, 0.8 * seconds
    image = row(picture(clip(seconds, [(1, "happy", 0, half), (1, "sad", rest, seconds)], fps, start)))
    width = image.shape[1]
    happy, sad = (where(image, COLOURS[name]).sum(0) for name in ("happy", "sad"))
    assert (happy[20 : int(0.42 * width)] > 60).all()
    assert (sad[int(0.86 * width) : -20] > 60).all()
    assert (happy[int(0.62 * width) :] < 20).all()
    absent = image[:110, int(0.62 * width) : int(0.72 * width)]
    assert (absent > 200).all()  # white, or a line of the grid


def test_faces_without_a_sure_answer_are_marked():
    sure, unsure = (picture(clip(4, [(1, "happy", 0, 4, flag)])) for flag in (True, False))
    assert not where(row(sure), COLOURS[NOT_SURE]).any()
    assert where(row(unsure), COLOURS[NOT_SURE]).sum() > 5000
    assert where(row(unsure), COLOURS["happy"]).sum() > 20_000  # what the net said all the same


@pytest.mark.parametrize(("unsure", "answer"), [(1, "happy"), (2, NOT_SURE)])
def test_a_stretch_of_time_has_no_answer_where_most_of_its_frames_have_none(unsure, answer):
    timeline = Timeline(CLASSES)
    for number in range(3 if unsure == 2 else 2):  # within one bin
        timeline.add(number / 1000, [seen(1, "happy", sure=number >= unsure)])
    strip = timeline_figure(timeline, "clip.mp4").axes[0].collections[-1]
    assert strip.get_array()[0].tolist() == [list(COLOURS[answer])]


def test_brief_track_can_be_seen_in_a_long_clip():
    timeline = clip(3900, [(1, "happy", 0, 3900), (2, "sad", 1800, 1800.4)], fps=2)
    columns = where(row(picture(timeline)), COLOURS["sad"]).sum(0)
    assert 1 <= (columns > 60).sum() <= 4


@pytest.mark.parametrize(("seconds", "fps"), [(60, 1), (5000, 1)])
def test_low_frame_rate_and_wide_bins_do_not_break_a_track_into_pieces(seconds, fps):
    (axes,) = timeline_figure(clip(seconds, [(1, "happy", 0, seconds)], fps), "clip.mp4").axes
    assert len(axes.collections) == len(CLASSES) + 1


@pytest.mark.filterwarnings("error")
def test_one_frame_makes_a_picture_under_any_name():
    timeline = Timeline(CLASSES)
    timeline.add(5.0, [seen(1, "happy")])
    image = timeline_picture(timeline, r"表情 😀 $\bad$.mp4")
    assert image.shape[1:] == (1200, 3)
    assert image.dtype == np.uint8
    assert where(image, COLOURS["happy"][::-1]).sum() > 10_000
