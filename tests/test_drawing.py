"""What the overlay shows, and what it leaves free: heatmaps, boxes, labels and bars, in pictures of any size."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from fer.emotions import EMOTIONS, NOT_SURE
from fer.faces.crops import matrix
from fer.faces.detection import CropRegion, Detection, covered
from fer.inference.draw import annotate as drawing
from fer.inference.draw import blend
from fer.inference.draw.annotate import COLORMAPS, Style, annotate
from fer.inference.draw.bars import draw_bars
from fer.inference.draw.layout import SCREEN, bars_spot, label_spot, letter_sizes, readable
from fer.inference.results import FaceResult
from fer.palette import COLOURS, colours

CLASSES = EMOTIONS[:6]
PLAIN, FULL = Style(heatmap=False, bars=False), Style()

CROP = np.zeros((24, 24), np.uint8)


def picture(width: int, height: int, level: int = 128) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def seen(box, heatmap=None, emotion="happy", track=1, share=0.8, angle=0.0, classes=CLASSES) -> FaceResult:
    """One face; its region is a square on the middle of its box."""
    x, y, width, height = box
    probabilities = np.full(len(classes), (1 - share) / (len(classes) - 1), np.float32)
    probabilities[classes.index("happy" if emotion == NOT_SURE else emotion)] = share
    region = CropRegion((x + width / 2, y + height / 2), max(width, height), angle)
    return FaceResult(Detection(tuple(map(float, box)), 0.9), region, track, probabilities, emotion, heatmap, CROP)


def crowd(columns: int, rows: int, picture_width: int, picture_height: int, share: float = 0.4) -> list[tuple]:
    """Return boxes in a grid that fills a picture."""
    wide, high = picture_width / columns, picture_height / rows
    size = share * min(wide, high)
    return [
        (wide * (column + 0.2), high * (row + 0.3), size * 0.75, size)
        for row in range(rows)
        for column in range(columns)
    ]


def changed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first != second).any(2)


def within(mask: np.ndarray, box) -> np.ndarray:
    x, y, width, height = (round(value) for value in box)
    return mask[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]


def test_input_is_left_alone_and_nothing_seen_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    before = image.copy()
    assert np.array_equal(annotate(image, [], CLASSES, Style()), image)
    drawn = annotate(
        image, [seen((50, 40, 40, 50), np.ones((48, 48), np.float32))], CLASSES, Style(mirror=True, fps="30 fps")
    )
    assert np.array_equal(image, before)
    assert (drawn.shape, drawn.dtype) == (image.shape, image.dtype)
    assert not np.array_equal(drawn, image[:, ::-1])


def test_hottest_spot_has_the_opacity_and_the_colour_that_were_asked_for():
    image = picture(200, 200, 90)
    face = seen((60, 60, 80, 80), np.ones((48, 48), np.float32))
    for name, constant in COLORMAPS.items():
        hottest = cv2.applyColorMap(np.full((1, 1), 255, np.uint8), constant)[0, 0].astype(float)
        for alpha in (0.0, 0.5, 1.0):
            drawn = annotate(image, [face], CLASSES, Style(bars=False, faint=False, alpha=alpha, colormap=name))
            assert np.abs(drawn[100, 100] - (alpha * hottest + (1 - alpha) * 90)).max() <= 2


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_heatmap_is_on_the_face_only_and_fades_towards_the_edge(angle):
    image, region = picture(300, 300), CropRegion((150, 150), 100, angle)
    hot = seen((10, 10, 20, 20), np.ones((48, 48), np.float32))._replace(region=region)
    with_heat, without = (
        annotate(image, [hot], CLASSES, Style(bars=False, faint=False, heatmap=on)) for on in (True, False)
    )
    difference = np.abs(with_heat.astype(int) - without).max(2)
    affine = matrix(region, 48)
    corners = affine @ np.array([[0, 47, 47, 0], [0, 0, 47, 47], [1, 1, 1, 1]])
    square = cv2.fillPoly(np.zeros((300, 300), np.uint8), [np.rint(corners.T).astype(np.int32)], 1)
    assert difference[cv2.dilate(square, np.ones((7, 7))) == 0].max() == 0
    x, y = np.rint(affine @ np.array([np.arange(24), np.full(24, 23.5), np.ones(24)])).astype(int)
    fading = difference[y, x] / difference[150, 150]  # from the edge to the middle
    assert difference[150, 150] > 60
    assert fading[0] < 0.1
    assert np.diff(fading).max() < 0.25
    assert fading[12:].min() > 0.95


def test_turned_heatmap_lies_where_an_upright_one_does():
    image = picture(800, 800)
    heat = cv2.resize(np.random.default_rng(0).random((6, 6), np.float32), (48, 48))
    upright, turned = (
        annotate(image, [seen((21, 33, 700, 700), heat, angle=a)], CLASSES, Style()) for a in (0.0, 0.01)
    )
    assert np.abs(upright.astype(int) - turned).max() <= 6


def tint(side: float, style: Style, heat: float = 1.0, level: int = 128) -> int:
    """Return how much a heatmap that is everywhere as hot changes the gray in the middle of a face of that side."""
    box = (400 - side / 2, 400 - side / 2, side, side)
    face = seen(box, np.full((48, 48), heat, np.float32))
    return int(np.abs(annotate(picture(800, 800, level), [face], CLASSES, style)[400, 400].astype(int) - level).max())


def test_heatmap_is_as_opaque_as_hot_and_where_it_is_cold_one_sees_the_face():
    style = Style(bars=False, colormap="jet")  # both of its ends are equally far from gray
    full = tint(300, style)
    assert full > 50
    assert tint(300, style, 0.0) == 0
    assert tint(300, style, 0.25) < full / 3


def test_heatmaps_of_small_faces_are_faint_or_left_out_unless_they_are_asked_for():
    for side in (20, 48, 64):
        assert tint(side, Style(bars=False)) == 0
    growing = [tint(side, Style(bars=False)) for side in (80, 120, 180, 300)]
    assert growing == sorted(set(growing))
    assert growing[0] < growing[-1] / 5
    for side in (20, 48, 64, 120, 300):
        assert tint(side, Style(bars=False, faint=False)) == pytest.approx(growing[-1], abs=2)


def test_a_dark_face_is_seen_under_its_heatmap():
    style = Style(bars=False, colormap="viridis")  # the hottest is bright
    bright, dark, darker, black = (tint(300, style, level=level) for level in (64, 30, 10, 0))
    assert bright > 80
    assert dark < 0.7 * bright
    assert darker < 0.3 * bright
    assert black == 0
    assert tint(300, replace(style, faint=False), level=10) > 80


@pytest.mark.parametrize(
    ("angle", "place"), [(0.0, (150, 120)), (90.0, (180, 150)), (-90.0, (120, 150)), (180.0, (150, 180))]
)
def test_heatmap_turns_with_the_face(angle, place):
    heat = np.zeros((48, 48), np.float32)
    heat[7:12, 21:27] = 1  # at the forehead
    image = picture(300, 300)
    with_heat, without = (
        annotate(image, [seen((100, 100, 100, 100), one, angle=angle)], CLASSES, Style(bars=False, faint=False))
        for one in (heat, 0 * heat)
    )
    difference = np.abs(with_heat.astype(int) - without).sum(2)
    y, x = np.unravel_index(difference.argmax(), difference.shape)
    assert abs(x - place[0]) < 8
    assert abs(y - place[1]) < 8


def test_mirrored_frame_has_mirrored_faces_but_readable_text():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    heat = np.random.default_rng(1).random((48, 48)).astype(np.float32)
    style, other = Style(faint=False, fps="9 fps"), np.ascontiguousarray(image[:, ::-1])
    mirrored = annotate(image, [seen((40, 60, 60, 80), heat)], CLASSES, replace(style, mirror=True))
    other = annotate(other, [seen((220, 60, 60, 80), heat[:, ::-1])], CLASSES, style)
    assert np.abs(mirrored.astype(int) - other).max() <= 3


SCENES = {
    "webcam": (320, 240, [(110, 60, 80, 100)]),
    "close": (320, 240, [(70, 20, 160, 210)]),
    "fills": (320, 240, [(-20, -10, 330, 260)]),
    "pair": (640, 360, [(150, 80, 110, 150), (330, 90, 110, 150)]),
    "corners": (640, 480, [(-40, -30, 120, 150), (560, -30, 120, 150), (-40, 380, 120, 150), (560, 380, 120, 150)]),
    "4k": (3840, 2160, [(1500, 600, 600, 800)]),
    "group": (4000, 3000, crowd(8, 5, 4000, 3000, 0.25)),
    "large": (2280, 1588, [(1353, 364, 794, 936), (167, 545, 851, 942)]),
    "sixteen": (640, 480, crowd(4, 4, 640, 480)),
    "many": (640, 480, crowd(8, 6, 640, 480, 0.8)),
    "touching": (640, 480, [(64 * i, 48 * j, 64, 48) for i in range(10) for j in range(10)]),
}


@pytest.fixture
def written(monkeypatch) -> Callable:
    """Return a function that draws faces and returns each one's text: size and place of its label and of its bars."""

    def write(width, height, boxes, style=FULL, classes=CLASSES) -> tuple[list[tuple], list[tuple]]:
        labels, bars, tag = [], [], blend.tag
        monkeypatch.setattr(blend, "tag", lambda *of: (labels.append((of[3], of[1])), tag(*of)))
        monkeypatch.setattr(drawing, "draw_bars", lambda *of: (bars.append((of[2], of[1])), draw_bars(*of)))
        faces = [
            seen(box, emotion=classes[index % len(classes)], track=index + 1, classes=classes)
            for index, box in enumerate(boxes)
        ]
        annotate(picture(width, height), faces, classes, style)
        return labels, bars

    return write


@pytest.mark.parametrize("name", SCENES)
def test_text_can_be_read_and_covers_no_face_and_no_other_text(name, written):
    width, height, boxes = SCENES[name]
    labels, bars = written(width, height, boxes)
    shrunk = min(SCREEN[0] / width, SCREEN[1] / height, 1)
    assert all(size * shrunk >= 9 for size, _ in (*labels, *bars))
    places = [place for _, place in (*labels, *bars)]
    areas = np.array([place[2] * place[3] for place in places])
    assert (covered(places, places).sum(1) == areas).all()  # each covers itself alone
    assert (covered(places, [(0, 0, width, height)])[:, 0] == areas).all()
    faces = [tuple(round(value) for value in box) for box in boxes]
    hidden = covered(faces, places) / np.array([box[2] * box[3] for box in faces])[:, None]
    assert hidden[:, len(labels) :].max(initial=0) == 0
    assert hidden[:, : len(labels)].max(initial=0) <= (0.1 if name == "fills" else 0)


@pytest.mark.parametrize(
    ("name", "labels", "bars", "letters"),
    [
        ("webcam", 1, 1, 9),
        ("close", 1, 0, 9),  # neither at its left nor at its right is room for letters that can be read
        ("fills", 1, 0, 9),
        ("pair", 2, 2, 10),
        ("4k", 1, 1, 60),
        ("large", 2, 2, 30),
        ("group", 40, 40, 24),
        ("touching", 0, 0, 0),
    ],
)
def test_faces_get_label_and_bars_as_far_as_there_is_room(name, labels, bars, letters, written):
    found = written(*SCENES[name])
    assert (len(found[0]), len(found[1])) == (labels, bars)
    assert all(size >= letters for size, _ in (*found[0], *found[1]))


def test_one_face_without_room_changes_nothing_for_the_others(written):
    alone = written(1200, 900, [(800, 500, 160, 200)])
    beside = written(1200, 900, [(800, 500, 160, 200), *((40 * i, 0, 38, 50) for i in range(10))])
    assert beside[1][0] == alone[1][0]
    assert beside[0][0] == alone[0][0]


def test_label_and_bars_of_a_face_have_letters_of_one_size(written):
    for boxes in ([(90, 40, 160, 210)], [(60, 80, 200, 260)], [(300, 100, 100, 120)]):
        [(label, _)], [(bars, _)] = written(480, 360, boxes)
        assert label == bars


@pytest.mark.parametrize("style", [Style(bars=False), Style(labels=False), Style(bars=False, labels=False)])
def test_labels_and_bars_can_be_left_out(style, written):
    labels, bars = written(*SCENES["pair"], style)
    assert (len(labels), len(bars)) == (2 * style.labels, 2 * style.bars)


def test_letters_follow_the_face_in_steps_down_to_what_can_be_read():
    assert [readable(size) for size in ((96, 96), (640, 480), (1500, 1125), (4000, 3000), (3000, 4000))] == [
        *(9, 9, 9, 24, 24)
    ]
    assert readable((20_000, 1000)) == 12  # one looks at it part by part
    for size in ((640, 480), (1920, 1080), (4000, 3000)):
        firsts = [letter_sizes(size, height)[0] for height in range(10, size[1])]
        assert firsts == sorted(firsts)
        assert (firsts[0], firsts[-1]) == (readable(size), round(0.03 * size[1]))
        steps = sorted(set(firsts))
        assert all(larger / smaller > 1.15 for smaller, larger in pairwise(steps))  # no trembling
        assert letter_sizes(size, size[1]) == steps[::-1]


def test_bars_go_beside_the_face_and_off_everything_else():
    box, label, size, picture = (100, 100, 60, 80), (95, 82, 80, 18), (70, 60), (400, 400)
    right, left, below = (164, 100, 70, 60), (26, 100, 70, 60), (100, 184, 70, 60)

    def spot(size, picture, taken):
        return bars_spot(box, label, size, picture, taken, 4)

    assert spot(size, picture, []) == right
    assert spot(size, picture, [(164, 90, 50, 20)]) == (164, 120, 70, 60)
    assert spot(size, picture, [(190, 120, 50, 50)]) == left
    assert spot(size, (200, 400), [(0, 130, 99, 9)]) == below
    walls = [(165, 0, 235, 400), (0, 0, 95, 400), (0, 0, 400, 98), (0, 182, 400, 218)]
    assert spot(size, picture, walls) is None
    assert spot((30, 30), picture, walls) is None  # not on the face
    assert spot((401, 60), picture, []) is None


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("emotion", list(COLOURS))
def test_labels_can_be_read_and_boxes_be_seen_on_any_background(emotion, level):
    width, height = blend.tag_size(emotion, 20)
    image = picture(width, height, level)
    blend.tag(image, (0, 0, width, height), emotion, 20, COLOURS[emotion][::-1])
    plate, letters = image[2, width // 2], image[:, 10:-10].reshape(-1, 3)
    letters = letters[np.abs(letters.astype(int) - plate).sum(1).argmax()]
    assert contrast(plate, letters) >= 3
    image = picture(100, 100, level)
    drawn = annotate(image, [seen((30, 40, 40, 40), emotion=emotion, classes=EMOTIONS)], EMOTIONS, PLAIN)
    across = drawn[60, 25:35].astype(int)
    assert max(contrast(line, image[0, 0]) for line in across) >= 2
    assert np.abs(across - COLOURS[emotion][::-1]).sum(1).min() == 0


def contrast(first, second) -> float:
    """Return the ratio of two colours' luminances, as the Web Content Accessibility Guidelines define it."""
    shares = np.array([first, second])[:, ::-1] / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ (0.2126, 0.7152, 0.0722) + 0.05)
    return high / low


def test_label_goes_above_or_below_its_face_or_to_its_edge_or_nowhere():
    picture, box, size = (200, 200), (80, 80, 40, 40), (70, 20)
    above, below = (79, 60, 70, 20), (79, 120, 70, 20)
    assert label_spot(box, size, picture, []) == above
    assert label_spot(box, size, picture, [(100, 50, 40, 20)]) == below
    assert label_spot(box, size, picture, [(125, 0, 40, 200)]) is None
    assert label_spot((170, 30, 60, 60), size, picture, []) == (130, 10, 70, 20)  # moved into the picture
    whole = (0, 0, 200, 200)
    assert label_spot(whole, size, picture, []) is None
    assert label_spot(whole, size, picture, [], own=True) == (0, 0, 70, 20)
    assert label_spot((0, 0, 48, 48), (48, 14), (48, 48), [], own=True) is None  # it would hide too much


@pytest.mark.parametrize("side", [48, 96, 300, 1500])
def test_strip_beside_a_picture_that_is_a_face_shows_label_and_bars_that_can_be_read(side):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    face = seen((0, 0, side, side), track=None)
    drawn = annotate(image, [face], CLASSES, Style(strip=True))
    assert np.array_equal(drawn[:side, :side], image)
    height, width = drawn.shape[:2]
    assert (height > side) != (width > side) or side < 100  # to the right or below; a tiny one gets a larger strip
    letters = max(9, round(0.02 * side))
    strip = drawn[:, side:] if width > side else drawn[side:]
    assert min(strip.shape[:2]) > 7 * 1.4 * letters  # a label and six rows
    happy = (strip == COLOURS["happy"][::-1]).all(2).sum(1)
    assert happy.max() > 5 * letters  # the label
    assert happy[np.flatnonzero(happy).max()] == round(0.8 * 5 * letters)  # the bar
    for style in (Style(strip=True, bars=False, labels=False), Style(strip=True, bars=False)):
        smaller = annotate(image, [face], CLASSES, style)
        assert smaller.size < drawn.size
        assert (smaller.size > image.size) == style.labels


def test_classes_of_any_name_are_drawn_in_colours_of_their_own(written):
    classes = ("bored", "happy", "tired of all this")
    labels, bars = written(640, 480, [(200, 100, 100, 120)], classes=classes)
    assert (len(labels), len(bars)) == (1, 1)
    image = picture(640, 480)
    drawn = annotate(image, [seen((200, 100, 100, 120), emotion="bored", classes=classes)], classes, PLAIN)
    assert (drawn == colours(classes)["bored"][::-1]).all(2).sum() > 500


def test_answer_and_its_share_are_written_but_no_share_of_not_sure():
    image = picture(200, 150)

    def drawn(emotion, share, track=1):
        return annotate(image, [seen((60, 50, 50, 60), emotion=emotion, share=share, track=track)], CLASSES, PLAIN)

    assert not np.array_equal(drawn("happy", 0.8), drawn("happy", 0.7))
    assert not np.array_equal(drawn("happy", 0.8), drawn("happy", 0.8, track=2))
    assert np.array_equal(drawn(NOT_SURE, 0.3), drawn(NOT_SURE, 0.25))
    assert not np.array_equal(drawn(NOT_SURE, 0.3), drawn("happy", 0.3))


def test_bars_are_as_long_as_the_probabilities():
    image = picture(640, 480)
    long = {}
    for share in (0.4, 0.8):
        drawn = annotate(image, [seen((100, 100, 100, 120), share=share)], CLASSES, Style(heatmap=False))
        plain = annotate(image, [seen((100, 100, 100, 120), share=share)], CLASSES, PLAIN)
        bars = changed(drawn, plain) & (drawn == COLOURS["happy"][::-1]).all(2)
        long[share] = bars.sum(1).max()
    assert long[0.8] == pytest.approx(2 * long[0.4], abs=2)


@pytest.mark.parametrize("box", [(-100, 20, 60, 60), (20, 300, 60, 60), (1000, 1000, 5, 5)])
def test_face_beyond_the_border_is_not_drawn(box):
    image = picture(200, 150)
    assert np.array_equal(annotate(image, [seen(box, np.ones((48, 48), np.float32))], CLASSES, Style()), image)


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (20, 400), (400, 20)])
@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_small_and_narrow_pictures_are_drawn(size, angle):
    image = picture(*size)
    face = seen((0, 0, *size), np.ones((48, 48), np.float32), angle=angle)
    drawn = annotate(image, [face], CLASSES, Style(fps="30 fps"))
    assert drawn.shape == image.shape
    assert changed(drawn, image).any()


def test_frames_per_second_are_in_the_corner():
    image = picture(640, 480)
    y, x = np.nonzero(changed(annotate(image, [], CLASSES, Style(fps="30 fps")), image))
    assert y.max() < 60
    assert 20 < x.max() < 120
