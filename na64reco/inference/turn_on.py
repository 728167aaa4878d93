"""Thresholds: an efficiency that rises or falls as the integral of a Gaussian.

    p(x) = plateau * (1 + s erf((x - threshold) / (sqrt2 width))) / 2,    s = +1 or -1

The plateau is that of the bins well beyond the threshold; threshold and width are fitted to all
bins by binomial maximum likelihood.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import erf, xlog1py, xlogy

from na64reco.inference.counted import efficiency
from na64reco.inference.efficiency_results import TurnOn
from na64reco.inference.measurement import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["fit_turn_on"]

_LEAST = 20
"""Events needed on either side of the threshold."""
_LOWEST = 0.1
"""Below this efficiency beyond the threshold there is nothing to fit."""


def fit_turn_on(
    variable: str,
    edges: Array,
    passed: Array,
    total: Array,
    *,
    start: float,
    width: float,
    rising: bool = True,
) -> TurnOn | None:
    """Fit a threshold; None if there are too few events on one side of it.

    Parameters
    ----------
    edges
        Of the bins, shape (bins + 1,).
    passed, total
        Events, shape (bins,); effective numbers of weighted events.
    start, width
        Where the threshold is expected, and how wide; only to begin with.
    rising
        False for a threshold below which events pass.
    """
    from iminuit import Minuit
    from iminuit.warnings import IMinuitWarning

    centres, step = (edges[1:] + edges[:-1]) / 2, float(np.min(np.diff(edges)))
    sign = 1.0 if rising else -1.0
    if min(total[centres < start].sum(), total[centres > start].sum()) < _LEAST:
        return None
    far = sign * (centres - start) > max(4 * width, step)
    k, n = float(passed[far].sum()), float(total[far].sum())
    if n < _LEAST:
        return None
    plateau = efficiency(round(k), round(n))
    if plateau.value < _LOWEST:
        return None
    use = total > 0
    x, passed, total = centres[use], passed[use], total[use]
    halves = np.diff(edges)[use] / 2

    def model(threshold: float, sigma: float) -> Array:
        # Mean over the bin by Simpson's rule: a bin may be as wide as the threshold.
        parts = [
            w * erf(sign * (x + d * halves - threshold) / (np.sqrt(2) * sigma))
            for d, w in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6))
        ]
        p = plateau.value * (1 + np.sum(parts, axis=0)) / 2
        return np.asarray(np.clip(p, 1e-9, 1 - 1e-9))

    def cost(threshold: float, sigma: float) -> float:
        p = model(threshold, sigma)
        return -float(np.sum(xlogy(passed, p) + xlog1py(total - passed, -p)))

    fit = Minuit(cost, threshold=start, sigma=width)
    fit.errordef = Minuit.LIKELIHOOD
    fit.limits["sigma"] = (step / 50, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IMinuitWarning)
        fit.migrad()
        fit.hesse()
    if not fit.valid:
        return None
    p = model(*fit.values)
    expected = total * p
    seen = expected * (1 - p) > 1
    pull = (passed - expected)[seen] ** 2 / (expected * (1 - p))[seen]
    return TurnOn(
        variable=variable,
        threshold=Measurement.symmetric(fit.values["threshold"], fit.errors["threshold"]),
        width=Measurement.symmetric(fit.values["sigma"], fit.errors["sigma"]),
        plateau=plateau,
        chi2=float(pull.sum()),
        ndf=max(int(np.count_nonzero(seen)) - 2, 0),
    )
