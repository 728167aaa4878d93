"""Choice of the signal box: the threshold with the best expected limit, from outside of the box.

A coupling squared is excluded down to S_up(b) / (exposure x kappa x efficiency): what is minimised
is S_up(b(E_thr)) / efficiency(E_thr), with b extrapolated from the sidebands. Neither needs an
event in the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from na64reco.errors import InferenceError
from na64reco.inference.background import component_of
from na64reco.inference.expected import expected_limit
from na64reco.inference.shapes import NOMINAL, integrate, integrate_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from na64reco.inference.background import Sideband
    from na64reco.inference.expected import Method
    from na64reco.inference.selected import Events, PeriodData
    from na64reco.inference.signal_shape import SignalShape

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["BoxChoice", "Scan", "choose_box", "optimum", "scan_sideband"]

TOLERANCE = 0.01
"""Thresholds whose limit is worse by less than this are as good as the best."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Expected limit against one threshold; arrays of shape (thresholds,)."""

    variable: str
    """ecal or hcal."""
    thresholds: Array
    """GeV."""
    background: Array
    """Events."""
    error: Array
    """Its standard deviation."""
    efficiency: Array
    """Share of the signal kept."""
    limit: Array
    """Expected upper limit on events of signal in the box."""

    @property
    def reach(self) -> Array:
        """limit / efficiency: proportional to the excluded coupling squared."""
        return np.asarray(self.limit / self.efficiency)

    @property
    def best(self) -> int:
        """Position of the smallest."""
        return int(np.argmin(self.reach))

    @property
    def plateau(self) -> tuple[float, float]:
        """Range of thresholds whose reach is within `TOLERANCE` of the best."""
        good = self.thresholds[self.reach <= (1 + TOLERANCE) * self.reach.min()]
        return float(good.min()), float(good.max())


@dataclass(frozen=True, eq=False)
class BoxChoice:
    """What was found for one period."""

    ecal: Scan
    hcal: Scan
    method: Method
    cl: float
    signal: str
    blinded: float
    """GeV: E_ECAL below it is hidden."""

    @property
    def threshold(self) -> float:
        """Best E_thr, GeV."""
        return float(self.ecal.thresholds[self.ecal.best])

    @property
    def seen(self) -> bool:
        """The best box reaches beyond the hidden region: its outer part has been looked at."""
        return self.threshold > self.blinded + 1e-9


def scan_sideband(found: Sideband, thresholds: Array) -> tuple[Array, Array]:
    """Expected background and its total standard deviation below each threshold.

    As `component_of` at the sideband's own box; elsewhere from the same fits.

    Raises
    ------
    InferenceError
        If a threshold leaves no box.
    """
    if not (thresholds > found.box[0]).all():
        msg = f"A threshold of {thresholds.min():g} GeV leaves no box; they must be positive."
        raise InferenceError(msg)
    scale = found.fit.scale

    def ratio(name: str) -> tuple[Array, Array]:
        fit = found.fits[name]
        inner = integrate(fit.shape, fit.theta[None], fit.window, scale=scale)
        log, mean = integrate_to(fit.shape, fit.theta, found.box[0], thresholds, scale=scale)
        return log - inner.log[0], mean - inner.mean[0]

    log, slope = ratio(NOMINAL)
    if found.nominal.limit_only:
        # One number is known; it varies as the shape that is left does.
        own = integrate(found.fit.shape, found.fit.theta[None], found.box, scale=scale).log[0]
        window = integrate(found.fit.shape, found.fit.theta[None], found.fit.window, scale=scale)
        expected = component_of("", found).expected
        value = expected * np.exp(log - (own - window.log[0]))
        return value, value
    value = found.fit.total * np.exp(log)
    direction = np.concatenate([np.ones((len(thresholds), 1)), slope], axis=1)
    statistical = value * np.sqrt(
        np.einsum("ij,jk,ik->i", direction, found.fit.covariance, direction)
    )
    model = np.zeros(len(thresholds))
    for name, weight in found.shape_weights.items():
        if weight > 1e-4 and name != NOMINAL:
            other = found.fits[name].total * np.exp(ratio(name)[0])
            model += weight * (other - value) ** 2
    return value, np.sqrt(statistical**2 + model)


def optimum(
    thresholds: Array,
    background: Array,
    error: Array,
    signal: SignalShape,
    *,
    method: Method = "mean",
    cl: float = 0.9,
) -> Scan:
    """Expected limit against the ECAL threshold, for a background that is given."""
    efficiency = np.array([signal.efficiency(t) for t in thresholds])
    if not (efficiency > 0).all():
        msg = (
            f"No signal ({signal.name}) is left below {thresholds[np.argmin(efficiency)]:g} GeV; "
            "scan higher thresholds or give a signal with more missing energy."
        )
        raise InferenceError(msg)
    limit = np.array(
        [expected_limit(b, e, cl=cl, method=method) for b, e in zip(background, error, strict=True)]
    )
    return Scan("ecal", thresholds, background, error, efficiency, limit)


def choose_box(
    period: PeriodData,
    a: Sideband,
    c: Sideband,
    signal: SignalShape,
    *,
    simulated: Sequence[Callable[[float, float], float]] = (),
    method: Method = "mean",
    cl: float = 0.9,
    thresholds: Array | None = None,
) -> BoxChoice:
    """Scan the two thresholds of the box.

    Parameters
    ----------
    a, c
        The sidebands, fitted.
    signal
        What is searched for.
    simulated
        Further backgrounds as functions of the ECAL and the HCAL threshold, events.
    thresholds
        In E_ECAL, GeV; default: every half GeV from 30 GeV to where the sideband is half used up.

    Raises
    ------
    InferenceError
        If no signal is left below a threshold.
    """
    box, data = period.box, period.data
    if thresholds is None:
        thresholds = np.arange(30.0, 0.5 * (box.ecal + box.top) + 0.01, 0.5)
    upstream, upstream_error = scan_sideband(a, thresholds)
    punch, punch_error = scan_sideband(c, np.array([box.hcal]))
    share = _share_below(data.take(data.hcal >= box.hcal), thresholds, box.ecal)
    others = np.array([sum(f(t, box.hcal) for f in simulated) for t in thresholds])
    scan = optimum(
        thresholds,
        upstream + share * punch[0] + others,
        np.hypot(upstream_error, share * punch_error[0]),
        signal,
        method=method,
        cl=cl,
    )
    # The HCAL threshold, at the box's own E_thr.
    ends = np.round(
        box.hcal * np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3, 5]), 6
    )
    kept = _hcal_efficiency(data.take(data.ecal >= box.ecal), ends, box.hcal)
    ends, kept = ends[kept > 0], kept[kept > 0]
    at_box, at_box_error = scan_sideband(a, np.array([box.ecal]))
    punch, punch_error = scan_sideband(c, ends)
    background = at_box[0] * kept + punch
    background += np.array([sum(f(box.ecal, h) for f in simulated) for h in ends])
    error = np.hypot(at_box_error[0] * kept, punch_error)
    limit = np.array(
        [expected_limit(b, e, cl=cl, method=method) for b, e in zip(background, error, strict=True)]
    )
    efficiency = kept * signal.efficiency(box.ecal)
    hcal = Scan("hcal", ends, background, error, efficiency, limit)
    return BoxChoice(scan, hcal, method, cl, signal.name, box.ecal)


def _share_below(beside: Events, thresholds: Array, edge: float) -> Array:
    """Sideband C below each threshold, over all of it; beyond the edge in proportion."""
    below = beside.take(beside.ecal < edge)
    total = float(below.weight.sum())
    if total == 0:
        return np.asarray(thresholds / edge)
    order = np.argsort(below.ecal)
    sums = np.concatenate([[0.0], np.cumsum(below.weight[order])])
    share = sums[np.searchsorted(below.ecal[order], np.minimum(thresholds, edge))] / total
    return np.where(thresholds > edge, thresholds / edge, share)


def _hcal_efficiency(above: Events, ends: Array, edge: float) -> Array:
    """Electrons with an HCAL below each threshold, over those below the box's, from sideband A.

    Nothing is known beyond the box's threshold, where hadrons begin: 1 there.
    """
    empty = above.take(above.hcal < edge)
    total = float(empty.weight.sum())
    if total == 0:
        return np.ones(len(ends))
    found = np.array([float(empty.weight[empty.hcal < h].sum()) for h in ends]) / total
    return np.where(ends >= edge, 1.0, found)
