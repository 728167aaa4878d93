"""Times, resolutions and pulls of strip planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.report.tracking_quality import draw_tracking_quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from na64reco.calibrate.strips import StripDetail
    from na64reco.tracking.strip_calibration import StripFit

__all__ = ["draw_strips"]

_SETTINGS: Final = {
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "savefig.transparent": False,
}
_DATA: Final = "#0072B2"  # of Okabe and Ito's palette
_BEFORE: Final = "#D55E00"
_COLUMNS: Final = 4


def draw_strips(detail: StripDetail) -> dict[str, Figure]:
    """Times of strips on tracks with what was found; resolutions; and the tracks by all this."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    planes = detail.planes
    rows = -(-len(planes) // _COLUMNS) + 1
    settings: Any = _SETTINGS
    with mpl.rc_context(settings):
        figure = Figure(figsize=(16, 3.0 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(rows, _COLUMNS)
        for number, plane in enumerate(planes):
            _times(figure.add_subplot(grid[divmod(number, _COLUMNS)]), plane)
        half = _COLUMNS // 2
        _resolutions(figure.add_subplot(grid[-1, :half]), planes)
        _pulls(figure.add_subplot(grid[-1, half:]), planes)
        figure.suptitle("Strip planes: times of strips on tracks; resolutions")
    return {"strips": figure, "tracking_quality": draw_tracking_quality(detail.quality)}


def _times(ax: Axes, plane: StripFit) -> None:
    low, high = plane.time - 6 * plane.time_width, plane.time + 6 * plane.time_width
    counts, edges = np.histogram(plane.times, 80, (low, high))
    ax.stairs(counts, edges, color=_DATA)
    t = np.linspace(low, high, 200)
    gauss = np.exp(-0.5 * ((t - plane.time) / plane.time_width) ** 2)
    area = plane.strips * (edges[1] - edges[0]) / np.sqrt(2 * np.pi) / plane.time_width
    ax.plot(t, area * gauss, color=_BEFORE, linewidth=1)
    ax.set_yscale("log")
    ax.set_ylim(0.5, 3 * max(counts.max(), 1))
    ax.set_xlim(low, high)
    ax.set_xlabel("strip less master time [ns]")
    ax.set_title(
        f"{plane.name}: {plane.time:.2f} \N{PLUS-MINUS SIGN} {plane.time_error:.2f} ns, "
        f"width {plane.time_width:.2f} ns",
        fontsize=9,
    )


def _named(ax: Axes, planes: Sequence[StripFit]) -> range:
    places = range(len(planes))
    ax.set_xticks(places, [p.name for p in planes], rotation=90)
    return places


def _resolutions(ax: Axes, planes: Sequence[StripFit]) -> None:
    places = _named(ax, planes)
    value, error = (
        [1e3 * v for v in column]
        for column in ([p.resolution for p in planes], [p.resolution_error for p in planes])
    )
    ax.errorbar(places, value, yerr=error, fmt="o", color=_DATA, label="found")
    before = [1e3 * p.start.resolution for p in planes]
    ax.plot(places, before, "_", markersize=12, color=_BEFORE, label="before")
    ax.set_ylim(0, 1.4 * max(*value, *before))
    ax.set_ylabel("resolution [\N{MICRO SIGN}m]")
    ax.legend()


def _pulls(ax: Axes, planes: Sequence[StripFit]) -> None:
    places = _named(ax, planes)
    ax.axhline(1, color="grey", linewidth=0.8)
    pulls = [p.pull for p in planes]
    ax.plot(places, pulls, "s", color=_BEFORE, label="by what was before")
    ax.set_ylim(min(0.9, 0.95 * min(pulls)), max(1.1, 1.1 * max(pulls)))
    ax.set_ylabel("width of the pulls")
    ax.legend()
