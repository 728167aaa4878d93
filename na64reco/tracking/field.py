"""The magnets: uniform dipoles in closed form, and any field in pieces along the beam.

The state of a track is (x, y, tx, ty, q/p) at a z: positions in mm, slopes dx/dz and dy/dz, charge
in units of the positron's over momentum in c/GeV. In a field (0, By, 0) the momentum's y
component and its part in the x-z plane keep their sizes; the x-z projection is a circle with
curvature k = -c By (q/p) sqrt(1 + v^2), v = dy/ds, along which y rises straight with the arc
length s. Closed form; no step size. (See any textbook, e.g. W. Blum, W. Riegler, L. Rolandi,
Particle Detection with Drift Chambers, 2nd ed., ch. 8.)

Linear edges and maps are followed by integration (`runge_kutta`), piece by piece: a `Field` is
cut wherever its description changes, so no step can jump over an edge.
"""

# ruff: noqa: PLR0917 - parts of kernels

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import njit

from na64reco.constants import BEND_PER_TESLA_MM, ELECTRON_MASS, MUON_MASS
from na64reco.errors import SetupError
from na64reco.tracking.fieldmap import load_field_map, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from na64reco.setup.spectrometer import Magnet
    from na64reco.tracking.fieldmap import FieldMap

__all__ = [
    "SMALL",
    "SYNCHROTRON_CRITICAL",
    "SYNCHROTRON_LOSS",
    "SYNCHROTRON_SQUARE",
    "Dipoles",
    "Field",
    "cross_dipole",
    "dipole_exit",
    "dipole_turn",
    "dipoles",
    "magnet_field",
    "small_arc",
]

SMALL: Final = 1e-2
"""Half angles of a circle of which a short series is exact to rounding."""
SYNCHROTRON_LOSS: Final = 8.846e-5 / (2 * math.pi) * 0.299792458**2 * 1e-3
"""Mean energy loss of an electron, dE/ds = -k E^2 B^2, in 1/(GeV T^2 mm).

With C_gamma = (4 pi / 3) r_e / (m_e c^2)^3 = 8.846e-5 m/GeV^3, the loss per turn being
C_gamma E^4 / rho (Particle Data Group 2024, accelerator physics of colliders).
"""
SYNCHROTRON_CRITICAL: Final = 0.665025e-6
"""Critical energy u_c of its photons / (E^2 B), 1/(GeV T): 3 c hbar gamma^3 / (2 rho)."""
SYNCHROTRON_SQUARE: Final = (11 / 27) / (8 / (15 * math.sqrt(3)))
"""<u^2> / (<u> u_c) of the photons: M. Sands, SLAC-121, 1970, sec. 5.2. Their number is Poisson's,
so the variance of the loss is this times its mean times u_c."""


class Dipoles(NamedTuple):
    """Magnets along the beam, each array of shape (magnets,)."""

    start: NDArray[np.float64]
    """z of the entrance, mm."""
    end: NDArray[np.float64]
    """mm."""
    field: NDArray[np.float64]
    """By, T."""
    loss: NDArray[np.float64]
    """What synchrotron radiation adds, on average, to 1/p up to the middle of the magnet, c/GeV.

    1/p rises linearly with the path because dE/ds is proportional to E^2; a state's q/p is
    always that in front of all magnets.
    """
    noise: NDArray[np.float64]
    """Variance of what radiation adds to 1/p in the whole magnet, (c/GeV)^2; like the mean it is
    the same at all momenta."""


class Field(NamedTuple):
    """All magnets cut into pieces along the beam, without gaps in what is not field-free.

    In each piece By = ``base`` + ``slope`` (z - ``start``), and the maps marked in ``active`` add.
    """

    start: NDArray[np.float64]
    """z where a piece begins, mm; shape (pieces,)."""
    end: NDArray[np.float64]
    """mm."""
    base: NDArray[np.float64]
    """T."""
    slope: NDArray[np.float64]
    """T/mm."""
    loss: NDArray[np.float64]
    """As in `Dipoles`, up to the middle of the piece."""
    noise: NDArray[np.float64]
    """As in `Dipoles`."""
    simple: NDArray[np.bool_]
    """Neither slope nor map: `cross_dipole` does it."""
    active: NDArray[np.bool_]
    """Shape (pieces, maps)."""
    origin: NDArray[np.float64]
    """Of each map: first node in the global frame, mm; shape (maps, 3)."""
    step: NDArray[np.float64]
    """mm; shape (maps, 3)."""
    nodes: NDArray[np.int64]
    """Numbers of nodes in x, y, z and place in ``table``; shape (maps, 4)."""
    table: NDArray[np.float64]
    """`fieldmap.table_of` of all maps, z running fastest; shape (nodes, 5)."""


_SAME: Final = 0.2
"""By how much a map's field integral may differ from its magnet's nominal one (relative)."""


def _radiation(particle: str | None) -> tuple[float, float]:
    """Mean and variance of what radiation adds to 1/p, by the integrals of B^2 and of |B|^3."""
    if particle in {"electron", "positron"}:
        ratio = 1.0
    elif particle == "muon":
        ratio = ELECTRON_MASS / MUON_MASS
    else:
        return 0.0, 0.0
    mean = SYNCHROTRON_LOSS * ratio**4
    return mean, mean * SYNCHROTRON_CRITICAL * ratio**3 * SYNCHROTRON_SQUARE


def _on_axis(magnet: Magnet) -> tuple[FieldMap, NDArray[np.float64], NDArray[np.float64]]:
    """A magnet's map, the z of its nodes (global) and By there at x = y = 0."""
    assert magnet.map is not None
    table = load_field_map(magnet.map)
    z = table.origin[2] + table.step[2] * np.arange(table.values.shape[2])
    points = np.zeros((len(z), 3))
    points[:, 2] = np.minimum(z, table.end[2])
    by = magnet.scale * table(points)[:, 1]
    if np.isnan(by).any():
        msg = (
            f"field map {magnet.map}: its grid, x {table.origin[0]:g} to {table.end[0]:g} mm and "
            f"y {table.origin[1]:g} to {table.end[1]:g} mm, does not hold the magnet's axis "
            "x = y = 0; positions in a map count from the magnet's centre"
        )
        raise SetupError(msg)
    return table, z + magnet.z, by


def _mean_field(magnet: Magnet) -> float:
    """By of the uniform dipole of the magnet's length with the same field integral, T."""
    if magnet.map is None:
        return magnet.field
    table, _, by = _on_axis(magnet)
    mean = float((by[:-1] + by[1:]).sum() / 2 * table.step[2] / magnet.length)
    if not abs(mean - magnet.field) <= _SAME * abs(magnet.field):
        msg = (
            f"field map {magnet.map}: its integral of By along the axis is "
            f"{mean * magnet.length:.4g} T mm with scale {magnet.scale:g}, the magnet's field x "
            f"length is {magnet.field * magnet.length:.4g} T mm; mend the map's units, `scale`, "
            "or `field`"
        )
        raise SetupError(msg)
    return mean


def dipoles(magnets: Iterable[Magnet], *, particle: str | None = None) -> Dipoles:
    """Magnets as arrays; with ``particle`` ("electron", ...), radiation is accounted for.

    A magnet with a map or a ramp is the uniform dipole with the same integral of By.

    Raises
    ------
    SetupError
        Where a magnet's map is missing, malformed, or has quite another field integral.
    """
    ordered = sorted(magnets, key=lambda m: m.z)
    field = np.array([_mean_field(m) for m in ordered], np.float64)
    lengths = np.array([m.length for m in ordered], np.float64)
    squares = field**2 * lengths
    mean, variance = _radiation(particle)
    return Dipoles(
        start=np.array([m.start for m in ordered], np.float64),
        end=np.array([m.end for m in ordered], np.float64),
        field=field,
        loss=mean * (np.cumsum(squares) - squares / 2),
        noise=variance * np.abs(field) ** 3 * lengths,
    )


def _trapezoid(magnet: Magnet, z: float) -> float:
    """By of a magnet without a map, T."""
    if magnet.ramp == 0:
        return magnet.field if magnet.start < z < magnet.end else 0.0
    half = magnet.ramp / 2
    rise = min(z - (magnet.start - half), magnet.end + half - z) / magnet.ramp
    return magnet.field * min(1.0, max(0.0, rise))


def magnet_field(
    magnets: Iterable[Magnet], *, particle: str | None = None, cuts: Iterable[float] = ()
) -> Field:
    """The field of all magnets for `runge_kutta`; fields that overlap add up.

    Parameters
    ----------
    particle
        "electron", ...: radiation is accounted for.
    cuts
        Further z at which a piece ends, mm: planes and material in the field.

    Raises
    ------
    SetupError
        Where a magnet's map is missing, malformed, or has quite another field integral.
    """
    ordered = sorted(magnets, key=lambda m: m.z)
    tables, spans, analytic = [], [], []
    edges = set(cuts)
    for m in ordered:
        if m.map is None:
            analytic.append(m)
            half = m.ramp / 2
            edges |= {m.start - half, m.start + half, m.end - half, m.end + half}
        else:
            _mean_field(m)
            table = load_field_map(m.map)
            tables.append((m, table))
            spans.append((m.z + table.origin[2], m.z + table.end[2]))
            edges |= set(spans[-1])
    pieces, active, loss, noise, total = [], [], [], [], 0.0
    mean, variance = _radiation(particle)
    points = sorted(edges)
    for a, b in pairwise(points):
        # A straight line in between; the edges themselves belong to both neighbours.
        low = sum(_trapezoid(m, a + 0.25 * (b - a)) for m in analytic)
        high = sum(_trapezoid(m, a + 0.75 * (b - a)) for m in analytic)
        slope = 2 * (high - low) / (b - a)
        base = low if high == low else low - 0.25 * slope * (b - a)
        slope = 0.0 if high == low else slope
        here = [lo < 0.5 * (a + b) < hi for lo, hi in spans]
        if not any(here) and base == 0.0 and slope == 0.0:
            continue
        t = np.linspace(a, b, 2 if not any(here) and slope == 0.0 else 401)
        by = base + slope * (t - a)
        for (m, table), on in zip(tables, here, strict=True):
            if on:
                local = np.zeros((len(t), 3))
                local[:, 2] = np.clip(t - m.z, table.origin[2], table.end[2])
                by = by + m.scale * table(local)[:, 1]
        squares = np.concatenate(([0.0], np.cumsum((by[1:] ** 2 + by[:-1] ** 2) / 2 * np.diff(t))))
        loss.append(mean * (total + float(np.interp((a + b) / 2, t, squares))))
        cubes = np.abs(by) ** 3
        noise.append(variance * float(((cubes[1:] + cubes[:-1]) / 2 * np.diff(t)).sum()))
        total += float(squares[-1])
        pieces.append((a, b, base, slope))
        active.append(here)
    maps = [t for _, t in tables]
    shapes = [t.values.shape for t in maps]
    sizes = [t.values.size // 3 for t in maps]
    rows = np.array(pieces, np.float64).reshape(-1, 4)
    on = np.array(active, np.bool_).reshape(len(pieces), len(maps))
    offsets = np.cumsum([0, *sizes])[:-1]
    return Field(
        start=rows[:, 0].copy(),
        end=rows[:, 1].copy(),
        base=rows[:, 2].copy(),
        slope=rows[:, 3].copy(),
        loss=np.array(loss, np.float64),
        noise=np.array(noise, np.float64),
        simple=(rows[:, 3] == 0.0) & ~on.any(axis=1),
        active=on,
        origin=np.array(
            [t.origin + np.array((0.0, 0.0, m.z)) for m, t in tables], np.float64
        ).reshape(-1, 3),
        step=np.array([t.step for t in maps], np.float64).reshape(-1, 3),
        nodes=np.array(
            [(*s[:3], o) for s, o in zip(shapes, offsets, strict=True)], np.int64
        ).reshape(-1, 4),
        table=np.concatenate(
            [np.empty((0, 5)), *(table_of(m.scale * t.values).reshape(-1, 5) for m, t in tables)]
        ),
    )


_INLINED: Final[dict[str, Any]] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "forceinline": True,  # parts of loops over many tracks, which the compiler then does in vectors
}


@njit(**_INLINED)
def dipole_turn(tx, ty, qp, length, field, loss):  # type: ignore[no-untyped-def]
    """Angles of the circle in a dipole, for `dipole_exit`, and half its angle u.

    NaN where the particle turns back.
    """
    effective = qp + math.copysign(loss, qp)
    n = math.sqrt(1.0 + tx * tx)
    sin1, cos1 = tx / n, 1.0 / n
    v = ty / n
    unit = -BEND_PER_TESLA_MM * field * math.sqrt(1.0 + v * v)
    kappa = unit * effective
    sin2 = sin1 + kappa * length
    cos2 = math.sqrt(1.0 - sin2 * sin2)
    dx = length * (sin1 + sin2) / (cos1 + cos2)
    chord = math.sqrt(length * length + dx * dx)
    return (n, sin1, cos1, sin2, cos2, v, unit, kappa, dx, chord), 0.5 * kappa * chord


@njit(**_INLINED)
def small_arc(u):  # type: ignore[no-untyped-def]
    """asin(u) / u, arc over chord, and its derivative, for `SMALL` u."""
    return 1.0 + u * u * (1.0 / 6.0 + 0.075 * u * u), u * (1.0 / 3.0 + 0.3 * u * u)


@njit(**_INLINED)
def _derivative(d_sin1, d_v, d_kappa, turn, length, sign, ratio, slope):  # type: ignore[no-untyped-def]
    """A column of the Jacobian, rows 0 to 3."""
    _, sin1, cos1, sin2, cos2, v, _, kappa, dx, chord = turn
    d_kappa += kappa * v / (1.0 + v * v) * d_v
    d_sin2 = d_sin1 + length * d_kappa
    d_cos1 = -sin1 / cos1 * d_sin1
    d_cos2 = -sin2 / cos2 * d_sin2
    d_dx = (length * (d_sin1 + d_sin2) - dx * (d_cos1 + d_cos2)) / (cos1 + cos2)
    d_chord = dx * d_dx / chord if chord > 0.0 else 0.0
    d_u = 0.5 * (d_kappa * chord + kappa * d_chord)
    d_arc = sign * (d_chord * ratio + chord * slope * d_u)
    return (
        d_dx,
        d_v * sign * chord * ratio + v * d_arc,
        d_sin2 / (cos2 * cos2 * cos2),
        d_v / cos2 - v * d_cos2 / (cos2 * cos2),
    )


@njit(**_INLINED)
def dipole_exit(tx, ty, turn, length, ratio, slope):  # type: ignore[no-untyped-def]
    """What x and y gain, slopes behind, and columns 2 to 4 of the Jacobian, rows 0 to 3."""
    n, _, _, sin2, cos2, v, unit, _, dx, chord = turn
    sign = 1.0 if length >= 0 else -1.0
    cube = 1.0 / (n * n * n)
    of_tx = _derivative(cube, -ty * tx * cube, 0.0, turn, length, sign, ratio, slope)
    of_ty = _derivative(0.0, 1.0 / n, 0.0, turn, length, sign, ratio, slope)
    of_qp = _derivative(0.0, 0.0, unit, turn, length, sign, ratio, slope)
    return dx, v * sign * chord * ratio, sin2 / cos2, v / cos2, of_tx, of_ty, of_qp


@njit(cache=True, nogil=True, error_model="numpy")
def cross_dipole(
    state: NDArray[np.float64],
    length: float,
    field: float,
    loss: float,
    jacobian: NDArray[np.float64],
) -> bool:
    """Move a state by ``length`` (mm, negative = backwards) through a field By (T), in place.

    ``jacobian`` (5, 5) receives d(new state)/d(old state). False, and the state untouched, where
    the particle turns back inside the field. ``loss`` is `Dipoles.loss` of the magnet.
    """
    tx, ty = state[2], state[3]
    turn, u = dipole_turn(tx, ty, state[4], length, field, loss)
    if not abs(turn[3]) < 1.0:
        return False
    if abs(u) < SMALL:
        ratio, slope = small_arc(u)
    else:
        ratio = math.asin(u) / u
        slope = (1.0 / math.sqrt(1.0 - u * u) - ratio) / u
    dx, dy, tx, ty, of_tx, of_ty, of_qp = dipole_exit(tx, ty, turn, length, ratio, slope)
    state[0] += dx
    state[1] += dy
    state[2], state[3] = tx, ty
    jacobian[:, :] = 0.0
    for i in range(5):
        jacobian[i, i] = 1.0
    for i in range(4):
        jacobian[i, 2], jacobian[i, 3], jacobian[i, 4] = of_tx[i], of_ty[i], of_qp[i]
    return True
