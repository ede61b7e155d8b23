"""The validation metrics that can choose the best epoch, and which way each of them is better."""

from collections.abc import Collection

from fer.config.messages import nearest

WHOLE = ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "ece", "aurc", "loss")
OF_A_CLASS = ("recall", "precision", "f1")
LESS_IS_BETTER = ("ece", "aurc", "loss")


def sign(metric: str) -> int:
    """Return 1 for a metric ("val/accuracy") of which more is better, -1 for one of which less is."""
    return -1 if metric.rpartition("/")[2] in LESS_IS_BETTER else 1


def is_share(metric: str) -> bool:
    """Tell whether a metric lies in [0, 1], and so is told in per cent; a loss does not."""
    return metric.rpartition("/")[2] != "loss"


def monitor_mistake(monitor: str, classes: Collection[str] | None) -> str | None:
    """Return what is wrong with the name of a metric to be monitored, if anything is.

    Args:
        monitor: as typed.
        classes: of the net; None where only the data will tell, and any name may be one of them.
    """
    split, _, metric = monitor.partition("/")
    kind, _, name = metric.partition("/")
    is_of_class = kind in OF_A_CLASS and bool(name) and (classes is None or name in classes)
    if split == "val" and (metric in WHOLE or is_of_class):
        return None
    names = [f"val/{known}" for known in WHOLE]
    of_class = [f"val/{kind}/{name}" for kind in OF_A_CLASS for name in classes or ("CLASS",)]
    which = f", CLASS being {', '.join(classes)}" if classes else ""
    listed = ", ".join([*names, *(f"val/{kind}/CLASS" for kind in OF_A_CLASS)])
    return f"expected one of {listed}{which}, but got {monitor!r}{nearest(monitor, names + of_class)}"
