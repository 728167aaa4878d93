"""`na64reco catalogue`: what is in the input files, to be checked whenever they are read."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli.common import print_json, progress_bar, written

__all__ = ["catalogue_command"]


def catalogue_command(  # noqa: PLR0917 - the options of the command
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES",
            help="Hit files, folders, globs (root:// URLs too), or NAME=FILE to name a dataset.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Fileset to write: .yaml, or .json, which is read faster."
        ),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="Dataset of the files that have no NAME= in front.")
    ] = "events",
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how foreign branches are named.")
    ] = None,
    read: Annotated[
        bool,
        typer.Option(
            "--read",
            help="Read all bytes of remote files too, for checksums of our own; `run` then reads "
            "them as well, and needs no trust in the server.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a catalogue that is there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the catalogue as JSON, instead of or beside -o.")
    ] = False,
) -> None:
    """Write entries, size, checksums, branches and runs of hit files to a fileset YAML.

    `na64reco run` takes the fileset, and coffea does; `run` refuses a file that has changed since.

    [bold]Examples[/bold]

    na64reco catalogue runs/*.root -o fileset.yaml

    na64reco catalogue data=runs/ mc=signal.root -o fileset.yaml

    na64reco catalogue 'root://server.example.org//na64/run_61*.root' -o fileset.yaml
    """
    from na64reco.processors.file_catalogue import (
        as_fileset,
        catalogue,
        check_absent,
        write_catalogue,
    )
    from na64reco.processors.fileset import resolve_inputs

    if out is None and not as_json:
        msg = "Where to? Give -o FILE, or --json to print it."
        raise typer.BadParameter(msg)
    names = None
    if mapping is not None:
        from na64reco.events import load_mapping

        names = load_mapping(mapping)
    if out is not None:
        check_absent(out, overwrite=overwrite)
    with progress_bar("Files", "files") as progress:
        entries = catalogue(
            resolve_inputs(files, dataset=dataset), mapping=names, read=read, progress=progress
        )
    if out is not None:
        write_catalogue(entries, out, overwrite=overwrite)
        total = sum(entry.facts.entries for entry in entries)
        written([out], f"{out}: {len(entries)} files, {total} events", as_json=as_json)
    if as_json:
        print_json(as_fileset(entries))
