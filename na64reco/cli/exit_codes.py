"""What the exit code of a command says; help, documentation and the commands use this table."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["EXIT_CODES", "ExitCode", "exit_code_text"]


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    DONE = 0
    WRONG = 1
    USAGE = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_CODES: Final[dict[ExitCode, str]] = {
    ExitCode.DONE: "all went well",
    ExitCode.WRONG: "something is wrong with what was given, and a message says what; or "
    "`inspect` or `doctor` found something wrong",
    ExitCode.USAGE: "wrong usage: no such command, option or value",
    ExitCode.INTERRUPTED: "stopped with Ctrl-C",
    ExitCode.BROKEN_PIPE: "whoever read the output has closed it, as `| head` does",
}
"""By number, what each means; the last two are those that shells use for the signals."""


def exit_code_text() -> str:
    """All codes in one sentence.

    >>> exit_code_text().split(";")[0]
    'Exit code: 0 all went well'
    """
    return "Exit code: " + "; ".join(f"{int(c)} {text}" for c, text in EXIT_CODES.items()) + "."
