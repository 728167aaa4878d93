r"""Collisions with electrons: Moller, Bhabha, annihilation, Compton, and what is lost below a cut.

Cross sections per electron, energies in GeV. Moller, Bhabha and the restricted loss: M. J. Berger,
S. M. Seltzer, NBSIR 82-2550-A (1982), sect. 2; H. Messel, D. F. Crawford, Electron-Photon Shower
Distribution Function (1970). Annihilation in flight: W. Heitler, The Quantum Theory of Radiation
(1954), sect. 27. Compton: O. Klein, Y. Nishina, Z. Phys. 52 (1929) 853.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.cascade.radiation import CLASSICAL_RADIUS
from na64reco.constants import ELECTRON_MASS

if TYPE_CHECKING:
    from na64reco.materials import Material

__all__ = [
    "ELECTRON_DENSITY",
    "annihilation_shape",
    "annihilation_total",
    "bhabha_shape",
    "bhabha_total",
    "compton_total",
    "moller_shape",
    "moller_total",
    "restricted_loss",
]

_RE2: Final = CLASSICAL_RADIUS**2
_M: Final = ELECTRON_MASS
ELECTRON_DENSITY: Final = 6.02214076e23
"""Electrons per g of a material with Z/A = 1 mol/g."""


@njit(cache=True, nogil=True, error_model="numpy")
def moller_shape(epsilon, kinetic):  # type: ignore[no-untyped-def]
    """dsigma/depsilon over 2 pi r_e^2 / (beta^2 (gamma - 1)); epsilon = T'/T <= 1/2."""
    gamma = 1.0 + kinetic / _M
    a = (gamma - 1.0) ** 2 / gamma**2
    b = (2.0 * gamma - 1.0) / gamma**2
    rest = 1.0 - epsilon
    return a + (1.0 / epsilon - b) / epsilon + (1.0 / rest - b) / rest


@njit(cache=True, nogil=True, error_model="numpy")
def bhabha_shape(epsilon, kinetic):  # type: ignore[no-untyped-def]
    """dsigma/depsilon over 2 pi r_e^2 / (gamma - 1); epsilon = T'/T <= 1."""
    gamma = 1.0 + kinetic / _M
    y = 1.0 / (gamma + 1.0)
    b1 = 2.0 - y * y
    b2 = (1.0 - 2.0 * y) * (3.0 + y * y)
    b4 = (1.0 - 2.0 * y) ** 3
    b3 = (1.0 - 2.0 * y) ** 2 + b4
    beta2 = 1.0 - 1.0 / gamma**2
    return (
        1.0 / (beta2 * epsilon * epsilon)
        - b1 / epsilon
        + b2
        - b3 * epsilon
        + b4 * epsilon * epsilon
    )


def moller_total(kinetic: float, cut: float) -> float:
    """Cross section for a knock-on of more than ``cut`` GeV, cm^2 per electron."""
    if kinetic <= 2 * cut:
        return 0.0
    gamma = 1 + kinetic / _M
    beta2 = 1 - 1 / gamma**2
    x = cut / kinetic
    a, b = ((gamma - 1) / gamma) ** 2, (2 * gamma - 1) / gamma**2
    integral = a * (0.5 - x) + 1 / x - 1 / (1 - x) - b * math.log((1 - x) / x)
    return 2 * math.pi * _RE2 / (beta2 * (gamma - 1)) * integral


def bhabha_total(kinetic: float, cut: float) -> float:
    """Cross section for a knock-on of more than ``cut`` GeV, cm^2 per electron."""
    if kinetic <= cut:
        return 0.0
    gamma = 1 + kinetic / _M
    y = 1 / (gamma + 1)
    b1, b2 = 2 - y**2, (1 - 2 * y) * (3 + y**2)
    b4 = (1 - 2 * y) ** 3
    b3 = (1 - 2 * y) ** 2 + b4
    beta2 = 1 - 1 / gamma**2
    x = cut / kinetic
    integral = (1 / x - 1) / beta2 + b1 * math.log(x) + b2 * (1 - x)
    integral += -b3 * (1 - x**2) / 2 + b4 * (1 - x**3) / 3
    return 2 * math.pi * _RE2 / (gamma - 1) * integral


def annihilation_total(kinetic: float) -> float:
    """Cross section of annihilation in flight to two photons, cm^2 per electron."""
    gamma = 1 + kinetic / _M
    root = math.sqrt(gamma**2 - 1)
    return (
        math.pi
        * _RE2
        / (gamma + 1)
        * (
            (gamma**2 + 4 * gamma + 1) / (gamma**2 - 1) * math.log(gamma + root)
            - (gamma + 3) / root
        )
    )


@njit(cache=True, nogil=True, error_model="numpy")
def annihilation_shape(epsilon, kinetic):  # type: ignore[no-untyped-def]
    """epsilon times dsigma/depsilon, at most 1; epsilon: one photon's share of T + 2 m_e."""
    gamma = 1.0 + kinetic / _M
    plus = (gamma + 1.0) ** 2
    return 1.0 - epsilon + (2.0 * gamma * epsilon - 1.0) / (epsilon * plus)


def compton_total(energy: float) -> float:
    """Klein-Nishina cross section, cm^2 per electron."""
    k = energy / _M
    log = math.log1p(2 * k)
    first = (1 + k) / k**2 * (2 * (1 + k) / (1 + 2 * k) - log / k)
    return 2 * math.pi * _RE2 * (first + log / (2 * k) - (1 + 3 * k) / (1 + 2 * k) ** 2)


def restricted_loss(kinetic: float, cut: float, material: Material, *, positron: bool) -> float:
    """Mean loss in collisions that give less than ``cut`` GeV each, GeV/cm.

    Berger and Seltzer, eqs. 5-8, with `Material.density_effect`.
    """
    tau = kinetic / _M
    gamma = tau + 1
    beta2 = tau * (tau + 2) / gamma**2
    limit = cut / _M
    if positron:
        up = min(limit, tau)
        y = 1 / (gamma + 1)
        bracket = (
            tau
            + 2 * up
            - 1.5 * up**2 * y
            - (up - up**3 / 3) * y**2
            - (up**2 / 2 - tau * up**3 / 3 + up**4 / 4) * y**3
        )
        f = math.log(tau * up) - beta2 / tau * bracket
    else:
        up = min(limit, tau / 2)
        f = -1 - beta2 + math.log((tau - up) * up) + tau / (tau - up)
        f += (up**2 / 2 + (2 * tau + 1) * math.log(1 - up / tau)) / gamma**2
    delta = material.density_effect(math.sqrt(tau * (tau + 2)))
    excitation = material.excitation * 1e-9 / _M
    electrons = ELECTRON_DENSITY * material.z_over_a * material.density
    number = math.log(2 * (gamma + 1) / excitation**2) + f - delta
    return float(2 * np.pi * _RE2 * _M * electrons / beta2 * number)
