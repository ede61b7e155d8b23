"""What a user sees of `python train.py`: pages, exit codes and one list of mistakes."""

import contextlib
import errno
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from fer.config.jobs import Command
from fer.errors import RunError, UserError
from fer.schema import TrainConfig
from tests.conftest import EASY, Result

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "train.py"
STUB = """
import os, signal, sys, time
from fer.command import main
from fer.schema import TrainConfig

def task(config, folder):
    print("started", flush=True)
    exec({code!r})

main({script!r}, lambda: TrainConfig, lambda jobs, multirun: None, task)
"""


def python(*words: str, folder: Path) -> Result:
    """Run Python in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder, env=environment)
    return Result(done.returncode, done.stdout, done.stderr)


def unchecked(jobs: list[Any], multirun: bool) -> None:
    """Let everything pass."""


# --- pages ---


@pytest.mark.parametrize("words", [("--help",), ("--cfg", "job"), ("-m", "seed=1,2", "-h")])
def test_pages_import_nothing_heavy(words, tmp_path):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['train.py', *sys.argv[1:]]\n"
        f"try: runpy.run_path({str(TRAIN)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print({'torch', 'lightning', 'albumentations', 'cv2', 'matplotlib'} & set(sys.modules), file=sys.stderr)"
    )
    page = python("-c", code, *words, folder=tmp_path)
    assert page.err == "set()\n"
    assert "dataset" in page.out
    assert not list(tmp_path.iterdir())


def test_help_ends_in_peace_when_nobody_reads_on():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, ROOT / "train.py", "--help"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_lists_every_option_and_key(train):
    page = train("--help").out
    options = Command(ROOT / "conf", "train", []).options
    assert [f"{group}={name}" for group in options for name in options[group] if f"  {group}={name} " not in page] == []
    for group, names in options.items():
        for name in names if group != "experiment" else ():
            plain = yaml.safe_load((ROOT / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8"))
            keys = [f"{group}.{key}" for key in plain.get(group, plain) if key not in ("name", "defaults", name)]
            keys += [f"{group}.{name}.{key}" for key in plain.get(name, ()) if group == "logger"]
            assert [key for key in keys if not re.search(rf"^    {key}(=\S+)? +\S", page, re.M)] == []
    primary = set(TrainConfig.model_fields) - set(options)
    assert [key for key in [*primary, "trainer.max_epochs"] if f"\n  {key}=" not in page] == []
    assert "python train.py dataset=synthetic" in page
    assert "    model.widths=[32,64,128,256]  channels of each stage\n" in page
    assert "    optimizer.betas=[0.9,0.999]  adamw: decay of the gradient's first and second moment\n" in page
    assert page.isascii()
    assert [line for line in page.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("flag", [["--config-dir", "my own"], ["--config-dir=my own"], ["-cd", "my own"]])
def test_help_lists_own_options_too(train, tmp_path, flag):
    for place, text in {
        "model/micro.yaml": "# smaller still\nname: micro\nwidths: [4]  # of one stage\n",
        "optimizer/lion.yaml": "lr: 1",
        "experiment/mine.yaml": "# @package _global_\n# all mine\noptimizer:\n  lr: 2\n",
    }.items():
        (tmp_path / "my own" / place).parent.mkdir(parents=True)
        (tmp_path / "my own" / place).write_text(text)
    page = train(*flag, "--help").out
    for line in ("model=micro               smaller still", "experiment=mine           all mine"):
        assert f"\n  {line}\n" in page
    assert "\n  optimizer=lion            " in page
    missing = train("--help", "--config-dir", "nowhere")
    assert missing.err == "error: --config-dir=nowhere: expected a folder of options, but there is no such folder\n"


def test_cfg_shows_the_configuration_and_checks_it(train, task):
    shown = train("--cfg", "job", "seed=7")
    assert shown.code == 0
    assert yaml.safe_load(shown.out)["seed"] == 7
    assert train("--cfg", "job", "seed=-7") == (2, "", "error: seed: expected at least 0, but got -7\n")
    assert yaml.safe_load(train("--cfg", "job", "-p", "optimizer").out)["name"] == "sgd"
    assert not task.calls


@pytest.mark.parametrize(
    ("flag", "shows"), [("--hydra-help", "--config-dir"), ("--info=searchpath", "conf"), ("--version", "Hydra 1.")]
)
def test_pages_of_hydra(train, flag, shows):
    page = train(flag)
    assert page.code == 0
    assert shows in page.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--epochs 3", "unrecognized arguments: --epochs: settings are written key=value, without dashes; see --help"),
        ("-m --cfg job", "--cfg: expected one run to show, but -m makes a sweep: leave out -m"),
        ("--config-dir nowhere", "--config-dir=nowhere: expected a folder of options, but there is no such folder"),
    ],
)
def test_wrong_flags_are_one_sentence(train, words, sentence):
    assert train(*words.split()) == (2, "", f"error: {sentence}\n")


# --- runs and sweeps ---


def test_a_run(train, task, tmp_path):
    assert train(*EASY, "seed=3", "hydra.run.dir=my runs/(1)") == (0, "", "")
    [(config, folder)] = task.calls
    assert (config.seed, config.dataset.name) == (3, "synthetic")
    assert folder == tmp_path / "my runs" / "(1)"
    written = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
    assert TrainConfig.model_validate(written) == config


def test_a_sweep_with_its_flag_anywhere(train, task, tmp_path):
    root = "/a,b (c)=it's é\\"
    words = ("seed=1,2", "-m", f"dataset.root={root}", "hydra.sweep.dir=s p", "augmentation.transforms.flip.p=0.3")
    result = train(*words, check=unchecked)
    assert result.code == 0
    assert [config.seed for config, _ in task.calls] == [1, 2]
    assert {str(config.dataset.root) for config, _ in task.calls} == {str(Path(root))}
    assert [folder.parent for _, folder in task.calls] == [tmp_path / "s p"] * 2
    assert "job 0: seed=1\n" in result.out


def test_hydra_composes_each_job_of_a_sweep_once(train, task, monkeypatch):
    composed, load = [], ConfigLoaderImpl.load_sweep_config

    def load_sweep_config(self, *words, **more):
        composed.append(more.get("sweep_overrides", words[-1]))
        return load(self, *words, **more)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", load_sweep_config)
    assert train("-m", *EASY, "seed=1,2").code == 0
    assert [words[-1] for words in composed] == ["seed=1", "seed=2"]


def test_own_strategies_from_another_folder(train, task, tmp_path):
    own = tmp_path / "my conf" / "augmentation" / "my_own.yaml"
    own.parent.mkdir(parents=True)
    flip = "{flip: {_target_: albumentations.HorizontalFlip, p: 0.25}}"
    own.write_text(f"# mine\nname: my_own\ntransforms: {flip}\n")
    assert train("--config-dir", "my conf", "dataset=synthetic", "augmentation=my_own").code == 0
    assert task.calls[0][0].augmentation.transforms["flip"]["p"] == 0.25
    refused = train("--config-dir", "my conf", "dataset=synthetic", "augmentation=my_onw")
    assert refused.err.endswith("did you mean my_own?\n")


# --- exit codes ---


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("expected a cat"), 2, "error: expected a cat\n"),
        (RunError("the disk is full"), 1, "failed: the disk is full\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_exit_codes(train, task, error, code, says):
    task.raises[1] = error
    assert train(check=unchecked) == (code, "", says)


def test_unexpected_errors_exit_with_1_and_a_traceback(tmp_path):
    stub = tmp_path / "stub.py"
    stub.write_text(STUB.format(code="{}['x']", script=str(TRAIN)))
    result = python(str(stub), folder=tmp_path)
    assert result.code == 1
    assert result.err.count("Traceback (most recent call last)") == 1
    assert "KeyError: 'x'" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a terminated process at once")
@pytest.mark.parametrize("flag", [(), ("-m",)])
def test_a_terminated_run_exits_with_143(tmp_path, flag):
    stub = tmp_path / "stub.py"
    stub.write_text(STUB.format(code="os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", script=str(TRAIN)))
    started = time.monotonic()
    result = python(str(stub), *flag, folder=tmp_path)
    assert (result.code, result.err) == (143, "terminated\n")
    assert time.monotonic() - started < 50


def test_a_failing_job_does_not_stop_the_others(train, task):
    task.raises = {1: UserError("expected a cat"), 2: RunError("the disk is full"), 3: ZeroDivisionError("by zero")}
    result = train("--multirun", "seed=1,2,3,4", check=unchecked)
    assert result.code == 1
    assert [config.seed for config, _ in task.calls] == [1, 2, 3, 4]
    for sentence in ("job 0: expected a cat", "job 1: the disk is full", "job 2: ZeroDivisionError('by zero')"):
        assert result.err.count(f"failed: {sentence}\n") == 1
    assert result.err.count("Traceback") == 1
    assert result.err.endswith("failed: not every job of the sweep went well; see their errors above\n")


@pytest.mark.slow
def test_a_full_disk_fails_each_job_of_a_sweep_and_stops_none(train, task, monkeypatch):
    task.raises = dict.fromkeys((1, 2), OSError(errno.ENOSPC, "No space left on device"))
    failed = train("-m", "seed=1,2", "hydra.sweep.dir=a", check=unchecked)

    @contextlib.contextmanager
    def full(path: Path) -> Iterator[None]:
        yield io.StringIO()
        raise OSError(errno.ENOSPC, "No space left on device")

    task.raises = {}
    monkeypatch.setattr("fer.run_folder.atomic_file", full)  # of .hydra/
    for result in (failed, train("-m", "seed=1,2", "hydra.sweep.dir=b", check=unchecked)):
        assert result.code == 1
        assert result.err.count("No space left on device") == 2
        assert [f"failed: job {number}: " in result.err for number in (0, 1)] == [True, True]
        assert "Traceback" not in result.err
    assert len(task.calls) == 2


@pytest.mark.parametrize("words", [("hydra.run.dir=here",), (), ("-m", "hydra.sweep.dir=here"), ("-m",)])
def test_a_full_disk_is_no_mistake_of_the_user(train, task, monkeypatch, words):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(Path, "mkdir", full)
    code, _, err = train(*words, check=unchecked)
    assert (code, len(err.splitlines()), err.split(":")[0]) == (1, 1, "failed")
    assert "Disk quota exceeded" in err
    assert not task.calls


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_run_outlasts_what_takes_its_output(tmp_path):
    stub = tmp_path / "stub.py"
    code = "print('more', flush=True); (folder / 'done').touch()"
    stub.write_text(STUB.format(code=code, script=str(TRAIN)))
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("wb") as full:
        for place, output in (("full", full), ("gone", writer)):
            command = [sys.executable, str(stub), "-m", f"hydra.sweep.dir={place}"]
            done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.PIPE)
            assert done.returncode == 1
            assert done.stderr.startswith(b"failed: a part of what was said on stdout is lost ([Errno ")
            assert done.stderr.count(b"\n") == 1
            assert list(tmp_path.glob(f"{place}/**/done"))
        assert subprocess.run([sys.executable, TRAIN, "--help"], stdout=full, stderr=subprocess.PIPE).returncode == 1
        assert subprocess.run([sys.executable, stub, "seed=-1"], env=environment, stderr=full).returncode == 2
    os.close(writer)


def test_an_interrupted_sweep_stops(train, task):
    task.raises[1] = KeyboardInterrupt()
    assert train("-m", "seed=1,2", check=unchecked).code == 130
    assert len(task.calls) == 1


# --- what lies in the folder of a run ---

LEFT = {
    "a list": (b"- 1\n", "(a list)"),
    "text of another encoding": ("seed: é".encode("latin-1"), "'utf-8' codec can't decode"),
    "levels": (b"[" * 900, "(over 20 levels)"),
    "aliases": (b"a: &a [x]\nb: [*a, *a]\n", "(an alias, *a)"),
    "a tag": (b"seed: !!python/object/apply:os.system ['touch ran']\n", "could not determine a constructor"),
    "half a reference": (b"seed: ${nope\n", "cannot be read"),
    "far too much": (b"a: 1\n" + b"#" * 300_000, "(over 200,000 bytes)"),
    "itself": (b"seed: ${seed}\n", "seed: ${seed} -> 1"),
    "a secret": (b"seed: ${oc.env:SECRET}\n", "seed: ${oc.env:SECRET} -> 1"),
    "a secret by a detour": (b"a: ${oc.env:SECRET}\nseed: ${a}\n", "seed: ${oc.env:SECRET} -> 1"),
    "laughter": (b"a: ['${seed}', '${seed}']\nb: ['${a}', '${a}']\nseed: ${b}", "seed: ${b} -> 1"),
    "a long value": (b"seed: " + b"1" * 4000 + b"\n", "seed: " + "1" * 200 + "... -> 1"),
    "what a terminal obeys": (b'seed: "\\e[31m"\n', "seed: \\x1b[31m -> 1"),
}


@pytest.mark.parametrize(("content", "says"), LEFT.values(), ids=LEFT)
def test_settings_that_somebody_has_written_are_compared_or_refused(train, task, tmp_path, monkeypatch, content, says):
    monkeypatch.setenv("SECRET", "password")
    (tmp_path / "here/.hydra").mkdir(parents=True)
    (tmp_path / "here/.hydra/config.yaml").write_bytes(content)
    refused = train(*EASY, "resume=here")
    assert (refused.code, refused.out, task.calls) == (2, "", [])
    assert says in refused.err
    assert refused.err.count("\n") == 1
    assert "password" not in refused.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_settings_from_the_environment_are_those_of_the_interrupted_run(train, tmp_path, monkeypatch):
    own = tmp_path / "own/augmentation/mine.yaml"
    own.parent.mkdir(parents=True)
    flip = "{_target_: albumentations.HorizontalFlip, p: '${oc.decode:${oc.env:SHARE}}'}"
    own.write_text(f"# mine\nname: mine\ntransforms:\n  flip: {flip}\n")
    monkeypatch.setenv("SHARE", "0.5")
    words = ("--config-dir", "own", "dataset=synthetic", "augmentation=mine")
    assert train(*words, "hydra.run.dir=here").code == 0
    assert train(*words, "resume=here").code == 0
    refused = train(*words, "seed=2", "resume=here")
    assert (refused.code, refused.err) == (
        2,
        "error: resume: expected the settings of the interrupted run here, but seed: 1 -> 2\n",
    )


def test_a_run_that_was_killed_before_it_wrote_anything_starts_anew(train, tmp_path):
    settings = tmp_path / "here/.hydra/config.yaml"
    settings.parent.mkdir(parents=True)
    settings.touch()
    assert train(*EASY, "resume=here").code == 0
    assert yaml.safe_load(settings.read_text())["seed"] == 1
    settings.write_bytes(b"")
    (tmp_path / "here/checkpoints").mkdir()
    (tmp_path / "here/checkpoints/last.ckpt").write_bytes(b"of which settings?")
    assert train(*EASY, "resume=here").code == 2


# --- mistakes ---


def test_the_front_page_command_without_data_says_what_to_do(tmp_path):
    result = python(str(TRAIN), folder=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: dataset.root=data")
    assert result.err.count("\n") == 1
    assert "dataset=synthetic" in result.err
    assert not list(tmp_path.iterdir())


MUCH = {
    "letters": ("seed=" + "9" * 100_000, "expected at most 4000 letters in a word, but got 100005"),
    "dots": (".".join("a" * 1000) + "=1", "expected at most 20 levels of dots and brackets, but got 999"),
    "braces": ("seed=" + "{a:" * 900 + "1" + "}" * 900, "expected at most 20 levels of dots and brackets, but got 900"),
    "brackets": ("seed=" + "[" * 1000, "expected at most 20 levels of dots and brackets, but got 1000"),
    "digits": ("seed=" + "9" * 3000, "seed: expected less than 4294967296, but got 999"),
    "name": ("hydra.run.dir=" + "a" * 300, "cannot be looked at: File name too long"),
    "escapes": ("seed=\x1b[31mred", "seed=\\x1b[31mred: expected key=value"),
    "escapes in a name": ("hydra.run.dir=/\x1b[31m/" + "a" * 300, "/\\x1b[31m/aaa"),
    "itself": ("seed=${seed}", "ecursi"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other bounds of names, and says so in other words")
@pytest.mark.parametrize(("word", "says"), MUCH.values(), ids=MUCH)
def test_too_much_in_a_word_is_one_short_sentence(train, task, tmp_path, word, says):
    refused = train(*EASY, word)
    assert (refused.code, refused.out, task.calls) == (2, "", [])
    assert says in refused.err
    assert refused.err.count("\n") == 1
    assert len(refused.err) < 400
    assert refused.err[:-1].isprintable()
    assert not list(tmp_path.iterdir())


def test_too_many_words_are_one_sentence(train):
    refused = train(*(f"seed={number}" for number in range(2000)))
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith("error: expected at most 300 words, but got 2000")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("seed=range(100000)",), "seed=range(100000): expected at most 1000 values for a sweep"),
        (("seed=shuffle(range(1000000000))",), "expected at most 1000 values for a sweep"),
        (("ema=range(0.1,0.2,1e-9)",), "expected at most 1000 values for a sweep"),
        (("seed=range(40)", "batch_size=range(1,41)"), "-m: expected at most 1000 jobs in a sweep, but got 1600"),
        (("ema=range(0.0,nan,1)",), "ema=range(0.0,nan,1): "),
        (("seed=range(0,5,0)",), "seed=range(0,5,0): "),
    ],
)
def test_the_jobs_of_a_sweep_are_counted_before_they_are_made(train, task, words, says):
    refused = train("-m", *EASY, *words)
    assert (refused.code, refused.out, task.calls) == (2, "", [])
    assert says in refused.err
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize(
    "word",
    [
        "hydra.launcher._target_=os.system",
        "hydra.sweeper._target_=os.system",
        "+hydra.callbacks.x={_target_: os.system}",
        "+hydra.sweeper.params.seed=range(100000)",
        "hydra.launcher={_target_: os.system}",
    ],
)
def test_only_our_launchers_start_jobs(train, task, word):
    refused = train("-m", *EASY, word)
    assert (refused.code, task.calls) == (2, [])
    assert refused.err == (
        f"error: {word}: expected hydra/launcher=basic, parallel or slurm, and their keys: nothing else may start the "
        "jobs\n"
    )


@pytest.mark.parametrize("flag", [(), ("-m",)])
def test_all_mistakes_are_one_list_and_nothing_is_written(train, task, tmp_path, flag):
    result = train(
        *flag,
        "seed=-1",
        "typo=1",
        "foo",
        "augmentation=hflip",
        "+augmentation.transforms.flip.q=1",
        "dataset.root=nowhere",
        "weights=nothing.safetensors",
    )
    assert (result.code, result.out) == (2, "")
    heading, *lines = result.err.splitlines()
    assert heading == "error: 6 settings are wrong"
    begin = (
        "foo: ",
        "typo: ",
        "weights=nothing.safetensors: ",  # whose net is taken when the settings are composed
        "seed: ",
        "dataset.root=nowhere: ",
        "augmentation.transforms.flip: ",
    )
    assert [line[4:].startswith(start) for line, start in zip(lines, begin, strict=True)] == [True] * 6
    assert "Traceback" not in result.err
    assert not list(tmp_path.iterdir())
    assert not task.calls


@pytest.mark.slow
def test_shipped_weights_go_by_name_and_from_any_folder(train, task):
    for word in ("ferplus", "weights/ferplus.safetensors"):
        assert train(*EASY, "fit=false", f"weights={word}").code == 0
        assert task.calls[-1][0].weights == Path(word)  # as typed: it is the same on every machine
    assert train("-m", *EASY, "weights=fer2013,ferplus").code == 0
    assert [config.weights for config, _ in task.calls[-2:]] == [Path("fer2013"), Path("ferplus")]
    wrong = train(*EASY, "fit=false", "weights=ferplu")
    assert wrong.code == 2
    assert wrong.err.endswith("there is no such file; did you mean ferplus?\n")


def test_mistakes_of_a_sweep_are_told_before_its_first_job(train, task, tmp_path):
    result = train("-m", "dataset=synthetic", "augmentation=none,hflp", "seed=1,-2", "trainer=ddp,cpu")
    assert result.code == 2
    assert [line[4:].partition(":")[0] for line in result.err.splitlines()[1:]] == [
        "augmentation=hflp",
        "seed",
        "trainer.strategy=ddp",
    ]
    assert "each process of a distributed run would start the whole sweep again" in result.err
    assert not task.calls
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("wanted", "named"), [("gpu", "a GPU"), ("cuda", "a CUDA GPU"), ("mps", "Apple's GPU")])
def test_a_missing_gpu_is_one_sentence(train, monkeypatch, wanted, named):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    result = train(*EASY, f"trainer.accelerator={wanted}")
    assert result.code == 2
    assert result.err.startswith(f"error: trainer.accelerator={wanted}: expected {named}, but PyTorch finds none")
    assert result.err.count("\n") == 1


def test_more_gpus_than_there_are_is_one_sentence(train, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    refused = train(*EASY, "trainer=gpu", "trainer.devices=3")
    assert refused.err == "error: trainer.devices=3: expected at most 2, as PyTorch finds no more of a GPU\n"


def test_a_folder_that_cannot_be_made_is_one_sentence(train, tmp_path):
    (tmp_path / "file").touch()
    for words in (("hydra.run.dir=file/run",), ("-m", "hydra.sweep.dir=file/sweep")):
        result = train(*words, check=unchecked)
        assert result.code == 2
        assert result.err.startswith("error: the run's folder cannot be made: ")
        assert result.err.count("\n") == 1
