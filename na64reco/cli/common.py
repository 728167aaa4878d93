"""What all commands share: printing, progress, and errors without a traceback."""

from __future__ import annotations

import errno
import json
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from na64reco.errors import Na64recoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Group", "print_json", "progress_bar", "say", "show"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def say(text: str) -> None:
    """A line for the person at the screen; standard output is left to results."""
    typer.echo(text, err=True)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"Warning: {message}")


class Group(TyperGroup):
    """Commands whose expected errors are messages: exit code 1, nothing else on the screen."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except Na64recoError as error:
            say(f"Error: {error}")
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # `| head`: the application's own business
                raise
            where = f"{error.filename}: " if error.filename is not None else ""
            say(f"Error: {where}{error.strerror or error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("Interrupted. No output was written.")
            raise typer.Exit(INTERRUPTED) from None


def print_json(content: Any) -> None:
    """Pure JSON on standard output."""
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def show(*renderables: Any) -> None:
    """Tables and text on standard output, in colour where that is a terminal."""
    from rich.console import Console

    # A file or pipe has no width of its own: nothing is to be cut off there.
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    for item in renderables:
        console.print(item)


@contextmanager
def progress_bar(text: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error, or nothing where that is no terminal.

    Yields
    ------
    A function to be called with what is done and what there is to do; None for no bar
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            speed = task.finished_speed or task.speed
            return "" if speed is None else f"{speed:,.0f}/s"

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update
