"""Pulse shapes: the mean pulse of a detector, tabulated for fits at any sampling phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from na64reco.errors import ConditionsError

if TYPE_CHECKING:
    from na64reco.calibration import WaveformConditions

__all__ = ["PHASES", "PulseTable", "pulse_spline", "pulse_table"]

Array = NDArray[np.float64]

PHASES: Final = 128
"""Sampling phases of a table; between them a pulse is expanded to first order, which leaves
(12.5 ns / 256)^2 T'' / 2 ~ 1e-5 of the height of a pulse that rises in 20 ns."""


class PulseTable(NamedTuple):
    """A pulse of height 1 at all sampling phases.

    A pulse at the position p (in samples, where its time is 0) has in sample i the height
    ``value[phase, zero + i - floor(p)]`` with phase = (p - floor(p)) * PHASES.
    """

    value: Array
    """Shape (PHASES + 1, entries)."""
    slope: Array
    """Derivative with respect to the position, the same shape."""
    zero: int
    """Entry of the sample at the pulse's own position, at phase 0."""
    first: float
    """Smallest position that leaves anything of the pulse in the window, samples."""
    last: float
    """Largest position to look at, samples."""
    peak: float
    """From the position to the maximum, samples."""


def pulse_spline(start: float, step: float, values: Array) -> CubicSpline:
    """Smooth pulse through a tabulated one, flat at both ends; the abscissa is ns."""
    times = start + step * np.arange(len(values))
    return CubicSpline(times, values, bc_type="clamped")


def pulse_table(conditions: WaveformConditions, *, interval: float, samples: int) -> PulseTable:
    """Tabulate a detector's pulse at the digitiser's sampling phases.

    Parameters
    ----------
    conditions
        With the pulse against time.
    interval
        ns between samples.
    samples
        In a waveform.

    Raises
    ------
    ConditionsError
        If the tabulated pulse is too short, or its height isn't 1.
    """
    start, step, values = conditions.start, conditions.step, conditions.pulse
    if len(values) < 8 or not 0.9 < values.max() < 1.1:
        msg = (
            f"A pulse of {len(values)} values with the height {values.max(initial=0.0):.3g} is no "
            "template: expected 8 values or more and the height 1. Make it again with the "
            "calibration of waveforms."
        )
        raise ConditionsError(msg)
    spline = pulse_spline(start, step, values)
    fine = np.linspace(start, start + step * (len(values) - 1), 64 * len(values))
    heights = spline(fine)
    top = int(np.argmax(heights))
    peak, end = float(fine[top]), float(fine[-1])
    # What is left of an earlier pulse below 1 % of its height need not be found.
    above = fine[heights > 0.01]
    first = -float(above[-1]) / interval + 1.0
    last = samples - 1 - float(above[0]) / interval - 1.0
    zero = int(np.ceil(last)) + 1
    entries = zero + samples - int(np.floor(first)) + 1
    phases = np.arange(PHASES + 1) / PHASES
    times = (np.arange(entries) - zero - phases[:, None]) * interval
    inside = (times >= start) & (times <= end)
    at = np.clip(times, start, end)
    value = np.where(inside, spline(at), np.where(times > end, values[-1], 0.0))
    slope = np.where(inside, -interval * spline(at, 1), 0.0)
    return PulseTable(
        np.ascontiguousarray(value / heights[top]),
        np.ascontiguousarray(slope / heights[top]),
        zero,
        first,
        last,
        peak / interval,
    )
