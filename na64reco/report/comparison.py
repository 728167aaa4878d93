"""Two samples side by side: a table of all variables, and a picture of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.table import Table

from na64reco.report.page_axes import place_labels, top_legend
from na64reco.report.page_figures import COLOURS, plain, report_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from na64reco.inference.comparison import Comparison, Shape

__all__ = ["comparison_tables", "draw_comparison"]

_SIZE: Final = (5.4, 4.8)
"""Inches."""


def comparison_tables(found: Comparison) -> list[Table | str]:
    """One row per variable, the worst agreement first; yields; what was left out."""
    table = Table(title="Shapes", title_justify="left")
    for column in ("variable", "KS distance", "KS p", "chi2/ndf", "chi2 p"):
        table.add_column(column, justify="left" if column == "variable" else "right", no_wrap=True)
    for s in sorted(found.shapes, key=lambda s: s.chi2_p):
        table.add_row(
            s.variable, f"{s.ks:.4f}", f"{s.ks_p:.3g}", f"{s.chi2:.1f}/{s.ndf}", f"{s.chi2_p:.3g}"
        )
    lines: list[Table | str] = [table]
    for name, side in (("first", found.first), ("second", found.second)):
        kind = "simulated" if side.simulated else "data"
        text = f"{name}: {side.out} {side.dataset} ({kind}), {side.events} events"
        if side.simulated:
            text += f", weight {side.weight:.6g} \N{PLUS-MINUS SIGN} {side.error:.2g}"
        if side.exposure is not None:
            text += f", exposure {side.exposure:.4g}"
        lines.append(text)
    if (ratio := found.yields) is not None:
        normalised = None not in {found.first.exposure, found.second.exposure}
        text = f"yield, first over second: {ratio.value:.4f} \N{PLUS-MINUS SIGN} "
        text += f"{ratio.statistical:.4f} (stat) \N{PLUS-MINUS SIGN} {ratio.systematic:.4f} (syst)"
        lines.append(text if normalised else f"{text}; not divided by exposures, give both")
    if found.hidden is not None:
        lines.append(f"Events in the region {found.hidden!r} are left out of both: it is blinded.")
    lines += [f"not compared: {name} ({why})" for name, why in found.skipped.items()]
    return lines


def draw_comparison(found: Comparison) -> dict[str, Figure]:
    """A picture of each variable, by names for files."""
    with report_style():
        return {s.variable.replace(".", "_"): _draw(found, s) for s in found.shapes}


def _draw(found: Comparison, shape: Shape) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _SIZE
    left, across = 0.85 / width, (width - 1.05) / width
    figure = Figure(figsize=_SIZE)
    FigureCanvasAgg(figure)
    top = figure.add_axes((left, 1.65 / height, across, (height - 2.3) / height))
    bottom = figure.add_axes((left, 0.55 / height, across, 1.0 / height))
    edges = np.array(shape.edges)
    widths, centres = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    # Two folders often have datasets of the same name.
    for name, side, values, errors, colour, dash in (
        ("first", found.first, shape.first, shape.first_error, COLOURS[0], "-"),
        ("second", found.second, shape.second, shape.second_error, COLOURS[1], "--"),
    ):
        label = plain(f"{name}: {side.dataset} ({'simulation' if side.simulated else 'data'})")
        density = np.array(values) / widths
        options: dict[str, Any] = {"fmt": "o", "markersize": 3, "color": colour, "label": label}
        top.stairs(density, edges, color=colour, linewidth=0.9, linestyle=dash)
        top.errorbar(centres, density, np.array(errors) / widths, lw=0.9, **options)
    top.set_ylabel(f"share / {shape.unit}" if shape.unit else "share per unit")
    top.set_ylim(bottom=0)
    top.tick_params(labelbottom=False)
    agreement = f"KS p = {shape.ks_p:.2g}, chi2 = {shape.chi2:.1f}/{shape.ndf}"
    top.set_title(f"{shape.variable}: {agreement}", loc="left")
    ratio = np.array([np.nan if r is None else r for r in shape.ratio])
    error = np.array([np.nan if r is None else r for r in shape.ratio_error])
    bottom.errorbar(centres, ratio, error, fmt="o", markersize=3, lw=0.9, color="black")
    bottom.axhline(1, color="grey", linewidth=0.8)
    bottom.set_ylim(0, 2)
    bottom.set_yticks([0, 0.5, 1, 1.5])
    bottom.set_ylabel("first / second", fontsize=9)
    bottom.set_xlabel(f"{shape.variable} [{shape.unit}]" if shape.unit else shape.variable)
    for ax, size in ((top, height - 2.3), (bottom, 1.0)):
        ax.set_xlim(edges[0], edges[-1])
        place_labels(ax, (width - 1.05, size), beside=0.62)
    top_legend(figure, top, columns=2)
    return figure
