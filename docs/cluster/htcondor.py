"""Start workers in HTCondor jobs and print the address for `na64reco run --scheduler ADDRESS`.

python htcondor.py [JOBS]    on a submit node; Ctrl-C ends scheduler and jobs.
Needs the extra `na64reco[cluster]`. At CERN, submit from a folder on AFS, with data on EOS.
"""

from __future__ import annotations

from dask_jobqueue import HTCondorCluster

from na64reco.processors.batch import main

# Ended jobs that the schedd still keeps are not worth waiting for.
LIST_JOBS = (
    "condor_q -constraint 'JobStatus < 3 || JobStatus > 4' -autoformat:j "
    """'ifThenElse(JobStatus == 5, strcat("HELD (", HoldReason, ")"), """
    """ifThenElse(JobStatus == 1, "IDLE", "RUNNING"))'"""
)


def make(**options: object) -> HTCondorCluster:
    """The cluster; no job is submitted yet."""
    settings = {
        "cores": 1,
        "processes": 1,
        "memory": "2GB",
        "disk": "1GB",
        "log_directory": "logs",
        # A dashboard would show the work to everybody who reaches this node.
        "scheduler_options": {"dashboard": False},
        # `+JobFlavour` is CERN's name for a time limit; elsewhere, say what your site asks for.
        "job_extra_directives": {"+JobFlavour": '"longlunch"', "getenv": "True"},
        # Workers leave by themselves before the queue kills them, one after the other.
        "worker_extra_args": ["--lifetime", "110m", "--lifetime-stagger", "5m"],
        "job_script_prologue": ["export NUMBA_NUM_THREADS=1"],
    }
    return HTCondorCluster(**{**settings, **options})


if __name__ == "__main__":
    main(make, LIST_JOBS)
