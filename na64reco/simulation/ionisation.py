"""Ionisation by single charged particles: fluctuating energies around those of the setup.

Fluctuations follow Moyal's approximation of Landau's distribution (J. E. Moyal, Phil. Mag. 46
(1955) 263): most probable value + w * lambda with lambda = -ln(z^2), z normal; mean = most probable
+ w (gamma_E + ln 2). Vavilov's cut-off and density effect are not modelled; the relative widths
are `assumed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOYAL_MEAN", "mean_one", "most_probable_one"]

MOYAL_MEAN: Final = float(np.euler_gamma + np.log(2))
"""Mean of the standard Moyal distribution."""

_LARGEST = 40.0
"""The tail ends here, in widths."""


def _moyal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    z2 = np.maximum(rng.standard_normal(shape) ** 2, np.exp(-_LARGEST))
    return np.asarray(-np.log(z2))


def most_probable_one(
    rng: np.random.Generator, shape: tuple[int, ...], width: float
) -> NDArray[np.float64]:
    """Energies over the most probable energy, never negative."""
    return np.maximum(0.0, 1 + width * _moyal(rng, shape))


def mean_one(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> NDArray[np.float64]:
    """Energies over the mean energy, never negative."""
    return np.maximum(0.0, 1 + width * (_moyal(rng, shape) - MOYAL_MEAN))
