"""What a training shows: curves and pictures while it trains, and the figures that only a training has."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger as LightningLogger
from matplotlib.figure import Figure

from fer.data.datamodule import FaceData
from fer.data.table import Split
from fer.evaluation import plots
from fer.evaluation.evaluate import draw_split, pixels
from fer.evaluation.loggers import Logger
from fer.evaluation.results import History
from fer.training.lightning_module import EmotionModule

BATCH_FACES = 24  # faces of an augmented batch
WATCHED = ("confusion", "mistakes", "gradcam")  # figures on the dashboard; figures/ has all


class Shown(LightningLogger):
    """Hands what Lightning logs to the run's loggers.

    Attributes:
        loggers: while the first process trains.
    """

    name = version = ""

    def __init__(self) -> None:
        super().__init__()
        self.loggers: list[Logger] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Show figures of a moment."""
        for logger in self.loggers:
            logger.metrics(metrics, step)

    def log_hyperparams(self, params: Any, *more: Any, **named: Any) -> None:
        """The loggers know the settings."""

    def save(self) -> None:
        """Let be seen what was shown."""
        for logger in self.loggers:
            logger.flush()


class Dashboard(Callback):
    """Log the first augmented batch, and a few figures of the validation after epochs 1, 2, 4, 8, ...

    Must come before the weights' average in the list of callbacks, so that the averaged net is shown.

    Args:
        data: what is trained and validated on.
    """

    def __init__(self, data: FaceData) -> None:
        self.data = data

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Draw after the epoch's training, whose speed is measured."""
        module.finish_splits()  # on every process, since it gathers
        epoch = trainer.current_epoch + 1
        if epoch & (epoch - 1) or not trainer.is_global_zero:
            return
        faces = self.data.parts[Split.VAL].by_rows()
        drawn = draw_split(module.net, module.header, "val", module.outputs["val"], faces, WATCHED)
        drawn |= draw_augmented(module, self.data) if epoch == 1 else {}
        for name, figure in drawn.items():
            for logger in trainer.logger.loggers:
                logger.figure(name, pixels(figure, 0.5), epoch)


def draw_augmented(module: EmotionModule, data: FaceData) -> dict[str, Figure]:
    """Return the figure of the first training faces as the net sees them, by name."""
    batch = data.first_batch()
    names = [module.classes[index] for index in batch.targets[:BATCH_FACES].argmax(1).tolist()]
    inputs = module.inputs(batch.images[:BATCH_FACES])
    return {"augmented_batch": plots.faces(inputs, names, "Training faces as the net sees them")}


def draw_history(history: History) -> dict[str, Figure]:
    """Return the figure of a training's course, by name."""
    return {"learning_curves": plots.learning_curves(history, "Training")}
