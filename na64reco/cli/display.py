"""`na64reco display`: pictures of single events."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, open_this, progress_bar, written

__all__ = ["display_command"]

_KINDS = (".png", ".pdf", ".svg")


def display_command(  # noqa: PLR0917 - the options of the command
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE|OUT", help="Hit file, or output folder of `na64reco run`."),
    ],
    event: Annotated[
        str | None,
        typer.Option(metavar="RUN:EVENT|N", help="The event, or the number of its entry from 0."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(help='Events for which this holds, e.g. "region == signal" of a folder.'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Picture: PNG, PDF or SVG.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Page with several events to step through.")
    ] = None,
    setup: Annotated[
        str | None,
        typer.Option(
            help="Name or YAML file; default: what the folder or the file says.",
            autocompletion=completion.setups,
        ),
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            help="Whose blinded region is hidden too, beside those of shipped selections",
            autocompletion=completion.selections,
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Events of the page at most.")] = 10,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how foreign branches are named.")
    ] = None,
    calib: Annotated[
        Path | None, typer.Option(help="Folder of conditions; default: the shipped ones.")
    ] = None,
    nearest_conditions: Annotated[
        bool,
        typer.Option("--nearest-conditions", help="Runs that none cover take the nearest ones."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
) -> None:
    """Draw events: beam line with hits and tracks, energies of cells and counters, times.

    Conditions of --where are COLUMN OPERATOR VALUE with `and` between them. Events of data in a
    blinded region are never shown.

    [bold]Examples[/bold]

    na64reco display run.root --event 6101:4 -o event.png

    na64reco display out --where "region == sideband_c" --html events.html

    na64reco display run.root --setup 2022-electron --where "hcal.energy > 20" --html events.html
    """
    from na64reco.errors import OutputExistsError
    from na64reco.report.display import Wish, views_of
    from na64reco.report.display_page import write_display_page
    from na64reco.report.display_picture import save_event

    if out is None and html is None:
        msg = "Say where to draw: -o PICTURE.png (or .pdf, .svg), or --html PAGE.html."
        raise typer.BadParameter(msg)
    if out is not None and out.suffix.lower() not in _KINDS:
        msg = f"-o {out}: the name must end in {', '.join(_KINDS)}; pages go to --html."
        raise typer.BadParameter(msg)
    for path in (out, html):
        if path is not None and path.exists() and not overwrite:
            msg = f"{path} is there already; choose another name or give --overwrite."
            raise OutputExistsError(msg)
    wish = Wish(
        file,
        event=event,
        where=where,
        setup=setup,
        selection=selection,
        mapping=mapping,
        calib=calib,
        nearest=nearest_conditions,
        most=1 if html is None else most,
    )
    views = views_of(wish)
    if out is not None:
        save_event(views[0], out)
        written([out], f"{out}: event {views[0].label}")
    if html is not None:
        with progress_bar("Events", "events") as progress:
            write_display_page(views, html, progress=progress)
        describe(f"{len(views)} events")
        open_this(html)
