r"""Dark-vector bremsstrahlung in the Weizsaecker-Williams approximations.

The nucleus' field as a flux chi of real photons (`form_factors.photon_flux`), with
u = E_0^2 theta^2 x + m^2 (1 - x) / x + m_l^2 x:

.. math::
   \frac{d^2\sigma}{dx\,d\cos\theta} = 8 \alpha^3 \varepsilon^2 \frac{E_0 k\,\chi}{u^2}
   \Big[1 - x + \frac{x^2}{2} - \frac{(1 - x)(m^2 + 2 m_l^2)(x u - m^2 (1-x) - m_l^2 x^2)}{u^2}\Big]

(arXiv:0906.0580, eq. 9; arXiv:1705.01633, with the lepton's mass; arXiv:2107.13297).

- WW: chi from t_min = (u / (2 E_0 (1 - x)))^2 to E_0^2, in every point.
- IWW: chi from t_min = m^4 / (4 E_0^2) to m^2 + m_l^2 everywhere (muons) or to m^2 (electrons), so
  that the integral over the angle is closed,
  d sigma / dx = 4 alpha^3 epsilon^2 chi (k / E_k)
  [m_l^2 x (x^2 + 2x - 2) + 2 u (3 - 3x + x^2)] / (6 u^2) with u at theta = 0
  (arXiv:1712.05706, arXiv:2101.12192).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.constants import ELECTRON_MASS
from na64reco.darksector.form_factors import flux_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "iww_flux",
    "iww_in_angle",
    "iww_in_x",
    "iww_total",
    "ww_in_angle",
    "ww_in_x",
    "ww_total",
]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_PANEL: Final = 2.0
_ABOVE_START: Final = 1e10


@njit(cache=True, nogil=True, error_model="numpy")
def _forward_u(x: float, mass: float, lepton: float) -> float:
    return mass * mass * (1 - x) / x + lepton * lepton * x


@njit(cache=True, nogil=True, error_model="numpy")
def _splitting(x: float, u: float, mass: float, lepton: float) -> float:
    m2 = mass * mass
    l2 = lepton * lepton
    transverse = x * u - m2 * (1 - x) - l2 * x * x
    return 1 - x + 0.5 * x * x - (1 - x) * (m2 + 2 * l2) * transverse / (u * u)


@njit(cache=True, nogil=True, error_model="numpy")
def _slowness(x: float, energy: float, mass: float) -> float:
    """k / E_k."""
    return float(np.sqrt(max(1 - (mass / (x * energy)) ** 2, 0.0)))


@njit(cache=True, nogil=True, error_model="numpy")
def iww_flux(energy: float, mass: float, lepton: float, nucleus: NDArray[np.float64]) -> float:
    """chi of IWW."""
    m2 = mass * mass
    # An electron's mass is nothing beside the masses for which IWW holds, and the references leave
    # it out.
    last = m2 + lepton * lepton if lepton > 10 * ELECTRON_MASS else m2
    return flux_kernel(m2 * m2 / (4 * energy * energy), last, nucleus)


@njit(cache=True, nogil=True, error_model="numpy")
def iww_in_angle(  # noqa: PLR0917 - compiled
    x: float, theta: float, energy: float, mass: float, lepton: float, flux: float
) -> float:
    """d2 sigma / dx dtheta over alpha^3 epsilon^2, 1/GeV^2."""
    u = _forward_u(x, mass, lepton) + 4 * energy * energy * x * np.sin(0.5 * theta) ** 2
    k = x * energy * _slowness(x, energy, mass)
    kernel = _splitting(x, u, mass, lepton)
    return float(8 * energy * k * flux / (u * u) * kernel * np.sin(theta))


@njit(cache=True, nogil=True, error_model="numpy")
def iww_in_x(x: float, energy: float, mass: float, lepton: float, flux: float) -> float:
    """d sigma / dx over alpha^3 epsilon^2, 1/GeV^2."""
    l2 = lepton * lepton
    u = _forward_u(x, mass, lepton)
    numerator = l2 * x * (x * x + 2 * x - 2) + 2 * u * (3 - 3 * x + x * x)
    return 4 * flux * _slowness(x, energy, mass) * numerator / (6 * u * u)


@njit(cache=True, nogil=True, error_model="numpy")
def ww_in_angle(  # noqa: PLR0917 - compiled
    x: float,
    theta: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> float:
    """d2 sigma / dx dtheta over alpha^3 epsilon^2, 1/GeV^2."""
    u = _forward_u(x, mass, lepton) + 4 * energy * energy * x * np.sin(0.5 * theta) ** 2
    low = (u / (2 * energy * (1 - x))) ** 2
    return iww_in_angle(x, theta, energy, mass, lepton, flux_kernel(low, energy * energy, nucleus))


@njit(cache=True, nogil=True, error_model="numpy")
def ww_in_x(
    x: float, energy: float, mass: float, lepton: float, nucleus: NDArray[np.float64]
) -> float:
    """d sigma / dx over alpha^3 epsilon^2, 1/GeV^2."""
    first = _forward_u(x, mass, lepton)
    # t_min reaches t_max at u = 2 E_0^2 (1 - x).
    last = min(2 * energy * energy * (1 - x), first + 4 * energy * energy * x)
    last = min(last, _ABOVE_START * first)
    if last <= first:
        return 0.0
    span = np.log(last / first)
    panels = int(np.ceil(span / _PANEL))
    step = span / panels
    result = 0.0
    for panel in range(panels):
        for node, weight in zip(_NODES, _WEIGHTS):  # noqa: B905 - numba
            u = first * np.exp(step * (panel + 0.5 * (1 + node)))
            low = (u / (2 * energy * (1 - x))) ** 2
            flux = flux_kernel(low, energy * energy, nucleus)
            result += 0.5 * step * weight / u * flux * _splitting(x, u, mass, lepton)
    return 4 * result * _slowness(x, energy, mass)


@njit(cache=True, nogil=True, error_model="numpy")
def _total(  # noqa: PLR0917 - compiled
    low: float,
    high: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
    improved: bool,
) -> float:
    if high <= low:
        return 0.0
    flux = iww_flux(energy, mass, lepton, nucleus) if improved else 0.0
    first = np.log(low / (1 - low))
    span = np.log(high / (1 - high)) - first
    panels = max(int(np.ceil(span / _PANEL)), 2)
    step = span / panels
    result = 0.0
    for panel in range(panels):
        for node, weight in zip(_NODES, _WEIGHTS):  # noqa: B905 - numba
            share = 0.5 * (1 + node)
            factor = 0.5 * weight * step
            if panel == 0:  # opens like a root
                factor *= 2 * share
                share = share * share
            rest = 1 / (1 + np.exp(first + step * (panel + share)))
            x = 1 - rest
            value = (
                iww_in_x(x, energy, mass, lepton, flux)
                if improved
                else ww_in_x(x, energy, mass, lepton, nucleus)
            )
            result += factor * x * rest * value
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def ww_total(  # noqa: PLR0917 - compiled
    low: float,
    high: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> float:
    """sigma for low < x < high over alpha^3 epsilon^2, 1/GeV^2."""
    return _total(low, high, energy, mass, lepton, nucleus, False)


@njit(cache=True, nogil=True, error_model="numpy")
def iww_total(  # noqa: PLR0917 - compiled
    low: float,
    high: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> float:
    """sigma for low < x < high over alpha^3 epsilon^2, 1/GeV^2."""
    return _total(low, high, energy, mass, lepton, nucleus, True)
