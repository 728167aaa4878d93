"""Pictures of energy calibrations: one per detector, with the fit and what is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.calibrate.drift import DriftCalibration
    from na64reco.calibrate.ecal import EcalCalibration
    from na64reco.calibrate.gain_drift import Interval
    from na64reco.calibrate.ionising import MipCalibration
    from na64reco.calibrate.srd import SrdCalibration

__all__ = ["draw_drift", "draw_ecal", "draw_ionising", "draw_srd", "new_figure"]

_SETTINGS: Final = {
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "savefig.transparent": False,
}
_DATA: Final = "#0072B2"  # of Okabe and Ito's palette
_FIT: Final = "#D55E00"
_BEFORE: Final = "#999999"
_MOST: Final = 12
"""Channels in one picture: those with most entries."""


def new_figure(width: float, height: float) -> tuple[Figure, Any]:
    """An empty figure that belongs to no window, and its settings."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: Any = _SETTINGS
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
    return figure, mpl.rc_context(settings)


def draw_ecal(found: EcalCalibration) -> dict[str, Figure]:
    """The sum before and after, the residual by cell, and the new scales."""
    figure, settings = new_figure(13, 8)
    with settings:
        axes = figure.subplots(2, 3)
        fit, electrons, ecal = found.fit, found.electrons, found.setup.ecal
        start = electrons.conditions.ecal.scale.ravel()
        with np.errstate(invalid="ignore", divide="ignore"):
            before = electrons.amplitude @ start / electrons.energy
            after = electrons.amplitude @ fit.scale / electrons.energy
        used = fit.weight > 0
        _sums(axes[0, 0], before[used], after[used], fit.resolution)
        _by_cell(axes[0, 1], found, before, after)
        prs = electrons.amplitude[:, : ecal.nx * ecal.ny] @ fit.scale[: ecal.nx * ecal.ny]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = prs / (after * electrons.energy)
        _by_depth(axes[0, 2], share[used], before[used], after[used])
        for ax, (number, name) in zip(axes[1], enumerate(ecal.sections), strict=False):
            _scale_map(ax, found, number, name)
        _errors(axes[1, 2], found)
        figure.suptitle(
            f"{found.setup.name}: ECAL, {int(used.sum())} electrons of "
            f"{found.setup.beam.momentum:g} GeV"
        )
    return {"ecal": figure}


def _sums(ax: Axes, before: Any, after: Any, resolution: float) -> None:
    edges = np.linspace(0.7, 1.3, 121)
    centres = (edges[1:] + edges[:-1]) / 2
    ax.stairs(np.histogram(before, edges)[0], edges, color=_BEFORE, label="before")
    counts = np.histogram(after, edges)[0]
    ax.errorbar(centres, counts, np.sqrt(counts), fmt=".", color=_DATA, ms=3, label="after")
    normal = np.exp(-0.5 * ((centres - 1) / resolution) ** 2)
    normal *= counts.sum() / normal.sum()
    ax.plot(centres, normal, color=_FIT, label=f"normal, {100 * resolution:.2f} %")
    ax.set_xlabel("ECAL energy / energy expected")
    ax.set_ylabel(f"events / {edges[1] - edges[0]:.3f}")
    ax.legend()


def _profile(ax: Axes, x: Any, y: Any, edges: Any, **style: Any) -> None:
    number = np.digitize(x, edges) - 1
    places, means, errors = [], [], []
    for i in range(len(edges) - 1):
        own = y[(number == i) & np.isfinite(y)]
        if len(own) >= 20:
            places.append((edges[i] + edges[i + 1]) / 2)
            means.append(np.median(own))
            errors.append(1.25 * np.std(own) / np.sqrt(len(own)))
    ax.errorbar(places, means, errors, fmt="o", ms=3, **style)


def _by_cell(ax: Axes, found: EcalCalibration, before: Any, after: Any) -> None:
    fit, ecal = found.fit, found.setup.ecal
    columns = ecal.nx * ecal.ny
    used = np.flatnonzero(fit.weight > 0)
    energy = (found.electrons.amplitude[used] * fit.scale).reshape(len(used), -1, columns)
    hit = energy.sum(axis=1).argmax(axis=1)
    shown = np.flatnonzero(np.bincount(hit, minlength=columns) >= 20)
    edges: NDArray[np.float64] = np.arange(len(shown) + 1, dtype=np.float64) - 0.5
    place = np.where(np.isin(hit, shown), np.searchsorted(shown, hit), -1)
    _profile(ax, place, before[used], edges, color=_BEFORE, label="before")
    _profile(ax, place, after[used], edges, color=_DATA, label="after")
    ax.set_xticks(range(len(shown)), [f"{c // ecal.ny},{c % ecal.ny}" for c in shown], rotation=90)
    ax.set_xlim(-0.7, len(shown) - 0.3)
    ax.axhline(1, color="black", lw=0.7)
    ax.set_xlabel("cell that the electron hits (ix,iy)")
    ax.set_ylabel("median of energy / expected")
    ax.legend()


def _by_depth(ax: Axes, share: Any, before: Any, after: Any) -> None:
    edges = np.asarray(np.quantile(share, np.linspace(0, 1, 13)), np.float64)
    _profile(ax, share, before, edges, color=_BEFORE, label="before")
    _profile(ax, share, after, edges, color=_DATA, label="after")
    ax.axhline(1, color="black", lw=0.7)
    ax.set_xlabel("share of the energy in the preshower")
    ax.set_ylabel("median of energy / expected")
    ax.legend()


def _scale_map(ax: Axes, found: EcalCalibration, section: int, name: str) -> None:
    ecal, fit = found.setup.ecal, found.fit
    start = found.electrons.conditions.ecal.scale
    change = np.full(start.shape, np.nan)
    changed = found.changed.reshape(start.shape)
    change[changed] = 100 * (fit.scale.reshape(start.shape)[changed] / start[changed] - 1)
    limit = float(np.nanmax(np.abs(change))) if changed.any() else 1.0
    image = ax.imshow(
        change[section].T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="equal"
    )
    for ix in range(ecal.nx):
        for iy in range(ecal.ny):
            if np.isfinite(change[section, ix, iy]):
                value = change[section, ix, iy]
                dark = abs(value) > 0.6 * limit
                style: dict[str, Any] = {"ha": "center", "va": "center", "size": 7}
                ax.text(ix, iy, f"{value:+.1f}", color="white" if dark else "black", **style)
    ax.set_xticks(range(ecal.nx))
    ax.set_yticks(range(ecal.ny))
    ax.set_xlabel("ix")
    ax.set_ylabel("iy")
    ax.set_title(f"{name}: change of the scale [%]; empty: as before")
    ax.figure.colorbar(image, ax=ax, shrink=0.85)


def _errors(ax: Axes, found: EcalCalibration) -> None:
    fit = found.fit
    known = (fit.scale > 0) & (fit.energy_share > 1e-4)
    relative = 100 * fit.error[known] / fit.scale[known]
    columns = found.setup.ecal.nx * found.setup.ecal.ny
    section = np.flatnonzero(known) // columns
    for number, name in enumerate(found.setup.ecal.sections):
        own = section == number
        ax.loglog(100 * fit.energy_share[known][own], relative[own], "o", ms=4, label=name)
    ax.set_xlabel("mean share of the energy [%]")
    ax.set_ylabel("uncertainty of the scale [%]")
    ax.legend()


def _grid(figure: Figure, number: int) -> list[tuple[Axes, Axes]]:
    """Pairs of axes: a spectrum, and below it what is left of it."""
    columns = min(number, 4)
    rows = -(-number // columns)
    axes = figure.subplots(
        2 * rows, columns, squeeze=False, height_ratios=[3, 1] * rows, sharex=False
    )
    pairs = []
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        pair = (axes[2 * row, column], axes[2 * row + 1, column])
        if i < number:
            pairs.append(pair)
        else:
            pair[0].set_axis_off()
            pair[1].set_axis_off()
    return pairs


def _fitted(pair: tuple[Axes, Axes], fit: Any, title: str, label: str, *, log: bool) -> None:
    above, below = pair
    centres = (fit.edges[1:] + fit.edges[:-1]) / 2
    errors = np.sqrt(np.maximum(fit.counts, 1))
    above.errorbar(centres, fit.counts, errors, fmt=".", ms=3, color=_DATA, label="signals")
    above.plot(centres, fit.expected, color=_FIT, label=label)
    if log:
        above.set_yscale("log")
        above.set_ylim(bottom=0.5)
    else:
        above.set_ylim(0, 1.45 * float(fit.counts.max()))
    above.set_title(title)
    above.set_ylabel("signals / bin")
    above.tick_params(labelbottom=False)
    above.legend(loc="upper right")
    pull = (fit.counts - fit.expected) / np.sqrt(np.maximum(fit.expected, 1))
    below.plot(centres, pull, ".", ms=3, color=_DATA)
    below.axhline(0, color="black", lw=0.7)
    below.set_ylim(-4.5, 4.5)
    below.set_ylabel("pull")
    below.set_xlabel("amplitude [ADC counts]")
    for ax in pair:
        ax.set_xlim(fit.edges[0], fit.edges[-1])


def draw_ionising(found: MipCalibration) -> dict[str, Figure]:
    """The peak of each channel with the fit."""
    busiest = sorted(found.fits, key=lambda key: -found.fits[key].entries)[:_MOST]
    keys = [key for key in found.fits if key in busiest]
    columns = min(len(keys), 4)
    rows = -(-len(keys) // columns)
    figure, settings = new_figure(3.6 * max(columns, 2), 4.2 * rows)
    with settings:
        for pair, key in zip(_grid(figure, len(keys)), keys, strict=True):
            fit = found.fits[key]
            title = " ".join(map(str, key)) + f": peak {fit.most_probable:.1f}, mean {fit.mean:.1f}"
            label = f"Landau * normal\nchi2/ndf {fit.chi2 / fit.ndf:.2f}"
            _fitted(pair, fit, title, label, log=False)
        left = len(found.fits) - len(keys)
        more = f" ({left} more channels not shown)" if left else ""
        name = found.channels.collection
        figure.suptitle(f"{found.setup.name}: {name}, ionising particles{more}")
    return {found.channels.name: figure}


def draw_srd(found: SrdCalibration) -> dict[str, Figure]:
    """The spectrum of each module with the fit."""
    figure, settings = new_figure(4.2 * max(len(found.fits), 2), 4.6)
    with settings:
        for pair, (module, fit) in zip(
            _grid(figure, len(found.fits)), found.fits.items(), strict=True
        ):
            title = f"module {module}: {1e6 / fit.counts_per_gev:.2f} keV per count"
            label = f"synchrotron, {fit.photons:.2f} photons\nchi2/ndf {fit.chi2 / fit.ndf:.2f}"
            _fitted(pair, fit, title, label, log=True)
        figure.suptitle(f"{found.setup.name}: SRD, critical energy {1e3 * found.critical:.1f} MeV")
    return {"srd": figure}


def draw_drift(found: DriftCalibration) -> dict[str, Figure]:
    """The gain within and between spills, and the peak before and after."""
    fit = found.fit
    figure, settings = new_figure(14, 4.2)
    with settings:
        axes = figure.subplots(1, 3)
        _gains(axes[0], fit.times, "time since the beginning of the spill [s]")
        axes[0].set_title("within spills, relative to the run's mean")
        _gains(axes[1], fit.spills, "spill")
        axes[1].xaxis.get_major_locator().set_params(integer=True)
        axes[1].set_title("from spill to spill, relative to all")
        edges = np.linspace(0.75, 1.25, 101)
        middle = float(np.median(found.ratio))
        ax = axes[2]
        widths = (fit.width_before, fit.width_after)
        for values, width, colour, label in (
            (found.ratio / middle, widths[0], _BEFORE, "before"),
            (found.ratio * fit.factor / middle, widths[1], _DATA, "after"),
        ):
            counts = np.histogram(values, edges)[0]
            ax.stairs(counts, edges, color=colour, label=f"{label}, {100 * width:.2f} % wide")
        ax.set_xlabel("ECAL energy / energy expected, over its median")
        ax.set_ylabel("events / 0.005")
        ax.legend()
        figure.suptitle(
            f"{found.setup.name}: drift of the ECAL's gain, {len(found.ratio)} electrons"
        )
    return {"drift": figure}


def _gains(ax: Axes, parts: tuple[Interval, ...], label: str) -> None:
    ax.axhline(1, color="black", lw=0.7)
    ax.set_xlabel(label)
    ax.set_ylabel("gain")
    for run in sorted({part.run for part in parts}):
        own = [part for part in parts if part.run == run]
        spans = [part.times or part.spills or (0, 0) for part in own]
        x = np.array([(a + b) / 2 for a, b in spans])
        half = np.array([(b - a) / 2 for a, b in spans])
        gains, errors = [p.gain for p in own], [p.error for p in own]
        ax.errorbar(x, gains, errors, half, fmt="o", ms=3, label=f"run {run}")
    ax.margins(y=0.15)
    if parts:
        ax.legend(ncols=2, loc="upper left")
    else:
        ax.text(0.5, 0.5, "not known", transform=ax.transAxes, ha="center")
