"""A persistent pool of processes that survives what is done in it.

Each process has a pipe of its own, so that it is known which task a dead one had in work: the task
is tried again in a new process, and given up after some deaths, while all others go on. A process
that does not come back in time, or wants more memory than it may have, is treated likewise.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
import traceback
from collections import deque
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import Na64recoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection

    Task = tuple[Any, ...]

__all__ = ["Lost", "ProcessPool", "WorkerError", "limited_memory"]

ATTEMPTS = 3
"""How often a task may take its process down before it is given up."""


class WorkerError(Na64recoError):
    """A worker process or the cluster is gone, or an executor cannot be had."""


class Lost:
    """Comes in place of a result: the task takes every process down.

    Parameters
    ----------
    reason
        How the last process ended.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Worker:
    """A process and its tasks; it works on the first, the others wait in the pipe."""

    def __init__(self, context: Any, memory: int | None) -> None:
        self.connection, end = context.Pipe()
        self.process = context.Process(target=_work, args=(end, memory), daemon=True)
        self.process.start()
        end.close()
        self.tasks: deque[int] = deque()
        self.since = 0.0
        self.ready = False
        """Whether it has started: before, its end is not the fault of a task."""
        self.function: object = None

    def give(self, function: Callable[..., Any], number: int, task: Task) -> None:
        if not self.tasks:
            self.since = time.monotonic()
        self.tasks.append(number)
        # A broken pipe shows when the answer is waited for.
        with suppress(OSError):
            if self.function is not function:
                self.connection.send((True, function))
                self.function = function
            self.connection.send((False, task))

    def stop(self) -> str:
        """End it; how it ended comes back."""
        self.process.join(0.5)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
        self.connection.close()
        if code is None:
            return "was killed for taking too long"
        if code < 0:
            return f"was ended by the signal {signal.Signals(-code).name}"
        return f"ended with code {code}"


class ProcessPool:
    """Processes that work on tasks, one at a time each.

    Parameters
    ----------
    workers
        Number of processes.
    memory
        Bytes of data that one of them may hold; None for no limit.
    timeout
        Seconds that a task may take.
    """

    def __init__(
        self, workers: int, *, memory: int | None = None, timeout: float | None = None
    ) -> None:
        # Not fork: a forked copy of a process with threads (numba, uproot, dask) may hang.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["na64reco.processors.warm"])
        self._memory, self._timeout = memory, timeout
        self._failed_starts = 0
        self._workers = [_Worker(self._context, memory) for _ in range(workers)]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            if worker.tasks:
                worker.process.kill()
            worker.process.join(5)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
        self._workers = []

    def ordered(
        self, function: Callable[..., Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Any, Any]]:
        """Pairs of task and ``function(*task)``, or a `Lost`, in the order of the tasks.

        Raises
        ------
        BaseException
            What the function raised.
        WorkerError
            If processes cannot be started.
        """
        window = 2 * len(self._workers) + 1
        source = enumerate(tasks)
        open_tasks: dict[int, Task] = {}
        answers: dict[int, tuple[bool, Any]] = {}
        again: deque[int] = deque()
        deaths: dict[int, int] = {}
        next_out, more = 0, True
        try:
            while True:
                # Those that had a process die go first, and alone in the pipe of a process.
                for depth in (0, 1):
                    for worker in self._workers:
                        if len(worker.tasks) > depth:
                            continue
                        if depth == 0 and again:
                            number = again.popleft()
                            worker.give(function, number, open_tasks[number])
                            continue
                        if not more or len(open_tasks) >= window:
                            continue
                        try:
                            number, task = next(source)
                        except StopIteration:
                            more = False
                            continue
                        open_tasks[number] = task
                        worker.give(function, number, task)
                while next_out in answers:
                    good, answer = answers.pop(next_out)
                    task = open_tasks.pop(next_out)
                    if not good:
                        raise answer
                    next_out += 1
                    yield task, answer
                if not open_tasks and not more:
                    return
                for number, lost in self._collect(answers):
                    deaths[number] = deaths.get(number, 0) + (lost is not None)
                    if lost is None or deaths[number] < ATTEMPTS:
                        again.append(number)
                    else:
                        reason = f"{deaths[number]} processes that worked on it died; the last one"
                        answers[number] = True, Lost(f"{reason} {lost}")
        finally:
            # Whoever still works on something that nobody waits for is replaced.
            for i, worker in enumerate(self._workers):
                if worker.tasks:
                    worker.process.kill()
                    worker.stop()
                    self._workers[i] = _Worker(self._context, self._memory)

    def _collect(self, answers: dict[int, tuple[bool, Any]]) -> Iterator[tuple[int, str | None]]:
        """Wait for answers; tasks to do again, with the end of a process that had them in work."""
        busy = [w for w in self._workers if w.tasks]
        if not busy:
            return
        limit = None
        if self._timeout is not None:
            first = min(w.since for w in busy)
            limit = max(first + self._timeout - time.monotonic(), 0)
        ready = wait([w.connection for w in busy], limit)
        for i, worker in enumerate(self._workers):
            if not worker.tasks:
                continue
            late = self._timeout is not None and time.monotonic() - worker.since > self._timeout
            if worker.connection in ready:
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):
                    late = True
                else:
                    if worker.ready:
                        answers[worker.tasks.popleft()] = answer
                    worker.ready = True
                    worker.since = time.monotonic()
                    self._failed_starts = 0
                    continue
            if not late:
                continue
            ending = worker.stop()
            self._workers[i] = _Worker(self._context, self._memory)
            if not worker.ready:
                self._failed_starts += 1
                if self._failed_starts >= ATTEMPTS:
                    msg = (
                        f"Worker processes cannot be started: the last one {ending}. A script that "
                        "uses them needs `if __name__ == '__main__':` around what it does; else "
                        "see the messages of the processes, or use --executor iterative."
                    )
                    raise WorkerError(msg)
            for number in worker.tasks:
                guilty = worker.ready and number == worker.tasks[0]
                yield number, ending if guilty else None


def _limit_data(memory: int) -> None:
    # Anonymous memory only: mapped files may be as large as they like.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def limited_memory(memory: int | None) -> Iterator[None]:
    """Let this process hold no more than so many bytes of data, for the length of a block.

    What does not fit is a `MemoryError`, which a file is to blame for, instead of the end of
    whatever the system chooses to kill. A process that holds more than half of it beforehand is
    not there for this block alone, and left as it is.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if memory is None or 2 * _held() > memory:
        yield
        return
    _limit_data(memory)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _held() -> int:
    """Bytes of data that this process holds, by the measure of the limit."""
    words = Path("/proc/self/status").read_text(encoding="ascii").split()
    return 1024 * int(words[words.index("VmData:") + 1])


def _work(connection: Connection, memory: int | None) -> None:
    """What a process does until its pipe is closed."""
    # Ctrl-C reaches the whole process group; the driver decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if memory is not None:
        _limit_data(memory)
    with suppress(OSError):
        connection.send((True, "ready"))
    function: Callable[..., Any] | None = None
    while True:
        try:
            is_function, content = connection.recv()
        except (EOFError, OSError):
            return
        if is_function:
            function = content
            continue
        assert function is not None
        answer: tuple[bool, Any]
        try:
            answer = True, function(*content)
        except Exception as error:  # it is raised where the task came from
            error.add_note("".join(traceback.format_tb(error.__traceback__)).rstrip())
            answer = False, error
        try:
            connection.send(answer)
        except OSError:
            return
        except Exception as error:  # what cannot be sent
            connection.send((False, RuntimeError(f"{type(error).__name__}: {error}")))
