"""What a run shows: TensorBoard while it trains, and the same figures as PNG files when it is done."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor

from fer.atomic import atomic_file
from fer.data.module import FaceData
from fer.data.table import Split, Table
from fer.evaluation import figures
from fer.evaluation.heatmaps import grad_cam
from fer.evaluation.metrics import confusion, evaluate
from fer.evaluation.results import History
from fer.schema import TrainConfig
from fer.training.module import EmotionModule
from fer.training.settings import telling_settings

SHOWN = 24  # faces of an augmented batch
EXPLAINED = 12  # faces with a heatmap
FINAL = ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "ece", "loss")  # columns of HPARAMS, for val and test


class Dashboard(Callback):
    """Log the first augmented batch, and the validation's figures after epochs 1, 2, 4, 8, ...

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
        drawn = draw_evaluation(module, "val", self.data.parts[Split.VAL])
        drawn |= draw_augmented(module, self.data) if epoch == 1 else {}
        for name, figure in drawn.items():
            _log(trainer.logger, name, _image(figure), epoch)


def draw_augmented(module: EmotionModule, data: FaceData) -> dict[str, Figure]:
    """Return the figure of the first training faces as the net sees them, by name."""
    batch = data.first_batch()
    names = [module.classes[index] for index in batch.targets[:SHOWN].argmax(1).tolist()]
    inputs = module.inputs(batch.images[:SHOWN])
    return {"augmented_batch": figures.faces(inputs, names, "Training faces as the net sees them")}


def draw_evaluation(module: EmotionModule, split: str, table: Table) -> dict[str, Figure]:
    """Return the figures of a split that was just judged, by name.

    Args:
        module: whose `outputs[split]` are drawn.
        split: "val" or "test".
        table: the faces of that split, in the order of the outputs.
    """
    logits, targets, rows = module.outputs[split]
    where = np.searchsorted(table.rows, rows.numpy())
    images, classes = table.images[where], module.classes
    title = {"val": "Validation", "test": "Test"}[split]
    n = f"{title}, n = {len(targets):,}"
    metrics = evaluate(logits, targets, classes)
    return {
        f"{split}/confusion": figures.confusion_matrix(confusion(logits, targets, classes), classes, n),
        f"{split}/per_class": figures.per_class(metrics, classes, n),
        f"{split}/reliability": figures.reliability(logits, targets, n),
        f"{split}/coverage": figures.coverage(logits, targets, f"{n}: if unsure faces may be left out"),
        f"{split}/mistakes": figures.mistakes(images, logits, targets, classes, f"{title}: surest mistakes"),
        f"{split}/gradcam": _draw_heatmaps(module, images, logits, targets, title),
    }


def draw_history(history: History) -> dict[str, Figure]:
    """Return the figure of a training's course, by name."""
    return {"learning_curves": figures.learning_curves(history, "Training")}


def _draw_heatmaps(module: EmotionModule, images: np.ndarray, logits: Tensor, targets: Tensor, title: str) -> Figure:
    """Explain the called class of a few faces of each class, picked evenly over the split."""
    order = torch.argsort(targets, stable=True)
    chosen = order[torch.linspace(0, len(order) - 1, min(EXPLAINED, len(order))).long()]
    inputs = module.inputs(torch.from_numpy(images[chosen.numpy()]).to(module.device))
    called = logits[chosen].argmax(1)
    heatmaps = grad_cam(module.net, inputs, called.to(module.device))
    captions = [
        f"{module.classes[target]}\ncalled {module.classes[call]}"
        for target, call in zip(targets[chosen].tolist(), called.tolist(), strict=True)
    ]
    return figures.heatmap_panel(images[chosen.numpy()], heatmaps, captions, f"{title}: Grad-CAM of the called class")


def publish_figures(
    logger: TensorBoardLogger, folder: Path, drawn: dict[str, Figure], config: TrainConfig, results: dict[str, Any]
) -> None:
    """Write the figures as PNG files ("val/confusion" as val_confusion.png) and log them, with the HPARAMS table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        image = _image(figure)
        with atomic_file(folder / f"{name.replace('/', '_')}.png", "wb") as file:
            file.write(image.encoded_image_string)
        _log(logger, f"best/{name}", image, 0)
    final = {
        f"final/{key}": results[key] for name in FINAL for key in (f"val/{name}", f"test/{name}") if key in results
    }
    logger.log_hyperparams(telling_settings(config, folder.parent), final)
    logger.finalize("success")


def _image(figure: Figure) -> Summary.Image:
    """Draw and encode a figure once, for its file and for TensorBoard, whose own way takes twice as long for each."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2BGR)  # (H, W, 3)
    height, width, colours = pixels.shape
    png = cv2.imencode(".png", pixels)[1].tobytes()
    return Summary.Image(height=height, width=width, colorspace=colours, encoded_image_string=png)


def _log(logger: TensorBoardLogger, name: str, image: Summary.Image, step: int) -> None:
    logger.experiment._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
