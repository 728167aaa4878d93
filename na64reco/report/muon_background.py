"""Background of the muon mode as a table beside the published one, and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from na64reco.inference.muon_background import PUBLISHED, TARGETS, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from na64reco.inference.background import Component, Sideband
    from na64reco.inference.muon_background import MuonEstimate

__all__ = ["draw_muon_background", "muon_table"]


def muon_table(found: MuonEstimate) -> Table:
    """Components and sum; with the muons on target known, also for the papers' numbers."""
    p_out, e_cal = found.box
    table = Table(
        title=f"{found.selection}, {found.label}: events expected in the box "
        f"(p_out <= {p_out:.3g} GeV/c, E_CAL < {e_cal:g} GeV)"
    )
    table.add_column("background")
    table.add_column("here", justify="right")
    if found.muons:
        for target, paper in zip(TARGETS, ("2401.01708", "2110.15111"), strict=True):
            table.add_column(f"for {target:.0e} MOT", justify="right")
            table.add_column(f"arXiv:{paper}", justify="right")
    table.add_column("from")
    for component in found.components:
        cells = [component.name, _number(component)]
        if found.muons:
            for target, paper in zip(TARGETS, PUBLISHED.get(component.name, ("", "")), strict=True):
                cells += [_number(scaled(component, target / found.muons)), paper]
        table.add_row(*cells, component.source)
    table.add_section()
    value, error = found.total
    cells = ["total", f"{value:.2g} +- {error:.1g}"]
    if found.muons:
        for target, paper in zip(TARGETS, PUBLISHED["total"], strict=True):
            factor = target / found.muons
            cells += [f"{factor * value:.2g} +- {factor * error:.1g}", paper]
    table.add_row(*cells, "limits enter as their mean, upper / 2.3")
    table.add_row("observed", "blinded" if found.observed is None else str(found.observed))
    return table


def _number(found: Component) -> str:
    if found.value is None or found.statistical is None or found.systematic is None:
        return f"< {found.upper:.2g}"
    return f"{found.value:.2g} +- {np.hypot(found.statistical, found.systematic):.1g}"


def draw_muon_background(found: Sequence[MuonEstimate]) -> dict[str, Figure]:
    """Per period a picture of the two sidebands; names as of files."""
    pictures: dict[str, Figure] = {}
    for number, period in enumerate(found):
        pictures[f"background{number or ''}"] = _draw(period)
    return pictures


def _draw(period: MuonEstimate) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 4.6))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.06, right=0.98, bottom=0.12, top=0.88, wspace=0.18)
    axes: Any = figure.subplots(1, 2)
    _side(axes[0], period.tail, 2.0)
    axes[0].set_xlabel(r"$p_\mathrm{out}$ [GeV/c]")
    axes[0].set_ylabel("events / (2 GeV/c)")
    axes[0].set_title("(I) tail of the momentum", loc="left", fontsize=10)
    _side(axes[1], period.leakage, 4.0)
    axes[1].set_xlabel(r"$E_\mathrm{CAL}$ [GeV]")
    axes[1].set_ylabel("events / (4 GeV)")
    axes[1].set_title("(III) region D, after the vetoes", loc="left", fontsize=10)
    figure.suptitle(f"{period.selection}, {period.label}", fontsize=11)
    return figure


def _side(ax: Axes, found: Sideband, width: float) -> None:
    from na64reco.inference.shapes import integrate

    low, high = found.window
    edges = np.arange(low, high + width, width)
    counts, _ = np.histogram(found.x, edges, weights=found.weights)
    centres = 0.5 * (edges[1:] + edges[:-1])
    filled = counts > 0
    ax.errorbar(
        centres[filled], counts[filled], np.sqrt(counts[filled]), fmt="o", ms=3.5, color="black"
    )
    ax.axvspan(*found.box, facecolor="#DDDDDD", hatch="//", edgecolor="#BBBBBB")
    x = np.linspace(found.box[0], high, 300)
    for name, fit in found.fits.items() if found.fit.events else ():
        if found.shape_weights[name] <= 0:
            continue
        own = integrate(fit.shape, fit.theta[None], fit.window, scale=fit.scale)
        density = fit.total * np.exp(fit.theta @ fit.shape.statistic(x, fit.scale) - own.log[0])
        ax.plot(x, width * density, lw=1.4, label=f"{name} ({found.shape_weights[name]:.0%})")
    ax.set_yscale("log")
    ax.set_xlim(found.box[0], high)
    highest = max(1.0, float(counts.max(initial=1.0)))
    ax.set_ylim(1e-4 * highest, 3 * highest)
    ax.text(
        0.5 * sum(found.box), 0.5, "box", transform=ax.get_xaxis_transform(), ha="center",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip
    if found.fit.events:
        ax.legend(fontsize=8, loc="upper left")
