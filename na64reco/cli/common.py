"""What all commands share: what goes to the screen, how much of it, and progress.

Standard output has results alone: tables, or with ``--json`` one JSON document, or with ``--quiet``
the paths of what was written. All else goes to standard error.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rich.console import Console

__all__ = [
    "Verbosity",
    "describe",
    "open_this",
    "print_json",
    "progress_bar",
    "say",
    "set_verbosity",
    "show",
    "verbosity",
    "warn",
    "working",
    "written",
]

_LOGGER = logging.getLogger("na64reco")
_PIPE_WIDTH = 120
"""Columns of a table where no terminal says how wide it is."""


class Verbosity(IntEnum):
    """How much is told beside the results."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


class _State:
    verbosity = Verbosity.NORMAL
    handler: logging.Handler | None = None


def verbosity() -> Verbosity:
    """How much the command is to tell."""
    return _State.verbosity


def set_verbosity(level: Verbosity) -> None:
    """Tell more or less from now on; with VERBOSE the package's log goes to standard error."""
    _State.verbosity = level
    if _State.handler is not None:
        _LOGGER.removeHandler(_State.handler)
        _State.handler = None
    _LOGGER.setLevel(logging.INFO if level is Verbosity.VERBOSE else logging.NOTSET)
    if level is Verbosity.VERBOSE:
        _State.handler = _log_handler()
        _State.handler.addFilter(_Once())
        _LOGGER.addHandler(_State.handler)


class _Once(logging.Filter):
    """The same line once: each chunk of a file reads it, and its conditions."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in self._seen
        self._seen.add(text)
        return new


def _log_handler() -> logging.Handler:
    if sys.stderr.isatty():
        from rich.logging import RichHandler

        return RichHandler(
            console=_screen(),
            show_path=False,
            show_level=False,
            omit_repeated_times=False,
            log_time_format="%H:%M:%S",
        )
    # Nothing to be broken at a width that a file does not have.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    return handler


def say(text: str) -> None:
    """A line for the person at the screen; nothing with --quiet."""
    if verbosity() is not Verbosity.QUIET:
        typer.echo(text, err=True)


def warn(text: str) -> None:
    """A line that nobody should miss, with --quiet neither."""
    typer.echo(f"Warning: {text}", err=True)


def print_json(content: Any) -> None:
    """Pure JSON on standard output."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def show(*renderables: Any) -> None:
    """Results on standard output: tables and text, in colour where that is a terminal."""
    from rich.console import Console
    from rich.table import Table

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    # A file or pipe has no width of its own.
    console = Pipe(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    for item in renderables:
        if isinstance(item, Table):
            for column in item.columns:
                # Where there is no room, a number goes on in the next line; none is cut off.
                column.overflow = "fold"
        console.print(item)


def describe(*renderables: Any) -> None:
    """What a command tells of results that it has written; nothing with --quiet."""
    if verbosity() is not Verbosity.QUIET:
        show(*renderables)


def written(paths: Iterable[Any], said: str | None = None, *, as_json: bool = False) -> None:
    """Paths of what was written.

    Parameters
    ----------
    said
        A line on standard error to stand for them. With --quiet, the bare paths go to standard
        output in any case, one in a line.
    as_json
        Standard output is left to JSON.
    """
    if as_json:
        if said is not None:
            say(said)
    elif verbosity() is Verbosity.QUIET:
        for path in paths:
            typer.echo(str(path))
    elif said is not None:
        say(said)
    else:
        # Not through the console, which would break a long path.
        typer.echo("\n".join(["Written:", *(f"  {path}" for path in paths)]))


def open_this(page: Path) -> None:
    """Where a page is that was written; the last line of the output."""
    text = "" if verbosity() is Verbosity.QUIET else "Open in a browser: "
    typer.echo(f"{text}{page.resolve()}")


@cache
def _console_of(stream: Any) -> Console:  # noqa: ARG001 - a new one for another stream
    from rich.console import Console

    return Console(stderr=True)


def _screen() -> Console:
    """Standard error: one console for progress and log, so that lines go above the bar."""
    return _console_of(sys.stderr)


@contextmanager
def progress_bar(text: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with rate and time left on standard error; nothing where that is no terminal.

    Yields
    ------
    A function to be called with what is done and what there is to do; None for no bar
    """
    if not sys.stderr.isatty() or verbosity() is Verbosity.QUIET:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
    )

    # Since the start, not of the last seconds: a chunk takes longer than those.
    def rate(task: Task) -> float:
        return task.completed / task.elapsed if task.elapsed else 0.0

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            speed = rate(task)
            if not speed:
                return ""
            return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"

    class TimeLeft(ProgressColumn):
        def render(self, task: Task) -> str:
            if not rate(task) or task.remaining is None:
                return "-:--:--"
            minutes, seconds = divmod(int(task.remaining / rate(task)), 60)
            return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn(unit),
        Rate(),
        TimeLeft(),
    )
    with Progress(*columns, console=_screen(), transient=True) as progress:
        task = progress.add_task(text, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update


@contextmanager
def working(text: str) -> Iterator[None]:
    """What is being done and for how long, on standard error, where it can't be counted."""
    if not sys.stderr.isatty() or verbosity() is Verbosity.QUIET:
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=_screen(), transient=True) as progress:
        progress.add_task(text, total=None)
        yield
