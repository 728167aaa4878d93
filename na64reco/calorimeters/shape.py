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

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.profile import FAST, REFERENCE_ENERGY, fill_shares

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = ["Expectation", "Room", "event_chi2", "expectation", "make_room", "shower_chi2"]

Array = NDArray[np.float64]

_PRS_WEIGHT: Final = 0.4
_SHARE_WEIGHT: Final = 0.2
_SMALLEST_SHARE: Final = 1e-3
_SMALLEST_PRS: Final = 1e-3
_HIDDEN: Final = 3.0
"""Cells expected to have less than this many thresholds may well be below theirs."""


_LANES: Final = 16
"""Rows of cells are padded to a multiple of this, so that loops over them are whole vectors."""


class Expectation(NamedTuple):
    """The expected shower in one calorimeter as kernels take it.

    Arrays over cells have the shape (2, stride): a section's cells flat, then padding.
    """

    nx: int
    ny: int
    cell_x: float
    cell_y: float
    weight: Array
    sigma: Array
    growth: Array
    quantum: Array
    single2: Array
    wander2: Array
    calibration2: float
    noise2: Array
    threshold: Array
    live: Array
    """1 for cells, 0 for the padding, shape (stride,)."""
    share_log: float
    share_slope: float
    share_width: float
    chi2_scale: float
    chi2_growth: float


def expectation(profile: ShowerProfile, calorimeter: Calorimeter, threshold: Array) -> Expectation:
    """Parameters and squares of them; `threshold` of the cells, GeV, shape (2, nx, ny)."""
    cells = calorimeter.nx * calorimeter.ny
    stride = -(-cells // _LANES) * _LANES
    finite = np.zeros((2, stride))
    finite[:, :cells] = np.where(np.isfinite(threshold), threshold, 0.0).reshape(2, cells)
    return Expectation(
        nx=calorimeter.nx,
        ny=calorimeter.ny,
        cell_x=calorimeter.cell_x,
        cell_y=calorimeter.cell_y,
        weight=profile.weight,
        sigma=profile.sigma,
        growth=profile.growth,
        quantum=profile.quantum,
        single2=profile.single**2,
        wander2=profile.wander**2,
        calibration2=profile.calibration_error**2,
        noise2=np.maximum(profile.noise, 0.5 * finite) ** 2,
        threshold=finite,
        live=(np.arange(stride) < cells).astype(np.float64),
        share_log=profile.share_log,
        share_slope=profile.share_slope,
        share_width=profile.share_width,
        chi2_scale=profile.chi2_scale,
        chi2_growth=profile.chi2_growth,
    )


class Room(NamedTuple):
    """Memory that `event_chi2` works in."""

    axes: Array
    sigma: Array
    grid: tuple[Array, Array, Array]
    """Shares of a section's cells, their slopes in x and in y, shape (nx, ny) each."""
    share: Array
    """The same memory, flat and with padding that stays 0, shape (stride,)."""
    slope_x: Array
    slope_y: Array


def make_room(expected: Expectation) -> Room:
    """Memory for one thread."""
    nx, ny, terms = expected.nx, expected.ny, expected.weight.shape[1]
    share, slope_x, slope_y = flat = np.zeros((3, len(expected.live)))
    first, second, third = (row[: nx * ny].reshape(nx, ny) for row in flat)
    return Room(
        axes=np.zeros((4, terms, max(nx, ny))),
        sigma=np.zeros(terms),
        grid=(first, second, third),
        share=share,
        slope_x=slope_x,
        slope_y=slope_y,
    )


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
    expected = expectation(profile, calorimeter, threshold)
    events, cells = len(energies), calorimeter.nx * calorimeter.ny
    padded = np.zeros((events, 2, len(expected.live)))
    padded[:, :, :cells] = energies.reshape(events, 2, cells)
    if error is None:
        error = np.full(events, profile.track_error)
    chi2 = np.empty(events)
    _chi2(
        padded,
        np.ascontiguousarray(x, dtype=np.float64),
        np.ascontiguousarray(y, dtype=np.float64),
        np.ascontiguousarray(error, dtype=np.float64),
        expected,
        make_room(expected),
        chi2,
    )
    return chi2


@njit(cache=True, nogil=True)
def _chi2(
    energies: Array,
    x: Array,
    y: Array,
    error: Array,
    expected: Expectation,
    room: Room,
    chi2: Array,
) -> None:  # pragma: no cover - compiled
    for event in range(len(energies)):
        chi2[event] = event_chi2(energies[event], x[event], y[event], error[event], expected, room)


# With Python's errors of division (numba's default) the loops over cells would not be vectorised.
@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def event_chi2(
    energies: Array, x: float, y: float, error: float, expected: Expectation, room: Room
) -> float:  # pragma: no cover - compiled
    """chi2/ndf of one shower; `energies` has the shape (2, stride), 0 in the padding."""
    stride = len(expected.live)
    prs, main = 0.0, 0.0
    for cell in range(stride):
        prs += energies[0, cell]
        main += energies[1, cell]
    total = prs + main
    if not (total > 0.0 and np.isfinite(x) and np.isfinite(y)):
        return np.nan
    share, slope_x, slope_y = room.share, room.slope_x, room.slope_y
    log_energy = np.log(max(total, 1.0) / REFERENCE_ENERGY)
    sum_x = 0.0
    for section in range(2):
        grown = np.exp(expected.growth[section] * log_energy)
        for k in range(len(room.sigma)):
            room.sigma[k] = expected.sigma[section, k] * grown
        fill_shares(
            x, y, expected.cell_x, expected.cell_y, expected.weight[section], room.sigma,
            room.axes, room.grid[0], room.grid[1], room.grid[2],
        )  # fmt: skip
        energy = max(prs if section == 0 else main, 0.0)
        poisson = expected.quantum[section] * energy + expected.single2[section]
        shift = expected.wander2[section] * energy + (error * energy) ** 2
        relative = expected.calibration2 * energy * energy
        # Cells below threshold lack in the section's sum: the expected shares are those of what
        # is left.
        hidden = 0.0
        for cell in range(stride):
            f, limit = share[cell], _HIDDEN * expected.threshold[section, cell]
            empty = (energies[section, cell] == 0.0) & (energy * f < limit)
            hidden += f if empty else 0.0
        energy /= 1.0 - min(hidden, 0.5)
        top, bottom = 0.0, 0.0
        for cell in range(stride):
            f, found = share[cell], energies[section, cell]
            slope2 = slope_x[cell] ** 2 + slope_y[cell] ** 2
            variance = (
                poisson * f * (1.0 - f)
                + slope2 * shift
                + relative * f * f
                + expected.noise2[section, cell]
            )
            v = expected.live[cell] * np.sqrt(max(f, _SMALLEST_SHARE))
            excess = found - energy * f
            below = min(excess + expected.threshold[section, cell], 0.0)
            excess = below if found == 0.0 else excess
            top += v * excess * excess / variance
            bottom += v
        sum_x += top / bottom * (_PRS_WEIGHT if section == 0 else 1.0)
    pull = (
        np.log(max(prs / total, _SMALLEST_PRS))
        - expected.share_log
        - expected.share_slope * log_energy
    ) / expected.share_width
    sum_x += _SHARE_WEIGHT * pull * pull
    return (  # type: ignore[no-any-return]
        expected.chi2_scale
        * np.exp(expected.chi2_growth * log_energy)
        * sum_x
        / (1.0 + _PRS_WEIGHT + _SHARE_WEIGHT)
    )
