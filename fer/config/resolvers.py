"""What the YAML files of conf/ can compute.

`${share:SIDE,SHARE}` is a share of a side, in whole pixels; `${folder_name:WORDS}` names a job's folder by its words;
`${choose:FACT,YES,NO}` is one of two texts; `${stem:FILE}` is a file's name without folder and ending.
Imported by whatever resolves them.
"""

import hashlib
from pathlib import Path

from omegaconf import OmegaConf

LONGEST = 255  # bytes of a name on most disks


def share(side: object, share: float) -> object:
    """Return a share of a side, in whole pixels."""
    return round(side * share) if isinstance(side, int | float) else side  # the schema will say what is wrong with it


def _folder_name(words: str) -> str:
    """Return the words, without quotes, if they can be a name; otherwise what can, and a hash of all of them."""
    words = words.replace("'", "").replace('"', "")
    kept = "".join(letter if letter.isprintable() and letter not in "/\\" else "-" for letter in words)
    if kept == words and len(words.encode()) <= LONGEST:
        return words
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept.encode()[: LONGEST - 40].decode(errors='ignore')}_{digest}"


def _stem(file: object) -> str:
    return Path(str(file)).stem[:100]  # of 255, so that there is room for the rest


OmegaConf.register_new_resolver("choose", lambda fact, yes, no: yes if fact else no, replace=True)
OmegaConf.register_new_resolver("stem", _stem, replace=True)
OmegaConf.register_new_resolver("share", share, replace=True)
OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
