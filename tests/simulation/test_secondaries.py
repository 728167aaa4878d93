from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.beam import primaries
from na64reco.simulation.secondaries import (
    NUCLEAR,
    dimuons,
    nuclear_interactions,
    upstream_interactions,
)
from na64reco.simulation.tracks import ELECTRON, MUON
from na64reco.simulation.transport import beamline, propagate


@pytest.fixture(scope="module")
def beam(setup):
    rng = np.random.default_rng(41)
    line = beamline(setup)
    tracks = primaries(rng, setup, "electron", 8000)
    return line, tracks, propagate(rng, line, tracks)


def test_dimuons_share_the_energy(setup, rng, beam):
    line, tracks, paths = beam
    share, muons = dimuons(rng, setup, line, tracks, paths)
    arrived = ~np.isnan(paths.x[:, line.surface("ecal")])
    assert len(muons) == 2 * arrived.sum()
    assert (muons.kind == MUON).all()
    assert muons.charge.sum() == 0
    energy = np.hypot(muons.momentum, 0.1056584)
    pair = np.bincount(muons.event, weights=energy, minlength=len(tracks))
    np.testing.assert_allclose((pair + share * paths.momentum)[arrived], paths.momentum[arrived])
    # A spectrum 1/E between 0.2 and 0.95 of the energy: the median is the geometric mean.
    median = np.median(1 - share[arrived])
    assert median == pytest.approx(np.sqrt(0.2 * 0.95), rel=0.03)


def test_upstream_interactions_conserve_momentum(setup, rng, beam):
    line, tracks, paths = beam
    z, products = upstream_interactions(rng, setup, line, tracks, paths)
    reach = np.isfinite(z)
    total = np.bincount(products.event, weights=products.momentum, minlength=len(tracks))
    # Slow hadrons are lifted to 0.2 GeV.
    np.testing.assert_allclose(total[reach], paths.momentum[reach], rtol=0.05)
    soft = products.momentum[products.kind == ELECTRON] / paths.momentum[reach]
    assert 0.1 <= soft.min() <= soft.max() <= 0.8
    window = setup.passive["exit_window"].z
    assert window <= z[reach].min() <= z[reach].max() < setup.ecal.z
    assert (products.z_start == z[products.event]).all()


def test_upstream_products_start_on_the_beam(setup, rng, beam):
    line, tracks, paths = beam
    _, products = upstream_interactions(rng, setup, line, tracks, paths)
    counter = line.surface("S3")
    distance = products.z_start - setup.counters["S3"].z
    near, parent = np.abs(distance) < 100, products.event
    expected = paths.x[parent, counter] + distance * paths.tx[parent, counter]
    # Scattering in the counter: some 10 urad.
    assert np.abs(products.x - expected)[near].max() < 0.5
    assert near.sum() > 500


def test_hadrons_from_showers_are_rare_and_take_their_energy(setup, rng, beam):
    line, tracks, paths = beam
    many = 0
    for _ in range(30):
        share, hadrons = nuclear_interactions(rng, setup, line, tracks, paths)
        many += len(hadrons)
        taken = (1 - share[hadrons.event]) * paths.momentum[hadrons.event]
        np.testing.assert_allclose(taken, hadrons.momentum)
        assert (hadrons.ecal_depth > 0).all()
    expected = 30 * NUCLEAR * (~np.isnan(paths.x[:, line.surface("ecal")])).sum()
    assert many == pytest.approx(expected, abs=4 * np.sqrt(expected))
