"""Photoelectric absorption: tables to 800 keV, Sauter's energy dependence above.

Tables: W. T. Elam, B. D. Ravel, J. R. Sieber, Radiat. Phys. Chem. 63 (2002) 121, by `xraydb`.
Above: F. Sauter, Ann. Phys. 11 (1931) 454, K shell, scaled to the tables at 800 keV.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from na64reco.constants import ELECTRON_MASS

if TYPE_CHECKING:
    from na64reco.materials import Material

__all__ = ["photoelectric"]

_TABLES_TO: Final = 0.8e-3
"""GeV."""


def _sauter(energy: float) -> float:
    """Energy dependence of the cross section; ``energy`` of the photon, GeV."""
    gamma = 1 + energy / ELECTRON_MASS
    beta = math.sqrt(1 - 1 / gamma**2)
    logarithm = math.log((1 + beta) / (1 - beta))
    bracket = 4 / 3 + gamma * (gamma - 2) / (gamma + 1) * (1 - logarithm / (2 * beta * gamma**2))
    return (beta * gamma) ** 3 / (gamma - 1) ** 5 * bracket


def photoelectric(energy: float, material: Material) -> float:
    """Attenuation by photoelectric absorption, cm^2/g; ``energy`` of the photon, GeV."""
    import xraydb  # two thirds of a second, and its tables are for those who follow photons only

    inside = min(energy, _TABLES_TO)
    found = sum(
        share * float(xraydb.mu_elam(element.symbol, inside * 1e9, kind="photo"))
        for element, share in material.composition
    )
    return found if energy <= _TABLES_TO else found * _sauter(energy) / _sauter(_TABLES_TO)
