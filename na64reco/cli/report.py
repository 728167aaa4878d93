"""`na64reco report`: an output folder as one HTML page."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli.common import describe, open_this, print_json, progress_bar

__all__ = ["report_command"]


def report_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of `na64reco run`.")],
    to: Annotated[
        Path | None, typer.Option("-o", "--out", help="The page; default: OUT/report.html.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="Another output folder to compare with."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print path and figures as JSON.")
    ] = False,
) -> None:
    """Show a run on one page: what ran, cutflow, histograms with their cuts, signal box, results.

    The page holds everything it shows and loads nothing from elsewhere; each figure can be saved
    as PDF and PNG, its numbers as CSV. What `efficiency`, `exposure`, `background` and
    `limit --json` left in the folder is on it. Events in a blinded region are not.

    [bold]Examples[/bold]

    na64reco report out

    na64reco report out --compare earlier_out -o comparison.html
    """
    from na64reco.report.page import write_report

    with progress_bar("Figures", "figures") as progress:
        written = write_report(out, to=to, other=compare, progress=progress)
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
