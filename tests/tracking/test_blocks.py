"""Events are done some at a time, and only what is wanted is made: neither changes a number."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.tracking import reconstruct, reconstruct_tracks
from na64reco.tracking.fit import fit, fit_tables
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import strip_planes

N = 300


@pytest.fixture(scope="module")
def hits(tools, setup):
    """Tracks in two of three events, some without planes, and noise."""
    toy = tools.toy(setup, 77)
    truth = toy.track(toy.states(2 * N // 3, 100.0, spread=0.005))
    events = np.arange(N)[np.arange(N) % 3 < 2]
    return toy.hits(toy.smear(truth, 0.1), events=events, n=N, noise=0.3)


@pytest.fixture(scope="module")
def columns(hits, setup, conditions):
    return reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)


def same(found, expected):
    for name, values in found.items():
        assert values.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.parametrize("block", [1, 7, 100, N])
def test_blocks_of_events_are_not_seen(hits, setup, conditions, columns, monkeypatch, block):
    assert 0.5 * N < columns["track.found"].sum() < 0.7 * N
    monkeypatch.setattr(reconstruct, "_BLOCK", block)
    same(reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions), columns)


def test_events_can_be_chosen(hits, setup, conditions, columns):
    chosen = np.array([5, 4, 100, 299, 0, 17])
    found = reconstruct_tracks(
        hits["mm"].select(chosen), hits["gem"].select(chosen), None, setup, conditions
    )
    same(found, {name: values[chosen] for name, values in columns.items()})


@pytest.mark.parametrize(
    "wanted", [{"track.p_value"}, {"track.hits", "track.y_ecal_error", "mm.clusters"}, set()]
)
def test_only_what_is_wanted(hits, setup, conditions, columns, wanted):
    found = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions, wanted=wanted)
    assert {name for name in found if not name.startswith("straw.")} == wanted
    same(found, columns)


def test_variances_are_the_diagonal_of_the_covariance(tools, setup, conditions):
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    toy = tools.toy(setup, 3)
    states = toy.states(50, 100.0)
    measured = toy.smear(toy.track(states), 0.1)
    keys = zip(planes.technology, planes.station, planes.projection, strict=True)
    names = [(("mm", "gem")[t], s, p) for t, s, p in keys]
    u = np.stack([measured[names[p]] + planes.origin[p] for p in layout.planes], axis=1)
    tables = fit_tables(planes, layout)
    whole, short = (fit(u, states, tables, covariances=c) for c in (True, False))
    assert whole.ok.mean() > 0.9
    assert short.first_covariance.shape == short.last_covariance.shape == (50, 0, 0)
    for end in ("first", "last"):
        diagonal = np.einsum("nii->ni", getattr(whole, f"{end}_covariance"))
        np.testing.assert_array_equal(getattr(whole, f"{end}_variance"), diagonal)
        np.testing.assert_array_equal(getattr(short, f"{end}_variance"), diagonal)
        np.testing.assert_array_equal(getattr(short, end), getattr(whole, end))
