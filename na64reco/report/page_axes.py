"""Axes of the report's figures: margins in inches, logarithmic ticks, maps with their scale.

matplotlib would find places and ticks by itself, in several times the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["draw_map", "log_axis", "new_figure", "place_labels", "set_log", "top_legend"]

_RAISED = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")
_LABEL_BELOW = 0.28
"""Inches from an axis to the top of the label below it."""
_LABEL_BESIDE = 0.52
"""Inches from an axis to the label at its left."""
_MOST_DECADES = 6
_LEFT, _RIGHT, _UP, _DOWN = range(4)
"""matplotlib's numbers of markers that are a line to one side."""


def new_figure(
    rows: int,
    columns: int,
    *,
    size: tuple[float, float],
    left: float = 0.75,
    bottom: float = 0.6,
    top: float = 0.35,
    right: float = 0.2,
    above: float = 0.0,
    below: float = 0.0,
) -> tuple[Figure, Any]:
    """Axes of ``size`` inches each with margins of fixed inches.

    Parameters
    ----------
    above, below
        Further inches above the first and below the last row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = columns * (size[0] + left + right)
    height = rows * (size[1] + bottom + top) + above + below
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=(bottom + below) / height,
        top=1 - (top + above) / height,
        wspace=(left + right) / size[0],
        hspace=(bottom + top) / size[1],
    )
    for ax in axes.flat:
        place_labels(ax, size, beside=left - 0.23)
    return figure, axes


def place_labels(
    ax: Axes,
    size: tuple[float, float],
    *,
    beside: float = _LABEL_BESIDE,
    below: float = _LABEL_BELOW,
) -> None:
    """Labels of axes of ``size`` inches at fixed inches from them."""
    ax.xaxis.set_label_coords(1.0, -below / size[1])
    ax.yaxis.set_label_coords(-beside / size[0], 1.0)


def power_of_ten(exponent: int) -> str:
    """As people write it.

    >>> power_of_ten(0), power_of_ten(2), power_of_ten(-1), power_of_ten(5), power_of_ten(-12)
    ('1', '100', '0.1', '10⁵', '10⁻¹²')
    """
    if -2 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(_RAISED)


def log_axis(ax: Axes, low: float, high: float, *, axis: str = "y", mirrored: bool = True) -> None:
    """A logarithmic axis: powers of ten with labels; what is between them is one artist a side."""
    from matplotlib.ticker import FixedLocator, NullLocator

    x = axis == "x"
    (ax.set_xscale if x else ax.set_yscale)("log")
    (ax.set_xlim if x else ax.set_ylim)(low, high)
    own = ax.xaxis if x else ax.yaxis
    first, last = int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9))
    every = max(1, -(-(last - first + 1) // _MOST_DECADES))
    exponents = list(range(first, last + 1, every))
    places, names = [10.0**e for e in exponents], [power_of_ten(e) for e in exponents]
    decades = range(first - 1, last + 1)
    if len(places) < 2:  # less than a decade: between the powers, too
        places = [m * 10.0**e for e in decades for m in (1, 2, 5)]
        places = [v for v in places if low <= v <= high]
        names = [f"{v:g}" for v in places]
    own.set_major_locator(FixedLocator(places))
    own.set_minor_locator(NullLocator())
    (ax.set_xticks if x else ax.set_yticks)(places, names)
    if every == 1:
        minor = np.array([m * 10.0**e for e in decades for m in range(2, 10)])
        _minor_ticks(ax, minor[(minor > low) & (minor < high)], x=x, mirrored=mirrored)


def _minor_ticks(ax: Axes, values: Any, *, x: bool, mirrored: bool) -> None:
    transform = ax.get_xaxis_transform() if x else ax.get_yaxis_transform()
    sides = ((0.0, _UP), (1.0, _DOWN)) if x else ((0.0, _RIGHT), (1.0, _LEFT))
    for side, marker in sides if mirrored else sides[:1]:
        where = np.full(len(values), side)
        style: Any = {"marker": marker, "ms": 2.5, "mew": 0.6, "color": "black", "ls": "none"}
        ax.plot(
            *((values, where) if x else (where, values)), transform=transform, scalex=False,
            scaley=False, zorder=2.6, **style,
        )  # fmt: skip


def set_log(ax: Axes, largest: float, smallest: float = 1.0) -> None:
    """A logarithmic axis of counts where they span more than a factor of 50."""
    if largest > 50 * smallest:
        log_axis(ax, 0.5 * smallest, 5 * largest)
    else:
        # Room for the error of the largest.
        ax.set_ylim(0, 1.15 * (largest + np.sqrt(largest) + smallest))


def draw_map(
    ax: Axes, x: Any, y: Any, counts: Any, *, label: str, scale: bool = True
) -> AxesImage | None:
    """Counts of bins by colour, empty ones white, with a logarithmic scale beside it.

    Parameters
    ----------
    x, y
        Edges of the bins.
    counts
        Shape (x bins, y bins).
    """
    from matplotlib.colors import LogNorm

    largest = max(10.0, float(counts.max(initial=0.0)))
    # One entry must be visible on white, so the darkest end of the map is the rarest.
    options: Any = {"cmap": "viridis_r", "norm": LogNorm(vmin=0.5, vmax=largest)}
    shown = np.ma.masked_less_equal(counts, 0).T
    image = None
    if all(np.allclose(np.diff(v), v[1] - v[0]) for v in (x, y)):
        # A pixel for each bin: much smaller than as many polygons, and drawn with sharp edges.
        image = ax.imshow(
            shown, extent=(x[0], x[-1], y[0], y[-1]), origin="lower", aspect="auto",
            interpolation="none", **options,
        )  # fmt: skip
    else:
        ax.pcolormesh(x, y, shown, **options)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    if scale:
        _colour_scale(ax, largest, label)
    return image


def _colour_scale(ax: Axes, largest: float, label: str) -> None:
    figure = ax.get_figure(root=True)
    assert figure is not None
    place = ax.get_position()
    width = figure.get_figwidth()
    bar = figure.add_axes((place.x1 + 0.08 / width, place.y0, 0.14 / width, place.height))
    steps = np.linspace(np.log10(0.5), np.log10(largest), 64)
    bar.imshow(
        steps[:, None], extent=(0, 1, steps[0], steps[-1]), origin="lower", aspect="auto",
        cmap="viridis_r", interpolation="none",
    )  # fmt: skip
    last = int(np.floor(steps[-1] + 1e-9))
    every = -(-(last + 1) // _MOST_DECADES)
    exponents = range(0, last + 1, every)
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.set_yticks(list(exponents), [power_of_ten(e) for e in exponents])
    bar.yaxis.set_label_position("right")
    bar.yaxis.set_label_coords(1 + 0.46 / 0.14, 1.0)
    bar.set_ylabel(label, fontsize=9)


def top_legend(
    figure: Figure, ax: Axes, *, columns: int = 4, handles: Sequence[Any] | None = None
) -> None:
    """One legend of all panels at the top of the figure, over nothing that is drawn."""
    found, names = ax.get_legend_handles_labels()
    if handles is not None:
        found, names = list(handles), [str(h.get_label()) for h in handles]
    if names:
        height = figure.get_figheight()
        figure.legend(
            found, names, loc="upper center", bbox_to_anchor=(0.5, 1 - 0.04 / height),
            ncols=min(len(names), columns), frameon=False, borderpad=0, borderaxespad=0,
            handlelength=1.8, columnspacing=1.4,
        )  # fmt: skip
