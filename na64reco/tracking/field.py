"""A uniform dipole: the exact way of a charged particle through it, and its derivatives.

The state of a track is (x, y, tx, ty, q/p) at a z: positions in mm, slopes dx/dz and dy/dz, charge
in units of the positron's over momentum in c/GeV. In a field (0, By, 0) the momentum's y
component and its part in the x-z plane keep their sizes; the x-z projection is a circle with
curvature k = -c By (q/p) sqrt(1 + v^2), v = dy/ds, along which y rises straight with the arc
length s. Closed form; no step size. (See any textbook, e.g. W. Blum, W. Riegler, L. Rolandi,
Particle Detection with Drift Chambers, 2nd ed., ch. 8.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from na64reco.constants import BEND_PER_TESLA_MM, ELECTRON_MASS, MUON_MASS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from na64reco.setup.model import Magnet

__all__ = ["SYNCHROTRON_LOSS", "Dipoles", "cross_dipole", "dipoles"]

SYNCHROTRON_LOSS: Final = 8.846e-5 / (2 * math.pi) * 0.299792458**2 * 1e-3
"""Mean energy loss of an electron, dE/ds = -k E^2 B^2, in 1/(GeV T^2 mm).

With C_gamma = (4 pi / 3) r_e / (m_e c^2)^3 = 8.846e-5 m/GeV^3, the loss per turn being
C_gamma E^4 / rho (Particle Data Group 2024, accelerator physics of colliders).
"""


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


def dipoles(magnets: Iterable[Magnet], *, particle: str | None = None) -> Dipoles:
    """Magnets as arrays; with ``particle`` ("electron", ...), radiation is accounted for."""
    ordered = sorted(magnets, key=lambda m: m.z)
    strength = 0.0
    if particle in {"electron", "positron"}:
        strength = SYNCHROTRON_LOSS
    elif particle == "muon":
        strength = SYNCHROTRON_LOSS * (ELECTRON_MASS / MUON_MASS) ** 4
    squares = np.array([m.field**2 * m.length for m in ordered])
    return Dipoles(
        start=np.array([m.start for m in ordered], np.float64),
        end=np.array([m.end for m in ordered], np.float64),
        field=np.array([m.field for m in ordered], np.float64),
        loss=strength * (np.cumsum(squares) - squares / 2),
    )


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
    tx, ty, qp = state[2], state[3], state[4]
    effective = qp + math.copysign(loss, qp)
    n = math.sqrt(1.0 + tx * tx)
    sin1, cos1 = tx / n, 1.0 / n
    v = ty / n
    stretch = math.sqrt(1.0 + v * v)
    unit = -BEND_PER_TESLA_MM * field * stretch
    kappa = unit * effective
    sin2 = sin1 + kappa * length
    if not abs(sin2) < 1.0:
        return False
    cos2 = math.sqrt(1.0 - sin2 * sin2)
    dx = length * (sin1 + sin2) / (cos1 + cos2)
    chord = math.sqrt(length * length + dx * dx)
    u = 0.5 * kappa * chord
    # arc / chord = asin(u) / u and its derivative
    if abs(u) < 1e-2:
        ratio = 1.0 + u * u * (1.0 / 6.0 + 0.075 * u * u)
        slope = u * (1.0 / 3.0 + 0.3 * u * u)
    else:
        ratio = math.asin(u) / u
        slope = (1.0 / math.sqrt(1.0 - u * u) - ratio) / u
    sign = 1.0 if length >= 0 else -1.0
    arc = sign * chord * ratio

    state[0] += dx
    state[1] += v * arc
    state[2] = sin2 / cos2
    state[3] = v / cos2

    jacobian[:, :] = 0.0
    for i in range(5):
        jacobian[i, i] = 1.0
    for column in range(2, 5):
        d_sin1 = 1.0 / n**3 if column == 2 else 0.0
        d_v = -ty * tx / n**3 if column == 2 else (1.0 / n if column == 3 else 0.0)
        d_kappa = kappa * v / (1.0 + v * v) * d_v
        if column == 4:
            d_kappa += unit
        d_sin2 = d_sin1 + length * d_kappa
        d_cos1 = -sin1 / cos1 * d_sin1
        d_cos2 = -sin2 / cos2 * d_sin2
        d_dx = (length * (d_sin1 + d_sin2) - dx * (d_cos1 + d_cos2)) / (cos1 + cos2)
        d_chord = dx * d_dx / chord if chord > 0 else 0.0
        d_u = 0.5 * (d_kappa * chord + kappa * d_chord)
        d_arc = sign * (d_chord * ratio + chord * slope * d_u)
        jacobian[0, column] = d_dx
        jacobian[1, column] = d_v * arc + v * d_arc
        jacobian[2, column] = d_sin2 / cos2**3
        jacobian[3, column] = d_v / cos2 - v * d_cos2 / (cos2 * cos2)
        if column == 4:
            jacobian[4, 4] = 1.0
    return True
