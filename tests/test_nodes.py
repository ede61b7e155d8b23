"""Two machines train one net with torchrun: one folder, and the same result as one process with the same batches."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs import DRAWN, ROOT, TINY

pytestmark = pytest.mark.slow
ALIKE = ("augmentation=none", "loss.weighting=none", "trainer.precision=32-true", "trainer.max_epochs=3", "ema=0.9")
NODES = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2", "batch_size=8")


def torchrun(rank: int, address: str, words: tuple[str, ...], folder: Path, prefix: list[str]) -> subprocess.Popen:
    """Start one of two nodes, with train.py in a folder of the node's own."""
    (folder / "temporary").mkdir(parents=True)
    launch = ["-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1"]
    place = [f"--master-addr={address}", "--master-port=29531", str(ROOT / "train.py")]
    return subprocess.Popen(
        [*prefix, sys.executable, *launch, *place, *DRAWN, *TINY, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "temporary")},
    )


@pytest.fixture(params=["loopback", "network"])
def prefixes(request) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the first node's address, and what starts a process on each node: here, or in namespaces with a cable."""
    if request.param == "loopback":
        yield "127.0.0.1", [[], []]
        return
    if not shutil.which("ip") or os.name != "posix" or os.geteuid() != 0:
        pytest.skip("needs root and iproute2 for network namespaces")
    names = [f"fer{os.getpid()}{node}" for node in "ab"]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(
            ["ip", "link", "add", "cable", "netns", names[0], "type", "veth", "peer", "cable", "netns", names[1]],
            check=True,
        )
        for index, name in enumerate(names, 1):
            for words in (f"address add 10.9.9.{index}/24 dev cable", "link set cable up", "link set lo up"):
                subprocess.run(["ip", "-n", name, *words.split()], check=True)
        yield "10.9.9.1", [["ip", "netns", "exec", name, "env", "GLOO_SOCKET_IFNAME=cable"] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def train_on_two(tmp_path: Path, prefixes, *words: str) -> list[tuple[int, str, str]]:
    address, starts = prefixes
    nodes = [torchrun(rank, address, (*NODES, *words), tmp_path / f"{rank}", starts[rank]) for rank in (0, 1)]
    return [(node.wait(), *node.communicate(timeout=300)) for node in nodes]


def losses(run: Path) -> list[float]:
    with (run / "history.csv").open() as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file)]


def test_two_nodes_end_like_one_process_with_the_same_batches(tmp_path, prefixes):
    ends = train_on_two(tmp_path, prefixes, *ALIKE)
    assert [code for code, *_ in ends] == [0, 0], ends
    [run] = (tmp_path / "0" / "runs").iterdir()
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["temporary"]  # the second node owns nothing
    assert not list(tmp_path.glob("1/temporary/fer-*"))
    one = tmp_path / "one"
    words = [*DRAWN, *TINY, *ALIKE, "batch_size=16", f"hydra.run.dir={one}"]
    subprocess.run([sys.executable, str(ROOT / "train.py"), *words], check=True, capture_output=True)
    assert losses(run)[0] == pytest.approx(losses(one)[0], abs=1e-5)
    assert losses(run) == pytest.approx(losses(one), abs=1e-2)  # sums in another order, which training enlarges
    results, expected = (json.loads((folder / "metrics.json").read_text()) for folder in (run, one))
    assert results["test/n"] == expected["test/n"] == 24
    assert results["test/loss"] == pytest.approx(expected["test/loss"], abs=1e-2)


def test_too_few_processes_are_a_mistake(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(ROOT / "train.py")]
    done = subprocess.run([*launch, *DRAWN, *TINY], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert "error: 2 processes have been started, by torchrun, srun or the like, and each" in done.stderr
    assert not list(tmp_path.iterdir())
