"""Waveforms to pulses: amplitude and time of every pulse in every channel of a chunk.

What is made here has the form of hits that were read as amplitude and time, several entries of a
channel where it has several pulses, so that whatever sums hits in and out of time needs to know
nothing about waveforms.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from na64reco.calorimeters.baseline import prepare_samples
from na64reco.calorimeters.pulses import MAX_PULSES, Room, make_room
from na64reco.calorimeters.separation import fit_channel, hold_time
from na64reco.calorimeters.templates import (
    ModeTables,
    PulseTable,
    channel_table,
    mode_tables,
    pulse_table,
)
from na64reco.errors import DataError
from na64reco.events import Hits

if TYPE_CHECKING:
    from na64reco.calibration import CellConditions, WaveformConditions
    from na64reco.setup import Digitizer

__all__ = [
    "AT_EXPECTED_TIME",
    "OUTSIDE",
    "OVERLAPPING",
    "POOR",
    "SATURATED",
    "WaveformPulses",
    "channel_index",
    "fit_waveforms",
    "pulses_from_waveforms",
]

Array = NDArray[np.float64]

SATURATED: Final = 1
"""Flag: samples were clipped; the amplitude comes from the others."""
OVERLAPPING: Final = 2
"""Flag: the channel has further pulses, all fitted together."""
AT_EXPECTED_TIME: Final = 4
"""Flag: its own time is vague, and it is compatible with the channel's expected time, which was
taken as a measurement of it; for the smallest, which are not found by themselves, as the only one
(`time_error` is infinite then)."""
OUTSIDE: Final = 8
"""Flag: the maximum is outside the window, only its tail or rise was seen."""
POOR: Final = 16
"""Flag: the pulses do not describe the waveform."""

_CHANNEL: Final = ("section", "module", "ix", "iy", "id")
_READABLE, _EMPTY, _STUCK, _BLIND = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class WaveformPulses:
    """All pulses of one collection, and what became of its channels."""

    hits: Hits
    """Columns that name the channel, `amplitude` (ADC), `time` (ns relative to master_time),
    `amplitude_error`, `time_error` (standard errors), `chi2` (per degree of freedom, of the whole
    waveform), `flags` (uint8, sum of the flags of this module)."""
    channels: int
    """Waveforms."""
    without_pulse: int
    """Nothing above the noise."""
    unreadable: int
    """All samples the same, or not finite: no pulse is made from them."""
    blind: int
    """Clipped almost throughout: one pulse of the height of the range, its error infinite."""


def pulses_from_waveforms(
    hits: Hits,
    cells: CellConditions,
    waveform: WaveformConditions,
    digitizer: Digitizer,
    *,
    trigger: NDArray[np.floating[Any]] | None = None,
    name: str = "the collection",
) -> Hits:
    """Hits with amplitude and time from hits with samples; see :func:`fit_waveforms`."""
    return fit_waveforms(hits, cells, waveform, digitizer, trigger=trigger, name=name).hits


def fit_waveforms(
    hits: Hits,
    cells: CellConditions,
    waveform: WaveformConditions,
    digitizer: Digitizer,
    *,
    trigger: NDArray[np.floating[Any]] | None = None,
    follow: bool = False,
    name: str = "the collection",
) -> WaveformPulses:
    """Find and fit the pulses of every waveform.

    Parameters
    ----------
    hits
        With `samples`, shape (channels, samples), and the columns that name the channel:
        `section` or `module`, `ix`, `iy`, or `id`.
    cells
        Their `time` and `time_width` are where a pulse of the trigger's particle is expected:
        small ones that may be it are held there.
    waveform
        Pulse shape, pedestals, noise, saturation; arrays of the same shape as those of `cells`.
    digitizer
        Of the setup.
    trigger
        Of each event: when the trigger was by the clock of the samples, master_time less its
        nominal value, ns; 0 by default.
    follow
        Correct the pedestals by the first samples of each waveform (half of the presamples: those
        behind see the rise of the trigger's pulse), where these are quiet.
    name
        Of the collection, for messages.

    Returns
    -------
    Pulses in the order of the channels; those of one channel by time

    Raises
    ------
    DataError
        If there are no samples, or they are not as many as the digitiser's, or a channel is
        outside the detector.
    ConditionsError
        If the pulse shape is unusable.
    """
    samples = hits.columns.get("samples")
    if samples is None or samples.ndim != 2 or samples.shape[1] != digitizer.samples:
        found = "no samples" if samples is None else f"samples of the shape {samples.shape}"
        msg = (
            f"{name} has {found}, but waveforms of {digitizer.samples} samples are expected. Check "
            "the digitizer of the setup and how the file was written."
        )
        raise DataError(msg)
    if samples.dtype != np.uint16:
        samples = _as_counts(samples)
    channel = channel_index(hits, cells.scale.shape, name)
    table = pulse_table(waveform, interval=digitizer.interval, samples=digitizer.samples)
    modes = mode_tables(waveform, table, interval=digitizer.interval)
    channels = cells.scale.size
    coefficients = np.zeros((channels, len(modes.value)))
    if waveform.coefficients is not None:
        coefficients[:] = waveform.coefficients.reshape(-1, channels).T
    delay = np.zeros(channels) if waveform.delay is None else waveform.delay.ravel()
    presamples = float(digitizer.presamples)
    expected = presamples + (cells.time.ravel() + delay) / digitizer.interval
    number = len(samples)
    # Channel by channel where each has a pulse of its own: its table stays in the cache.
    order = np.arange(number)
    if len(modes.value):
        order = np.argsort(channel.astype(np.min_scalar_type(channels)), kind="stable")
    late = np.zeros(number, dtype=np.float32)
    if trigger is not None:
        late = np.repeat(np.asarray(trigger, dtype=np.float32), hits.counts)
    counts, state = np.empty(number, dtype=np.uint8), np.empty(number, dtype=np.uint8)
    begin = np.empty(number, dtype=np.int64)
    # Memory that is not touched is not used: most channels have one pulse.
    values = np.empty((MAX_PULSES * number, 5), dtype=np.float32)
    flags = np.empty(MAX_PULSES * number, dtype=np.uint8)
    pulses = _fit_channels(
        samples,
        channel,
        order,
        waveform.pedestal.reshape(2, -1),
        waveform.noise.ravel(),
        float(waveform.saturation),
        np.broadcast_to(waveform.shape_error, cells.scale.shape).ravel(),
        expected,
        cells.time_width.ravel() / digitizer.interval,
        late / np.float32(digitizer.interval),
        digitizer.presamples // 2 if follow else 0,
        table,
        modes,
        coefficients,
        make_room(digitizer.samples),
        begin,
        counts,
        state,
        values,
        flags,
    )
    values, flags = values[:pulses], flags[:pulses]
    ends = np.zeros(number + 1, dtype=np.int64)
    np.cumsum(counts, out=ends[1:])
    if len(modes.value):
        back = np.repeat(begin - ends[:-1], counts) + np.arange(pulses)
        values, flags = values[back], flags[back]
    columns: dict[str, NDArray[Any]] = {
        key: np.repeat(column, counts) for key, column in hits.columns.items() if key in _CHANNEL
    }
    interval = np.float32(digitizer.interval)
    columns["amplitude"] = values[:, 0].copy()
    columns["time"] = (values[:, 1] - np.float32(presamples)) * interval - np.repeat(
        late + delay.astype(np.float32)[channel], counts
    )
    columns["amplitude_error"] = values[:, 2].copy()
    columns["time_error"] = values[:, 3] * interval
    columns["chi2"] = values[:, 4].copy()
    columns["flags"] = flags.copy()
    return WaveformPulses(
        Hits(ends[hits.offsets], columns),
        channels=number,
        without_pulse=int(np.count_nonzero(state == _EMPTY)),
        unreadable=int(np.count_nonzero(state == _STUCK)),
        blind=int(np.count_nonzero(state == _BLIND)),
    )


def _as_counts(samples: NDArray[Any]) -> NDArray[np.uint16]:
    """Samples as whole counts; a waveform with a sample that is not finite becomes all zeros."""
    finite = np.isfinite(samples).all(axis=1)
    top = np.iinfo(np.uint16).max
    return np.where(finite[:, None], np.rint(np.clip(np.nan_to_num(samples), 0, top)), 0).astype(
        np.uint16
    )


def channel_index(hits: Hits, shape: tuple[int, ...], name: str) -> NDArray[np.int32]:
    """Flat index of each hit's channel in arrays of a shape, shape (hits,).

    Raises
    ------
    DataError
        If a channel is outside the detector.
    """
    keys = [key for key in _CHANNEL if key in hits.columns]
    if len(keys) == len(shape) - 1:
        shape = shape[1:]  # a calorimeter of one section has no number for it
    if len(keys) != len(shape):
        msg = f"{name}: channels are named by {keys}, but the conditions have the shape {shape}."
        raise DataError(msg)
    index = np.zeros(hits.size, dtype=np.int32)
    for key, size in zip(keys, shape, strict=True):
        column = hits.columns[key]
        if column.size and int(column.max()) >= size:
            msg = (
                f"{name}: {key} {int(column.max())} is outside the detector, which has {size}. "
                "Check the file with `na64reco inspect`."
            )
            raise DataError(msg)
        index *= size
        index += column
    return index


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_channels(
    samples: NDArray[Any],
    channel: NDArray[np.int32],
    order: NDArray[np.int64],
    pedestal: Array,
    noise: Array,
    saturation: float,
    shape_error: Array,
    expected: Array,
    width: Array,
    late: NDArray[np.float32],
    follow: int,
    common: PulseTable,
    modes: ModeTables,
    coefficients: Array,
    room: Room,
    begin: NDArray[np.int64],
    counts: NDArray[np.uint8],
    state: NDArray[np.uint8],
    values: NDArray[np.float32],
    flags: NDArray[np.uint8],
) -> int:  # pragma: no cover - compiled
    """Fill counts and states of the channels, values (A, p, errors, chi2) and flags of pulses."""
    length = samples.shape[1]
    y, weight = np.zeros(length), np.zeros(length)
    clipped = np.zeros(length, dtype=np.bool_)
    amplitudes, positions = np.zeros(MAX_PULSES), np.zeros(MAX_PULSES)
    errors = np.zeros((3, MAX_PULSES))
    place, last = 0, -1
    table = common
    value, slope = np.empty_like(common.value), np.empty_like(common.slope)
    for row in order:
        cell = channel[row]
        if cell != last and coefficients.shape[1] > 0:
            table = channel_table(common, modes, coefficients[cell], value, slope)
        last = cell
        begin[row] = place
        even, odd = pedestal[0, cell], pedestal[1, cell]
        sigma = noise[cell]
        usable, top, lowest, highest = prepare_samples(
            samples[row], even, odd, sigma, saturation, follow, y, weight, clipped
        )
        counts[row] = 0
        if lowest == highest or usable == 0:
            state[row] = _STUCK
            continue
        if usable < 4:
            state[row] = _BLIND
            counts[row] = 1
            flags[place] = SATURATED | POOR
            values[place, 0] = saturation - even
            values[place, 1] = top - table.peak
            values[place, 2] = values[place, 3] = values[place, 4] = np.inf
            place += 1
            continue
        there = min(max(expected[cell] + late[row], table.first), table.last)
        number, chi2, forced = fit_channel(
            y,
            weight,
            clipped,
            usable,
            top,
            sigma,
            saturation - max(even, odd),
            shape_error[cell],
            there,
            table,
            amplitudes,
            positions,
            errors,
            room,
        )
        state[row] = _READABLE if number else _EMPTY
        flag = SATURATED if usable < length else 0
        flag |= OVERLAPPING if number > 1 else 0
        held = hold_time(amplitudes, positions, number, errors, there, width[cell])
        held = 0 if forced else held
        freedom = max(usable - (1 if forced else 2 * number), 1)
        flag |= POOR if chi2 > freedom + 5.0 * np.sqrt(2.0 * freedom) else 0
        done = 0
        while done < number:
            first = -1
            for j in range(number):
                if amplitudes[j] > 0.0 and (first < 0 or positions[j] < positions[first]):
                    first = j
            if first < 0:
                break
            peak = positions[first] + table.peak
            values[place, 0] = amplitudes[first]
            values[place, 1] = positions[first]
            values[place, 2] = errors[0, first]
            values[place, 3] = errors[1, first]
            values[place, 4] = chi2 / freedom
            flags[place] = flag | (OUTSIDE if peak < 0.0 or peak > length - 1 else 0)
            flags[place] |= AT_EXPECTED_TIME if first == held else 0
            amplitudes[first] = 0.0
            place += 1
            done += 1
        counts[row] = done
    return place
