r"""chi2 of a shower's shape against an electron's at the same impact point.

.. math:: \chi^2 = K(E)\,\frac{X_\mathrm{main} + p X_\mathrm{prs} + s X_\mathrm{share}}{1 + p + s},
   \qquad X = \frac{\sum_i v_i (E_i - S f_i)^2 / \sigma_i^2}{\sum_i v_i}

with the cells' expected shares f, variances sigma^2 and the expected preshower share of
:mod:`na64reco.calorimeters.profile`. Each X has the mean 1 where the variances are right. The
weights v = sqrt(max(f, 0.001)) keep the many outer cells, where little but noise is expected, from
hiding a misfit of the few that hold the shower; energy where none is expected still counts in
full measure because its variance is small. A cell below its threshold counts only as far as more
was expected of it. K is chosen such that 100 GeV electrons peak near 1 and 95 % of them are below
4, as in the published cuts.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.profile import FAST, REFERENCE_ENERGY, fill_shares

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = ["shower_chi2"]

Array = NDArray[np.float64]

_PRS_WEIGHT: Final = 0.4
_SHARE_WEIGHT: Final = 0.2
_SMALLEST_SHARE: Final = 1e-3
_SMALLEST_PRS: Final = 1e-3
_HIDDEN: Final = 3.0
"""Cells expected to have less than this many thresholds may well be below theirs."""


def shower_chi2(
    energies: Array,
    x: Array,
    y: Array,
    profile: ShowerProfile,
    calorimeter: Calorimeter,
    threshold: Array,
    *,
    error: Array | None = None,
) -> Array:
    """chi2/ndf of the shower shape, see the module.

    Parameters
    ----------
    energies
        In-time energies of the cells, GeV, shape (events, 2, nx, ny).
    x, y
        Impact points in the calorimeter's frame, mm, shape (events,).
    profile, calorimeter
        The expected shower and the cells.
    threshold
        Of the cells, GeV, shape (2, nx, ny). A cell without energy says no more than that it is
        below: an expected energy counts against it as far as it is above.
    error
        Uncertainty of the impact points per axis, mm, shape (events,); `track_error` by default.

    Returns
    -------
    shape (events,); NaN where there is no energy or no impact point
    """
    chi2 = np.empty(len(energies))
    finite = np.where(np.isfinite(threshold), threshold, 0.0)
    noise = np.maximum(profile.noise, 0.5 * finite) ** 2
    if error is None:
        error = np.full(len(energies), profile.track_error)
    _chi2(
        energies,
        np.ascontiguousarray(x, dtype=np.float64),
        np.ascontiguousarray(y, dtype=np.float64),
        calorimeter.cell_x,
        calorimeter.cell_y,
        profile.weight,
        profile.sigma,
        profile.growth,
        profile.quantum,
        profile.single**2,
        profile.wander**2,
        np.ascontiguousarray(error, dtype=np.float64),
        profile.calibration_error**2,
        np.ascontiguousarray(noise),
        np.ascontiguousarray(finite),
        profile.share_log,
        profile.share_slope,
        profile.share_width,
        profile.chi2_scale,
        profile.chi2_growth,
        chi2,
    )
    return chi2


@njit(cache=True, nogil=True, fastmath=FAST)
def _chi2(
    energies: Array,
    x: Array,
    y: Array,
    cell_x: float,
    cell_y: float,
    weight: Array,
    sigma: Array,
    growth: Array,
    quantum: Array,
    single2: Array,
    wander2: Array,
    error: Array,
    calibration2: float,
    noise2: Array,
    threshold: Array,
    share_log: float,
    share_slope: float,
    share_width: float,
    chi2_scale: float,
    chi2_growth: float,
    chi2: Array,
) -> None:  # pragma: no cover - compiled
    events, _, nx, ny = energies.shape
    share, slope_x, slope_y = np.empty((nx, ny)), np.empty((nx, ny)), np.empty((nx, ny))
    work = np.empty((4, weight.shape[1], max(nx, ny)))
    scaled = np.empty(weight.shape[1])
    for event in range(events):
        prs, main = 0.0, 0.0
        for i in range(nx):
            for j in range(ny):
                prs += energies[event, 0, i, j]
                main += energies[event, 1, i, j]
        total = prs + main
        if not (total > 0.0 and np.isfinite(x[event]) and np.isfinite(y[event])):
            chi2[event] = np.nan
            continue
        log_energy = np.log(max(total, 1.0) / REFERENCE_ENERGY)
        sum_x = 0.0
        for section in range(2):
            for k in range(len(scaled)):
                scaled[k] = sigma[section, k] * np.exp(growth[section] * log_energy)
            fill_shares(
                x[event], y[event], cell_x, cell_y, weight[section], scaled, work,
                share, slope_x, slope_y,
            )  # fmt: skip
            energy = max(prs if section == 0 else main, 0.0)
            poisson = quantum[section] * energy + single2[section]
            shift = wander2[section] * energy + (error[event] * energy) ** 2
            relative = calibration2 * energy * energy
            # Cells below threshold lack in the section's sum: the expected shares are those of what
            # is left.
            hidden = 0.0
            for i in range(nx):
                for j in range(ny):
                    expected = energy * share[i, j]
                    limit = _HIDDEN * threshold[section, i, j]
                    if energies[event, section, i, j] == 0.0 and expected < limit:
                        hidden += share[i, j]
            energy /= 1.0 - min(hidden, 0.5)
            top, bottom = 0.0, 0.0
            for i in range(nx):
                for j in range(ny):
                    f = share[i, j]
                    slope2 = slope_x[i, j] ** 2 + slope_y[i, j] ** 2
                    variance = (
                        poisson * f * (1.0 - f)
                        + slope2 * shift
                        + relative * f * f
                        + noise2[section, i, j]
                    )
                    v = np.sqrt(max(f, _SMALLEST_SHARE))
                    excess = energies[event, section, i, j] - energy * f
                    if energies[event, section, i, j] == 0.0:
                        excess = min(excess + threshold[section, i, j], 0.0)
                    top += v * excess * excess / variance
                    bottom += v
            sum_x += top / bottom * (_PRS_WEIGHT if section == 0 else 1.0)
        pull = (
            np.log(max(prs / total, _SMALLEST_PRS)) - share_log - share_slope * log_energy
        ) / share_width
        sum_x += _SHARE_WEIGHT * pull * pull
        chi2[event] = (
            chi2_scale
            * np.exp(chi2_growth * log_energy)
            * sum_x
            / (1.0 + _PRS_WEIGHT + _SHARE_WEIGHT)
        )
