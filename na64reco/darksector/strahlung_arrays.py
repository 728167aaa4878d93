"""The integrals of dark-vector bremsstrahlung over flat arrays of points, in any approximation.

All cross sections are over alpha^3 epsilon^2, in 1/GeV^2; arrays have shape (points,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.darksector import strahlung_approximate as approximate
from na64reco.darksector import strahlung_exact as exact

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CODES", "angular", "spectra", "totals"]

CODES: Final = {"exact": 0, "ww": 1, "iww": 2}
"""Approximations."""


@njit(cache=True, nogil=True, error_model="numpy")
def totals(  # noqa: PLR0917 - compiled
    code: int,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    mass: NDArray[np.float64],
    energy: NDArray[np.float64],
    lepton: float,
    nucleus: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Cross sections for low < x < high; one entry per mass and energy."""
    found = np.empty(mass.size)
    for i in range(mass.size):
        if code == 0:
            found[i] = exact.total(low[i], high[i], energy[i], mass[i], lepton, nucleus)
        elif code == 1:
            found[i] = approximate.ww_total(low[i], high[i], energy[i], mass[i], lepton, nucleus)
        else:
            found[i] = approximate.iww_total(low[i], high[i], energy[i], mass[i], lepton, nucleus)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def spectra(  # noqa: PLR0917 - compiled
    code: int,
    x: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    mass: NDArray[np.float64],
    energy: NDArray[np.float64],
    lepton: float,
    nucleus: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Cross sections per x; 0 outside low, high."""
    found = np.zeros(x.size)
    for i in range(x.size):
        if not low[i] <= x[i] <= high[i]:
            continue
        if code == 0:
            found[i] = exact.in_x(x[i], energy[i], mass[i], lepton, nucleus)
        elif code == 1:
            found[i] = approximate.ww_in_x(x[i], energy[i], mass[i], lepton, nucleus)
        else:
            flux = approximate.iww_flux(energy[i], mass[i], lepton, nucleus)
            found[i] = approximate.iww_in_x(x[i], energy[i], mass[i], lepton, flux)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def angular(  # noqa: PLR0917 - compiled
    code: int,
    x: NDArray[np.float64],
    theta: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    mass: NDArray[np.float64],
    energy: NDArray[np.float64],
    lepton: float,
    nucleus: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Cross sections per x and angle; 0 outside low, high."""
    found = np.zeros(x.size)
    for i in range(x.size):
        if not low[i] <= x[i] <= high[i]:
            continue
        if code == 0:
            found[i] = exact.in_angle(x[i], theta[i], energy[i], mass[i], lepton, nucleus)
        elif code == 1:
            found[i] = approximate.ww_in_angle(x[i], theta[i], energy[i], mass[i], lepton, nucleus)
        else:
            flux = approximate.iww_flux(energy[i], mass[i], lepton, nucleus)
            found[i] = approximate.iww_in_angle(x[i], theta[i], energy[i], mass[i], lepton, flux)
    return found
