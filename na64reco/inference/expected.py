"""What upper limit to expect of one count before it is looked at: to choose the signal box by.

With n events seen and a background that is known as a gamma distribution, the limit on the signal
s is CLs, P(N <= n | s) = (1 - cl) P(N <= n | 0); a Poisson count of gamma-distributed mean is a
negative binomial, so that all of it is in closed form. No event gives s = -ln(1 - cl) = 2.303 for
90 %, whatever the background (A. Read, J. Phys. G 28 (2002) 2693).

Which number stands for "expected" is a choice:

- ``mean``: the limit averaged over the counts that the background alone gives (the sensitivity of
  G. Feldman, R. Cousins, Phys. Rev. D 57 (1998) 3873, section V). Smooth in the background.
- ``median``: of the same. A step function of the background, 2.303 up to b = 0.69, so that its
  optimum is always at one of the steps.
- ``asimov``: the one-sided profile likelihood's limit on the count that equals the background (G.
  Cowan et al., Eur. Phys. J. C 71 (2011) 1554). Smooth, but asymptotic: 0.82 at b = 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import numpy as np
from scipy.special import gammaincc, gammainccinv, gammaln, ndtr, ndtri, xlog1py, xlogy

from na64reco.errors import InferenceError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

__all__ = [
    "METHODS",
    "Method",
    "count_probability",
    "expected_limit",
    "limit_on_count",
    "toy_limits",
]

Method = Literal["mean", "median", "asimov"]
METHODS: Final = get_args(Method)

_MOST = 300
"""Counts that are summed over one by one."""


def count_probability(counts: int, background: float, error: float) -> Array:
    """Chance of 0, 1, ..., counts - 1 background events, shape (counts,).

    Poisson with a mean that is gamma-distributed with this mean and standard deviation.
    """
    n = np.arange(counts, dtype=np.float64)
    if background <= 0:
        return np.where(n == 0, 1.0, 0.0)
    if error < 1e-6 * background:
        return np.asarray(np.exp(xlogy(n, background) - background - gammaln(n + 1)))
    k, theta = (background / error) ** 2, error**2 / background
    log = gammaln(n + k) - gammaln(k) - gammaln(n + 1) - xlog1py(k, theta)
    return np.asarray(np.exp(log + n * np.log(theta / (1 + theta))))


def limit_on_count(counts: int, background: float, error: float, *, cl: float = 0.9) -> Array:
    """Upper limits on the signal for 0, 1, ..., counts - 1 events, shape (counts,)."""
    probability = count_probability(counts, background, error)
    n = np.arange(counts)
    wanted = np.log1p(-cl) + np.log(np.cumsum(probability))
    # P(N <= n | s) = sum over background events j of P(j) P(signal <= n - j); its derivative by s
    # is minus the same with P(signal = n - j).
    left = n[:, None] - n[None, :]
    chances = np.where(left >= 0, probability, 0.0)
    left = np.maximum(left, 0)
    # From the limit without background, which is the largest; as the logarithm is concave, Newton's
    # method comes from above.
    signal = gammainccinv(n + 1, 1 - cl)
    for _ in range(50):
        tail = np.sum(chances * gammaincc(left + 1, signal[:, None]), axis=1)
        slope = np.sum(
            chances * np.exp(xlogy(left, signal[:, None]) - signal[:, None] - gammaln(left + 1)),
            axis=1,
        )
        step = (np.log(tail) - wanted) * tail / slope
        signal = signal + step
        if np.abs(step).max() < 1e-10:
            break
    return np.asarray(signal)


def expected_limit(
    background: float, error: float, *, cl: float = 0.9, method: Method = "mean"
) -> float:
    """Upper limit on the number of signal events to be expected without a signal.

    Parameters
    ----------
    background, error
        Expected events and standard deviation.

    Raises
    ------
    InferenceError
        For an unknown method, or a background that is negative or not finite.
    """
    if method not in METHODS:
        msg = f"There is no kind of expected limit {method!r}. {did_you_mean(method, METHODS)}"
        raise InferenceError(msg)
    if not (background >= 0 and error >= 0 and np.isfinite(background + error)):
        msg = f"The background must be >= 0 with a finite error, found {background} +- {error}."
        raise InferenceError(msg)
    if method == "asimov":
        return _asimov(background, error, cl)
    counts = 12 + int(background + 8 * np.sqrt(background + error**2))
    if counts > _MOST:
        return _of_many(background, error, cl, method)
    probability = count_probability(counts, background, error)
    limits = limit_on_count(counts, background, error, cl=cl)
    if method == "median":
        return float(limits[int(np.searchsorted(np.cumsum(probability), 0.5))])
    return float(limits @ probability / probability.sum())


def _of_many(background: float, error: float, cl: float, method: Method) -> float:
    """The same for counts that are as good as normal."""
    z = ndtri((np.arange(2000) + 0.5) / 2000) if method == "mean" else np.zeros(1)
    limits = z + ndtri(1 - (1 - cl) * ndtr(z))
    return float(limits.mean() * np.sqrt(background + error**2))


def _asimov(background: float, error: float, cl: float) -> float:
    """Signal at which the likelihood ratio of the Asimov data reaches the level."""
    wanted = 0.5 * float(ndtri(cl)) ** 2
    if background == 0:
        return wanted
    b = background
    tau = np.inf if error < 1e-6 * b else b / error**2
    auxiliary = tau * b

    def half_ratio(s: float) -> float:
        if np.isinf(tau):
            return float(s - xlogy(b, 1 + s / b))
        # Background that fits best with this signal: b / (s + x) + tau b / x = 1 + tau.
        p = (1 + tau) * s - b - auxiliary
        x = (-p + np.sqrt(p**2 + 4 * (1 + tau) * auxiliary * s)) / (2 * (1 + tau))
        data = s + x - b - xlogy(b, (s + x) / b)
        return float(data + tau * (x - b) - xlogy(auxiliary, x / b))

    low, high = 0.0, 10.0 + 10 * b + 10 * error
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if half_ratio(middle) < wanted else (low, middle)
    return 0.5 * (low + high)


def toy_limits(
    background: float,
    error: float,
    rng: np.random.Generator,
    *,
    cl: float = 0.9,
    toys: int = 4000,
) -> Array:
    """Limits of pseudo-experiments without signal, by counting further pseudo-experiments.

    Nothing here is summed in closed form: a check of the rest. Shape (toys,).
    """
    mean = background
    means = (
        np.full(toys, mean)
        if error == 0 or mean == 0
        else rng.gamma((mean / error) ** 2, error**2 / mean, toys)
    )
    observed = rng.poisson(means)
    other = rng.permutation(means)
    grid = np.arange(0.02, 10 + 3 * observed.max(), 0.02)
    background_counts = rng.poisson(other)
    limits = np.empty(observed.max() + 1)
    for n in range(observed.max() + 1):
        low, high = 0, len(grid) - 1
        wanted = (1 - cl) * np.mean(background_counts <= n)
        while low < high:
            middle = (low + high) // 2
            counts = background_counts + rng.poisson(grid[middle], toys)
            low, high = (middle + 1, high) if np.mean(counts <= n) > wanted else (low, middle)
        limits[n] = grid[low]
    return limits[observed]
