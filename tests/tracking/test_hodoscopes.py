"""Beam momentum stations: slabs to coordinates, with particles whose place is known."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.events import Hits
from na64reco.setup import load_setup
from na64reco.tracking.hodoscopes import hodoscope_points


@pytest.fixture(scope="module")
def setup():
    return load_setup("2022-muon-152")


def hits(events):
    """Of a list of events, each a list of (station, channel, time)."""
    flat = [hit for event in events for hit in event]
    return Hits(
        np.cumsum([0, *map(len, events)]),
        {
            "station": np.array([h[0] for h in flat], np.uint8),
            "channel": np.array([h[1] for h in flat], np.uint16),
            "time": np.array([h[2] for h in flat], np.float32),
        },
    )


def test_residuals_are_those_of_slabs(setup):
    """Uniform within +- pitch / 2: rms pitch / sqrt(12), for every station about its centre."""
    random = np.random.default_rng(1)
    n = 20_000
    stations = list(setup.stations_of("bms").values())
    x = random.uniform(-100, 100, n)
    events = [
        [(s.number, int(np.floor(at / s.pitch + s.channels / 2)), 0.2) for s in stations]
        for at in x
    ]
    points = hodoscope_points(hits(events), setup)
    assert points.stations == tuple(f"BMS{i}" for i in range(1, 7))
    assert (np.diff(points.offsets) == 1).all()
    away = points.position.reshape(n, 6) - x[:, None] - [s.x for s in stations]
    assert np.abs(away).max() <= 2.5 + 1e-9
    np.testing.assert_allclose(away.std(axis=0), 5 / 12**0.5, rtol=0.02)
    np.testing.assert_allclose(points.sigma, 5 / 12**0.5)
    np.testing.assert_allclose(points.time, 0.2, rtol=1e-6)


def test_neighbours_are_one_particle_and_others_are_not(setup):
    points = hodoscope_points(
        hits([[(1, 31, 0.0), (1, 32, 1.0), (1, 40, 0.0)], [], [(2, 0, 0)]]), setup
    )
    # slabs 31 and 32 of 64 meet in the middle of the station
    np.testing.assert_allclose(points.position, [0.0, 8.5 * 5, -31.5 * 5])
    assert points.size.tolist() == [2, 1, 1]
    assert points.time[0] == pytest.approx(0.5)
    assert np.diff(points.offsets).tolist() == [2, 0, 0, 0, 0, 0] + [0] * 6 + [0, 1, 0, 0, 0, 0]


def test_what_is_out_of_time_or_malformed_makes_no_point(setup):
    points = hodoscope_points(
        hits(
            [[(1, 3, 5.0), (1, 64, 0.0), (9, 1, 0.0), (1, 2, np.nan), (1, 7, -50.0), (1, 7, 1.0)]]
        ),
        setup,
    )
    assert points.ignored.tolist() == [3]
    np.testing.assert_allclose(points.position, [(7 - 31.5) * 5])
    assert points.time.tolist() == [1.0]


def test_a_setup_without_hodoscopes_has_no_points():
    points = hodoscope_points(hits([[(1, 3, 0.0)]]), load_setup("2022-electron"))
    assert points.stations == ()
    assert len(points.position) == 0
    assert points.ignored.tolist() == [1]
