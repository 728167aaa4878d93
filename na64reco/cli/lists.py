"""`na64reco setups` and `na64reco selections`: what ships with the package; drawings of setups."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from na64reco.cli.common import print_json, say, show

if TYPE_CHECKING:
    from na64reco.setup.model import Setup

__all__ = ["selections_command", "setups_command"]

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def setups_command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A setup, or a YAML file with one; default: all."),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it from above: FILE.svg, .png or .pdf."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a drawing that is there.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """List the setups (run periods with all detectors), or the parts of one; draw it.

    [bold]Examples[/bold]

    na64reco setups

    na64reco setups 2022-electron

    na64reco setups 2022-muon-152 --draw beam_line.svg
    """
    from na64reco.setup import list_setups, load_setup

    if draw is not None and name is None:
        msg = "--draw needs the name of a setup: na64reco setups NAME --draw FILE."
        raise typer.BadParameter(msg)
    found = [load_setup(n) for n in (list_setups() if name is None else (name,))]
    if draw is not None:
        _draw(found[0], draw, overwrite=overwrite)
    elif as_json:
        print_json([_content(s, parts=name is not None) for s in found])
    elif name is None:
        _table("setup", "runs", [(s.name, f"{s.runs[0]} - {s.runs[1]}", s.title) for s in found])
    else:
        _parts(found[0])


def _draw(setup: Setup, path: Path, *, overwrite: bool) -> None:
    from na64reco.errors import OutputExistsError
    from na64reco.report.setup_drawing import save_setup

    if path.exists() and not overwrite:
        msg = f"{path} is there already; choose another name or give --overwrite."
        raise OutputExistsError(msg)
    save_setup(setup, path)
    say(f"{path}: {setup.title}")


def _content(setup: Setup, *, parts: bool) -> dict[str, object]:
    from dataclasses import asdict

    from na64reco.setup.parts import list_parts

    content: dict[str, object] = {
        "name": setup.name,
        "title": setup.title,
        "runs": list(setup.runs),
    }
    if parts:
        content["parts"] = [asdict(part) for part in list_parts(setup)]
    return content


def _parts(setup: Setup) -> None:
    """Everything along the beam, in its order."""
    from rich.table import Table

    from na64reco.setup.parts import list_parts

    table = Table(title=f"{setup.name}: {setup.title}", title_justify="left")
    for title in ("part", "what"):
        table.add_column(title)
    for title in ("z [m]", "x [mm]", "beam x [mm]", "size [mm]", "X0"):
        table.add_column(title, justify="right")
    for part in list_parts(setup):
        table.add_row(
            part.name,
            part.kind,
            f"{part.z * 1e-3:.3f}",
            f"{part.x:.1f}",
            f"{part.beam_x:.1f}",
            "" if part.width is None else f"{part.width:.0f} x {part.height:.0f}",
            "" if part.thickness_x0 is None else f"{part.thickness_x0:.3g}",
        )
    show(table)


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
