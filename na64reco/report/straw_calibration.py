"""The straws' drift times by distance, with what was fitted to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.calibrate.straw import StrawDetail
    from na64reco.tracking.straw_calibration import LayerFit

__all__ = ["draw_straws"]

_SETTINGS: Final = {
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "savefig.transparent": False,
}
_FIT: Final = "#D55E00"  # of Okabe and Ito's palette
_MEAN: Final = "#0072B2"
_COLUMNS: Final = 4
_BINS: Final = 30


def draw_straws(detail: StrawDetail) -> dict[str, Figure]:
    """For each layer: drift times over offsets with the fit, and what is left of the distances."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = [(plane, fit) for plane in detail.planes for fit in plane.layers]
    rows = -(-len(layers) // _COLUMNS)
    settings: Any = _SETTINGS
    with mpl.rc_context(settings):
        figure = Figure(figsize=(16, 5.6 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(
            2 * rows, _COLUMNS, squeeze=False, height_ratios=[2, 1] * rows, sharex=True
        )
        for number in range(rows * _COLUMNS):
            row, column = divmod(number, _COLUMNS)
            pair = axes[2 * row : 2 * row + 2, column]
            if number >= len(layers):
                for ax in pair:
                    ax.set_axis_off()
                continue
            plane, fit = layers[number]
            which = detail.crossings.layers.index(fit.layer)
            mine = detail.crossings.layer == which
            lever = 1e-3 * plane.rotation * detail.crossings.lever[mine]
            offset = detail.crossings.offset[mine] - plane.shift + lever
            time = detail.crossings.time[mine]
            _times(pair[0], fit, offset, time)
            _distances(pair[1], fit, offset, time)
            pair[1].set_xlabel("track less wire [mm]")
            if not column:
                pair[0].set_ylabel("time [ns]")
                pair[1].set_ylabel("distance by time\nless by track [mm]")
        figure.suptitle("Straws: drift times on tracks, fitted r-t relations")
    return {"straw": figure}


def _times(ax: Axes, fit: LayerFit, offset: NDArray[np.float64], time: NDArray[np.float64]) -> None:
    radius = fit.layer.radius
    low, high = fit.t0 - 0.2 * fit.time_max, fit.t0 + 1.3 * fit.time_max
    values, x, y = np.histogram2d(
        offset, time, bins=(90, 80), range=((-1.5 * radius, 1.5 * radius), (low, high))
    )
    ax.pcolormesh(x, y, np.where(values > 0, values, np.nan).T, norm="log", cmap="Greys")
    r = np.linspace(-radius, radius, 201)
    ax.plot(r, fit.drift_time(r), color=_FIT, label="fit")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(low, high)
    ax.set_title(fit.layer.name, fontsize=10)
    ax.legend(
        title=f"t0 {fit.t0:.2f} \N{PLUS-MINUS SIGN} {fit.t0_error:.2f} ns\n"
        f"longest {fit.time_max:.2f} \N{PLUS-MINUS SIGN} {fit.time_max_error:.2f} ns\n"
        f"{1e3 * fit.resolution:.0f} \N{MICRO SIGN}m, {fit.entries} hits",
        loc="upper center",
    )


def _distances(
    ax: Axes, fit: LayerFit, offset: NDArray[np.float64], time: NDArray[np.float64]
) -> None:
    """Mean and rms in bins of the offset, of what is within five resolutions."""
    radius = fit.layer.radius
    s = np.clip((time - fit.t0) / fit.time_max, 0.0, 1.0)
    left = np.polynomial.polynomial.polyval(s, fit.rt) - np.abs(offset)
    near = (np.abs(left) < 0.25 * radius) & (np.abs(offset) < radius)
    edges = np.linspace(-radius, radius, _BINS + 1)
    which = np.digitize(offset[near], edges) - 1
    count = np.bincount(which, minlength=_BINS)[:_BINS]
    some = count > 10
    total = np.bincount(which, left[near], minlength=_BINS)[:_BINS]
    square = np.bincount(which, left[near] ** 2, minlength=_BINS)[:_BINS]
    mean = total[some] / count[some]
    rms = np.sqrt(np.maximum(square[some] / count[some] - mean**2, 0.0))
    centres = ((edges[1:] + edges[:-1]) / 2)[some]
    ax.axhline(0, color="grey", linewidth=0.8)
    ax.errorbar(centres, mean, yerr=rms, fmt="o", markersize=3, color=_MEAN, linewidth=0.8)
    ax.set_ylim(-0.25 * radius, 0.25 * radius)
