"""A sweep whose jobs wait in the queue of a Slurm cluster: the command that waits for them.

Submitit puts the jobs into the queue, and puts a job back that Slurm interrupts by SIGUSR2: at the end of its time, or
before a preemption. The job then goes on from its last whole epoch, as its folder is the same.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from submitit import SlurmJob
from submitit.core.utils import FailedJobError, UncompletedJobError

from fer.config.hydra_inside import JobReturn, error_of, failed
from fer.errors import JobFailed, Terminated, UserError


@contextmanager
def waiting(sweep: Path) -> Iterator[None]:
    """Have Hydra's launcher wait for all jobs, also after one that the cluster has ended without a result.

    Args:
        sweep: the sweep's folder.

    Raises:
        UserError: if Slurm refuses the jobs.
    """
    results = SlurmJob.results

    def wait(job: SlurmJob[JobReturn]) -> list[JobReturn]:
        try:
            returned = results(job)
        except UncompletedJobError:
            returned = [_lost(job)]
        except (KeyboardInterrupt, Terminated):
            number = job.job_id.partition("_")[0]
            _say(f"\nthe jobs stay in the queue; to end them: scancel {number}; to go on afterwards: resume={sweep}")
            raise
        if error := error_of(returned[0]):
            _say(str(error))
        return returned

    SlurmJob.results = wait
    try:
        yield
    except FailedJobError as error:  # of sbatch
        raise UserError(f"Slurm refused the sweep: {str(error).splitlines()[-1]}") from error
    finally:
        SlurmJob.results = results


def _lost(job: SlurmJob[JobReturn]) -> JobReturn:
    """Return what a failed job returns, for one that was cancelled or killed."""
    overrides, _, number, *_ = job.submission().args
    told = f"Slurm's job {job.job_id} ended without a result ({job.state}); its log: {job.paths.stderr}"
    return failed(overrides, JobFailed(f"failed: job {number}: {told}"))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
