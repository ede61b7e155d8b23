"""How much a command line may hold: beyond it, parsing would exhaust time, memory or Python's stack.

All bounds are far above what anybody needs, and far below what hurts.
"""

from collections.abc import Iterator, Sequence

from fer.errors import printable

WORDS, LETTERS, LEVELS, JOBS = 300, 4000, 20, 1000


def excesses(words: Sequence[str], paths: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for whatever there is too much of in some words.

    Args:
        words: as typed.
        paths: keys whose values are taken as they are, brackets included.
    """
    if len(words) > WORDS:
        yield f"expected at most {WORDS} words, but got {len(words)}: put what they set into a file, see --config-dir"
    for word in words:
        key, _, value = word.partition("=")
        levels = key.count(".") + (0 if key.lstrip("+") in paths else _depth(value))
        if len(word) > LETTERS:
            yield f"{printable(word)}: expected at most {LETTERS} letters in a word, but got {len(word)}"
        elif levels > LEVELS:
            yield f"{printable(word)}: expected at most {LEVELS} levels of dots and brackets, but got {levels}"


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        depth += (letter in "[{(") - (letter in ")}]")
        deepest = max(deepest, depth)
    return deepest
