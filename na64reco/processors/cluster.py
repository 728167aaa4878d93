"""Work on a dask cluster, of which workers and even the scheduler may come and go."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from na64reco.processors.pools import WorkerError
from na64reco.processors.workers import Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from na64reco.processors.pools import Pool

    Task = tuple[Any, ...]

__all__ = ["open_cluster"]

CONNECT = 20.0
"""Seconds for a scheduler to answer."""
PATIENCE = 300.0
"""Seconds to wait for a lost scheduler to come back."""


@contextmanager
def open_cluster(workers: int | None, count: int, scheduler: str | None) -> Iterator[Pool]:
    """A pool on the cluster of a scheduler, or on one of this machine.

    Parameters
    ----------
    workers
        To keep busy; default: as many as the cluster has.
    count
        Number of workers if that is unknown.

    Raises
    ------
    WorkerError
        If the scheduler does not answer.
    """
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
            yield _Cluster(client, count, lambda: None)
        return

    def connect(patience: float) -> Any:
        return Client(scheduler, timeout=patience)

    try:
        client = connect(CONNECT)
    except (OSError, TimeoutError, ValueError) as error:
        msg = (
            f"The dask scheduler {scheduler} does not answer ({error}). Start one with `dask "
            "scheduler`, or leave --scheduler out to run on this machine."
        )
        raise WorkerError(msg) from None

    def reconnect() -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return connect(CONNECT)
            except (OSError, TimeoutError) as error:
                if time.monotonic() > end:
                    msg = (
                        f"The dask scheduler {scheduler} was lost and did not come back within "
                        f"{PATIENCE:.0f} s ({error}). Start it again and continue with --resume."
                    )
                    raise WorkerError(msg) from None
                time.sleep(1)

    known = workers or sum(client.nthreads().values()) or count
    pool = _Cluster(client, known, reconnect)
    try:
        yield pool
    finally:
        pool.close()


class _Cluster:
    """On a client of dask; tasks are given again if the scheduler is lost with them.

    Parameters
    ----------
    reconnect
        Makes a client of the scheduler that comes after a lost one, or None if there is none.
    """

    def __init__(self, client: Any, workers: int, reconnect: Callable[[], Any]) -> None:
        self._client = client
        self._window = 2 * workers + 1
        self._reconnect = reconnect

    def close(self) -> None:
        """Leave the cluster."""
        with suppress(OSError, TimeoutError):
            self._client.close()

    def ordered(
        self, function: Callable[..., Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Any, Any]]:
        """See `Pool`."""
        waiting: deque[tuple[Task, Any]] = deque()
        source = iter(tasks)
        try:
            while True:
                while len(waiting) < self._window:
                    try:
                        task = next(source)
                    except StopIteration:
                        break
                    waiting.append((task, self._submit(function, task)))
                if not waiting:
                    return
                yield self._result(function, waiting)
        finally:
            for _, future in waiting:
                with suppress(Exception):
                    future.cancel()

    def _submit(self, function: Callable[..., Any], task: Task) -> Any:
        # pure=False: equal arguments may mean a file that has changed on disk.
        try:
            return self._client.submit(function, *task, pure=False)
        except Exception as error:  # the result is asked for later, and fails again
            return _Failed(error)

    def _result(
        self, function: Callable[..., Any], waiting: deque[tuple[Task, Any]]
    ) -> tuple[Task, Any]:
        from distributed import KilledWorker

        alone = False
        while True:
            task, future = waiting[0]
            try:
                result = future.result()
            except KilledWorker as error:
                if alone:
                    result = Lost(f"several workers that worked on it died ({error})")
                else:
                    # Innocent tasks die with those that share their worker: judge it by itself.
                    alone = True
                    self._wait([f for _, f in waiting])
                    waiting[0] = task, self._submit(function, task)
                    continue
            except _lost_scheduler() as error:
                self._replace_client(error)
                for i, (other, _) in enumerate(waiting):
                    waiting[i] = other, self._submit(function, other)
                continue
            waiting.popleft()
            return task, result

    def _wait(self, futures: list[Any]) -> None:
        import distributed

        with suppress(Exception):
            distributed.wait(futures)  # type: ignore[no-untyped-call]

    def _replace_client(self, error: BaseException) -> None:
        with suppress(Exception):
            self._client.close(timeout=2)
        client = self._reconnect()
        if client is None:
            msg = f"The dask cluster is gone ({type(error).__name__}: {error}); use --resume."
            raise WorkerError(msg) from None
        self._client = client


class _Failed:
    """A task that could not be given to the scheduler."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> Any:
        raise CancelledError(str(self._error))

    def cancel(self) -> None:
        """Nothing to do."""


def _lost_scheduler() -> tuple[type[BaseException], ...]:
    from distributed.comm.core import CommClosedError

    found: list[type[BaseException]] = [CancelledError, CommClosedError]
    with suppress(ImportError):
        from distributed.client import FutureCancelledError

        found.append(FutureCancelledError)
    return tuple(found)
