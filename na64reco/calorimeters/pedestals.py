"""Pedestals and noise of sampled channels, from the samples before the pulses of many events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pedestals", "measure_pedestals"]

_CUT: Final = 3.5
"""Standard deviations on either side that are averaged."""
_SHRINK: Final = 0.9970
"""Standard deviation of a normal distribution cut at _CUT:
sqrt(1 - 2 c phi(c) / (2 Phi(c) - 1))."""
_CUT_MEAN: Final = 2.0
"""The same for the mean of a waveform's first samples."""
_SHRINK_MEAN: Final = 0.8796
_FEW: Final = 20
"""Samples below which there is no pedestal."""


@dataclass(frozen=True, eq=False)
class Pedestals:
    """Of all channels of a detector."""

    pedestal: NDArray[np.float64]
    """ADC counts, shape (2, channels): even and odd samples; NaN without enough samples."""
    error: NDArray[np.float64]
    """Standard error of it."""
    noise: NDArray[np.float64]
    """rms of a sample, that of rounding included, ADC counts, shape (channels,)."""
    entries: NDArray[np.int64]
    """Samples, shape (channels,)."""


def measure_pedestals(
    samples: NDArray[np.uint16], channel: NDArray[np.integer[Any]], channels: int, *, first: int
) -> Pedestals:
    """Mean and width of the first samples, without those that stand out.

    Pulses of earlier particles only add to some of the samples; these are outside the cut about
    the rest, which is found from its lower side.

    Parameters
    ----------
    samples
        Shape (waveforms, samples).
    channel
        Flat number of each waveform's channel.
    channels
        Number of them.
    first
        So many samples are before the pulses of the trigger's particle.

    Raises
    ------
    DataError
        If there are no two samples to look at.
    """
    if first < 2:
        msg = (
            f"Pedestals need two samples or more before the pulse, found {first}: one of each ADC. "
            "Check the presamples of the setup's digitizer."
        )
        raise DataError(msg)
    pedestal, error = np.full((2, channels), np.nan), np.full((2, channels), np.nan)
    noise = np.full(channels, np.nan)
    order = np.argsort(channel, kind="stable")
    bounds = np.searchsorted(channel[order], np.arange(channels + 1))
    entries = np.diff(bounds) * first
    for number in range(channels):
        mine = samples[order[bounds[number] : bounds[number + 1]], :first].astype(np.float64)
        if mine.size < 2 * _FEW:
            continue
        rough = [_clipped(mine[:, parity::2].ravel()) for parity in range(2)]
        # A tail lifts all samples of a waveform: their mean shows it where single ones do not.
        lift = mine - np.resize([mean for mean, _, _ in rough], first)
        scale = np.sqrt(np.mean([width**2 for _, width, _ in rough]) / first)
        quiet = mine[np.abs(lift.mean(axis=1)) < _CUT_MEAN * scale]
        quiet = quiet if len(quiet) > _FEW else mine
        fine = [_clipped(quiet[:, parity::2].ravel()) for parity in range(2)]
        for parity, (mean, width, used) in enumerate(fine):
            pedestal[parity, number] = mean
            error[parity, number] = width / np.sqrt(used)
        lost = (1 - _SHRINK_MEAN**2) / first
        noise[number] = np.sqrt(np.mean([width**2 for _, width, _ in fine]) / (1 - lost))
    return Pedestals(pedestal, error, noise, entries)


def _clipped(values: NDArray[np.float64]) -> tuple[float, float, int]:
    """Mean, width and number of what is within _CUT of the mean."""
    low, mean = np.percentile(values, [15.87, 50.0])
    # Whole counts: half a count is the width that rounding hides.
    width = max(mean - low, 0.5)
    inside = values
    for _ in range(20):
        inside = values[np.abs(values - mean) <= _CUT * max(width, 0.4)]
        if not len(inside):
            break
        before = mean
        mean, width = float(inside.mean()), float(inside.std()) / _SHRINK
        if abs(mean - before) < 1e-6:
            break
    # Rounding alone has this width: a channel without noise would weigh infinitely.
    return float(mean), max(width, 1 / np.sqrt(12)), max(len(inside), 1)
