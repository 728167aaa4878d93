r"""Energy of a shower that cells below their thresholds hide.

Far from the axis a cell gets its energy from few particles. If their number is Poisson's with the
mean :math:`\mu / q` and each leaves an energy of exponential distribution with the mean q (`lone`),
the energy lost on average below the threshold t is

.. math:: \sum_n \mathrm{P}(n; \mu / q)\; n\,q\; \gamma(n + 1, t / q),

:math:`\gamma` being the regularised incomplete gamma function. The sum over the cells, for a shower
at the middle of the beam's cell, is a function of the shower's energy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln, xlogy

from na64reco.calorimeters.profile import REFERENCE_ENERGY
from na64reco.calorimeters.shares import expected_shares

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = ["ENERGIES", "hidden_energy", "lost_energy"]

Array = NDArray[np.float64]

ENERGIES: Final = np.geomspace(0.1, 400.0, 41)
"""Of showers that the table has, GeV."""
_TERMS: Final = 30
_POINTS: Final = 40
_LARGEST: Final = 6.0
"""Cells expected to have more than this many thresholds are never below theirs."""


def lost_energy(mean: Array, threshold: float, lone: float) -> Array:
    """Energy that a cell with the expected energy `mean` loses below its threshold, GeV."""
    n = np.arange(1, _TERMS)
    expected = np.asarray(mean)[..., None] / lone
    # Poisson's; scipy.stats has it too, but takes half a second of every command to import.
    chance = np.exp(xlogy(n, expected) - gammaln(n + 1) - expected)
    lost: Array = (chance * n * lone * gammainc(n + 1, threshold / lone)).sum(axis=-1)
    return lost


def hidden_energy(profile: ShowerProfile, calorimeter: Calorimeter, threshold: Array) -> Array:
    """Mean energy below threshold of showers of the energies `ENERGIES`.

    Parameters
    ----------
    profile, calorimeter
        The expected shower and the cells.
    threshold
        Of the cells, GeV, shape (2, nx, ny).

    Returns
    -------
    GeV, shape (energies,)
    """
    ix, iy = calorimeter.beam_cell or (calorimeter.nx // 2, calorimeter.ny // 2)
    log_energy = np.log(ENERGIES / REFERENCE_ENERGY)
    at = np.ones(len(ENERGIES))
    share = expected_shares(
        profile,
        calorimeter,
        at * calorimeter.x_centres[ix],
        at * calorimeter.y_centres[iy],
        ENERGIES,
    )
    prs = np.exp(
        profile.share_log + profile.share_slope * log_energy + 0.5 * profile.share_width**2
    )
    prs = np.minimum(prs, 1.0)
    mean = share * (ENERGIES[:, None] * np.stack([prs, 1 - prs], axis=1))[:, :, None, None]
    hidden = np.zeros(len(ENERGIES))
    known = np.isfinite(threshold) & (threshold > 0)
    for value in np.unique(threshold[known]):
        cells = threshold == value
        points = np.linspace(0, _LARGEST * value, _POINTS)
        table = lost_energy(points, float(value), profile.lone)
        hidden += np.interp(mean[:, cells], points, table, right=0.0).sum(axis=1)
    return hidden
