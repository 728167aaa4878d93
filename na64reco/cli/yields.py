"""`na64reco yield` and `na64reco searches`: what a new particle would give in a search."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, print_json, show, written

if TYPE_CHECKING:
    from na64reco.darksector.models import VectorModel
    from na64reco.inference.search import Search
    from na64reco.inference.search_yields import SignalEvents

__all__ = ["parse_masses", "searches_command", "yield_command"]

_MEV = 1e-3


def parse_masses(text: str) -> list[float]:
    """Masses in MeV from `1,10,100` or `LOW:HIGH:NUMBER`, evenly in their logarithm."""
    import math

    wrong = typer.BadParameter(
        f"masses are numbers in MeV, as 1,10,100 or LOW:HIGH:NUMBER; found {text!r}"
    )
    try:
        if ":" in text:
            low, high, number = text.split(":")
            count, first, last = int(number), float(low), float(high)
            if count < 2 or not 0 < first < last:
                raise wrong
            step = math.log(last / first) / (count - 1)
            masses = [first * math.exp(step * k) for k in range(count - 1)] + [last]
        else:
            masses = [float(part) for part in text.split(",")]
    except ValueError:
        raise wrong from None
    if not all(0 < mass < math.inf for mass in masses):
        raise wrong
    return masses


def yield_command(  # noqa: PLR0917 - the options of the command
    search: Annotated[
        str,
        typer.Argument(
            metavar="SEARCH",
            help="Name of a search (see `na64reco searches`), a YAML file or a counting.json.",
            autocompletion=completion.searches,
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Name of a model, or a YAML file.", autocompletion=completion.models)
    ],
    masses: Annotated[
        str, typer.Option(help="MeV: 1,10,100 or LOW:HIGH:NUMBER (logarithmic).")
    ] = "1:1000:31",
    coupling: Annotated[
        float, typer.Option(help="Of the model: epsilon of a dark photon, g of others.")
    ] = 1e-4,
    alpha_d: Annotated[
        float | None, typer.Option(help="alpha_D of the dark sector; default: the model's.")
    ] = None,
    mass_ratio: Annotated[
        float | None, typer.Option(help="Mass of chi over that of the mediator.")
    ] = None,
    kind: Annotated[
        Literal["scalar", "pseudo-dirac", "majorana"] | None, typer.Option(help="What chi is.")
    ] = None,
    production: Annotated[
        Literal["all", "strahlung", "resonant"], typer.Option(help="Ways of production to count.")
    ] = "all",
    exposure: Annotated[
        float | None, typer.Option(help="Beam particles, instead of the search's.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the points to a CSV file.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Pure JSON on standard output.")] = False,
) -> None:
    """Expected signal events of a new particle in a search.

    [bold]Examples[/bold]

    na64reco yield na64e-2018 --model dark-photon --masses 1,10,100 --coupling 1e-5

    na64reco yield na64e-2024 --model lmutau-dark --alpha-d 0.02 --masses 1:500:60 --json
    """
    from na64reco.darksector.generic import load_model
    from na64reco.inference.search import load_search
    from na64reco.inference.search_yields import SearchYields

    wanted = parse_masses(masses)
    if csv is not None and csv.exists() and not overwrite:
        from na64reco.errors import OutputExistsError

        msg = f"{csv} is there already; choose another name or give --overwrite."
        raise OutputExistsError(msg)
    chosen = load_search(search)
    boson = load_model(model, kind=kind, alpha=alpha_d, mass_ratio=mass_ratio)
    found = SearchYields(chosen).events(
        boson, [mass * _MEV for mass in wanted], coupling, production=production, exposure=exposure
    )
    points = _points(chosen, found, wanted)
    if csv is not None:
        _write(csv, points)
        written([csv], f"{csv}: {len(points)} masses", as_json=as_json)
    if as_json:
        print_json(_content(chosen, boson, production, exposure, points))
        return
    (show if csv is None else describe)(_table(chosen, boson, points))


def _points(search: Search, found: SignalEvents, masses: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "mass_MeV": mass,
            "coupling": float(found.coupling[i]),
            "expected": float(found.total[:, i].sum()),
            "strahlung": float(found.strahlung[:, i].sum()),
            "resonant": float(found.resonant[:, i].sum()),
            "periods": {name: float(found.total[p, i]) for p, name in enumerate(search.periods)},
        }
        for i, mass in enumerate(masses)
    ]


def _content(
    search: Search,
    model: VectorModel,
    production: str,
    exposure: float | None,
    points: list[dict[str, Any]],
) -> dict[str, Any]:
    dark = model.dark
    whole = sum(period.exposure.value for period in search.periods.values())
    return {
        "search": search.name,
        "title": search.title,
        "model": model.name,
        "strength": model.strength,
        "dark": None
        if dark is None
        else {"kind": dark.kind, "alpha_D": dark.alpha, "mass_ratio": dark.mass_ratio},
        "production": production,
        "exposure": whole if exposure is None else exposure,
        "points": points,
    }


def _write(path: Path, points: list[dict[str, Any]]) -> None:
    import csv

    rows = [point | point["periods"] for point in points]
    for row in rows:
        del row["periods"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _table(search: Search, model: VectorModel, points: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title=f"{model.name} in {search.title}")
    columns = ["mass / MeV", model.strength, "expected", "strahlung", "resonant"]
    several = list(search.periods) if len(search.periods) > 1 else []
    for name in columns + several:
        table.add_column(name, justify="right")
    for point in points:
        numbers = [point[key] for key in ("expected", "strahlung", "resonant")]
        numbers += [point["periods"][name] for name in several]
        table.add_row(
            f"{point['mass_MeV']:.4g}",
            f"{point['coupling']:.3g}",
            *(f"{number:.4g}" for number in numbers),
        )
    return table


def searches_command(
    as_json: Annotated[bool, typer.Option("--json", help="Pure JSON on standard output.")] = False,
) -> None:
    """List the searches that come with the package.

    [bold]Example[/bold]

    na64reco searches
    """
    from rich.table import Table

    from na64reco.inference.search import load_search, search_names

    searches = [load_search(name) for name in search_names()]
    if as_json:
        print_json([search.model_dump(mode="json") for search in searches])
        return
    table = Table("name", "title", "beam", "exposure", "periods", "observed")
    for search in searches:
        periods = search.periods.values()
        observed = [p.observed for p in periods]
        table.add_row(
            search.name,
            search.title,
            f"{search.beam.particle} {search.beam.energy:g} GeV",
            f"{sum(p.exposure.value for p in periods):.3g}",
            ", ".join(search.periods),
            ", ".join("-" if n is None else str(n) for n in observed),
        )
    show(table)
