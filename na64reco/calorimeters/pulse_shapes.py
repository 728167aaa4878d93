"""The mean pulse of a detector from its own isolated pulses, sampled at random phases.

Heights and times of single pulses and their common shape are found in turns: a smooth curve through
all samples, each at its time after its own pulse and divided by its height, then heights and times
from this curve. Samples of one phase know nothing of those of another but that the pulse is smooth:
times could be stretched and squeezed alike in every sampling interval, T(u) -> T(u + g(u)) with g
of the period of the sampling, and all waveforms would be described as well. Such a g puts ripples
of this period onto the pulse; the smoothest pulse of all is taken. For one that the digitiser
samples as it should be (band-limited below half the sampling frequency), ripples and pulse are
orthogonal, and this is exact.
"""

# ruff: noqa: PLR0917 - the same arrays in all steps

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline, make_lsq_spline
from scipy.optimize import least_squares

from na64reco.errors import DataError

if TYPE_CHECKING:
    from na64reco.setup import Digitizer

__all__ = ["MIN_PULSES", "PulseShape", "isolated_pulses", "measure_pulse"]

Array = NDArray[np.float64]

MIN_PULSES: Final = 200
"""Fewer do not make a shape."""
_MOST: Final = 10_000
"""Pulses that are used at most: those of most significance."""
_SIGNIFICANT: Final = 25.0
"""Least height in units of the noise."""
_KNOTS: Final = 4
"""Of the smooth curve, in a sampling interval."""
_GRID: Final = 10
"""Values of the table in a sampling interval."""
_ROUNDS: Final = 8
_QUIET: Final = 4.0
"""Nothing before the pulse may exceed this, in units of the noise."""
_TAIL: Final = 5e-4
"""Where the table ends, of the height."""


@dataclass(frozen=True, eq=False)
class PulseShape:
    """A detector's mean pulse, its maximum 1."""

    start: float
    """Time of the first value, ns; 0 is the time of the pulse."""
    step: float
    """ns."""
    values: Array
    shape_error: float
    """rms of single pulses about it beyond noise, relative to the height times the square root of
    the shape."""
    pulses: int
    """It was made from so many."""
    chi2: float
    """Median of their chi2 per degree of freedom, with noise alone."""


def measure_pulse(
    y: Array,
    noise: Array,
    expected: Array,
    digitizer: Digitizer,
    *,
    ceiling: Array | float,
    what: str = "The detector",
) -> PulseShape:
    """Mean pulse from waveforms of many channels.

    Parameters
    ----------
    y
        Samples less pedestals, ADC counts, shape (waveforms, samples).
    noise
        rms of a sample, shape (waveforms,).
    expected
        Where the channel's mean time is by the clock of the samples, ns: its time relative to
        master_time and when the trigger was. It says which instant of the pulse is its time.
    digitizer
        Interval, samples, presamples.
    ceiling
        Samples less pedestals from here on are clipped.
    what
        The name of the detector, for messages.

    Raises
    ------
    DataError
        If there are too few isolated pulses.
    """
    chosen = isolated_pulses(y, noise, digitizer, ceiling=ceiling)
    if len(chosen) < MIN_PULSES:
        msg = (
            f"{what} has {len(chosen)} isolated pulses above {_SIGNIFICANT:g} times the noise "
            f"among {len(y)} waveforms, expected {MIN_PULSES} or more for a pulse shape. Give more "
            "events, or runs in which its channels see particles."
        )
        raise DataError(msg)
    y, noise, expected = y[chosen], noise[chosen], expected[chosen]
    clock: Array = np.arange(y.shape[1], dtype=np.float64) - digitizer.presamples
    clock *= digitizer.interval
    height, time = _first(y, clock)
    keep = np.ones(len(y), dtype=np.bool_)
    curve = _curve(y, noise, height, time, keep, clock, digitizer.interval)
    for number in range(_ROUNDS):
        if number == _ROUNDS - 3:
            curve = _unrippled(curve, digitizer.interval)
        elif number:
            curve = _curve(y, noise, height, time, keep, clock, digitizer.interval)
        height, time, chi2 = _fit(y, noise, height, time, clock, curve)
        limit = np.median(chi2) + 5 * (np.percentile(chi2, 84) - np.median(chi2))
        keep = (chi2 < max(limit, 2.0)) & (height > 0)
        if keep.sum() < MIN_PULSES // 2:
            msg = f"{what}: its pulses have no common shape. Check pedestals and samples."
            raise DataError(msg)
    shift = float(np.median((time - expected)[keep]))
    error = _shape_error(y[keep], noise[keep], height[keep], time[keep], clock, curve)
    start, step, values = _table(curve, digitizer.interval, shift)
    return PulseShape(start, step, values, error, int(keep.sum()), float(np.median(chi2)))


def isolated_pulses(
    y: Array,
    noise: Array,
    digitizer: Digitizer,
    *,
    ceiling: Array | float = np.inf,
    significant: float = _SIGNIFICANT,
    most: int = _MOST,
) -> NDArray[np.int64]:
    """The most significant pulses whose rise is where that of the trigger's particle is.

    Parameters as of `measure_pulse`; heights exceed `significant` times the noise, and there are
    `most` of them at most.
    """
    top = y.argmax(axis=1)
    rows = np.arange(len(y))
    significance = y[rows, top] / noise
    good = (significance > significant) & (y < np.reshape(ceiling, (-1, 1))).all(axis=1)
    # Half of the presamples are before any pulse of the trigger's particle.
    quiet = max(digitizer.presamples // 2, 1)
    good &= (np.abs(y[:, :quiet]) < _QUIET * noise[:, None]).all(axis=1)
    good &= (top >= quiet + 1) & (top < digitizer.samples - 2)
    found = np.flatnonzero(good)
    if not len(found):
        return found
    # Others that came later: the commonest place of the maximum, and its neighbours.
    common = np.bincount(top[found]).argmax()
    found = found[np.abs(top[found] - common) <= 2]
    order = np.argsort(-significance[found], kind="stable")
    return np.sort(found[order[:most]])


def _first(y: Array, clock: Array) -> tuple[Array, Array]:
    """Height and time of the maximum of a cubic spline through the samples."""
    top = y.argmax(axis=1)
    spline = CubicSpline(np.arange(7.0), _around(y, top).T)
    fine = np.linspace(2.0, 4.0, 81)
    values = spline(fine)
    best = values.argmax(axis=0)
    height = values[best, np.arange(len(y))]
    interval = clock[1] - clock[0]
    return height, clock[0] + interval * (top - 3 + fine[best])


def _around(y: Array, top: NDArray[np.int64]) -> Array:
    """Seven samples about the maximum."""
    at = np.clip(top[:, None] + np.arange(-3, 4), 0, y.shape[1] - 1)
    return np.take_along_axis(y, at, axis=1)


def _curve(
    y: Array,
    noise: Array,
    height: Array,
    time: Array,
    keep: NDArray[np.bool_],
    clock: Array,
    interval: float,
) -> BSpline:
    """Smooth curve through all samples against the time after their pulses."""
    at = (clock - time[keep, None]).ravel()
    value = (y[keep] / height[keep, None]).ravel()
    weight = np.repeat(height[keep] / noise[keep], len(clock))
    order = np.argsort(at, kind="stable")
    at, value, weight = at[order], value[order], weight[order]
    # The ends are where few waveforms reach.
    low, high = np.quantile(at, [0.002, 0.998])
    inside = (at >= low) & (at <= high)
    at, value, weight = at[inside], value[inside], weight[inside]
    knots = np.arange(at[0], at[-1], interval / _KNOTS)[1:-1]
    # A piece without samples has no curve of its own (Schoenberg and Whitney).
    filled = np.searchsorted(at, knots)
    knots = knots[np.diff(filled, prepend=0) >= 8]
    ends = np.r_[[at[0]] * 4, knots, [at[-1]] * 4]
    return make_lsq_spline(at, value, ends, k=3, w=weight)


def _fit(
    y: Array, noise: Array, height: Array, time: Array, clock: Array, curve: BSpline
) -> tuple[Array, Array, Array]:
    """Heights, times and chi2 per degree of freedom by Gauss-Newton steps."""
    low, high = curve.t[0], curve.t[-1]
    slope = curve.derivative()
    for _ in range(4):
        at = clock - time[:, None]
        inside = (at >= low) & (at <= high)
        at = np.clip(at, low, high)
        t, d = curve(at) * inside, -slope(at) * inside
        tt, td, dd = (t * t).sum(axis=1), (t * d).sum(axis=1), (d * d).sum(axis=1)
        yt, yd = (y * t).sum(axis=1), (y * d).sum(axis=1)
        determinant = tt * dd - td * td
        height = (yt * dd - yd * td) / determinant
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (yd * tt - yt * td) / determinant / height
        time = time + np.clip(np.nan_to_num(step), -5.0, 5.0)
    at = clock - time[:, None]
    inside = (at >= low) & (at <= high)
    residual = (y - height[:, None] * curve(np.clip(at, low, high))) * inside
    freedom = np.maximum(inside.sum(axis=1) - 2, 1)
    return height, time, (residual**2).sum(axis=1) / noise**2 / freedom


def _unrippled(curve: BSpline, interval: float) -> BSpline:
    """The curve with times stretched and squeezed periodically so that it is smoothest."""
    low, high = curve.t[0], curve.t[-1]
    step = interval / _GRID
    at = np.arange(low + interval, high - interval, step)
    angle = 2 * np.pi * at / interval
    waves = np.stack([f(m * angle) for m in (1, 2) for f in (np.sin, np.cos)])

    def roughness(g: Array) -> Any:
        return np.diff(curve(at + g @ waves), 3) * 1e3

    g = least_squares(roughness, np.zeros(4)).x
    return make_interp_spline(at, curve(at + g @ waves), k=3)


def _shape_error(
    y: Array, noise: Array, height: Array, time: Array, clock: Array, curve: BSpline
) -> float:
    at = clock - time[:, None]
    inside = (at >= curve.t[0]) & (at <= curve.t[-1])
    shape = curve(np.clip(at, curve.t[0], curve.t[-1]))
    used = inside & (shape > 0.05)
    residual = y - height[:, None] * shape
    beyond = (residual**2 - noise[:, None] ** 2)[used].sum()
    scale = (height[:, None] ** 2 * shape)[used].sum()
    return float(np.sqrt(max(beyond, 0.0) / scale))


def _table(curve: BSpline, interval: float, shift: float) -> tuple[float, float, Array]:
    """Values from where the pulse begins to where it has gone; its time is at `shift`."""
    step = interval / _GRID
    at = np.arange(curve.t[0], curve.t[-1], step)
    values = curve(at)
    fine = np.arange(at[0], at[-1], step / 20)
    values /= curve(fine).max()
    top = int(values.argmax())
    low = np.flatnonzero(values[:top] < _TAIL)
    begin = max(int(low[-1]) - 2, 0) if len(low) else 0
    values, start = values[begin:], float(at[begin])
    values[:3] = 0.0, 0.0, values[2]
    top -= begin
    gone = np.flatnonzero(values[top:] < _TAIL)
    if len(gone):
        values = values[: top + int(gone[0]) + 1]
    else:
        values = np.concatenate([values, _decay(values, top)])
    values[-1] = 0.0 if abs(values[-1]) < 2 * _TAIL else values[-1]
    return start + shift, step, values


def _decay(values: Array, top: int) -> Array:
    """An exponential behind the last values, down to the end of the table."""
    last = values[max(top, len(values) - 4 * _GRID) :]
    if (last <= 0).any():
        return np.zeros(1)
    rate = -np.polyfit(np.arange(len(last)), np.log(last), 1)[0]
    if rate <= 0:
        return np.zeros(1)
    number = min(int(np.log(last[-1] / _TAIL) / rate) + 1, 10 * len(values))
    decay: Array = last[-1] * np.exp(-rate * np.arange(1, number + 1))
    return decay
