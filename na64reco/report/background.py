"""Pictures of the sidebands with what is fitted and extrapolated, and of the choice of the box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.inference.shapes import NOMINAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.inference.background import Sideband
    from na64reco.inference.box import BoxChoice, Scan
    from na64reco.inference.estimate import PeriodEstimate

__all__ = ["draw_background"]

_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#888888"
_OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#009E73", "#000000")


def draw_background(found: Sequence[PeriodEstimate]) -> dict[str, Figure]:
    """Per period one picture of the sidebands and one of the scans; names as of files."""
    pictures: dict[str, Figure] = {}
    for period in found:
        suffix = f"_{period.label}" if len(found) > 1 else ""
        pictures[f"background{suffix}"] = _sidebands(period)
        pictures[f"box{suffix}"] = _scans(period)
    return pictures


def _figure(columns: int, *, bottom: float, wspace: float) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Places by hand: finding them takes longer than all the rest of the drawing.
    figure = Figure(figsize=(6.0 * columns, 5.0))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.06, right=0.94, bottom=bottom, top=0.88, wspace=wspace)
    return figure, figure.subplots(1, columns)


def _sidebands(period: PeriodEstimate) -> Figure:
    figure, axes = _figure(2, bottom=0.11, wspace=0.15)
    labels = (r"$E_\mathrm{ECAL}$ [GeV]", r"$E_\mathrm{HCAL}$ [GeV]")
    box = period.data.box
    titles = (
        rf"sideband A: $E_\mathrm{{HCAL}}$ < {box.hcal:g} GeV",
        rf"sideband C: $E_\mathrm{{ECAL}}$ < {box.ecal:g} GeV",
    )
    hidden = period.data.observed is None
    for ax, found, label, title in zip(
        axes, (period.upstream, period.punch_through), labels, titles, strict=True
    ):
        _sideband(ax, found, hidden=hidden)
        ax.set_xlabel(label)
        ax.set_title(title, fontsize=10, loc="left")
    figure.suptitle(f"{period.selection}, period {period.label}", fontsize=11)
    return figure


def _sideband(ax: Axes, found: Sideband, *, hidden: bool) -> None:
    low, high = found.window
    # Bins that end at the edge of the box.
    width = 1.0 if high - low > 10 else 0.5
    edges = np.arange(low, high + 0.5 * width, width)
    counts, _ = np.histogram(found.x, edges, weights=found.weights)
    squares, _ = np.histogram(found.x, edges, weights=found.weights**2)
    centres = 0.5 * (edges[1:] + edges[:-1])
    filled = counts > 0
    ax.errorbar(
        centres[filled],
        counts[filled],
        _poisson_errors(counts[filled], squares[filled]),
        fmt="o",
        ms=3.5,
        color="black",
        label=f"sideband, {found.fit.events} events",
        zorder=4,
    )
    start = found.box[0]
    x = np.linspace(start, high, 400)
    typical = float(np.min(squares[filled] / counts[filled])) if filled.any() else 1.0
    ax.axvspan(start, found.box[1], facecolor="#DDDDDD", hatch="//", edgecolor="#BBBBBB", zorder=0)
    narrow = found.box[1] - start < 0.2 * (high - start)
    ax.text(
        found.box[1] + 0.01 * (high - start) if narrow else 0.5 * (start + found.box[1]),
        0.97,
        "blinded:\nextrapolation" if hidden else "box:\nextrapolation",
        transform=ax.get_xaxis_transform(),
        ha="left" if narrow else "center",
        va="top",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
        zorder=5,
    )
    lowest, highest = 0.05 * typical, 6 * max(float(counts.max(initial=0.0)), typical)
    # Where only a limit is known there is no shape to show.
    if not found.nominal.limit_only:
        centre, error = _density(found, NOMINAL, x)
        band = np.exp(error)
        ax.fill_between(
            x,
            width * centre / band,
            width * centre * band,
            color=_BLUE,
            alpha=0.25,
            lw=0,
            label="68 %, statistical",
        )
        lowest = min(lowest, max(0.3 * width * float(centre.min()), 1e-4 * typical))
        ax.plot(x, width * centre, color=_BLUE, lw=1.8, label=NOMINAL, zorder=3)
        others = [n for n, w in found.shape_weights.items() if w > 0 and n != NOMINAL]
        for colour, name in zip(_OTHERS, others, strict=False):
            line, _ = _density(found, name, x)
            weight = found.shape_weights[name]
            ax.plot(x, width * line, lw=1.1, ls="--", color=colour, label=f"{name} ({weight:.0%})")
    ax.axvline(found.box[1], color=_ORANGE, lw=1.2)
    ax.set_yscale("log")
    ax.set_ylim(lowest, highest)
    ax.set_xlim(start, high)
    ax.set_ylabel(f"events / {width:g} GeV")
    ax.text(
        0.03,
        0.03,
        _result(found),
        transform=ax.transAxes,
        fontsize=9,
        va="bottom",
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )
    ax.legend(fontsize=8, loc="lower right", framealpha=0.9)


def _poisson_errors(counts: Any, squares: Any) -> NDArray[np.float64]:
    """Central 68 % of a Poisson mean (Garwood 1936), of as many events as the weights are worth."""
    from scipy.special import gammaincinv

    effective = counts**2 / squares
    low = gammaincinv(effective, 0.15865)
    high = gammaincinv(effective + 1, 0.84135)
    return np.asarray(np.array([effective - low, high - effective]) * squares / counts)


def _result(found: Sideband) -> str:
    from na64reco.inference.background import component_of

    component = component_of("", found)
    if component.value is None:
        return f"in the box: < {component.upper:.2g} (90 %)\n{component.source}"
    lines = [
        f"in the box: {component.value:.2g} $\\pm$ {component.statistical:.1g} (stat.) "
        f"$\\pm$ {component.systematic:.1g} (shape)"
    ]
    goodness = found.goodness.get(NOMINAL)
    if goodness is not None and np.isfinite(goodness.ks_p):
        lines.append(f"p-values: KS {goodness.ks_p:.2f}, AD {goodness.ad_p:.2f}")
        if np.isfinite(goodness.chi2_p):
            lines[-1] += f", $\\chi^2$ {goodness.chi2_p:.2f}"
    return "\n".join(lines)


def _density(
    found: Sideband, name: str, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Events per GeV by one shape, and the standard deviation of its logarithm."""
    from na64reco.inference.shapes import integrate

    fit = found.fits[name]
    own = integrate(fit.shape, fit.theta[None], fit.window, scale=fit.scale)
    t = fit.shape.statistic(x, fit.scale)
    density = fit.total * np.exp(fit.theta @ t - own.log[0])
    direction = np.concatenate([np.ones((1, len(x))), t - own.mean[0][:, None]])
    variance = np.einsum("ik,ij,jk->k", direction, np.nan_to_num(fit.covariance), direction)
    return density, np.sqrt(np.maximum(variance, 0.0))


def _scans(period: PeriodEstimate) -> Figure:
    figure, axes = _figure(2, bottom=0.25, wspace=0.3)
    choice = period.choice
    labels = (r"$E_\mathrm{thr}$: $E_\mathrm{ECAL}$ [GeV]", r"$E_\mathrm{HCAL}$ threshold [GeV]")
    chosen = (choice.blinded, period.data.box.hcal)
    for ax, scan, label, now in zip(axes, (choice.ecal, choice.hcal), labels, chosen, strict=True):
        _scan(ax, scan, choice, now)
        ax.set_xlabel(label)
    axes[1].set_title(rf"at $E_\mathrm{{ECAL}}$ < {choice.blinded:g} GeV", fontsize=10, loc="left")
    axes[0].axvspan(
        choice.blinded,
        choice.ecal.thresholds[-1],
        facecolor="#EEEEEE",
        hatch="..",
        edgecolor="#CCCCCC",
        zorder=0,
        label="events there were visible",
    )
    axes[0].set_title(f"signal: {choice.signal}", fontsize=10, loc="left")
    for ax in axes:
        ax.legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False
        )
    figure.suptitle(f"{period.selection}, period {period.label}", fontsize=11)
    return figure


def _scan(ax: Axes, scan: Scan, choice: BoxChoice, now: float) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    x = scan.thresholds
    ax.plot(
        x,
        scan.reach / scan.reach.min(),
        color=_BLUE,
        lw=2,
        label=f"expected limit on coupling$^2$ ({choice.method}), over its best",
    )
    ax.plot(x, scan.efficiency, color=_GREEN, lw=1.3, ls="-.", label="share of the signal kept")
    ax.axvline(x[scan.best], color=_BLUE, lw=1.0, ls=":", label=f"best: {x[scan.best]:g} GeV")
    ax.axvline(now, color=_GREY, lw=1.0, label=f"the selection's: {now:g} GeV")
    ax.set_ylim(0, max(2.0, min(1.1 * float((scan.reach / scan.reach.min()).max()), 4.0)))
    ax.set_xlim(x[0], x[-1])
    right = ax.twinx()
    low = np.maximum(scan.background - scan.error, 1e-6)
    right.fill_between(x, low, scan.background + scan.error, color=_ORANGE, alpha=0.15, lw=0)
    right.plot(x, scan.background, color=_ORANGE, lw=1.3, ls="--")
    ax.plot([], [], color=_ORANGE, lw=1.3, ls="--", label="background (right)")
    right.set_yscale("log")
    smallest = max(float(scan.background.min()), 1e-6)
    right.set_ylim(0.2 * smallest, 3 * max(float((scan.background + scan.error).max()), smallest))
    right.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.yaxis.set_minor_formatter(NullFormatter())
    right.set_ylabel("background in the box, events", color=_ORANGE)
    right.tick_params(axis="y", colors=_ORANGE, which="both")
