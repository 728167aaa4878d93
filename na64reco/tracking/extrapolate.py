"""Tracks to the face of any detector, with covariance: SRD, ECAL, VETO, HCAL modules, counters.

Straight lines outside the magnets, circles or Runge-Kutta steps inside; each thin layer on the way
scatters (Highland), forwards and backwards alike. A calorimeter on the way is a thick scatterer:
two thin ones of half the variance each at its middle -+ length / sqrt(12) give the same variances
and covariance of angle and place as the continuous material. What a particle loses in it is not
taken off its momentum: a muon of 100 GeV leaves 0.5 GeV in the ECAL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from na64reco.errors import SetupError, did_you_mean
from na64reco.tracking.field import cross_dipole, dipoles, magnet_field
from na64reco.tracking.layout import highland
from na64reco.tracking.runge_kutta import transport

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup import Setup
    from na64reco.setup.model import Calorimeter
    from na64reco.tracking.field import Dipoles, Field

__all__ = ["Face", "Impact", "cell_of", "extrapolate", "faces"]


@dataclass(frozen=True)
class Face:
    """The front of a detector: a rectangle about (x, y, z), its normal along (slope_x, 0, 1)."""

    name: str
    z: float
    """mm, as all lengths here."""
    x: float
    y: float
    slope_x: float
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class Impact:
    """Where tracks meet a face; NaN where a track does not reach it."""

    x: NDArray[np.float64]
    """In the frame of the face, mm, shape (tracks,)."""
    y: NDArray[np.float64]
    x_error: NDArray[np.float64]
    """Standard deviation, mm."""
    y_error: NDArray[np.float64]
    inside: NDArray[np.bool_]
    """Whether the point lies on the detector."""
    states: NDArray[np.float64]
    """(x, y, tx, ty, q/p) at the z of the face's centre, global frame, shape (tracks, 5)."""
    covariances: NDArray[np.float64]
    """Of the states, shape (tracks, 5, 5)."""


def faces(setup: Setup) -> dict[str, Face]:
    """All faces that tracks can be followed to, by name.

    ``ecal``, ``vhcal``, ``hcal.module0`` ..., ``srd``, ``veto``, and the counters and tracking
    stations by their names in the setup.
    """
    found: dict[str, Face] = {}
    for name, calorimeter in _calorimeters(setup):
        for section, (x, y, z, slope, _) in _boxes(calorimeter).items():
            if name == "hcal" or not found.get(name):
                key = f"hcal.{section}" if name == "hcal" else name
                width, height = (
                    calorimeter.nx * calorimeter.cell_x,
                    calorimeter.ny * calorimeter.cell_y,
                )
                found[key] = Face(key, z, x, y, slope, width, height)
    if setup.srd is not None:
        srd = setup.srd
        width = srd.modules * srd.module_width
        found["srd"] = Face("srd", srd.z, srd.x, srd.y, 0.0, width, srd.module_height)
    if setup.veto is not None:
        veto = setup.veto
        height = veto.bars * veto.bar_height
        found["veto"] = Face("veto", veto.z, veto.x, veto.y, 0.0, veto.bar_length, height)
    for name, c in setup.counters.items():
        found[name] = Face(name, c.z, c.x, c.y, 0.0, c.width, c.height)
    for name, s in setup.stations.items():
        found[name] = Face(name, s.z, s.x, s.y, 0.0, 2 * s.half_width, 2 * s.half_width)
    return found


def extrapolate(
    states: NDArray[np.float64],
    covariances: NDArray[np.float64],
    z: float,
    face: str,
    setup: Setup,
    *,
    last_hit: float = math.inf,
) -> Impact:
    """Follow tracks from z to a detector's face, forwards or backwards.

    Where they leave the map of a magnet, or turn back in it, the result is NaN. `Fits.last` is for
    what stands behind the last plane, `Fits.first` for what stands in front of the first one;
    between them, both know less than the hits do.

    Parameters
    ----------
    states
        (x, y, tx, ty, q/p) at ``z`` in the global frame, mm and c/GeV, shape (tracks, 5), for
        instance `Fits.first` or `Fits.last`.
    covariances
        Shape (tracks, 5, 5).
    z
        Where the states are given, mm.
    face
        A name of `faces`.
    last_hit
        z of the last hit that the states know of, mm, for a face between it and ``z``: on the way
        back, what the material there has added to the covariances is taken off again.

    Raises
    ------
    SetupError
        If there is no such face.
    """
    known = faces(setup)
    if face not in known:
        msg = f"The setup {setup.name} has no detector {face!r}. {did_you_mean(face, known)}"
        raise SetupError(msg)
    to = known[face]
    moved = np.array(states, np.float64, ndmin=2)
    cov = np.array(covariances, np.float64, ndmin=3)
    particle = setup.beam.particle
    field = None
    if any(m.map or m.ramp for m in setup.magnets.values()):
        field = magnet_field(setup.magnets.values(), particle=particle)
    magnets = dipoles(setup.magnets.values() if field is None else (), particle=particle)
    here = z
    for there, angle, magnet in _elements(setup, magnets, z, to.z):
        _drift(moved, cov, here, there, field)
        here = there
        if magnet >= 0:
            lo, hi = magnets.start[magnet], magnets.end[magnet]
            end = min(hi, to.z) if to.z > z else max(lo, to.z)
            _cross(moved, cov, end - here, magnets, magnet)
            here = end
        else:
            _scatter(moved, cov, angle, -1.0 if last_hit < there < z else 1.0)
    _drift(moved, cov, here, to.z, field)
    return _impact(moved, cov, to)


def cell_of(impact: Impact, calorimeter: Calorimeter) -> NDArray[np.int64]:
    """Cell (ix, iy) that each track enters, shape (tracks, 2); -1 outside."""
    point = np.stack([impact.x / calorimeter.cell_x, impact.y / calorimeter.cell_y], axis=1)
    shape = np.array([calorimeter.nx, calorimeter.ny])
    cell = np.floor(np.where(np.isfinite(point), point, -1e6) + shape / 2).astype(np.int64)
    outside = ((cell < 0) | (cell >= shape)).any(axis=1)
    cell[outside] = -1
    return cell


def _calorimeters(setup: Setup) -> list[tuple[str, Calorimeter]]:
    named = [("ecal", setup.ecal), ("vhcal", setup.vhcal), ("hcal", setup.hcal)]
    return [(name, c) for name, c in named if c is not None]


def _boxes(calorimeter: Calorimeter) -> dict[str, tuple[float, float, float, float, float]]:
    """(x, y, z, slope, length) of each section, in the order along the beam."""
    result = {}
    x, y, z = calorimeter.x, calorimeter.y, calorimeter.z
    for name, section in calorimeter.sections.items():
        x = x if section.x is None else section.x
        y = y if section.y is None else section.y
        z = z if section.z is None else section.z
        slope = calorimeter.slope_x if section.slope_x is None else section.slope_x
        length = section.layers * calorimeter.layer_thickness
        result[name] = (x, y, z, slope, length)
        x, z = x + slope * length, z + length
    return result


def _elements(
    setup: Setup, magnets: Dipoles, start: float, end: float
) -> list[tuple[float, float, int]]:
    """(z, rms angle times momentum, magnet or -1) on the way, in its order."""
    lo, hi = min(start, end), max(start, end)
    material = [(s.z, highland(s.thickness_x0)) for s in setup.stations.values()]
    material += [(p.z, highland(p.thickness_x0)) for p in setup.passive.values()]
    material += [(c.z, highland(c.thickness_x0)) for c in setup.counters.values() if not c.hole]
    for name, calorimeter in _calorimeters(setup):
        share = 1.0 / sum(s.layers for s in calorimeter.sections.values())
        for _, _, z, _, length in _boxes(calorimeter).values():
            if name == "vhcal" and calorimeter.hole:
                continue  # the beam's hole is there for tracks to pass
            depth = calorimeter.radiation_lengths
            if name == "ecal":
                depth *= length / calorimeter.layer_thickness * share
            angle = highland(depth) / math.sqrt(2)
            middle, off = z + length / 2, length / math.sqrt(12)
            if lo <= z and z + length <= hi:
                material += [(middle - off, angle), (middle + off, angle)]
    found = [(z, a, -1) for z, a in material if a > 0 and lo < z < hi]
    forwards = end >= start
    for m in range(len(magnets.start)):
        first, last = max(lo, magnets.start[m]), min(hi, magnets.end[m])
        if last > first:
            found.append((float(first if forwards else last), 0.0, m))
    return sorted(found, key=lambda e: e[0], reverse=not forwards)


def _drift(
    states: NDArray[np.float64],
    cov: NDArray[np.float64],
    here: float,
    there: float,
    field: Field | None,
) -> None:
    if field is not None:
        moved = transport(states, here, there, field)
        states[:] = moved.states
        cov[:] = moved.jacobians @ cov @ moved.jacobians.transpose(0, 2, 1)
        return
    step = there - here
    states[:, :2] += step * states[:, 2:4]
    cov[:, :2, :] += step * cov[:, 2:4, :]
    cov[:, :, :2] += step * cov[:, :, 2:4]


def _scatter(
    states: NDArray[np.float64], cov: NDArray[np.float64], angle: float, sign: float
) -> None:
    tx, ty = states[:, 2], states[:, 3]
    norm = 1 + tx * tx + ty * ty
    variance = sign * (angle * states[:, 4]) ** 2 * norm * np.sqrt(norm)
    cov[:, 2, 2] += variance * (1 + tx * tx)
    cov[:, 3, 3] += variance * (1 + ty * ty)
    cov[:, 2, 3] += variance * tx * ty
    cov[:, 3, 2] += variance * tx * ty


def _cross(
    states: NDArray[np.float64],
    cov: NDArray[np.float64],
    length: float,
    magnets: Dipoles,
    magnet: int,
) -> None:
    jacobians = np.empty_like(cov)
    _cross_all(states, length, magnets.field[magnet], magnets.loss[magnet], jacobians)
    cov[:] = jacobians @ cov @ jacobians.transpose(0, 2, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _cross_all(states, length, field, loss, jacobians):  # type: ignore[no-untyped-def]
    for i in range(len(states)):
        if not cross_dipole(states[i], length, field, loss, jacobians[i]):
            states[i, :] = np.nan
            jacobians[i, :, :] = np.nan


def _impact(states: NDArray[np.float64], cov: NDArray[np.float64], face: Face) -> Impact:
    """Tracks meet the face, perpendicular to (t, 0, 1), at z - z0 = -(x - x0) t / (1 + tx t)."""
    t = face.slope_x
    cosine = 1 / math.sqrt(1 + t * t)
    d = states[:, 0] - face.x
    factor = 1 / (1 + states[:, 2] * t)
    dz = -d * t * factor
    x = (d + states[:, 2] * dz) * cosine - dz * t * cosine
    y = states[:, 1] - face.y + states[:, 3] * dz
    with np.errstate(invalid="ignore"):
        inside = (np.abs(x) <= face.width / 2) & (np.abs(y) <= face.height / 2)
        x_error = np.sqrt(cov[:, 0, 0]) * factor / cosine
        y_error = np.sqrt(cov[:, 1, 1])
    return Impact(x, y, x_error, y_error, inside, states, cov)
