r"""chi2 of a shower's shape against an electron's at the same impact point.

For each section, with the residuals r of the cells and the covariance of
:mod:`na64reco.calorimeters.profile`,

.. math:: X = r^T \Bigl(D + \sum_a U_a \lambda_a U_a^T\Bigr)^{-1} r
   = r^T D^{-1} r - b^T (\Lambda^{-1} + U^T D^{-1} U)^{-1} b, \qquad b = U^T D^{-1} r

(Woodbury). A cell below its threshold counts only as far as more was expected of it. With the pull
z of the logarithm of the preshower's share, T = X_prs + X_main + z^2 is what electrons and hadrons
are told apart by. The column is a monotone function of it,

.. math:: \chi^2 = c(E)\,(T / T_{95}(E))^p, \qquad
   \ln T_{95} = \mathrm{level} + \mathrm{level\_slope}\,l + \mathrm{level\_curve}\,l^2,
   \quad l = \ln(E / 100\,\mathrm{GeV}),

c(E) being the cuts that public analyses of NA64 use, 4 at 100 GeV: these keep 95 % of electrons at
each energy. With the `power` p 100 GeV electrons peak near 1. l is kept between those of 5 and
200 GeV.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.cuts import PUBLISHED_CUTS, published_cut
from na64reco.calorimeters.moments import event_sums
from na64reco.calorimeters.profile import DEPTH_RANGE, REFERENCE_ENERGY
from na64reco.calorimeters.shares import (
    FAST,
    AxisLanes,
    aligned,
    axis_lanes,
    fill_shares,
    work_room,
)

if TYPE_CHECKING:
    from na64reco.calorimeters.profile import ShowerProfile
    from na64reco.setup import Calorimeter

__all__ = [
    "PUBLISHED_CUTS",
    "Expectation",
    "Room",
    "event_shape",
    "expectation",
    "lateness",
    "make_room",
    "published_cut",
    "shape_statistic",
    "shower_chi2",
]

Array = NDArray[np.float64]
Pair = tuple[float, float]
"""Of preshower and main section. No array: numba counts references to these in each event."""
Four = tuple[float, float, float, float]
"""Of the modes."""

_SMALLEST_PRS: Final = 1e-3
_SMALLEST_SUM: Final = 0.02
"""GeV; sections with less are judged as if they had it."""
_LEVEL_RANGE: Final = (float(np.log(0.05)), float(np.log(2.0)))
_ANY: Final = 1e-6
"""Inverse variance of the section's energy: none is expected."""
_SMALLEST_PIVOT: Final = 1e-30
_EARLIEST, _LATEST = DEPTH_RANGE

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
    axis: AxisLanes
    growth: Pair
    depth: Pair
    quantum: Pair
    single2: Pair
    wander2: Pair
    width2: Pair
    calibration2: float
    noise2: Array
    threshold: Array
    share_log: float
    share_slope: float
    share_early: float
    share_late: float
    level: tuple[float, float, float]
    power: float


def expectation(profile: ShowerProfile, calorimeter: Calorimeter, threshold: Array) -> Expectation:
    """Parameters and squares of them; `threshold` of the cells, GeV, shape (2, nx, ny)."""
    cells, axis = calorimeter.nx * calorimeter.ny, axis_lanes(profile, calorimeter)
    # Shares are filled row by row, and the last row is as long as there are lanes.
    stride = -(-(cells - calorimeter.ny + axis.row) // _LANES) * _LANES
    finite = np.zeros((2, stride))
    finite[:, :cells] = np.where(np.isfinite(threshold), threshold, 0.0).reshape(2, cells)
    return Expectation(
        nx=calorimeter.nx,
        ny=calorimeter.ny,
        cell_x=calorimeter.cell_x,
        cell_y=calorimeter.cell_y,
        axis=axis,
        growth=_pair(profile.growth),
        depth=_pair(profile.depth),
        quantum=_pair(profile.quantum),
        single2=_pair(profile.single**2),
        wander2=_pair(profile.wander**2),
        width2=_pair(np.maximum(profile.width, 1e-6) ** 2),
        calibration2=profile.calibration_error**2,
        noise2=np.maximum(profile.noise, 0.5 * finite) ** 2,
        threshold=finite,
        share_log=profile.share_log,
        share_slope=profile.share_slope,
        share_early=profile.share_early,
        share_late=profile.share_late,
        level=(float(profile.level), float(profile.level_slope), float(profile.level_curve)),
        power=profile.power,
    )


def _pair(values: Array) -> Pair:
    first, second = values.tolist()
    return first, second


class Room(NamedTuple):
    """Memory that `event_shape` works in."""

    shares: Array
    """What `fill_shares` works in."""
    share: Array
    """Shares of a section's cells, with padding that stays 0, shape (stride,)."""
    slope_x: Array
    slope_y: Array
    wide: Array
    """How they change with x, y and the width."""
    weights: Array
    """Inverse variances, shape (stride,)."""
    residuals: Array


def make_room(expected: Expectation) -> Room:
    """Memory for one thread."""
    stride = expected.threshold.shape[1]
    share, slope_x, slope_y, wide, weights, residuals = (aligned(stride) for _ in range(6))
    return Room(
        shares=work_room(expected.axis),
        share=share,
        slope_x=slope_x,
        slope_y=slope_y,
        wide=wide,
        weights=weights,
        residuals=residuals,
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
    """chi2 of the shower shape as the published cuts take it, see the module.

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
    chi2, _ = _evaluate(energies, x, y, profile, calorimeter, threshold, error)
    return chi2


def shape_statistic(
    energies: Array,
    x: Array,
    y: Array,
    profile: ShowerProfile,
    calorimeter: Calorimeter,
    threshold: Array,
    *,
    error: Array | None = None,
) -> Array:
    """T, the sum of the three squares, see the module; arguments as of `shower_chi2`."""
    _, statistic = _evaluate(energies, x, y, profile, calorimeter, threshold, error)
    return statistic


def _evaluate(
    energies: Array,
    x: Array,
    y: Array,
    profile: ShowerProfile,
    calorimeter: Calorimeter,
    threshold: Array,
    error: Array | None,
) -> tuple[Array, Array]:
    expected = expectation(profile, calorimeter, threshold)
    if error is None:
        error = np.full(len(energies), profile.track_error)
    found = np.empty((2, len(energies)))
    _shapes(
        np.ascontiguousarray(energies, dtype=np.float64).reshape(len(energies), 2, -1),
        np.ascontiguousarray(x, dtype=np.float64),
        np.ascontiguousarray(y, dtype=np.float64),
        np.ascontiguousarray(error, dtype=np.float64),
        expected,
        make_room(expected),
        found,
    )
    return found[0], found[1]


@njit(cache=True, nogil=True)
def _shapes(
    energies: Array,
    x: Array,
    y: Array,
    error: Array,
    expected: Expectation,
    room: Room,
    found: Array,
) -> None:  # pragma: no cover - compiled
    padded = np.zeros((2, expected.threshold.shape[1]))
    cells = energies.shape[2]
    for event in range(len(energies)):
        padded[:, :cells] = energies[event]
        prs, main = event_sums(padded)
        found[0, event], found[1, event] = event_shape(
            padded, prs, main, x[event], y[event], error[event], expected, room
        )


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _explained(
    b: Four, m0: Four, m1: Four, m2: Four, m3: Four
) -> float:  # pragma: no cover - compiled
    """b^T M^-1 b by the decomposition L D L^T; the matrix's rows are used below its diagonal.

    Written out: what stands in arrays takes twice the time, and square roots as much again.
    """
    b0, b1, b2, b3 = b
    inverse = 1.0 / max(m0[0], _SMALLEST_PIVOT)
    l1, l2, l3 = m1[0] * inverse, m2[0] * inverse, m3[0] * inverse
    explained = b0 * b0 * inverse
    b1, b2, b3 = b1 - l1 * b0, b2 - l2 * b0, b3 - l3 * b0
    m11, m21, m31 = m1[1] - l1 * m1[0], m2[1] - l2 * m1[0], m3[1] - l3 * m1[0]
    m22, m32, m33 = m2[2] - l2 * m2[0], m3[2] - l3 * m2[0], m3[3] - l3 * m3[0]
    inverse = 1.0 / max(m11, _SMALLEST_PIVOT)
    l2, l3 = m21 * inverse, m31 * inverse
    explained += b1 * b1 * inverse
    b2, b3 = b2 - l2 * b1, b3 - l3 * b1
    m22, m32, m33 = m22 - l2 * m21, m32 - l3 * m21, m33 - l3 * m31
    inverse = 1.0 / max(m22, _SMALLEST_PIVOT)
    l3 = m32 * inverse
    explained += b2 * b2 * inverse
    b3 -= l3 * b2
    return float(explained + b3 * b3 / max(m33 - l3 * m32, _SMALLEST_PIVOT))


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def lateness(
    prs: float, total: float, expected: Expectation
) -> tuple[float, float]:  # pragma: no cover - compiled
    """Logarithm of the expected preshower's share over the measured one, and its pull."""
    late = (
        expected.share_log
        + expected.share_slope * np.log(max(total, 1.0) / REFERENCE_ENERGY)
        - np.log(max(prs / total, _SMALLEST_PRS))
    )
    return late, late / (expected.share_late if late > 0.0 else expected.share_early)


# With Python's errors of division (numba's default) the loops over cells would not be vectorised.
@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def event_shape(
    energies: Array,
    prs: float,
    main: float,
    x: float,
    y: float,
    error: float,
    expected: Expectation,
    room: Room,
) -> tuple[float, float]:  # pragma: no cover - compiled
    """chi2 and T; `energies` has the shape (2, stride), 0 in the padding, and sums prs and main."""
    stride = expected.threshold.shape[1]
    total = prs + main
    if not (total > 0.0 and np.isfinite(x) and np.isfinite(y)):
        return np.nan, np.nan
    share, slope_x, slope_y, wide = room.share, room.slope_x, room.slope_y, room.wide
    weights, residuals = room.weights, room.residuals
    noises, thresholds = expected.noise2, expected.threshold
    log_energy = np.log(max(total, 1.0) / REFERENCE_ENERGY)
    late, pull = lateness(prs, total, expected)
    depth = min(max(np.exp(-late) - 1.0, _EARLIEST), _LATEST)
    statistic = pull * pull
    for section in range(2):
        fill_shares(
            x,
            y,
            np.exp(expected.growth[section] * log_energy),
            np.exp(expected.depth[section] * depth),
            section,
            expected.axis,
            room.shares,
            share,
            slope_x,
            slope_y,
            wide,
        )
        energy = max(prs if section == 0 else main, 0.0)
        poisson = expected.quantum[section] * energy + expected.single2[section]
        relative = expected.calibration2 * energy * energy
        rr = rf = rx = ry = rw = 0.0
        ff = fx = fy = fw = xx = xy = xw = yy = yw = ww = 0.0
        # Three loops, and comparisons instead of min and max: so all of them are vectorised.
        for cell in range(stride):
            f, found, threshold = share[cell], energies[section, cell], thresholds[section, cell]
            weight = 1.0 / ((poisson + relative * f) * f + noises[section, cell])
            excess = found - energy * f
            empty = found == 0.0
            below = excess + threshold
            below = below if below < 0.0 else 0.0
            excess = below if empty else excess
            weights[cell], residuals[cell] = weight, excess
            rr += weight * excess * excess
        for cell in range(stride):
            f, sx, sy, sw = share[cell], slope_x[cell], slope_y[cell], wide[cell]
            wr, wf = weights[cell] * residuals[cell], weights[cell] * f
            rf += wr * f
            rx += wr * sx
            ry += wr * sy
            rw += wr * sw
            ff += wf * f
            fx += wf * sx
            fy += wf * sy
            fw += wf * sw
        for cell in range(stride):
            sx, sy, sw = slope_x[cell], slope_y[cell], wide[cell]
            wx, wy = weights[cell] * sx, weights[cell] * sy
            xx += wx * sx
            xy += wx * sy
            xw += wx * sw
            yy += wy * sy
            yw += wy * sw
            ww += weights[cell] * sw * sw
        # The modes are in units of the section's energy.
        scale = max(energy, _SMALLEST_SUM)
        s2 = scale * scale
        at = 1.0 / (expected.wander2[section] / scale + error * error)
        explained = _explained(
            (scale * rf, scale * rx, scale * ry, scale * rw),
            (s2 * ff + _ANY, 0.0, 0.0, 0.0),
            (s2 * fx, s2 * xx + at, 0.0, 0.0),
            (s2 * fy, s2 * xy, s2 * yy + at, 0.0),
            (s2 * fw, s2 * xw, s2 * yw, s2 * ww + scale / expected.width2[section]),
        )
        statistic += max(rr - explained, 0.0)
    at_energy = min(max(log_energy, _LEVEL_RANGE[0]), _LEVEL_RANGE[1])
    level = expected.level[0] + at_energy * (expected.level[1] + at_energy * expected.level[2])
    power = np.exp(expected.power * (np.log(max(statistic, 1e-6)) - level))
    chi2 = published_cut(total) * power
    return chi2, statistic
