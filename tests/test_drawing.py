"""What the overlay shows, and what it leaves free: heatmaps, boxes, labels and bars, in pictures of any size."""

import cv2
import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.inference import stamps
from fer.inference.crops import matrix
from fer.inference.drawing import COLORMAPS, Style, draw
from fer.inference.faces import NOT_SURE, Face, Region, Seen
from fer.inference.layout import Card, bars_spot, label_spot
from fer.inference.palette import COLOURS

CLASSES = EMOTIONS[:6]
PLAIN = Style(heatmap=False, bars=False)


def picture(width: int, height: int, level: int = 128) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def seen(box, heatmap=None, emotion="happy", track=1, share=0.8, angle=0.0, classes=CLASSES) -> Seen:
    """One face; its region is a square on the middle of its box."""
    x, y, width, height = box
    probabilities = np.full(len(classes), (1 - share) / (len(classes) - 1), np.float32)
    probabilities[classes.index("happy" if emotion == NOT_SURE else emotion)] = share
    region = Region((x + width / 2, y + height / 2), max(width, height), angle)
    return Seen(Face(tuple(map(float, box)), 0.9), region, track, probabilities, emotion, heatmap)


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
    assert np.array_equal(draw(image, [], CLASSES, Style()), image)
    drawn = draw(
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
            drawn = draw(image, [face], CLASSES, Style(bars=False, alpha=alpha, colormap=name))
            assert np.abs(drawn[100, 100] - (alpha * hottest + (1 - alpha) * 90)).max() <= 2


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_heatmap_is_on_the_face_only_and_fades_towards_the_edge(angle):
    image, region = picture(300, 300), Region((150, 150), 100, angle)
    hot = seen((10, 10, 20, 20), np.ones((48, 48), np.float32))._replace(region=region)
    with_heat, without = (draw(image, [hot], CLASSES, Style(bars=False, heatmap=on)) for on in (True, False))
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
    upright, turned = (draw(image, [seen((21, 33, 700, 700), heat, angle=a)], CLASSES, Style()) for a in (0.0, 0.01))
    assert np.abs(upright.astype(int) - turned).max() <= 6


def test_cold_parts_show_the_face_and_no_heatmap_shows_all_of_it():
    image = picture(300, 300)
    cold, none = (seen((100, 100, 100, 100), heat) for heat in (np.zeros((48, 48), np.float32), None))
    warm = seen((100, 100, 100, 100), np.ones((48, 48), np.float32))
    style = Style(bars=False, colormap="jet")  # both of its ends are equally far from gray
    change = [
        int(np.abs(draw(image, [one], CLASSES, style)[150, 150].astype(int) - 128).max()) for one in (none, cold, warm)
    ]
    assert change[0] == 0
    assert 0 < change[1] < change[2] / 3


@pytest.mark.parametrize(
    ("angle", "place"), [(0.0, (150, 120)), (90.0, (180, 150)), (-90.0, (120, 150)), (180.0, (150, 180))]
)
def test_heatmap_turns_with_the_face(angle, place):
    heat = np.zeros((48, 48), np.float32)
    heat[7:12, 21:27] = 1  # at the forehead
    image = picture(300, 300)
    with_heat, without = (
        draw(image, [seen((100, 100, 100, 100), one, angle=angle)], CLASSES, Style(bars=False))
        for one in (heat, 0 * heat)
    )
    difference = np.abs(with_heat.astype(int) - without).sum(2)
    y, x = np.unravel_index(difference.argmax(), difference.shape)
    assert abs(x - place[0]) < 8
    assert abs(y - place[1]) < 8


def test_mirrored_frame_has_mirrored_faces_but_readable_text():
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    heat = np.random.default_rng(1).random((48, 48)).astype(np.float32)
    mirrored = draw(image, [seen((40, 60, 60, 80), heat)], CLASSES, Style(mirror=True, fps="9 fps"))
    other = draw(
        np.ascontiguousarray(image[:, ::-1]), [seen((220, 60, 60, 80), heat[:, ::-1])], CLASSES, Style(fps="9 fps")
    )
    assert np.abs(mirrored.astype(int) - other).max() <= 3


SCENES = {
    "webcam": (320, 240, [(110, 60, 80, 100)]),
    "close": (320, 240, [(70, 20, 160, 210)]),
    "fills": (320, 240, [(-20, -10, 330, 260)]),
    "pair": (640, 360, [(150, 80, 110, 150), (330, 90, 110, 150)]),
    "corners": (640, 480, [(-40, -30, 120, 150), (560, -30, 120, 150), (-40, 380, 120, 150), (560, 380, 120, 150)]),
    "4k": (3840, 2160, [(1500, 600, 600, 800)]),
    "sixteen": (640, 480, crowd(4, 4, 640, 480)),
    "many": (640, 480, crowd(8, 6, 640, 480, 0.8)),
}


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize(("width", "height", "boxes"), SCENES.values(), ids=SCENES)
def test_bars_cover_faces_only_where_one_face_leaves_no_other_room(width, height, boxes, level):
    image = picture(width, height, level)
    faces = [seen(box, emotion=CLASSES[index % 6], track=index + 1) for index, box in enumerate(boxes)]
    bars = changed(draw(image, faces, CLASSES, PLAIN), draw(image, faces, CLASSES, Style(heatmap=False)))
    assert bars.any() or len(boxes) > 20
    for box in boxes:
        assert within(bars, box).mean() <= (0.26 if box[2] > width / 2 - 1 else 0)


def test_bars_go_beside_the_face_and_off_everything_else():
    card = Card((100, 100, 60, 80), (95, 82, 80, 18), "happy", 12, (0, 0, 0), np.ones(6))
    size, picture = (70, 60), (400, 400)
    right, left, below = (179, 100, 70, 60), (21, 100, 70, 60), (100, 184, 70, 60)
    assert bars_spot(card, size, picture, [card.label], 0) == right
    assert bars_spot(card, size, picture, [card.label, (240, 150, 50, 50)], 0) == left
    assert bars_spot(card, size, (200, 400), [card.label, (0, 130, 99, 9)], 0) == below
    walls = [(165, 0, 235, 400), (0, 0, 95, 400), (0, 0, 400, 98), (0, 182, 400, 218)]
    assert bars_spot(card, size, picture, walls, 0.25) is None
    assert bars_spot(card, (30, 30), picture, walls, 0.25) == (126, 146, 30, 30)  # in the face's lower corner
    assert bars_spot(card, (30, 30), picture, walls, 0.1) is None
    assert bars_spot(card, (401, 60), picture, [], 0) is None
    assert bars_spot(card, (90, 60), (240, 400), walls[1:], 0.25) is None  # larger than the face: it would be lost


@pytest.mark.parametrize("name", ["4k", "close"])
def test_sizes_follow_the_picture_and_the_face(name):
    width, height, boxes = SCENES[name]
    image = picture(width, height)
    words = changed(draw(image, [seen(boxes[0])], CLASSES, PLAIN), image)
    rows = np.flatnonzero(words.any(1))
    box = np.flatnonzero(changed(draw(image, [seen(boxes[0], track=None)], CLASSES, PLAIN), image).any(1))
    assert rows[0] == box[0]
    above = boxes[0][1] - rows[0]
    assert 0.03 * height < above < 0.08 * height


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("emotion", list(COLOURS))
def test_labels_can_be_read_and_boxes_be_seen_on_any_background(emotion, level):
    width, height = stamps.tag_size(emotion, 20)
    image = picture(width, height, level)
    stamps.tag(image, (0, 0, width, height), emotion, 20, COLOURS[emotion][::-1])
    plate, letters = image[2, width // 2], image[:, 10:-10].reshape(-1, 3)
    letters = letters[np.abs(letters.astype(int) - plate).sum(1).argmax()]
    assert contrast(plate, letters) >= 3
    image = picture(100, 100, level)
    drawn = draw(image, [seen((30, 40, 40, 40), emotion=emotion, classes=EMOTIONS)], EMOTIONS, PLAIN)
    across = drawn[60, 25:35].astype(int)
    assert max(contrast(line, image[0, 0]) for line in across) >= 2
    assert np.abs(across - COLOURS[emotion][::-1]).sum(1).min() == 0


def contrast(first, second) -> float:
    """Return the ratio of two colours' luminances, as the Web Content Accessibility Guidelines define it."""
    shares = np.array([first, second])[:, ::-1] / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ (0.2126, 0.7152, 0.0722) + 0.05)
    return high / low


def test_label_goes_where_it_covers_least_and_is_shortened_if_need_be():
    picture, box, forms = (200, 200), (80, 80, 40, 40), [(70, 20), (40, 20)]
    above, below = (79, 60, 70, 20), (79, 120, 70, 20)
    assert label_spot(box, forms, picture, []) == (0, above)
    assert label_spot(box, forms, picture, [(100, 50, 40, 20)]) == (0, below)
    assert label_spot(box, forms, picture, [(125, 0, 40, 200)]) == (1, (79, 60, 40, 20))
    assert label_spot((170, -10, 60, 60), forms, picture, []) == (0, (130, 0, 70, 20))  # moved into the picture
    assert label_spot((0, 0, 48, 48), forms, (48, 48), []) == (1, (0, 0, 40, 20))  # the whole is wider than that


def test_answer_and_its_share_are_written_but_no_share_of_not_sure():
    image = picture(200, 150)

    def drawn(emotion, share, track=1):
        return draw(image, [seen((60, 50, 50, 60), emotion=emotion, share=share, track=track)], CLASSES, PLAIN)

    assert not np.array_equal(drawn("happy", 0.8), drawn("happy", 0.7))
    assert not np.array_equal(drawn("happy", 0.8), drawn("happy", 0.8, track=2))
    assert np.array_equal(drawn(NOT_SURE, 0.3), drawn(NOT_SURE, 0.25))
    assert not np.array_equal(drawn(NOT_SURE, 0.3), drawn("happy", 0.3))


def test_bars_are_as_long_as_the_probabilities():
    image = picture(640, 480)
    long = {}
    for share in (0.4, 0.8):
        drawn = draw(image, [seen((100, 100, 100, 120), share=share)], CLASSES, Style(heatmap=False))
        plain = draw(image, [seen((100, 100, 100, 120), share=share)], CLASSES, PLAIN)
        bars = changed(drawn, plain) & (drawn == COLOURS["happy"][::-1]).all(2)
        long[share] = bars.sum(1).max()
    assert long[0.8] == pytest.approx(2 * long[0.4], abs=2)


@pytest.mark.parametrize("box", [(-100, 20, 60, 60), (20, 300, 60, 60), (1000, 1000, 5, 5)])
def test_face_beyond_the_border_is_not_drawn(box):
    image = picture(200, 150)
    assert np.array_equal(draw(image, [seen(box, np.ones((48, 48), np.float32))], CLASSES, Style()), image)


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (20, 400), (400, 20)])
@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_small_and_narrow_pictures_are_drawn(size, angle):
    image = picture(*size)
    face = seen((0, 0, *size), np.ones((48, 48), np.float32), angle=angle)
    drawn = draw(image, [face], CLASSES, Style(fps="30 fps"))
    assert drawn.shape == image.shape
    assert changed(drawn, image).any()


def test_frames_per_second_are_in_the_corner():
    image = picture(640, 480)
    y, x = np.nonzero(changed(draw(image, [], CLASSES, Style(fps="30 fps")), image))
    assert y.max() < 60
    assert 20 < x.max() < 120
