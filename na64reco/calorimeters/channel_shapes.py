"""How the pulses of single channels differ from their detector's mean pulse.

Channels that saw many large pulses have a mean pulse of their own. The few shapes in which these
differ from one another (principal components, weighted by how well each is known) are the modes of
the detector; every channel, those with few or small pulses too, is then described by its
coefficients of the modes, fitted to its waveforms beside a free height and time of each. Channels
with a pulse of their own say how large coefficients are: the others are drawn to their mean as far
as their own pulses leave them open.
"""

# ruff: noqa: PLR0917 - the same arrays in all steps

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from na64reco.calorimeters.pulse_shapes import PulseShape, isolated_pulses, measure_pulse
from na64reco.errors import DataError

if TYPE_CHECKING:
    from na64reco.setup import Digitizer

__all__ = ["MODES", "ChannelShapes", "measure_channels"]

Array = NDArray[np.float64]

MODES: Final = 4
"""Most modes of a detector."""
_OWN: Final = 300
"""Isolated pulses of a channel for a mean pulse of its own."""
_MOST: Final = 800
"""Of a channel that are used: those of most significance."""
_SIGNIFICANT: Final = 10.0
"""Least height in units of the noise for the coefficients."""
_FEW: Final = 8
"""Pulses of a channel below which it is given the detector's pulse."""
_FLOOR: Final = 1e-3
"""No single sample is taken for more precise than this, relative to the height."""
_SMALL: Final = 3e-4
"""Modes of a smaller rms over the channels are left out."""
_FINE: Final = 100
"""Points of the tables in a sampling interval; between them straight lines."""
_ROUNDS: Final = 5


@dataclass(frozen=True, eq=False)
class ChannelShapes:
    """Pulses of all channels: values + sum over k of coefficients[k] modes[k], delayed."""

    start: float
    """Time of the first value, ns; 0 is the time of a pulse without delay."""
    step: float
    """ns."""
    values: Array
    """Mean pulse of the detector, maximum 1."""
    modes: Array
    """Shape (modes, values)."""
    coefficients: Array
    """Shape (modes, channels)."""
    coefficient_error: Array
    """Standard errors; where the channel says nothing, the spread of channels."""
    delay: Array
    """ns, shape (channels,)."""
    delay_error: Array
    shape_error: Array
    """rms beyond noise about the channel's pulse, as `PulseShape.shape_error`, with what the errors
    of the coefficients amount to, shape (channels,)."""
    entries: NDArray[np.int64]
    """Pulses, shape (channels,)."""
    chi2: Array
    """Median per degree of freedom, with noise alone, shape (channels,); NaN without pulses."""
    residual_times: Array
    """Edges of bins of the time after the pulse, ns, shape (bins + 1,)."""
    residuals: Array
    """Mean of (sample - fit) / height in these, shape (channels, bins); NaN without samples."""


def measure_channels(
    y: Array,
    noise: Array,
    expected: Array,
    channel: NDArray[np.integer[Any]],
    channels: int,
    digitizer: Digitizer,
    shape: PulseShape,
) -> ChannelShapes:
    """Modes of a detector and coefficients of its channels.

    Parameters
    ----------
    y, noise, expected, digitizer
        As :func:`measure_pulse` takes them; no clipped waveforms.
    channel
        Flat number of each waveform's channel.
    channels
        Number of them.
    shape
        Mean pulse of the detector.
    """
    order = np.argsort(channel, kind="stable")
    bounds = np.searchsorted(channel[order], np.arange(channels + 1))
    mine = []
    for number in range(channels):
        rows = order[bounds[number] : bounds[number + 1]]
        found = isolated_pulses(
            y[rows], noise[rows], digitizer, significant=_SIGNIFICANT, most=_MOST
        )
        mine.append(rows[found])
    model = _modes(y, noise, expected, mine, digitizer, shape)
    clock: Array = np.arange(y.shape[1], dtype=np.float64) - digitizer.presamples
    clock *= digitizer.interval
    size = len(model.spread)
    coefficients = np.zeros((size, channels))
    errors = np.repeat(model.spread[:, None], channels, axis=1)
    delay, delay_error = np.zeros(channels), np.full(channels, np.nan)
    error, chi2 = np.full(channels, np.nan), np.full(channels, np.nan)
    entries = np.zeros(channels, dtype=np.int64)
    edges = model.start + np.arange(0.0, model.step * len(model.values), digitizer.interval / 2)
    residuals = np.full((channels, len(edges) - 1), np.nan)
    for number, rows in enumerate(mine):
        if len(rows) < _FEW:
            continue
        fit = _fit(y[rows], noise[rows], expected[rows], clock, model)
        coefficients[:, number], errors[:, number] = fit.coefficients, fit.errors
        late, entries[number] = fit.late, len(fit.late)
        delay[number] = np.median(late)
        delay_error[number] = 1.25 * late.std() / np.sqrt(len(late))
        error[number], chi2[number] = fit.shape_error, fit.chi2
        samples = np.histogram(fit.at, edges, weights=fit.weight)[0]
        total = np.histogram(fit.at, edges, weights=fit.weight * fit.residual)[0]
        np.divide(total, samples, out=residuals[number], where=samples > 0)
    _shrink(delay, delay_error)
    # What the uncertainty of a coefficient amounts to; shape_error goes with the root of the shape.
    weight = (model.modes**2).sum(axis=1) / np.abs(model.values).sum()
    typical = float(np.nanmedian(error)) if np.isfinite(error).any() else shape.shape_error
    error = np.sqrt(np.where(np.isnan(error), typical, error) ** 2 + weight @ errors**2)
    return ChannelShapes(
        model.start,
        model.step,
        model.values,
        model.modes,
        coefficients,
        errors,
        delay,
        delay_error,
        error,
        entries,
        chi2,
        edges,
        residuals,
    )


@dataclass(frozen=True, eq=False)
class _Model:
    start: float
    step: float
    values: Array
    modes: Array
    spread: Array
    """rms of the coefficients over channels."""
    fine: Array
    """values, modes, and the slopes of both at _FINE points an interval; one row per point."""
    scale: float
    """Points per ns."""

    def at(self, times: Array) -> Array:
        """Rows of the table, linear between; zero outside of it."""
        place = (times - self.start) * self.scale
        last = len(self.fine) - 1
        inside = (place >= 0) & (place < last)
        place = np.where(inside, place, 0.0)
        whole = place.astype(np.int64)
        rest = (place - whole)[..., None]
        rows = self.fine[whole] * (1 - rest) + self.fine[whole + 1] * rest
        return rows * inside[..., None]


@dataclass(frozen=True, eq=False)
class _Fit:
    coefficients: Array
    errors: Array
    late: Array
    shape_error: float
    chi2: float
    at: Array
    """Time after the pulse of each sample, flat."""
    residual: Array
    """(sample - fit) / height of it."""
    weight: Array


def _modes(
    y: Array,
    noise: Array,
    expected: Array,
    mine: list[NDArray[np.int64]],
    digitizer: Digitizer,
    shape: PulseShape,
) -> _Model:
    """Mean pulse and modes from the channels with a pulse of their own."""
    shapes, weights = [], []
    for rows in mine:
        if len(rows) < _OWN:
            continue
        try:
            own = measure_pulse(
                y[rows], noise[rows], expected[rows], digitizer, ceiling=np.inf, what="A channel"
            )
        except DataError:
            continue
        shapes.append(own)
        # Of the mean of all its pulses, in units of the floor.
        precision = np.sqrt(((y[rows].max(axis=1) / noise[rows]) ** 2).sum())
        weights.append(1.0 / (precision**-2 + (_FLOOR / 10) ** 2))
    if len(shapes) < 2:
        return _model(shape.start, shape.step, shape.values, np.zeros((0, len(shape.values))))
    step = shape.step
    begin = min(s.start for s in shapes) - step
    end = max(s.start + s.step * (len(s.values) - 1) for s in shapes) + step
    grid = np.arange(begin, end, step)
    table = np.array([_on_grid(s, grid) for s in shapes])
    weight = np.array(weights) / np.sum(weights)
    mean = weight @ table
    for _ in range(3):
        table = np.array([_aligned(s, grid, mean) for s in shapes])
        mean = weight @ table
    modes = np.linalg.svd((table - mean) * np.sqrt(weight)[:, None], full_matrices=False)[2]
    modes = modes[: min(MODES, len(shapes) - 1)]
    coefficients = (table - mean) @ modes.T
    spread = coefficients.std(axis=0)
    rms = spread * np.sqrt((modes**2).sum(axis=1) / (mean > 0.05).sum())
    kept = rms > _SMALL
    return _model(begin, step, mean, modes[kept], spread[kept])


def _model(
    start: float, step: float, values: Array, modes: Array, spread: Array | None = None
) -> _Model:
    top = CubicSpline(np.arange(len(values)), values)(
        np.linspace(0, len(values) - 1, 50 * len(values))
    ).max()
    values = values / top
    times = start + step * np.arange(len(values))
    spline = CubicSpline(times, np.vstack([values, modes]).T)
    points = int(_FINE / 10)
    at = np.linspace(times[0], times[-1], points * (len(values) - 1) + 1)
    fine = np.hstack([spline(at), spline(at, 1)])
    return _Model(
        start,
        step,
        values,
        modes,
        np.zeros(len(modes)) if spread is None else spread,
        fine,
        points / step,
    )


def _on_grid(shape: PulseShape, grid: Array, late: float = 0.0) -> Array:
    """A pulse's values, later by so much, flat outside its table."""
    times = shape.start + shape.step * np.arange(len(shape.values))
    inside = np.clip(grid - late, times[0], times[-1])
    found: Array = CubicSpline(times, shape.values)(inside)
    found *= (grid - late >= times[0]) & (grid - late <= times[-1])
    return found


def _aligned(shape: PulseShape, grid: Array, mean: Array) -> Array:
    """A pulse moved and scaled to be nearest to the mean: what is left is its shape."""
    late, slope = 0.0, np.gradient(mean, grid)
    for _ in range(4):
        values = _on_grid(shape, grid, late)
        basis = np.stack([values, slope])
        height, moved = np.linalg.solve(basis @ basis.T, basis @ mean)
        late -= moved / height
    found: Array = _on_grid(shape, grid, late) * height
    return found


def _fit(y: Array, noise: Array, expected: Array, clock: Array, model: _Model) -> _Fit:
    """Coefficients of one channel, each waveform with a height and a time of its own."""
    size = len(model.modes)
    a = np.zeros(size)
    prior = np.diag(1.0 / model.spread**2) if size else np.zeros((0, 0))
    top = y.argmax(axis=1)
    peak = model.start + model.step * int(model.values.argmax())
    time, height = clock[top] - peak, y.max(axis=1)
    keep = np.ones(len(y), dtype=np.bool_)
    matrix, chi2, used, residual, pulse = prior, height, keep, y, y
    for number in range(_ROUNDS):
        for _ in range(4 if number == 0 else 2):
            rows = model.at(clock - time[:, None])
            pulse = rows[..., 0] + rows[..., 1 : size + 1] @ a
            slope = -(rows[..., size + 1] + rows[..., size + 2 :] @ a)
            tt, td, dd = ((p * q).sum(axis=1) for p, q in _pairs(pulse, slope))
            yt, yd = (y * pulse).sum(axis=1), (y * slope).sum(axis=1)
            determinant = np.maximum(tt * dd - td * td, 1e-12)
            height = np.maximum((yt * dd - yd * td) / determinant, noise)
            moved = (yd * tt - yt * td) / determinant
            time = time + np.clip(moved / height, -5.0, 5.0)
        rows = model.at(clock - time[:, None])
        pulse = rows[..., 0] + rows[..., 1 : size + 1] @ a
        slope = -(rows[..., size + 1] + rows[..., size + 2 :] @ a)
        modes = np.moveaxis(rows[..., 1 : size + 1], -1, 0)
        residual = y / height[:, None] - pulse
        variance = (noise / height) ** 2
        chi2 = (residual**2).sum(axis=1) / variance / (y.shape[1] - 2)
        # Further pulses stand out from what most of the waveforms have.
        tolerant = (residual**2).sum(axis=1) / (variance + _FLOOR**2)
        middle = np.median(tolerant)
        keep = tolerant < max(middle + 5 * (np.percentile(tolerant, 84) - middle), 2 * y.shape[1])
        if not size:
            continue
        tt, td, dd = ((p * q).sum(axis=1) for p, q in _pairs(pulse, slope))
        determinant = np.maximum(tt * dd - td * td, 1e-12)
        mt, md = (modes * pulse).sum(axis=2), (modes * slope).sum(axis=2)
        free = (
            modes
            - ((mt * dd - md * td) / determinant)[..., None] * pulse
            - ((md * tt - mt * td) / determinant)[..., None] * slope
        )
        used = keep / (variance + _FLOOR**2)
        matrix = np.einsum("kws,lws,w->kl", free, free, used) + prior
        vector = np.einsum("kws,ws,w->k", free, residual, used) - prior @ a
        a += np.linalg.solve(matrix, vector)
    seen = keep[:, None] & (pulse > 0.05)
    beyond = ((residual**2 - ((noise / height) ** 2)[:, None]) * height[:, None] ** 2)[seen].sum()
    scale = (height[:, None] ** 2 * pulse)[seen].sum()
    return _Fit(
        a,
        np.sqrt(np.diag(np.linalg.inv(matrix))) if size else np.zeros(0),
        (time - expected)[keep],
        float(np.sqrt(max(beyond, 0.0) / scale)) if scale > 0 else 0.0,
        float(np.median(chi2[keep])),
        (clock - time[keep, None]).ravel(),
        residual[keep].ravel(),
        np.repeat((height[keep] / noise[keep]) ** 2, y.shape[1]),
    )


def _pairs(one: Array, other: Array) -> tuple[tuple[Array, Array], ...]:
    return (one, one), (one, other), (other, other)


def _shrink(delay: Array, error: Array) -> None:
    """Draw delays to their mean as far as their errors leave them open, in place."""
    known = np.isfinite(error) & (error > 0)
    if known.sum() < 2:
        delay[~known] = delay[known].mean() if known.any() else 0.0
        return
    weight = 1 / (error[known] ** 2 + 0.1**2)
    mean = (weight * delay[known]).sum() / weight.sum()
    spread = max((weight * (delay[known] - mean) ** 2).sum() / weight.sum() - 1 / weight.mean(), 0)
    variance = spread + 0.1**2
    delay[known] = mean + (delay[known] - mean) * variance / (variance + error[known] ** 2)
    error[known] = np.sqrt(variance * error[known] ** 2 / (variance + error[known] ** 2))
    delay[~known], error[~known] = mean, np.sqrt(variance)
