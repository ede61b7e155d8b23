"""Numbers with their nouns."""

import pytest

from fer.counting import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "face", "0 faces"),
        (1, "photo", "1 photo"),
        (1, "process", "1 process"),
        (2, "process", "2 processes"),
        (1200, "more track", "1,200 more tracks"),
    ],
)
def test_only_one_is_in_the_singular(number, noun, words):
    assert counted(number, noun) == words
