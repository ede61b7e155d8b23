"""What of a configuration a weights file decides: the net of an evaluation, and of a training that asks for it.

So the configuration that is checked, kept in `.hydra/` and compared by `resume=` is that of the net that is built.
"""

import re
from pathlib import Path

from omegaconf import DictConfig

from fer.architectures import DEFAULT
from fer.errors import UserError
from fer.header import Header, read_header


def take_net(config: DictConfig) -> None:
    """Put the net of `weights` in the place of the nulls of `model=weights`; of all of `model` if nothing is trained.

    Raises:
        UserError: if the file cannot be read, or none is named.
    """
    if "model" not in config or not isinstance(config.model, DictConfig):
        return
    is_evaluation = config.fit is False and config.weights
    missing = [key for key, value in config.model.items() if value is None or is_evaluation]
    if not missing:
        return
    if not config.weights:
        raise UserError("model=weights: expected the file of the net, but weights is null: add weights=FILE")
    header = read_header(Path(config.weights), onnx=False)
    arguments = {key: value for key, value in header.architecture.items() if key != "name"}
    known = {"architecture": header.architecture.get("name", DEFAULT)} | arguments
    chosen = {} if is_evaluation else {key: value for key, value in config.model.items() if value is not None}
    config.model = known | {"input_size": header.input_size} | chosen | {"name": _name(header, config.weights)}
    if is_evaluation:
        config.augmentation = {"name": "none", "transforms": {}}


def _name(header: Header, file: str) -> str:
    """Return the net's name in the training's settings, if it can be part of a folder's; otherwise the file's."""
    name = header.training.get("model")
    return name if isinstance(name, str) and re.fullmatch(r"[\w-]{1,40}", name) else Path(file).stem
