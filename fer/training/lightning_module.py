"""The Lightning module: how the net is fed, taught and validated. The net itself knows nothing of it."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fer.data.batches import Batch
from fer.errors import CALMER, Diverged
from fer.evaluation.metrics import compute_metrics
from fer.evaluation.outputs import OutputCollector, Outputs
from fer.models.inputs import normalise
from fer.monitor import sign
from fer.schema import TrainConfig
from fer.training.losses import best_of
from fer.training.optim import make_optimizer, make_scheduler
from fer.weights import Header

SPLITS = ("val", "train")  # what validation runs over: the validation split, and a fixed sample of the training split


class EmotionModule(LightningModule):
    """Train a net to classify emotions.

    Args:
        net: maps (B, 1, H, W) to logits (B, C).
        header: the net's classes and normalisation.
        loss: takes logits and targets, both (B, C).
        config: the run's configuration.

    Attributes:
        outputs: what the net said last of validation, and of the sample of train.
    """

    def __init__(self, net: nn.Module, header: Header, loss: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        if config.trainer.compile:
            self.net.compile()
        self.header, self.loss, self.config = header, loss, config
        self.classes = header.classes
        self.pick_best = config.dataset.labels == "multi"
        self.mixers = make_mixers(config.mixup, config.cutmix)
        self.collected: dict[str, OutputCollector] = {}
        self.outputs: dict[str, Outputs] = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the settings, by which alone the training may continue."""
        checkpoint["settings"] = self.config.model_dump(mode="json")

    def inputs(self, images: Tensor) -> Tensor:
        """Turn images (B, H, W) uint8 into net input (B, 1, H, W)."""
        return normalise(images, self.header.mean, self.header.std).contiguous(memory_format=torch.channels_last)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # Dropout and mixing follow from seed and epoch, so a resumed run continues as it would have. Not seeded before
        # the first batch: the loader's iterator draws a number too, in a resumed run at another moment.
        if batch_idx == 0:
            torch.manual_seed(self.config.seed * 1_000_003 + self.current_epoch * 1009 + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        inputs, targets = self.inputs(batch.images), batch.targets
        if self.mixers:
            chosen = self.mixers[int(torch.randint(len(self.mixers), ()))]
            inputs, targets = chosen(inputs, targets)
        logits = self.net(inputs).float()
        if self.pick_best:
            targets = best_of(logits, targets)
        loss = self.loss(logits, targets)
        self.log("train/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        split = SPLITS[dataloader_idx]
        if split not in self.collected:
            self.collected[split] = OutputCollector().to(self.device)
        self.collected[split].update(self.net(self.inputs(batch.images)).float(), batch.targets.argmax(1), batch.rows)

    def on_validation_epoch_start(self) -> None:
        self.outputs.clear()

    def finish_splits(self) -> None:
        """Gather what was collected, over all processes, into `outputs`; a second call does nothing.

        Raises:
            Diverged: if a logit is NaN or infinite.
        """
        for split, collected in self.collected.items():
            self.outputs[split] = collected.gathered()
        self.collected.clear()
        if not all(output.are_finite for output in self.outputs.values()):
            raise not_finite(self.current_epoch)

    def on_validation_epoch_end(self) -> None:
        self.finish_splits()
        for split, (logits, targets, _) in self.outputs.items():
            metrics = compute_metrics(logits, targets, self.classes)
            # The sample's loss is without label smoothing, weights and augmentation, unlike the one that is minimised.
            renamed = {"loss": "sample_loss"} if split == "train" else {}
            named = {f"{split}/{renamed.get(name, name)}": value for name, value in metrics.items() if name != "n"}
            self.log_dict(named, rank_zero_only=False, add_dataloader_idx=False)

    def on_train_epoch_end(self) -> None:
        # Lightning would step a plateau after the checkpoint, and a resumed run would miss the step.
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics[self.config.monitor])

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        # Lightning refuses to clip for a fused optimiser, though bfloat16's gradients are not scaled.
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> Any:
        monitor = self.config.monitor
        # A fused step would unscale float16's gradients only after they were clipped.
        optimizer = make_optimizer(self.config.optimizer, self.net, fused=self.trainer.precision != "16-mixed")
        mode = "max" if sign(monitor) > 0 else "min"
        # Not trainer.estimated_stepping_batches, which starts the loader before a resumed run knows its epoch.
        steps = self.trainer.max_epochs * self.trainer.datamodule.steps()
        return [optimizer], [make_scheduler(self.config.scheduler, optimizer, steps, monitor, mode)]


def make_mixers(mixup: float, cutmix: float) -> list[Any]:
    """Return torchvision's MixUp and CutMix for the alphas above 0."""
    if not mixup and not cutmix:
        return []
    from torchvision.transforms import v2  # 1 s to import, so only when asked for

    return [kind(alpha=alpha) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha]


def not_finite(epoch: int) -> Diverged:
    """Return the error for a loss that is NaN or infinite."""
    kept = "checkpoints/last.ckpt and best.ckpt are of the last good epoch" if epoch else "no epoch had ended before"
    return Diverged(f"the loss is no longer finite in epoch {epoch + 1}; {kept}: {CALMER}")
