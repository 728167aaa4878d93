"""Hadrons from a virtual vector boson, as R = sigma(hadrons) / sigma(massless mu mu).

A description good to 10-20 %, for branching ratios: pi pi by the rho in the form of G. J.
Gounaris and J. J. Sakurai, Phys. Rev. Lett. 21 (1968) 244; omega and phi as Breit-Wigner peaks;
above 1.1 GeV the sum over u, d and s quarks, with charm above 3.73 GeV and without its peaks.
Masses and widths: Particle Data Group 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import ALPHA, KAON_MASS, PION_MASS
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["HIGHEST", "baryonic_ratio", "electromagnetic_ratio"]

HIGHEST: Final = 10.0
"""GeV; above it, where bottom opens, the description ends."""

_RHO_MASS: Final = 0.77526
_RHO_WIDTH: Final = 0.1491
# Mass, width, width to e+ e- (keV -> GeV), lowest mass of its hadrons.
_OMEGA: Final = (0.78266, 0.00868, 0.60e-6, 3 * PION_MASS)
_PHI: Final = (1.019461, 0.004249, 1.27e-6, 2 * KAON_MASS)
_CONTINUUM: Final = 1.1
_CHARM: Final = 3.73


def _quarks(energy: NDArray[np.float64], light: float, charm: float) -> NDArray[np.float64]:
    """R of the quarks that are open.

    Raises
    ------
    ModelError
        Above `HIGHEST`.
    """
    if np.any(energy > HIGHEST):
        msg = (
            f"{float(np.max(energy)):g} GeV is above {HIGHEST:g} GeV, where the description of "
            f"hadrons ends (masses here are in GeV)"
        )
        raise ModelError(msg)
    return np.where(energy < _CHARM, light, light + charm)


def _momentum(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(s / 4 - PION_MASS**2, 0.0))


def _loop(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """h(s) of Gounaris and Sakurai."""
    k = _momentum(s)
    root = np.sqrt(s)
    return 2 / np.pi * k / root * np.log((root + 2 * k) / (2 * PION_MASS))


def _pion_form_factor2(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """|F_pi|^2 above threshold."""
    m2 = np.array(_RHO_MASS**2)
    k0 = float(_momentum(m2))
    k = _momentum(s)
    h0 = float(_loop(m2))
    slope = h0 * (1 / (8 * k0**2) - 1 / (2 * float(m2))) + 1 / (2 * np.pi * float(m2))
    dispersion = (
        _RHO_WIDTH * float(m2) / k0**3 * (k**2 * (_loop(s) - h0) + k0**2 * slope * (float(m2) - s))
    )
    logarithm = np.log((_RHO_MASS + 2 * k0) / (2 * PION_MASS))
    d = (
        3 / np.pi * PION_MASS**2 / k0**2 * logarithm
        + _RHO_MASS / (2 * np.pi * k0)
        - PION_MASS**2 * _RHO_MASS / (np.pi * k0**3)
    )
    width = _RHO_WIDTH * (k / k0) ** 3 * _RHO_MASS / np.sqrt(s)
    top = float(m2) + d * _RHO_WIDTH * _RHO_MASS
    return np.asarray(top**2 / ((float(m2) - s + dispersion) ** 2 + (_RHO_MASS * width) ** 2))


def _peak(
    energy: NDArray[np.float64], peak: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """9 s Gamma_ee Gamma / (alpha^2 [(s - M^2)^2 + M^2 Gamma^2])."""
    mass, width, electrons, lowest = peak
    s = energy**2
    shape = 9 * s * electrons * width / (ALPHA**2 * ((s - mass**2) ** 2 + (mass * width) ** 2))
    return np.where(energy > lowest, shape, 0.0)


def electromagnetic_ratio(energy: ArrayLike) -> NDArray[np.float64]:
    """R of the electric charge, for kinetic mixing; an error above 10 GeV.

    Parameters
    ----------
    energy
        Mass of the (virtual) vector boson, GeV, any shape.
    """
    energy = np.asarray(energy, dtype=np.float64)
    safe = np.maximum(energy, 2 * PION_MASS)
    beta3 = (2 * _momentum(safe**2) / safe) ** 3
    below = beta3 / 4 * _pion_form_factor2(safe**2) + _peak(energy, _OMEGA) + _peak(energy, _PHI)
    ratio = np.where(energy < _CONTINUUM, below, _quarks(energy, 2.0, 4 / 3))
    return np.where(energy > 2 * PION_MASS, ratio, 0.0)


def baryonic_ratio(energy: ArrayLike) -> NDArray[np.float64]:
    """R of baryon number (1/3 for each quark): 4 times the omega, the phi, 1 for u, d and s.

    No rho, for u and d have the same charge (arXiv:1801.04847). An error above 10 GeV.

    Parameters
    ----------
    energy
        Mass of the (virtual) vector boson, GeV, any shape.
    """
    energy = np.asarray(energy, dtype=np.float64)
    below = 4 * _peak(energy, _OMEGA) + _peak(energy, _PHI)
    return np.where(energy < _CONTINUUM, below, _quarks(energy, 1.0, 1 / 3))
