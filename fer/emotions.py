"""The emotions, in the one order that every target, logit and table column of the project uses.

The first seven are FER2013's codes 0 to 6, so a FER2013 label is an index into `EMOTIONS`. Six classes leave
neutral out; FER+ adds contempt as the eighth. Users' own data may have classes of other names, which come after these.
"""

import unicodedata
from collections.abc import Iterable

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")

# What other datasets, FER+ among them, call the same emotions.
ALIASES = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "contemptuous": "contempt",
}

NOT_SURE = "not sure"  # the answer for a face whose best probability is too low
MAX_CLASSES, LONGEST = 100, 40  # classes of a net; letters of a name, which has to fit beside a face
SIGNS = " -_.'+&()"  # besides letters and digits; others mean something in tables, figures, paths or keys of metrics
# Answers of infer.py that are no class, and columns of its records.
RESERVED = {NOT_SURE, "frame", "time", "track", "file", "x", "y", "w", "h", "score", "emotion", "error"}
NAME = f"a name with letters, of at most {LONGEST} letters, digits, blanks and {' '.join(SIGNS.strip())}"


def class_names(count: int) -> tuple[str, ...]:
    """Return the class names of a vocabulary of 6, 7 or 8 emotions."""
    return EMOTIONS[:count]


def canonical(name: str) -> str | None:
    """Return the emotion that `name` means (any case, aliases allowed), or None."""
    name = name.strip().lower()
    name = ALIASES.get(name, name)
    return name if name in EMOTIONS else None


def class_name(name: str) -> str:
    """Return the class that a folder's name means: an emotion, or the name itself in small letters."""
    return canonical(name) or unicodedata.normalize("NFC", name.strip().lower())  # macOS takes accents apart


def is_class_name(name: str) -> bool:
    """Tell whether a net may have a class of this name; see `NAME`."""
    allowed = all(letter in SIGNS or unicodedata.category(letter)[0] in "LMN" for letter in name)
    fits = 0 < len(name) <= LONGEST and name[0].isalnum() and any(letter.isalpha() for letter in name)
    return allowed and fits and name == class_name(name) and name not in RESERVED


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the order of a net's logits: the emotions as in `EMOTIONS`, then others by the alphabet."""
    return tuple(sorted(names, key=lambda name: (EMOTIONS.index(name) if name in EMOTIONS else len(EMOTIONS), name)))
