"""Energies in the calorimeters, where a setup looks behind its ECAL (see `target`).

Muons leave what `target` drew, showers lengthened and spread as in `muons`. Electrons and photons
shower in the first calorimeter that they hit: in the ECAL as everywhere, in one cell of the others.
A hadron ionises up to its interaction; then its shower has the profiles of `hadrons` within the
calorimeter. What leaks from the ECAL spreads with an angle of 0.35 GeV / 0.3 E (a mean transverse
momentum over a share of the energy, `assumed`): the VHCAL sees it about its hole, the HCAL, metres
away, what its face catches, as showers of a fifth of the energy each (`assumed`). What leaks from
VHCAL and HCAL is lost.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from scipy.special import gammainc

from na64reco.simulation.geometry import Line
from na64reco.simulation.hadrons import hcal_response
from na64reco.simulation.interactions import (
    available_energy,
    electromagnetic_share,
    share_fluctuation,
)
from na64reco.simulation.ionisation import mean_one
from na64reco.simulation.lateral import share_out, smear
from na64reco.simulation.muons import lengthen, put_in_cells
from na64reco.simulation.showers import shower_energies
from na64reco.simulation.slabs import Slab, slabs_of
from na64reco.simulation.target import DEPTH, IONISED, MOMENTUM, RADIATED
from na64reco.simulation.tracks import ELECTRON, MASSES, MUON, PHOTON, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.detector import Detector
    from na64reco.simulation.transport import Paths

    Cells = dict[str, NDArray[np.float64]]

__all__ = ["target_energies"]

_RADII: Final = {"ecal": (8.0, 45.0), "vhcal": (25.0, 90.0), "hcal": (25.0, 90.0)}
"""mm, of electromagnetic and hadronic showers, as in `hadrons`."""
_ECAL_RESPONSE: Final = np.array([1.0, 0.8])
_LEAK_ANGLE: Final = 0.35 / 0.3
"""GeV."""
_LEAK_PARTICLES: Final = 5.0
_SOFTEST_LEAK: Final = 0.1
"""GeV; less ends between the calorimeters (assumed)."""
_CHARGED_PER_GEV: Final = 0.15
"""Behind the ECAL, as in `hadrons`."""


def target_energies(
    rng: np.random.Generator, setup: Setup, detector: Detector, tracks: Tracks, paths: Paths
) -> tuple[Cells, NDArray[np.float64], NDArray[np.float64]]:
    """Energies in all cells.

    Returns
    -------
    cells
        ``ecal``, ``vhcal``, ``hcal``: GeV, shape (rows, sections, nx, ny).
    charged
        Mean number of charged particles that leave the ECAL, shape (rows,).
    shower
        Energy of electrons and photons that shower in the ECAL, GeV, shape (rows,).
    """
    slabs, rows = slabs_of(setup), len(tracks)
    parts = {"ecal": setup.ecal, "vhcal": setup.vhcal, "hcal": setup.hcal}
    cells = {n: np.zeros((rows, *p.shape)) for n, p in parts.items() if p is not None}
    charged, shower = np.zeros(rows), np.zeros(rows)
    inside = paths.inside
    light = np.flatnonzero((tracks.kind == ELECTRON) | (tracks.kind == PHOTON))
    charged[light] = (tracks.charge[light] != 0) & (tracks.z_start[light] > setup.ecal.z)
    shower[light] = _light(rng, setup, detector, slabs, tracks, inside, light, cells)
    muons = np.flatnonzero(tracks.kind == MUON)
    _muons(rng, slabs, inside, muons, tracks.ecal_depth[muons], cells)
    # One that ends before its time goes on as another.
    charged[muons] = tracks.z_end[muons] > setup.ecal.z
    hadrons = np.flatnonzero((tracks.kind != MUON) & (tracks.kind != ELECTRON))
    hadrons = hadrons[tracks.kind[hadrons] != PHOTON]
    if len(hadrons):
        charged[hadrons] = _hadrons(rng, setup, slabs, tracks, inside, hadrons, cells)
    return cells, charged, shower


def _at(slab: Slab, inside: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Where rows hit a slab's face, in its frame; NaN where they do not."""
    x, y, tx, ty = inside[:, :4].T
    return slab.frame.local(Line(x, y, tx, ty, slab.frame.z))


def _light(
    rng: np.random.Generator,
    setup: Setup,
    detector: Detector,
    slabs: tuple[Slab, ...],
    tracks: Tracks,
    inside: NDArray[np.float64],
    rows: NDArray[np.int64],
    cells: Cells,
) -> NDArray[np.float64]:
    masses = np.array(MASSES)[tracks.kind]
    shower = np.zeros(len(tracks))
    for number, slab in enumerate(slabs):
        hit = rows[~np.isnan(inside[rows, number, MOMENTUM])]
        if not len(hit):
            continue
        x, y = _at(slab, inside[hit, number])
        energy = np.sqrt(inside[hit, number, MOMENTUM] ** 2 + masses[hit] ** 2) * tracks.share[hit]
        part = slab.part
        if slab.of == "ecal":
            cells["ecal"][hit] = shower_energies(
                rng,
                setup.ecal,
                detector,
                energy,
                x,
                y,
                factor=tracks.response[hit],
                photon=tracks.kind[hit] == PHOTON,
            )
            shower[hit] = energy
            continue
        ix = np.clip(np.floor(x / part.cell_x + part.nx / 2).astype(np.int64), 0, part.nx - 1)
        iy = np.clip(np.floor(y / part.cell_y + part.ny / 2).astype(np.int64), 0, part.ny - 1)
        spread = np.hypot(part.stochastic * np.sqrt(energy), part.constant * energy)
        seen = np.maximum(0.0, energy + spread * rng.standard_normal(len(hit)))
        cells[slab.of][hit, slab.number, ix, iy] += seen
    return np.asarray(shower[rows])


def _muons(
    rng: np.random.Generator,
    slabs: tuple[Slab, ...],
    inside: NDArray[np.float64],
    rows: NDArray[np.int64],
    born: NDArray[np.float64],
    cells: Cells,
) -> None:
    for of, target in cells.items():
        chosen = [i for i, slab in enumerate(slabs) if slab.of == of]
        here = inside[rows][:, chosen]
        hit = ~np.isnan(here[:, :, MOMENTUM])
        share = np.array([slabs[i].share for i in chosen])
        start = np.array([slabs[i].start for i in chosen])
        seen = hit * 1.0
        if of == "ecal":
            seen *= 1 - np.clip((born[:, None] - start) / share, 0, 1)
        depth = seen * slabs[chosen[0]].part.radiation_lengths * share
        behind = np.full(len(chosen), of != "ecal")
        shower = lengthen(rng, here[:, :, RADIATED], depth, behind)
        for column, i in enumerate(chosen):
            part = slabs[i].part
            x, y = _at(slabs[i], here[:, column])
            energy = shower[:, column]
            spread = part.stochastic * np.sqrt(energy) * rng.standard_normal(len(rows))
            into = np.zeros((len(rows), part.nx, part.ny))
            put_in_cells(
                x,
                y,
                here[:, column, IONISED],
                np.maximum(energy + spread, 0.0),
                _RADII[of][0],
                part.cell_x,
                part.cell_y,
                into,
            )
            target[rows, slabs[i].number] += into
        if of == "ecal":
            leaks = here[:, :, RADIATED].sum(axis=1) - shower.sum(axis=1)
            _photons_behind(rng, slabs, here[:, 0], rows, leaks, cells)
        _empty_hole(slabs[chosen[0]], target)


def _photons_behind(
    rng: np.random.Generator,
    slabs: tuple[Slab, ...],
    here: NDArray[np.float64],
    rows: NDArray[np.int64],
    energy: NDArray[np.float64],
    cells: Cells,
) -> None:
    """What leaves the ECAL of muons' showers: straight on into the first calorimeter in its way.

    That is a photon of the last radiation length, or the rest of a shower with little spread.
    """
    left = np.flatnonzero(energy > _SOFTEST_LEAK)
    if not len(left):
        return
    z = next(slab.frame.z for slab in slabs if slab.of == "ecal")
    x, y, tx, ty = here[left, :4].T
    straight = Line(x, y, tx, ty, z)
    free = np.ones(len(left), dtype=np.bool_)
    for slab in slabs:
        if slab.of == "ecal":
            continue
        part = slab.part
        x, y = slab.frame.local(straight)
        ix = np.floor(x / part.cell_x + part.nx / 2).astype(np.int64)
        iy = np.floor(y / part.cell_y + part.ny / 2).astype(np.int64)
        hit = free & (ix >= 0) & (ix < part.nx) & (iy >= 0) & (iy < part.ny)
        for hole_x, hole_y in part.hole:
            hit &= (ix != hole_x) | (iy != hole_y)
        seen = energy[left[hit]]
        spread = np.hypot(part.stochastic * np.sqrt(seen), part.constant * seen)
        seen = np.maximum(0.0, seen + spread * rng.standard_normal(len(seen)))
        cells[slab.of][rows[left[hit]], slab.number, ix[hit], iy[hit]] += seen
        free &= ~hit


def _empty_hole(slab: Slab, cells: NDArray[np.float64]) -> None:
    for ix, iy in slab.part.hole:
        cells[:, :, ix, iy] = 0.0


@numba.njit(cache=True, nogil=True)
def _spread(
    rng: Any,
    energy: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: NDArray[np.float64],
    stochastic: float,
    cell_x: float,
    cell_y: float,
    cells: NDArray[np.float64],
) -> None:
    """Showers of `energy`, shape (rows, components), into cells, shape (rows, nx, ny)."""
    one, radii = np.ones(1), np.empty(1)
    for row in range(len(energy)):
        if np.isnan(x[row]):
            continue
        for c in range(energy.shape[1]):
            if energy[row, c] > 1e-4:
                radii[0] = radius[row, c]
                share_out(energy[row, c], x[row], y[row], radii, one, cell_x, cell_y, cells[row])
        smear(rng, stochastic, cells[row])


def _profile(
    energy: NDArray[np.float64], radiation: NDArray[np.float64], nuclear: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares of both components of a shower up to a depth (X0, lambda), shape (rows, 2)."""
    log = np.log(np.maximum(energy, 2.0))
    alpha = 0.62 + 0.32 * log
    electromagnetic = gammainc(alpha, 0.22 * np.maximum(radiation, 0.0))
    hadronic = gammainc(alpha, (0.91 - 0.02 * log) * np.maximum(nuclear, 0.0))
    return np.stack((electromagnetic, hadronic), axis=-1)


def _hadrons(
    rng: np.random.Generator,
    setup: Setup,
    slabs: tuple[Slab, ...],
    tracks: Tracks,
    inside: NDArray[np.float64],
    rows: NDArray[np.int64],
    cells: Cells,
) -> NDArray[np.float64]:
    kind, charge = tracks.kind[rows], tracks.charge[rows]
    mass = np.array(MASSES)[kind]
    here = inside[rows]
    hit = ~np.isnan(here[:, :, MOMENTUM])
    depth = here[:, :, DEPTH]
    charged = (charge != 0) * 1.0
    mip = np.array([slab.part.mip * slab.share for slab in slabs])
    ionised = np.where(hit, np.clip(depth, 0, 1), 0.0) * mip * charged[:, None]
    ionised *= mean_one(rng, ionised.shape, 0.08)
    for i, slab in enumerate(slabs):
        part = slab.part
        x, y = _at(slab, here[:, i])
        into = np.zeros((len(rows), part.nx, part.ny))
        zero = np.zeros(len(rows))
        put_in_cells(x, y, ionised[:, i], zero, 1.0, part.cell_x, part.cell_y, into)
        cells[slab.of][rows, slab.number] += into
    for i, slab in enumerate(slabs):
        stops = np.flatnonzero(hit[:, i] & (depth[:, i] < 1))
        if not len(stops):
            continue
        total = np.sqrt(here[stops, i, MOMENTUM] ** 2 + mass[stops] ** 2)
        energy = available_energy(total, kind[stops], charge[stops]) - ionised[stops, i]
        energy = np.maximum(energy, 0.0)
        mean = electromagnetic_share(total, kind[stops], slab.part.sampling.absorber)
        share = share_fluctuation(rng, mean)
        two = energy[:, None] * np.column_stack((share, 1 - share))
        leaks = _develop(rng, setup, slabs, i, here[stops], rows[stops], two, cells)
        if slab.of == "ecal":
            charged[stops] = _CHARGED_PER_GEV * leaks
            _leak(rng, slabs, here[stops, i], rows[stops], leaks, cells)
    for of, target in cells.items():
        _empty_hole(next(slab for slab in slabs if slab.of == of), target)
    return np.asarray(charged)


def _develop(
    rng: np.random.Generator,
    setup: Setup,
    slabs: tuple[Slab, ...],
    first: int,
    here: NDArray[np.float64],
    rows: NDArray[np.int64],
    energy: NDArray[np.float64],
    cells: Cells,
) -> NDArray[np.float64]:
    """Showers in the slab in which they begin and those behind it; returns what leaks."""
    of = slabs[first].of
    response = {"ecal": _ECAL_RESPONSE, "hcal": hcal_response(setup)}.get(of, np.ones(2))
    before = np.zeros((len(rows), 2))
    begin = here[:, first, DEPTH]
    radiation = nuclear = np.zeros(len(rows))
    x, y, tx, ty = here[:, first, :4].T
    straight = Line(x, y, tx, ty, slabs[first].frame.z)
    for i in range(first, len(slabs)):
        slab = slabs[i]
        part = slab.part
        if slab.of != of:
            continue
        left = 1 - begin if i == first else 1.0
        radiation = radiation + left * part.radiation_lengths * slab.share
        nuclear = nuclear + left * part.interaction_lengths * slab.share
        up_to = _profile(energy.sum(axis=1), radiation, nuclear)
        x, y = slab.frame.local(straight)
        into = np.zeros((len(rows), part.nx, part.ny))
        seen = energy * (up_to - before) * response
        radii = np.broadcast_to(np.array(_RADII[of]), seen.shape).copy()
        stochastic = part.stochastic * (2 if of == "ecal" else 1)
        _spread(rng, seen, x, y, radii, stochastic, part.cell_x, part.cell_y, into)
        cells[of][rows, slab.number] += into
        before = up_to
    return np.asarray((energy * (1 - before)).sum(axis=1))


def _leak(
    rng: np.random.Generator,
    slabs: tuple[Slab, ...],
    here: NDArray[np.float64],
    rows: NDArray[np.int64],
    energy: NDArray[np.float64],
    cells: Cells,
) -> None:
    """What leaves the ECAL into VHCAL and HCAL."""
    x, y, tx, ty = here[:, :4].T
    z = next(slab.frame.z for slab in slabs if slab.of == "ecal")
    straight = Line(x, y, tx, ty, z)
    angle = _LEAK_ANGLE / np.maximum(energy, 0.5)
    each = energy / _LEAK_PARTICLES
    before = 0.0 * energy
    nuclear = np.zeros(len(rows))
    for slab in slabs:
        if slab.of == "ecal":
            continue
        part = slab.part
        local_x, local_y = slab.frame.local(straight)
        into = np.zeros((len(rows), part.nx, part.ny))
        radius = np.maximum(angle * (slab.frame.z - z), _RADII[slab.of][1])[:, None]
        share = np.ones(len(rows))
        if slab.of == "hcal":
            nuclear = nuclear + part.interaction_lengths
            up_to = _profile(each, nuclear, nuclear)[:, 1]
            share, before = up_to - before, up_to
        seen = (energy * share)[:, None]
        _spread(
            rng, seen, local_x, local_y, radius, part.stochastic, part.cell_x, part.cell_y, into
        )
        cells[slab.of][rows, slab.number] += into
