"""Transport of particles through magnets and thin material.

Straight lines outside magnets, exact helices in their uniform fields By; in every station,
counter and passive layer the direction is scattered (Highland's formula, PDG 2024 eq. 34.16) and
an electron may radiate one photon (PDG 2024 eq. 34.26-34.29: the spectrum 4/3 - 4/3 y + y^2 over
y). Photons radiated before the magnets' end leave the electron behind and are followed further;
behind the magnets they go along with it into the ECAL, hence are not taken off. Electrons lose
the mean synchrotron energy at the end of each magnet. A particle outside a magnet's gap is lost.

Left out: energy loss by ionisation (MeV), fringe fields, displacement within thin layers, decays.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from na64reco.constants import ALPHA, BEND_PER_TESLA_MM, ELECTRON_MASS
from na64reco.simulation.tracks import ELECTRON, MASSES, PHOTON, Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = [
    "Beamline",
    "Paths",
    "beamline",
    "bend",
    "bremsstrahlung_photons",
    "highland",
    "looks_behind",
    "propagate",
]

HBAR_C = 1.973269804e-13
"""GeV mm."""

SOFTEST_PHOTON = 0.005
"""Bremsstrahlung below this share of the electron's energy is neglected."""


@dataclass(frozen=True, eq=False)
class Beamline:
    """Surfaces and magnets in the order of z."""

    names: tuple[str, ...]
    """Of the surfaces."""
    elements: NDArray[np.float64]
    """Shape (elements, 9): z, thickness in X0, length (0 = surface), By in T, half width, half
    height, x, y, radius of a hole. Magnets stand at their entrance; a particle outside a magnet's
    gap is lost, one beside a surface or in its hole crosses no matter."""
    index: NDArray[np.int64]
    """Number of the surface or magnet, shape (elements,)."""
    front: int
    """Elements up to the ECAL's face; all, where nothing behind it tracks or triggers. What lies
    behind is for `target`."""
    magnets: int
    magnets_end: float
    """Of those among `front`, mm."""
    z: NDArray[np.float64]
    """Of the surfaces, mm."""

    def surface(self, name: str) -> int:
        """Number of a surface: a station, counter, passive layer, ``ecal``, ``veto``."""
        return self.names.index(name)


def looks_behind(setup: Setup) -> bool:
    """Whether anything behind the ECAL tracks, bends or triggers: what leaves it is followed."""
    there = [station.z for station in setup.stations.values()]
    there += [magnet.z for magnet in setup.magnets.values()]
    there += [counter.z for counter in setup.counters.values()]
    return any(z > setup.ecal.z for z in there)


def beamline(setup: Setup) -> Beamline:
    """Everything of a setup that particles cross, sorted along z."""
    wide = (np.inf, np.inf, 0.0, 0.0, 0.0)
    # z, name, thickness, half width, half height, x, y, radius of the hole
    surfaces: list[tuple[float, str, float, tuple[float, ...]]] = [
        (p.z, name, p.thickness_x0, wide) for name, p in setup.passive.items()
    ]
    for name, station in setup.stations.items():
        half = station.half_width
        where = (half, half, station.x, station.y, 0.0)
        surfaces.append((station.z, name, station.thickness_x0, where))
    for name, c in setup.counters.items():
        where = (c.width / 2, c.height / 2, c.x, c.y, c.hole / 2)
        surfaces.append((c.z, name, c.thickness_x0, where))
    surfaces.append((setup.ecal.z, "ecal", 0.0, wide))
    if setup.veto:
        surfaces.append((setup.veto.z, "veto", 0.0, wide))
    surfaces.sort()
    rows = [(z, t, 0.0, 0.0, *where, i) for i, (z, _, t, where) in enumerate(surfaces)]
    magnets = sorted(setup.magnets.values(), key=lambda m: m.z)
    rows += [
        (m.start, 0.0, m.length, m.field, m.gap_x / 2, m.gap_y / 2, m.x, 0.0, 0.0, i)
        for i, m in enumerate(magnets)
    ]
    rows.sort()
    table = np.array([row[:9] for row in rows])
    face = setup.ecal.z
    front = int(np.sum(table[:, 0] <= face)) if looks_behind(setup) else len(table)
    before = [m.end for m in magnets if m.start < face]
    return Beamline(
        names=tuple(name for _, name, _, _ in surfaces),
        elements=table,
        index=np.array([row[9] for row in rows], dtype=np.int64),
        front=front,
        magnets=len(magnets),
        magnets_end=max(before, default=-np.inf),
        z=np.array([z for z, *_ in surfaces]),
    )


@dataclass(frozen=True, eq=False)
class Paths:
    """Where particles crossed what."""

    x: NDArray[np.float64]
    """mm at each surface, shape (rows, surfaces); NaN where the particle does not come."""
    y: NDArray[np.float64]
    tx: NDArray[np.float64]
    """dx/dz when it arrives there."""
    ty: NDArray[np.float64]
    momentum: NDArray[np.float64]
    """GeV/c at the end, shape (rows,)."""
    entry: NDArray[np.float64]
    """x, y, tx, ty, momentum at the entrance of every magnet, shape (rows, magnets, 5)."""
    photon: NDArray[np.float64]
    """Energy, x, y, tx, ty, z of the photon radiated before the magnets' end, shape (rows, 6)."""
    inside: NDArray[np.float64]
    """What `target` says of the calorimeters' parts, shape (rows, parts, 8); no parts where
    nothing behind the ECAL tracks or triggers."""

    def take(self, rows: NDArray[Any]) -> Paths:
        """Rows by mask or index."""
        return Paths(
            self.x[rows],
            self.y[rows],
            self.tx[rows],
            self.ty[rows],
            self.momentum[rows],
            self.entry[rows],
            self.photon[rows],
            self.inside[rows],
        )

    def cut(self, z_end: NDArray[np.float64], surfaces: NDArray[np.float64]) -> None:
        """Forget crossings behind `z_end`, shape (rows,); `surfaces` are the z of all surfaces."""
        behind = surfaces > z_end[:, None]
        for values in (self.x, self.y, self.tx, self.ty):
            values[behind] = np.nan

    @staticmethod
    def join(parts: Sequence[Paths], order: NDArray[np.int64]) -> Paths:
        """All rows, one part after the other, then brought into an order."""
        return Paths(
            **{
                f.name: np.concatenate([getattr(p, f.name) for p in parts])[order]
                for f in fields(Paths)
            }
        )


@numba.njit(cache=True, nogil=True)
def bend(
    x: float, y: float, tx: float, ty: float, curvature: float, length: float
) -> tuple[float, float, float, float, bool]:
    """Helix along z in a field By.

    Parameters
    ----------
    curvature
        d sin(angle to z in the xz plane) / dz, 1/mm: -charge * 0.2998e-3 * By / p_xz.

    Returns
    -------
    x, y, tx, ty at the exit, and whether it gets there.
    """
    norm = np.sqrt(1.0 + tx * tx)
    sine = tx / norm
    rise = ty / norm  # dy per length in the xz plane
    sine_out = sine + curvature * length
    if abs(sine_out) >= 1.0:
        return x, y, tx, ty, False
    cosine, cosine_out = 1.0 / norm, np.sqrt(1.0 - sine_out * sine_out)
    # (cos - cos') / curvature, written without cancellation for weak fields.
    x += (sine + sine_out) / (cosine + cosine_out) * length
    if curvature * length == 0.0:
        arc = length * norm
    else:
        arc = (np.arcsin(sine_out) - np.arcsin(sine)) / curvature
    return x, y + rise * arc, sine_out / cosine_out, rise / cosine_out, True


@numba.njit(cache=True, nogil=True)
def highland(momentum: float, mass: float, thickness: float) -> float:
    """rms of the projected scattering angle (PDG 2024 eq. 34.16); thickness in X0."""
    beta = momentum / np.sqrt(momentum * momentum + mass * mass)
    first = 0.0136 / (beta * momentum) * np.sqrt(thickness)
    return float(first * (1 + 0.038 * np.log(thickness)))


@numba.njit(cache=True, nogil=True)
def _radiated(rng: Any, thickness: float) -> float:
    """Share of the energy that one bremsstrahlung photon takes, 0 for none."""
    low = SOFTEST_PHOTON
    mean = thickness * (-4 / 3 * np.log(low) - 4 / 3 * (1 - low) + 0.5 * (1 - low * low))
    if rng.random() >= mean:
        return 0.0
    while True:
        y = low ** rng.random()
        if rng.random() * 4 / 3 < 4 / 3 - 4 / 3 * y + y * y:
            return float(y)


@numba.njit(cache=True, nogil=True)
def _propagate(
    rng: Any,
    elements: NDArray[np.float64],
    index: NDArray[np.int64],
    magnets_end: float,
    masses: NDArray[np.float64],
    kind: NDArray[np.int8],
    charge: NDArray[np.int8],
    start: NDArray[np.float64],
    paths: NDArray[np.float64],
    momentum: NDArray[np.float64],
    entry: NDArray[np.float64],
    photon: NDArray[np.float64],
) -> None:
    for row in range(len(kind)):
        x, y, tx, ty, z, z_end, p = start[row]
        mass, q = masses[kind[row]], charge[row]
        for e in range(len(elements)):
            there = elements[e, 0]
            if there < z:
                continue
            if there > z_end:
                break
            x += tx * (there - z)
            y += ty * (there - z)
            z = there
            thickness, length, field = elements[e, 1], elements[e, 2], elements[e, 3]
            number = index[e]
            if length > 0.0:
                middle = elements[e, 6]
                if abs(x - middle) > elements[e, 4] or abs(y) > elements[e, 5]:
                    break
                entry[row, number] = (x, y, tx, ty, p)
                if q == 0:
                    continue
                slope2 = 1.0 + tx * tx
                in_plane = p * np.sqrt(slope2 / (slope2 + ty * ty))
                curvature = -q * BEND_PER_TESLA_MM * field / in_plane
                x, y, tx, ty, alive = bend(x, y, tx, ty, curvature, length)
                z += length
                if not alive or abs(x - middle) > elements[e, 4]:
                    break
                if kind[row] == ELECTRON:
                    gamma = p / ELECTRON_MASS
                    p -= 2 / 3 * ALPHA * HBAR_C * gamma**4 * curvature**2 * length
                continue
            paths[0, row, number] = x
            paths[1, row, number] = y
            paths[2, row, number] = tx
            paths[3, row, number] = ty
            if q == 0 or thickness == 0.0:
                continue
            dx, dy = x - elements[e, 6], y - elements[e, 7]
            if abs(dx) > elements[e, 4] or abs(dy) > elements[e, 5]:
                continue
            if dx * dx + dy * dy < elements[e, 8] ** 2:
                continue
            angle = highland(p, mass, thickness)
            tx += angle * rng.standard_normal()
            ty += angle * rng.standard_normal()
            if kind[row] == ELECTRON and z < magnets_end:
                share = _radiated(rng, thickness)
                if share * p > photon[row, 0]:
                    photon[row] = (share * p, x, y, tx, ty, z)
                p *= 1 - share
        momentum[row] = p


def propagate(rng: np.random.Generator, line: Beamline, tracks: Tracks) -> Paths:
    """Follow particles along z.

    Returns
    -------
    Paths
        Crossings with every surface between `z_start` and `z_end`, up to the ECAL's face where
        `Beamline.front` ends there.
    """
    rows = len(tracks)
    paths = np.full((4, rows, len(line.names)), np.nan)
    momentum = np.empty(rows)
    entry = np.full((rows, line.magnets, 5), np.nan)
    photon = np.zeros((rows, 6))
    start = np.column_stack(
        (tracks.x, tracks.y, tracks.tx, tracks.ty, tracks.z_start, tracks.z_end, tracks.momentum)
    )
    _propagate(
        rng,
        line.elements[: line.front],
        line.index,
        line.magnets_end,
        np.array(MASSES),
        tracks.kind,
        tracks.charge,
        start,
        paths,
        momentum,
        entry,
        photon,
    )
    x, y, tx, ty = paths
    return Paths(x, y, tx, ty, momentum, entry, photon, np.zeros((rows, 0, 8)))


def bremsstrahlung_photons(tracks: Tracks, paths: Paths, *, minimum: float = 0.2) -> Tracks:
    """Photons of more than `minimum` GeV that left their electrons before the magnets' end."""
    rows = np.flatnonzero(paths.photon[:, 0] > minimum)
    energy, x, y, tx, ty, z = paths.photon[rows].T
    return Tracks.make(
        len(rows),
        event=tracks.event[rows],
        time=tracks.time[rows],
        kind=PHOTON,
        momentum=energy,
        x=x,
        y=y,
        tx=tx,
        ty=ty,
        z_start=z,
    )
