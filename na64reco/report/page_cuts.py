"""Cuts in words and as lines in histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.page_figures import plain
from na64reco.selection.model import ByColumn, ByPeriod
from na64reco.selection.variables import find_description

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from na64reco.selection import Selection
    from na64reco.selection.model import Cut, Limit

__all__ = ["cut_text", "draw_cuts", "limit_lines"]

_LINE: Final = {"color": "#333333", "linewidth": 1.1, "linestyle": (0, (4, 2)), "zorder": 4}


def unit_of(variable: str) -> str:
    """Unit of a column or variable; nothing for a name that is unknown here."""
    known = find_description(variable)
    return "" if known is None else known.unit


def cut_text(cut: Cut) -> str:
    """A cut as people write it.

    >>> from na64reco.selection.model import Cut
    >>> cut_text(Cut(name="SRD", variable="srd.energy", window=(0.001, 0.1)))
    '0.001 ≤ srd.energy ≤ 0.1 GeV'
    >>> cut_text(Cut(name="trigger", variable="trigger.physics", **{"not": True}))
    'not (trigger.physics)'
    """
    unit = f" {unit_of(cut.variable)}" if unit_of(cut.variable) else ""
    if cut.window is not None:
        low, high = (_limit(limit) for limit in cut.window)
        text = f"{low} \N{LESS-THAN OR EQUAL TO} {cut.variable} \N{LESS-THAN OR EQUAL TO} {high}"
        text += unit
    elif cut.min is not None:
        text = f"{cut.variable} \N{GREATER-THAN OR EQUAL TO} {_limit(cut.min)}{unit}"
    elif cut.max is not None:
        text = f"{cut.variable} \N{LESS-THAN OR EQUAL TO} {_limit(cut.max)}{unit}"
    elif cut.equal is not None:
        text = f"{cut.variable} = {cut.equal:g}{unit}"
    else:
        text = cut.variable
    return f"not ({text})" if cut.negate else text


def _limit(limit: Limit) -> str:
    if isinstance(limit, ByPeriod):
        inner = ", ".join(f"{period}: {value:g}" for period, value in limit.values.items())
        return f"({inner})"
    if isinstance(limit, ByColumn):
        low, high = min(limit.table), max(limit.table)
        return f"({low:g} to {high:g}, by {limit.by})"
    return f"{limit:g}"


def limit_lines(cut: Cut) -> Iterator[tuple[str, Limit]]:
    """``("min" or "max", limit)`` of a cut."""
    if cut.window is not None:
        yield "min", cut.window[0]
        yield "max", cut.window[1]
    for side in ("min", "max"):
        if (limit := getattr(cut, side)) is not None:
            yield side, limit
    if cut.equal is not None:
        yield "min", cut.equal
        yield "max", cut.equal


def draw_cuts(ax: Axes, selection: Selection, variables: tuple[str, ...], stage: str) -> None:
    """Lines where the selection cuts on a plot's variables; what a left-out cut rejects is shaded.

    Parameters
    ----------
    variables
        Of the axes: one or two.
    stage
        ``without NAME`` shades what NAME rejects.
    """
    for cut in selection.cuts:
        left_out = stage == f"without {cut.name}"
        if cut.variable == variables[0]:
            _vertical(ax, cut, variables, shade=left_out)
        elif len(variables) == 2 and cut.variable == variables[1]:
            _horizontal(ax, cut, variables)


def _values(limit: Limit) -> tuple[float, ...]:
    if isinstance(limit, ByPeriod):
        return tuple(sorted(set(limit.values.values())))
    if isinstance(limit, ByColumn):
        return (min(limit.table), max(limit.table))
    return (limit,)


def _vertical(ax: Axes, cut: Cut, variables: tuple[str, ...], *, shade: bool) -> None:
    low, high = ax.get_xlim()
    options: Any = _LINE
    for side, limit in limit_lines(cut):
        values = [v for v in _values(limit) if low < v < high]
        for value in values:
            ax.axvline(value, **options)
        if isinstance(limit, ByColumn) and len(values) == 2:
            ax.axvspan(*values, facecolor="#999999", alpha=0.2, lw=0, zorder=0)
            ax.text(
                values[1], 0.97, f" limit by {plain(limit.by)}", fontsize=8, va="top",
                transform=ax.get_xaxis_transform(),
            )  # fmt: skip
        # With `not`, or where the limit varies, there is no one side that is rejected.
        if shade and not cut.negate and len(variables) == 1:
            edge = min(_values(limit)) if side == "min" else max(_values(limit))
            span = (low, min(edge, high)) if side == "min" else (max(edge, low), high)
            if span[0] < span[1]:
                ax.axvspan(
                    *span, facecolor="none", edgecolor="#BBBBBB", hatch="///", lw=0, zorder=0
                )


def _horizontal(ax: Axes, cut: Cut, variables: tuple[str, ...]) -> None:
    low, high = ax.get_xlim()
    options: Any = _LINE
    for _, limit in limit_lines(cut):
        if isinstance(limit, ByColumn) and limit.by == variables[0]:
            edges = np.clip([low, *limit.edges, high], low, high)
            ax.stairs(limit.table, edges, baseline=None, **options)
        else:
            for value in _values(limit):
                ax.axhline(value, **options)
