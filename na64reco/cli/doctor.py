"""`na64reco doctor`: does this installation work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from na64reco.cli.common import Verbosity, describe, print_json, show, verbosity
from na64reco.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from na64reco.report.doctor import Finding

__all__ = ["doctor_command"]


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check the installation: libraries, compiler and its cache, memory, disk, shipped files.

    The exit code is 1 if something is wrong; warnings do not count.

    [bold]Examples[/bold]

    na64reco doctor

    na64reco doctor --json
    """
    from dataclasses import asdict

    from na64reco.report.doctor import examine

    findings = examine()
    wrong = any(f.verdict == "wrong" for f in findings)
    if as_json:
        print_json({"sound": not wrong, "findings": [asdict(f) for f in findings]})
    else:
        quiet = verbosity() is Verbosity.QUIET
        _print([f for f in findings if f.verdict != "ok"] if quiet else findings)
        describe("Something is wrong, see above." if wrong else "All is well.")
    if wrong:
        raise typer.Exit(ExitCode.WRONG)


def _print(findings: list[Finding]) -> None:
    if not findings:
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    colours = {"ok": "green", "warning": "yellow", "wrong": "red"}
    for f in findings:
        table.add_row(f"[{colours[f.verdict]}]{f.verdict}[/]", escape(f.subject), escape(f.found))
    show(table)
