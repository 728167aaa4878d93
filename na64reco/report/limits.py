"""Figures of limits on couplings: (m, g), (m, epsilon), (m_chi, y), one function each.

They draw what they are handed; lines of others come from a user's CSV file (`read_overlay`) or from
formulas (the muon's magnetic moment, relic density).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.darksector.g_minus_2 import Measured, coupling_band
from na64reco.darksector.models import DarkPhoton
from na64reco.darksector.relic import paper_coupling, thermal_coupling, yield_variable
from na64reco.errors import FileFormatError, InferenceError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from na64reco.darksector.models import VectorModel
    from na64reco.inference.limits import CouplingLimits

__all__ = [
    "EXPERIMENT",
    "THEORY",
    "Overlay",
    "bare_plane",
    "coupling_plane",
    "draw_limits",
    "mixing_plane",
    "read_overlay",
    "relic_plane",
    "usual_plane",
]

EXPERIMENT = Measured(116592059e-11, 22e-11)
"""a_mu of 2023, as in arXiv:2401.01708 and arXiv:2404.06982."""
THEORY = Measured(116591810e-11, 43e-11)
"""The Muon g-2 Theory Initiative's of 2020, as there."""
COSMOLOGY = (3.0, 10.0)
"""MeV: lighter bosons add to the radiation of the early universe; arXiv:2401.01708."""

# Okabe and Ito's palette, told apart by every kind of colour vision; dashes differ as well.
_COLOURS = ("#D55E00", "#0072B2", "#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ((0, (6, 2)), (0, (3, 1.5)), (0, (6, 1.5, 1, 1.5)))
_SETTINGS = {
    "font.size": 11,
    "axes.labelsize": 13,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 8.5,
    "xtick.major.size": 7,
    "xtick.minor.size": 3,
    "ytick.major.size": 7,
    "ytick.minor.size": 3,
    "axes.linewidth": 1,
    "savefig.transparent": False,
}
_MASS = "$m$ [MeV]"
_THERMAL_PER_DECADE = 9
_HEAVIEST_RELIC = 2.0


@dataclass(frozen=True, eq=False)
class Overlay:
    """A line of somebody else's."""

    title: str
    mass: NDArray[np.float64]
    """GeV, shape (points,)."""
    coupling: NDArray[np.float64]
    points: bool = False
    """Whether to draw points instead of a line."""


def read_overlay(path: Path | str) -> Overlay:
    """A curve from a CSV file: mass in MeV and coupling; the file's name is its title.

    Lines that begin with # are comments, a line of names may come first; more columns are ignored.

    Raises
    ------
    FileFormatError
        If the file cannot be read or a line has no two positive numbers.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise FileFormatError(msg) from error
    rows = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    points: list[tuple[float, float]] = []
    for row, (number, line) in enumerate(rows):
        fields = next(csv.reader([line]))
        try:
            mass, coupling = float(fields[0]), float(fields[1])
        except (ValueError, IndexError):
            if row == 0 and len(fields) > 1:  # names of columns
                continue
            mass = coupling = float("nan")
        if not (0 < mass < float("inf") and 0 < coupling < float("inf")):
            msg = f"{path}, line {number}: expected mass in MeV and coupling, found {line!r}"
            raise FileFormatError(msg)
        points.append((mass, coupling))
    if not points:
        msg = f"{path}: no points; expected lines of mass in MeV and coupling"
        raise FileFormatError(msg)
    mass_mev, couplings = np.transpose(sorted(points))
    return Overlay(path.stem, mass_mev * 1e-3, couplings)


def coupling_plane(
    model: VectorModel,
    curves: Mapping[str, CouplingLimits],
    *,
    overlays: Sequence[Overlay] = (),
    moment: bool = True,
    cosmology: bool = False,
    relic: bool = False,
    dashed: Collection[str] = (),
    title: str = "",
) -> Figure:
    """Mass of the boson against coupling.

    Parameters
    ----------
    curves
        Limits by name. Projections are dashed; of a single one the expected bands are shown.
    overlays
        Lines of others.
    moment
        Draw the band that explains the muon's magnetic moment within 2 sigma; for models that
        couple to muons.
    cosmology
        Mark masses below which the early universe has too much radiation.
    relic
        Draw the coupling with which a dark sector's chi makes all of the dark matter: from
        freeze-out, and as eq. 5 of arXiv:2206.03101.
    dashed
        Names of curves to be dashed as projections are.

    Raises
    ------
    InferenceError
        Without any curve.
    """
    with _style():
        figure, axes = _canvas(curves)
        mass = _masses(curves, overlays)
        if moment:
            charge = np.abs(model.vertex("muon", 0.0, 1.0, mass))
            low, high = (edge / charge for edge in coupling_band(mass, EXPERIMENT, THEORY))
            name = r"$(g-2)_\mu \pm 2\sigma$"
            axes.fill_between(1e3 * mass, low, high, color="#009E73", alpha=0.35, lw=0, label=name)
        if cosmology:
            name = r"$\Delta N_\mathrm{eff}$: $m >$ 3 to 10 MeV"
            axes.axvspan(*COSMOLOGY, color="#56B4E9", alpha=0.3, lw=0, label=name)
        if relic:
            _draw_relic(axes, model, mass)
        _draw_curves(axes, curves, overlays, dashed)
        _finish(axes, curves, _MASS, _symbol(model.strength), title)
    return figure


def mixing_plane(
    model: VectorModel,
    curves: Mapping[str, CouplingLimits],
    *,
    overlays: Sequence[Overlay] = (),
    title: str = "",
) -> Figure:
    """Mass of a dark photon against its mixing with the photon; parameters as `coupling_plane`."""
    return coupling_plane(model, curves, overlays=overlays, moment=False, title=title)


def relic_plane(
    model: VectorModel,
    curves: Mapping[str, CouplingLimits],
    *,
    overlays: Sequence[Overlay] = (),
    kinds: Sequence[Any] = ("scalar", "majorana", "pseudo-dirac"),
    title: str = "",
) -> Figure:
    """Mass of chi against y, with the thermal targets of these kinds of chi.

    Parameters
    ----------
    model
        With a dark sector, whose alpha_D and mass ratio hold for all curves.
    curves, overlays
        As `coupling_plane`; couplings there, y in the figure.

    Raises
    ------
    ModelError
        Without a dark sector.
    """
    factor = r"\epsilon^2 \alpha_D" if isinstance(model, DarkPhoton) else r"(g_\chi g)^2"
    yield_variable(model, 1.0)  # complains where there is no dark sector
    assert model.dark is not None
    dark = model.dark
    turned = {
        name: replace(
            found,
            mass=dark.mass_ratio * found.mass,
            coupling=yield_variable(model, found.coupling),
            bands=yield_variable(model, found.bands),
            upper=yield_variable(model, found.upper),
        )
        for name, found in curves.items()
    }
    others = [
        replace(o, mass=dark.mass_ratio * o.mass, coupling=yield_variable(model, o.coupling))
        for o in overlays
    ]
    with _style():
        figure, axes = _canvas(curves)
        mass = _masses(curves, overlays)
        for kind, dashes in zip(kinds, ("-", *_DASHES), strict=False):
            one = replace(model, dark=replace(dark, kind=kind))
            at, coupling = _thermal(one, mass)
            y = yield_variable(one, coupling)
            name = f"thermal target, {kind}"
            axes.plot(1e3 * dark.mass_ratio * at, y, color="0.25", ls=dashes, lw=1.4, label=name)
        _draw_curves(axes, turned, others, ())
        _finish(axes, turned, r"$m_\chi$ [MeV]", rf"$y = {factor}\,(m_\chi/m)^4$", title)
    return figure


def usual_plane(
    model: VectorModel,
    curves: Mapping[str, CouplingLimits],
    *,
    overlays: Sequence[Overlay] = (),
    title: str = "",
) -> Figure:
    """The plane that a model is usually shown in; parameters as `coupling_plane`."""
    if isinstance(model, DarkPhoton):
        return mixing_plane(model, curves, overlays=overlays, title=title)
    couples = bool(np.abs(model.vertex("muon", 0.0, 1.0, 0.01)) > 0)
    return coupling_plane(
        model, curves, overlays=overlays, moment=couples, title=title or model.name
    )


def bare_plane(
    strength: str,
    curves: Mapping[str, CouplingLimits],
    *,
    overlays: Sequence[Overlay] = (),
    title: str = "",
) -> Figure:
    """Mass against coupling of a model of which nothing is known but what its strength is."""
    with _style():
        figure, axes = _canvas(curves)
        _draw_curves(axes, curves, overlays, ())
        _finish(axes, curves, _MASS, _symbol(strength), title)
    return figure


def draw_limits(
    path: Path | str,
    model: VectorModel,
    curves: Mapping[str, CouplingLimits],
    *,
    overlays: Sequence[Overlay] = (),
    title: str = "",
) -> None:
    """Write the plane that a model is usually shown in, as the file's ending says."""
    usual_plane(model, curves, overlays=overlays, title=title).savefig(path, dpi=130)


def _symbol(strength: str) -> str:
    return r"$\epsilon$" if strength == "epsilon" else "$g$"


def _style() -> AbstractContextManager[None]:
    import matplotlib as mpl
    import mplhep

    # mplhep's fonts are not installed everywhere; matplotlib's own are.
    style = {k: v for k, v in mplhep.style.ROOT.items() if not k.startswith(("font", "mathtext"))}
    settings: Any = {**style, **_SETTINGS}
    return mpl.rc_context(settings)


def _canvas(curves: Mapping[str, CouplingLimits]) -> tuple[Figure, Axes]:
    if not curves:
        msg = "There is no limit to draw; give at least one curve."
        raise InferenceError(msg)
    if not any(np.isfinite(c.coupling).any() for c in curves.values()):
        msg = f"There is nothing to draw: {', '.join(curves)} excludes no coupling below 1."
        raise InferenceError(msg)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 5.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log")
    return figure, axes


def _masses(
    curves: Mapping[str, CouplingLimits], overlays: Sequence[Overlay]
) -> NDArray[np.float64]:
    every = np.concatenate([c.mass for c in curves.values()] + [o.mass for o in overlays])
    return np.geomspace(every.min(), max(every.max(), 1.01 * every.min()), 200)


def _thermal(
    model: VectorModel, mass: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Masses at which the relic density is calculated, and its couplings."""
    first, last = max(mass[0], 2e-3), min(mass[-1], _HEAVIEST_RELIC)
    last = max(last, 1.01 * first)
    at = np.geomspace(first, last, 2 + int(_THERMAL_PER_DECADE * np.log10(last / first)))
    return at, np.array([thermal_coupling(model, float(m)) for m in at])


def _draw_relic(axes: Axes, model: VectorModel, mass: NDArray[np.float64]) -> None:
    at, coupling = _thermal(model, mass)
    kind = model.dark.kind if model.dark is not None else ""
    axes.plot(1e3 * at, coupling, color="0.25", lw=1.4, label=f"thermal target, {kind}: freeze-out")
    low, high = (paper_coupling(model, mass, factor=f) for f in (1.0, 10.0))
    name = "thermal target of arXiv:2206.03101, f = 1 to 10"
    axes.fill_between(1e3 * mass, low, high, color="0.6", alpha=0.35, lw=0, label=name)


def _draw_curves(
    axes: Axes,
    curves: Mapping[str, CouplingLimits],
    overlays: Sequence[Overlay],
    dashed: Collection[str],
) -> None:
    if len(curves) == 1:
        (found,) = curves.values()
        for low, high, shade, name in (
            (0, 4, "#F0E442", r"expected $\pm 2\sigma$"),
            (1, 3, "#56B4E9", r"expected $\pm 1\sigma$"),
        ):
            lower, upper = found.bands[low], found.bands[high]
            fine = np.isfinite(lower) & np.isfinite(upper)
            axes.fill_between(
                1e3 * found.mass[fine], lower[fine], upper[fine], color=shade, lw=0, label=name
            )
    number = 0
    for number, (name, found) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dashes = _DASHES[number % len(_DASHES)] if found.projection or name in dashed else "-"
        fine = np.isfinite(found.coupling)
        width = 2.2 if dashes == "-" else 1.8
        axes.plot(
            1e3 * found.mass[fine], found.coupling[fine],
            color=colour, ls=dashes, lw=width, label=name,
            marker="o" if fine.sum() == 1 else None,
        )  # fmt: skip
        turned = np.isfinite(found.upper)
        if turned.any():
            axes.plot(1e3 * found.mass[turned], found.upper[turned], color=colour, lw=1, ls=":")
    for other in overlays:
        number += 1
        style: dict[str, Any] = {"ls": (0, (1, 1)), "lw": 2.0}
        if other.points:
            style = {"ls": "none", "marker": "o", "ms": 5, "mfc": "white"}
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(1e3 * other.mass, other.coupling, color=colour, label=other.title, **style)


def _finish(axes: Axes, curves: Mapping[str, CouplingLimits], x: str, y: str, title: str) -> None:
    low, high = axes.dataLim.intervalx
    one = high < 1.001 * low
    axes.set_xlim(low / 2 if one else low, high * 2 if one else high)
    # Thermal targets reach far below.
    found = np.concatenate([c.coupling for c in curves.values()])
    bottom, top = axes.dataLim.intervaly
    bottom = max(bottom, float(found.min(initial=1.0)) / 200)
    axes.set_ylim(0.7 * bottom, 1.5 * top)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title, fontsize=11, loc="left")
    assert axes.figure is not None
    axes.figure.legend(loc="outside upper center", ncols=2, frameon=False, handlelength=2.8)
