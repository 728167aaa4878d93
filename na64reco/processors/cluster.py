"""Work on a dask cluster, of which workers and even the scheduler may come and go."""

from __future__ import annotations

import logging
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

_LOG = logging.getLogger(__name__)

CONNECT = 20.0
"""Seconds for a scheduler to answer."""
PATIENCE = 300.0
"""Seconds to wait for a lost scheduler to come back."""
LOOK = 2.0
"""Seconds between two looks at how many workers there are."""
IDLE = 30.0
"""Seconds without any worker before the user is told, and again after ten times as long."""


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
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                # Nobody looks at it, and the usual port may be taken.
                scheduler_kwargs={"dashboard": False, "dashboard_address": ":0"},
            ) as cluster,
            Client(cluster) as client,
        ):
            yield _Cluster(client, lambda: None, count, fixed=True)
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
        _LOG.warning(
            "The dask scheduler %s is lost; waiting up to %.0f s for it.", scheduler, PATIENCE
        )
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

    pool = _Cluster(client, reconnect, workers or count, fixed=workers is not None)
    with _quiet("distributed.client"):
        try:
            yield pool
        finally:
            pool.close()


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """No tracebacks of a logger: a lost scheduler is told in one line, by `reconnect`."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Cluster:
    """On a client of dask; tasks are given again if the scheduler is lost with them.

    Parameters
    ----------
    reconnect
        Makes a client of the scheduler that comes after a lost one, or None if there is none.
    workers
        To keep busy, until it is known how many there are.
    fixed
        Whether it stays at that. Otherwise workers that come later, as those of a batch system
        do, get their share as soon as they are there.
    """

    def __init__(
        self, client: Any, reconnect: Callable[[], Any], workers: int, *, fixed: bool
    ) -> None:
        self._client = client
        self._reconnect = reconnect
        self._window = 2 * workers + 1
        self._fixed = fixed
        self._idle_since = time.monotonic()
        self._next_look = 0.0
        self._next_word = IDLE

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
                self._look()
                while len(waiting) < self._window:
                    try:
                        task = next(source)
                    except StopIteration:
                        break
                    waiting.append((task, self._submit(function, task)))
                if not waiting:
                    return
                if self._ready(waiting[0][1]):
                    yield self._result(function, waiting)
        finally:
            for _, future in waiting:
                with suppress(Exception):
                    future.cancel()

    def _look(self) -> None:
        """Count the workers from time to time; say so if there is none for long."""
        now = time.monotonic()
        if now < self._next_look or self._client.status != "running":
            return  # a lost scheduler is not asked: the next result tells
        self._next_look = now + LOOK
        try:
            workers = sum(self._client.nthreads().values())
        except (OSError, TimeoutError):  # it is lost at this moment
            return
        if workers:
            self._idle_since, self._next_word = now, IDLE
            if not self._fixed:
                self._window = 2 * workers + 1
        elif now - self._idle_since > self._next_word:
            self._next_word += 10 * IDLE
            _LOG.warning(
                "No worker for %.0f s at the dask scheduler %s; waiting. Workers in batch jobs "
                "come when their jobs run: look into the queue.",
                now - self._idle_since,
                self._client.scheduler.address,
            )

    def _ready(self, future: Any) -> bool:
        """Whether there is a result or an error; waits for it as long as until the next look."""
        import distributed

        if isinstance(future, _Failed):
            return True
        try:
            distributed.wait(future, timeout=LOOK)  # type: ignore[no-untyped-call]
        except TimeoutError:
            return False
        except _lost_scheduler():
            pass  # asking for the result finds it again
        return True

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
