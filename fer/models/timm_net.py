"""Any convolutional backbone of the library timm, in gray, with a linear head of our own.

Wightman, PyTorch Image Models, 2019. The library is an extra, and imported only when a net of it is built.
"""

import difflib
from contextlib import suppress
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

MAX_MILLIONS = 200  # parameters, as of our own nets


class TimmNet(nn.Module):
    """Map normalised grayscale faces (B, 1, H, W) to logits (B, classes).

    Args:
        classes: number of emotions.
        backbone: a name that timm knows ("resnet18"), of a net whose features are maps (B, C, h, w).
        dropout: share of the pooled features that is zeroed in training.
        pretrained: start from the weights that timm publishes for it, which are fetched; gray sums their colours.

    Raises:
        ValueError: if there is no such backbone, or it is no convolutional one, or too large.
        ImportError: if timm is not installed.
    """

    def __init__(self, classes: int, backbone: str, dropout: float = 0.0, pretrained: bool = False) -> None:
        super().__init__()
        timm = _import_timm()
        if not timm.is_model(backbone.partition(".")[0]):
            near = difflib.get_close_matches(backbone, timm.list_models(), 1)
            raise ValueError(
                f"expected a backbone that timm knows, but got {backbone}{f'; did you mean {near[0]}?' if near else ''}"
            )
        self.backbone = _create(timm, backbone, pretrained)
        if (found := sum(weight.numel() for weight in self.backbone.parameters()) / 1e6) > MAX_MILLIONS:
            raise ValueError(f"expected at most {MAX_MILLIONS} million parameters, but {backbone} has {found:.0f}")
        self.channels = self.backbone.num_features
        self._require_maps(backbone)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(getattr(self.backbone, "head_hidden_size", self.channels), classes)

    @torch.no_grad()
    def _require_maps(self, backbone: str) -> None:
        device = next(self.backbone.parameters()).device
        try:
            shape = self.backbone.eval().forward_features(torch.zeros(1, 1, 64, 64, device=device)).shape
        except (AssertionError, RuntimeError) as error:
            raise ValueError(f"expected a backbone for faces of any size, but {backbone} is none ({error})") from error
        self.backbone.train()
        if len(shape) != 4 or shape[1] != self.channels:
            raise ValueError(
                f"expected a backbone whose features are maps (B, C, h, w), as convolutional ones have, but those of "
                f"{backbone} are {tuple(shape)}"
            )

    @cached_property
    def pools_linearly(self) -> bool:
        """Whether the backbone's end is the mean over its features' pixels, and nothing else: found out by trying."""
        features = torch.linspace(0, 1, 18 * self.channels, device=self.head.weight.device)
        features = features.reshape(2, self.channels, 3, 3).to(self.head.weight.dtype)
        with torch.no_grad():
            pooled = self.backbone.forward_head(features, pre_logits=True)
        return pooled.shape == (2, self.channels) and torch.allclose(pooled, features.mean((2, 3)), atol=1e-4)

    def layers(self) -> list[nn.Module]:
        """Return the parts of the backbone, each up to where the maps become smaller; one if it has no such order.

        Most of timm's nets call their children in the order in which they hold them: found out by trying.
        """
        if not self._ends:
            return [_Features(self.backbone)]
        starts = (0, *self._ends)
        return [nn.Sequential(*self._steps[a:b]) for a, b in zip(starts, self._ends, strict=False)]

    @property
    def _steps(self) -> list[nn.Module]:
        """The backbone's children, and those of its sequences."""
        children = self.backbone.children()
        return [step for child in children for step in (child if type(child) is nn.Sequential else [child])]

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """How many of the steps come before the end of each layer; none if they do not make the features."""
        weight = self.head.weight
        x = torch.linspace(-1, 1, 2 * 64 * 64, device=weight.device, dtype=weight.dtype).reshape(2, 1, 64, 64)
        ends: list[int] = []
        with torch.no_grad(), suppress(RuntimeError, TypeError, NotImplementedError, AttributeError):
            wanted = self.backbone.forward_features(x)
            for number, step in enumerate(self._steps, 1):
                y = step(x)
                ends = [*ends[: len(ends) - (y.shape[2:] == x.shape[2:])], number]
                x = y
                if x.shape == wanted.shape and torch.allclose(x, wanted, rtol=1e-3, atol=1e-4):
                    return tuple(ends)
        return ()

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the backbone's last feature maps (B, C, h, w)."""
        return self.backbone.forward_features(x)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the logits (B, classes) of the feature maps."""
        return self.head(self.dropout(self.backbone.forward_head(features, pre_logits=True)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class _Features(nn.Module):
    """A backbone whose forward pass ends at its features."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone.forward_features(x)


def _import_timm() -> Any:
    try:
        import timm
        from timm import create_model, is_model, list_models  # noqa: F401 (a folder of that name imports, too)
    except ImportError as error:
        raise ImportError("expected the library timm, but it is not installed: pip install timm") from error
    return timm


def _create(timm: Any, backbone: str, pretrained: bool) -> nn.Module:
    try:
        return timm.create_model(backbone, pretrained, in_chans=1, num_classes=0)
    except Exception as error:  # of timm, of the library that fetches, of the network
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        wanted = f"timm's weights of {backbone}" if pretrained else f"a backbone that takes gray faces, as {backbone}"
        raise ValueError(f"expected {wanted}, but timm cannot make it ({reason})") from error
