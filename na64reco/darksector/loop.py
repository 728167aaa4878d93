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

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ELECTRIC_CHARGE", "loop_coupling", "vacuum_integral"]

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
    result = np.zeros(z.shape, dtype=np.complex128)
    small = np.abs(z) < _SERIES_BELOW
    power = np.ones_like(z)
    clipped = np.where(small, z, 0.0)
    for coefficient in _SERIES:
        power = power * clipped
        result += coefficient * power
    safe = np.where(small, -1.0, z)
    beta2 = 1 - 4 / safe
    beta = np.sqrt(np.abs(beta2))
    with np.errstate(divide="ignore", invalid="ignore"):
        # beta ln((beta + 1) / |beta - 1|) = 2 beta artanh(1/beta or beta); 2 b arctan(1/b) below
        # threshold; both tend to 0 or pi b at it.
        real = np.where(
            beta2 < 0,
            2 * beta * np.arctan2(1.0, beta),
            beta * np.log((beta + 1) / np.abs(beta - 1)),
        )
    real = np.where(beta == 0, 0.0, real)
    factor = 1 + 2 / safe
    large = -5 / 18 - 2 / (3 * safe) + factor * real / 6
    imaginary = np.where((safe > 4), -np.pi / 6 * factor * beta, 0.0)
    return np.where(small, result, large + 1j * imaginary)


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
