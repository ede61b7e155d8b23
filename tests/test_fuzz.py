"""Spoiled files and odd words, hundreds of them, end in an answer or in a sentence; other seeds: FER_FUZZ_SEED."""

import os
import subprocess
import sys

import pytest

from tests.runs import ROOT

SEED = os.environ.get("FER_FUZZ_SEED", "1")
GROUPS = (("weights", "onnx", "csv", "cache"), ("images", "clips", "words"))  # side by side, as a machine has two cores


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzzer copies its process")
def test_spoiled_files_and_odd_words_end_in_a_sentence():
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = [sys.executable, "-m", "tests.fuzz", "--seed", SEED, "--inputs", "55"]
    started = [subprocess.Popen([*command, *group], **options) for group in GROUPS]
    said = [process.communicate(timeout=900)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)
