"""Train a facial-emotion classifier, or evaluate one.

python train.py dataset=synthetic                           try it: drawn faces, 2 minutes, no files
python train.py dataset.root=DIR                            train on FER2013
python train.py experiment=laptop dataset.root=DIR          the best 30 minutes on two CPU cores
python train.py augmentation=full dataset=ferplus dataset.root=DIR
python train.py -m augmentation=none,hflip,mid seed=1,2,3   a sweep, and a report of what helps
python train.py augmentation.transforms.flip.p=0.3          another strength for one transform
python train.py '~augmentation.transforms.light'            one transform less
python train.py fit=false weights=fer2013 dataset.root=DIR  evaluate a weights file
python train.py (the same settings) resume=DIR              continue an interrupted run or sweep
python train.py sweep=optuna dataset.root=DIR               search rate, decay and augmentation
python train.py dataset.root=DIR logger=mlflow              show it in MLflow (or wandb)
python -m fer.evaluation.report DIR...                      report again on any runs
tensorboard --logdir runs                                   look at all runs
"""

from pathlib import Path
from typing import Any, NoReturn

from fer.command import main as run_command


def schema() -> Any:
    """Return the schema of conf/train.yaml."""
    from fer.schema import TrainConfig

    return TrainConfig


def check(jobs: list[Any], multirun: bool) -> None:
    """Check what the schema cannot: data, weights, strategies and folders."""
    from fer.training.checks import check_training

    check_training(jobs, multirun)


def task(config: Any, folder: Path) -> Any:
    """Train, once or as often as a search wants, or only evaluate; the heavy imports happen here."""
    if config.sweep:
        from fer.training.search import search as run
    elif config.fit:
        from fer.training.run import run
    else:
        from fer.evaluation.run import run
    return run(config, folder)


def report(sweep: Path) -> None:
    """Bring the report of a sweep up to date."""
    from fer.evaluation.report import write_report

    write_report([sweep], sweep)


def main() -> NoReturn:
    """Run the command, and exit with its code."""
    run_command(__file__, schema, check, task, report)


if __name__ == "__main__":
    main()
