r"""The shower that an electron is expected to make in the ECAL, as conditions.

The lateral density of a section (preshower or main) is a sum of four round Gaussians,

.. math:: \rho(r) = \sum_k \frac{w_k}{2 \pi s_k^2} e^{-r^2 / 2 s_k^2},
   \qquad s_k = \sigma_k (E / 100\,\mathrm{GeV})^g,

whose integral over a cell is a product of differences of the normal distribution function. A
cell's share of its section's energy is that integral over the one of all cells together.

Fluctuations: the variance of the energy of a cell with the expected share f of the section's
energy S is

.. math:: (q S + u^2) f (1 - f) + |\nabla f|^2 (m^2 S + t^2 S^2) + (c S f)^2 + n^2

- q: energy per independently fluctuating quantum of the shower, `quantum` (GeV)
- u: single particles that a poor shower consists of, `single` (GeV)
- m: wander of the shower's axis, `wander` (mm GeV^1/2)
- t: uncertainty of the impact point, `track_error` or `shower_error` (mm)
- c: relative calibration error, `calibration_error`
- n: noise, the larger of `noise` (GeV) and half of the channel's threshold

The logarithm of the preshower's share of the energy is `share_log` + `share_slope` ln(E/100 GeV)
on average, with the rms `share_width`.

The parameters are the keys ``profile.NAME=`` of ecal.txt; calib/shower_profile.txt says where its
values are from.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

from na64reco.errors import ConditionsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from na64reco.setup import Calorimeter

__all__ = ["PROFILE_NAMES", "REFERENCE_ENERGY", "ShowerProfile", "expected_shares"]

REFERENCE_ENERGY: Final = 100.0
"""Energy at which widths and scales are given, GeV."""

_SECTIONS: Final = ("prs", "main")
_TERMS: Final = 4
_SINGLE: Final = (
    "share_log",
    "share_slope",
    "share_width",
    "chi2_scale",
    "chi2_growth",
    "track_error",
    "shower_error",
    "calibration_error",
    "noise",
)
_POSITIVE: Final = ("share_width", "chi2_scale", "noise")
_PER_SECTION: Final = ("growth", "quantum", "single", "wander")

PROFILE_NAMES: Final = (
    *(
        f"{section}_{kind}{term}"
        for section in _SECTIONS
        for kind in ("weight", "sigma")
        for term in range(1, _TERMS + 1)
    ),
    *(f"{section}_{name}" for section in _SECTIONS for name in _PER_SECTION),
    *_SINGLE,
)
"""Names of all parameters."""

FAST: Final = {"reassoc", "contract", "arcp", "nsz"}
"""Freedom of the compiler to reorder sums; NaN and infinities keep their meaning."""

Array = NDArray[np.float64]

# The normal distribution function and its density, tabulated; expanded to second order around the
# nearest point they are right to 5e-8.
_CDF_RANGE: Final = 6.0
_CDF_PER_UNIT: Final = 64
_POINTS: Final = np.linspace(-_CDF_RANGE, _CDF_RANGE, int(2 * _CDF_RANGE * _CDF_PER_UNIT) + 1)
_NORMAL: Final = np.stack(
    [ndtr(_POINTS), np.exp(-0.5 * _POINTS**2) / math.sqrt(2 * math.pi)], axis=1
)
_NORMAL[0], _NORMAL[-1] = (0.0, 0.0), (1.0, 0.0)


@dataclass(frozen=True, eq=False)
class ShowerProfile:
    """Parameters of the expected shower; arrays have one row per section (preshower, main)."""

    weight: Array
    """Of the Gaussians, sum 1, shape (2, 4)."""
    sigma: Array
    """Of the Gaussians at 100 GeV, mm, shape (2, 4)."""
    growth: Array
    """g, shape (2,)."""
    quantum: Array
    """q, GeV, shape (2,)."""
    single: Array
    """u, GeV, shape (2,)."""
    wander: Array
    """m, mm GeV^1/2, shape (2,)."""
    share_log: float
    share_slope: float
    share_width: float
    chi2_scale: float
    """chi2 of the shape is multiplied by chi2_scale * (E / 100 GeV)**chi2_growth."""
    chi2_growth: float
    track_error: float
    """t of an impact point from the track, mm."""
    shower_error: float
    """t of one from the shower's own position at 100 GeV, mm; it goes as 1/sqrt(E)."""
    calibration_error: float
    """c."""
    noise: float
    """n, GeV."""

    @classmethod
    def from_conditions(cls, parameters: Mapping[str, float]) -> ShowerProfile:
        """Profile from the `profile.NAME=` keys of the conditions.

        Raises
        ------
        ConditionsError
            If a parameter is missing, unknown or impossible.
        """
        missing = [name for name in PROFILE_NAMES if name not in parameters]
        if missing:
            shown = ", ".join(f"profile.{name}=" for name in missing[:4])
            msg = (
                f"ecal.txt lacks {len(missing)} of the {len(PROFILE_NAMES)} keys of the shower "
                f"profile: {shown}{', ...' if len(missing) > 4 else ''}. Copy the lines of "
                "calib/shower_profile.txt into it."
            )
            raise ConditionsError(msg)
        for name in parameters:
            if name not in PROFILE_NAMES:
                msg = (
                    f"ecal.txt has an unknown key profile.{name}=. "
                    f"{did_you_mean(name, PROFILE_NAMES)}"
                )
                raise ConditionsError(msg)
        positive = [n for n in PROFILE_NAMES if "_sigma" in n or n in _POSITIVE]
        for name in positive:
            if not parameters[name] > 0:
                msg = (
                    f"ecal.txt has profile.{name}={parameters[name]}: "
                    "this parameter must be above 0."
                )
                raise ConditionsError(msg)

        def terms(kind: str) -> Array:
            return np.array(
                [[parameters[f"{s}_{kind}{k + 1}"] for k in range(_TERMS)] for s in _SECTIONS]
            )

        def rows(name: str) -> Array:
            return np.array([parameters[f"{s}_{name}"] for s in _SECTIONS])

        weight = terms("weight")
        total = weight.sum(axis=1, keepdims=True)
        if not np.all(total > 0):
            msg = "ecal.txt: the weights of the shower profile must have a sum above 0."
            raise ConditionsError(msg)
        return cls(
            weight=weight / total,
            sigma=terms("sigma"),
            growth=rows("growth"),
            quantum=rows("quantum"),
            single=rows("single"),
            wander=rows("wander"),
            **{name: float(parameters[name]) for name in _SINGLE},
        )

    def column_shares(
        self, section: int, position: Array, *, cell: float, cells: int, height: float = np.inf
    ) -> Array:
        """Shares of the columns of an unlimited calorimeter around the one that is hit.

        Parameters
        ----------
        section
            0 = preshower, 1 = main.
        position
            Distance from the middle of the column that is hit, mm, shape (n,).
        cell
            Width, mm.
        cells
            Columns on either side to give.
        height
            Only of rows within this distance from the shower's own, mm.

        Returns
        -------
        shape (n, 2 * cells + 1)
        """
        edges = (np.arange(2 * cells + 2) - cells - 0.5) * cell
        t = (edges[None, :, None] - position[:, None, None]) / self.sigma[section]
        inside = 2 * ndtr(height / self.sigma[section]) - 1
        shares: Array = np.diff(ndtr(t), axis=1) @ (self.weight[section] * inside)
        return shares


def expected_shares(
    profile: ShowerProfile, calorimeter: Calorimeter, x: Array, y: Array, energy: Array
) -> Array:
    """Expected share of each cell in its section's energy.

    Parameters
    ----------
    profile, calorimeter
        The shower and the cells.
    x, y
        Impact points in the calorimeter's frame, mm, shape (events,).
    energy
        GeV, shape (events,).

    Returns
    -------
    shape (events, 2, nx, ny); the sum over the cells of a section is 1
    """
    x, y, energy = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, y, energy)))
    shares = np.empty((len(x), len(_SECTIONS), calorimeter.nx, calorimeter.ny))
    _fill_all(
        np.ascontiguousarray(x),
        np.ascontiguousarray(y),
        np.ascontiguousarray(energy),
        calorimeter.cell_x,
        calorimeter.cell_y,
        profile.weight,
        profile.sigma,
        profile.growth,
        shares,
    )
    return shares


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _normal(t: float) -> tuple[float, float]:  # pragma: no cover - compiled
    """Distribution function and density of the normal distribution."""
    # Most Gaussians are narrow, so that most edges of cells are far away.
    if t <= -_CDF_RANGE:
        return 0.0, 0.0
    if t >= _CDF_RANGE:
        return 1.0, 0.0
    index = int((t + _CDF_RANGE) * _CDF_PER_UNIT + 0.5)
    point = index * (1.0 / _CDF_PER_UNIT) - _CDF_RANGE
    d = t - point
    cdf, density = _NORMAL[index, 0], _NORMAL[index, 1]
    return (
        cdf + d * density * (1.0 - 0.5 * d * point),
        density * (1.0 - d * point + 0.5 * d * d * (point * point - 1.0)),
    )


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _fill_axis(
    position: float, cell: float, cells: int, sigma: float, integral: Array, slope: Array
) -> float:  # pragma: no cover - compiled
    """Integrals of one Gaussian over each cell of one axis, their slopes with position; the sum."""
    inverse = 1.0 / sigma
    t, step = (-0.5 * cells * cell - position) * inverse, cell * inverse
    first, density = _normal(t)
    cdf = first
    for i in range(cells):
        t += step
        next_cdf, next_density = _normal(t)
        integral[i] = next_cdf - cdf
        slope[i] = (density - next_density) * inverse
        cdf, density = next_cdf, next_density
    return cdf - first


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def fill_shares(
    x: float,
    y: float,
    cell_x: float,
    cell_y: float,
    weight: Array,
    sigma: Array,
    work: Array,
    share: Array,
    slope_x: Array,
    slope_y: Array,
) -> None:  # pragma: no cover - compiled
    """Shares of all cells of one section for one impact point, and their slopes per mm.

    `work` has the shape (4, terms, max(nx, ny)); `share`, `slope_x`, `slope_y` (nx, ny) are
    filled. The slope of the normalisation is left out: it only matters at the rim.
    """
    nx, ny = share.shape
    in_x, slope_in_x, in_y, slope_in_y = work[0], work[1], work[2], work[3]
    total = 0.0
    for k in range(len(weight)):
        all_x = _fill_axis(x, cell_x, nx, sigma[k], in_x[k], slope_in_x[k])
        all_y = _fill_axis(y, cell_y, ny, sigma[k], in_y[k], slope_in_y[k])
        total += weight[k] * all_x * all_y
    # Far outside the calorimeter nothing is left to share out.
    factor = 1.0 / total if total > 1e-9 else 0.0
    # The terms are written out (see _TERMS): as a loop they cost twice the time.
    w0, w1, w2, w3 = factor * weight[0], factor * weight[1], factor * weight[2], factor * weight[3]
    for i in range(nx):
        a0, a1, a2, a3 = w0 * in_x[0, i], w1 * in_x[1, i], w2 * in_x[2, i], w3 * in_x[3, i]
        b0, b1 = w0 * slope_in_x[0, i], w1 * slope_in_x[1, i]
        b2, b3 = w2 * slope_in_x[2, i], w3 * slope_in_x[3, i]
        for j in range(ny):
            y0, y1, y2, y3 = in_y[0, j], in_y[1, j], in_y[2, j], in_y[3, j]
            share[i, j] = a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
            slope_x[i, j] = b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
            slope_y[i, j] = (
                a0 * slope_in_y[0, j]
                + a1 * slope_in_y[1, j]
                + a2 * slope_in_y[2, j]
                + a3 * slope_in_y[3, j]
            )


@njit(cache=True, nogil=True, fastmath=FAST)
def _fill_all(
    x: Array,
    y: Array,
    energy: Array,
    cell_x: float,
    cell_y: float,
    weight: Array,
    sigma: Array,
    growth: Array,
    shares: Array,
) -> None:  # pragma: no cover - compiled
    _, sections, nx, ny = shares.shape
    slope_x, slope_y = np.empty((nx, ny)), np.empty((nx, ny))
    work = np.empty((4, weight.shape[1], max(nx, ny)))
    for event in range(len(x)):
        for section in range(sections):
            grown = (max(energy[event], 1.0) / REFERENCE_ENERGY) ** growth[section]
            fill_shares(
                x[event], y[event], cell_x, cell_y, weight[section], sigma[section] * grown,
                work, shares[event, section], slope_x, slope_y,
            )  # fmt: skip
