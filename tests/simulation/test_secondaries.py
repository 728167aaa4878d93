from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.beam import primaries
from na64reco.simulation.secondaries import (
    dimuons,
    nuclear_interactions,
    upstream_interactions,
)
from na64reco.simulation.tracks import ELECTRON, KAON, MASSES, MUON, PHOTON, PION, PROTON
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
    # Photons have a track as 1/k^2 down to 0.2 of the energy, on which the cross section only grows
    # with a logarithm: half of the pairs are below about 0.33.
    median = np.median(1 - share[arrived])
    assert median == pytest.approx(1 / 3, rel=0.1)


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
    reactions = 0
    for _ in range(30):
        share, hadrons, _ = nuclear_interactions(rng, setup, line, tracks, paths)
        reactions += len(np.unique(hadrons.event))
        mass = np.array(MASSES)[hadrons.kind]
        energy = np.hypot(hadrons.momentum, mass) - np.where(hadrons.kind == PROTON, mass, 0)
        total = np.bincount(hadrons.event, weights=energy, minlength=len(tracks))
        np.testing.assert_allclose(total, (1 - share) * paths.momentum, atol=1e-9)
        assert (hadrons.ecal_depth > 0).all()
        assert set(np.unique(hadrons.kind)) <= {PION, KAON, PROTON}
    # Rossi: 0.57 (E0 / k - 1) radiation lengths of photons above k = 1 GeV; 0.13 mb per nucleon,
    # 0.65 of it in lead, 6.37 g/cm2 of which are one radiation length.
    closed = 0.572 * 99 * 6.37 * 6.022e23 * 0.12e-27 * 0.65
    arrived = 30 * (~np.isnan(paths.x[:, line.surface("ecal")])).sum()
    assert 0.8 * closed < reactions / arrived < 1.5 * closed


def test_energy_of_upstream_photons_is_that_of_their_pions(setup, rng, beam):
    line, tracks, paths = beam
    _, products = upstream_interactions(rng, setup, line, tracks, paths)
    photons = products.take(products.kind == PHOTON)
    assert len(photons) % 2 == 0
    # A bit more than a quarter of the hadrons' energy.
    hadrons = products.momentum[products.kind != ELECTRON].sum()
    assert photons.momentum.sum() / hadrons == pytest.approx(0.285, abs=0.02)
