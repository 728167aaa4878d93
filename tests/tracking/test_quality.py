"""Quality of the tracking, against what the hits were made with."""

from __future__ import annotations

from dataclasses import fields

import hist
import numpy as np
import pytest

from na64reco.calibration import load_conditions
from na64reco.errors import DataError, SetupError
from na64reco.events import EventWriter, Hits, open_events
from na64reco.setup import load_setup
from na64reco.simulation import simulate
from na64reco.simulation.detector import load_detector
from na64reco.tracking import reconstruct_tracks
from na64reco.tracking.quality import track_quality

N = 4000
BLIND = {("mm", 3, 0): 0.10, ("gem", 1, 1): 0.05}
"""Inefficiency of planes; of all others 2 %."""
NOISE = 0.2
WIDTH = 2.0  # ns: no hit is out of the window of 3 x 8 ns


def _name(key):
    return f"{key[0].upper()}{key[1]}{'XYUV'[key[2]]}"


def _collections(hits, **more):
    return {"MM": hits["mm"], "GEM": hits["gem"], **more}


def _cut(hits, first, last):
    start, stop = hits.offsets[first], hits.offsets[last]
    return Hits(
        hits.offsets[first : last + 1] - start,
        {k: v[start:stop] for k, v in hits.columns.items()},
    )


@pytest.fixture(scope="module")
def sample(tools, setup):
    """Hits of single tracks, one event each, and their momenta."""
    toy = tools.toy(setup, 41)
    truth = toy.track(toy.states(N, 100.0, spread=0.005))
    measured = toy.smear(truth)
    for key, u in measured.items():
        u[toy.random.random(N) < BLIND.get(key, 0.02)] = np.nan
    return toy.hits(measured, noise=NOISE, width=WIDTH), 1 / np.abs(truth.first[:, 4]), measured


@pytest.fixture(scope="module")
def quality(sample, setup, conditions):
    hits, momentum, _ = sample
    return track_quality(_collections(hits, MC_momentum=momentum), setup, conditions)


def test_efficiency_is_the_one_that_was_put_in(quality, sample):
    measured = {_name(k): u for k, u in sample[2].items()}
    assert set(quality.planes) == set(measured)
    pulls = []
    for e in quality.efficiencies:
        # the hits that there are, of all tracks: the probes are a part of them
        true = np.isfinite(measured[e.plane]).mean()
        assert 0.3 * N < e.probes < 0.6 * N  # planes of a view without a second cluster: exp(-1)
        spread = np.sqrt(true * (1 - true) / e.probes * (1 - e.probes / N))
        pulls.append((e.value - true) / spread)
        assert e.low < e.value < e.high
        assert e.high - e.low == pytest.approx(
            2 * np.sqrt(e.value * (1 - e.value) / e.probes), rel=0.05
        )
    assert np.abs(pulls).max() < 3.5
    assert np.square(pulls).sum() < 33  # p > 1e-3 for 12 degrees of freedom


def test_residuals_and_pulls_per_plane(quality, tools):
    for name in quality.planes:
        pull = quality.pull[hist.loc(name), :]
        centres, values = pull.axes[0].centers, pull.values()
        mean = (centres * values).sum() / values.sum()
        assert mean == pytest.approx(0, abs=0.06)
        assert np.sqrt((centres**2 * values).sum() / values.sum()) == pytest.approx(1, abs=0.06)
        residual = quality.residual[hist.loc(name), :]
        width = np.sqrt((residual.axes[0].centers ** 2 * residual.values()).sum() / values.sum())
        # unbiased: never smaller than the plane's own resolution
        assert width > 0.97 * tools.resolution[name[:-2].lower()]


def test_tracks_momenta_and_reasons(quality, sample, setup, conditions):
    hits, momentum, _ = sample
    columns = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)
    assert quality.events == N
    assert quality.found == pytest.approx(columns["track.found"].mean())
    assert quality.found > 0.98
    assert quality.wrong < 0.01
    assert quality.tracks.values()[:4] == pytest.approx(
        np.bincount(columns["track.candidates"], minlength=4)[:4]
    )
    assert quality.reason.values()[:6] == pytest.approx(
        np.bincount(columns["track.reason"], minlength=6)[:6]
    )
    found = columns["track.found"]
    off = (columns["track.momentum"] / momentum - 1)[found]
    filled = quality.momentum.values()
    assert filled.sum() == pytest.approx((np.abs(off) < 0.1).sum(), abs=2)
    flat = quality.p_value.values()
    assert ((flat - flat.mean()) ** 2 / flat.mean()).sum() < 90  # 50 bins: chi2 < 90, p > 4e-4
    chi2 = quality.chi2
    assert (chi2.values() * chi2.axes[0].centers).sum() / chi2.sum() == pytest.approx(1, abs=0.03)


def test_noise_is_unused_and_clusters_have_their_size(quality):
    # strips of noise: a few of a hundred fall onto the track's own cluster, some out of the window
    assert quality.unused_per_event == pytest.approx(np.full(12, NOISE), rel=0.15)
    sizes = quality.cluster_size.values(flow=True)
    assert sizes[:, 3:5].sum() > 0.95 * sizes.sum()  # the toy's clusters have four strips, or three


def test_simulated_planes_have_their_detectors_efficiency():
    setup = load_setup("2022-electron")
    conditions = load_conditions(setup, setup.runs[0])
    total = None
    for batch in simulate(setup, "electron", 8000, seed=3, trigger="beam", intensity=1e4):
        hits = {**batch.collections, "MC_momentum": batch.scalars["MC_momentum"]}
        part = track_quality(hits, setup, conditions)
        total = part if total is None else total + part
    assert total.events == 8000
    assert total.found > 0.998
    assert total.wrong < 0.001
    true = {_name(k): plane.efficiency for k, plane in load_detector(setup).strips.items()}
    pulls = [
        (e.value - true[e.plane]) / np.sqrt(true[e.plane] * (1 - true[e.plane]) / e.probes)
        for e in total.efficiencies
    ]
    assert len(pulls) == 12
    assert np.abs(pulls).max() < 3.5
    assert np.square(pulls).sum() < 33  # p > 1e-3 for 12 degrees of freedom


def test_tracks_beside_a_plane_are_no_probes(tools, setup, conditions):
    """A beam as wide as the planes: what misses them is not their inefficiency."""
    toy = tools.toy(setup, 42)
    states = toy.states(3000, 100.0)
    states[:, :2] *= 5.0
    truth = toy.track(states)
    hits = toy.hits(toy.smear(truth), width=WIDTH)
    beside = np.mean([np.abs(u) > 40 for k, u in truth.u.items() if k[0] == "mm"])
    assert beside > 0.1
    for e in track_quality(_collections(hits), setup, conditions).efficiencies:
        assert e.probes > 500
        assert e.value > 0.999, e.plane


def test_a_dead_plane_has_no_efficiency(tools, setup, conditions):
    toy = tools.toy(setup, 43)
    measured = toy.smear(toy.track(toy.states(500, 100.0)))
    measured["mm", 2, 1][:] = np.nan
    quality = track_quality(_collections(toy.hits(measured, width=WIDTH)), setup, conditions)
    values = {e.plane: e.value for e in quality.efficiencies}
    assert values.pop("MM2Y") == 0
    assert np.isnan(values.pop("MM1Y"))  # without both there is no track to ask
    assert set(values.values()) == {1.0}
    # without truth nothing is said of it
    assert np.isnan(quality.wrong)
    assert quality.momentum.sum(flow=True) == 0


def test_behind_the_target_the_beams_momentum_is_not_the_truth(tools):
    setup = load_setup("2021-muon")
    # The toy's strips are read one by one.
    stations = {n: s.model_copy(update={"multiplexing": 1}) for n, s in setup.stations.items()}
    setup = setup.model_copy(update={"stations": stations})
    toy = tools.toy(setup, 44)
    truth = toy.track(toy.states(300, setup.beam.momentum))
    hits = toy.hits(toy.smear(truth), width=WIDTH)
    given = _collections(hits, MC_momentum=1 / np.abs(truth.first[:, 4]))
    conditions = tools.conditions(setup)
    before = track_quality(given, setup, conditions, spectrometer="MS1")
    behind = track_quality(given, setup, conditions, spectrometer="MS2")
    assert before.found == behind.found == 1
    assert before.momentum_pull.sum(flow=True) == 300
    assert before.wrong < 0.01
    assert behind.momentum_pull.sum(flow=True) == 0
    assert np.isnan(before.efficiencies[before.planes.index("MM3X")].value)


def test_parts_add_up(sample, quality, setup, conditions):
    hits, momentum, _ = sample
    parts = [
        track_quality(
            {
                "MM": _cut(hits["mm"], a, b),
                "GEM": _cut(hits["gem"], a, b),
                "MC_momentum": momentum[a:b],
            },
            setup,
            conditions,
        )
        for a, b in ((0, 1500), (1500, 1500), (1500, N))
    ]
    assert np.isnan(parts[1].found)
    assert np.isnan(parts[1].efficiencies[0].value)
    total = parts[0] + parts[1] + parts[2]
    assert total.events == N
    for f in fields(total):
        mine, whole = getattr(total, f.name), getattr(quality, f.name)
        if isinstance(mine, hist.Hist):
            np.testing.assert_array_equal(mine.values(flow=True), whole.values(flow=True))
    other = setup.model_copy(update={"name": "elsewhere"})
    with pytest.raises(ValueError, match=r"2022-electron, spectrometer 'main', 12 planes, cannot"):
        total + track_quality({"MM": _cut(hits["mm"], 0, 5)}, other, conditions)
    with pytest.raises(TypeError):
        total + 1


def test_files_are_read(tmp_path):
    setup = load_setup("2022-electron")
    conditions = load_conditions(setup, setup.runs[0])
    batch = next(iter(simulate(setup, "electron", 300, seed=5, trigger="beam", intensity=1e4)))
    path = tmp_path / "run.root"
    with EventWriter(
        path, collections=tuple(batch.collections), scalars=tuple(batch.scalars)
    ) as file:
        file.write(batch)
    hits = {**batch.collections, "MC_momentum": batch.scalars["MC_momentum"]}
    read = track_quality(open_events(path), setup, conditions)
    direct = track_quality(hits, setup, conditions)
    assert read.events == 300
    np.testing.assert_array_equal(read.momentum.values(), direct.momentum.values())
    np.testing.assert_array_equal(read.probe.values(), direct.probe.values())


def test_what_cannot_be_done_is_said(sample, setup, conditions):
    with pytest.raises(DataError, match="needs hits of the collections MM or GEM"):
        track_quality({"ECAL": sample[0]["mm"]}, setup, conditions)
    with pytest.raises(SetupError, match="no spectrometer 'second'"):
        track_quality(_collections(sample[0]), setup, conditions, spectrometer="second")
