"""Every mistake in the settings is told in one list: the key, what was expected, and the nearest valid name."""

from pathlib import Path

import pytest

from fer.config.jobs import Command, check_jobs, read_jobs
from fer.config.messages import nearest
from fer.config.words import quote_path
from fer.data.augmentation import build_strategy
from fer.errors import UserError, printable
from fer.schema import TrainConfig

CONF = Path(__file__).parents[1] / "conf"


def errors_of(*words: str, multirun: bool = False, config_dir: Path | None = None) -> list[str]:
    overrides = [quote_path(word) for word in words]
    return read_jobs(Command(CONF, "train", overrides, multirun, config_dir), TrainConfig)[1]


# Each list is one command, and every word of it is told.
WRONG = {
    "words": {
        "foo": "foo: expected key=value; see --help",
        "a b": "a b: expected key=value; see --help",
        "-1": "-1: expected key=value; see --help",
        "seed:1": "seed:1: expected key=value; see --help",
        "=3": "=3: expected key=value; quote what has blanks or special characters: 'key=\"a, b\"'",
        "seed =1": "seed =1: expected key=value; quote what has blanks or special characters: 'key=\"a, b\"'",
        "seed=1,2": "seed=1,2: several values make a sweep: add -m, or put a list into brackets",
        "hydra.mode=MULTIRUN": "hydra.mode: expected -m for a sweep, and nothing for one run",
    },
    "options": {
        "dataset=": "dataset=: expected one of fer2013, ferplus, ferplus_votes, folder, synthetic",
        "augmentation=hflp": "augmentation=hflp: expected one of full, hflip, mid, none, soft, strong, vflip, wild; "
        "did you mean hflip?",
        "model=null": "model=null: expected one of base, laptop, large, native, small, timm, tiny, vgg, weights",
        "experiment=lap": "experiment=lap: expected one of cpu, debug, fer2013_full, fer2013_hflip, fer2013_mid, "
        "fer2013_none, fer2013_vflip, ferplus_full, ferplus_none, gpu, laptop, recipe, shipped; did you mean laptop?",
        "loss='focall'": "loss=focall: expected one of cross_entropy, focal; did you mean focal?",
        "optimizer.name=adamw": "optimizer.name=adamw: choose an option by optimizer=adamw, which brings its other "
        "keys along",
        "~scheduler": "scheduler: expected a value, but it is missing",
    },
    "groups": {"hydra/launcher=foo": "hydra/launcher=foo: launches the jobs of a sweep: add -m"},
    "keys": {
        "typo=1": "typo: unknown key; --help shows all",
        "+typos=1": "typos: unknown key; --help shows all",
        "++typing=1": "typing: unknown key; --help shows all",
        "optimiser=sgd": "optimiser: unknown key; did you mean optimizer?",
        "optimizr.lr=1": "optimizr.lr: unknown key; did you mean optimizer.lr?",
        "optimizer.lrr=1": "optimizer.lrr: unknown key; did you mean optimizer.lr?",
        "+optimizer.lrs=1": "optimizer.lrs: unknown key; did you mean optimizer.lr?",
        "+optimizer.lr=1": "+optimizer.lr=1: optimizer.lr is already there: leave out the +",
        "optimizer.betas=[0.9,0.9]": "optimizer.betas: unknown key; optimizer=sgd has lr, momentum, weight_decay",
        "epochs=3": "epochs: unknown key; did you mean trainer.max_epochs?",
        "Seed=3": "Seed: unknown key; did you mean seed?",
        "seed.x=3": "seed.x: unknown key; did you mean seed?",
        "dataset.labels=soft": "dataset.labels: unknown key; dataset=fer2013 has root, classes, split, on_error, "
        "others",
        "hydra.run.dirr=x": "hydra.run.dirr: unknown key; did you mean hydra.run.dir?",
        "~seedd": "seedd: unknown key; did you mean seed?",
        "~augmentation.transforms.blur": "augmentation.transforms.blur: unknown key; augmentation.transforms has flip, "
        "affine, light",
        "augmentation.transforms.flip.q=1": "augmentation.transforms.flip.q: unknown key; augmentation.transforms.flip "
        "has _target_, p (to add it: +augmentation.transforms.flip.q=1)",
    },
    "types": {
        "seed=true": "seed: expected a whole number, but got true",
        "fit=maybe": "fit: expected true or false, but got 'maybe'",
        "test=1": "test: expected true or false, but got 1",
        "batch_size=1e3": "batch_size: expected a whole number, but got 1000.0",
        "early_stopping='1'": "early_stopping: expected a whole number, but got '1'",
        "workers=some": "workers: expected a whole number or auto, but got 'some'",
        "dataset.classes=6.0": "dataset.classes: expected a whole number, but got 6.0",
        "dataset.root=null": "dataset.root: expected a path, but got null",
        "weights=": "weights: expected a path, but got nothing",
        "model.widths=3": "model.widths: expected a list in brackets, but got 3",
        "model.depths=[1,a]": "model.depths.1: expected a whole number, but got 'a'",
        "model.stem_stride=true": "model.stem_stride: expected a whole number, but got true",
        "optimizer.lr=[1,2]": "optimizer.lr: expected a number, but got [1, 2]",
        "optimizer.momentum=true": "optimizer.momentum: expected a number, but got true",
        "augmentation.transforms.flip=3": "augmentation.transforms.flip: expected keys with values, but got 3",
        "augmentation.name=3": "augmentation.name: expected a text, but got 3",
        "monitor=accuracy": "monitor: expected one of val/accuracy, val/balanced_accuracy, val/f1_macro, val/auroc, "
        "val/ece, val/aurc, val/loss, val/recall/CLASS, val/precision/CLASS, val/f1/CLASS, but got 'accuracy'; did you "
        "mean val/accuracy?",
        "tta=flips": "tta: expected none, flip, tencrop or all, but got 'flips'; did you mean flip?",
        "trainer.precision=32": "trainer.precision: expected auto, 32-true, bf16-mixed or 16-mixed, but got 32",
        "scheduler.name=cos": "scheduler.name: expected one of cosine, plateau, but got 'cos'; did you mean cosine?",
        "ema=null": "ema: expected a number, but got null",
    },
    "ranges": {
        "seed=4294967296": "seed: expected less than 4294967296, but got 4294967296",
        "dataset.classes=8": "dataset.classes: expected 6 or 7, but got 8",
        "trainer.devices=0": "trainer.devices: expected more than 0 or auto, but got 0",
        "trainer.max_epochs=0": "trainer.max_epochs: expected more than 0, but got 0",
        "batch_size=0": "batch_size: expected more than 0, but got 0",
        "workers=-1": "workers: expected at least 0 or auto, but got -1",
        "optimizer.lr=inf": "optimizer.lr: expected a finite number, but got inf",
        "optimizer.momentum=nan": "optimizer.momentum: expected less than 1, but got nan",
        "optimizer.weight_decay=-1": "optimizer.weight_decay: expected at least 0, but got -1",
        "scheduler.warmup=0.95": "scheduler.warmup: expected at most 0.9, but got 0.95",
        "loss.label_smoothing=1": "loss.label_smoothing: expected less than 1, but got 1",
        "gradient_clip=nan": "gradient_clip: expected a finite number, but got nan",
        "ema=1": "ema: expected less than 1, but got 1",
        "mixup=-0.1": "mixup: expected at least 0, but got -0.1",
        "model.widths=[]": "model.widths: expected a list of at least 1, but got []",
        "model.input_size=8": "model.input_size: expected at least 16, but got 8",
    },
    "sizes": {
        "batch_size=65537": "batch_size: expected at most 65536, but got 65537",
        "workers=10000": "workers: expected at most 256 or auto, but got 10000",
        "early_stopping=5000000000": "early_stopping: expected less than 4294967296, but got 5000000000",
        "trainer.max_epochs=1000000": "trainer.max_epochs: expected at most 100000, but got 1000000",
        "trainer.devices=65": "trainer.devices: expected at most 64 or auto, but got 65",
        "trainer.num_nodes=2000": "trainer.num_nodes: expected at most 1024, but got 2000",
        "model.widths=[16,1000000]": "model.widths.1: expected at most 4096, but got 1000000",
        "model.depths=[1,1000000]": "model.depths.1: expected at most 200, but got 1000000",
    },
    "trials": {
        "sweep=optuna": None,
        "sweep.trials=10001": "sweep.trials: expected at most 10000, but got 10001",
    },
    "large nets": {
        "model.widths=[4096]": None,
        "model.depths=[200]": "model: expected a net of at most 200 million parameters, but these widths and depths "
        "make 60,822 million: take smaller ones",
    },
    "many faces": {
        "dataset=synthetic": None,
        "model.input_size=64": None,
        "dataset.val=1000000000": "dataset.val: expected at most 122070 drawn faces of 64 pixels, as more take over "
        "16 GB, but got 1000000000",
    },
    "other datasets": {
        "dataset=synthetic": None,
        "dataset.root=/x": "dataset.root: unknown key; dataset=synthetic has classes, train, val, test, seed",
        "dataset.train=0": "dataset.train: expected at least 12, but got 0",
        "optimizer=adamw": None,
        "optimizer.betas=[0.9]": "optimizer.betas: expected a list of at least 2, but got [0.9]",
    },
    "stages": {"model.widths=[8,16]": "model: expected as many depths as widths, but got (2, 2, 2, 2) for (8, 16)"},
    "evaluation": {
        "fit=false": "fit=false: expected the weights to evaluate, but weights is null: add weights=FILE",
    },
    "run folder": {"hydra.run.dir=": "hydra.run.dir: expected a folder, but got nothing"},
    "shares of no number": {
        "augmentation=strong": None,
        "model.input_size=abc": "model.input_size: expected a whole number, but got 'abc'",
    },
    "interpolation": {"seed=${foo}": "Interpolation key 'foo' not found"},
    "votes": {
        "dataset=ferplus": None,
        "mixup=0.2": None,
        "dataset.labels=multi": "dataset.labels=multi: expected mixup=0 and cutmix=0: mixed faces have no best label",
    },
}


@pytest.mark.parametrize("kind", WRONG)
def test_every_mistake_is_told_in_one_list(kind):
    assert set(errors_of(*WRONG[kind])) == {sentence for sentence in WRONG[kind].values() if sentence}


@pytest.mark.parametrize(
    ("word", "meant"), [("FERPLUS", "ferplus"), ("fer+", "ferplus"), ("GradCAM+", "gradcam++"), ("hflip", "HFlip")]
)
def test_the_nearest_name_is_found_in_whatever_case_and_with_signs(word, meant):
    assert nearest(word, ["fer2013", "ferplus", "gradcam", "gradcam++", "HFlip"]) == f"; did you mean {meant}?"
    assert nearest("saliency", ["fer2013", "ferplus"]) == ""


def test_one_mistake_is_a_sentence_and_several_are_a_list():
    with pytest.raises(UserError, match=r"^seed: expected at least 0, but got -1$"):
        check_jobs(Command(CONF, "train", ["seed=-1"]), TrainConfig)
    with pytest.raises(UserError, match=r"^2 settings are wrong\n  - seed: .*\n  - batch_size: .*$"):
        check_jobs(Command(CONF, "train", ["seed=-1", "batch_size=0"]), TrainConfig)


def test_a_terminal_obeys_nothing_that_is_quoted():
    assert printable("\x1b[31mred\n\u202e\udc80 é 😀 'a'") == r"\x1b[31mred\n\u202e\udc80 é 😀 'a'"
    assert printable("a" * 200) == "a" * 200
    assert printable("a" * 201) == "a" * 200 + "..."


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("monitor=val/recall/fear", None),
        ("monitor=val/ece", None),
        ("monitor=val/f1/contempt dataset=ferplus dataset.classes=8", None),
        ("monitor=val/recall/neutral dataset=folder", None),  # the folders tell
        ("monitor=val/recall/neutral fit=false weights=ferplus", None),  # the file tells
        ("monitor=val/recall/neutral", "sad, surprise, but got 'val/recall/neutral'"),
        ("monitor=val/recall/fera", "but got 'val/recall/fera'; did you mean val/recall/fear?"),
        ("monitor=val/recall", "but got 'val/recall'"),
        ("monitor=val/recall/", "but got 'val/recall/'"),
        ("monitor=test/accuracy", "but got 'test/accuracy'; did you mean val/accuracy?"),
    ],
)
def test_every_validation_metric_can_be_monitored_and_no_other(words, sentence):
    errors = errors_of(*words.split())
    assert (
        (not errors)
        if sentence is None
        else errors[0].startswith("monitor: expected one of val/acc") and (sentence in errors[0])
    )


@pytest.mark.parametrize(
    ("place", "text", "sentence"),
    [
        ("optimizer/mine", "lr: 1.0", "optimizer.name: expected one of sgd, adamw, but got nothing"),
        ("optimizer/mine", "name: lion\nlr: 1.0", "optimizer.name: expected one of sgd, adamw, but got 'lion'"),
        (
            "experiment/mine",
            "seed: 2",
            'experiment: expected "# @package _global_" as the first line of the file of experiment=..., as it sets '
            "keys of other groups: add that line",
        ),
        (
            "sweep/mine",
            "sweep:\n  trials: 3",
            'sweep.sweep: expected "# @package _global_" as the first line of the file of sweep=..., as it sets keys '
            "of other groups: add that line",
        ),
        (
            "experiment/mine",
            "# @package _global_\nmodel: micro",
            "model: expected keys with values, but got 'micro'; a file chooses an option by "
            '"defaults: [override /model: micro]"',
        ),
        (
            "experiment/mine",
            "# @package _global_\noptimizer: adamw",
            "optimizer: expected keys with values, but got 'adamw'; a file chooses an option by "
            '"defaults: [override /optimizer: adamw]"',
        ),
        (
            "augmentation/mine",
            "name: mid\ntransforms: {}",
            "{file}: expected name: mine, as the file is called, but got mid: change it, as tables and folders of runs "
            "tell it",
        ),
        ("augmentation/mine", "name: 'mine'  # a copy\ntransforms: {}", None),
        ("experiment/mine", "# @package _global_\ndefaults: [override /model: tiny]\nseed: 2", None),
    ],
)
def test_mistakes_in_own_files_of_options_are_told(tmp_path, place, text, sentence):
    file = tmp_path / f"{place}.yaml"
    file.parent.mkdir()
    file.write_text(text)
    errors = errors_of(f"{place.partition('/')[0]}=mine", config_dir=tmp_path)
    assert (not errors) if sentence is None else sentence.replace("{file}", str(file)) in errors


def test_sweeps_that_cannot_be_counted_are_refused():
    assert "interval" in errors_of("seed=interval(1,2)", multirun=True)[0]


def test_parts_of_a_wrong_configuration_can_be_checked_on():
    [job] = read_jobs(Command(CONF, "train", ["seed=-1", "model.dropout=2"]), TrainConfig)[0]
    assert job.config is None
    assert job.part("dataset").name == "fer2013"
    assert job.part("seed") is None
    assert job.part("model") is None


def test_mistakes_of_all_jobs_are_told_once():
    words = ("augmentation=none,hflp", "seed=1,-2", "optimizer=sgd,adamw", "optimizer.momentum=0.8")
    assert errors_of(*words, multirun=True) == [
        "augmentation=hflp: expected one of full, hflip, mid, none, soft, strong, vflip, wild; did you mean hflip?",
        "optimizer.momentum: unknown key; optimizer=adamw has lr, betas, weight_decay",
        "seed: expected at least 0, but got -2",
    ]


# --- transforms ---

FLIP = "albumentations.HorizontalFlip"


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        ({"_target_": FLIP, "q": 1}, ": HorizontalFlip has no argument q; it has p"),
        ({"_target_": "albumentations.Affine", "scal": 1}, ": Affine has no argument scal; did you mean scale?"),
        ({"_target_": FLIP, "p": 3}, ".p: expected at most 1, but got 3"),
        ({"_target_": FLIP, "p": "often"}, ".p: expected a number, but got 'often'"),
        ({"_target_": "albumentations.RandomCrop"}, ".height: expected a value, but it is missing"),
        (
            {"_target_": "albumentations.HorizontalFlp"},
            ": expected _target_: albumentations.<Transform>, but got albumentations.HorizontalFlp; "
            "did you mean HorizontalFlip?",
        ),
        ({"p": 1}, ": expected _target_: albumentations.<Transform>, but got none"),
        ({"_target_": "os.getcwd"}, ": expected _target_: albumentations.<Transform>, but got os.getcwd"),
        (
            {"_target_": "albumentations.OneOf", "transforms": [{"_target_": "builtins.print"}]},
            ": expected _target_: albumentations.<Transform>, but got builtins.print",
        ),
        (
            {"_target_": "albumentations.core.composition.random.seed"},
            ": expected _target_: albumentations.<Transform>, but got albumentations.core.composition.random.seed",
        ),
        (
            {"_target_": "albumentations.RandomCrop", "height": 20, "width": 30},
            ": expected square uint8 faces back, but got (20, 30) uint8",
        ),
        (
            {"_target_": "albumentations.Normalize"},
            ": expected square uint8 faces back, but got (48, 48) float32",
        ),
    ],
)
def test_transforms_that_cannot_work_are_refused(transform, sentence):
    with pytest.raises(UserError) as error:
        build_strategy({"good": {"_target_": FLIP}, "x": transform}, 48)
    assert str(error.value) == f"augmentation.transforms.x{sentence}"


def crop(side, **changes):
    return {"_target_": "albumentations.RandomCrop", "height": side, "width": side} | changes


@pytest.mark.parametrize(
    ("transforms", "sentence"),
    [
        ({"x": crop(20, p=1e-9)}, ": expected faces of one size, .* sides of 20, 48 pixels; .* needs p: 1"),
        (
            {"x": {"_target_": "albumentations.OneOf", "transforms": [crop(40), {"_target_": FLIP}], "p": 1}},
            ": expected faces of one size, .* sides of 40, 48 pixels",
        ),
        ({"x": crop(30), "y": crop(40)}, r"\.y: Crop size .* exceeds image dimensions .* \(30, 30\)"),
    ],
)
def test_strategies_whose_faces_fit_into_no_batch_are_refused(transforms, sentence):
    with pytest.raises(UserError, match=f"^augmentation.transforms{sentence}"):
        build_strategy(transforms, 48)


def test_transforms_may_hold_transforms():
    flips = [{"_target_": FLIP, "p": 1.0}, {"_target_": "albumentations.VerticalFlip", "p": 1.0}]
    build_strategy({"some": {"_target_": "albumentations.OneOf", "transforms": flips, "p": 0.5}}, 48)


def test_a_strategy_whose_transforms_fit_alone_but_not_in_a_row_is_refused_before_any_work(train):
    crop = "{_target_: albumentations.RandomCrop, height: %d, width: %d, p: 1.0}"
    words = (f"+augmentation.transforms.one={crop % (20, 20)}", f"+augmentation.transforms.two={crop % (24, 24)}")
    found = train("dataset=synthetic", "augmentation=none", "model=tiny", *words)
    assert found.code == 2
    assert "augmentation.transforms.two: " in found.err and "augmentation.transforms.one: " not in found.err


@pytest.mark.slow
def test_a_sweep_of_wrong_jobs_is_refused_before_all_of_them_are_composed(monkeypatch):
    composed = []
    compose = Command.compose
    monkeypatch.setattr(Command, "compose", lambda self, words: composed.append(words) or compose(self, words))
    words = ["dataset=synthetic", "batch_size=0", "seed=range(100)"]
    errors = read_jobs(Command(CONF, "train", words, True), TrainConfig)[1]
    assert errors == ["batch_size: expected more than 0, but got 0"]
    assert len(composed) == 20


@pytest.mark.parametrize("words", [("trainer=ddp",), ("trainer.devices=2",)])
def test_an_evaluation_on_several_devices_is_refused_since_one_process_makes_it(words):
    found = errors_of("fit=false", "weights=fer2013", "dataset=synthetic", *words)
    assert any("fit=false: expected one device" in sentence for sentence in found)
