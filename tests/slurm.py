"""A Slurm cluster of one machine, on loopback and in a folder of its own, for as long as tests need it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")  # of Debian's munge and slurm-wlm
SETTINGS = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthInfo=socket={folder}/munge.socket,cred_expire=5  # a job that was put back starts again after 5 s, not 120
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MpiDefault=none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=3 RealMemory=60000
PartitionName=main Nodes={host} Default=YES PriorityTier=1 GraceTime=4
PartitionName=urgent Nodes={host} PriorityTier=2
"""
# Instead of the accounting database, which would need a MariaDB: what the controller remembers of its jobs.
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
squeue --noheader --array --states=all --format='%i|%T|%N'
"""


def install() -> None:
    """Install Slurm from Debian's archive, if it is not there."""
    if not all(map(shutil.which, PROGRAMS)):
        words = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
        subprocess.run(words, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, condition: Callable[[], object], seconds: float = 180) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.2)


class Cluster:
    """Three processors of this machine, a partition `main`, and `urgent`, whose jobs take those of main away."""

    def __enter__(self) -> "Cluster":
        self.folder = Path(tempfile.mkdtemp(prefix="fer-slurm-"))
        self.folder.chmod(0o755)  # munged asks for it
        self.daemons: list[subprocess.Popen] = []
        try:
            self._configure()
            self._start("munged", "--foreground", "--force", *self._munge())
            wait_for("munged", (self.folder / "munge.socket").exists, 20)
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D")
            wait_for("the node", lambda: "idle" in self.run("sinfo", "--noheader", "--format=%T"), 60)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, *words: str) -> str:
        """Run one of Slurm's commands; return what it says."""
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False).stdout

    def running(self) -> list[str]:
        """Return the numbers of the jobs that run, in order."""
        return sorted(self.run("squeue", "--noheader", "--states=RUNNING", "--format=%i").split())

    def states(self) -> dict[str, str]:
        """Return the state of every job that the controller remembers."""
        lines = self.run("squeue", "--noheader", "--array", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def close(self) -> None:
        """End all jobs and daemons, and leave nothing behind."""
        if len(self.daemons) == 3:
            self.run("scancel", "--user=root", "--signal=KILL")
            self.run("scancel", "--user=root")
            ends = {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL"}
            wait_for("the end of the jobs", lambda: set(self.states().values()) <= ends, 60)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(20)
        shutil.rmtree(self.folder)

    def _configure(self) -> None:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        values = {"host": socket.gethostname().split(".")[0], "folder": self.folder}
        settings = SETTINGS.format(controller=free_port(), node=free_port(), **values)
        (self.folder / "slurm.conf").write_text(settings)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "bin/sacct").write_text(SACCT)
        (self.folder / "bin/sacct").chmod(0o755)
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin"
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def _munge(self) -> list[str]:
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [f"--{option}={self.folder / f'munge.{name}'}" for option, name in names.items()]

    def _start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as out:
            self.daemons.append(
                subprocess.Popen(words, env=self.environment, stdout=out, stderr=out, start_new_session=True)
            )
