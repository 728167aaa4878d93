"""`na64reco limit`: upper limits on a model's coupling from searches."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, print_json, show, working, written
from na64reco.cli.yields import parse_masses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from na64reco.darksector.models import VectorModel
    from na64reco.inference.limits import CouplingLimits, LimitSetter
    from na64reco.report.limits import Overlay

__all__ = ["limit_command"]

_MEV = 1e-3


def limit_command(  # noqa: PLR0917 - the options of the command
    searches: Annotated[
        list[str],
        typer.Argument(
            metavar="SEARCH...",
            help="Names (see `na64reco searches`), YAML files or counting.json; several are taken "
            "together.",
            autocompletion=completion.searches,
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Name of a model, or a YAML file.", autocompletion=completion.models)
    ],
    masses: Annotated[
        str, typer.Option(help="MeV: 1,10,100 or LOW:HIGH:NUMBER (logarithmic).")
    ] = "1:1000:31",
    production: Annotated[
        Literal["all", "strahlung", "resonant"], typer.Option(help="Ways of production to count.")
    ] = "all",
    exposure: Annotated[
        float | None,
        typer.Option(help="Beam particles, instead of the search's: a projection."),
    ] = None,
    cl: Annotated[float, typer.Option(help="Confidence level.")] = 0.9,
    method: Annotated[
        Literal[
            "profile",
            "cls",
            "bayes",
            "feldman-cousins",
            "profile-asymptotic",
            "cls-asymptotic",
            "profile-toys",
            "cls-toys",
        ],
        typer.Option(help="How the number of events is limited; see docs/limits.md."),
    ] = "cls",
    ratio_to: Annotated[
        Path | None,
        typer.Option(
            help="CSV of mass in MeV and published epsilon of invisible dark photons from "
            "strahlung: couplings with as many events, whatever the method."
        ),
    ] = None,
    alpha_d: Annotated[
        float | None, typer.Option(help="alpha_D of the dark sector; default: the model's.")
    ] = None,
    mass_ratio: Annotated[
        float | None, typer.Option(help="Mass of chi over that of the mediator.")
    ] = None,
    kind: Annotated[
        Literal["scalar", "pseudo-dirac", "majorana"] | None, typer.Option(help="What chi is.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the points to a CSV file.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw coupling against mass: PNG, PDF or SVG.")
    ] = None,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(help="CSV of mass in MeV and coupling, to be drawn as well; repeatable."),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--pyhf",
            "--workspace",
            metavar="FILE",
            help="Write the likelihood as pyhf JSON, in which mu = 1 is the limit: at the first "
            "mass, or with {mass} in the name a file for each.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Pure JSON on standard output.")] = False,
) -> None:
    """Upper limits on the coupling of a model, from one search or several together.

    [bold]Examples[/bold]

    na64reco limit na64e-2018 --model dark-photon --production strahlung --masses 1,10,100

    na64reco limit na64e-2024 na64mu-2024 --model lmutau-dark --alpha-d 0.02 --json

    na64reco limit na64e-2018 --model dark-photon --masses 1,10 --pyhf 'pyhf_{mass}.json'
    """
    from na64reco.darksector.generic import load_model
    from na64reco.errors import OutputExistsError
    from na64reco.inference.limits import LimitSetter
    from na64reco.inference.search import load_search
    from na64reco.processors.outputs import write_json

    wanted = parse_masses(masses)
    spaces = _workspace_paths(workspace, wanted)
    for path in (csv, figure, *spaces):
        if path is not None and path.exists() and not overwrite:
            msg = f"{path} is there already; choose another name or give --overwrite."
            raise OutputExistsError(msg)
    others = _overlays(overlay or [], figure)
    boson = load_model(model, kind=kind, alpha=alpha_d, mass_ratio=mass_ratio)
    setter = LimitSetter(
        tuple(load_search(name) for name in searches),
        exposure=exposure,
        cl=cl,
        method=method,
        production=production,
    )
    at = [mass * _MEV for mass in wanted]
    published = None if ratio_to is None else _published(ratio_to)
    with working(f"Limits at {len(at)} masses"):
        if published is None:
            found = setter.limits(boson, at)
        else:
            found = setter.by_ratio(boson, at, (published.mass, published.coupling))
    points = [_point(setter, found, i, mass) for i, mass in enumerate(wanted)]
    likelihoods = [_workspace(path, setter, found, i) for i, path in enumerate(spaces)]
    files: dict[Path, str] = {}
    if csv is not None:
        _write_csv(csv, points)
        files[csv] = f"{csv}: {len(points)} masses"
    if figure is not None:
        from na64reco.report.limits import draw_limits

        draw_limits(figure, boson, {_title(setter): found}, overlays=others)
        files[figure] = f"{figure}: written"
    for path, mass, likelihood in zip(spaces, wanted, likelihoods, strict=False):
        write_json(path, likelihood)
        files[path] = f"{path}: likelihood at {mass:g} MeV"
    for path, said in files.items():
        written([path], said, as_json=as_json)
    if as_json:
        print_json(_content(setter, boson, points, ratio_to))
        return
    (describe if files else show)(_table(setter, boson, points, ratio_to))


def _published(path: Path) -> Overlay:
    from na64reco.report.limits import read_overlay

    return read_overlay(path)


def _overlays(paths: list[Path], figure: Path | None) -> list[Overlay]:
    """Before the work begins: a file that cannot be read is known at once."""
    if not paths:
        return []
    from na64reco.report.limits import read_overlay

    if figure is None:
        msg = "--overlay needs --figure: there is nothing to draw on."
        raise typer.BadParameter(msg)
    return [read_overlay(path) for path in paths]


def _title(setter: LimitSetter) -> str:
    return " + ".join(search.name for search in setter.searches)


def _finite(value: float) -> float | None:
    """JSON knows no infinity: null is "nothing is excluded"."""
    return float(value) if value < float("inf") else None


def _point(setter: LimitSetter, found: CouplingLimits, i: int, mass: float) -> dict[str, Any]:
    return {
        "mass_MeV": mass,
        "coupling": _finite(found.coupling[i]),
        "expected": _finite(found.bands[2, i]),
        "bands": [_finite(value) for value in found.bands[:, i]],
        "upper_edge": _finite(found.upper[i]),
        "events": _finite(found.events[i]),
        "signal": {
            name: float(value)
            for name, value in zip(setter.channels, found.signal[:, i], strict=True)
        },
        "threshold_error": {
            name: float(value)
            for name, value in zip(setter.channels, found.threshold_error[:, i], strict=True)
        },
        "iterations": int(found.iterations[i]),
        "iterated": _finite(found.iterated[i]),
    }


def _content(
    setter: LimitSetter, model: VectorModel, points: list[dict[str, Any]], ratio_to: Path | None
) -> dict[str, Any]:
    dark = model.dark
    return {
        "search": _title(setter),
        "model": model.name,
        "strength": model.strength,
        "dark": None
        if dark is None
        else {"kind": dark.kind, "alpha_D": dark.alpha, "mass_ratio": dark.mass_ratio},
        "beams": {
            search.name: {"particle": search.beam.particle, "energy_GeV": search.beam.energy}
            for search in setter.searches
        },
        "production": setter.production,
        "method": setter.method if ratio_to is None else "ratio",
        "cl": setter.cl,
        "exposure": setter.exposure,
        "projection": setter.projection,
        "systematics": {search.name: search.systematics for search in setter.searches},
        "points": points,
    }


def _write_csv(path: Path, points: list[dict[str, Any]]) -> None:
    import csv

    keys = ("mass_MeV", "coupling", "upper_edge", "events", "iterations")
    names = ("minus_2_sigma", "minus_1_sigma", "median", "plus_1_sigma", "plus_2_sigma")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*keys, *names))
        for point in points:
            writer.writerow((*(point[key] for key in keys), *point["bands"]))


def _workspace_paths(path: Path | None, masses: list[float]) -> list[Path]:
    """Of the first mass, or of each."""
    if path is None:
        return []
    if "{mass}" not in path.name:
        return [path]
    return [path.with_name(path.name.replace("{mass}", f"{mass:g}")) for mass in masses]


def _workspace(path: Path, setter: LimitSetter, found: CouplingLimits, i: int) -> dict[str, Any]:
    """Of one mass, for that file."""
    from na64reco.errors import InferenceError
    from na64reco.inference.pyhf_limits import workspace

    if not found.coupling[i] < float("inf"):
        msg = (
            f"{path}: nothing is excluded at {1e3 * found.mass[i]:g} MeV, so there is no signal to "
            "write. Choose another mass."
        )
        raise InferenceError(msg)
    return workspace(setter.counting_model(found.signal[:, i], found.threshold_error[:, i]))


def _table(
    setter: LimitSetter, model: VectorModel, points: list[dict[str, Any]], ratio_to: Path | None
) -> Any:
    from rich.table import Table

    kind = "expected limit (projection)" if setter.projection else "upper limit"
    how = f"{setter.cl:.0%} {kind}, {_title(setter)}, {setter.method}"
    if ratio_to is not None:
        how = f"as many events in {_title(setter)} as dark photons at the limit of {ratio_to.name}"
    table = Table(title=f"{model.name}: {how}")
    names = ("mass / MeV", model.strength, "expected", "1 sigma", "upper edge", "events")
    for name in (*names, "dS/S threshold", "steps"):
        table.add_column(name, justify="right")
    for point in points:
        low, high = point["bands"][1], point["bands"][3]
        table.add_row(
            f"{point['mass_MeV']:.4g}",
            _number(point["coupling"]),
            _number(point["expected"]),
            f"{_number(low)} - {_number(high)}",
            _number(point["upper_edge"]),
            _number(point["events"]),
            _range(point["threshold_error"].values()),
            str(point["iterations"]),
        )
    errors = [
        f"{search.name} {name.replace('_', ' ')} {size:.2%}"
        for search in setter.searches
        for name, size in search.systematics.items()
    ]
    table.caption = f"further on the yield: {', '.join(errors) or 'nothing'}"
    return table


def _range(values: Iterable[float]) -> str:
    found = sorted(values)
    low, high = f"{found[0]:.1%}", f"{found[-1]:.1%}"
    return low if low == high else f"{low} - {high}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
