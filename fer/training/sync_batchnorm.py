"""Several processes that train one net as one process would: batch norm over the faces of all of them."""

from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, nn
from torch.distributed import all_reduce, get_world_size, is_initialized


class Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, through which gradients flow back to each of them."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        """Return the sum; every process gets the same."""
        return _summed(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Each process's loss depends on the sum, and so on what each process put into it."""
        return _summed(gradient)


def _summed(values: Tensor) -> Tensor:
    summed = values.clone()
    all_reduce(summed)
    return summed


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, which must be of one size; on a CPU too, unlike PyTorch's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (B, C, H, W)."""
        if not self.training or not is_initialized() or get_world_size() == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            values = x.float()
            moments = torch.cat([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])  # (2 C,)
            mean, square = (Sum.apply(moments) / get_world_size()).chunk(2)
            variance = square - mean.square()
            self._keep(mean.detach(), variance.detach(), x.numel() // x.shape[1] * get_world_size())
            scale = self.weight * torch.rsqrt(variance + self.eps)
            shift = self.bias - mean * scale
            return (values * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


class SharedBatchNorms(LayerSync):
    """Lightning's hook that puts the shared batch norm in the place of PyTorch's while a net is trained."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Share the statistics; the modules stay the same, so that whoever holds them sees it."""
        return _swap_class(model, nn.BatchNorm2d, SharedBatchNorm)

    def revert(self, model: nn.Module) -> nn.Module:
        """Give the net back as it came."""
        return _swap_class(model, SharedBatchNorm, nn.BatchNorm2d)


def _swap_class(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> nn.Module:
    for module in model.modules():
        if type(module) is old:
            module.__class__ = new
    return model
