"""`na64reco freeze`: write down what the signal box is, before anybody looks into it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli import completion
from na64reco.cli.common import print_json, written

__all__ = ["freeze_command"]


def freeze_command(
    selection: Annotated[
        str,
        typer.Argument(
            metavar="SELECTION",
            help="Name of a selection or a YAML file.",
            autocompletion=completion.selections,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="YAML file to write.")],
    choice: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT|FILE",
            help="Where `na64reco background` chose E_thr: background.json or its folder. The "
            "choice is checked against the selection and frozen with it.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a frozen box that is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was frozen as JSON.")] = False,
) -> None:
    """Freeze the signal box: write its region and all cuts, with date and digest, to a file.

    `na64reco run --unblind FILE` shows the region, as long as not one cut has changed since.

    [bold]Example[/bold]

    na64reco freeze electron-invisible-2022 -o box-2022.yaml --choice out
    """
    from na64reco.selection import freeze_box, load_selection

    chosen = load_selection(selection)
    how = None
    if choice is not None:
        from na64reco.inference.frozen_choice import choice_for

        how = choice_for(chosen, choice)
    box = freeze_box(chosen, out, choice=how, overwrite=overwrite)
    if as_json:
        print_json(asdict(box))
    else:
        what = f"region {box.region!r} of {box.selection}, {box.date}, sha256 {box.sha256}"
        written([out], f"{out}: {what}")
