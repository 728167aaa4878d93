"""`na64reco setups` and `na64reco selections`: what ships with the package."""

from __future__ import annotations

from typing import Annotated

import typer

from na64reco.cli.common import print_json, show

__all__ = ["selections_command", "setups_command"]

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def setups_command(as_json: _Json = False) -> None:
    """List the setups: run periods with all detectors.

    [bold]Example[/bold]

    na64reco setups
    """
    from na64reco.setup import list_setups, load_setup

    found = [load_setup(name) for name in list_setups()]
    if as_json:
        print_json([{"name": s.name, "title": s.title, "runs": list(s.runs)} for s in found])
        return
    _table("setup", "runs", [(s.name, f"{s.runs[0]} - {s.runs[1]}", s.title) for s in found])


def selections_command(as_json: _Json = False) -> None:
    """List the selections: cuts, regions and histograms.

    [bold]Example[/bold]

    na64reco selections
    """
    from na64reco.selection import list_selections, load_selection

    found = [load_selection(name) for name in list_selections()]
    if as_json:
        print_json([{"name": s.name, "title": s.title, "setup": s.setup} for s in found])
        return
    _table("selection", "setup", [(s.name, s.setup, s.title) for s in found])


def _table(first: str, second: str, rows: list[tuple[str, str, str]]) -> None:
    from rich.table import Table

    table = Table()
    for title in (first, second, "title"):
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    show(table)
