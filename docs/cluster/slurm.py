"""Start workers in Slurm jobs and print the address for `na64reco run --scheduler ADDRESS`.

python slurm.py [JOBS]    on a submit node; Ctrl-C ends scheduler and jobs.
Needs the extra `na64reco[cluster]`. Partition, time and memory are those of your site.
"""

from __future__ import annotations

from dask_jobqueue import SLURMCluster

from na64reco.processors.batch import main

LIST_JOBS = "squeue --noheader --me --format='%A %T (%r)'"


def make(**options: object) -> SLURMCluster:
    """The cluster; no job is submitted yet."""
    settings = {
        "queue": "short",
        "walltime": "02:00:00",
        "cores": 1,
        "processes": 1,
        "memory": "2GB",
        "log_directory": "logs",
        # A dashboard would show the work to everybody who reaches this node.
        "scheduler_options": {"dashboard": False},
        "job_extra_directives": ["--requeue"],
        # Workers leave by themselves before the queue kills them, one after the other.
        "worker_extra_args": ["--lifetime", "110m", "--lifetime-stagger", "5m"],
        "job_script_prologue": ["export NUMBA_NUM_THREADS=1"],
    }
    return SLURMCluster(**{**settings, **options})


if __name__ == "__main__":
    main(make, LIST_JOBS)
