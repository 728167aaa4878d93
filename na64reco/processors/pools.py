"""Where work is done: in this process, in a pool of processes, or on a dask cluster.

Each pool has one method, ``ordered``: apply a function to tasks and give the results back in the
order of the tasks, keeping only a few more in flight than there are workers, so that memory stays
bounded however many tasks there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from na64reco.errors import Na64recoError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    T = TypeVar("T")
    Task = tuple[Any, ...]

__all__ = ["EXECUTORS", "ExecutorName", "Pool", "WorkerError", "open_pool"]

ExecutorName: TypeAlias = Literal["iterative", "futures", "dask"]
EXECUTORS: tuple[ExecutorName, ...] = ("iterative", "futures", "dask")


class WorkerError(Na64recoError):
    """A worker process or the cluster is gone, or an executor cannot be had."""


class Pool(Protocol):
    """Something that works on tasks."""

    def ordered(self, function: Callable[..., T], tasks: Iterable[Task]) -> Iterator[tuple[Any, T]]:
        """Pairs of task and ``function(*task)`` in the order of the tasks."""
        ...


class _Serial:
    def ordered(self, function: Callable[..., T], tasks: Iterable[Task]) -> Iterator[tuple[Any, T]]:
        for task in tasks:
            yield task, function(*task)


class _Submitting:
    """On anything with ``submit`` that returns futures."""

    def __init__(
        self,
        submit: Callable[..., Any],
        window: int,
        broken: tuple[type[Exception], ...] = (BrokenProcessPool,),
    ) -> None:
        self._submit = submit
        self._broken = broken
        self._window = window

    def ordered(self, function: Callable[..., T], tasks: Iterable[Task]) -> Iterator[tuple[Any, T]]:
        waiting: deque[tuple[Any, Any]] = deque()
        source = iter(tasks)
        try:
            while True:
                while len(waiting) < self._window:
                    try:
                        task = next(source)
                    except StopIteration:
                        break
                    waiting.append((task, self._submit(function, *task)))
                if not waiting:
                    return
                task, future = waiting.popleft()
                try:
                    result = future.result()
                except self._broken:
                    held = "\n".join(f"  {_describe(t)}" for t, _ in [(task, future), *waiting])
                    msg = (
                        "A worker process died (killed, or out of memory). One of these was in "
                        f"work:\n{held}\nTry --executor iterative on them, or a smaller "
                        "--chunk-size."
                    )
                    raise WorkerError(msg) from None
                yield task, result
        finally:
            for _, future in waiting:
                future.cancel()


def _describe(task: Task) -> str:
    return str(task[-1])


@contextmanager
def open_pool(
    executor: ExecutorName, *, workers: int | None = None, scheduler: str | None = None
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
        with _process_pool(count) as pool:
            yield pool
    else:
        with _dask(workers, count, scheduler) as pool:
            yield pool


def _ignore_interrupts() -> None:
    # Ctrl-C reaches the whole process group; the driver decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _process_pool(workers: int) -> Iterator[Pool]:
    # Not fork: a forked copy of a process with threads (numba, uproot, dask) may hang.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["na64reco.processors.execute"])
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield _Submitting(executor.submit, window=2 * workers + 1)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _dask(workers: int | None, count: int, scheduler: str | None) -> Iterator[Pool]:
    import distributed

    # distributed is only half annotated
    Client: Any = distributed.Client
    LocalCluster: Any = distributed.LocalCluster

    if scheduler is None:
        with (
            LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            yield _dask_pool(client, count)
        return
    try:
        client = Client(scheduler, timeout=20)
    except (OSError, TimeoutError, ValueError) as error:
        msg = (
            f"The dask scheduler {scheduler} does not answer ({error}). Start one with `dask "
            "scheduler`, or leave --scheduler out to run on this machine."
        )
        raise WorkerError(msg) from None
    with client:
        known = workers or sum(client.nthreads().values()) or count
        yield _dask_pool(client, known)


def _dask_pool(client: Any, workers: int) -> Pool:
    def submit(function: Callable[..., Any], *arguments: Any) -> Any:
        # pure=False: equal arguments may mean a file that has changed on disk.
        return client.submit(function, *arguments, pure=False)

    from distributed import KilledWorker

    return _Submitting(submit, window=2 * workers + 1, broken=(KilledWorker,))
