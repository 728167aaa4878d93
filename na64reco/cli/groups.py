"""How commands are called: errors without a traceback, options that all of them take."""

from __future__ import annotations

import errno
import inspect
import logging
import os
import re
import sys
import time
import warnings
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

from na64reco.cli.common import Verbosity, say, set_verbosity, verbosity, warn
from na64reco.cli.exit_codes import ExitCode
from na64reco.cli.near_files import near_files
from na64reco.errors import Na64recoError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["QUIET", "VERBOSE", "Group", "fail", "with_manners"]

_LOG = logging.getLogger(__name__)
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def fail(text: str) -> None:
    """An error, for the person at the screen."""
    typer.echo(f"Error: {text}", err=True)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    warn(str(message))


class Group(TyperGroup):
    """Commands whose expected errors are messages: exit code 1, nothing else on the screen."""

    arguments: tuple[str, ...] = ()
    """Of the command, for messages."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """Read the options before the command; what an earlier call in this process chose ends."""
        set_verbosity(Verbosity.NORMAL)
        with _messages(self):
            return super().make_context(*arguments, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; its arguments are kept for messages."""
        self.arguments = tuple(args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with warnings.catch_warnings(), _messages(self):
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        finally:
            set_verbosity(Verbosity.NORMAL)


@contextmanager
def _messages(group: Group) -> Iterator[None]:
    """Errors that are to be expected, as messages."""
    try:
        yield
    except typer.BadParameter as error:
        error.message = _with_suggestion(error.message)
        raise
    except Na64recoError as error:
        fail(near_files(str(error), group.arguments))
        raise typer.Exit(ExitCode.WRONG) from None
    except OSError as error:
        if error.errno == errno.EPIPE or isinstance(error, BrokenPipeError):
            _forget_output()
            raise typer.Exit(ExitCode.BROKEN_PIPE) from None
        where = f"{error.filename}: " if error.filename is not None else ""
        fail(near_files(f"{where}{error.strerror or error}.", group.arguments))
        raise typer.Exit(ExitCode.WRONG) from None
    except KeyboardInterrupt:
        say("Interrupted. No output was written.")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _forget_output() -> None:
    """Python would complain at its end that it cannot write what is left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _with_suggestion(message: str) -> str:
    """The nearest of the values that an option takes.

    >>> _with_suggestion("'electrn' is not one of 'electron', 'muon'.")
    "'electrn' is not one of 'electron', 'muon'. Did you mean 'electron'?"
    """
    message = message.removeprefix("Value error, ")
    found = re.search(r"'([^']*)' is not one of (.*)", message, flags=re.DOTALL)
    if found is None:
        return message
    hint = did_you_mean(found[1], re.findall(r"'([^']*)'", found[2]))
    return f"{message} {hint}" if hint.startswith("Did you mean") else message


def _choose(level: Verbosity) -> Callable[[bool], None]:
    def choose(wanted: bool) -> None:
        if not wanted:
            return
        if verbosity() not in {Verbosity.NORMAL, level}:
            msg = "--quiet and --verbose exclude each other."
            raise typer.BadParameter(msg)
        set_verbosity(level)

    return choose


QUIET = typer.Option(
    "--quiet",
    "-q",
    callback=_choose(Verbosity.QUIET),
    help="Only paths of what was written, warnings and errors.",
)
VERBOSE = typer.Option(
    "--verbose",
    "-v",
    callback=_choose(Verbosity.VERBOSE),
    help="Also what is read from where, and how long it takes.",
)


def with_manners(command: Callable[..., None], *, computes: bool) -> Callable[..., None]:
    """A command with the options that all take, `--quiet` and `--verbose`.

    Parameters
    ----------
    computes
        Whether it needs kernels: numba is started then, with nothing that they do without.
    """

    @wraps(command)
    def run(*args: Any, quiet: bool = False, verbose: bool = False, **options: Any) -> None:
        del quiet, verbose  # their callbacks have done it
        started = time.perf_counter()
        if computes:
            from na64reco.numba_start import lean_start

            lean_start()
        command(*args, **options)
        _LOG.info("Done in %.2f s", time.perf_counter() - started)

    kinds = get_type_hints(command, include_extras=True)
    kinds |= {"quiet": Annotated[bool, QUIET], "verbose": Annotated[bool, VERBOSE]}
    signature = inspect.signature(command)
    parameters = [
        *(p.replace(annotation=kinds[p.name]) for p in signature.parameters.values()),
        *(
            inspect.Parameter(name, _KEYWORD, default=False, annotation=kinds[name])
            for name in ("quiet", "verbose")
        ),
    ]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = kinds
    return run
