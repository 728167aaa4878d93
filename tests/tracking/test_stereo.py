"""U and V planes: they join tracks, and tell which track in x is which in y."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.setup import load_setup
from na64reco.setup.spectrometer import Station
from na64reco.tracking import reconstruct_tracks
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import strip_planes

from .muon_toy import RESOLUTION, closed_form, muons, straw_hits, strip_hits

N = 2000


def with_uv(setup, z: float, *, upstream: bool = False, angle: float = 45.0):
    """The setup with a GEM that measures U and V, far from x and y."""
    station = Station(
        technology="gem",
        number=9,
        z=z,
        x=round(setup.beam_x(z), 1),
        angles={"U": angle, "V": -angle},
        spacing=4.0,
        channels=256,
        pitch=0.4,
        thickness_x0=0.004,
    )
    main = setup.spectrometers["main"]
    where = "upstream" if upstream else "downstream"
    main = main.model_copy(update={where: (*getattr(main, where), "UV")})
    return setup.model_copy(
        update={
            "stations": {**setup.stations, "UV": station},
            "spectrometers": {**setup.spectrometers, "main": main},
        }
    )


@pytest.fixture(scope="module")
def crossed(setup):
    return with_uv(setup, 14900.0)


@pytest.fixture(scope="module", params=[61, 62, 63])
def two_tracks(request, tools, crossed):
    """Tracks 2 i and 2 i + 1 of event i, at the same time."""
    toy = tools.toy(crossed, request.param)
    truth = toy.track(toy.states(2 * N, 100.0))
    apart = np.min([np.abs(u[::2] - u[1::2]) for u in truth.u.values()], axis=0) > 2.0
    measured = toy.smear(truth, 0.02)
    return truth, apart, toy.hits(measured, events=np.repeat(np.arange(N), 2), n=N, noise=0.1)


def pairing(setup, conditions, hits):
    """Candidates of the main spectrometer."""
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    return find_candidates(find_clusters(hits["mm"], hits["gem"], planes), layout)


def rightly_paired(setup, conditions, sample):
    """Share of two-track events in which every candidate has x and y of one particle."""
    truth, apart, hits = sample
    candidates = pairing(setup, conditions, hits)
    right = total = 0
    for e in np.flatnonzero(apart):
        lo, hi = candidates.offsets[e], candidates.offsets[e + 1]
        if hi - lo != 2:
            continue
        total += 1
        first = truth.first[2 * e : 2 * e + 2]
        right += all(
            np.abs(first[:, 0] - s[0]).argmin() == np.abs(first[:, 1] - s[1]).argmin()
            for s in candidates.seed[lo:hi]
        )
    return right / total, total / apart.sum()


def test_stereo_planes_are_listed(tools, setup, crossed, conditions):
    for s, upstream in ((crossed, 0), (with_uv(setup, -2400.0, upstream=True), 2)):
        planes = strip_planes(s, tools.conditions(s))
        stereo = make_layout(s, planes).stereo
        assert planes.projection[stereo.plane].tolist() == [2, 3]
        np.testing.assert_allclose(stereo.sin, [0.5**0.5, -(0.5**0.5)])
        assert stereo.upstream == upstream
    assert len(make_layout(setup, strip_planes(setup, conditions)).stereo.z) == 0


def test_wrong_pairs_are_killed(tools, setup, crossed, two_tracks):
    without = crossed.model_copy(update={"spectrometers": setup.spectrometers})
    conditions = tools.conditions(crossed)
    guessed, _ = rightly_paired(without, conditions, two_tracks)
    right, both = rightly_paired(crossed, conditions, two_tracks)
    # Times and charges here say nothing: one in two.
    assert guessed == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(both * two_tracks[1].sum()))
    # 2 mm in x and y are 1.4 mm in U and V, ten standard deviations: certain, unless one of the two
    # planes misses one of the two tracks.
    assert right > 0.98**4
    assert both > 0.95  # wanted: the number of tracks right in 95 % of the events with two


@pytest.mark.parametrize("seed", [64, 65, 66])
@pytest.mark.parametrize(("z", "upstream"), [(14900.0, False), (-2400.0, True)])
def test_hits_join_single_tracks(tools, setup, z, upstream, seed):
    setup = with_uv(setup, z, upstream=upstream)
    toy = tools.toy(setup, seed)
    truth = toy.track(toy.states(N, 100.0))
    measured = toy.smear(truth)
    hits = toy.hits(measured)
    conditions = tools.conditions(setup)
    columns = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)
    found = columns["track.found"]
    assert found.mean() > 0.999
    # all 14 within 3 standard deviations in time, unless a hit is dropped as wrong (1e-3)
    all_in_time = 0.9973**14 - 1e-3
    assert (columns["track.hits"] == 14).mean() > all_in_time - 4 * np.sqrt(0.037 / N)
    pull = (columns["track.momentum"][found] - 100.0) / columns["track.momentum_error"][found]
    assert np.std(pull) == pytest.approx(1.0, abs=0.05)
    p_value = np.sort(columns["track.p_value"][found])
    flat = np.arange(1, len(p_value) + 1) / len(p_value)
    assert np.abs(p_value - flat).max() < 1.63 / np.sqrt(len(p_value))  # Kolmogorov, 1 %

    noisy = toy.hits(measured, noise=0.2)
    columns = reconstruct_tracks(noisy["mm"], noisy["gem"], None, setup, conditions)
    off = np.abs(columns["track.momentum"] - 100.0) / columns["track.momentum_error"]
    assert columns["track.found"].mean() > 0.98  # wanted, with less than 1 % wrong
    assert (off > 5).mean() < 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_straw_chamber_with_u_and_v(tools, seed):
    """ST11 (10 degrees) as a plane of MS2, which it is not in the experiment: 3.4 % then."""
    setup = load_setup("2022-muon-152")
    listed = setup.spectrometers["MS2"]
    listed = listed.model_copy(update={"downstream": (*listed.downstream, "ST11")})
    setup = setup.model_copy(update={"spectrometers": {"MS2": listed}})
    random = np.random.default_rng(seed)
    made = muons(tools, setup, "MS2", N, random)
    strips, straws = (f(setup, "MS2", made, random) for f in (strip_hits, straw_hits))
    columns = reconstruct_tracks(
        strips["mm"], strips["gem"], straws, setup, tools.conditions(setup), spectrometer="MS2"
    )
    found = columns["track.found"]
    assert found.mean() > 0.99
    # 14 strips within 3 standard deviations in time; of 12 straws 2 standard deviations from 3 mm
    # are too close to the wire to count.
    assert columns["track.hits"].mean() == pytest.approx(14 * 0.9973 + 12 * (1 - 0.4 / 3), abs=0.15)
    p, error = (columns[f"track.{n}"][found].astype(float) for n in ("momentum", "momentum_error"))
    names = (*listed.upstream, *listed.downstream)
    best = closed_form(setup, "MS2", names, RESOLUTION, 160.0)
    low, high = np.percentile(160 / p, [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(best, rel=0.02 + 3 / np.sqrt(2 * N))  # and the wires
    low, high = np.percentile((1 / p - 1 / 160) / (error / p**2), [15.87, 84.13])
    assert (high - low) / 2 == pytest.approx(1.0, abs=0.05)
