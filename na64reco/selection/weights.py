"""Sums of weights where a cutflow counts events, and what they are worth.

Weights are those of simulated events: how many events of an unbiased sample each stands for. Sums
and sums of squares are kept in float64. With weights that are sums of few powers of two, as those
of na64reco's own simulation, both are exact, so that they do not depend on the order of addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from na64reco.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["WEIGHT", "Sum", "WeightSums", "effective_interval", "event_weights"]

WEIGHT = "mc.weight"
"""The column."""

Sum: TypeAlias = tuple[float, float]
"""Sum of weights, sum of their squares."""


def event_weights(columns: Mapping[str, NDArray[Any]], events: int) -> NDArray[np.float64]:
    """Weights of simulated events, shape (events,); 1 where the file gives none.

    Raises
    ------
    DataError
        If a weight is negative, infinite or no number.
    """
    if WEIGHT not in columns:
        return np.ones(events)
    weights = np.asarray(columns[WEIGHT], dtype=np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"{np.count_nonzero(bad)} of {events} events have an impossible {WEIGHT} (MC_weight), "
            f"the first {weights[first]:g} in row {first}: a weight is the number of events that "
            "one stands for, finite and not negative."
        )
        raise DataError(msg)
    return weights


def effective_interval(passed: Sum, total: Sum, *, cl: float) -> tuple[float, float]:
    """Clopper-Pearson interval of an efficiency of weighted events, by effective counts.

    With e = P/T the variance is V = ((1 - e)^2 P2 + e^2 (T2 - P2)) / T^2, where P2 and T2 are sums
    of squared weights; n = e (1 - e) / V unweighted events would have the same. Where V = 0
    (nothing or everything passes), n = T^2 / T2. For weights that are all the same, n is the number
    of events.
    """
    from scipy.special import betaincinv

    if total[0] <= 0:
        return 0.0, 1.0
    efficiency = min(passed[0] / total[0], 1.0)
    variance = (passed[1] * (1 - 2 * efficiency) + efficiency**2 * total[1]) / total[0] ** 2
    if variance > 0 and 0 < efficiency < 1:
        events = efficiency * (1 - efficiency) / variance
    else:
        events = total[0] ** 2 / total[1]
    k = efficiency * events
    tail = (1 - cl) / 2
    low = 0.0 if efficiency == 0 else float(betaincinv(k, events - k + 1, tail))
    high = 1.0 if efficiency == 1 else float(betaincinv(k + 1, events - k, 1 - tail))
    return low, high


def _added(mine: tuple[Sum, ...], yours: tuple[Sum, ...]) -> tuple[Sum, ...]:
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(mine, yours, strict=True))


@dataclass(frozen=True)
class WeightSums:
    """The sums that go with the counts of a `Cutflow`, field by field."""

    entered: Sum
    passed: tuple[Sum, ...]
    alone: tuple[Sum, ...]
    others: tuple[Sum, ...]
    regions: tuple[Sum, ...]

    def __add__(self, other: WeightSums) -> WeightSums:
        return WeightSums(
            _added((self.entered,), (other.entered,))[0],
            _added(self.passed, other.passed),
            _added(self.alone, other.alone),
            _added(self.others, other.others),
            _added(self.regions, other.regions),
        )

    @property
    def selected(self) -> Sum:
        """Of the events that pass all cuts."""
        return self.passed[-1] if self.passed else self.entered

    def to_json(self) -> dict[str, Any]:
        """Lists of [sum, sum of squares]."""
        return {
            "entered": list(self.entered),
            **{
                name: [list(pair) for pair in getattr(self, name)]
                for name in ("passed", "alone", "others", "regions")
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> WeightSums:
        """The inverse of `to_json`."""

        def pairs(name: str) -> tuple[Sum, ...]:
            return tuple((float(a), float(b)) for a, b in content[name])

        a, b = content["entered"]
        return cls(
            (float(a), float(b)), pairs("passed"), pairs("alone"), pairs("others"), pairs("regions")
        )
