"""How many cores there are, and who else has been started to train one net: what torchrun, srun and Lightning leave."""

import os
from typing import Any


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    affinity: Any = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def is_helper() -> bool:
    """Tell whether this is not the first process of a distributed run, which checks everything and owns the folder."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")  # of torchrun, Lightning, Lightning again, and srun
    return any(_number(rank) > 0 for rank in ranks)


def by_torchrun() -> bool:
    """Tell whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def by_srun() -> bool:
    """Tell whether one srun has started this process and others; a batch script, however many tasks it has, is one."""
    return not by_torchrun() and _number("SLURM_STEP_NUM_TASKS") > 1


def count() -> int:
    """Return how many processes have been started for one command, by whoever starts them."""
    return max(_number("SLURM_STEP_NUM_TASKS" if by_srun() else "WORLD_SIZE"), 1)


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 0
