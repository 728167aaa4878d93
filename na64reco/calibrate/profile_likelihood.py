r"""Likelihood of the fluctuations of showers, for fitting their covariance.

For Gaussian residuals r with the covariance V = D + U Lambda U^T of
:mod:`na64reco.calorimeters.profile`, -2 ln L is :math:`\ln \det V + r^T V^{-1} r`; with Woodbury's
formula and the determinant lemma only 4 x 4 matrices are needed. The first mode, the section's
energy, is free: its infinite variance adds a constant that is left out.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["fluctuation_deviance"]

Array = NDArray[np.float64]


def fluctuation_deviance(
    energies: Array, modes: Array, error: Array, threshold: Array, values: Array, noise2: Array
) -> Array:
    """-2 ln L of each event in one section.

    Parameters
    ----------
    energies
        Of the section's cells, GeV, shape (events, cells).
    modes
        Shares and their three derivatives, shape (events, 4, cells).
    error
        Of the impact point, mm, shape (events,).
    threshold, noise2
        Of the cells, GeV and GeV^2, shape (cells,).
    values
        Quantum, single^2, wander^2, width^2, calibration_error^2.

    Returns
    -------
    shape (events,)
    """
    deviance = np.empty(len(energies))
    _deviance(energies, modes, error, threshold, values, noise2, deviance)
    return deviance


@njit(cache=True, nogil=True, error_model="numpy")
def _deviance(
    energies: Array,
    modes: Array,
    error: Array,
    threshold: Array,
    values: Array,
    noise2: Array,
    deviance: Array,
) -> None:  # pragma: no cover - compiled
    quantum, single2, wander2, width2, calibration2 = values
    matrix, vector = np.empty((4, 4)), np.empty(4)
    for event in range(len(energies)):
        total = max(energies[event].sum(), 0.02)
        at = wander2 / total + error[event] ** 2
        matrix[:] = 0.0
        vector[:] = 0.0
        matrix[0, 0] = 1e-6
        matrix[1, 1] = matrix[2, 2] = 1.0 / at
        matrix[3, 3] = total / width2
        value = 2.0 * np.log(at) + np.log(width2 / total)
        for cell in range(energies.shape[1]):
            found, f = energies[event, cell], modes[event, 0, cell]
            variance = (
                (quantum * total + single2) * f + calibration2 * (total * f) ** 2 + noise2[cell]
            )
            rest = found - total * f
            if found == 0.0:
                rest = min(rest + threshold[cell], 0.0)
            value += np.log(variance) + rest * rest / variance
            for a in range(4):
                u = total * modes[event, a, cell] / variance
                vector[a] += u * rest
                for b in range(a + 1):
                    matrix[a, b] += u * total * modes[event, b, cell]
        for a in range(4):
            for b in range(a):
                matrix[b, a] = matrix[a, b]
        value += np.log(np.linalg.det(matrix))
        value -= (vector * np.linalg.solve(matrix, vector)).sum()
        deviance[event] = value
