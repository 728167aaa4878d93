"""`na64reco export`: events and results in the formats of other programs."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from na64reco.cli import completion
from na64reco.cli.common import print_json, progress_bar, say, written

if TYPE_CHECKING:
    from na64reco.processors.export_events import Exported

__all__ = ["export_command"]


def export_command(  # noqa: PLR0917 - the options of the command
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Output folder of `na64reco run`, its selected.root, or a hit file; for --hepdata "
            "folders and files of `na64reco limit --json`.",
        ),
    ],
    to: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Events as .parquet, .arrow or .feather, or .csv; repeatable.",
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            help="NAME,NAME,... such as ecal.energy; default: all.",
            autocompletion=completion.columns,
        ),
    ] = "",
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    hepdata: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Limits, cutflows and the plane for HEPData."),
    ] = None,
    abstract: Annotated[
        str | None, typer.Option(help="Abstract of the HEPData record; a text, or a file with it.")
    ] = None,
    collaboration: Annotated[str | None, typer.Option(help="Its name, for HEPData.")] = None,
    inspire: Annotated[
        int | None, typer.Option(min=1, help="Number of the INSPIRE record, for HEPData.")
    ] = None,
    arxiv: Annotated[
        str | None, typer.Option(metavar="ID", help="Such as 2404.06982, for HEPData.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON.")
    ] = False,
) -> None:
    """Write events for pandas, arrow or a spreadsheet, and results for HEPData.

    Columns have the names of selected.root, numbers their type and value; hits are lists, and
    left out of CSV. Units and meanings of columns, selection, versions and blinding are in the
    file's metadata. Events in a blinded region are nowhere in what is written.

    [bold]Examples[/bold]

    na64reco export out -o selected.parquet

    na64reco export out -o energies.csv --columns run,event,ecal.energy,hcal.energy

    na64reco export run_6100.root -o hits.parquet

    na64reco export out limit.json --hepdata submission --abstract abstract.txt
    """
    _check(sources, to or [], hepdata)
    content: dict[str, Any] = {}
    if to:
        chosen = [c for c in columns.split(",") if c] or None
        events = [
            _events(sources[0], path, chosen, dataset, overwrite=overwrite, as_json=as_json)
            for path in to
        ]
        content["events"] = [
            {
                "path": str(found.path),
                "events": found.events,
                "columns": list(found.columns),
                "left_out": list(found.left_out),
            }
            for found in events
        ]
    if hepdata is not None:
        from na64reco.report.hepdata import About, write_submission

        about = About(_text(abstract), collaboration, inspire, arxiv)
        submission = write_submission(
            sources, hepdata, about=about, dataset=dataset, overwrite=overwrite
        )
        said = f"{hepdata}: {len(submission.tables)} tables"
        written([hepdata], said, as_json=as_json)
        if about.missing:
            say(f"Note: HEPData also wants what {' and '.join(about.missing)} would give.")
        content["hepdata"] = {"path": str(hepdata), "tables": list(submission.tables)}
    if as_json:
        print_json(content)


def _check(sources: list[Path], to: list[Path], hepdata: Path | None) -> None:
    """Before anything is written."""
    from na64reco.processors.export_events import export_format

    if not to and hepdata is None:
        msg = "Give -o FILE for events, or --hepdata FOLDER for results."
        raise typer.BadParameter(msg)
    if to and len(sources) > 1:
        msg = "-o takes the events of one source; call the command once for each."
        raise typer.BadParameter(msg)
    for path in to:
        try:
            export_format(path)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


def _events(
    source: Path,
    path: Path,
    columns: list[str] | None,
    dataset: str | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> Exported:
    from na64reco.processors.export_events import export_events

    with progress_bar(path.name, "events") as progress:
        found = export_events(
            source, path, columns=columns, dataset=dataset, overwrite=overwrite, progress=progress
        )
    said = f"{path}: {found.events} events, {len(found.columns)} columns"
    written([path], said, as_json=as_json)
    if found.left_out:
        say(f"Note: {len(found.left_out)} columns of hits are lists, which CSV cannot hold.")
    return found


def _text(abstract: str | None) -> str | None:
    """A text, or what is in the file of that name."""
    from pathlib import Path

    if abstract is None or "\n" in abstract or len(abstract) > 255 or not Path(abstract).is_file():
        return abstract
    return " ".join(Path(abstract).read_text(encoding="utf-8").split())
