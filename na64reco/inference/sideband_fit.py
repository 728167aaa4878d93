"""Unbinned extended maximum-likelihood fit of a sideband, and its extrapolation into the box.

The extended likelihood of N events x_i is n^N e^-n prod p(x_i; theta). With a free number n it
factorises: n = N, and theta from the shape alone. What is wanted is b = n R(theta), R being the
ratio of the shape's integrals over the box and over the range of the fit. ln b is nearly normal
even for a few tens of events (b is not: its distribution has a long tail), so errors are those of
ln b, and an interval is b e^+-sigma.

Events of simulation may have weights; the covariance is then the sandwich H^-1 D H^-1 with D the
sum of squared weights times squared scores (C. Langenbruch, Eur. Phys. J. C 82 (2022) 393).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import gammaincinv, lambertw, ndtri

from na64reco.errors import InferenceError
from na64reco.inference.shapes import integrate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.shapes import Shape

    Array: TypeAlias = NDArray[np.float64]

__all__ = [
    "FEWEST",
    "Extrapolation",
    "SidebandFit",
    "extrapolate",
    "fit_sideband",
    "profile_upper",
    "ratio_and_slope",
]

FEWEST = 3
"""With fewer events a slope is not measured: only an upper limit is stated."""

LARGEST = 2.0
"""Of the error of ln b; beyond, the number itself says nothing."""

_GRID = {1: 200, 2: 30}
"""Points on either side of each parameter's best in a profile."""

_CLOSE = 1e-4
"""Of a limit's width: a parameter this near to it is at it."""


@dataclass(frozen=True, eq=False)
class SidebandFit:
    """A shape fitted to a range."""

    shape: Shape
    window: tuple[float, float]
    """GeV."""
    scale: float
    """Energy of the beam, GeV."""
    events: int
    """Number in the range."""
    total: float
    """Sum of weights in the range: the number expected."""
    squares: float
    """Sum of squared weights."""
    mean: Array
    """Of the shape's statistics T in the data, all that the fit needs to know."""
    theta: Array
    """Parameters."""
    covariance: Array
    """Of (ln n, theta), shape (1 + parameters, 1 + parameters)."""
    nll: float
    """Smallest -ln L of the shape, per unit of weight 1 (scaled by total / squares)."""
    at_limit: tuple[str, ...]
    """Parameters at the end of their range, where the covariance means nothing."""

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 nll + 2 parameters."""
        return 2 * self.nll + 2 * len(self.theta)


def fit_sideband(
    x: Array,
    shape: Shape,
    window: tuple[float, float],
    *,
    scale: float,
    weights: Array | None = None,
) -> SidebandFit:
    """Fit a shape to the events in a range, lo <= x < hi.

    With no events theta is where the spectrum does not fall towards the box at all.

    Parameters
    ----------
    x
        GeV, shape (events,); those outside the range are not used.
    weights
        Same shape; default 1.

    Raises
    ------
    InferenceError
        If the range is empty, or a weight is negative or not finite.
    """
    low, high = window
    if not low < high:
        msg = f"The range of the fit, {low:g} to {high:g} GeV, is empty; its ends must ascend."
        raise InferenceError(msg)
    x = np.asarray(x, dtype=np.float64)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    inside = (x >= low) & (x < high)
    x, w = x[inside], w[inside]
    if not (np.isfinite(w).all() and (w >= 0).all()):
        msg = "Weights of sideband events must be finite and not negative."
        raise InferenceError(msg)
    total, squares = float(w.sum()), float((w**2).sum())
    p = len(shape.parameters)
    if total == 0:
        flat = np.array([min(max(0.0, lo), hi) for lo, hi in shape.limits])
        unknown = np.full((p + 1, p + 1), np.inf)
        return SidebandFit(
            shape, window, scale, 0, 0.0, 0.0, flat, flat, unknown, 0.0, shape.parameters
        )
    t = shape.statistic(x, scale)
    mean = t @ w / total
    theta = _minimise(shape, window, scale, mean, total**2 / squares)
    own = integrate(shape, theta[None], window, scale=scale)
    score = t - own.mean[0][:, None]
    inverse = np.linalg.pinv(own.covariance[0]) / total
    covariance = np.empty((p + 1, p + 1))
    covariance[0, 0] = squares / total**2
    covariance[0, 1:] = covariance[1:, 0] = inverse @ (score @ w**2) / total
    unweighted = bool(np.all(w == w[0]))
    spread = own.covariance[0] * squares if unweighted else (score * w**2) @ score.T
    covariance[1:, 1:] = inverse @ spread @ inverse
    if unweighted:
        covariance[0, 1:] = covariance[1:, 0] = 0.0
    at_limit = tuple(
        name
        for name, value, (lo, hi) in zip(shape.parameters, theta, shape.limits, strict=True)
        if min(value - lo, hi - value) < _CLOSE * (hi - lo)
    )
    nll = float(own.log[0] - theta @ mean) * total**2 / squares
    return SidebandFit(
        shape, window, scale, len(x), total, squares, mean, theta, covariance, nll, at_limit
    )


def _minimise(
    shape: Shape, window: tuple[float, float], scale: float, mean: Array, events: float
) -> Array:
    """The parameters at which the shape's mean of T comes closest to that of the data."""
    from iminuit import Minuit

    def cost(theta: Array) -> float:
        found = integrate(shape, np.asarray(theta)[None], window, scale=scale)
        return events * float(found.log[0] - theta @ mean)

    def gradient(theta: Array) -> Array:
        found = integrate(shape, np.asarray(theta)[None], window, scale=scale)
        return np.asarray(events * (found.mean[0] - mean))

    # Concave: one maximum, whatever the start.
    start = np.array([lo + 0.05 * (hi - lo) if lo == 0 else 0.1 for lo, hi in shape.limits])
    minuit = Minuit(cost, start, grad=gradient, name=shape.parameters)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.limits = shape.limits
    minuit.tol = 1e-3
    minuit.strategy = 1
    minuit.migrad()
    theta = np.array(minuit.values, dtype=np.float64)
    return _polish(shape, window, scale, mean, theta)


def _polish(
    shape: Shape, window: tuple[float, float], scale: float, mean: Array, theta: Array
) -> Array:
    """Newton steps from the minimiser's result; ends of the range stay ends."""
    low, high = np.array(shape.limits).T
    for _ in range(20):
        found = integrate(shape, theta[None], window, scale=scale)
        gradient = mean - found.mean[0]
        edge = _CLOSE * (high - low)
        free = ~(((theta - low < edge) & (gradient < 0)) | ((high - theta < edge) & (gradient > 0)))
        if not free.any():
            break
        step = np.zeros_like(theta)
        step[free] = np.linalg.pinv(found.covariance[0][np.ix_(free, free)]) @ gradient[free]
        new = np.clip(theta + step, low, high)
        if found.log[0] - theta @ mean <= (
            integrate(shape, new[None], window, scale=scale).log[0] - new @ mean
        ):
            break
        theta = new
    return theta


@dataclass(frozen=True)
class Extrapolation:
    """Number of events that a fit expects in a range outside it."""

    value: float
    """Most likely number; not to be quoted where `limit_only`."""
    log_error: float
    """Standard deviation of its logarithm; infinite where only the limit is known."""
    upper: float
    """Upper limit."""
    cl: float
    """Confidence level of it, one-sided."""
    limit_only: bool
    """No measurement, only the upper limit."""
    reason: str
    """Why only that."""
    ratio: float
    """Events in the box per event in the fitted range."""

    @property
    def error(self) -> float:
        """Standard deviation, value * log_error; infinite where only the limit is known."""
        return self.value * self.log_error if np.isfinite(self.log_error) else np.inf


def ratio_and_slope(fit: SidebandFit, box: tuple[float, float]) -> tuple[float, Array]:
    """ln of (integral in the box / in the range), and its derivatives by theta."""
    inner = integrate(fit.shape, fit.theta[None], fit.window, scale=fit.scale)
    outer = integrate(fit.shape, fit.theta[None], box, scale=fit.scale)
    return float(outer.log[0] - inner.log[0]), outer.mean[0] - inner.mean[0]


def extrapolate(fit: SidebandFit, box: tuple[float, float], *, cl: float = 0.9) -> Extrapolation:
    """Continue a fit into the box.

    With fewer than `FEWEST` events, with a parameter at its end, or with an error of ln b above
    `LARGEST`, only an upper limit is given (see `profile_upper`).
    """
    log_ratio, slope = ratio_and_slope(fit, box)
    direction = np.concatenate([[1.0], slope])
    value = fit.total * float(np.exp(log_ratio))
    log_error = np.inf
    reason = ""
    if fit.events < FEWEST:
        number = {0: "no event", 1: "one event"}.get(fit.events, f"{fit.events} events")
        reason = f"{number} in the sideband, slope not measured"
    elif fit.at_limit:
        reason = f"{', '.join(fit.at_limit)} of the {fit.shape.name} at the end of its range"
    else:
        log_error = float(np.sqrt(direction @ fit.covariance @ direction))
        if log_error > LARGEST:
            reason = f"known to no better than a factor of {np.exp(log_error):.2g}"
    if reason:
        upper = profile_upper(fit, box, cl=cl)
        return Extrapolation(value, np.inf, upper, cl, True, reason, float(np.exp(log_ratio)))
    upper = value * float(np.exp(ndtri(cl) * log_error))
    return Extrapolation(value, log_error, upper, cl, False, "", float(np.exp(log_ratio)))


def profile_upper(fit: SidebandFit, box: tuple[float, float], *, cl: float = 0.9) -> float:
    """One-sided upper limit on the number in the box where the fit has no regular maximum.

    With fewer than `FEWEST` events: the classical limit of the number in the range, in the ratio
    of the widths, as for a flat spectrum. With more: the profile likelihood's. It covers as it
    says for a spectrum that falls; for one that is flat, at the very end of what is allowed, 90 %
    are 76 to 86 %.
    """
    effective = fit.total**2 / fit.squares if fit.squares else 0.0
    unit = fit.squares / fit.total if fit.total else 1.0
    if fit.events < FEWEST:
        widths = (box[1] - box[0]) / (fit.window[1] - fit.window[0])
        return unit * float(gammaincinv(effective + 1, cl)) * widths
    # Dense near the best, so that the step is small whatever the number of events.
    steps = np.linspace(0, 1, _GRID[len(fit.theta)]) ** 3
    axes = [
        np.concatenate([best - (best - lo) * steps, best + (hi - best) * steps])
        for best, (lo, hi) in zip(fit.theta, fit.shape.limits, strict=True)
    ]
    grid = np.stack([a.ravel() for a in np.meshgrid(*axes)], axis=1)
    grid = np.concatenate([grid, fit.theta[None]])
    inner = integrate(fit.shape, grid, fit.window, scale=fit.scale)
    outer = integrate(fit.shape, grid, box, scale=fit.scale)
    # What each shape costs; the rest of the budget is for the number of events, n - N ln n.
    cost = effective * (inner.log - grid @ fit.mean)
    budget = 0.5 * ndtri(cl) ** 2 - (cost - cost.min())
    allowed = budget >= 0
    number = -np.real(lambertw(-np.exp(-1.0 - budget[allowed] / effective), -1))
    return fit.total * float(np.max(number * np.exp(outer.log - inner.log)[allowed]))
