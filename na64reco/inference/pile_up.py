"""kappa against the intensity of the beam, fitted and extrapolated.

An event is lost if another particle comes within a time tau of it. Particles arrive at random, so

    kappa(r) = kappa(0) exp(-r tau)

with the rate r; the linear model kappa(0) + b r is its beginning and shows how much the choice
matters. It is taken only where it fits clearly better. Both are fitted by binomial maximum
likelihood (Fisher scoring). The rate is known by the scaler of beam coincidences in a spill, or,
without one, by the share f of events with a further electron in the readout window,
mu = -ln(1 - f) (Poisson), run by run: within a run its noise is that of kappa itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from na64reco.inference.efficiency_results import PileUp
from na64reco.inference.measurement import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.selection.counts import Counts

    Array = NDArray[Any]

__all__ = ["Points", "fit_pile_up", "intensities", "points"]

_FEWEST = 50
"""Events in a point."""
_POINTS = 20
_CLEARLY = 4.0
"""By how much the line's chi2 must be smaller for it to be taken: two standard deviations."""


@dataclass(frozen=True, eq=False)
class Points:
    """Counts at several intensities, each of shape (points,)."""

    measure: str
    intensity: Array
    passed: Array
    total: Array
    error: float = 0.0
    """Largest standard deviation of an intensity."""


def intensities(counts: Counts) -> Array | None:
    """Beam particles in each spill by the scaler, shape (rows,); NaN where unknown.

    n events see the count rise n - 1 times between the first and the last of them, and come at
    random: the whole spill has (n + 1) / (n - 1) of that. The last spill of a run may be cut short
    and is unknown.
    """
    if "scaler_last" not in counts.columns:
        return None
    n = counts["events"].astype(np.float64)
    runs, index = np.unique(counts.run, return_inverse=True)
    last = np.full(len(runs), np.iinfo(np.int64).min)
    np.maximum.at(last, np.ravel(index), counts.spill)
    known = (counts["scaler_last"] > counts["scaler_first"]) & (n >= 10)
    known &= counts.spill < last[np.ravel(index)]
    span = np.where(known, counts["scaler_last"] - counts["scaler_first"], 0)
    result: Array = np.where(known, span * (n + 1) / np.maximum(n - 1, 1), np.nan)
    return result


def points(counts: Counts, passed: Array, total: Array) -> Points | None:
    """Group spills (by the scaler) or runs (by out-of-time energy) into points.

    Parameters
    ----------
    passed, total
        Of each row of the counts.
    """
    rate = intensities(counts)
    if rate is not None and np.isfinite(rate).sum() >= 2:
        use = np.isfinite(rate) & (total > 0)
        order = np.argsort(rate[use], kind="stable")
        rate, k, n = (a[use][order] for a in (rate, passed, total))
        groups = np.minimum(
            (np.cumsum(n) - n / 2) * _points(n.sum()) // max(n.sum(), 1), _points(n.sum()) - 1
        ).astype(int)
        return _grouped("scaler", groups, rate, k, n)
    if "out_of_time" not in counts.columns:
        return None
    runs, groups = np.unique(counts.run, return_inverse=True)
    n = np.bincount(groups, total, len(runs))
    late = np.bincount(groups, counts["out_of_time"], len(runs))
    share = np.minimum(late / np.maximum(n, 1), 1 - 0.5 / np.maximum(n, 1))
    found = _grouped("out of time", groups, -np.log1p(-share)[groups], passed, total)
    error = np.sqrt(share / (1 - share) / np.maximum(n, 1))[n > 0]
    return replace(found, error=float(error.max(initial=0.0)))


def _points(events: float) -> int:
    return int(np.clip(events // _FEWEST, 1, _POINTS))


def _grouped(measure: str, groups: Array, rate: Array, passed: Array, total: Array) -> Points:
    n = np.bincount(groups, total)
    k = np.bincount(groups, passed, len(n))
    mean = np.bincount(groups, rate * total, len(n)) / np.maximum(n, 1)
    use = n > 0
    return Points(measure, mean[use], k[use], n[use])


def _fit(
    kind: Literal["exponential", "linear"], x: Array, k: Array, n: Array
) -> tuple[Array, Array, float] | None:
    """Parameters, covariance, chi2: (ln kappa0, tau) or (kappa0, b)."""
    p0 = max(k.sum() / n.sum(), 1e-6)
    theta = np.array([np.log(p0), 0.0] if kind == "exponential" else [p0, 0.0])
    for _ in range(100):
        value = theta[0] - theta[1] * x if kind == "exponential" else theta[0] + theta[1] * x
        p = np.clip(np.exp(value) if kind == "exponential" else value, 1e-6, 1 - 1e-6)
        slope = np.stack([p, -x * p] if kind == "exponential" else [np.ones_like(x), x])
        weight = n / (p * (1 - p))
        fisher = (slope * weight) @ slope.T
        if np.linalg.cond(fisher * np.outer(*2 * (1 / np.sqrt(np.diag(fisher)),))) > 1e12:
            return None
        step = np.linalg.solve(fisher, slope @ (weight * (k / n - p)))
        theta = theta + step
        if np.all(np.abs(step) <= 1e-10 * (np.abs(theta) + 1e-12)):
            break
    chi2 = float(np.sum((k - n * p) ** 2 / (n * p * (1 - p))))
    return theta, np.linalg.inv(fisher), chi2


def fit_pile_up(points: Points, *, intensity: float | None = None) -> PileUp | None:
    """Fit both models; None if intensities differ by less than 5 % or five of their errors.

    Parameters
    ----------
    intensity
        Where kappa is wanted, in the measure of the points.
    """
    x, k, n = points.intensity, points.passed, points.total
    if len(x) < 2 or np.ptp(x) < max(0.05 * x.max(), 5 * points.error) or np.ptp(x) <= 0:
        return None
    scale = float(x.max())
    exponential, linear = (_fit(kind, x / scale, k, n) for kind in ("exponential", "linear"))
    if exponential is None or linear is None:
        return None
    (a, tau), e_cov, e_chi2 = exponential
    (c, b), l_cov, l_chi2 = linear
    tau, b = tau / scale, b / scale
    at = 0.0 if intensity is None else intensity
    u = at / scale
    e_at = float(np.exp(a - tau * at))
    e_error = e_at * float(np.sqrt(max(np.array([1, -u]) @ e_cov @ np.array([1, -u]), 0)))
    l_at = float(c + b * at)
    l_error = float(np.sqrt(max(np.array([1, u]) @ l_cov @ np.array([1, u]), 0)))
    first = e_chi2 <= l_chi2 + _CLEARLY
    difference = abs(e_at - l_at)
    extrapolated = Measurement.symmetric(
        e_at if first else l_at, e_error if first else l_error, difference
    )
    if first:
        kappa0 = float(np.exp(a))
        zero = Measurement.symmetric(kappa0, kappa0 * float(np.sqrt(e_cov[0, 0])))
        slope = Measurement.symmetric(float(tau), float(np.sqrt(e_cov[1, 1])) / scale)
    else:
        zero = Measurement.symmetric(float(c), float(np.sqrt(l_cov[0, 0])))
        gradient = np.array([b * scale / c**2, -1 / c])
        slope = Measurement.symmetric(
            float(-b / c), float(np.sqrt(gradient @ l_cov @ gradient)) / scale
        )
    return PileUp(
        measure=points.measure,
        model="exponential" if first else "linear",
        zero=zero,
        slope=slope,
        chi2=e_chi2 if first else l_chi2,
        ndf=len(x) - 2,
        intensity=intensity,
        extrapolated=None if intensity is None else extrapolated,
    )
