"""Tables in HEPData's terms: limits, cutflows, regions, the plane of the signal box."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_figures import garwood
from na64reco.report.plane import find_planes, plane_variables
from na64reco.selection.model import ByPeriod
from na64reco.selection.variables import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from na64reco.processors import DatasetReport
    from na64reco.selection import Selection
    from na64reco.selection.model import Bound

__all__ = [
    "Table",
    "Variable",
    "cutflow_table",
    "limit_table",
    "plane_tables",
    "region_table",
]

BLINDED: Final = "blinded"
"""In place of a number that nobody has seen."""
NOTHING: Final = "-"
"""In place of a limit where nothing is excluded."""
_DIGITS: Final = 6
_BEAMS: Final = {"electron": "E-", "positron": "E+", "muon": "MU-"}
_BANDS: Final = ("-2 s.d.", "-1 s.d.", "median", "+1 s.d.", "+2 s.d.")


@dataclass(frozen=True)
class Variable:
    """A column of a table."""

    name: str
    values: Sequence[Mapping[str, Any]]
    """As HEPData has them: {value:, errors:} or {low:, high:}."""
    units: str = ""
    qualifiers: Sequence[Mapping[str, Any]] = ()

    def content(self) -> dict[str, Any]:
        """As in the file."""
        header = {"name": self.name} | ({"units": self.units} if self.units else {})
        found: dict[str, Any] = {"header": header}
        if self.qualifiers:
            found["qualifiers"] = [dict(q) for q in self.qualifiers]
        return found | {"values": [dict(v) for v in self.values]}


@dataclass(frozen=True)
class Table:
    """A table with what submission.yaml says of it."""

    name: str
    file: str
    """Without ending."""
    description: str
    independent: Sequence[Variable]
    dependent: Sequence[Variable]
    keywords: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """As in the data file."""
        return {
            "independent_variables": [v.content() for v in self.independent],
            "dependent_variables": [v.content() for v in self.dependent],
        }


def rounded(value: float) -> float:
    """Six significant digits: more than any of these numbers has.

    >>> rounded(1.23456789e-5)
    1.23457e-05
    """
    return float(f"{float(value):.{_DIGITS}g}")


def limit_table(content: Mapping[str, Any]) -> Table:
    """Limits on a coupling against mass, observed and expected.

    Parameters
    ----------
    content
        What `na64reco limit --json` prints.
    """
    points = content["points"]
    strength = {"epsilon": "$\\epsilon$"}.get(content["strength"], f"${content['strength']}$")
    qualifiers = _limit_qualifiers(content)

    def column(name: str, values: Sequence[float | None]) -> Variable:
        cells = [{"value": NOTHING if v is None else rounded(v)} for v in values]
        return Variable(name, cells, qualifiers=qualifiers)

    columns = []
    if not content.get("projection", False):
        columns.append(
            column(f"Observed upper limit on {strength}", [p["coupling"] for p in points])
        )
    columns += [
        column(f"Expected upper limit on {strength}, {name}", [p["bands"][i] for p in points])
        for i, name in reversed(list(enumerate(_BANDS)))
    ]
    if any(p.get("upper_edge") is not None for p in points):
        edges = [p["upper_edge"] for p in points]
        columns.append(column(f"Upper end of the excluded {strength}", edges))
    kind = "Projected" if content.get("projection", False) else "Upper"
    level = f"{100 * content['cl']:g} %"
    return Table(
        f"{kind} limits, {content['model']}, {content['search']}",
        f"limit_{_safe(content['model'])}",
        f"{kind} limits at {level} confidence level on the coupling {strength} of the model "
        f"{content['model']} against the mass of its mediator, from {content['search']}. "
        f"'{NOTHING}': nothing is excluded. Expected limits are quantiles of those of searches "
        "that see background alone.",
        [Variable("$m$", [{"value": rounded(p["mass_MeV"])} for p in points], "MeV")],
        columns,
        {
            "reactions": _reactions(content),
            "phrases": ["missing energy", "upper limit", content["model"]],
        },
    )


def _limit_qualifiers(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "Model", "value": content["model"]},
        {"name": "Search", "value": content["search"]},
        {"name": "Confidence level", "value": rounded(100 * content["cl"]), "units": "%"},
        {"name": "Method", "value": content["method"]},
        {"name": "Production", "value": content["production"]},
    ]
    for search, beam in content.get("beams", {}).items():
        text = f"{beam['particle']}, {beam['energy_GeV']:g} GeV"
        found.append({"name": f"Beam of {search}", "value": text})
    if content.get("exposure") is not None:
        found.append({"name": "Beam particles", "value": rounded(content["exposure"])})
    dark = content.get("dark")
    if dark is not None:
        found += [
            {"name": "$\\chi$", "value": dark["kind"]},
            {"name": "$\\alpha_D$", "value": rounded(dark["alpha_D"])},
            {"name": "$m_\\chi/m$", "value": rounded(dark["mass_ratio"])},
        ]
    return found


def _reactions(content: Mapping[str, Any]) -> list[str]:
    """The production that was counted, X being the mediator; nothing where the beam is unknown."""
    beams = {beam["particle"] for beam in content.get("beams", {}).values()}
    found = []
    if content["production"] in {"all", "strahlung"}:
        codes = [code for particle, code in _BEAMS.items() if particle in beams]
        found += [f"{code} NUCLEUS --> {code} NUCLEUS X" for code in codes]
    if content["production"] in {"all", "resonant"} and beams & {"electron", "positron"}:
        found.append("E+ E- --> X")
    return found


def cutflow_table(selection: Selection, dataset: DatasetReport) -> Table:
    """Events behind each cut, its efficiency, and that of all so far."""
    flow = dataset.cutflow
    sums = flow.weighted
    steps, passed = ["before all cuts", *flow.cuts], [flow.entered, *flow.passed]
    weights = None if sums is None else [sums.entered, *sums.passed]
    alone = [_efficiency(row) for row in flow.rows()]
    so_far = [_efficiency(row) for row in flow.cumulative_rows()]
    first = [{"value": NOTHING}]
    qualifiers = _sample(selection, dataset)
    return Table(
        f"Cutflow, {dataset.name}",
        f"cutflow_{_safe(dataset.name)}",
        f"Events that pass the cuts of the selection {selection.name}, one after the other, in "
        f"the sample {dataset.name} ({_kind(dataset)}). {_hidden(dataset)}Errors of counts are "
        "central 68.27 % intervals of a Poisson mean, of sums of weights the root of the sum of "
        "their squares; of efficiencies Clopper-Pearson intervals.",
        [Variable("Cut", [{"value": name} for name in steps])],
        [
            Variable(_events(sums is not None), _counts(passed, weights), "", qualifiers),
            Variable("Efficiency of the cut", [*first, *alone], "", qualifiers),
            Variable("Efficiency so far", [*first, *so_far], "", qualifiers),
        ],
        {"observables": ["N"], "phrases": ["cutflow", selection.name]},
    )


def region_table(selection: Selection, dataset: DatasetReport) -> Table:
    """Events that pass all cuts, by region; a hidden one says so."""
    flow = dataset.cutflow
    names, passed = [name for name, _ in flow.regions], [n for _, n in flow.regions]
    weights = None if flow.weighted is None else list(flow.weighted.regions)
    weighted = flow.weighted is not None
    return Table(
        f"Regions, {dataset.name}",
        f"regions_{_safe(dataset.name)}",
        f"Events that pass all cuts of the selection {selection.name}, by region, in the sample "
        f"{dataset.name} ({_kind(dataset)}). {_hidden(dataset)}",
        [Variable("Region", [{"value": name} for name in names])],
        [Variable(_events(weighted), _counts(passed, weights), "", _sample(selection, dataset))],
        {"observables": ["N"], "phrases": ["signal region", selection.name]},
    )


def plane_tables(selection: Selection, dataset: DatasetReport) -> list[Table]:
    """The plane of the signal box after all cuts, as often as the selection fills it.

    Bins without events are left out; those that touch a hidden box are there and say so.
    """
    found = []
    for plane in find_planes(selection):
        if plane.stage != "all":
            continue
        histogram = dataset.histograms[plane.histogram]
        edges = [np.asarray(axis.edges, np.float64) for axis in histogram.axes]
        values = np.asarray(histogram.values(), np.float64)
        hidden = _touches_box(selection, dataset, plane_variables(selection), edges)
        shown = np.argwhere((values != 0) | hidden)
        if not len(shown):
            continue
        squares = np.asarray(histogram.variances()) if dataset.cutflow.weighted else None
        cells: list[dict[str, Any]] = []
        for i, j in shown:
            if hidden[i, j]:
                cells.append({"value": BLINDED})
            elif squares is None:
                cells.append({"value": int(values[i, j])})
            else:
                cells.append(_with_error(float(values[i, j]), float(squares[i, j])))
        axes = []
        variables = plane_variables(selection)
        for variable, axis, its, index in zip(
            variables, histogram.axes, edges, shown.T, strict=True
        ):
            unit = describe(variable).unit
            name = str(axis.label).removesuffix(f" [{unit}]")
            bins = [{"low": rounded(its[k]), "high": rounded(its[k + 1])} for k in index]
            axes.append(Variable(name, bins, unit))
        sides = " x ".join(
            f"{len(e) - 1} bins from {e[0]:g} to {e[-1]:g} {axis.units}".rstrip()
            for e, axis in zip(edges, axes, strict=True)
        )
        weighted = squares is not None
        found.append(
            Table(
                f"{axes[0].name} against {axes[1].name}, {dataset.name}",
                f"plane_{_safe(dataset.name)}",
                f"Events that pass all cuts of the selection {selection.name} in the sample "
                f"{dataset.name} ({_kind(dataset)}), {sides}; bins without events are left out. "
                f"{_hidden(dataset)}",
                axes,
                [Variable(_events(weighted), cells, "", _sample(selection, dataset))],
                {"observables": ["N"], "phrases": ["missing energy", selection.name]},
            )
        )
    return found


def _touches_box(
    selection: Selection,
    dataset: DatasetReport,
    variables: tuple[str, str],
    edges: Sequence[NDArray[np.float64]],
) -> NDArray[np.bool_]:
    """Bins with any part in the hidden box of any period, by the plane's variables alone."""
    hidden = np.zeros([len(e) - 1 for e in edges], dtype=bool)
    if dataset.blinded is None:
        return hidden
    box = selection.regions[dataset.blinded]
    bounds = [box.get(variable, (None, None)) for variable in variables]
    periods = sorted(
        {p for pair in bounds for b in pair if isinstance(b, ByPeriod) for p in b.values}
    )
    cases: list[str | None] = [*periods] or [None]
    for period in cases:
        x, y = (
            (e[:-1] < _edge(high, period, math.inf)) & (e[1:] > _edge(low, period, -math.inf))
            for e, (low, high) in zip(edges, bounds, strict=True)
        )
        hidden |= x[:, None] & y[None, :]
    return hidden


def _edge(bound: Bound | None, period: str | None, without: float) -> float:
    if bound is None:
        return without
    if isinstance(bound, ByPeriod):
        return without if period is None else float(bound.values[period])
    return float(bound)


def _counts(
    passed: Sequence[int | None], weights: Sequence[tuple[float, float]] | None
) -> list[dict[str, Any]]:
    """Counts or sums of weights with their errors; None is hidden."""
    cells: list[dict[str, Any]] = []
    for i, count in enumerate(passed):
        if count is None:
            cells.append({"value": BLINDED})
        elif weights is not None:
            cells.append(_with_error(*weights[i]))
        else:
            down, up = garwood([count], [count])[:, 0]
            cells.append({"value": count, "errors": [_asymmetric(down, up)]})
    return cells


def _with_error(value: float, square: float) -> dict[str, Any]:
    cell: dict[str, Any] = {"value": rounded(value)}
    if square > 0:  # HEPData takes no errors of zero
        cell["errors"] = [{"symerror": rounded(math.sqrt(square)), "label": "stat"}]
    return cell


def _asymmetric(down: float, up: float) -> dict[str, Any]:
    return {"asymerror": {"minus": 0.0 - rounded(down), "plus": rounded(up)}, "label": "stat"}


def _efficiency(row: Mapping[str, Any]) -> dict[str, Any]:
    found = row.get("weighted", row)
    value, low, high = found["efficiency"], found["low"], found["high"]
    if value is None:
        return {"value": NOTHING}
    cell: dict[str, Any] = {"value": rounded(value)}
    if high > low:
        cell["errors"] = [_asymmetric(max(value - low, 0.0), max(high - value, 0.0))]
    return cell


def _events(weighted: bool) -> str:
    return "Sum of weights" if weighted else "Events"


def _kind(dataset: DatasetReport) -> str:
    return "simulation" if dataset.simulated else "data"


def _hidden(dataset: DatasetReport) -> str:
    if dataset.blinded is None:
        return ""
    return f"Events in the blinded region {dataset.blinded} are not counted. "


def _sample(selection: Selection, dataset: DatasetReport) -> list[dict[str, Any]]:
    return [
        {"name": "Sample", "value": f"{dataset.name} ({_kind(dataset)})"},
        {"name": "Selection", "value": selection.name},
        {"name": "Setup", "value": selection.setup},
    ]


def _safe(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else "_" for c in name)
