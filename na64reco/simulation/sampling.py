"""The true response of sampled channels: pulse shapes, pedestals, noise of every sample.

A pulse is log-normal in the time since its start, height * exp(-ln(t / rise)^2 / (2 width^2)): the
form that fits shaped pulses of scintillators read out through wavelength shifters, with a steep
rise (16 to 25 ns from 10 to 90 %) and a long tail (10 % at 50 to 95 ns behind the maximum). Shapes,
their spreads and pedestals are `assumed` throughout; no source gives them.

Gains are those of the amplitudes in hit files where the digitiser has 14 bits; with fewer the
ECAL's are smaller by as much, since its largest signals fill that range (12 bits: 30 counts per
GeV in the main section, 100 GeV in one cell; a minimum-ionising particle then gives some 10 counts,
and 3 MeV of noise cannot be had). The other detectors fit into 12 bits. The noise of a sample is
such that the best fit of an isolated pulse at a known time has the noise of the amplitudes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Digitizer
    from na64reco.simulation.detector import Channels

__all__ = ["SHAPES", "SampledChannels", "pulse_height", "sampled_channels"]

SHAPES: Final = {
    "ECAL": (48.0, 0.45, 14),
    "HCAL": (55.0, 0.47, 12),
    "VHCAL": (55.0, 0.47, 12),
    "SRD": (42.0, 0.42, 12),
    "VETO": (42.0, 0.42, 12),
    "Counter": (38.0, 0.40, 12),
}
"""By collection: ns from start to maximum, width of the log-normal, bits that hold all signals."""

_THRESHOLD = 3.0
"""A channel is read out if a sample exceeds its pedestal by so many times the noise."""


@dataclass(frozen=True, eq=False)
class SampledChannels:
    """Channels as an ADC samples them; arrays are flat, shape (channels,)."""

    gain: NDArray[np.float64]
    """Height of a pulse, ADC counts per GeV; 0 = no channel."""
    rise: NDArray[np.float64]
    """From a pulse's start to its maximum, ns."""
    width: NDArray[np.float64]
    """Of the log-normal."""
    pedestal: NDArray[np.float64]
    """ADC counts of even and odd samples, shape (2, channels)."""
    drift: NDArray[np.float64]
    """By which pedestals move slowly to and fro, ADC counts."""
    phase: NDArray[np.float64]
    """Of that movement, rad."""
    noise: NDArray[np.float64]
    """rms of a sample before it is rounded, ADC counts."""
    threshold: NDArray[np.float64]
    """Zero suppression, ADC counts above the pedestal."""
    time_offset: NDArray[np.float64]
    """Of a pulse's maximum behind the particle, ns."""
    time_resolution: NDArray[np.float64]
    """rms of single pulses, ns."""


def pulse_height(
    time: NDArray[np.float64], rise: NDArray[np.float64], width: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A pulse of height 1 at times relative to its maximum, ns."""
    since = np.maximum(1 + time / rise, 1e-9)
    height: NDArray[np.float64] = np.exp(-0.5 * (np.log(since) / width) ** 2)
    return height


def sampled_channels(
    rng: np.random.Generator, name: str, channels: Channels, digitizer: Digitizer
) -> SampledChannels:
    """Draw what sampling adds to the channels of a collection."""
    rise, width, bits = SHAPES[name]
    exists = channels.gain.ravel() > 0
    shape = exists.shape

    def scatter(relative: float) -> NDArray[np.float64]:
        return 1 + relative * np.clip(rng.standard_normal(shape), -2.5, 2.5)

    rises, widths = rise * scatter(0.03), width * scatter(0.02)
    common = rng.uniform(180, 240, shape)
    difference = np.clip(rng.normal(0, 2, shape), -5, 5)
    drift, phase = rng.uniform(0.1, 0.4, shape), rng.uniform(0, 2 * np.pi, shape)
    gain = channels.gain.ravel() * min(1.0, 2.0 ** (digitizer.bits - bits))
    # Two pulses of the shape, half an interval apart, stand for all phases of the clock.
    clock = 0.5 * digitizer.interval * np.arange(-8.0, 64.0)
    squares = (pulse_height(clock[:, None], rises, widths) ** 2).sum(axis=0) / 2
    fitted = (channels.noise.ravel() * gain) ** 2 * squares
    # Rounding is a part of the noise; what is left must make samples independent of it.
    noise = np.sqrt(np.maximum(fitted - 1 / 12, 0.3**2))
    return SampledChannels(
        gain=gain,
        rise=rises,
        width=widths,
        pedestal=np.stack((common - difference / 2, common + difference / 2)),
        drift=drift,
        phase=phase,
        noise=noise,
        threshold=np.where(exists, _THRESHOLD * np.hypot(noise, np.sqrt(1 / 12)), np.inf),
        time_offset=channels.time_offset.ravel(),
        time_resolution=channels.time_resolution.ravel(),
    )
