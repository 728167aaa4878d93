"""`na64reco compare`: two samples of selected events, variable by variable."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, print_json, show, written

__all__ = ["compare_command"]

_SIDE = typer.Argument(metavar="OUT[:DATASET]", help="Output folder of `na64reco run`.")


def compare_command(  # noqa: PLR0917 - the options of the command
    first: Annotated[str, _SIDE],
    second: Annotated[str, _SIDE],
    variables: Annotated[
        str,
        typer.Option(
            help="NAME,NAME,...; default: all that the selections use.",
            autocompletion=completion.columns,
        ),
    ] = "",
    exposures: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Particles on target of both; default: their exposure.json."),
    ] = None,
    systematic: Annotated[
        float | None,
        typer.Option(help="Relative, of the ratio of yields; default: 0.15 for muon pairs."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for comparison.json and a picture a variable."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of tables.")
    ] = False,
) -> None:
    """Compare two samples: ratio of yields, and each variable by Kolmogorov-Smirnov and chi2.

    Where one of them is blinded, events in that box are left out of both.

    [bold]Examples[/bold]

    na64reco compare data_out simulation_out -o comparison

    na64reco compare out:data out:mc --variables ecal.energy,hcal.energy --json
    """
    from na64reco.inference.comparison import compare
    from na64reco.processors.outputs import write_json
    from na64reco.report.comparison import comparison_tables, draw_comparison
    from na64reco.report.pictures import save_pictures

    (one, its_dataset), (two, other_dataset) = _split(first), _split(second)
    found = compare(
        one,
        two,
        datasets=(its_dataset, other_dataset),
        variables=[v for v in variables.split(",") if v],
        exposures=(None, None) if exposures is None else exposures,
        systematic=systematic,
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "comparison.json", found.to_json())
        paths = [out / "comparison.json", *save_pictures(draw_comparison(found), out)]
    if as_json:
        print_json(found.to_json())
    else:
        (show if out is None else describe)(*comparison_tables(found))
        if out is not None:
            written(paths, f"Written: {out}/comparison.json and {len(found.shapes)} pictures")


def _split(text: str) -> tuple[str, str | None]:
    """``OUT:DATASET``; a folder whose own name has a colon is taken as it is."""
    from pathlib import Path

    if Path(text).is_dir() or ":" not in text:
        return text, None
    out, _, dataset = text.rpartition(":")
    return out, dataset
