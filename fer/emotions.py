"""The emotions, in the one order that every target, logit and table column of the project uses.

The first seven are FER2013's codes 0 to 6, so a FER2013 label is an index into `EMOTIONS`. Six classes leave
neutral out; FER+ adds contempt as the eighth.
"""

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


def class_names(count: int) -> tuple[str, ...]:
    """Return the class names of a vocabulary of 6, 7 or 8 emotions."""
    return EMOTIONS[:count]


def canonical(name: str) -> str | None:
    """Return the emotion that `name` means (any case, aliases allowed), or None."""
    name = name.strip().lower()
    name = ALIASES.get(name, name)
    return name if name in EMOTIONS else None
