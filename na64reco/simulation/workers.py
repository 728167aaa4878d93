"""Batches from one process or from several, in the order of their numbers all the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from na64reco.errors import Na64recoError
from na64reco.numba_start import lean_start
from na64reco.simulation.batches import Job, Made, make_batch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["batches_in_order"]

_job: Job | None = None
"""Of a worker process."""


def batches_in_order(job: Job, *, workers: int = 1) -> Generator[Made, None, None]:
    """All batches of a job, without end: 0, 1, 2, ...

    Parameters
    ----------
    workers
        Processes. They work ahead by a few batches, which are thrown away when nobody wants them.

    Raises
    ------
    Na64recoError
        If a worker died.
    """
    if workers == 1:
        for number in count():
            yield make_batch(job, number)
    else:
        yield from _from_pool(job, workers)


def _from_pool(job: Job, workers: int) -> Generator[Made, None, None]:
    # Not fork: a forked copy of a process with threads may hang.
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(job,),
    )
    try:
        with _interrupts_held():
            waiting = deque(executor.submit(_make, number) for number in range(2 * workers))
        for number in count(2 * workers):
            try:
                made = waiting.popleft().result()
            except BrokenProcessPool:
                msg = (
                    "A worker process died (killed, or out of memory). Try again with fewer "
                    "workers."
                )
                raise Na64recoError(msg) from None
            waiting.append(executor.submit(_make, number))
            yield made
    finally:
        # Batches in work are a second's matter; those that wait are dropped.
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; those begun here leave it to the first one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(job: Job) -> None:
    global _job  # noqa: PLW0603 - what a worker is for
    _job = job
    lean_start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # A parent that was killed cannot send its workers home.
    threading.Thread(target=follow_parent, daemon=True).start()


def _make(number: int) -> Made:
    assert _job is not None
    return make_batch(_job, number)
