from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from na64reco.calorimeters import fit_waveforms
from na64reco.calorimeters.pedestals import measure_pedestals
from na64reco.calorimeters.pulse_shapes import measure_pulse
from na64reco.errors import DataError

from .toy_pulses import (
    DIGITIZER,
    NOISE,
    PEDESTALS,
    as_hits,
    pulse,
    sampled,
    toy_cells,
    toy_waveform,
)

SIGMA = np.sqrt(NOISE**2 + 1 / 12)


@pytest.fixture
def rng():
    return np.random.default_rng(64)


def shape_of(samples, expected):
    y = samples - np.where(np.arange(32) % 2 == 0, *PEDESTALS)
    n = len(y)
    return measure_pulse(
        y, np.full(n, SIGMA), np.broadcast_to(expected, n), DIGITIZER, ceiling=4000.0
    )


# Phases of a beam that knows nothing of the clock, and of one locked to it within 2 ns.
@pytest.mark.parametrize("locked", [False, True])
def test_the_shape_is_found_and_times_with_it_are_right_at_all_phases(rng, locked):
    n = 4000
    # Eight channels, whose times differ
    offset = rng.normal(0, 3, 8)[rng.integers(0, 8, n)]
    time = offset + (rng.normal(0, 2, n) if locked else rng.uniform(-12.5, 12.5, n))
    found = shape_of(sampled(rng, (rng.exponential(300, n) + 50, time)), offset)
    assert found.pulses > 0.98 * n
    assert found.chi2 == pytest.approx(1, abs=0.05)
    assert found.shape_error < 2e-3

    at = found.start + found.step * np.arange(len(found.values))
    shift = minimize_scalar(
        lambda d: np.sum((found.values - pulse(at - d)) ** 2), bounds=(-10, 10), method="bounded"
    ).x
    # The time is set by the median of all pulses: error 1.25 sigma / sqrt(n)
    assert abs(shift) < 4 * 1.25 * (2 if locked else 7.2) / np.sqrt(n)
    assert found.values == pytest.approx(pulse(at - shift), abs=2e-3)

    made = replace(toy_waveform(), start=found.start, step=found.step, pulse=found.values)
    time = rng.uniform(-6.25, 6.25, 20_000)
    result = fit_waveforms(as_hits(sampled(rng, (800.0, time))), toy_cells(), made, DIGITIZER)
    one = result.hits.counts == 1
    assert one.mean() > 0.9998
    late = result.hits["time"][result.hits.offsets[:-1]] - time
    phase = np.digitize(time, np.linspace(-6.25, 6.25, 11)[1:-1])
    means = np.array([late[phase == k].mean() for k in range(10)])
    assert np.ptp(means) < 0.04  # ns
    assert result.hits["amplitude"].mean() == pytest.approx(800, rel=1e-3)


def test_other_pulses_in_some_waveforms_do_not_spoil_the_shape(rng):
    n = 4000
    time = rng.uniform(-6, 6, n)
    second = np.where(rng.random(n) < 0.15, rng.exponential(300, n), 0.0)
    samples = sampled(rng, (rng.exponential(300, n) + 50, time), (second, rng.uniform(-90, 250, n)))
    found = shape_of(samples, 0.0)
    at = found.start + found.step * np.arange(len(found.values))
    shift = minimize_scalar(
        lambda d: np.sum((found.values - pulse(at - d)) ** 2), bounds=(-10, 10), method="bounded"
    ).x
    assert found.values == pytest.approx(pulse(at - shift), abs=5e-3)


def test_too_few_pulses(rng):
    with pytest.raises(DataError, match=r"The detector has [45]\d isolated pulses above 25 times"):
        shape_of(sampled(rng, (500.0, np.zeros(50))), 0.0)
    with pytest.raises(DataError, match="has 0 isolated pulses"):
        shape_of(sampled(rng, (0.0, np.zeros(50))), 0.0)


def test_pedestals_of_two_channels_and_two_adcs(rng):
    n = 6000
    samples = sampled(rng, (300.0, rng.uniform(-6, 6, n)))
    channel = (np.arange(n) % 2).astype(np.int32)
    samples[channel == 1] += 7
    found = measure_pedestals(samples, channel, 3, first=4)
    for parity in range(2):
        for number in range(2):
            pull = (found.pedestal[parity, number] - PEDESTALS[parity] - 7 * number) / found.error[
                parity, number
            ]
            assert abs(pull) < 4
    assert found.noise[:2] == pytest.approx(SIGMA, rel=0.02)
    assert found.error[0, 0] == pytest.approx(SIGMA / np.sqrt(n), rel=0.05)
    assert np.isnan(found.pedestal[:, 2]).all()
    assert found.entries.tolist() == [n * 2, n * 2, 0]


def test_early_pulses_do_not_move_pedestals(rng):
    n = 10_000
    early = np.where(rng.random(n) < 0.2, rng.exponential(200, n), 0.0)
    samples = sampled(rng, (early, rng.uniform(-250, -100, n)), (300.0, rng.uniform(-6, 6, n)))
    assert samples[:, 0].mean() > PEDESTALS[0] + 3
    found = measure_pedestals(samples, np.zeros(n, dtype=np.int32), 1, first=4)
    # Tails far below the noise remain.
    assert found.pedestal[:, 0] == pytest.approx(PEDESTALS, abs=0.1)
    assert found.noise[0] == pytest.approx(SIGMA, rel=0.05)


def test_pedestals_need_a_sample_of_each_adc(rng):
    with pytest.raises(DataError, match="need two samples or more before the pulse, found 1"):
        measure_pedestals(np.zeros((5, 32), dtype=np.uint16), np.zeros(5, dtype=int), 1, first=1)
