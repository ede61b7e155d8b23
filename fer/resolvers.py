"""What the YAML files of conf/ can compute: `${share:SIDE,SHARE}` is a share of a side, in whole pixels.

Imported by whatever resolves them.
"""

from omegaconf import OmegaConf

OmegaConf.register_new_resolver("share", lambda side, share: round(side * share), replace=True)
