"""Pseudo-experiments of a sideband fit, all at once; goodness of fit by them.

One-parameter exponential families need no minimiser: the estimate solves mean(theta) = mean of T,
and Newton's method with bisection does so for thousands of pseudo-experiments together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import gammaincc

from na64reco.inference.shapes import integrate
from na64reco.inference.sideband_fit import FEWEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.shapes import Shape
    from na64reco.inference.sideband_fit import SidebandFit

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["Goodness", "draw", "goodness_of_fit", "sampled_error", "solve", "toy_error"]

_MOST = 2000
"""Events of a pseudo-experiment for goodness of fit: beyond, sqrt(N) D no longer depends on N."""


def solve(shape: Shape, mean: Array, window: tuple[float, float], *, scale: float) -> Array:
    """Parameters of a one-parameter shape by the mean of T, shape (toys,); ends of range kept."""
    ((lo, hi),) = shape.limits
    low, high = np.full(mean.shape, lo), np.full(mean.shape, hi)
    theta = np.clip(np.full(mean.shape, 0.1 * hi), lo, hi)
    for _ in range(60):
        found = integrate(shape, theta[:, None], window, scale=scale)
        gap = mean - found.mean[:, 0]
        low, high = np.where(gap > 0, theta, low), np.where(gap < 0, theta, high)
        new = theta + gap / found.covariance[:, 0, 0]
        new = np.where((new <= low) | (new >= high), 0.5 * (low + high), new)
        done = np.abs(new - theta) < 1e-10 * (hi - lo)
        theta = new
        if done.all():
            break
    return np.asarray(theta)


def draw(rng: np.random.Generator, fit: SidebandFit, events: int) -> Array:
    """Energies from a fitted shape, within its range."""
    low, high = fit.window
    x = np.linspace(low, high, 4001)
    log = fit.shape.log_density(x, fit.theta, fit.scale)
    density = np.exp(log - log.max())
    below = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.asarray(np.interp(rng.random(events) * below[-1], below, x))


def sampled_error(
    fit: SidebandFit, box: tuple[float, float], rng: np.random.Generator, *, samples: int = 5000
) -> float:
    """Spread of ln b with the parameters varied within their covariance, as the papers do."""
    drawn = rng.multivariate_normal(np.append(0.0, fit.theta), fit.covariance, samples)
    lo, hi = np.array(fit.shape.limits).T
    theta = np.clip(drawn[:, 1:], lo, hi)
    inner = integrate(fit.shape, theta, fit.window, scale=fit.scale)
    outer = integrate(fit.shape, theta, box, scale=fit.scale)
    return _half_width(drawn[:, 0] + outer.log - inner.log)


def toy_error(
    fit: SidebandFit, box: tuple[float, float], rng: np.random.Generator, *, toys: int = 2000
) -> float:
    """Spread of ln b over pseudo-experiments drawn from the fit and fitted again.

    NaN for a shape of two parameters, or where fewer than `FEWEST` events are expected.
    """
    if len(fit.theta) != 1 or not fit.squares:
        return np.nan
    effective = fit.total**2 / fit.squares
    number = rng.poisson(effective, toys)
    number = number[number >= FEWEST]
    if effective < FEWEST or not len(number):
        return np.nan
    theta = solve(fit.shape, _means(rng, fit, number), fit.window, scale=fit.scale)
    inner = integrate(fit.shape, theta[:, None], fit.window, scale=fit.scale)
    outer = integrate(fit.shape, theta[:, None], box, scale=fit.scale)
    return _half_width(np.log(number) + outer.log - inner.log)


def _means(rng: np.random.Generator, fit: SidebandFit, number: NDArray[np.int64]) -> Array:
    """Mean of T in pseudo-experiments of these sizes."""
    if number.mean() > _MOST:  # The mean of so many is normal.
        own = integrate(fit.shape, fit.theta[None], fit.window, scale=fit.scale)
        width = np.sqrt(own.covariance[0, 0, 0] / number)
        return np.asarray(own.mean[0, 0] + width * rng.standard_normal(len(number)))
    t = fit.shape.statistic(draw(rng, fit, int(number.sum())), fit.scale)[0]
    starts = np.concatenate([[0], np.cumsum(number)[:-1]])
    return np.asarray(np.add.reduceat(t, starts) / number)


def _half_width(log_b: Array) -> float:
    """Half of the central 68.27 %: a few outliers do not make an error."""
    low, high = np.quantile(log_b, [0.15865, 0.84135])
    return float(high - low) / 2


_LARGEST = 200_000
"""Events whose distances are looked at: more would take seconds to sort."""


@dataclass(frozen=True)
class Goodness:
    """How well a shape describes what it was fitted to: p-values, NaN where none can be given."""

    chi2: float
    """Of bins that hold equal numbers by the fit, at least 5 events each."""
    ndf: int
    chi2_p: float
    ks: float
    """Kolmogorov and Smirnov's distance."""
    ks_p: float
    """Share of pseudo-experiments, each fitted again, with a larger distance."""
    ad: float
    """Anderson and Darling's A^2."""
    ad_p: float


def goodness_of_fit(
    fit: SidebandFit,
    x: Array,
    rng: np.random.Generator,
    *,
    weights: Array | None = None,
    toys: int = 400,
) -> Goodness:
    """Binned chi2, and unbinned distances whose distribution is found with pseudo-experiments.

    Of more than `_LARGEST` events every second, third, ... is taken. With unequal weights, or fewer
    than `FEWEST` events, there are no p-values.
    """
    inside = np.flatnonzero((x >= fit.window[0]) & (x < fit.window[1]))
    inside = inside[:: len(inside) // _LARGEST + 1]
    u = np.sort(_cumulative(fit, x[inside], fit.theta[None])[0])
    nan = float("nan")
    weighted = weights is not None and len(np.unique(weights[inside])) > 1
    if len(u) < FEWEST or weighted or len(fit.theta) != 1:
        return Goodness(nan, 0, nan, nan, nan, nan, nan)
    bins = int(np.clip(len(u) // 5, 1, 40))
    counts = np.bincount(np.minimum((u * bins).astype(int), bins - 1), minlength=bins)
    chi2 = float(np.sum((counts - len(u) / bins) ** 2) * bins / len(u))
    ndf = bins - 1 - len(fit.theta)
    chi2_p = float(gammaincc(0.5 * ndf, 0.5 * chi2)) if ndf > 0 else nan
    distances = _distances(u[None])[:, 0]
    size = min(len(u), _MOST)
    t = draw(rng, fit, toys * size).reshape(toys, size)
    means = fit.shape.statistic(t, fit.scale)[0].mean(axis=1)
    theta = solve(fit.shape, means, fit.window, scale=fit.scale)
    reference = _distances(np.sort(_cumulative(fit, t, theta[:, None]), axis=1))
    ks_p = float(np.mean(reference[0] * np.sqrt(size) >= distances[0] * np.sqrt(len(u))))
    ad_p = float(np.mean(reference[1] >= distances[1]))
    return Goodness(chi2, max(ndf, 0), chi2_p, float(distances[0]), ks_p, float(distances[1]), ad_p)


def _cumulative(fit: SidebandFit, x: Array, theta: Array) -> Array:
    """Distribution function at x, shape (toys, events), for parameters of shape (toys, 1)."""
    low, high = fit.window
    knots = np.linspace(low, high, 1001)
    t = fit.shape.statistic(knots, fit.scale)
    log = theta @ t
    density = np.exp(log - log.max(axis=1, keepdims=True))
    below = np.zeros_like(density)
    below[:, 1:] = np.cumsum(0.5 * (density[:, 1:] + density[:, :-1]), axis=1)
    below /= below[:, -1:]
    rows = np.atleast_2d(x)
    result = np.empty((len(theta), rows.shape[1]))
    for i, values in enumerate(below):
        result[i] = np.interp(rows[min(i, len(rows) - 1)], knots, values)
    return np.clip(result, 1e-12, 1 - 1e-12)


def _distances(u: Array) -> Array:
    """KS distance and A^2 of sorted distribution-function values (toys, events)."""
    n = u.shape[1]
    i = np.arange(1, n + 1)
    ks = np.maximum((i / n - u).max(axis=1), (u - (i - 1) / n).max(axis=1))
    ad = -n - np.mean((2 * i - 1) * (np.log(u) + np.log1p(-u[:, ::-1])), axis=1)
    return np.stack([ks, ad])
