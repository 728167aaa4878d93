"""Channels whose toy pulses differ in width: their own pulses are found, and heights with them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calorimeters import fit_waveforms
from na64reco.calorimeters.channel_shapes import measure_channels
from na64reco.calorimeters.pulse_shapes import measure_pulse
from na64reco.events import Hits

from .toy_pulses import DIGITIZER, NOISE, PEDESTALS, TIMES, pulse, toy_cells, toy_waveform

SIGMA = np.sqrt(NOISE**2 + 1 / 12)
TAU = np.array([13.0, 13.4, 13.8, 14.2, 14.6, 15.0, 15.4, 12.6, 13.2, 14.8])
"""The last two channels have few and small pulses."""
OFFSET = np.array([0.0, 0.3, -0.2, 0.1, -0.4, 0.2, 0.0, -0.1, 0.0, 0.0])


def waveforms(rng, channel, height, time):
    y = height[:, None] * pulse(TIMES - time[:, None], TAU[channel][:, None])
    y += rng.normal(0, NOISE, y.shape) + np.resize(PEDESTALS, 32)
    return np.rint(y).clip(0, 4095).astype(np.uint16)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(11)
    channel = np.r_[np.repeat(np.arange(8), 450), np.repeat([8, 9], 60)]
    n = len(channel)
    height = np.where(channel < 8, rng.exponential(800, n) + 100, rng.uniform(20, 60, n))
    late = OFFSET[channel] + rng.normal(0, 3, n)
    samples = waveforms(rng, channel, height.clip(0, 3800), late)
    y = samples - np.resize(PEDESTALS, 32)
    noise = np.full(n, SIGMA)
    # What is known of times: those of each event less 1.5 ns rms, no channel's offset
    expected = late - OFFSET[channel] + rng.normal(0, 1.5, n)
    shape = measure_pulse(y, noise, expected, DIGITIZER, ceiling=np.inf)
    # An eleventh channel has no pulses.
    channels = measure_channels(y, noise, expected, channel, 11, DIGITIZER, shape)
    return SimpleNamespace(shape=shape, channels=channels)


def conditions(found, *, own):
    channels = found.channels
    bare = replace(
        toy_waveform((11,)), start=channels.start, step=channels.step, pulse=channels.values
    )
    if not own:
        return bare
    return replace(
        bare,
        modes=channels.modes,
        coefficients=channels.coefficients,
        delay=channels.delay,
        shape_error=channels.shape_error,
    )


def test_one_shape_does_not_describe_them_but_their_own_do(found):
    assert found.shape.chi2 > 10
    chi2 = found.channels.chi2
    assert chi2[:10] == pytest.approx(1, abs=0.25)
    assert np.isnan(chi2[10])
    assert found.channels.entries[:8].min() > 400
    assert found.channels.entries[10] == 0
    assert found.channels.shape_error[:8].max() < 3e-3


def test_pulses_of_channels_are_those_of_the_toy(found):
    channels = found.channels
    at = channels.start + channels.step * np.arange(len(channels.values))
    for number in range(8):
        own = channels.values + channels.coefficients[:, number] @ channels.modes
        shifts = np.linspace(-4, 4, 801)
        off = [np.abs(own / own.max() - pulse(at - d, TAU[number])).max() for d in shifts]
        # The phase of the smoothest curve is open to 0.02 ns; the slope is 4 % of the height per ns.
        assert min(off) < 4e-3
    # Few and small pulses: within their errors of the curve of widths that the others make
    first = np.polynomial.Polynomial.fit(TAU[:8], channels.coefficients[0, :8], 2)
    pull = (channels.coefficients[0, 8:10] - first(TAU[8:10])) / channels.coefficient_error[0, 8:10]
    assert (abs(pull) < 4).all()
    assert (channels.coefficient_error[0, 8:10] > 3 * channels.coefficient_error[0, :8].max()).all()
    assert channels.coefficients[0, 10] == 0
    # Where nothing is known the error is the spread of the channels.
    spread = channels.coefficients[0, :8].std()
    assert channels.coefficient_error[0, 10] == pytest.approx(spread, rel=0.1)


def test_delays_are_the_offsets_of_the_channels(found):
    delay = found.channels.delay
    late = delay[:8] - OFFSET[:8]
    # Medians of 450 times of 1.5 ns rms: 0.07 ns each, beside what a width moves a pulse's middle
    width = np.polynomial.Polynomial.fit(TAU[:8], late, 1)(TAU[:8])
    assert late - width == pytest.approx(0, abs=0.3)
    assert found.channels.delay_error[:8] == pytest.approx(1.25 * 1.5 / np.sqrt(450), rel=0.3)


def test_fits_use_the_channels_own_pulses(found):
    """Channels in turns as in events: what belongs to which stays as it was."""
    rng = np.random.default_rng(12)
    n = 4000
    channel = rng.integers(0, 8, n)
    height = rng.uniform(500, 3500, n)
    time = OFFSET[channel] + rng.uniform(-6, 6, n)
    second = np.where(rng.random(n) < 0.3, 400.0, 0.0)
    samples = waveforms(rng, channel, height, time).astype(float)
    samples += waveforms(rng, channel, second, time + 60) - np.resize(PEDESTALS, 32)
    hits = Hits(
        np.arange(n + 1),
        {"ix": channel.astype(np.uint8), "samples": samples.clip(0, 4095).astype(np.uint16)},
    )
    errors = {}
    for own in (False, True):
        result = fit_waveforms(hits, toy_cells((11,)), conditions(found, own=own), DIGITIZER)
        assert (result.hits["ix"] == np.repeat(channel, result.hits.counts)).all()
        first = result.hits.offsets[:-1]
        right = result.hits.counts == 1 + (second > 0)
        errors[own] = result.hits["amplitude"][first] / height - 1
        if own:
            assert right.mean() > 0.99
            late = (result.hits["time"][first] - time)[right]
            assert np.std(late) < 0.6  # the offsets of the channels stay in
            later = result.hits["amplitude"][(first + 1)[right & (second > 0)]]
            assert later.mean() == pytest.approx(400, rel=0.01)
    core = {own: np.quantile(abs(values), 0.95) for own, values in errors.items()}
    assert core[True] < 0.006
    assert core[True] < 0.3 * core[False]
