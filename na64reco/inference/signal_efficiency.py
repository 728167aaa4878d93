"""Efficiency of simulated signal against missing energy, as arXiv:2206.03101 section IV B.

``up`` are the cuts on what stands before the ECAL; ``down`` those on ECAL, VETO and HCAL, the
physics trigger and the signal box, of events that pass ``up``. ``down`` rises where the missing
energy passes E_beam - E_thr, as sharply as the ECAL resolves the energy that is left:

    sigma^2 = E_thr^2 (a^2 / E_thr + c^2) + (dp E_beam)^2.

kappa of calibration runs holds the cuts on ECAL, VETO and HCAL already; what it lacks is ``box``,
of events that pass all cuts but the trigger. A sample that was simulated with a trigger holds
triggered events alone, and the efficiencies are of those.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.inference.counted import efficiency, weighted_efficiency
from na64reco.inference.efficiency_results import SignalEfficiency
from na64reco.inference.turn_on import fit_turn_on

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.counted import Counted
    from na64reco.inference.measurement import Measurement
    from na64reco.selection.counts import Counts, Curve

    Array = NDArray[Any]

__all__ = ["expected_turn_on", "signal_efficiency"]


def expected_turn_on(counted: Counted, limit: float) -> tuple[float, float]:
    """Where the efficiency reaches half its height, and the width, GeV."""
    ecal, beam = counted.setup.ecal, counted.setup.beam
    resolution = limit * math.hypot(ecal.stochastic / math.sqrt(limit), ecal.constant)
    return beam.momentum - limit, math.hypot(resolution, beam.momentum_spread * beam.momentum)


def signal_efficiency(counted: Counted, counts: Counts) -> SignalEfficiency | None:
    """From the counts of simulated signal; None for other samples, or without a box."""
    curve = counts.curves.get("missing energy")
    if curve is None or "box" not in curve.counts:
        return None
    period = counted.period_of(int(counts.run[0]))
    limit = None if period is None else counted.box_limit(period)
    if limit is None:
        return None
    threshold, width = expected_turn_on(counted, limit)
    bins = math.ceil(counted.setup.beam.momentum)
    edges = curve.edges[: bins + 1]
    up = [_ratio(curve, "up", "entered", i) for i in range(bins)]
    down = [_ratio(curve, "box", "up", i) for i in range(bins)]
    passed, total = _effective(curve, bins)
    return SignalEfficiency(
        edges=tuple(float(e) for e in edges),
        up=_total(curve, "up", "entered"),
        up_by_energy=tuple(up),
        down=tuple(down),
        box=tuple(_ratio(curve, "box", "offline", i) for i in range(bins)),
        turn_on=fit_turn_on(
            "mc.missing_energy", edges, passed, total, start=threshold, width=width
        ),
        expected_threshold=threshold,
        expected_width=width,
    )


def _ratio(curve: Curve, passed: str, total: str, i: int) -> Measurement | None:
    if not curve.counts[total][i]:
        return None
    if not curve.weights:
        return efficiency(int(curve.counts[passed][i]), int(curve.counts[total][i]))
    mine, all_ = (tuple(curve.weights[n][:, i].tolist()) for n in (passed, total))
    return weighted_efficiency(mine, all_)


def _total(curve: Curve, passed: str, total: str) -> Measurement:
    if not curve.weights:
        return efficiency(int(curve.counts[passed].sum()), int(curve.counts[total].sum()))
    mine, all_ = (tuple(curve.weights[n].sum(axis=1).tolist()) for n in (passed, total))
    return weighted_efficiency(mine, all_)


def _effective(curve: Curve, bins: int) -> tuple[Array, Array]:
    """Passed and all events in each bin; weighted ones as so many of equal weight."""
    if not curve.weights:
        return curve.counts["box"][:bins], curve.counts["up"][:bins]
    w, w2 = curve.weights["up"][:, :bins]
    n = np.divide(w**2, w2, out=np.zeros(bins), where=w2 > 0)
    share = np.divide(curve.weights["box"][0, :bins], w, out=np.zeros(bins), where=w > 0)
    return n * share, n
