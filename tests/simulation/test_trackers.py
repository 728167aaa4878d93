"""Strips and straws, with the true constants."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.straws import straw_hits
from na64reco.simulation.strips import strip_hits
from na64reco.simulation.tracks import MUON, PHOTON, Tracks
from na64reco.simulation.transport import beamline, propagate


@pytest.fixture(scope="module")
def muons(setup):
    n = 4000
    rng = np.random.default_rng(31)
    tracks = Tracks.make(
        n,
        event=np.arange(n),
        kind=MUON,
        charge=-1,
        momentum=100.0,
        x=rng.normal(0, 6, n),
        y=rng.normal(0, 6, n),
        z_start=setup.beam.z,
        primary=True,
    )
    line = beamline(setup)
    return tracks, propagate(rng, line, tracks), line


@pytest.fixture(scope="module")
def strips(setup, detector, muons):
    tracks, paths, line = muons
    rng = np.random.default_rng(32)
    return strip_hits(rng, setup, detector, "mm", line, np.arange(len(tracks) + 1), tracks, paths)


def centroids(hits, station, projection, *, events, time=0.0):
    chosen = (hits["station"] == station) & (hits["projection"] == projection)
    event = hits.event_index()[chosen]
    charge = hits["charge"][chosen].astype(float)
    strip = hits["strip"][chosen].astype(float)
    total = np.bincount(event, weights=charge, minlength=events)
    with np.errstate(invalid="ignore"):
        return np.bincount(event, weights=charge * strip, minlength=events) / total, total


@pytest.mark.parametrize(("name", "projection"), [("MM1", 0), ("MM3", 0), ("MM4", 1)])
def test_charge_centroids_find_the_particle(setup, detector, muons, strips, name, projection):
    tracks, paths, line = muons
    station = setup.stations[name]
    plane = detector.strips["mm", station.number, projection]
    middle, total = centroids(strips, station.number, projection, events=len(tracks))
    u = (middle - (station.channels - 1) / 2) * station.pitch + plane.shift
    a = np.radians(90.0 * projection) + 1e-3 * plane.rotation
    surface = line.surface(name)
    dz = station.projection_z("XY"[projection]) - station.z
    dx = paths.x[:, surface] + dz * paths.tx[:, surface] - station.x
    dy = paths.y[:, surface] + dz * paths.ty[:, surface] - station.y
    residual = u - dx * np.cos(a) - dy * np.sin(a)
    core = residual[np.abs(residual) < 0.5]
    # Noise strips elsewhere in the plane pull the others away.
    assert len(core) > 0.75 * len(tracks)
    assert abs(core.mean()) < 0.02
    assert 0.06 < core.std() < 0.15  # of the order of 0.1 mm
    assert np.median(total[total > 0]) > 0.9 * plane.charge


def test_x_and_y_share_the_charge_of_one_ionisation(setup, detector, muons):
    """The ratio of both has a width below 0.1 in COMPASS' GEM: B. Ketzer et al., NIM A 535 (2004).

    Each sum of strips has the noise of the strips besides: 6 counts on each of seven.
    """
    tracks, paths, line = muons
    rng = np.random.default_rng(38)
    first = np.arange(len(tracks) + 1)
    hits = strip_hits(rng, setup, detector, "gem", line, first, tracks, paths)
    logs = {}
    for station in (1, 2):
        for projection in (0, 1):
            _, total = centroids(hits, station, projection, events=len(tracks))
            plane = detector.strips["gem", station, projection]
            logs[station, projection] = np.log(np.maximum(total, 1) / plane.charge)
    seen = np.min(list(logs.values()), axis=0) > np.log(0.3)
    assert seen.mean() > 0.88  # 0.98^4 and room
    for station in (1, 2):
        ratio = (logs[station, 0] - logs[station, 1])[seen]
        width = 1.4826 * np.median(np.abs(ratio - np.median(ratio)))
        noise = np.sqrt(2 * 7) * 6 / np.median(np.exp(logs[station, 0]) * 285)
        assert 0.09 < width < 1.5 * np.hypot(0.1, noise)
        assert np.median(ratio) == pytest.approx(0, abs=0.1)  # means near one
    # Another chamber, another ionisation: nothing in common.
    spread = np.std((logs[1, 0] - logs[2, 1])[seen])
    assert spread > 3 * width
    assert abs(np.corrcoef(logs[1, 0][seen], logs[2, 1][seen])[0, 1]) < 0.06


def test_efficiency_of_a_plane(detector, muons, strips):
    tracks = muons[0]
    _, total = centroids(strips, 1, 0, events=len(tracks))
    plane = detector.strips["mm", 1, 0]
    # Noise strips are there without the particle: they have little charge.
    assert (total > 0.3 * plane.charge).mean() == pytest.approx(0.98, abs=0.012)


def test_clusters_have_several_strips(muons, strips):
    planes = 8
    per_plane = strips.size / len(muons[0]) / planes
    assert 2.5 < per_plane < 6


def test_dead_strips_never_fire(detector, strips):
    for (technology, station, projection), plane in detector.strips.items():
        if technology != "mm":
            continue
        own = (strips["station"] == station) & (strips["projection"] == projection)
        assert not np.isin(strips["strip"][own], plane.dead).any()


def test_one_hit_per_strip_and_event(setup, detector, muons):
    tracks, paths, line = muons
    first = np.arange(0, len(tracks) + 1, 40)  # 40 particles an event
    rng = np.random.default_rng(33)
    hits = strip_hits(rng, setup, detector, "gem", line, first, tracks, paths)
    keys = np.column_stack((hits.event_index(), hits["station"], hits["projection"], hits["strip"]))
    assert len(np.unique(keys, axis=0)) == hits.size
    straw = straw_hits(rng, setup, detector, line, first, tracks, paths)
    keys = np.column_stack(
        [straw.event_index()] + [straw[k] for k in ("station", "projection", "layer", "wire")]
    )
    assert len(np.unique(keys, axis=0)) == straw.size


def test_photons_leave_no_hits(setup, detector, muons):
    tracks, paths, line = muons
    neutral = tracks.with_(
        charge=np.zeros(len(tracks), dtype=np.int8),
        kind=np.full(len(tracks), PHOTON, dtype=np.int8),
    )
    rng = np.random.default_rng(34)
    first = np.arange(len(tracks) + 1)
    noise = sum(plane.noise_strips for key, plane in detector.strips.items() if key[0] == "mm")
    hits = strip_hits(rng, setup, detector, "mm", line, first, neutral, paths)
    assert hits.size / len(tracks) == pytest.approx(noise, rel=0.1)


def test_drift_times_give_the_distance(setup, detector, muons):
    tracks, paths, line = muons
    rng = np.random.default_rng(35)
    hits = straw_hits(rng, setup, detector, line, np.arange(len(tracks) + 1), tracks, paths)
    station = setup.stations["ST4"]
    own = (hits["station"] == 4) & (hits["projection"] == 1) & (hits["layer"] == 1)
    plane = detector.straws[4, 1, 1]
    event = hits.event_index()[own]
    wire = (hits["wire"][own] - (station.channels - 1) / 2 + 0.5) * station.pitch + plane.shift
    y = paths.y[event, line.surface("ST4")] - station.y
    x = paths.x[event, line.surface("ST4")] - station.x
    distance = np.abs(y - 1e-3 * plane.rotation * x - wire)
    drift = hits["time"][own] - plane.t0
    near = distance < station.pitch / 2
    assert near.mean() > 0.93  # the others are noise and cross-talk
    # t = time_max ((1 - b) s + b s^2), solved for the distance.
    s, b = drift[near] / plane.time_max, plane.curvature
    found = 3 * (np.sqrt(np.maximum(0, (1 - b) ** 2 + 4 * b * s)) - (1 - b)) / (2 * b)
    residual = found - distance[near]
    assert np.median(np.abs(residual)) < 0.15
    assert abs(np.median(residual)) < 0.05


def test_a_track_fires_both_layers(setup, muons, detector):
    tracks, paths, line = muons
    rng = np.random.default_rng(36)
    hits = straw_hits(rng, setup, detector, line, np.arange(len(tracks) + 1), tracks, paths)
    # 2 stations, 2 projections, 2 layers, 97 % each less the walls.
    assert hits.size / len(tracks) == pytest.approx(8 * 0.95, rel=0.06)


def test_late_particles_are_seen_late(setup, detector, muons):
    tracks, paths, line = muons
    rng = np.random.default_rng(37)
    first = np.arange(len(tracks) + 1)
    late = tracks.with_(time=np.full(len(tracks), 60.0))
    hits = strip_hits(rng, setup, detector, "mm", line, first, late, paths)
    one = (hits["station"] == 2) & (hits["projection"] == 0)
    offset = detector.strips["mm", 2, 0].time_offset
    assert np.median(hits["time"][one]) == pytest.approx(60 + offset, abs=1.0)
    gone = tracks.with_(time=np.full(len(tracks), 150.0))
    few = strip_hits(rng, setup, detector, "mm", line, first, gone, paths)
    assert few.size < 0.2 * hits.size
