from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from na64reco.simulation.detector import Channels
from na64reco.simulation.pulses import INDEPENDENT, pulses


def channels(count=1, *, gain=50.0, noise=1e-3, sigmas=4.0, resolution=1e-3):
    ones = np.ones(count)
    return Channels(
        gain=gain * ones,
        noise=noise * ones,
        time_offset=3.0 * ones,
        time_resolution=resolution * ones,
        zero_suppression=sigmas * noise * ones,
    )


def one_event(rng, times, energies, **options):
    made = pulses(
        rng,
        channels(**options),
        np.array([0, len(times)]),
        np.array(times, dtype=float),
        np.array(energies, dtype=float)[:, None],
        {"ix": np.zeros(1, dtype=np.uint8)},
    )
    return made["time"], made["amplitude"]


def test_a_pulse_has_the_gain_and_offset_of_its_channel(rng):
    time, amplitude = one_event(rng, [0.0], [2.0], sigmas=8)
    assert time == pytest.approx([3.0], abs=0.01)
    assert amplitude == pytest.approx([100.0], abs=0.3)


def test_close_pulses_merge(rng):
    time, amplitude = one_event(rng, [0.0, 20.0], [3.0, 1.0], sigmas=8)
    assert amplitude == pytest.approx([200.0], abs=0.3)
    assert time == pytest.approx([8.0], abs=0.01)  # 20 ns * 1/4 + offset


def test_distant_pulses_stay_apart_and_come_in_order(rng):
    time, amplitude = one_event(rng, [100.0, 0.0, -50.0], [1.0, 2.0, 3.0], sigmas=8)
    assert time == pytest.approx([-47.0, 3.0, 103.0], abs=0.01)
    assert amplitude == pytest.approx([150.0, 100.0, 50.0], abs=0.3)


def test_small_pulses_and_pulses_outside_the_window_are_lost(rng):
    time, _ = one_event(rng, [0.0, 230.0], [2e-3, 5.0], sigmas=8)
    assert len(time) == 0


def test_noise_pulses_are_as_many_as_a_normal_distribution_says(rng):
    events, sigmas = 20_000, 3.0
    made = pulses(
        rng,
        channels(10, sigmas=sigmas),
        np.zeros(events + 1, dtype=np.int64),
        np.empty(0),
        np.empty((0, 10)),
        {"ix": np.arange(10, dtype=np.uint8)},
    )
    expected = 10 * INDEPENDENT * norm.sf(sigmas)
    assert made.size / events == pytest.approx(expected, rel=0.05)
    assert made["amplitude"].min() >= 50 * sigmas * 1e-3 * 0.999
    assert np.bincount(made["ix"], minlength=10).min() > 0.8 * made.size / 10


def test_noise_smears_the_energy(rng):
    n = 20_000
    made = pulses(
        rng,
        channels(noise=0.05, sigmas=4),
        np.arange(n + 1),
        np.zeros(n),
        np.full((n, 1), 3.0),
        {"ix": np.zeros(1, dtype=np.uint8)},
    )
    real = made["amplitude"][made["amplitude"] > 100]
    assert real.std() / 50 == pytest.approx(0.05, rel=0.03)
    assert made["amplitude"].dtype == np.float32
