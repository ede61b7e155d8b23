"""The command that a weights file and a card give as the one that made them."""

import pytest
import yaml

from fer.provenance import as_typed


def leave_words(folder, *words):
    (folder / ".hydra").mkdir(parents=True)
    hydra = {"overrides": {"task": list(words)}, "job": {"config": {"override_dirname": {"exclude_keys": []}}}}
    (folder / ".hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ((), "python train.py"),
        (("seed=1", "~augmentation.transforms.blur"), "python train.py seed=1 '~augmentation.transforms.blur'"),
        (("dataset.root='/home/a b'", "weights='/x/y'", "resume=/z"), "python train.py dataset.root=DIR weights=FILE"),
    ],
)
def test_words_are_given_without_places(tmp_path, words, command):
    leave_words(tmp_path, *words)
    assert as_typed(tmp_path) == command


def test_a_trial_s_words_follow_those_of_its_search(tmp_path):
    leave_words(tmp_path, "sweep=optuna", "sweep.trials=3", "experiment=cpu")
    (tmp_path / "study.journal").touch()
    leave_words(tmp_path / "trial_0", "optimizer.lr=0.1")
    assert as_typed(tmp_path / "trial_0") == "python train.py experiment=cpu optimizer.lr=0.1"


def test_a_run_from_python_has_no_command(tmp_path):
    assert as_typed(tmp_path) == ""
