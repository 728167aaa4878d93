"""What every particle leaves in every calorimeter and counter, before the electronics.

Plastic counters and VETO: each charged particle gives the setup's most probable energy with
Landau-like fluctuations. A VETO bar's light is attenuated on the way to either end; behind an
electromagnetic shower the VETO sees its tail of soft particles (an exponential of 0.4 MeV on
average at 100 GeV, assumed). Electrons and photons that miss the ECAL shower in the HCAL module
that they hit. Left out: light in the counters from particles that the ECAL throws back, Cherenkov
light in light guides.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.simulation.geometry import Line, section_frame
from na64reco.simulation.hadrons import hadron_energies
from na64reco.simulation.ionisation import most_probable_one
from na64reco.simulation.muons import muon_energies
from na64reco.simulation.showers import shower_energies
from na64reco.simulation.target_energies import target_energies
from na64reco.simulation.tracks import ELECTRON, MASSES, MUON, PHOTON, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Detector
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["COUNTERS", "Calorimetry", "calorimeter_energies", "counter_energies"]

COUNTERS = 16
"""Possible values of `Counter_id`."""

_COUNTER_WIDTH = 0.10
"""Of the Landau-like fluctuations in a thin counter, relative to the most probable energy."""

_VETO_TAIL = 0.4e-3
"""Mean energy of a 100 GeV shower's tail at each VETO photomultiplier, GeV."""


@dataclass(frozen=True, eq=False)
class Calorimetry:
    """Energies by particle, GeV; the first axis is the row."""

    ecal: NDArray[np.float64]
    """(rows, sections, nx, ny)."""
    hcal: NDArray[np.float64]
    """(rows, modules, nx, ny)."""
    veto: NDArray[np.float64]
    """(rows, photomultipliers)."""
    vhcal: NDArray[np.float64]
    """(rows, sections, nx, ny); no sections without a VHCAL."""

    def put(self, rows: NDArray[Any], other: Calorimetry) -> None:
        """Overwrite some rows."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(other, f.name)

    def take(self, rows: NDArray[Any]) -> Calorimetry:
        """Rows by mask or index."""
        return Calorimetry(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @staticmethod
    def empty(setup: Setup, rows: int) -> Calorimetry:
        """Nothing deposited."""
        return Calorimetry(
            np.zeros((rows, *setup.ecal.shape)),
            np.zeros((rows, *setup.hcal.shape)),
            np.zeros((rows, 2 * setup.veto.bars if setup.veto else 0)),
            np.zeros((rows, *(setup.vhcal.shape if setup.vhcal else (0, 0, 0)))),
        )


def counter_energies(
    rng: np.random.Generator, setup: Setup, line: Beamline, tracks: Tracks, paths: Paths
) -> NDArray[np.float64]:
    """Energies in the counters, GeV, shape (rows, 16), by `Counter_id`."""
    energies = np.zeros((len(tracks), COUNTERS))
    charged = tracks.charge != 0
    for name, counter in setup.counters.items():
        surface = line.surface(name)
        dx, dy = paths.x[:, surface] - counter.x, paths.y[:, surface] - counter.y
        hit = charged & (np.abs(dx) < counter.width / 2) & (np.abs(dy) < counter.height / 2)
        if counter.hole:
            hit &= np.hypot(dx, dy) > counter.hole / 2
        if counter.efficiency < 1:
            hit &= rng.random(len(hit)) < counter.efficiency
        count = int(hit.sum())
        energies[hit, counter.id] = counter.mip * most_probable_one(rng, (count,), _COUNTER_WIDTH)
    return energies


def calorimeter_energies(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
) -> Calorimetry:
    """Energies in ECAL, VHCAL, HCAL and VETO of all rows."""
    rows = len(tracks)
    if paths.inside.shape[1]:
        return _behind_target(rng, setup, detector, line, tracks, paths)
    result = Calorimetry.empty(setup, rows)
    face = line.surface("ecal")
    at_ecal = Line(
        paths.x[:, face], paths.y[:, face], paths.tx[:, face], paths.ty[:, face], setup.ecal.z
    )
    # Secondaries born inside the ECAL start behind its face; they keep their line.
    inside = np.isnan(at_ecal.x) & (tracks.ecal_depth > 0)
    at_ecal.x[inside], at_ecal.y[inside] = tracks.x[inside], tracks.y[inside]
    at_ecal.tx[inside], at_ecal.ty[inside] = tracks.tx[inside], tracks.ty[inside]
    here = ~np.isnan(at_ecal.x)
    light = (tracks.kind == ELECTRON) | (tracks.kind == PHOTON)
    masses = np.array(MASSES)[tracks.kind]
    energy = np.sqrt(paths.momentum**2 + masses**2)
    charged_behind = np.zeros(rows)

    def part(chosen: NDArray[np.int64]) -> Line:
        return Line(
            at_ecal.x[chosen],
            at_ecal.y[chosen],
            at_ecal.tx[chosen],
            at_ecal.ty[chosen],
            setup.ecal.z,
        )

    frame = section_frame(setup.ecal)
    rows_em = np.flatnonzero(light & here)
    hits = frame.inside(part(rows_em))
    showering = rows_em[hits]
    if len(showering):
        x, y = frame.local(part(showering))
        visible = energy[showering] * tracks.share[showering]
        result.ecal[showering] = shower_energies(
            rng,
            setup.ecal,
            detector,
            visible,
            x,
            y,
            factor=tracks.response[showering],
            photon=tracks.kind[showering] == PHOTON,
        )
    beside = rows_em[~hits]
    _into_hcal(rng, setup, part(beside), energy[beside], beside, result.hcal)

    muons = np.flatnonzero((tracks.kind == MUON) & here)
    if len(muons):
        result.ecal[muons], result.hcal[muons] = muon_energies(
            rng, setup, part(muons), energy[muons], tracks.ecal_depth[muons]
        )
        charged_behind[muons] = 1

    hadrons = np.flatnonzero(~light & (tracks.kind != MUON) & here)
    if len(hadrons):
        left = hadron_energies(
            rng,
            setup,
            part(hadrons),
            energy[hadrons],
            tracks.kind[hadrons],
            tracks.charge[hadrons],
            tracks.ecal_depth[hadrons],
        )
        result.ecal[hadrons], result.hcal[hadrons] = left.ecal, left.hcal
        charged_behind[hadrons] = left.charged_behind_ecal

    tail = np.zeros(rows)
    shower = energy[showering] * tracks.share[showering] / 100
    tail[showering] = rng.exponential(_VETO_TAIL * np.maximum(shower, 1e-9))
    _veto(rng, setup, detector, at_ecal, charged_behind, tail, result.veto)
    return result


def _behind_target(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
) -> Calorimetry:
    """The same where the setup looks behind its ECAL."""
    cells, charged, shower = target_energies(rng, setup, detector, tracks, paths)
    result = Calorimetry.empty(setup, len(tracks))
    for name, energies in cells.items():
        getattr(result, name)[:] = energies
    tail = rng.exponential(_VETO_TAIL * np.maximum(shower / 100, 1e-9))
    if setup.veto:
        surface, face = line.surface("veto"), line.surface("ecal")
        there = ~np.isnan(paths.x[:, surface])
        at = np.where(there, surface, face)[:, None]
        x, y, tx, ty = (
            np.take_along_axis(values, at, axis=1)[:, 0]
            for values in (paths.x, paths.y, paths.tx, paths.ty)
        )
        at_veto = Line(x, y, tx, ty, np.where(there, setup.veto.z, setup.ecal.z))
        _veto(rng, setup, detector, at_veto, charged, tail * (shower > 0), result.veto)
    return result


def _into_hcal(
    rng: np.random.Generator,
    setup: Setup,
    line: Line,
    energy: NDArray[np.float64],
    rows: NDArray[np.int64],
    hcal: NDArray[np.float64],
) -> None:
    """Electrons and photons beside the ECAL: all their energy goes into one HCAL cell."""
    part = setup.hcal
    free = np.ones(len(rows), dtype=np.bool_)
    for number, name in enumerate(part.sections):
        frame = section_frame(part, name)
        hit = free & frame.inside(line)
        x, y = frame.local(line)
        ix = np.floor(x[hit] / part.cell_x + part.nx / 2).astype(np.int64)
        iy = np.floor(y[hit] / part.cell_y + part.ny / 2).astype(np.int64)
        spread = np.hypot(part.stochastic * np.sqrt(energy[hit]), part.constant * energy[hit])
        seen = np.maximum(0.0, energy[hit] + spread * rng.standard_normal(len(spread)))
        hcal[rows[hit], number, ix, iy] += seen
        free &= ~hit


def _veto(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    line: Line,
    charged: NDArray[np.float64],
    tail: NDArray[np.float64],
    energies: NDArray[np.float64],
) -> None:
    veto = setup.veto
    if veto is None:
        return
    path = veto.z - line.z
    x, y = line.x + path * line.tx - veto.x, line.y + path * line.ty - veto.y
    bar = np.floor(y / veto.bar_height + veto.bars / 2)
    hit = (np.abs(x) < veto.bar_length / 2) & (bar >= 0) & (bar < veto.bars)
    hit &= (charged > 0) | (tail > 0)
    rows = np.flatnonzero(hit)
    if not len(rows):
        return
    bars = bar[rows].astype(np.int64)
    # Whole numbers are counts, the rest a mean.
    whole = np.floor(charged[rows])
    count = whole + rng.poisson(charged[rows] - whole)
    # n particles: the fluctuation of their mean is about that of one over sqrt(n).
    most = most_probable_one(rng, (len(rows),), 0.08)
    light = veto.mip * count * (1 + (most - 1) / np.sqrt(np.maximum(count, 1))) + tail[rows]
    length = detector.veto_attenuation[bars]
    for end, sign in ((0, 1), (1, -1)):
        # Photoelectron statistics of about 150 per minimum-ionising particle.
        at_end = light * np.exp(-sign * x[rows] / length)
        spread = np.sqrt(at_end * veto.mip / 150)
        energies[rows, 2 * bars + end] = np.maximum(
            0.0, at_end + spread * rng.standard_normal(len(rows))
        )
