"""How many of something there are, in words."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: "1 face", "1,200 faces", "2 processes"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"
