"""Optimisers and learning-rate schedules."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fer.schema import AdamW as AdamWConfig
from fer.schema import Cosine, Plateau, Sgd


def make_optimizer(config: Sgd | AdamWConfig, net: nn.Module, fused: bool = True) -> Optimizer:
    """Return the optimiser; weight decay acts on convolution and linear weights, not on norms and biases.

    Args:
        config: conf/optimizer.
        net: on its device.
        fused: take the implementation that updates all weights at once, where the device has it.
    """
    decayed = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in net.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    fused = fused and all(parameter.device.type in ("cpu", "cuda") for parameter in net.parameters())
    if isinstance(config, Sgd):
        return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=True, fused=fused)
    return AdamW(groups, lr=config.lr, betas=config.betas, fused=fused)


def make_scheduler(
    config: Cosine | Plateau, optimizer: Optimizer, steps: int, monitor: str, mode: str
) -> dict[str, Any]:
    """Return a schedule in the form that Lightning takes.

    Args:
        config: conf/scheduler.
        optimizer: whose learning rate it drives.
        steps: optimiser steps in the whole training.
        monitor: the metric that a plateau is seen in.
        mode: "max" or "min", its better direction.
    """
    if isinstance(config, Plateau):
        plateau = ReduceLROnPlateau(optimizer, mode, config.factor, config.patience)
        return {"scheduler": plateau, "monitor": monitor, "interval": "epoch"}
    warmup = round(config.warmup * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def choose_precision(precision: str, accelerator: str) -> str:
    """Return Lightning's precision: as asked for, or for "auto" what the hardware multiplies at full speed.

    Args:
        precision: trainer.precision.
        accelerator: "cpu", "cuda" or "mps".
    """
    if precision != "auto":
        return precision
    if accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    # Without AMX or AVX512-BF16, bf16 on a CPU is emulated: twice as slow here as fp32.
    return "bf16-mixed" if accelerator == "cpu" and _cpu_multiplies_bf16() else "32-true"


def _cpu_multiplies_bf16() -> bool:
    """Tell whether the CPU has AMX or AVX512-BF16, as far as this torch tells, which has no public word for it."""
    told = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(tell() for tell in told if tell)
