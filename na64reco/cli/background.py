"""`na64reco background`: expected background, choice of the box, counting.json."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from na64reco.cli.common import describe, print_json, say, warn, working, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.inference.counting import Number
    from na64reco.inference.estimate import PeriodEstimate

__all__ = ["background_command"]


def background_command(  # noqa: PLR0917 - the options of the command
    folders: Annotated[
        list[Path], typer.Argument(metavar="OUT...", help="Output folders of `na64reco run`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Where to write; default: OUT, if there is only one."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Simulated dataset to be treated as data, blinded. Repeatable."),
    ] = None,
    component: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=EOT[,REL]",
            help="Simulated dataset that is a background, the electrons on target it stands for, "
            "and the relative error of its rate. Repeatable.",
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N,FACTOR,ERROR",
            help="Background from a control sample of N events and a transfer factor. Repeatable.",
        ),
    ] = None,
    eot: Annotated[
        str | None,
        typer.Option(metavar="N[,ERROR]", help="Electrons on target; default: exposure.json."),
    ] = None,
    kappa: Annotated[
        str | None,
        typer.Option(metavar="K[,ERROR]", help="Efficiency of the cuts; default: efficiency.json."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Folder of calibration runs whose efficiency.json has kappa; default: OUT itself.",
        ),
    ] = None,
    signal: Annotated[
        str | None,
        typer.Option(help="Simulated dataset of signal to choose the box with."),
    ] = None,
    mass: Annotated[
        float, typer.Option(min=0.001, help="MeV: else, radiated particles of this mass.")
    ] = 10.0,
    method: Annotated[
        Literal["mean", "median", "asimov"],
        typer.Option(help="Which expected limit the box is chosen by."),
    ] = "mean",
    cl: Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence level.")] = 0.9,
    top: Annotated[
        float | None, typer.Option(help="GeV: end of the fit of sideband A; default: the region's.")
    ] = None,
    threshold_error: Annotated[
        float, typer.Option(min=0.0, help="GeV: uncertainty of E_thr, the ECAL's scale.")
    ] = 0.5,
    toys: Annotated[int, typer.Option(min=100, help="Pseudo-experiments for errors.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of pseudo-experiments.")] = 1,
    picture: Annotated[bool, typer.Option(help="Draw the sidebands and the scans.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of tables.")
    ] = False,
) -> None:
    """Estimate the background in the signal box from outside of it, and choose the box.

    Writes background.json, counting.json (one per run period; what limits need) and pictures.
    Efficiency and exposure are taken from efficiency.json and exposure.json of the folders.

    With a selection of the muon mode: momentum mis-reconstruction, kaon decays (simulated dataset
    that --component names) and non-hermeticity, beside the published table for --eot muons.
    Output of muon-calibration-2022 among the folders gives the shape of the momentum's tail.

    [bold]Examples[/bold]

    na64reco background out --calibration calibration_out

    na64reco background out_1 out_2 -o all --component muons=1e12,0.3 --eot 9.1e11,5e10 --kappa 0.5

    na64reco background out_muon out_calibration --eot 1.2e7 --component kaons=1e6,0.5
    """
    from na64reco.inference.background_record import BACKGROUND, background_record
    from na64reco.inference.counting import write_counting
    from na64reco.inference.estimate import Control, Options, Simulated, estimate
    from na64reco.inference.muon_selected import is_muon_selection
    from na64reco.processors.outputs import write_json

    if is_muon_selection(folders[0]):
        from na64reco.cli.muon_background import muon_background

        given = dict(_named(component, "--component", 1, 2))
        muons = _number(eot, "--eot")
        written_muons = muon_background(
            folders,
            out or folders[0],
            data=data or [],
            muons=None if muons is None else muons.value,
            kaons=given,
            controls={n: Control(int(v[0]), *v[1:]) for n, v in _named(control, "--control", 3, 3)},
            top=top,
            seed=seed,
            toys=toys,
            picture=picture,
        )
        if as_json:
            print_json(written_muons.record)
        else:
            written_muons.print()
        return
    if out is None:
        if len(folders) > 1:
            msg = "Several folders: say where to write with -o FOLDER."
            raise typer.BadParameter(msg)
        out = folders[0]
    options = Options(
        data=tuple(data or ()),
        simulated={n: Simulated(*v) for n, v in _named(component, "--component", 1, 2)},
        controls={n: Control(int(v[0]), *v[1:]) for n, v in _named(control, "--control", 3, 3)},
        signal=signal,
        mass=mass / 1000,
        method=method,
        cl=cl,
        top=top,
        threshold_error=threshold_error,
        exposure=_number(eot, "--eot"),
        kappa=_number(kappa, "--kappa"),
        calibration=calibration,
        seed=seed,
        toys=toys,
    )
    with working("Background, box and expected limits"):
        found = estimate(folders, options)
    out.mkdir(parents=True, exist_ok=True)
    record = background_record(found, folders)
    write_json(out / BACKGROUND, record)
    paths = [out / BACKGROUND]
    paths += [write_counting(p.counting, out, several=len(found) > 1) for p in found]
    if picture:
        from na64reco.report.background import draw_background
        from na64reco.report.pictures import save_pictures

        paths += save_pictures(draw_background(found), out)
    if as_json:
        print_json({**record, "written": [str(path) for path in paths]})
        return
    _print(found)
    written(paths)


def _print(found: Sequence[PeriodEstimate]) -> None:
    from na64reco.report.background_table import background_table, choice_lines, closure_table

    for period in found:
        describe(background_table(period), closure_table(period), *choice_lines(period))
        for note in period.counting.notes:
            say(f"Note: {note}")
        if period.choice.seen:
            warn(
                f"the best E_thr, {period.choice.threshold:g} GeV, lies above the blinded "
                f"region ({period.choice.blinded:g} GeV), where events have been looked at. Blind "
                "a larger region before choosing."
            )


def _floats(text: str, option: str, least: int, most: int) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not least <= len(values) <= most or any(v < 0 for v in values):
        wanted = f"{least}" if least == most else f"{least} to {most}"
        msg = f"{option}: {text!r} is not {wanted} numbers >= 0 with commas between"
        raise typer.BadParameter(msg)
    return values


def _named(
    given: list[str] | None, option: str, least: int, most: int
) -> list[tuple[str, list[Any]]]:
    result: list[tuple[str, list[Any]]] = []
    for text in given or []:
        name, equals, rest = text.partition("=")
        if not equals:
            msg = f"{option}: {text!r} has no NAME= in front"
            raise typer.BadParameter(msg)
        result.append((name, _floats(rest, option, least, most)))
    return result


def _number(text: str | None, option: str) -> Number | None:
    from na64reco.inference.counting import Number

    if text is None:
        return None
    value, *error = _floats(text, option, 1, 2)
    return Number(value=value, statistical=error[0] if error else 0.0, source="given")
