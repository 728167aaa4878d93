"""Limits on the mean of a Poisson signal with a known background, in closed form.

All of them are functions of the count alone: the reference that limits with nuisance parameters
must come back to when these are switched off.

Sources: F. Garwood, Biometrika 28 (1936) 437 (classical); T. Junk, NIM A 434 (1999) 435 and A.
Read, J. Phys. G 28 (2002) 2693 (CLs); PDG 2024, section 40.4; G. Feldman, R. Cousins, Phys. Rev. D
57 (1998) 3873.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincc, gammainccinv, gammaln, xlogy

from na64reco.errors import InferenceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "check_count",
    "check_level",
    "classical_limit",
    "cls_limit",
    "crossing",
    "feldman_cousins",
    "pmf",
    "significance",
]


def check_level(cl: float) -> float:
    """The confidence level, if it is one.

    Raises
    ------
    InferenceError
        If it does not lie between 0 and 1, as 90 does not.
    """
    if not 0 < cl < 1:
        hint = f" For {cl:g} % give {cl / 100:g}." if 1 < cl < 100 else ""
        msg = f"The confidence level must lie between 0 and 1, found {cl:g}.{hint}"
        raise InferenceError(msg)
    return cl


def check_count(observed: float, background: float) -> None:
    """A count and a background that can be.

    Raises
    ------
    InferenceError
        If the count is no whole number >= 0 or the background negative or not finite.
    """
    if not (observed >= 0 and float(observed).is_integer()):
        msg = f"The number of observed events must be a whole number >= 0, found {observed!r}."
        raise InferenceError(msg)
    if not (background >= 0 and math.isfinite(background)):
        msg = f"The expected background must be a finite number >= 0, found {background!r}."
        raise InferenceError(msg)


def crossing(
    p: Callable[[float], float], target: float, start: float, *, precision: float = 1e-7
) -> float:
    """Where the falling function p passes the target; from above, where it jumps."""
    low, high = 0.0, start
    while p(high) > target:
        low, high = high, 2 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if p(middle) > target else (low, middle)
        if high - low < precision * high:
            break
    return high


def pmf(n: NDArray[np.int64] | int, mean: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Poisson probabilities of n, also for a mean of 0; arrays broadcast."""
    k = np.asarray(n, dtype=np.float64)
    out: NDArray[np.float64] = np.exp(xlogy(k, mean) - mean - gammaln(k + 1))
    return out


def classical_limit(observed: int, background: float = 0.0, *, cl: float = 0.9) -> float:
    """Largest signal s with P(n <= observed | s + background) >= 1 - cl.

    0 where the background alone makes so few events too unlikely: the interval is empty then, and
    another method should be asked.
    """
    check_level(cl)
    check_count(observed, background)
    return max(0.0, float(gammainccinv(observed + 1, 1 - cl)) - background)


def cls_limit(observed: int, background: float = 0.0, *, cl: float = 0.9) -> float:
    """CLs: P(n <= observed | s + b) = (1 - cl) P(n <= observed | b).

    The Bayesian limit with a flat prior on s >= 0 is the same number.
    """
    check_level(cl)
    check_count(observed, background)
    tail = (1 - cl) * float(gammaincc(observed + 1, background))
    return float(gammainccinv(observed + 1, tail)) - background


def significance(observed: int, background: float) -> float:
    """Z of the chance that the background alone gives `observed` or more events.

    Zero for no event.
    """
    from scipy.special import gammainc, ndtri

    check_count(observed, background)
    if observed == 0:
        return 0.0
    if background == 0:
        return math.inf
    return max(0.0, -float(ndtri(gammainc(observed, background))))


def _accepted(
    observed: int, means: NDArray[np.float64], background: float, cl: float
) -> NDArray[np.bool_]:
    """Whether `observed` lies in the acceptance interval of each signal mean, shape (means,)."""
    top = means[-1] + background
    counts = np.arange(int(max(observed, top + 8 * math.sqrt(top))) + 20)
    probability = pmf(counts, (means + background)[:, None])
    ratio = probability / pmf(counts, np.maximum(background, counts))
    order = np.argsort(-ratio, axis=1, kind="stable")
    content = np.cumsum(np.take_along_axis(probability, order, axis=1), axis=1)
    needed = np.sum(content < cl, axis=1)
    rank = np.argmax(order == observed, axis=1)
    accepted: NDArray[np.bool_] = rank <= needed
    return accepted


def feldman_cousins(
    observed: int, background: float = 0.0, *, cl: float = 0.9, step: float = 0.005
) -> tuple[float, float]:
    """Unified interval of the signal, to `step`.

    As in the publication the upper end is made not to rise with the background, against the
    discreteness of counts: it is the largest found for this and, in steps of 0.02, for backgrounds
    larger by up to one event.

    Returns
    -------
    tuple
        Lower and upper end.
    """
    check_level(cl)
    check_count(observed, background)
    means = np.arange(0.0, classical_limit(observed, 0.0, cl=0.5 * (1 + cl)) + 1.0, step)
    here = np.flatnonzero(_accepted(observed, means, background, cl))
    last = [
        means[np.flatnonzero(_accepted(observed, means, background + more, cl))[-1:]]
        for more in np.arange(0.0, 1.01, 0.02)
    ]
    return float(means[here[0]]) if len(here) else 0.0, float(np.concatenate(last).max())
