"""Where work is done: in this process, in a pool of processes, or on a dask cluster.

Each pool has one method, ``ordered``: apply a function to tasks and give the results back in the
order of the tasks, keeping only a few more in flight than there are workers, so that memory stays
bounded however many tasks there are.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from na64reco.errors import did_you_mean
from na64reco.processors.pieces import MEMORY
from na64reco.processors.workers import Lost, ProcessPool, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Task = tuple[Any, ...]

__all__ = [
    "EXECUTORS",
    "MEMORY",
    "TIMEOUT",
    "ExecutorName",
    "Lost",
    "Pool",
    "WorkerError",
    "open_pool",
]

ExecutorName: TypeAlias = Literal["iterative", "futures", "dask"]
EXECUTORS: tuple[ExecutorName, ...] = ("iterative", "futures", "dask")

TIMEOUT = 1800.0
"""Seconds after which a process of the pool that works on one chunk is taken for hung."""


class Pool(Protocol):
    """Something that works on tasks."""

    def ordered(
        self, function: Callable[..., Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Any, Any]]:
        """Pairs of task and ``function(*task)`` in the order of the tasks.

        A task that takes its worker process down again and again comes with a `Lost`.
        """
        ...


class _Serial:
    def ordered(
        self, function: Callable[..., Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Any, Any]]:
        for task in tasks:
            yield task, function(*task)


@contextmanager
def open_pool(
    executor: ExecutorName,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    memory: int | None = MEMORY,
    timeout: float | None = TIMEOUT,
) -> Iterator[Pool]:
    """A pool for the length of a `with` block.

    Parameters
    ----------
    executor
        ``"iterative"``, ``"futures"`` or ``"dask"``.
    workers
        Processes; default: as many as this process may use processors.
    scheduler
        Address of a running dask scheduler; without it, dask runs on this machine.
    memory, timeout
        Limits of a process of ``"futures"``, in bytes and in seconds for one task.

    Raises
    ------
    WorkerError
        If there is no such executor or the scheduler does not answer.
    """
    if executor not in EXECUTORS:
        msg = f"There is no executor {executor!r}. {did_you_mean(executor, EXECUTORS)}"
        raise WorkerError(msg)
    if scheduler is not None and executor != "dask":
        msg = f"--scheduler goes with --executor dask, not with {executor!r}."
        raise WorkerError(msg)
    if workers is not None and workers < 1:
        msg = f"The number of workers must be at least 1, found {workers}."
        raise WorkerError(msg)
    count = workers or len(os.sched_getaffinity(0))
    if executor == "iterative":
        yield _Serial()
    elif executor == "futures":
        pool = ProcessPool(count, memory=memory, timeout=timeout)
        try:
            yield pool
        finally:
            pool.close()
    else:
        from na64reco.processors.cluster import open_cluster

        with open_cluster(workers, count, scheduler) as cluster:
            yield cluster
