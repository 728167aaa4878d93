"""`na64reco inspect`: what is in a hit file, and is it sound."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, print_json, show
from na64reco.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from na64reco.events.inspect import FileReport

__all__ = ["inspect_command"]


def inspect_command(
    file: Annotated[str, typer.Argument(help="Hit file.")],
    setup: Annotated[
        str | None,
        typer.Option(
            help="Setup to check cells, strips and wires against: a name or a YAML file.",
            autocompletion=completion.setups,
        ),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how foreign branches are named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look through a hit file: branches with units, runs, triggers, and everything wrong with it.

    The exit code is 1 if the file is not sound.

    [bold]Examples[/bold]

    na64reco inspect data_samples/physics.root --setup 2022-electron

    na64reco inspect foreign.root --mapping my_branches.yaml --json
    """
    from na64reco.events import load_mapping
    from na64reco.events.inspect import inspect_file
    from na64reco.setup import load_setup

    report = inspect_file(
        file,
        None if setup is None else load_setup(setup),
        None if mapping is None else load_mapping(mapping),
    )
    if as_json:
        print_json({**asdict(report), "sound": report.sound})
    else:
        _print(report)
    if not report.sound:
        raise typer.Exit(ExitCode.WRONG)


def _print(report: FileReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    describe(f"{escape(report.path)}: {report.size} bytes")
    if report.format:
        kind = "simulated" if report.simulated else "data"
        container = f"{report.tree} ({report.format}, {report.compression})"
        describe(f"{report.entries} events in {container}, {kind}")
    if report.runs:
        runs = ", ".join(f"{run} ({events})" for run, events in list(report.runs.items())[:10])
        more = f", ... {len(report.runs)} runs" if len(report.runs) > 10 else ""
        describe(f"runs (events): {runs}{more}; {report.spills} spills")
        describe("triggers: " + ", ".join(f"{name} {n}" for name, n in report.triggers.items()))
    if report.hits:
        describe("hits per event: " + ", ".join(f"{n} {v:.2f}" for n, v in report.hits.items()))
    for name, found in report.waveforms.items():
        describe(
            f"{name}: {found.number} waveforms, {found.clipped} clipped, {found.empty} all zero"
        )
    for key, value in report.metadata.items():
        describe(escape(f"{key}: {value}"))
    if report.branches:
        table = Table()
        for title in ("branch", "type", "unit", "meaning"):
            table.add_column(title)
        table.add_column("MB", justify="right")
        for branch in report.branches:
            table.add_row(
                branch.name,
                escape(branch.type),
                branch.unit,
                branch.meaning,
                f"{branch.compressed / 1e6:.2f}",
            )
        describe(table)
    if report.missing:
        describe(f"not in the file: {', '.join(report.missing)}")
    if report.unknown:
        describe(escape(f"not in the schema, left alone: {', '.join(report.unknown)}"))
    if report.sound:
        describe("Nothing wrong was found.")
    for problem in report.problems:
        show(f"[bold]Problem:[/bold] {escape(problem)}")
