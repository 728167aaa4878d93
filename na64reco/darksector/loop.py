r"""The loop that gives the L_mu - L_tau Z' a coupling to electrons.

.. math::
   \Pi(q^2) = \frac{e\,g}{2\pi^2}\int_0^1 dx\,x(1-x)\,
              \ln\frac{m_\tau^2 - x(1-x)q^2 - i0}{m_\mu^2 - x(1-x)q^2 - i0}

arXiv:2404.06982, eq. 2.3; arXiv:2206.03101v2, eq. 6. In closed form Pi/g = e/(2 pi^2) [ln(m_tau /
m_mu)/3 + J(q2/m_tau^2) - J(q2/m_mu^2)] with J the integral of x(1-x) ln(1 - x(1-x) z), which is the
vacuum polarisation of quantum electrodynamics. Below the pair's threshold Pi is real; beta being
sqrt(1 - 4/z), the imaginary part is e/(12 pi) (1 + 2/z) beta for the muon, less the same for the
tau above its own threshold (A.2 of 2206.03101v2). |Pi| is largest at q2 = 4 m_mu^2
(arXiv:2404.06982 says m_mu^2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import ALPHA, MUON_MASS, TAU_MASS
from na64reco.darksector.quadrature import graded, panel_nodes
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ELECTRIC_CHARGE", "averaged_loop", "loop_coupling", "vacuum_integral"]

ELECTRIC_CHARGE: Final = float(np.sqrt(4 * np.pi * ALPHA))
"""e, in units where alpha = e^2 / (4 pi)."""

_SERIES_BELOW: Final = 0.3
_TERMS: Final = 24


def _coefficients() -> NDArray[np.float64]:
    """Of z^n in J: -((n+1)!)^2 / (n (2n+3)!), from Euler's beta function."""
    found = []
    beta = 1 / 30  # B(3, 3), of n = 1
    for n in range(1, _TERMS + 1):
        found.append(-beta / n)
        beta *= (n + 2) ** 2 / ((2 * n + 4) * (2 * n + 5))
    return np.array(found)


_SERIES: Final = _coefficients()


def vacuum_integral(z: ArrayLike) -> NDArray[np.complex128]:
    """J(z): integral over x from 0 to 1 of x(1-x) ln(1 - x(1-x) z - i0).

    Parameters
    ----------
    z
        q2 / m^2, real, any shape.
    """
    z = np.asarray(z, dtype=np.float64)
    result = np.empty(z.shape, dtype=np.complex128)
    small = np.abs(z) < _SERIES_BELOW
    result[small] = _series(z[small])
    result[~small] = _closed(z[~small])
    return result


def _series(z: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.zeros_like(z)
    for coefficient in _SERIES[::-1]:
        found = (found + coefficient) * z
    return found


def _closed(z: NDArray[np.float64]) -> NDArray[np.complex128]:
    beta2 = 1 - 4 / z
    beta = np.sqrt(np.abs(beta2))
    below = beta2 < 0
    root = np.empty_like(z)
    # beta ln((beta + 1) / |beta - 1|) = 2 beta artanh(1/beta or beta); 2 b arctan(1/b) below
    # threshold; both tend to 0 or pi b at it.
    root[below] = 2 * beta[below] * np.arctan2(1.0, beta[below])
    above = beta[~below]
    with np.errstate(divide="ignore", invalid="ignore"):
        root[~below] = np.where(above == 0, 0.0, above * np.log((above + 1) / np.abs(above - 1)))
    factor = 1 + 2 / z
    found = np.empty(z.shape, dtype=np.complex128)
    found.real = -5 / 18 - 2 / (3 * z) + factor * root / 6
    found.imag = np.where(z > 4, -np.pi / 6 * factor * beta, 0.0)
    return found


def loop_coupling(q2: ArrayLike, *, coupling: float = 1.0) -> NDArray[np.complex128]:
    """Pi(q2) for the Z' of L_mu - L_tau.

    Parameters
    ----------
    q2
        GeV^2, any shape; negative where space-like.
    coupling
        g_Z'.
    """
    q2 = np.asarray(q2, dtype=np.float64)
    difference = vacuum_integral(q2 / TAU_MASS**2) - vacuum_integral(q2 / MUON_MASS**2)
    constant = np.log(TAU_MASS / MUON_MASS) / 3
    factor = ELECTRIC_CHARGE * coupling / (2 * np.pi**2)
    return np.asarray(factor * (constant + difference))


def averaged_loop(
    mass: ArrayLike, width: ArrayLike, lowest: ArrayLike, *, highest: float = 1e8
) -> NDArray[np.float64]:
    r"""I of \|Pi\|^2 / g^2, the loop averaged over the line shape: arXiv:2404.06982, eq. 5.1.

    .. math:: \int dq^2\,\frac{|\Pi(q^2)|^2}{\pi}
              \frac{\sqrt{q^2}\,\Gamma}{(q^2 - m^2)^2 + m^2\Gamma^2}

    The width is constant, as there.

    Parameters
    ----------
    mass, width
        Of the Z', GeV, any shapes that broadcast.
    lowest
        Least q2, GeV^2: 4 m_chi^2.
    highest
        Largest q2, GeV^2.

    Raises
    ------
    ModelError
        If mass or width are not positive, or the lowest q2 is not below m^2.
    """
    mass, width, lowest = np.broadcast_arrays(
        np.asarray(mass, dtype=np.float64),
        np.asarray(width, dtype=np.float64),
        np.asarray(lowest, dtype=np.float64),
    )
    if not (np.all(mass > 0) and np.all(width > 0)):
        msg = f"mass and width must be positive (GeV), found {np.min(mass):g}, {np.min(width):g}"
        raise ModelError(msg)
    if not np.all((lowest >= 0) & (lowest < mass**2) & (mass**2 < highest)):
        msg = (
            f"q2 from {np.max(lowest):g} to {highest:g} GeV^2 does not hold m^2 = "
            f"{np.min(mass) ** 2:g}: a decay on the mass shell needs m_chi < m / 2"
        )
        raise ModelError(msg)
    relative = (width / mass)[..., None]
    ends = [lowest / mass**2 - 1, highest / mass**2 - 1]
    peak = graded(relative[..., 0] / 2, 1e2, 60)
    tail = np.geomspace(1e2, np.max(ends[1]) + 1, 40) * np.ones_like(relative)
    cusps = [
        (2 * lepton / mass[..., None]) ** 2 * (1 + graded(1e-7, 0.5, 10)) - 1
        for lepton in (MUON_MASS, TAU_MASS)
    ]
    edges = np.sort(np.concatenate((peak, tail, *cusps), axis=-1), axis=-1)
    edges = np.clip(edges, ends[0][..., None], ends[1][..., None])
    offset, weights = panel_nodes(edges)
    square = np.abs(loop_coupling(mass[..., None] ** 2 * (1 + offset))) ** 2
    shape = np.sqrt(1 + offset) * relative / (np.pi * (offset**2 + relative**2))
    return np.asarray(np.sum(weights * square * shape, axis=-1))
