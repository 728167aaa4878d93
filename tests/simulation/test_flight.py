"""Decays in flight: how many, where, and where their products go."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from na64reco.simulation.beam import primaries
from na64reco.simulation.flight import decays_in_flight
from na64reco.simulation.tracks import ELECTRON, MUON, PHOTON, PION, Tracks
from na64reco.simulation.transport import beamline, propagate


def decayed(setup, rng, particle, rows):
    line = beamline(setup)
    tracks = primaries(rng, setup, particle, rows)
    before = propagate(rng, line, tracks)
    after = before.take(np.arange(rows))
    return line, tracks, before, after, decays_in_flight(rng, line, tracks, after)


@pytest.mark.parametrize(("particle", "length"), [("kaon", 751.7e3), ("pion", 5591.8e3)])
def test_share_that_decays_before_the_ecal(setup, rng, particle, length):
    rows = 40_000
    line, _, before, after, _ = decayed(setup, rng, particle, rows)
    face = line.surface("ecal")
    there = ~np.isnan(before.x[:, face])
    share = np.isnan(after.x[there, face]).mean()
    expected = -np.expm1(-(setup.ecal.z - setup.beam.z) / length)
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / rows))


def test_muons_start_on_their_parents_paths(setup, rng):
    """Muons are born where the parent was: seen at the next surface, it must be near."""
    line, _, before, _, products = decayed(setup, rng, "pion", 60_000)
    muons = products.take(products.kind == MUON)
    assert len(muons) > 200
    following = np.searchsorted(line.z, muons.z_start)
    dx = muons.x - before.x[muons.event, following]
    dx += (line.z[following] - muons.z_start) * before.tx[muons.event, following]
    magnets = line.elements[line.elements[:, 2] > 0]
    exits = magnets[:, 0] + magnets[:, 2]
    straight = (muons.z_start < magnets[0, 0]) & (line.z[following] < magnets[0, 0])
    straight |= muons.z_start > exits[-1]
    # Up to the scattering of the parent in the layer before: 30 urad over some metres.
    assert np.abs(dx[straight]).max() < 0.3
    assert straight.sum() > 100
    # Muons born in the last magnet start at its exit: softer than the parent, so bent more, by at
    # most 0.75 of its 10.5 mrad over half of its 2 m.
    inside = np.abs(muons.z_start - exits[-1]) < 1e-6
    assert inside.sum() > 10
    assert 0.5 < np.abs(dx[inside]).max() < 10.0


def test_neutral_products_keep_the_parents_direction_within_pt(setup, rng):
    line, tracks, _, _, products = decayed(setup, rng, "kaon", 40_000)
    photons = products.take((products.kind == PHOTON) & (products.z_start < line.elements[0, 0]))
    angle = np.hypot(
        photons.tx - tracks.tx[photons.event], photons.ty - tracks.ty[photons.event]
    )  # before any element the parent goes straight
    # pi0 from K: p* = 0.2051; photon in the kaon's frame at most (0.2455 + 0.2051) / 2.
    assert (angle * photons.momentum).max() < 0.2255


def test_a_particle_that_decays_early_does_not_enter_the_magnets(setup, rng):
    line, _, _, after, products = decayed(setup, rng, "kaon", 20_000)
    magnet = np.flatnonzero(line.elements[:, 2] > 0)[0]
    early = np.unique(products.event[products.z_start < line.elements[magnet, 0] - 1])
    assert len(early) > 50
    assert np.isnan(after.entry[early]).all()
    surfaces = line.z > line.elements[magnet, 0]
    assert np.isnan(after.x[early][:, surfaces]).all()
    assert (products.time == 0).all()
    assert not products.primary.any()
    assert set(np.unique(products.kind)) <= {ELECTRON, PION, MUON, PHOTON}


def test_electrons_and_protons_do_not_decay_and_draw_nothing(setup, rng):
    line = beamline(setup)
    for particle in ("electron", "proton"):
        tracks = primaries(rng, setup, particle, 100)
        paths = propagate(rng, line, tracks)
        state = rng.bit_generator.state
        assert len(decays_in_flight(rng, line, tracks, paths)) == 0
        assert rng.bit_generator.state == state


def test_positions_of_decays_are_exponential(setup, rng):
    rows = 20_000
    line = beamline(setup)
    tracks = Tracks.make(
        rows, event=np.arange(rows), kind=PION, charge=1, momentum=0.3, z_start=setup.beam.z
    )
    products = decays_in_flight(rng, line, tracks, propagate(rng, line, tracks))
    # 16.8 m on average; up to the first element everything is still alive and straight.
    near = products.z_start < line.elements[0, 0]
    path = (products.z_start[near & (products.kind == MUON)] - setup.beam.z) / 16_775
    whole = (line.elements[0, 0] - setup.beam.z) / 16_775
    assert len(path) > 500
    assert kstest(path, lambda t: -np.expm1(-t) / -np.expm1(-whole)).pvalue > 1e-3


def test_energy_is_missing_where_kaons_decay_to_muons(events, dense, detector, setup):
    """Between P(K -> mu nu) and P(K decays); kaons that do not decay leave nearly everything."""
    rows = 8000
    batch = events("kaon", rows, trigger="none")
    seen = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    seen += dense(batch, "HCAL", detector.hcal, within=30).sum(axis=(1, 2, 3))
    decays = -np.expm1(-(setup.ecal.z - setup.beam.z) / 751.7e3)
    error = np.sqrt(decays / rows)
    little = (seen < 20).mean()
    assert 0.6356 * decays - 3 * error < little < decays + 3 * error
