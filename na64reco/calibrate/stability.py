"""What changes from spill to spill: rates of channels, times, the ECAL's gain; what stands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DetectorHistory", "Finding", "History", "find_problems", "silent_channels"]

Array = NDArray[np.float64]

EXPECTED: Final = 30.0
"""Hits that a channel should have had before its silence means anything."""
SILENT: Final = 0.1
"""A channel with fewer hits than this share of what it has in other spills is dead in a spill."""
NOISY: Final = 5.0
"""One with more than this many times as many is noisy."""
GAIN: Final = 0.03
"""How far a spill's gain may be from the median."""
TIME: Final = 1.0
"""How far a spill's mean time may be from the median, ns."""
PEDESTAL: Final = 0.5
"""How far a spill's mean pedestal may be from the median, ADC counts."""
RATE: Final = 0.3
"""How far a spill's hits per event may be from the median, relative."""
SURE: Final = 5.0
"""Standard deviations by which anything has to stand out."""


@dataclass(frozen=True, eq=False)
class DetectorHistory:
    """One detector; first axis: spills, as in `History`."""

    names: tuple[str, ...]
    """Of the channels; empty where there is none."""
    hits: Array
    """By channel, shape (spills, channels)."""
    late: Array
    """Mean lateness of hits in time, ns, shape (spills,)."""
    late_error: Array
    pedestal: Array | None = None
    """Mean over the channels of the pedestal less that of the conditions, ADC counts, shape
    (spills,); None without waveforms."""
    pedestal_error: Array | None = None


@dataclass(frozen=True, eq=False)
class History:
    """All spills, in order."""

    run: NDArray[np.int64]
    spill: NDArray[np.int64]
    events: NDArray[np.int64]
    detectors: dict[str, DetectorHistory]
    """By collection."""
    gain: Array
    """Place of the electron peak over the beam's energy; NaN where there is none."""
    gain_error: Array
    """Shape (spills,)."""


@dataclass(frozen=True)
class Finding:
    """Something that stands out in one spill."""

    run: int
    spill: int
    reason: str
    """One word, for quality.txt."""


def silent_channels(history: History) -> dict[str, list[str]]:
    """Channels without any hit while most of their detector's have many; by collection."""
    found = {}
    for name, detector in history.detectors.items():
        total = detector.hits.sum(axis=0)
        known = np.array([bool(name) for name in detector.names])
        if np.median(total[known]) >= EXPECTED:
            silent = [detector.names[c] for c in np.flatnonzero(known & (total == 0))]
            if silent:
                found[name] = silent
    return found


def find_problems(history: History) -> list[Finding]:
    """Spills in which something differs from the other spills, beyond chance."""
    found: list[tuple[int, str]] = []
    events = history.events.astype(np.float64)
    for name, detector in history.detectors.items():
        found += [(s, f"{name}_{reason}") for s, reason in _rates(detector, events)]
        for s in _away(detector.late, detector.late_error, TIME):
            shift = detector.late[s] - np.nanmedian(detector.late)
            found.append((s, f"{name}_times_{shift:+.1f}_ns"))
        if detector.pedestal is not None and detector.pedestal_error is not None:
            for s in _away(detector.pedestal, detector.pedestal_error, PEDESTAL):
                shift = detector.pedestal[s] - np.nanmedian(detector.pedestal)
                found.append((s, f"{name}_pedestals_{shift:+.1f}_counts"))
    middle = np.nanmedian(history.gain) if np.isfinite(history.gain).any() else np.nan
    for s in _away(history.gain / middle, history.gain_error / middle, GAIN):
        found.append((s, f"ECAL_gain_{history.gain[s] / middle:.3f}"))
    return [
        Finding(int(history.run[s]), int(history.spill[s]), reason) for s, reason in sorted(found)
    ]


def _away(values: Array, errors: Array, most: float) -> Sequence[int]:
    """Where values differ from their median by more than allowed, and beyond chance."""
    if np.count_nonzero(np.isfinite(values)) < 3:
        return []  # of two, either may be the odd one
    off = np.abs(values - np.nanmedian(values))
    with np.errstate(invalid="ignore"):
        return np.flatnonzero((off > most) & (off > SURE * errors)).tolist()


def _rates(detector: DetectorHistory, events: Array) -> list[tuple[int, str]]:
    if len(events) < 3:
        return []
    per_event = detector.hits / np.maximum(events, 1)[:, None]
    usual: Array = np.median(per_event, axis=0)
    expected = usual * events[:, None]
    found: list[tuple[int, str]] = []
    total, should = detector.hits.sum(axis=1), expected.sum(axis=1)
    off = np.abs(total - should)
    odd = np.flatnonzero((off > RATE * should) & (off > SURE * np.sqrt(should + 1)))
    found += [(s, f"hits_{total[s] / max(should[s], 1e-9):.2f}_of_usual") for s in odd.tolist()]
    dead = (expected > EXPECTED) & (detector.hits < SILENT * expected)
    noisy = detector.hits > np.maximum(NOISY * expected, expected + SURE**2 + EXPECTED)
    for what, which in (("dead", dead), ("noisy", noisy)):
        for s in np.flatnonzero(which.any(axis=1)).tolist():
            names = [detector.names[c] for c in np.flatnonzero(which[s])]
            more = f"_and_{len(names) - 1}_more" if len(names) > 1 else ""
            found.append((s, f"{what}_{names[0]}{more}"))
    return found
