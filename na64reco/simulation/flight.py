"""Decays in flight between the beam's start and the ECAL.

Each pion, kaon and muon gets a path from the exponential distribution of its decay length; if that
ends before the ECAL, the particle ends there and its products go on. The products of decays within
a magnet are bent by the rest of its field. Lost are products at more than 45 degrees to the beam,
neutrinos, and charged products that leave a magnet's gap. Left out: decays behind the ECAL's front
face (hadrons interact there before), the scattering of the parent in the last layer before its
decay.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from na64reco.constants import BEND_PER_TESLA_MM
from na64reco.simulation.decays import SPECIES, Particle, Species, decay, decay_length
from na64reco.simulation.tracks import ELECTRON, KAON, MUON, PHOTON, PION, Tracks
from na64reco.simulation.transport import bend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["decays_in_flight"]

_KINDS = {
    Particle.ELECTRON: ELECTRON,
    Particle.MUON: MUON,
    Particle.PION: PION,
    Particle.PHOTON: PHOTON,
}


def _species(tracks: Tracks, face: float) -> list[tuple[Species, NDArray[np.int64]]]:
    """Unstable particles in front of the ECAL and their rows."""
    charged, before = tracks.charge != 0, tracks.z_start < face
    return [
        (SPECIES["pion"], np.flatnonzero(before & (tracks.kind == PION) & charged)),
        (SPECIES["kaon"], np.flatnonzero(before & (tracks.kind == KAON) & charged)),
        (SPECIES["kaon0_long"], np.flatnonzero(before & (tracks.kind == KAON) & ~charged)),
        (SPECIES["muon"], np.flatnonzero(before & (tracks.kind == MUON))),
    ]


@numba.njit(cache=True, nogil=True)
def _curvature(charge: int, field: float, momentum: float, tx: float, ty: float) -> float:
    slope2 = 1.0 + tx * tx
    in_plane = momentum * np.sqrt(slope2 / (slope2 + ty * ty))
    return float(-charge * BEND_PER_TESLA_MM * field / in_plane)


@numba.njit(cache=True, nogil=True)
def _arrive(
    elements: NDArray[np.float64],
    index: NDArray[np.int64],
    charge: NDArray[np.int8],
    momentum: NDArray[np.float64],
    z_decay: NDArray[np.float64],
    surfaces: NDArray[np.float64],
    entry: NDArray[np.float64],
    state: NDArray[np.float64],
    magnet: NDArray[np.int64],
) -> None:
    """Bring `state` (x, y, tx, ty, z), at first the starts, to the decays.

    A state is NaN where the particle was lost before; `magnet` is the element within which it
    decays, or -1.
    """
    for row in range(len(z_decay)):
        x, y, tx, ty, z = state[row]
        end = z_decay[row]
        lost = False
        for e in range(len(elements)):
            there = elements[e, 0]
            if there < z:
                continue
            if there > end:
                break
            number = index[e]
            length = elements[e, 2]
            if length == 0.0:
                if np.isnan(surfaces[0, row, number]):
                    lost = True
                    break
                x, y = surfaces[0, row, number], surfaces[1, row, number]
                tx, ty = surfaces[2, row, number], surfaces[3, row, number]
                z = there
                continue
            if np.isnan(entry[row, number, 0]):
                lost = True
                break
            x, y, tx, ty = entry[row, number, :4]
            z = there
            path = min(length, end - there)
            if charge[row] != 0:
                curvature = _curvature(charge[row], elements[e, 3], momentum[row], tx, ty)
                x, y, tx, ty, alive = bend(x, y, tx, ty, curvature, path)
                if not alive:
                    lost = True
                    break
                z += path
            if path < length:
                magnet[row] = e
                break
        if lost:
            state[row] = np.nan
            continue
        state[row] = (x + tx * (end - z), y + ty * (end - z), tx, ty, end)


@numba.njit(cache=True, nogil=True)
def _leave(
    elements: NDArray[np.float64],
    magnet: NDArray[np.int64],
    charge: NDArray[np.int8],
    momentum: NDArray[np.float64],
    state: NDArray[np.float64],
) -> None:
    """Bring products born in a magnet to its exit; NaN where they do not get there."""
    for row in range(len(magnet)):
        e = magnet[row]
        if e < 0:
            continue
        x, y, tx, ty, z = state[row]
        path = elements[e, 0] + elements[e, 2] - z
        curvature = _curvature(charge[row], elements[e, 3], momentum[row], tx, ty)
        x, y, tx, ty, alive = bend(x, y, tx, ty, curvature, path)
        if not alive or abs(x - elements[e, 6]) > elements[e, 4] or abs(y) > elements[e, 5]:
            state[row] = np.nan
        else:
            state[row] = (x, y, tx, ty, z + path)


def decays_in_flight(
    rng: np.random.Generator, line: Beamline, tracks: Tracks, paths: Paths
) -> Tracks:
    """Let unstable particles decay before the ECAL.

    Parameters
    ----------
    tracks, paths
        Where they would go; the `paths` of those that decay are cut in place.

    Returns
    -------
    Tracks
        Charged products and photons, to be followed from their `z_start`.
    """
    face = line.z[line.surface("ecal")]
    return Tracks.join(
        [
            _decays(rng, line, tracks, paths, species, rows, face)
            for species, rows in _species(tracks, face)
        ]
    )


def _decays(
    rng: np.random.Generator,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
    species: Species,
    candidates: NDArray[np.int64],
    face: float,
) -> Tracks:
    path = rng.exponential(decay_length(species, tracks.momentum[candidates]))
    # Magnets change slopes by mrad, which the path along z hardly notices.
    slope2 = tracks.tx[candidates] ** 2 + tracks.ty[candidates] ** 2
    z_candidates = tracks.z_start[candidates] + path / np.sqrt(1 + slope2)
    happens = z_candidates < np.minimum(face, tracks.z_end[candidates])
    rows, z_decay = candidates[happens], z_candidates[happens]
    state = np.column_stack(
        (tracks.x[rows], tracks.y[rows], tracks.tx[rows], tracks.ty[rows], tracks.z_start[rows])
    )
    magnet = np.full(len(rows), -1, dtype=np.int64)
    surfaces = np.stack([values[rows] for values in (paths.x, paths.y, paths.tx, paths.ty)])
    _arrive(
        line.elements,
        line.index,
        tracks.charge[rows],
        tracks.momentum[rows],
        z_decay,
        surfaces,
        paths.entry[rows],
        state,
        magnet,
    )
    z_end = np.full(len(tracks), np.inf)
    z_end[rows] = z_decay
    paths.cut(z_end, line.z)
    _cut_magnets(line, paths, rows, z_decay)
    alive = ~np.isnan(state[:, 0])
    rows, state, magnet = rows[alive], state[alive], magnet[alive]

    vector = np.column_stack((state[:, 2], state[:, 3], np.ones(len(rows))))
    vector *= (tracks.momentum[rows] / np.linalg.norm(vector, axis=1))[:, None]
    energy = np.sqrt(species.mass**2 + np.sum(vector**2, axis=1))
    parent = np.column_stack((energy, vector))
    products = decay(rng, species, parent, tracks.charge[rows])
    four = products.momentum
    with np.errstate(divide="ignore", invalid="ignore"):
        tx, ty = four[:, 1] / four[:, 3], four[:, 2] / four[:, 3]
    kept = (products.particle != Particle.NEUTRINO) & (four[:, 3] > 0) & (np.hypot(tx, ty) < 1)
    of, four = products.parent[kept], four[kept]
    charge = products.charge[kept]
    momentum = np.linalg.norm(four[:, 1:], axis=1)
    start = np.column_stack((state[of, :2], tx[kept], ty[kept], state[of, 4]))
    _leave(line.elements, magnet[of], charge, momentum, start)
    kinds = np.zeros(max(Particle) + 1, dtype=np.int8)
    for particle, kind in _KINDS.items():
        kinds[particle] = kind
    x, y, slope_x, slope_y, z = start.T
    found = Tracks.make(
        len(of),
        event=tracks.event[rows[of]],
        time=tracks.time[rows[of]],
        kind=kinds[products.particle[kept]],
        charge=charge,
        momentum=momentum,
        x=x,
        y=y,
        tx=slope_x,
        ty=slope_y,
        z_start=z,
    )
    return found.take(~np.isnan(x))


def _cut_magnets(
    line: Beamline, paths: Paths, rows: NDArray[np.int64], z_decay: NDArray[np.float64]
) -> None:
    """Forget the magnets that particles which decayed before did not enter."""
    for element, number in zip(line.elements, line.index, strict=True):
        if element[2] > 0:
            paths.entry[rows[z_decay < element[0]], number] = np.nan
