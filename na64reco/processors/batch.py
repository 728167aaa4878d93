"""dask workers in the jobs of a batch system, kept at their number until the user ends it.

For scripts like those of ``docs/cluster``. dask-jobqueue writes and submits the jobs. What it does
not do, and what happens on real clusters every day, is done here: a queue that refuses jobs ends
the script with the queue's own words, jobs that end before their worker comes are replaced, and
the user reads what the jobs wait for.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from na64reco.errors import Na64recoError
from na64reco.processors.pools import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "serve"]

INTERVAL = 10.0
"""Seconds between two looks at the queue."""
FUTILE = 3
"""Jobs in place of each that may end without a worker, one after the other."""


def main(make: Callable[..., Any], list_jobs: str, arguments: Sequence[str] | None = None) -> None:
    """The command line of a script: number of jobs; ends with a message and code 1 if it fails.

    Parameters
    ----------
    make, list_jobs
        See `serve`.
    arguments
        Default: those of the process.
    """
    parser = argparse.ArgumentParser(
        description="Start dask workers in batch jobs and print the address of their scheduler for "
        "`na64reco run --executor dask --scheduler ADDRESS`. Ctrl-C ends scheduler and jobs."
    )
    parser.add_argument("jobs", type=int, nargs="?", default=20, help="jobs (default: 20)")
    jobs = parser.parse_args(arguments).jobs
    if jobs < 1:
        parser.error(f"The number of jobs must be at least 1, found {jobs}.")
    try:
        asyncio.run(serve(make, jobs, list_jobs))
    except Na64recoError as error:
        sys.exit(f"Error: {error}")


async def serve(make: Callable[..., Any], jobs: int, list_jobs: str) -> None:
    """Submit jobs, print the scheduler's address, and keep the jobs up until SIGINT or SIGTERM.

    Parameters
    ----------
    make
        Gives a cluster of dask-jobqueue; is called with ``asynchronous=True``.
    jobs
        How many there shall be at any time.
    list_jobs
        Command that prints a line for each of the user's jobs: its number, then how it stands.

    Raises
    ------
    WorkerError
        If the batch system takes none of the jobs, or if they end again and again before a
        worker of theirs arrives.
    """
    stop = _until_signal()
    async with make(asynchronous=True) as cluster:
        keeper = _Keeper(cluster, jobs, list_jobs)
        problem = await keeper.submit()
        if not cluster.worker_spec:
            msg = (
                f"The batch system takes no job. {problem} Set queue, time and memory of your site "
                "in this script, and start it where you submit jobs."
            )
            raise WorkerError(msg)
        print(cluster.scheduler_address, flush=True)  # noqa: T201 - what the script is for
        while not stop.is_set():
            await keeper.look()
            _tell(await keeper.submit())
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), INTERVAL)
        _tell("Ending the jobs.")


def _until_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP, and a shell script SIGINT of what it starts in the background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    return stop


def _tell(text: str | None) -> None:
    """Standard output holds the address and nothing else."""
    if text:
        print(text, file=sys.stderr, flush=True)  # noqa: T201


class _Keeper:
    """Keeps the number of jobs of a cluster.

    dask-jobqueue submits a job again whose worker was there and is lost. It knows nothing of jobs
    that were refused, cancelled while they waited, or that ended before their worker came.
    """

    def __init__(self, cluster: Any, jobs: int, list_jobs: str) -> None:
        self._cluster = cluster
        self._jobs = jobs
        self._list_jobs = list_jobs
        self._arrived: set[str] = set()
        self._futile = 0
        self._told = ""

    async def submit(self) -> str | None:
        """Submit jobs that are missing; what the batch system says against it, if anything."""
        from distributed.core import Status

        cluster, problem = self._cluster, None
        for _ in range(self._jobs - len(cluster.worker_spec)):
            cluster.worker_spec.update(cluster.new_worker_spec())
        try:
            await cluster
        except FileNotFoundError as error:
            problem = f"There is no command `{error.filename}` here."
        except (OSError, RuntimeError, ValueError) as error:
            problem = _own_words(error)
        for name, job in list(cluster.workers.items()):
            if job.job_id is None:  # refused
                job.status = Status.failed
                del cluster.workers[name], cluster.worker_spec[name]
        return problem

    async def look(self) -> None:
        """Compare workers, jobs and the queue; take out jobs that are gone, tell what has changed.

        Raises
        ------
        WorkerError
            If too many jobs in a row ended without a worker.
        """
        listed = await self._listed()
        # A job of several processes has workers NAME-0, NAME-1, ...
        names = {str(name) for name in self._cluster.observed}
        names |= {name.rpartition("-")[0] for name in names}
        arrived, waiting = 0, Counter[str]()
        for name, job in list(self._cluster.workers.items()):
            if str(name) in names:
                arrived += 1
                self._arrived.add(job.job_id)
                self._futile = 0
            elif listed is None or job.job_id in listed:
                waiting["" if listed is None else listed[job.job_id]] += 1
            else:
                self._futile += job.job_id not in self._arrived
                await self._drop(name, job)
        self._say(arrived, waiting)
        if self._futile >= FUTILE * self._jobs:
            msg = (
                f"{self._futile} jobs in a row ended before a dask worker of theirs came. What "
                "went wrong stands in their log files."
            )
            raise WorkerError(msg)

    async def _drop(self, name: str, job: Any) -> None:
        from distributed.core import Status

        # First another name, then away with this one: a late worker must not meet its namesake.
        self._cluster.worker_spec.update(self._cluster.new_worker_spec())
        del self._cluster.worker_spec[name], self._cluster.workers[name]
        await job.close()
        job.status = Status.closed

    def _say(self, arrived: int, waiting: Counter[str]) -> None:
        text = f"{arrived} of {self._jobs} jobs have a worker"
        for state, count in sorted(waiting.items()):
            text += f"; {count} without: {state}" if state else f"; {count} without"
        if self._futile:
            text += f"; {self._futile} ended before a worker came (see their log files)"
        if text != self._told:
            _tell(f"{text}.")
        self._told = text

    async def _listed(self) -> dict[str, str] | None:
        """How each job stands, by its number; None if the queue does not answer."""
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(self._list_jobs),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return None
        output, _ = await process.communicate()
        if process.returncode != 0:
            return None
        lines = (line.split(maxsplit=1) for line in output.decode(errors="replace").splitlines())
        return {words[0]: " ".join(words[1:]).strip() for words in lines if words}


def _own_words(error: Exception) -> str:
    """What the command for submitting wrote, out of dask-jobqueue's account of its failure."""
    _, found, words = str(error).partition("stderr:\n")
    lines = (words if found else str(error)).split("\n")
    return "It says: " + " ".join(line.strip() for line in lines if line.strip())
