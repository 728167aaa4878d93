"""Expected background in the signal box of the muon mode (arXiv:2401.01708, table I).

(I) *Momentum mis-reconstruction.* Muons within two standard deviations of the beam's momentum
before the target: the tail of their momentum behind it, fitted and continued to the box. The shape
may be that of calibration triggers (of which there are many more), the number that of data.
(II) *Kaons* that decay before the target or in it: kaons per muon times the share of them that a
simulation of kaons finds in the box, or, without one, the chance to decay.
(III) *Non-hermeticity.* Events below the box's momentum by their energy in all calorimeters, after
the vetoes (region D), continued to less energy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.background import (
    CL,
    Component,
    Sideband,
    component_of,
    from_control,
    measure_sideband,
)
from na64reco.inference.exposure_results import EXPOSURE, load_exposure
from na64reco.inference.muon_selected import MuonFolder, read_muon_folder
from na64reco.inference.shapes import ECAL_SHAPES, HCAL_SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from na64reco.inference.estimate import Control

    Array: TypeAlias = NDArray[np.float64]

__all__ = [
    "KAONS",
    "PUBLISHED",
    "TARGETS",
    "MuonEstimate",
    "MuonOptions",
    "estimate_muons",
    "momentum_tail",
    "non_hermeticity",
    "scaled",
]

TARGETS: Final = (2e10, 1e11)
"""Muons on target for which the papers state their backgrounds."""

PUBLISHED: Final[dict[str, tuple[str, str]]] = {
    "momentum": ("0.05 +- 0.03", "<~ 0.1"),
    "kaon decays": ("0.010 +- 0.001", "1.1"),
    "non-hermeticity": ("< 0.01", "<~ 0.1"),
    "total": ("0.07 +- 0.03", "<~ 1"),
}
"""For `TARGETS`: table I of arXiv:2401.01708, table I of arXiv:2110.15111 times 1e11."""

KAONS: Final = 1e-6 * 0.03
"""Per muon: hadrons behind the absorbers of M2, and kaons per pion (arXiv:2110.15111)."""

NUMBER: Final = 2.0
"""Standard deviations about the beam's momentum [24m]."""
RESOLUTION: Final = 0.038
"""Of the momentum before the target [24m]."""
TAIL: Final = 0.875
"""Of the beam's momentum: the fit of the tail ends there, 140 GeV/c, three standard deviations
of the momentum behind the target below it."""
SPAN: Final = 100.0
"""GeV: E_CAL is fitted from the box's edge over this range, where region D ends for soft muons."""


@dataclass(frozen=True)
class MuonOptions:
    """What the analyst may choose."""

    data: tuple[str, ...] = ()
    """Datasets to be treated as data; default: those that are not simulated."""
    muons: float | None = None
    """On target, of the data; default: exposure.json of the folder."""
    kaon: str | None = None
    """Simulated dataset of kaons; default: no such component."""
    kaons: float = 0.0
    """On target, that it stands for."""
    contamination: float = KAONS
    contamination_error: float = 0.5
    """Relative."""
    controls: Mapping[str, Control] = field(default_factory=dict)
    """In the place of the component of that name, or besides."""
    top: float | None = None
    """GeV/c: end of the fit of the tail."""
    seed: int = 1
    toys: int = 2000


@dataclass(frozen=True, eq=False)
class MuonEstimate:
    """Background of one period."""

    label: str
    selection: str
    box: tuple[float, float]
    """p_out (GeV/c) and E_CAL (GeV) below which the box lies."""
    muons: float | None
    """On target."""
    tail: Sideband
    peak: float
    """Muons in the tail's sample, weights added: those above its fit, too."""
    data_peak: float
    """The same of the data; different where calibration triggers give the shape."""
    leakage: Sideband
    components: tuple[Component, ...]
    observed: int | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def total(self) -> tuple[float, float]:
        """Sum of what is expected, and its error."""
        values = [c.expected for c in self.components]
        errors = [
            c.expected * np.hypot(c.log_statistical, c.log_systematic) for c in self.components
        ]
        return float(sum(values)), float(np.hypot.reduce(errors))


def momentum_tail(
    p_in: Array,
    p_out: Array,
    weight: Array,
    *,
    beam: float,
    box: float,
    rng: np.random.Generator,
    top: float | None = None,
    toys: int = 2000,
) -> tuple[Sideband, float]:
    """Continue the tail of the momentum behind the target into the box.

    Parameters
    ----------
    p_in, p_out, weight
        Of events with nothing but minimum-ionising energies, GeV/c, shape (events,).
    beam, box
        The beam's momentum and the largest one in the box, GeV/c.
    top
        Upper end of the fit, GeV/c; default: `TAIL` of the beam's.

    Returns
    -------
    tuple
        The fit, and the sum of weights of all muons within `NUMBER` standard deviations before the
        target that are above the box behind it.

    Raises
    ------
    InferenceError
        If the range of the fit is empty.
    """
    nominal = np.abs(p_in - beam) <= NUMBER * RESOLUTION * beam
    chosen = nominal & (p_out >= box)
    found = measure_sideband(
        p_out[chosen],
        weight[chosen],
        (box, TAIL * beam if top is None else top),
        (0.0, box),
        variable="p_out",
        scale=beam,
        rng=rng,
        shapes=ECAL_SHAPES,
        toys=toys,
    )
    return found, float(weight[chosen].sum())


def non_hermeticity(
    counts: Array, edges: Array, *, box: float, rng: np.random.Generator, toys: int = 2000
) -> Sideband:
    """Continue E_CAL of events with a soft muon, after the vetoes, into the box.

    Parameters
    ----------
    counts, edges
        Of the histogram in GeV, shapes (bins,) and (bins + 1,); an edge is at the box's.
    """
    centres = np.repeat(0.5 * (edges[1:] + edges[:-1]), np.rint(counts).astype(np.int64))
    return measure_sideband(
        centres,
        np.ones(len(centres)),
        (box, box + SPAN),
        (0.0, box),
        variable="e_cal",
        scale=float(edges[-1]),
        rng=rng,
        shapes=HCAL_SHAPES,
        toys=toys,
    )


def scaled(found: Component, factor: float, error: float = 0.0) -> Component:
    """A component times a factor with a relative error, which counts as systematic."""
    if found.value is None or found.statistical is None or found.systematic is None:
        return replace(found, upper=found.upper * factor * (1 + error))
    value = found.value * factor
    systematic = float(np.hypot(found.systematic * factor, error * value))
    upper = found.upper * factor * (1 + 1.2816 * error)
    return replace(
        found,
        value=value,
        statistical=found.statistical * factor,
        systematic=systematic,
        upper=upper,
    )


def estimate_muons(folders: Sequence[Path], options: MuonOptions) -> tuple[MuonEstimate, ...]:
    """Background of every output folder of physics triggers.

    Folders whose selection takes calibration triggers give the shape of the tail for all others of
    the same setup.

    Raises
    ------
    InferenceError
        If a folder cannot be used or there is none of physics triggers.
    """
    read = [read_muon_folder(Path(path), data=options.data) for path in folders]
    known = sorted({n for f in read for n in (*f.used, *f.simulated)})
    for name in options.data:
        if name not in known:
            msg = f"There is no dataset {name!r} in any folder. {did_you_mean(name, known)}"
            raise InferenceError(msg)
    shapes = {f.setup: f for f in read if f.calibration}
    physics = [f for f in read if not f.calibration]
    if not physics:
        msg = (
            f"All of {', '.join(str(f.path) for f in read)} are of calibration triggers; give the "
            "output of a selection of physics triggers, muon-invisible-2022 for instance."
        )
        raise InferenceError(msg)
    return tuple(_estimate(folder, shapes, options) for folder in physics)


def _estimate(
    folder: MuonFolder, shapes: Mapping[str, MuonFolder], options: MuonOptions
) -> MuonEstimate:
    rng = np.random.default_rng(options.seed)
    p_box, e_box = folder.box
    source = shapes.get(folder.setup, folder)
    keys: dict[str, Any] = {"beam": folder.beam, "box": p_box, "rng": rng, "top": options.top}
    events = source.data.below(e_box)
    tail, peak = momentum_tail(events.p_in, events.p_out, events.weight, **keys, toys=options.toys)
    own = folder.data.below(e_box)
    nominal = np.abs(own.p_in - folder.beam) <= NUMBER * RESOLUTION * folder.beam
    data_peak = float(own.weight[nominal & (own.p_out >= p_box)].sum())
    found = component_of("momentum", tail)
    if source is not folder:
        found = _rescaled(found, data_peak, peak)
    leakage = non_hermeticity(
        folder.soft_counts, folder.soft_edges, box=e_box, rng=rng, toys=options.toys
    )
    muons = _exposure(folder) if options.muons is None else options.muons
    components = [found]
    if options.kaon is not None:
        components.append(_kaons(folder, replace(options, muons=muons)))
    components.append(component_of("non-hermeticity", leakage))
    by_name = {c.name: c for c in components}
    for name, control in options.controls.items():
        by_name[name] = from_control(name, control.count, control.transfer, control.error)
    return MuonEstimate(
        folder.period,
        folder.selection,
        folder.box,
        muons,
        tail,
        peak,
        data_peak,
        leakage,
        tuple(by_name.values()),
        folder.observed,
    )


def _exposure(folder: MuonFolder) -> float | None:
    """Muons on target by exposure.json, if the folder has one of its data."""
    if not (folder.path / EXPOSURE).is_file():
        return None
    file = load_exposure(folder.path)
    try:
        found = [file.electrons(dataset=n, period=folder.period).value for n in folder.used]
    except InferenceError:
        return None
    return sum(found)


def _rescaled(found: Component, number: float, of: float) -> Component:
    """From the sample that gives the shape to the number of the data's muons."""
    factor = max(number, 1.0) / of
    if number == 0:
        upper = found.upper * factor * -np.log1p(-CL)
        source = f"{found.source}; no muon of full momentum in the data"
        return Component(found.name, None, None, None, upper, source, found.correlated)
    result = scaled(found, factor, float(1 / np.sqrt(number)))
    return replace(result, source=f"{found.source}, for {number:g} muons of {of:g}")


def _kaons(folder: MuonFolder, options: MuonOptions) -> Component:
    assert options.kaon is not None
    if options.kaon not in folder.simulated:
        msg = (
            f"There is no simulated dataset {options.kaon!r} in {folder.path}. "
            f"{did_you_mean(options.kaon, folder.simulated)}"
        )
        raise InferenceError(msg)
    if options.muons is None or not options.kaons > 0:
        msg = (
            "Background from kaons needs the muons on target of the data (--eot, or run "
            "`na64reco exposure` first) and the kaons that the simulation stands for "
            "(--component NAME=KAONS)."
        )
        raise InferenceError(msg)
    inside = folder.simulated[options.kaon].inside(folder.box)
    transfer = options.muons * options.contamination / options.kaons
    found = from_control("kaon decays", inside, transfer, transfer * options.contamination_error)
    share = inside / options.kaons
    source = f"{inside} of {options.kaons:.2g} kaons in the box ({share:.2g}), "
    return replace(found, source=f"{source}{options.contamination:.2g} kaons per muon")
