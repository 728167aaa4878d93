"""The expansion of the early universe: effective numbers of degrees of freedom.

From 1 MeV up the table of S. Borsanyi et al., Nature 539 (2016) 69 (arXiv:1606.07494), table S2,
lattice QCD and the Standard Model, 1 %; below it photons, electrons, and neutrinos that left the
bath while it held all electrons (the entropy of photons and electrons is kept apart).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from na64reco.constants import ELECTRON_MASS
from na64reco.darksector.quadrature import panel_nodes
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PLANCK_MASS", "energy_degrees", "entropy_degrees", "entropy_density", "hubble"]

PLANCK_MASS: Final = 1.220890e19
"""GeV (Particle Data Group 2024)."""

# log10(T / MeV), g of the energy, g of the energy over g of the entropy.
_TABLE: Final = np.array([
    (0.00, 10.71, 1.00228), (0.50, 10.74, 1.00029), (1.00, 10.76, 1.00048),
    (1.25, 11.09, 1.00505), (1.60, 13.68, 1.02159), (2.00, 17.61, 1.02324),
    (2.15, 24.07, 1.05423), (2.20, 29.84, 1.07578), (2.40, 47.83, 1.06118),
    (2.50, 53.04, 1.04690), (3.00, 73.48, 1.01778), (4.00, 83.10, 1.00123),
    (4.30, 85.56, 1.00389), (4.60, 91.97, 1.00887), (5.00, 102.17, 1.00750),
    (5.45, 104.98, 1.00023),
])  # fmt: skip
HIGHEST_TEMPERATURE: Final = 10**5.45 * 1e-3
"""GeV."""


def _electrons(ratio: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Degrees of freedom of e+ and e- in energy and entropy, at x = m_e / T."""
    momentum, weights = panel_nodes(np.linspace(0.0, 60.0, 41))
    x = ratio[:, None]
    energy = np.sqrt(momentum**2 + x**2)
    occupied = weights * momentum**2 / (np.exp(np.minimum(energy, 600)) + 1)
    unit = 4 / (2 * np.pi**2)
    density = unit * np.sum(occupied * energy, axis=1)
    pressure = unit * np.sum(occupied * momentum**2 / (3 * energy), axis=1)
    return density * 30 / np.pi**2, (density + pressure) * 45 / (2 * np.pi**2)


@lru_cache(maxsize=1)
def _curves() -> tuple[PchipInterpolator, PchipInterpolator]:
    cold = np.linspace(-4.0, -0.1, 80)
    energy, entropy = _electrons(ELECTRON_MASS * 1e3 / 10**cold)
    cooler = (2 + entropy) / 5.5  # (T_nu / T)^3
    g_energy = 2 + energy + 5.25 * cooler ** (4 / 3)
    g_entropy = 2 + entropy + 5.25 * cooler
    at = np.concatenate((cold, _TABLE[:, 0]))
    return (
        PchipInterpolator(at, np.concatenate((g_energy, _TABLE[:, 1]))),
        PchipInterpolator(at, np.concatenate((g_entropy, _TABLE[:, 1] / _TABLE[:, 2]))),
    )


def _logarithm(temperature: ArrayLike) -> NDArray[np.float64]:
    temperature = np.asarray(temperature, dtype=np.float64)
    if not np.all((temperature > 0) & (temperature <= HIGHEST_TEMPERATURE)):
        msg = (
            f"temperatures must be above 0 and at most {HIGHEST_TEMPERATURE:.0f} GeV, where the "
            f"table of degrees of freedom ends; found {np.max(temperature):g}"
        )
        raise ModelError(msg)
    return np.asarray(np.clip(np.log10(temperature) + 3, -4.0, 5.45))


def energy_degrees(temperature: ArrayLike) -> NDArray[np.float64]:
    """g_* of the energy density, of the photons' temperature (GeV)."""
    return np.asarray(_curves()[0](_logarithm(temperature)))


def entropy_degrees(temperature: ArrayLike) -> NDArray[np.float64]:
    """h, g_* of the entropy, of the photons' temperature (GeV)."""
    return np.asarray(_curves()[1](_logarithm(temperature)))


def entropy_slope(temperature: ArrayLike) -> NDArray[np.float64]:
    """d ln h / d ln T."""
    at = _logarithm(temperature)
    curve = _curves()[1]
    return np.asarray(curve(at, 1) / curve(at) / np.log(10))


def entropy_density(temperature: ArrayLike) -> NDArray[np.float64]:
    """2 pi^2 / 45 h T^3, GeV^3."""
    temperature = np.asarray(temperature, dtype=np.float64)
    return np.asarray(2 * np.pi**2 / 45 * entropy_degrees(temperature) * temperature**3)


def hubble(temperature: ArrayLike) -> NDArray[np.float64]:
    """Expansion rate while radiation dominates, GeV."""
    temperature = np.asarray(temperature, dtype=np.float64)
    root = np.sqrt(8 * np.pi**3 / 90 * energy_degrees(temperature))
    return np.asarray(root * temperature**2 / PLANCK_MASS)
