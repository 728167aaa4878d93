"""Start workers in Slurm jobs and print the address for `na64reco run --scheduler ADDRESS`.

python slurm.py [JOBS]    on a submit node; Ctrl-C ends scheduler and jobs.
Needs the extra `na64reco[cluster]`. Partition, time and memory are those of your site.
"""

from __future__ import annotations

import signal
import sys

from dask_jobqueue import SLURMCluster


def make(**options: object) -> SLURMCluster:
    """The cluster; no job is submitted yet."""
    settings = {
        "queue": "short",
        "walltime": "02:00:00",
        "cores": 1,
        "processes": 1,
        "memory": "2GB",
        "job_extra_directives": ["--requeue"],
        # Workers leave by themselves before the queue kills them, one after the other.
        "worker_extra_args": ["--lifetime", "110m", "--lifetime-stagger", "5m"],
        "job_script_prologue": ["export NUMBA_NUM_THREADS=1"],
    }
    return SLURMCluster(**{**settings, **options})


if __name__ == "__main__":
    with make() as cluster:
        jobs = int(sys.argv[1]) if sys.argv[1:] else 20
        cluster.adapt(minimum_jobs=1, maximum_jobs=jobs)
        print(cluster.scheduler_address, flush=True)  # noqa: T201
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
