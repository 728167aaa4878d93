"""Particles through the target and behind it, where a setup looks behind its ECAL.

Calorimeters are slabs, one for each ECAL section, the VHCAL, each HCAL module. In a slab that it
hits

- a muon ionises and scatters (Highland's formula, PDG 2024 eq. 34.16, with the correlated
  displacement, eq. 34.22), and loses energy in portions of more than 30 MeV - knock-on electrons,
  bremsstrahlung, pairs, nuclear interactions - as in `muons`, each of them with its recoil:
  knock-on by its kinematics; bremsstrahlung r v m / (1 - v) E with r from r dr / (1 + r^2)^2 (Y.-S.
  Tsai, Rev. Mod. Phys. 46 (1974) 815); nuclear with Q^2 from dQ^2 / Q^2 (1 - Q^2_min / Q^2) / (1 +
  Q^2 / 0.4 GeV^2)^2 up to 2 M nu (V. V. Borog, A. A. Petrukhin, ICRC 14 (1975) 1949); pairs none;
- a hadron scatters, too, and goes on until its interaction point, from an exponential distribution;
- electrons and photons end.

The hardest nuclear interaction of a muon in the ECAL makes hadrons as those of `nuclear` (one above
1 GeV; softer ones and those elsewhere are part of the shower). Between slabs all is as in
`transport`. From all layers behind the ECAL's face, and from the ends of
ECAL and HCAL, come delta electrons (`delta`). Left out: tails of multiple scattering, other
secondaries that leave the slab in which they were made (their energy may: `target_energies`).
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from na64reco.cascade.muon_transport import sample_transfer
from na64reco.constants import BEND_PER_TESLA_MM, ELECTRON_MASS, MUON_MASS, PROTON_MASS
from na64reco.simulation.delta import delta_electrons, delta_surfaces
from na64reco.simulation.interactions import interacting_less
from na64reco.simulation.ionisation import mean_one
from na64reco.simulation.slabs import (
    DEPTH,
    IONISED,
    MOMENTUM,
    NUCLEAR,
    PORTION,
    RADIATED,
    muon_tables,
    slab_table,
    slabs_of,
)
from na64reco.simulation.target_hadrons import hadrons_of_muons
from na64reco.simulation.tracks import ELECTRON, MASSES, MUON, PHOTON, Tracks
from na64reco.simulation.transport import Paths, bend, highland, propagate

if TYPE_CHECKING:
    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Beamline

__all__ = ["DEPTH", "IONISED", "MOMENTUM", "RADIATED", "behind_target", "follow_behind"]


_SMALL: Final = {"ecal": 1.0, "vhcal": 0.97, "hcal": 0.97}
"""Mean of what is lost in small portions over the setup's most probable energy, as in `muons`."""
_WIDTH: Final = 0.05
_FORM: Final = 0.4
"""GeV^2."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _recoil(rng, process, nu, energy):  # type: ignore[no-untyped-def]
    """Angle by which a muon of the total ``energy`` is deflected when it loses ``nu``."""
    left = energy - nu
    p_out = np.sqrt(max(left * left - MUON_MASS**2, 1e-12))
    if process == 0:  # bremsstrahlung
        u = rng.random()
        r = np.sqrt(u / (1.0 - u))
        return min(r * nu / energy * MUON_MASS / p_out, 1.0)
    if process == 2:  # knock-on
        p_in = np.sqrt(energy * energy - MUON_MASS**2)
        of_electron = np.sqrt(nu * (nu + 2.0 * ELECTRON_MASS))
        along = nu * (energy + ELECTRON_MASS) / p_in
        return np.sqrt(max(of_electron**2 - along**2, 0.0)) / p_out
    if process == 3:  # nuclear
        least = (MUON_MASS * nu) ** 2 / (energy * p_out)
        log = np.log(2.0 * PROTON_MASS * nu / least)
        if log <= 0.0:
            return 0.0
        for _ in range(100):
            q2 = least * np.exp(log * rng.random())
            if rng.random() < (1.0 - least / q2) / (1.0 + q2 / _FORM) ** 2:
                return min(np.sqrt((q2 - least) / (energy * p_out)), 1.0)
    return 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scatter(rng, state, p, mass, length, thickness, whole):  # type: ignore[no-untyped-def]
    """Move along ``length`` mm, a share of a slab of ``whole`` X0, ``thickness`` X0 thick."""
    x, y, tx, ty = state
    root = np.sqrt(1 + tx * tx + ty * ty)
    # The logarithm is that of the whole slab: variances of its pieces add up.
    angle = highland(p, mass, whole) * np.sqrt(thickness / whole * root) if thickness > 0 else 0.0
    a, b = rng.standard_normal(), rng.standard_normal()
    c, d = rng.standard_normal(), rng.standard_normal()
    across = angle * length * root
    x += tx * length + across * (0.5 * a + b / np.sqrt(12.0))
    y += ty * length + across * (0.5 * c + d / np.sqrt(12.0))
    return x, y, tx + angle * a, ty + angle * c


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _cross(rng, state, p, slab, tables, begin, ionised):  # type: ignore[no-untyped-def]
    """A muon through a slab from the share ``begin`` of its depth on.

    Returns
    -------
    state behind, momentum (0 if it stops), energy of ionisation and of showers, energy and place of
    the hardest nuclear interaction
    """
    length, whole, absorber, scintillator, nuclear_seen = slab
    energy = np.sqrt(p * p + MUON_MASS**2)
    radiated = left_behind = nuclear = nuclear_at = 0.0
    here = begin
    last = tables.rate.shape[2] - 2
    rates = np.empty(8)
    while True:
        kinetic = energy - MUON_MASS
        if kinetic <= PORTION:
            return state, 0.0, left_behind + kinetic, radiated, nuclear, nuclear_at
        t = max((np.log(kinetic) - tables.log_first) * tables.per_log, 0.0)
        i = min(int(t), last)
        f = min(t - i, 1.0)
        total = 0.0
        for k in range(8):
            m, process = k // 4, k % 4
            rate = tables.rate[m, process, i] * (1.0 - f) + tables.rate[m, process, i + 1] * f
            total += rate * (absorber if m == 0 else scintillator)
            rates[k] = total
        step = -np.log(1.0 - rng.random()) / total if total > 0.0 else 2.0
        step = min(step, 1.0 - here)
        p = np.sqrt(energy * energy - MUON_MASS**2)
        state = _scatter(rng, state, p, MUON_MASS, step * length, step * whole, whole)
        here += step
        small = min(ionised * step / (1.0 - begin), kinetic)
        energy -= small
        left_behind += small
        if here >= 1.0 - 1e-12:
            p2 = energy * energy - MUON_MASS**2
            return state, np.sqrt(max(p2, 0.0)), left_behind, radiated, nuclear, nuclear_at
        r, k = rng.random() * total, 0
        while k < 7 and rates[k] < r:
            k += 1
        nu = sample_transfer(rng, tables, k // 4, k % 4, i, f, energy - MUON_MASS)
        if nu > 0.0:
            angle = _recoil(rng, k % 4, nu, energy)
            phi = 2.0 * np.pi * rng.random()
            x, y, tx, ty = state
            state = x, y, tx + angle * np.cos(phi), ty + angle * np.sin(phi)
            energy -= nu
            radiated += nu * (nuclear_seen if k % 4 == 3 else 1.0)
            if k % 4 == 3 and nu > nuclear:
                nuclear, nuclear_at = nu, here


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _follow(  # type: ignore[no-untyped-def]
    rng, kind, charge, start, z_end, born, depth, ionised,
    steps, elements, index, slabs, tables, less, masses, paths, entry, inside,
):  # fmt: skip
    """Follow rows through `steps`, shape (n, 2): 0 and the element, or 1 and the slab.

    Parameters
    ----------
    start
        x, y, tx, ty, z, momentum.
    born
        Share of the ECAL's depth at which the particle begins.
    depth
        Interaction lengths that a hadron goes.
    ionised
        GeV of muons in each slab, shape (rows, slabs).
    slabs
        See `slab_table`.
    less
        Interaction lengths of each kind in the slab's, shape (slabs, kinds).
    """
    for row in range(len(kind)):
        x, y, tx, ty, z, p = start[row]
        mass, q, k = masses[kind[row]], charge[row], kind[row]
        if np.isnan(x):
            continue
        depth_left = depth[row]
        for s in range(len(steps)):
            number = steps[s, 1]
            is_slab = steps[s, 0] == 1
            there = slabs[number, 0] if is_slab else elements[number, 0]
            if is_slab and born[row] > 0.0 and slabs[number, 17] > 0.0:
                if born[row] >= slabs[number, 16] + slabs[number, 17]:
                    continue
            elif there < z - 1e-6:
                continue
            if there > z_end[row]:
                break
            x += tx * (there - z)
            y += ty * (there - z)
            z = there
            if is_slab:
                slope = slabs[number, 3]
                cosine = 1.0 / np.sqrt(1.0 + slope * slope)
                sine = slope * cosine
                path = -(x - slabs[number, 1]) * sine / (tx * sine + cosine)
                across = (x + path * tx - slabs[number, 1]) * cosine - path * sine
                up = y + path * ty - slabs[number, 2]
                if abs(across) >= slabs[number, 4] or abs(up) >= slabs[number, 5]:
                    continue
                in_hole = slabs[number, 6] < across < slabs[number, 7]
                if in_hole and slabs[number, 8] < up < slabs[number, 9]:
                    continue
                inside[row, number, :5] = (x, y, tx, ty, p)
                if k in (ELECTRON, PHOTON):
                    break
                begin = 0.0
                if slabs[number, 17] > 0.0 and born[row] > slabs[number, 16]:
                    begin = (born[row] - slabs[number, 16]) / slabs[number, 17]
                length, whole = slabs[number, 10], slabs[number, 11]
                if k == MUON:
                    of = tables[int(slabs[number, 18])]
                    constants = (
                        length, whole, slabs[number, 12], slabs[number, 13], slabs[number, 14]
                    )  # fmt: skip
                    state, p, soft, hard, nuclear, at = _cross(
                        rng, (x, y, tx, ty), p, constants, of, begin,
                        ionised[row, number] * (1.0 - begin),
                    )  # fmt: skip
                    inside[row, number, 5], inside[row, number, 6] = soft, hard
                    inside[row, number, 8], inside[row, number, 9] = nuclear, at
                    if p <= 0.0:
                        break
                    x, y, tx, ty = state
                else:
                    thick = slabs[number, 15] / less[number, k]
                    inside[row, number, 7] = begin + depth_left / thick
                    depth_left -= thick * (1.0 - begin)
                    if depth_left <= 0.0:
                        break
                    if q != 0:
                        share = 1.0 - begin
                        x, y, tx, ty = _scatter(
                            rng, (x, y, tx, ty), p, mass, share * length, share * whole, whole
                        )
                        lost = slabs[number, 19] * share
                        energy = np.sqrt(p * p + mass * mass) - lost
                        if energy <= mass:
                            break
                        p = np.sqrt(energy * energy - mass * mass)
                    else:
                        x, y = x + tx * (1.0 - begin) * length, y + ty * (1.0 - begin) * length
                z += (1.0 - begin) * length
                continue
            thickness, length, field = elements[number, 1], elements[number, 2], elements[number, 3]
            middle = elements[number, 6]
            if length > 0.0:
                if abs(x - middle) > elements[number, 4] or abs(y) > elements[number, 5]:
                    break
                entry[row, index[number]] = (x, y, tx, ty, p)
                if q != 0:
                    slope2 = 1.0 + tx * tx
                    in_plane = p * np.sqrt(slope2 / (slope2 + ty * ty))
                    curvature = -q * BEND_PER_TESLA_MM * field / in_plane
                    x, y, tx, ty, alive = bend(x, y, tx, ty, curvature, length)
                    z += length
                    outside = abs(x - middle) > elements[number, 4] or abs(y) > elements[number, 5]
                    if not alive or outside:
                        break
                continue
            surface = index[number]
            paths[0, row, surface] = x
            paths[1, row, surface] = y
            paths[2, row, surface] = tx
            paths[3, row, surface] = ty
            if q == 0 or thickness == 0.0:
                continue
            dx, dy = x - middle, y - elements[number, 7]
            if abs(dx) > elements[number, 4] or abs(dy) > elements[number, 5]:
                continue
            if dx * dx + dy * dy < elements[number, 8] ** 2:
                continue
            angle = highland(p, mass, thickness)
            tx += angle * rng.standard_normal()
            ty += angle * rng.standard_normal()


def follow_behind(
    rng: np.random.Generator, setup: Setup, line: Beamline, tracks: Tracks, paths: Paths
) -> Paths:
    """Follow particles from the ECAL's face on; the same `paths` where nothing is behind.

    Parameters
    ----------
    tracks, paths
        As `propagate` left them at the ECAL's face; `paths.momentum` stays what it is there.
    """
    if line.front == len(line.elements):
        return paths
    slabs = slabs_of(setup)
    behind = [(line.elements[e, 0], 0, e) for e in range(line.front, len(line.elements))]
    steps = sorted([*behind, *((slab.frame.z, 1, i) for i, slab in enumerate(slabs))])
    absorbers = list(dict.fromkeys(slab.part.sampling.absorber for slab in slabs))
    table = slab_table(slabs, absorbers)
    face, rows = line.surface("ecal"), len(tracks)
    own = tracks.z_start > setup.ecal.z
    at_face = (paths.x, paths.y, paths.tx, paths.ty)
    born = (tracks.x, tracks.y, tracks.tx, tracks.ty)
    start = np.column_stack(
        [np.where(own, a, b[:, face]) for a, b in zip(born, at_face, strict=True)]
        + [np.where(own, tracks.z_start, setup.ecal.z), paths.momentum]
    )
    small = np.array([_SMALL[slab.of] for slab in slabs])
    ionised = np.zeros((rows, len(slabs)))
    muons = np.flatnonzero((tracks.kind == MUON) & ~np.isnan(start[:, 0]))
    ionised[muons] = table[:, 19] * small * mean_one(rng, (len(muons), len(slabs)), _WIDTH)
    depth = rng.exponential(1.0, rows)
    inside = np.full((rows, len(slabs), 10), np.nan)
    inside[:, :, [IONISED, RADIATED, NUCLEAR]] = 0.0
    surfaces = np.stack(at_face)
    entry = paths.entry.copy()
    _follow(
        rng,
        tracks.kind,
        tracks.charge,
        start,
        tracks.z_end,
        tracks.ecal_depth,
        depth,
        ionised,
        np.array([step[1:] for step in steps], dtype=np.int64),
        line.elements,
        line.index,
        table,
        tuple(muon_tables(absorber) for absorber in absorbers),
        np.array([interacting_less(slab.part.sampling) for slab in slabs]),
        np.array(MASSES),
        surfaces,
        entry,
        inside,
    )
    x, y, tx, ty = surfaces
    return replace(paths, x=x, y=y, tx=tx, ty=ty, entry=entry, inside=inside)


def behind_target(
    rng: np.random.Generator, setup: Setup, line: Beamline, tracks: Tracks, paths: Paths
) -> tuple[Tracks, Paths]:
    """Particles and their paths behind the ECAL's face, with what muons knock out there.

    Parameters
    ----------
    tracks, paths
        As `propagate` left them at the ECAL's face; the same come back where nothing is behind.
    """
    if line.front == len(line.elements):
        return tracks, paths
    paths = follow_behind(rng, setup, line, tracks, paths)
    behind = {line.names[surface] for surface in np.flatnonzero(line.z > setup.ecal.z)}
    ends = {"ecal", *(f"hcal.{name}" for name in setup.hcal.sections)}
    layers = [name for name in delta_surfaces(setup) if name in behind or name in ends]
    electrons = delta_electrons(rng, setup, line, tracks, paths, surfaces=layers)
    hadrons = hadrons_of_muons(rng, setup, tracks, paths)
    added = Tracks.join([electrons, hadrons])
    theirs = propagate(rng, line, added)
    parts = [paths, follow_behind(rng, setup, line, added, theirs)]
    order = np.argsort(np.concatenate((tracks.event, added.event)), kind="stable")
    return Tracks.join([tracks, added]), Paths.join(parts, order)
