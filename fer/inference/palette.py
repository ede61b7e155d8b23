"""One colour per emotion, the same in frames, window and timeline.

Okabe and Ito's colours, moved a little so that any two stay at least 24 apart (CIE 1976) for readers with normal,
red-blind, green-blind and blue-blind eyes (Machado et al. 2009); each has a contrast of at least 3 to black and 1.8 to
white. Thin lines and text on a bright picture need a dark rim.
"""

from fer.inference.faces import NOT_SURE


class Colours(dict[str, tuple[int, int, int]]):
    """Red, green and blue by name; names that are no emotions share neutral's."""

    def __missing__(self, name: str) -> tuple[int, int, int]:
        return self["neutral"]


COLOURS = Colours(
    {
        "angry": (213, 94, 0),
        "disgust": (2, 157, 109),
        "fear": (210, 101, 181),
        "happy": (242, 188, 23),
        "sad": (0, 91, 193),
        "surprise": (51, 203, 255),
        "neutral": (195, 195, 194),
        "contempt": (142, 69, 40),
        NOT_SURE: (88, 88, 100),
    }
)
