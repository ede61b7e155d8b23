"""The settings in a run's folder, read as what anybody may have written: a bounded file, in which nothing is looked up.

OmegaConf by itself would follow aliases without end, and put the environment's secrets in the place of `${oc.env:...}`.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.config.messages import find
from fer.config.resolvers import share

BYTES, LEVELS, LINKS = 200_000, 20, 20  # train.py writes 3 kB, 6 levels, and one link to another value
LINK = re.compile(r"\$\{([\w.]+)\}")
SHARE = re.compile(r"\$\{share:(\$\{[\w.]+\}),([\d.]+)\}")

LATER_OF_DATASETS: dict[str, dict[str, Any]] = {
    "fer2013": {"dataset.others": "drop", "dataset.split": "official"},
    "ferplus": {"dataset.others": "drop", "dataset.split": "official"},
    "folder": {"dataset.others": "drop", "dataset.split": None, "dataset.seed": 0},
}


def completed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings, by dotted key, with those that came later: what the run did, without saying it."""
    later = {"model.architecture": "se_resnet", "whole_faces": 0, "start_share": 0.0, "fold": None, "folds": 5}
    later |= {"teacher": None, "teacher_share": 0.5}
    later |= LATER_OF_DATASETS.get(str(settings.get("dataset.name")), {})
    return later | settings


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a configuration file holds; of `${...}`, only what conf/ has is resolved, and the rest is a text.

    Raises:
        OSError: if there is no such file.
        ValueError: if it is none that train.py could have written, and why.
    """
    with path.open("rb") as file:
        content = file.read(BYTES + 1)
    try:
        plain = _parse(content)
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError) as error:
        raise ValueError(next(iter(str(error).splitlines()), type(error).__name__)) from error
    return _resolved(plain, plain)


def _parse(content: bytes) -> dict[str, Any]:
    if len(content) > BYTES:
        raise ValueError(f"over {BYTES:,} bytes")
    depth, text = 0, content.decode("utf-8")
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"an alias, *{event.anchor}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > LEVELS:
            raise ValueError(f"over {LEVELS} levels")
    plain = OmegaConf.to_container(OmegaConf.create(text))
    if not isinstance(plain, dict):
        raise ValueError("a list")
    return plain


def _resolved(value: Any, plain: dict[str, Any], links: int = LINKS) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(part, plain) for key, part in value.items()}
    if isinstance(value, list):
        return [_resolved(part, plain) for part in value]
    if isinstance(value, str) and (found := SHARE.fullmatch(value)):
        return share(_resolved(found[1], plain), float(found[2]))
    if not isinstance(value, str) or not (found := LINK.fullmatch(value)) or not links:
        return value
    try:
        target = find(plain, found[1])
    except KeyError:
        return value
    return value if isinstance(target, dict | list) else _resolved(target, plain, links - 1)
