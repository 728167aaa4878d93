"""The quality of the tracking in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import hist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.tracking.quality import TrackQuality

__all__ = ["draw_tracking_quality"]

_SETTINGS: Final = {
    "font.size": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "savefig.transparent": False,
}
_DATA: Final = "#0072B2"  # of Okabe and Ito's palette
_EXPECTED: Final = "#D55E00"
REASONS: Final = (
    "found", "no upstream", "no downstream", "no match", "fit failed", "too busy",
    "left the map",
)  # fmt: skip
"""By `track.reason`."""


def draw_tracking_quality(quality: TrackQuality) -> Figure:
    """Eight pictures: what each plane does (above), what the tracks are like (below)."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = _SETTINGS
    with mpl.rc_context(settings):
        figure = Figure(figsize=(16, 7.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 4)
        _residuals(axes[0, 0], quality)
        _pulls(axes[0, 1], quality)
        _efficiency(axes[0, 2], quality)
        _clusters(axes[0, 3], quality)
        _tracks(axes[1, 0], quality)
        _p_value(axes[1, 1], quality)
        _reasons(axes[1, 2], quality)
        _momentum(axes[1, 3], quality)
        figure.suptitle(
            f"{quality.setup}, spectrometer {quality.spectrometer}: {quality.events} events"
        )
    return figure


def _moments(histogram: hist.Hist[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and rms per plane of what lies inside the axis; NaN without entries."""
    values = np.asarray(histogram.values(), np.float64)
    centres = np.asarray(histogram.axes[1].centers)
    total = np.where(values.sum(axis=1) > 0, values.sum(axis=1), np.nan)
    mean = values @ centres / total
    return mean, np.sqrt(np.maximum(values @ centres**2 / total - mean**2, 0))


def _name_planes(ax: Axes, quality: TrackQuality) -> NDArray[np.int64]:
    places = np.arange(len(quality.planes))
    ax.set_xticks(places, quality.planes, rotation=90)
    ax.set_xlim(-0.6, len(places) - 0.4)
    return places


def _residuals(ax: Axes, quality: TrackQuality) -> None:
    places = _name_planes(ax, quality)
    mean, rms = _moments(quality.residual)
    ax.axhline(0, color="grey", linewidth=0.8)
    ax.errorbar(places, mean, yerr=rms, fmt="o", color=_DATA, label="mean, rms")
    ax.set_ylabel("unbiased residual [mm]")
    ax.legend()


def _pulls(ax: Axes, quality: TrackQuality) -> None:
    places = _name_planes(ax, quality)
    mean, rms = _moments(quality.pull)
    ax.axhline(1, color="grey", linewidth=0.8)
    ax.axhline(0, color="grey", linewidth=0.8)
    ax.plot(places, rms, "s", color=_DATA, label="rms (expected: 1)")
    ax.plot(places, mean, "o", color=_EXPECTED, markerfacecolor="none", label="mean (expected: 0)")
    ax.set_ylim(-0.5, 1.6)
    ax.set_ylabel("pull of the unbiased residual")
    ax.legend()


def _efficiency(ax: Axes, quality: TrackQuality) -> None:
    places = _name_planes(ax, quality)
    all_planes = quality.efficiencies
    value, low, high = (
        100 * np.array([getattr(e, f) for e in all_planes]) for f in ("value", "low", "high")
    )
    errors = np.abs(np.stack([value - low, high - value]))
    ax.errorbar(places, value, yerr=errors, fmt="o", color=_DATA)
    known = value[np.isfinite(value)]
    ax.set_ylim(min(94.0, float(known.min()) - 1) if len(known) else 94.0, 100.5)
    ax.set_ylabel("hit efficiency [%]")


def _clusters(ax: Axes, quality: TrackQuality) -> None:
    places = _name_planes(ax, quality)
    size, _ = _moments(quality.cluster_size)
    ax.plot(places, size - 0.5, "o", color=_DATA, label="size on tracks [strips]")
    unused = quality.unused_per_event
    ax.plot(places, 10 * unused, "s", color=_EXPECTED, label="on no track, per ten events")
    ax.set_ylim(bottom=0)
    ax.set_ylabel("clusters in time")
    ax.legend()


def _share(ax: Axes, places: Any, counts: Any, events: float) -> None:
    values = np.asarray(counts, np.float64) / max(events, 1)
    ax.bar(places, values, color=_DATA, width=0.8)
    ax.set_yscale("log")
    ax.set_ylim(0.3 / max(events, 1), 2)
    ax.set_ylabel("share of events")


def _tracks(ax: Axes, quality: TrackQuality) -> None:
    counts = quality.tracks.values(flow=True)[1:]
    places = np.arange(len(counts))
    _share(ax, places, counts, quality.events)
    ax.set_xticks(places, [*map(str, places[:-1]), f"\N{GREATER-THAN OR EQUAL TO}{places[-1]}"])
    ax.set_xlabel("track candidates per event")


def _p_value(ax: Axes, quality: TrackQuality) -> None:
    histogram = quality.p_value
    values = np.asarray(histogram.values())
    ax.stairs(values, histogram.axes[0].edges, color=_DATA)
    ax.axhline(values.mean(), color=_EXPECTED, linestyle="--", label="flat")
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("p-value of the fit")
    ax.set_ylabel("tracks")
    chi2 = quality.chi2
    inside = float(chi2.sum())
    mean = float((chi2.values() * chi2.axes[0].centers).sum()) / inside if inside else float("nan")
    ax.legend(title=rf"mean $\chi^2$ / ndf (below 5): {mean:.3f}")


def _reasons(ax: Axes, quality: TrackQuality) -> None:
    places = np.arange(len(REASONS))
    _share(ax, places, quality.reason.values()[: len(REASONS)], quality.events)
    ax.set_xticks(places, REASONS, rotation=30, ha="right")
    ax.set_title(f"tracks found: {100 * quality.found:.2f} %", fontsize=10)


def _momentum(ax: Axes, quality: TrackQuality) -> None:
    histogram = quality.momentum
    values = np.asarray(histogram.values(), np.float64)
    ax.set_xlabel("(momentum - true) / true [%]")
    ax.set_ylabel("tracks")
    if not values.sum():
        ax.text(0.5, 0.5, "no truth", transform=ax.transAxes, ha="center", va="center")
        return
    edges = 100 * np.asarray(histogram.axes[0].edges)
    ax.stairs(values, edges, color=_DATA)
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.5)
    ax.set_xlim(edges[0], edges[-1])
    core = _core(values, edges)
    ax.set_title(
        f"core {core:.2f} %, more than 5 errors off: {100 * quality.wrong:.2f} %", fontsize=10
    )


def _core(values: NDArray[np.float64], edges: NDArray[np.float64]) -> float:
    """Half of the width that holds the middle 68.27 %."""
    cumulative = np.concatenate(([0.0], np.cumsum(values))) / values.sum()
    low, high = np.interp((0.15866, 0.84134), cumulative, edges)
    return float(high - low) / 2
