"""`na64reco report`: an output folder as one HTML page."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli.common import describe, open_this, print_json, progress_bar

__all__ = ["report_command"]


def report_command(  # noqa: PLR0917 - the options of the command
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of `na64reco run`.")],
    to: Annotated[
        Path | None, typer.Option("-o", "--out", help="The page; default: OUT/report.html.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="Another output folder to compare with."),
    ] = None,
    hadrons: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET",
            help="Dataset of hadrons, for their SRD against the electrons'; repeatable. Default: "
            "those whose names say so.",
        ),
    ] = None,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CSV", help="Mass in MeV and coupling, for figures of limits; repeatable."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print path and figures as JSON.")
    ] = False,
) -> None:
    """Show a run on one page: what ran, cutflow, histograms with their cuts, signal box, results.

    The page holds everything it shows and loads nothing from elsewhere; each figure can be saved
    as PDF, PNG and SVG, its numbers as CSV. What `efficiency`, `exposure`, `background` and
    `limit --json` left in the folder is on it. Events in a blinded region are not.

    [bold]Examples[/bold]

    na64reco report out

    na64reco report out --compare earlier_out -o comparison.html
    """
    from na64reco.report.page import write_report

    others = []
    if overlay:
        from na64reco.report.limits import read_overlay

        others = [read_overlay(path) for path in overlay]
    with progress_bar("Figures", "figures") as progress:
        written = write_report(
            out, to=to, other=compare, hadrons=hadrons or (), overlays=others, progress=progress
        )
    if as_json:
        print_json(
            {
                "path": str(written.path),
                "bytes": written.path.stat().st_size,
                "figures": list(written.figures),
            }
        )
        return
    size = written.path.stat().st_size / 1e6
    describe(f"{len(written.figures)} figures, {size:.1f} MB")
    open_this(written.path)
