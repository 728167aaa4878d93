"""`na64reco export`: events and results in the formats of other programs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli.common import print_json, progress_bar, say, written

__all__ = ["export_command"]


def export_command(  # noqa: PLR0917 - the options of the command
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Output folder of `na64reco run`, its selected.root, or a hit file.",
        ),
    ],
    to: Annotated[
        list[Path],
        typer.Option(
            "-o",
            "--out",
            "--to",
            metavar="FILE",
            help="Events as .parquet, .arrow or .feather, or .csv; repeatable.",
        ),
    ],
    columns: Annotated[
        str, typer.Option(help="NAME,NAME,... such as ecal.energy; default: all.")
    ] = "",
    dataset: Annotated[str | None, typer.Option(help="Only the events of this dataset.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON.")
    ] = False,
) -> None:
    """Write events for other programs: pandas, arrow, R, Julia, a spreadsheet.

    Columns have the names of selected.root, numbers their type and value; hits are lists, and
    left out of CSV. Units and meanings of columns, selection, versions and blinding are in the
    file's metadata. Events in a blinded region are not in selected.root to begin with.

    [bold]Examples[/bold]

    na64reco export out -o selected.parquet

    na64reco export out -o energies.csv --columns run,event,ecal.energy,hcal.energy

    na64reco export run_6100.root -o hits.parquet
    """
    from na64reco.processors.export_events import export_events, export_format

    for path in to:
        try:
            export_format(path)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    exported = []
    for path in to:
        with progress_bar(path.name, "events") as progress:
            found = export_events(
                source,
                path,
                columns=[c for c in columns.split(",") if c] or None,
                dataset=dataset,
                overwrite=overwrite,
                progress=progress,
            )
        exported.append(found)
        said = f"{path}: {found.events} events, {len(found.columns)} columns"
        written([path], said, as_json=as_json)
        if found.left_out:
            say(f"Note: {len(found.left_out)} columns of hits are lists, which CSV cannot hold.")
    if as_json:
        print_json(
            [
                {"path": str(f.path), "events": f.events, "columns": list(f.columns),
                 "left_out": list(f.left_out)}
                for f in exported
            ]
        )  # fmt: skip
