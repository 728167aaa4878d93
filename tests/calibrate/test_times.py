from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibrate.times import channel_index, fit_times
from na64reco.events import Hits


def pulses(rng, *, channels, signal, background, sigma):
    offset = rng.normal(0, 3, channels)
    width = sigma * rng.uniform(0.8, 1.2, channels)
    channel = np.repeat(np.arange(channels), signal + background)
    time = np.concatenate(
        [
            np.concatenate(
                [rng.normal(offset[c], width[c], signal), rng.uniform(-200, 200, background)]
            )
            for c in range(channels)
        ]
    )
    shuffled = rng.permutation(len(channel))
    return channel[shuffled], time[shuffled].astype(np.float32), offset, width


def test_peak_over_flat_pile_up():
    rng = np.random.default_rng(1)
    channel, time, offset, width = pulses(rng, channels=150, signal=1000, background=800, sigma=2.0)
    fit = fit_times(channel, time, np.full(150, 2.0))
    assert fit.known.all()
    # A normal sample of 1000 without background: sigma / sqrt(n), sigma / sqrt(2 n).
    assert np.median(fit.time_error / width) == pytest.approx(1 / np.sqrt(1000), rel=0.1)
    assert np.median(fit.time_width_error / width) == pytest.approx(1 / np.sqrt(2000), rel=0.25)
    for pull in (
        (fit.time - offset) / fit.time_error,
        (fit.time_width - width) / fit.time_width_error,
    ):
        assert pull.std() == pytest.approx(1, abs=0.15)
        assert abs(pull.mean()) < 0.3
    # 800 over 400 ns: of 10 sigma on either side of the peak, 1 in 20 or so.
    assert np.median(fit.entries) == pytest.approx(1000, rel=0.03)


def test_peak_far_from_where_it_was_expected():
    rng = np.random.default_rng(2)
    time = np.concatenate([rng.normal(40, 1.5, 500), rng.uniform(-200, 200, 1000)])
    fit = fit_times(np.zeros(1500, np.int64), time, np.array([1.5]))
    assert fit.time[0] == pytest.approx(40, abs=4 * fit.time_error[0])


def test_channels_with_few_pulses_stay_unknown():
    rng = np.random.default_rng(3)
    channel = np.repeat([0, 2], [500, 20])
    fit = fit_times(channel, rng.normal(0, 2, 520), np.full(3, 2.0))
    assert fit.known.tolist() == [True, False, False]
    assert fit.entries[1:].tolist() == [0, 0]


def test_times_that_are_all_the_same_are_no_times():
    rng = np.random.default_rng(4)
    time = np.concatenate([rng.normal(0, 2, 500), np.full(500, 1.5)])
    fit = fit_times(np.repeat([0, 1], 500), time, np.full(2, 2.0))
    assert fit.known.tolist() == [True, False]


def test_pulses_outside_the_detector_and_without_time_have_no_channel():
    hits = Hits(
        np.array([0, 4]),
        {
            "ix": np.array([0, 1, 5, 1], np.uint8),
            "iy": np.array([1, 1, 0, 0], np.uint8),
            "amplitude": np.ones(4, np.float32),
            "time": np.array([0, np.nan, 0, 0], np.float32),
        },
    )
    assert channel_index(hits, (2, 2), ("ix", "iy")).tolist() == [1, -1, -1, 2]
