"""What the YAML files of conf/ can compute: `${share:SIDE,SHARE}` is a share of a side, in whole pixels.

Imported by whatever resolves them.
"""

from omegaconf import OmegaConf


def _share(side: object, share: float) -> object:
    return round(side * share) if isinstance(side, int | float) else side  # the schema will say what is wrong with it


OmegaConf.register_new_resolver("share", _share, replace=True)
