"""From strips to columns: efficiency, resolution, missing planes, noise, two tracks."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import DataError
from na64reco.events import Hits
from na64reco.tracking import reconstruct_tracks
from na64reco.tracking.reconstruct import to_face

N = 10_000


def _core(values):
    low, high = np.percentile(values, [15.87, 84.13])
    return (high - low) / 2


def _reconstruct(hits, setup, conditions):
    return reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)


@pytest.fixture(scope="module")
def sample(tools, setup):
    """Single tracks at 2 % inefficiency with noise."""
    toy = tools.toy(setup, 11)
    truth = toy.track(toy.states(N, 100.0, spread=0.005))
    return truth, toy.hits(toy.smear(truth, 0.02), noise=0.2)


def test_efficiency_resolution_and_pulls(sample, setup, conditions):
    truth, hits = sample
    columns = _reconstruct(hits, setup, conditions)
    found = columns["track.found"]
    assert found.mean() > 0.98
    assert np.array_equal(found, columns["track.reason"] == 0)
    p = 1 / np.abs(truth.first[found, 4])
    momentum = columns["track.momentum"][found]
    assert 0.009 < _core(momentum / p - 1) < 0.013
    assert abs(np.median(momentum / p) - 1) < 1e-3
    pull = (momentum - p) / columns["track.momentum_error"][found]
    assert _core(pull) == pytest.approx(1.0, abs=0.05)
    assert (np.abs(pull) > 5).mean() < 0.01
    assert (columns["track.charge"][found] == -1).all()
    for axis, origin in (("x", setup.ecal.x), ("y", setup.ecal.y)):
        true = truth.ecal[found, "xy".index(axis)] - origin
        off = columns[f"track.{axis}_ecal"][found] - true
        pull = off / columns[f"track.{axis}_ecal_error"][found]
        assert _core(pull) == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(
        np.median(columns["track.slope_x_in"][found] - 1e3 * truth.first[found, 2]), 0, atol=0.02
    )
    assert (columns["track.candidates"][found] == 1).mean() > 0.99
    assert np.isnan(columns["track.momentum"][~found]).all()


def test_only_what_is_wanted(sample, setup, conditions):
    _, hits = sample
    whole = _reconstruct(hits, setup, conditions)
    wanted = {"track.momentum", "track.reason", "track.x_ecal", "gem.clusters", "track.ndf"}
    some = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions, wanted=wanted)
    assert {name for name in some if not name.startswith("straw.")} == wanted
    for name, values in some.items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


@pytest.mark.parametrize("plane", [("mm", 1, 0), ("mm", 2, 1), ("mm", 3, 0), ("gem", 2, 1)])
def test_any_plane_may_be_missing(tools, setup, conditions, plane):
    toy = tools.toy(setup, 12)
    truth = toy.track(toy.states(2000, 100.0))
    measured = toy.smear(truth)
    measured[plane][:] = np.nan
    columns = _reconstruct(toy.hits(measured), setup, conditions)
    assert columns["track.found"].mean() > 0.99
    assert (columns["track.hits"][columns["track.found"]] <= 11).all()
    p = 1 / np.abs(truth.first[:, 4])
    pull = (columns["track.momentum"] - p) / columns["track.momentum_error"]
    assert np.nanstd(pull) == pytest.approx(1.0, abs=0.08)
    assert _core(columns["track.momentum"][columns["track.found"]]) < 2.2  # GeV at 100


def test_reasons(tools, setup, conditions):
    toy = tools.toy(setup, 13)
    measured = toy.smear(toy.track(toy.states(4, 100.0)))
    for key, u in measured.items():
        if key in {("mm", 1, 0), ("mm", 2, 0)}:
            u[1] = np.nan
        if key[2] == 0 and key not in {("mm", 1, 0), ("mm", 2, 0)}:
            u[2] = np.nan
            u[3] += {("mm", 3): 20, ("mm", 4): -20, ("gem", 1): 5, ("gem", 2): 30}[key[:2]]
    columns = _reconstruct(toy.hits(measured), setup, conditions)
    assert columns["track.reason"].tolist() == [0, 1, 2, 3]
    assert columns["track.found"].tolist() == [True, False, False, False]
    assert columns["mm.clusters"].tolist() == [8, 6, 6, 8]
    assert columns["gem.clusters"].tolist() == [4, 4, 2, 4]


def test_two_tracks_are_two_and_the_one_in_time_is_first(tools, setup, conditions):
    toy = tools.toy(setup, 14)
    n = 3000
    states = toy.states(2 * n, 100.0)
    states[n:, :2] = states[:n, :2] + 8.0 * np.sign(toy.random.normal(size=(n, 2)))
    truth = toy.track(states)
    events = np.tile(np.arange(n), 2)
    times = np.repeat([0.0, 18.0], n)
    hits = toy.hits(toy.smear(truth, 0.02), events=events, n=n, time=times, width=3.0)
    columns = _reconstruct(hits, setup, conditions)
    assert (columns["track.candidates"] == 2).mean() > 0.95
    # Where they cross behind the magnets, one cluster is all there is to see of both.
    apart = np.all([np.abs(u[:n] - u[n:]) > 2.0 for u in truth.u.values()], axis=0)
    assert apart.mean() > 0.5
    right = columns["track.found"] & apart
    assert right.sum() > 0.99 * apart.sum()
    for axis, origin in (("x", setup.ecal.x), ("y", setup.ecal.y)):
        true = truth.ecal[:n, "xy".index(axis)] - origin
        off = np.abs(columns[f"track.{axis}_ecal"] - true)[right]
        assert (off > 5 * columns[f"track.{axis}_ecal_error"][right]).mean() < 0.005


def test_out_of_time_tracks_do_not_count(tools, setup, conditions):
    toy = tools.toy(setup, 15)
    hits = toy.hits(toy.smear(toy.track(toy.states(500, 100.0))), time=80.0)
    columns = _reconstruct(hits, setup, conditions)
    assert not columns["track.found"].any()
    assert (columns["track.reason"] == 1).all()


@pytest.mark.parametrize("momentum", [6.0, 20.0, 160.0])
@pytest.mark.parametrize("charge", [-1, 1])
def test_other_momenta(tools, setup, conditions, momentum, charge):
    wide = tools.wide(setup)
    toy = tools.toy(wide, 16)
    truth = toy.track(toy.states(1000, momentum, charge))
    columns = _reconstruct(toy.hits(toy.smear(truth)), wide, conditions)
    found = columns["track.found"]
    assert found.mean() > 0.97
    assert (columns["track.charge"][found] == charge).all()
    pull = (columns["track.momentum"][found] - momentum) / columns["track.momentum_error"][found]
    assert _core(pull) == pytest.approx(1.0, abs=0.1)


def test_an_electron_radiates_on_its_way(tools, setup, conditions):
    """155 MeV at 100 GeV: what is found is the momentum before the magnets."""
    electron = tools.particle(setup, "electron")
    # Wiedemann, Particle Accelerator Physics: 1.266 keV E^2 B^2 L in GeV, T, m
    toy = tools.toy(setup, 17, material=False, loss=1.266e-9)
    truth = toy.track(toy.states(200, 100.0))
    assert np.abs(1 / truth.ecal[:, 4]).mean() == pytest.approx(100 - 0.155, abs=1e-3)
    hits = toy.hits(truth.u)
    radiating = _reconstruct(hits, electron, conditions)["track.momentum"]
    assert np.median(radiating) == pytest.approx(100, abs=0.005)
    stiff = _reconstruct(hits, setup, conditions)["track.momentum"]
    assert np.median(stiff) < 99.95


def test_nan_hits_and_empty_events(sample, setup, conditions):
    _, hits = sample
    mm = hits["mm"]
    broken = Hits(mm.offsets, {**mm.columns, "charge": np.full(mm.size, np.nan, np.float32)})
    columns = reconstruct_tracks(broken, hits["gem"], None, setup, conditions)
    assert not columns["track.found"].any()
    none = np.zeros(4, np.int64)
    empty = Hits(none, {k: v[:0] for k, v in mm.columns.items()})
    columns = reconstruct_tracks(empty, None, None, setup, conditions)
    assert columns["track.reason"].tolist() == [1, 1, 1]
    no_events = Hits(none[:1], {k: v[:0] for k, v in mm.columns.items()})
    assert len(reconstruct_tracks(no_events, None, None, setup, conditions)["track.found"]) == 0


def test_too_many_combinations_are_said_to_be(setup, conditions):
    strips = np.arange(0, 320, 4)
    rows = [(s, p, i) for s in (1, 2, 3, 4) for p in (0, 1) for i in strips]
    columns = {
        "station": np.array([r[0] for r in rows], np.uint8),
        "projection": np.array([r[1] for r in rows], np.uint8),
        "strip": np.array([r[2] for r in rows], np.uint16),
        "charge": np.full(len(rows), 100, np.float32),
        "time": np.zeros(len(rows), np.float32),
    }
    crowded = Hits(np.array([0, len(rows)]), columns)
    result = reconstruct_tracks(crowded, None, None, setup, conditions)
    assert result["track.reason"].tolist() == [5]
    assert result["mm.clusters"].tolist() == [640]


def test_columns_are_those_of_the_event_record(sample, setup, conditions):
    from na64reco.reconstruction.columns import COLUMNS

    columns = _reconstruct(sample[1], setup, conditions)
    groups = ("track.", "mm.", "gem.", "straw.")
    assert set(columns) == {c for c in COLUMNS if c.startswith(groups)}


def test_collections_must_be_there_and_agree(sample, setup, conditions):
    mm = sample[1]["mm"]
    with pytest.raises(DataError, match="at least one of the collections MM, GEM, ST"):
        reconstruct_tracks(None, None, None, setup, conditions)
    short = Hits(np.zeros(3, np.int64), {k: v[:0] for k, v in mm.columns.items()})
    with pytest.raises(DataError, match=r"different numbers of events \(MM 10000, GEM 2\)"):
        reconstruct_tracks(mm, short, None, setup, conditions)


def test_face_of_a_tilted_calorimeter(setup):
    """A track along the axis through the face's centre line: rotate the picture by hand."""
    ecal = setup.ecal.model_copy(update={"slope_x": 0.1})
    angle = np.arctan(0.1)
    # 50 mm along the face from its centre, then along z to the centre's z
    x0, z0 = 50 * np.cos(angle), -50 * np.sin(angle)
    slope = 0.02
    state = np.array([[ecal.x + x0 - slope * z0, ecal.y + 7.0, slope, 0.0, -0.01]])
    x, y, x_error, _ = to_face(state, 0.04 * np.eye(5)[None], ecal)
    assert x[0] == pytest.approx(50, rel=1e-12)
    assert y[0] == pytest.approx(7)
    assert x_error[0] == pytest.approx(0.2, rel=0.02)
