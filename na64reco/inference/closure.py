"""Closure: what the method predicts where the answer may be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import gammaincc, ndtri

from na64reco.errors import InferenceError
from na64reco.inference.shapes import ECAL_SHAPES, HCAL_SHAPES
from na64reco.inference.sideband_fit import extrapolate, fit_sideband

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.selected import PeriodData
    from na64reco.inference.shapes import Shape

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["Closure", "abcd", "close", "closure_tests", "pull_of"]

_NODES = 200


@dataclass(frozen=True)
class Closure:
    """One test."""

    name: str
    fitted: tuple[float, float]
    """GeV."""
    predicted_range: tuple[float, float]
    """GeV."""
    expected: float | None
    """Events; None if only a limit could be given."""
    log_error: float | None
    upper: float
    """90 %."""
    observed: float
    """Sum of weights there."""
    pull: float | None
    """Standard deviations of the predictive distribution, > 0 for more events than expected."""


def pull_of(observed: float, expected: float, log_error: float) -> float:
    """Observed count against a Poisson mean that is known as a log-normal, as a normal deviate.

    The middle of the step in the distribution function is taken, so that the mean over many tests
    is zero.
    """
    z = ndtri((np.arange(_NODES) + 0.5) / _NODES)
    mean = expected * np.exp(log_error * z)
    below = np.zeros(_NODES) if observed < 1 else gammaincc(observed, mean)
    middle = float(np.mean(0.5 * (below + gammaincc(observed + 1, mean))))
    return float(ndtri(np.clip(middle, 1e-12, 1 - 1e-12)))


def close(
    name: str,
    x: Array,
    weights: Array,
    shape: Shape,
    *,
    fitted: tuple[float, float],
    predicted: tuple[float, float],
    scale: float,
) -> Closure:
    """Fit one range and compare its extrapolation with what lies in another.

    Raises
    ------
    InferenceError
        As `fit_sideband`.
    """
    fit = fit_sideband(x, shape, fitted, scale=scale, weights=weights)
    found = extrapolate(fit, predicted)
    there = (x >= predicted[0]) & (x < predicted[1])
    observed = float(weights[there].sum())
    if found.limit_only:
        return Closure(name, fitted, predicted, None, None, found.upper, observed, None)
    # Weighted events count as so many of equal weight.
    squares = float((weights[there] ** 2).sum())
    unit = squares / observed if observed else 1.0
    pull = pull_of(observed / unit, found.value / unit, found.log_error)
    return Closure(
        name, fitted, predicted, found.value, found.log_error, found.upper, observed, pull
    )


def closure_tests(period: PeriodData, *, top: float | None = None) -> tuple[Closure, ...]:
    """Sideband A from its upper part to its lower, sideband C from far to near the box.

    Parameters
    ----------
    top
        Another upper end of sideband A, GeV; default: its own.
    """
    box, data = period.box, period.data
    end = box.top if top is None else min(top, box.top)
    tests: list[Closure] = []
    a = data.take(data.hcal < box.hcal)
    for share in (0.3, 0.5):
        middle = round(box.ecal + share * (end - box.ecal))
        tests += [
            close(
                f"A: E_ECAL, {shape.name}",
                a.ecal,
                a.weight,
                shape,
                fitted=(middle, end),
                predicted=(box.ecal, middle),
                scale=period.beam,
            )
            for shape in ECAL_SHAPES[:2]
        ]
    c = data.take(data.ecal < box.ecal)
    near = (box.hcal, box.hcal + 2.0)
    tests.append(
        close(
            f"C: E_HCAL, {HCAL_SHAPES[0].name}",
            c.hcal,
            c.weight,
            HCAL_SHAPES[0],
            fitted=(near[1], near[1] + 20.0),
            predicted=near,
            scale=period.beam,
        )
    )
    return tuple(tests)


def abcd(above: float, beside: float, corner: float) -> tuple[float, float]:
    """Number in the box if its two variables are independent: above * beside / corner.

    Parameters
    ----------
    above, beside, corner
        Counts in the regions next to the box in the first variable, in the second, and in both.

    Returns
    -------
    tuple
        Number and the standard deviation of its logarithm.

    Raises
    ------
    InferenceError
        If any of them is not positive: there is no estimate then.
    """
    if min(above, beside, corner) <= 0:
        msg = (
            f"Independent variables need events in all three regions, found {above:g}, {beside:g} "
            f"and {corner:g}; widen them."
        )
        raise InferenceError(msg)
    return above * beside / corner, float(np.sqrt(1 / above + 1 / beside + 1 / corner))
