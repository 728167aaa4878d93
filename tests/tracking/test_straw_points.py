"""Straws as points: sides of the wire, better tracks, and the r-t relation from residuals."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.errors import ConditionsError
from na64reco.events import Hits
from na64reco.tracking import reconstruct_tracks
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.straw_points import add_straw_planes, add_straw_points, straw_stations
from na64reco.tracking.straw_sides import BLIND

from .muon_toy import closed_form

if TYPE_CHECKING:
    from na64reco.setup.model import Setup

N = 4000
T0, T_MAX, RADIUS, RESOLUTION = 10.0, 60.0, 3.0, 0.2  # of conftest's conditions


def with_straws(setup: Setup, names: tuple[str, ...] = ("ST3", "ST4"), without=()) -> Setup:
    main = setup.spectrometers["main"]
    down = tuple(n for n in (*main.downstream, *names) if n not in without)
    main = main.model_copy(update={"downstream": down})
    return setup.model_copy(update={"spectrometers": {"main": main}})


def straws_of(setup: Setup, crossings, random, resolution: float = RESOLUTION):
    """Hits of crossings {(station, projection number): (slope, u at the middle)}, tube by tube.

    Also the true u of each hit's track at its layer.
    """
    rows, true = [], []
    for (name, number), (slope, u) in crossings.items():
        station = setup.stations[name]
        for layer in range(station.layers):
            here = u + slope * (layer - (station.layers - 1) / 2) * station.layer_spacing
            for wire in range(station.channels):
                centre = (wire - (station.channels - 1) / 2 + layer / 2) * station.pitch
                hit = np.flatnonzero(np.abs(here - centre) < RADIUS)
                r = np.abs(here[hit] - centre) + resolution * random.normal(size=len(hit))
                time = T0 + T_MAX * r / RADIUS
                one = np.ones(len(hit), np.int64)
                number_of = station.number * one
                rows.append(np.stack([hit, number_of, number * one, layer * one, wire * one, time]))
                true.append(here[hit])
    table, true = np.concatenate(rows, axis=1), np.concatenate(true)
    order = np.argsort(table[0], kind="stable")
    table, true = table[:, order], true[order]
    n = len(next(iter(crossings.values()))[1])
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(table[0].astype(int), minlength=n), out=offsets[1:])
    types = (np.uint8, np.uint8, np.uint8, np.uint16, np.float32)
    names = ("station", "projection", "layer", "wire", "time")
    columns = {f: table[i + 1].astype(t) for i, (f, t) in enumerate(zip(names, types, strict=True))}
    return Hits(offsets, columns), true


def empty(n: int) -> Hits:
    fields = ("station", "projection", "strip", "charge", "time")
    types = (np.uint8, np.uint8, np.uint16, np.float32, np.float32)
    columns = {f: np.empty(0, t) for f, t in zip(fields, types, strict=True)}
    return Hits(np.zeros(n + 1, np.int64), columns)


def points(setup, conditions, hits):
    """Clusters of the straws alone, their mirror images, planes and where the layers are."""
    planes, lookup = add_straw_planes(
        strip_planes(setup, conditions), setup, conditions, straw_stations(setup, "main")
    )
    clusters = find_clusters(empty(len(hits)), None, planes)
    return *add_straw_points(clusters, hits, setup, conditions, planes, lookup), planes, lookup


@pytest.fixture(scope="module")
def sample(tools, setup):
    """Tracks of 100 GeV; u at the straws between their neighbours of strips, drawn straight."""
    toy = tools.toy(setup, 51, material=False)
    truth = toy.track(toy.states(N, 100.0))
    random = np.random.default_rng(52)
    crossings = {}
    for name in ("ST3", "ST4"):
        station = setup.stations[name]
        for number, axis in enumerate("XY"):
            near, far = ("mm", 4, number), ("gem", 2, number)
            a, b = setup.stations["MM4"], setup.stations["GEM2"]
            z_a, z_b = a.projection_z(axis), b.projection_z(axis)
            origin = axis.lower()
            u_a = truth.u[near] + getattr(a, origin)
            slope = (truth.u[far] + getattr(b, origin) - u_a) / (z_b - z_a)
            z = station.projection_z(axis)
            crossings[name, number] = slope, u_a + slope * (z - z_a) - getattr(station, origin)
    straws, true = straws_of(setup, crossings, random)
    return truth, toy.hits(toy.smear(truth)), straws, true


def test_straws_join_only_where_listed(setup, conditions, sample):
    assert straw_stations(setup, "main") == ()
    _, hits, straws, _ = sample
    one = reconstruct_tracks(hits["mm"], hits["gem"], straws, setup, conditions)
    assert one["track.hits"].max() == 12


def test_planes_stand_along_the_beam(setup, conditions):
    strips = strip_planes(setup, conditions)
    planes, lookup = add_straw_planes(strips, setup, conditions, ("ST3", "ST4"))
    assert len(planes.z) == len(strips.z) + 8
    assert (np.diff(planes.z) >= 0).all()
    station = setup.stations["ST3"]
    assert planes.z[lookup[3, 0, 1]] - planes.z[lookup[3, 0, 0]] == station.layer_spacing
    old, new = strips.lookup >= 0, planes.lookup >= 0
    assert np.array_equal(old, new)
    assert np.array_equal(strips.z[strips.lookup[old]], planes.z[planes.lookup[new]])


def test_a_layer_without_conditions_is_named(setup, conditions):
    lacking = {k: v for k, v in conditions.straw.items() if k != (4, 1, 0)}
    with pytest.raises(ConditionsError, match="no straw block for station 4 projection Y layer 0"):
        add_straw_planes(
            strip_planes(setup, conditions),
            setup,
            dataclasses.replace(conditions, straw=lacking),
            ("ST4",),
        )


def test_a_pair_of_layers_tells_side_and_time(setup, conditions, sample):
    setup = with_straws(setup)
    _, _, straws, true = sample
    clusters, mirror, planes, lookup = points(setup, conditions, straws)
    c = straws.columns
    plane = lookup[c["station"], c["projection"], c["layer"]]
    event = np.repeat(np.arange(len(straws)), np.diff(straws.offsets))
    row = event * len(planes.z) + plane
    number = np.diff(clusters.offsets)[row]
    # Drift times more than 10 ns late are no hits: 0.5 mm, 2.5 standard deviations behind the
    # wall, 1.3e-4 of what is uniform up to it.
    assert (number == 0).mean() < 5e-4
    # Pairs stand 3 mm apart within 2.5 mm (9 standard deviations), so all else have one side.
    assert (number > 1).mean() < 5e-4
    one = number == 1
    at = clusters.offsets[row[one]]
    off = clusters.position[at] - true[one]
    assert (np.abs(off) < 5 * RESOLUTION).mean() > 0.999
    # never the wrong side, but where the wire is so close that it is all the same
    wrong = np.abs(off) > np.abs(mirror[at] - true[one])
    assert np.abs(mirror[at] - clusters.position[at])[wrong].max() < 2 * 5 * RESOLUTION
    # 20 ns per mm: sqrt(2) 0.2 mm / (2 * 0.05 mm/ns); the hits of a pair share it
    expected = 2**0.5 * RESOLUTION / (2 * RADIUS / T_MAX)
    assert np.std(clusters.time[at]) == pytest.approx(expected, rel=0.03)
    np.testing.assert_allclose(clusters.time_error[at], 2**0.5 * expected, rtol=1e-3)


@pytest.mark.parametrize("late", [-8.0, 8.0])
def test_a_pair_tells_when_its_particle_came(setup, conditions, sample, late):
    _, _, straws, _ = sample
    columns = straws.columns | {"time": straws.columns["time"] + np.float32(late)}
    clusters, mirror, *_ = points(with_straws(setup), conditions, Hits(straws.offsets, columns))
    distance = np.abs(clusters.position - mirror) / 2
    middle = (distance > 1.0) & (distance < 2.0)  # the distance cannot be cut at wire or wall
    assert (clusters.time_error[middle] < 1e3).mean() > 0.99
    spread = clusters.time[middle].std() / np.sqrt(middle.sum() / 2)
    assert clusters.time[middle].mean() == pytest.approx(late, abs=4 * spread)


def test_alone_both_sides_are_offered(setup, conditions):
    setup = with_straws(setup, ("ST3",))
    columns = {"station": 3, "projection": 0, "layer": 0, "wire": 31, "time": T0 + T_MAX / 2}
    types = {"wire": np.uint16, "time": np.float32}
    hit = Hits(
        np.array([0, 1]), {f: np.array([v], types.get(f, np.uint8)) for f, v in columns.items()}
    )
    clusters, mirror, *_ = points(setup, conditions, hit)
    assert clusters.position.tolist() == pytest.approx([-3.0 - 1.5, -3.0 + 1.5])
    assert mirror.tolist() == pytest.approx([-3.0 + 1.5, -3.0 - 1.5])
    assert (clusters.time_error > 1e3).all()


def core(values):
    low, high = np.nanpercentile(values, [15.87, 84.13])
    return (high - low) / 2


@pytest.mark.parametrize("without", [(), ("MM4", "GEM2")])
def test_tracks_with_straws(setup, conditions, sample, without):
    truth, strips, straws, _ = sample
    setup = with_straws(setup, without=without)
    columns = reconstruct_tracks(strips["mm"], strips["gem"], straws, setup, conditions)
    assert columns["track.found"].mean() > 0.999
    # A hit counts where it is more than 2 standard deviations (0.4 mm of 3 mm) from the wire, one
    # of a strip within 3 standard deviations in time.
    near = BLIND * RESOLUTION / RADIUS
    strip_planes_left = 12 - 2 * len(without)
    expected = 0.9973 * strip_planes_left + 8 * (1 - near)
    spread = np.sqrt(8 * near * (1 - near) / N)
    assert columns["track.hits"].mean() == pytest.approx(expected, abs=4 * spread)
    momentum = columns["track.momentum"]
    names = (*setup.spectrometers["main"].upstream, *setup.spectrometers["main"].downstream)
    sigma = {"mm": 0.072, "gem": 0.08, "straw": RESOLUTION / np.sqrt(1 - near)}
    best = closed_form(setup, "main", names, sigma, 100.0)
    assert core(momentum) / 100 == pytest.approx(best, rel=4 / np.sqrt(2 * N))
    pull = (momentum - 100.0) / columns["track.momentum_error"]
    assert core(pull) == pytest.approx(1.0, abs=0.05)
    assert (np.abs(pull) > 5).mean() < 1e-3
    x = columns["track.x_ecal"] - (truth.ecal[:, 0] - setup.ecal.x)
    assert core(x / columns["track.x_ecal_error"]) == pytest.approx(1.0, abs=0.05)
    assert (columns["track.candidates"] == 1).mean() > 0.99
