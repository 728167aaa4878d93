"""Bremsstrahlung of a dark vector by electrons on nuclei: its energy spectrum.

Improved Weizsaecker-Williams approximation of the differential cross section
(arXiv:1604.08432, arXiv:1712.05706). The total cross section, and what the approximation lacks
below 1 MeV, come with the models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.constants import ELECTRON_MASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dsigma_dx", "x_limits"]

LEAD_MASS = 207.2 * 0.93149410242 - 82 * ELECTRON_MASS
"""GeV, of a lead nucleus (mean of the natural isotopes)."""

SOFTEST_X = 0.01
"""Lower end of the spectrum for masses below 1 MeV (arXiv:1712.05706)."""


def x_limits(mass: float, energy: float, *, nucleus: float = LEAD_MASS) -> tuple[float, float]:
    """Range of x = E_dark / E_0.

    Parameters
    ----------
    mass
        Of the dark particle, GeV.
    energy
        Of the electron, GeV.
    nucleus
        Mass of the nucleus, GeV.

    Returns
    -------
    low, high
        low = max(m / E_0, 0.01); high = 1 - m_e / E_0 - m^4 / (8 E_0^3 M).

    Raises
    ------
    ValueError
        If mass or energy are not positive, or the electron cannot make such a mass.
    """
    if not mass > 0 or not energy > 0:
        msg = f"mass and energy must be positive (GeV), found mass={mass}, energy={energy}"
        raise ValueError(msg)
    low = max(mass / energy, SOFTEST_X)
    high = 1 - ELECTRON_MASS / energy - mass**4 / (8 * energy**3 * nucleus)
    if low >= high:
        msg = (
            f"an electron of {energy} GeV cannot radiate a mass of {mass} GeV on a nucleus of "
            f"{nucleus:.6g} GeV; choose a smaller mass (masses here are in GeV)"
        )
        raise ValueError(msg)
    return low, high


def dsigma_dx(x: NDArray[np.float64], mass: float, energy: float) -> NDArray[np.float64]:
    """Spectrum of x = E_dark / E_0, not normalised.

    p (m_e^2 x (x^2 + 2x - 2) - 2 u (3 - 3x + x^2)) / (3 x u^2) with p = sqrt(x^2 E_0^2 - m^2) and
    u = -m^2 (1 - x) / x - m_e^2 x: eq. 8 of arXiv:1712.05706 in the form of arXiv:2101.12192.

    Parameters
    ----------
    x
        Any shape; values outside `x_limits` give 0.
    mass
        Of the dark particle, GeV.
    energy
        Of the electron, GeV.

    Returns
    -------
    array
        Same shape as x.
    """
    low, high = x_limits(mass, energy)
    x = np.asarray(x, dtype=np.float64)
    inside = (x >= low) & (x <= high)
    safe = np.where(inside, x, 0.5 * (low + high))
    momentum = np.sqrt(np.maximum(safe**2 * energy**2 - mass**2, 0.0))
    u = -(mass**2) * (1 - safe) / safe - ELECTRON_MASS**2 * safe
    numerator = ELECTRON_MASS**2 * safe * (safe**2 + 2 * safe - 2) - 2 * u * (
        3 - 3 * safe + safe**2
    )
    return np.where(inside, momentum * numerator / (3 * safe * u**2), 0.0)
