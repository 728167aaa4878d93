"""Pulse shapes: the mean pulse of a detector, tabulated for fits at any sampling phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.errors import ConditionsError

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

    from na64reco.calibration import WaveformConditions

__all__ = ["PHASES", "ModeTables", "PulseTable", "channel_table", "mode_tables", "pulse_table"]

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


class ModeTables(NamedTuple):
    """What is added to a detector's pulse for single channels, tabulated as the pulse is."""

    value: Array
    """Shape (modes, PHASES + 1, entries)."""
    slope: Array
    """Derivative with respect to the position, the same shape."""


def _spline(start: float, step: float, values: Array) -> CubicSpline:
    """Smooth pulse through a tabulated one, flat at both ends; the abscissa is ns."""
    # Half a second to import, for files with waveforms alone.
    from scipy.interpolate import CubicSpline

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
    spline = _spline(start, step, values)
    fine = np.linspace(start, start + step * (len(values) - 1), 64 * len(values))
    heights = spline(fine)
    top = int(np.argmax(heights))
    peak = float(fine[top])
    # What is left of an earlier pulse below 1 % of its height need not be found.
    above = fine[heights > 0.01]
    first = -float(above[-1]) / interval + 1.0
    last = samples - 1 - float(above[0]) / interval - 1.0
    zero = int(np.ceil(last)) + 1
    entries = zero + samples - int(np.floor(first)) + 1
    value, slope = _tabulated(conditions, values, zero, entries, interval)
    return PulseTable(
        np.ascontiguousarray(value / heights[top]),
        np.ascontiguousarray(slope / heights[top]),
        zero,
        first,
        last,
        peak / interval,
    )


def mode_tables(
    conditions: WaveformConditions, table: PulseTable, *, interval: float
) -> ModeTables:
    """Tabulate the modes of a detector, relative to the pulse in its table.

    Raises
    ------
    ConditionsError
        If they are not as long as the pulse.
    """
    modes = np.zeros((0, 1)) if conditions.modes is None else conditions.modes
    entries = table.value.shape[1]
    value = np.zeros((len(modes), PHASES + 1, entries))
    slope = np.zeros_like(value)
    if not len(modes):
        return ModeTables(value, slope)
    if modes.shape[1] != len(conditions.pulse):
        msg = (
            f"Modes of {modes.shape[1]} values do not belong to a pulse of "
            f"{len(conditions.pulse)}. Make them again with the calibration of waveforms."
        )
        raise ConditionsError(msg)
    spline = _spline(conditions.start, conditions.step, conditions.pulse)
    end = conditions.start + conditions.step * (len(conditions.pulse) - 1)
    fine = np.linspace(conditions.start, end, 64 * len(conditions.pulse))
    height = float(spline(fine).max())
    for k, mode in enumerate(modes):
        tables = _tabulated(conditions, mode, table.zero, entries, interval)
        value[k], slope[k] = tables[0] / height, tables[1] / height
    return ModeTables(value, slope)


def _tabulated(
    conditions: WaveformConditions, values: Array, zero: int, entries: int, interval: float
) -> tuple[Array, Array]:
    """Values and slopes at all phases, shape (PHASES + 1, entries) each."""
    start, end = conditions.start, conditions.start + conditions.step * (len(values) - 1)
    spline = _spline(start, conditions.step, values)
    phases = np.arange(PHASES + 1) / PHASES
    times = (np.arange(entries) - zero - phases[:, None]) * interval
    inside = (times >= start) & (times <= end)
    at = np.clip(times, start, end)
    value = np.where(inside, spline(at), np.where(times > end, values[-1], 0.0))
    slope = np.where(inside, -interval * spline(at, 1), 0.0)
    return value, slope


@njit(cache=True, nogil=True, error_model="numpy")
def channel_table(
    table: PulseTable, modes: ModeTables, coefficients: Array, value: Array, slope: Array
) -> PulseTable:  # pragma: no cover - compiled
    """The pulse of one channel; `value` and `slope`, shaped as those of the table, are filled."""
    value[:], slope[:] = table.value, table.slope
    for k in range(len(coefficients)):
        factor = coefficients[k]
        for phase in range(value.shape[0]):
            for i in range(value.shape[1]):
                value[phase, i] += factor * modes.value[k, phase, i]
                slope[phase, i] += factor * modes.slope[k, phase, i]
    top, peak = 0.0, table.peak
    for phase in range(PHASES):
        for i in range(value.shape[1]):
            if value[phase, i] > top:
                top, peak = value[phase, i], i - table.zero - phase / PHASES
    for phase in range(value.shape[0]):
        for i in range(value.shape[1]):
            value[phase, i] /= top
            slope[phase, i] /= top
    return PulseTable(value, slope, table.zero, table.first, table.last, peak)
