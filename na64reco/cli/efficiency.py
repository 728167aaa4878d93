"""`na64reco efficiency` and `na64reco exposure`: from counts of a run to kappa, eta and EOT."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from na64reco.cli.common import describe, print_json, written

__all__ = ["efficiency_command", "exposure_command"]

_OUT = typer.Argument(metavar="OUT", help="Output folder of `na64reco run`.")
_DATASET = typer.Option(help="Dataset of the folder, can be repeated; default: all that can be.")
_JSON = typer.Option("--json", help="Print the results as JSON instead of tables.")


def _with_error(text: str | None, what: str) -> tuple[float, float] | None:
    """``VALUE`` or ``VALUE+-ERROR``."""
    if text is None:
        return None
    value, _, error = text.partition("+-")
    try:
        return float(value), float(error or 0.0)
    except ValueError:
        msg = f"{what}: expected VALUE or VALUE+-ERROR, found {text!r}."
        raise typer.BadParameter(msg) from None


def efficiency_command(
    out: Annotated[Path, _OUT],
    dataset: Annotated[list[str] | None, _DATASET] = None,
    contamination: Annotated[
        str | None,
        typer.Option(
            metavar="F[+-ERROR]",
            help="Share of beam triggers that no beam electron fired; default: measured.",
        ),
    ] = None,
    intensity: Annotated[
        float | None,
        typer.Option(
            help="Extrapolate kappa to this intensity: particles a spill where files have a "
            "scaler, else further electrons in the readout window."
        ),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Efficiency kappa of calibration runs, cut by cut, and of simulated signal against energy.

    Writes efficiency.json and pictures/efficiency.png into OUT.

    [bold]Examples[/bold]

    na64reco run electron-calibration-2022 beam_run.root -o calib_out

    na64reco efficiency calib_out --contamination 0.005+-0.002
    """
    from na64reco.inference.efficiency import measure_efficiency
    from na64reco.inference.efficiency_results import EFFICIENCY
    from na64reco.processors.outputs import write_json
    from na64reco.report.efficiency import efficiency_tables, save_efficiency

    content = measure_efficiency(
        out,
        datasets=tuple(dataset or ()),
        contamination=_with_error(contamination, "--contamination"),
        intensity=intensity,
    )
    write_json(out / EFFICIENCY, content.to_json())
    pictures = save_efficiency(content, out)
    if as_json:
        print_json(content.to_json())
    else:
        describe(*efficiency_tables(content))
        written([out / EFFICIENCY, *pictures])


def exposure_command(  # noqa: PLR0917 - the options of the command
    out: Annotated[Path, _OUT],
    dataset: Annotated[list[str] | None, _DATASET] = None,
    eot: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN=PARTICLES[+-ERROR]|YAML",
            help="Particles on target that the files do not tell; can be repeated.",
        ),
    ] = None,
    contamination: Annotated[
        str, typer.Option(metavar="F[+-ERROR]", help="Share of beam particles of another kind.")
    ] = "0",
    live_fraction: Annotated[
        float | None,
        typer.Option(help="Share of the time that triggers could be accepted, if only `scaler`."),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Electrons on target, by scalers or prescaled beam triggers, without bad runs and spills.

    Writes exposure.json into OUT.

    [bold]Examples[/bold]

    na64reco exposure out

    na64reco exposure out --eot 6100=1.2e9+-1e7 --contamination 0.005+-0.002
    """
    from na64reco.inference.exposure import measure_exposure, read_given
    from na64reco.inference.exposure_results import EXPOSURE
    from na64reco.processors.outputs import write_json
    from na64reco.report.efficiency import exposure_tables

    content = measure_exposure(
        out,
        datasets=tuple(dataset or ()),
        given=read_given(eot or ()),
        contamination=_with_error(contamination, "--contamination") or (0.0, 0.0),
        live_fraction=live_fraction,
    )
    write_json(out / EXPOSURE, content.to_json())
    if as_json:
        print_json(content.to_json())
    else:
        describe(*exposure_tables(content))
        written([out / EXPOSURE])
