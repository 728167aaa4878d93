"""Upper limits on the strength of a signal in a counting model, and what they are expected to be.

``profile``
    The largest strength that is not excluded: P(q >= q observed | strength) = 1 - cl, with the
    one-sided likelihood ratio q as the order of counts (G. Cowan et al., Eur. Phys. J. C 71 (2011)
    1554, eq. 14, at the nominal background). The probability is summed over all counts, not
    approximated, with the nuisance parameters averaged over. With no event and no background this
    is -ln(1 - cl) = 2.3026 for 90 %.
``cls``
    The same over P(q >= q observed | background alone).
``bayes``
    Flat prior on strengths >= 0.
``feldman-cousins``
    Upper end of the unified interval; one channel, no nuisance parameters. A cross-check.
``profile-asymptotic``, ``cls-asymptotic``
    pyhf, with the distribution for large counts. Not for a few events: with none it gives 0.82 and
    1.35 where 2.30 is right.
``profile-toys``, ``cls-toys``
    pyhf, with pseudo-experiments in which the auxiliary measurements fluctuate as well. Slow:
    minutes for a limit to a few percent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.special import pdtrik

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.poisson import check_level, crossing, feldman_cousins
from na64reco.inference.pyhf_limits import pyhf_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.counting_model import CountingModel

__all__ = ["BANDS", "Method", "expected_limits", "significance", "upper_limit"]

Method = Literal[
    "profile",
    "cls",
    "bayes",
    "feldman-cousins",
    "profile-asymptotic",
    "cls-asymptotic",
    "profile-toys",
    "cls-toys",
]

BANDS = (-2, -1, 0, 1, 2)
"""Standard deviations at which expected limits are given."""

_CELLS = 2_000_000
"""More combinations of counts than this are left to the asymptotic methods."""
_TOYS = 500
_STRENGTHS = 61


def _tails(
    model: CountingModel, strength: float, at_least: NDArray[np.int64], beyond: float = 1e-6
) -> NDArray[np.int64]:
    """Counts of each channel beyond which there is nothing to speak of."""
    errors = np.sum(model.signal_modes**2, axis=1), np.sum(model.background_modes**2, axis=1)
    mean = strength * model.signal * np.exp(3 * np.sqrt(errors[0]))
    mean = mean + model.background * np.exp(3 * np.sqrt(errors[1]))
    return np.asarray(np.maximum(at_least, pdtrik(1 - beyond, mean).astype(np.int64) + 1))


@dataclass(frozen=True, eq=False)
class _Box:
    """Largest counts of each channel that can be as far from a strength as the observed ones.

    One more in any channel makes them more like the signal, so that those that are farther lie in a
    box around no count at all.
    """

    model: CountingModel
    observed: NDArray[np.int64]
    """Shape (observations, channels)."""
    best: NDArray[np.float64]
    """Strength of each observation."""
    edges: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    """Counts in one channel alone, shape (counts, channels), and best strengths; by channel."""

    @classmethod
    def of(cls, model: CountingModel, observed: NDArray[np.int64], strength: float) -> _Box:
        """For strengths up to this one."""
        edges = []
        for channel, last in enumerate(_tails(model, strength, observed.max(axis=0)).tolist()):
            n = np.zeros((last + 2, observed.shape[1]))
            n[:, channel] = np.arange(last + 2)
            edges.append((n, _best_strength(model, n)))
        best = _best_strength(model, observed.astype(np.float64))
        return cls(model, observed, best, tuple(edges))

    def __call__(self, strength: float) -> NDArray[np.int64]:
        """Shape (channels,)."""
        model, most = self.model, self.observed.max(axis=0)
        found = _tails(model, strength, most)
        farthest = float(_ratio(model, strength, self.observed, self.best).min())
        for channel, (n, best) in enumerate(self.edges):
            below = np.flatnonzero(_ratio(model, strength, n, best) < farthest - 1e-9)
            if len(below):
                found[channel] = min(found[channel], max(int(below[0]) - 1, most[channel]))
        _check_size(found)
        return found


def _check_size(largest: NDArray[np.int64]) -> None:
    if np.prod(largest + 1.0) > _CELLS:
        msg = (
            f"Counts up to {largest.tolist()} in {len(largest)} channels are too many to be summed "
            "one by one. With so many events the method 'profile-asymptotic' or 'cls-asymptotic' "
            "is right."
        )
        raise InferenceError(msg)


def _best_strength(model: CountingModel, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strength >= 0 that maximises the nominal likelihood, one for each row of counts."""
    s, b = model.signal, model.background
    total = s.sum()
    high = np.asarray(counts.sum(axis=-1) / total + 1e-9)
    low: NDArray[np.float64] = np.zeros_like(high)
    for _ in range(32):
        middle = 0.5 * (low + high)
        mean = middle[..., None] * s + b
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(counts > 0, counts * s / mean, 0.0).sum(axis=-1) - total
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    return low


def _ratio(
    model: CountingModel,
    strength: float,
    n: NDArray[Any],
    best: NDArray[np.float64],
) -> NDArray[np.float64]:
    """q at the nominal background of counts (..., channels), shape (...)."""
    s, b = model.signal, model.background

    def log(strength: NDArray[np.float64] | float) -> NDArray[np.float64]:
        mean = np.asarray(strength)[..., None] * s + b
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(n > 0, n * np.log(mean), 0.0)
        return np.asarray((gain - mean).sum(axis=-1))

    return np.where(best > strength, 0.0, 2 * (log(best) - log(strength)))


@dataclass(frozen=True, eq=False)
class _Counts:
    """All counts up to some, with what does not depend on the strength."""

    model: CountingModel
    largest: NDArray[np.int64]
    n: NDArray[np.float64]
    """Shape (..., channels)."""
    best: NDArray[np.float64]
    """Shape (...)."""
    alone: NDArray[np.float64]
    """Probability if there is only background, shape (...)."""

    @classmethod
    def of(cls, model: CountingModel, largest: NDArray[np.int64]) -> _Counts:
        _check_size(largest)
        n = np.moveaxis(np.indices(tuple(largest + 1)), 0, -1).astype(np.float64)
        return cls(model, largest, n, _best_strength(model, n), model.probabilities(0.0, largest))

    def up_to(self, largest: NDArray[np.int64]) -> _Counts:
        """Those up to fewer."""
        part = tuple(slice(0, int(last) + 1) for last in largest)
        return _Counts(self.model, largest, self.n[part], self.best[part], self.alone[part])

    def ratio(self, strength: float) -> NDArray[np.float64]:
        """q at the nominal background, shape (...)."""
        return _ratio(self.model, strength, self.n, self.best)


def _excluded(counts: _Counts, observed: NDArray[np.int64], strength: float, *, cls: bool) -> float:
    """p-value (or CLs) of a strength."""
    q = counts.ratio(strength)
    # Equal by construction, not by rounding.
    as_far = q >= q[tuple(observed)] - 1e-9
    p = float(counts.model.probabilities(strength, counts.largest)[as_far].sum())
    return p / float(counts.alone[as_far].sum()) if cls else p


def _summed(model: CountingModel, cl: float, *, cls: bool) -> float:
    assert model.observed is not None
    observed = model.observed
    start = (3 + 2 * float(observed.sum())) / float(model.signal.sum())
    box = [_Box.of(model, observed[None, :], 4 * start)]
    found = [_Counts.of(model, box[0](start))]

    def p(strength: float) -> float:
        if strength > 4 * start:
            box[0] = _Box.of(model, observed[None, :], strength)
        largest = box[0](strength)
        if np.any(largest > found[0].largest):
            found[0] = _Counts.of(model, np.maximum(largest, found[0].largest))
        return _excluded(found[0].up_to(largest), observed, strength, cls=cls)

    return crossing(p, 1 - cl, start)


def _bayes(model: CountingModel, cl: float) -> float:
    assert model.observed is not None
    top = (10 + 4 * float(model.observed.sum())) / float(model.signal.sum())
    while True:
        strengths = np.linspace(0.0, top, 2001)
        density = model.likelihood(strengths)
        if density[-1] < 1e-7 * density.max():
            break
        top *= 2
    steps = 0.5 * (density[1:] + density[:-1])
    area = np.concatenate(([0.0], np.cumsum(steps)))
    return float(np.interp(cl * area[-1], area, strengths))


def upper_limit(
    model: CountingModel,
    *,
    cl: float = 0.9,
    method: Method = "profile",
    toys: int = _TOYS,
    seed: int = 1,
) -> float:
    """Upper limit on the signal's strength, in units of the model's signal.

    Parameters
    ----------
    toys, seed
        Pseudo-experiments of the methods with toys, and their seed.

    Returns
    -------
    float
        Infinite without a signal.

    Raises
    ------
    InferenceError
        If nothing was observed yet, for an unknown method, a confidence level outside (0, 1), more
        counts than can be summed, or if the method does not apply.
    """
    check_level(cl)
    if method not in get_args(Method):
        msg = f"There is no method {method!r}. {did_you_mean(method, get_args(Method))}"
        raise InferenceError(msg)
    if model.observed is None:
        msg = "The counts are blinded: there is no observed limit yet; expected_limits needs none."
        raise InferenceError(msg)
    if not model.signal.any():
        return math.inf
    if method == "feldman-cousins":
        if len(model.names) > 1 or model.signal_modes.any() or model.background_modes.any():
            msg = (
                "Feldman-Cousins intervals are made for one channel without uncertainties; use "
                "'profile', or drop the uncertainties."
            )
            raise InferenceError(msg)
        top = feldman_cousins(int(model.observed[0]), float(model.background[0]), cl=cl)[1]
        return top / float(model.signal[0])
    if method == "bayes":
        return _bayes(model, cl)
    if method in {"profile", "cls"}:
        return _summed(model, cl, cls=method == "cls")
    cls = method.startswith("cls")
    return pyhf_limit(model, cl, cls=cls, toys=toys if method.endswith("toys") else 0, seed=seed)


def _limits(
    model: CountingModel, observed: NDArray[np.int64], cl: float, *, cls: bool
) -> NDArray[np.float64]:
    """Limits for many observed counts, shape (observations, channels), at once: one sum each."""
    top = (4 + 2 * float(observed.sum(axis=1).max())) / float(model.signal.sum())
    while True:
        strengths = np.linspace(0.0, top, _STRENGTHS)
        box = _Box.of(model, observed, top)
        boxes = [box(strength) for strength in strengths.tolist()]
        counts = _Counts.of(model, np.max(boxes, axis=0))
        log_p = np.stack(
            [
                _log_p(counts.up_to(box), observed, float(strength), cls=cls)
                for box, strength in zip(boxes, strengths, strict=True)
            ]
        )
        if log_p[-1].max() < np.log(1 - cl):
            break
        top *= 2
    target = np.log(1 - cl)
    found = np.zeros(len(observed))
    for j, curve in enumerate(log_p.T):
        above = np.flatnonzero(curve > target)
        if len(above):
            i = above[-1]
            found[j] = np.interp(-target, -curve[i : i + 2], strengths[i : i + 2])
    return found


def _log_p(
    counts: _Counts, observed: NDArray[np.int64], strength: float, *, cls: bool
) -> NDArray[np.float64]:
    """ln of the p-value (or CLs) of a strength for each of many observed counts."""
    place = np.ravel_multi_index(tuple(observed.T), tuple(counts.largest + 1))
    q = counts.ratio(strength).ravel()
    order = np.argsort(-q, kind="stable")
    as_far = np.searchsorted(-q[order], -q[place] + 1e-9, side="right") - 1
    chance = counts.model.probabilities(strength, counts.largest).ravel()
    p = np.cumsum(chance[order])[as_far]
    if cls:
        p = p / np.cumsum(counts.alone.ravel()[order])[as_far]
    return np.asarray(np.log(p))


def expected_limits(
    model: CountingModel, *, cl: float = 0.9, method: Method = "profile"
) -> NDArray[np.float64]:
    """Quantiles of the limit if there is only background, shape (5,): -2, ..., +2 sigma.

    The limit of every count that may come, weighted with the probability that it comes. Good to
    1e-3.

    Raises
    ------
    InferenceError
        As `upper_limit`.
    """
    from scipy.special import ndtr

    if not model.signal.any():
        return np.full(len(BANDS), math.inf)
    largest = _tails(model, 0.0, np.zeros(len(model.names), dtype=np.int64))
    _check_size(largest)
    chance = model.probabilities(0.0, largest).ravel()
    counts = np.stack(np.unravel_index(np.arange(len(chance)), largest + 1), axis=-1)
    order = np.argsort(-chance, kind="stable")
    # The two-sigma quantiles are at 2.3 %: 0.1 % of counts may be left out.
    order = order[: int(np.searchsorted(np.cumsum(chance[order]), 0.999 * chance.sum())) + 1]
    if method in {"profile", "cls"}:
        check_level(cl)
        limits = _limits(model, counts[order], cl, cls=method == "cls")
    else:
        limits = np.array(
            [upper_limit(model.with_observed(counts[i]), cl=cl, method=method) for i in order]
        )
    rank = np.argsort(limits, kind="stable")
    below = np.cumsum(chance[order][rank]) / chance[order].sum()
    at = np.searchsorted(below, ndtr(np.array(BANDS, dtype=np.float64)))
    quantiles: NDArray[np.float64] = limits[rank][np.minimum(at, len(rank) - 1)]
    return quantiles


def significance(model: CountingModel) -> float:
    """Z of the chance that the background gives counts at least as signal-like.

    In the order of the likelihood ratio at the nominal background.

    Raises
    ------
    InferenceError
        If nothing was observed yet.
    """
    from scipy.special import ndtri

    if model.observed is None:
        msg = "The counts are blinded: there is no significance yet."
        raise InferenceError(msg)
    counts = _Counts.of(model, _tails(model, 0.0, model.observed, beyond=1e-13))
    s, b, n = model.signal, model.background, counts.n
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(n > 0, n * np.log1p(counts.best[..., None] * s / b), 0.0)
    q = 2 * (gain - counts.best[..., None] * s).sum(axis=-1)
    p = float(counts.alone[q >= q[tuple(model.observed)] - 1e-9].sum())
    return max(0.0, -float(ndtri(min(p, 1.0)))) if p > 0 else math.inf
