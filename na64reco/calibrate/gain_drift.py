"""How a gain drifts from spill to spill and within a spill, from a peak of known energy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2 as chi2_distribution

__all__ = ["DriftFit", "Interval", "fit_drift", "location"]

Array = NDArray[np.float64]

FEWEST: Final = 400
"""Events per spill (or group of spills) and interval of time: 0.2 % for a 4 % wide peak."""
MOST_TIMES: Final = 24
"""Intervals of time in a spill."""
CHANCE: Final = 1e-3
"""A gain counts as constant if chi2 of a constant is exceeded more often by chance."""
_TUKEY: Final = 4.0


@dataclass(frozen=True)
class Interval:
    """One measurement of the gain in one run."""

    run: int
    spills: tuple[int, int] | None
    """First and last; None for all."""
    times: tuple[float, float] | None
    """s; None for all."""
    gain: float
    """Relative to the mean over all."""
    error: float
    entries: int


@dataclass(frozen=True, eq=False)
class DriftFit:
    """Gains of all runs: a product of one in the time of the spill and one of the spill."""

    times: tuple[Interval, ...]
    """Within spills, relative to the mean over the run."""
    spills: tuple[Interval, ...]
    """From spill to spill, relative to the mean over all runs."""
    drifting_times: frozenset[int]
    """Runs whose gain is not constant within spills."""
    drifting_spills: frozenset[int]
    """Runs whose gain is not that of the mean over all runs in all spills."""
    factor: Array
    """To multiply each event's energy by, shape (events,)."""
    width_before: float
    """Relative, of the peak."""
    width_after: float
    known_times: bool
    """Whether the sample says when in the spill events were."""


def location(values: Array, *, around: float | None = None) -> tuple[float, float, float]:
    """Place of a peak with tails: Tukey's biweight; its error, and the peak's width.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.concatenate([np.linspace(0.9, 1.1, 201), np.full(20, 0.3)])
    >>> bool(abs(location(values)[0] - 1) < 0.005)
    True
    """
    place = float(np.median(values)) if around is None else around
    width = max(1.4826 * float(np.median(np.abs(values - place))), 1e-6)
    for _ in range(50):
        u2 = ((values - place) / (_TUKEY * width)) ** 2
        weight = np.where(u2 < 1, (1 - u2) ** 2, 0.0)
        new = float(np.average(values, weights=weight)) if weight.any() else place
        if abs(new - place) < 1e-6 * width:
            break
        place = new
    u2 = ((values - place) / (_TUKEY * width)) ** 2
    inside = u2 < 1
    psi = np.where(inside, (values - place) * (1 - u2) ** 2, 0.0)
    slope = float(np.where(inside, (1 - u2) * (1 - 5 * u2), 0.0).sum())
    return place, float(np.sqrt((psi**2).sum())) / max(slope, 1e-9), width


def fit_drift(
    ratio: Array,
    run: NDArray[Any],
    spill: NDArray[Any],
    spill_time: Array,
    *,
    fewest: int = FEWEST,
) -> DriftFit:
    """Gains by run, spill and time in the spill.

    Parameters
    ----------
    ratio
        Energy seen over energy expected, shape (events,).
    run, spill
        Shape (events,).
    spill_time
        s since the beginning of the spill, NaN if unknown, shape (events,).
    fewest
        Events per measurement; spills with fewer are put together with the next.
    """
    mean, _, before = location(ratio)
    known = bool(np.isfinite(spill_time).any())
    within, between = [], []
    moving_times, moving_spills = set(), set()
    factor = np.ones(len(ratio))
    for number in np.unique(run).tolist():
        events = np.flatnonzero(run == number)
        timed = _times(number, ratio[events], spill_time[events], fewest) if known else []
        if _moves(timed, 1.0):
            moving_times.add(number)
            for part in timed:
                assert part.times is not None
                inside = _between(spill_time[events], part.times, timed)
                factor[events[inside]] /= part.gain
        within += timed
    # Anew: in the corrected sample the mean is another, within the events' errors.
    mean, *_ = location(ratio * factor)
    for number in np.unique(run).tolist():
        events = np.flatnonzero(run == number)
        corrected = ratio[events] * factor[events] / mean
        found = _spills(number, corrected, spill[events], fewest)
        if _moves(found, 1.0):
            moving_spills.add(number)
            for part in found:
                assert part.spills is not None
                first, last = part.spills
                factor[events[(spill[events] >= first) & (spill[events] <= last)]] /= part.gain
        between += found
    _, _, after = location(ratio * factor)
    return DriftFit(
        times=tuple(within),
        spills=tuple(between),
        drifting_times=frozenset(moving_times),
        drifting_spills=frozenset(moving_spills),
        factor=factor,
        width_before=before / mean,
        width_after=after / mean,
        known_times=known,
    )


def _times(run: int, ratio: Array, time: Array, fewest: int) -> list[Interval]:
    """Gain in intervals of the time in the spill, relative to the mean over the events."""
    good = np.isfinite(time)
    bins = min(MOST_TIMES, int(np.count_nonzero(good)) // fewest)
    if bins < 2:
        return []
    # A whole number of ms, so that the file says what was used.
    begin = np.floor(1e3 * time[good].min()) / 1e3
    end = np.ceil(1e3 * np.nextafter(time[good].max(), np.inf)) / 1e3
    edges = np.round(np.linspace(begin, end, bins + 1), 3)
    edges[-1] = max(edges[-1], end)
    mean, *_ = location(ratio[good])
    found = []
    for low, high in pairwise(edges):
        chosen = ratio[good & (time >= low) & (time < high)]
        if len(chosen) < fewest / 4:
            continue
        gain, error, _ = location(chosen)
        times = (float(low), float(high))
        found.append(Interval(run, None, times, gain / mean, error / mean, len(chosen)))
    return found


def _between(
    time: Array, times: tuple[float, float], all_times: list[Interval]
) -> NDArray[np.bool_]:
    """Events of an interval; the first and last take those beyond."""
    ends = [t for part in all_times if part.times for t in part.times]
    clipped = np.clip(time, min(ends), np.nextafter(max(ends), -np.inf))
    inside: NDArray[np.bool_] = (clipped >= times[0]) & (clipped < times[1])
    return inside


def _spills(run: int, ratio: Array, spill: NDArray[Any], fewest: int) -> list[Interval]:
    """Gain in spills, or in consecutive ones together."""
    numbers, counts = np.unique(spill, return_counts=True)
    groups: list[list[int]] = []
    held = 0
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if held == 0 or held >= fewest:
            groups.append([])
            held = 0
        groups[-1].append(number)
        held += count
    if held < fewest and len(groups) > 1:
        groups[-2] += groups.pop()
    found = []
    for group in groups:
        chosen = ratio[(spill >= group[0]) & (spill <= group[-1])]
        if len(chosen) >= min(fewest / 4, 50):
            gain, error, _ = location(chosen)
            found.append(Interval(run, (group[0], group[-1]), None, gain, error, len(chosen)))
    return found


def _moves(found: list[Interval], constant: float) -> bool:
    """Whether the gains are not all the same, beyond chance."""
    if not found:
        return False
    chi2 = sum(((part.gain - constant) / part.error) ** 2 for part in found)
    return bool(chi2_distribution.sf(chi2, len(found)) < CHANCE)
