"""What muons that lose much in the target leave, and where: energy, rates, closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.cascade.muon_radiation import spectrum
from na64reco.materials import find_material
from na64reco.setup import load_setup
from na64reco.simulation import load_detector
from na64reco.simulation.deposits import calorimeter_energies
from na64reco.simulation.slabs import MOMENTUM, NUCLEAR, RADIATED
from na64reco.simulation.target import behind_target
from na64reco.simulation.tracks import MUON, Tracks
from na64reco.simulation.transport import beamline, propagate

MUONS = 60_000


@pytest.fixture(scope="module")
def setup():
    return load_setup("2022-muon-152")


@pytest.fixture(scope="module")
def muons(setup):
    """Muons of 160 GeV/c through the middle of everything, and what they make."""
    rng, line = np.random.default_rng(5), beamline(setup)
    start = Tracks.make(
        MUONS,
        event=np.arange(MUONS),
        kind=MUON,
        charge=-1,
        momentum=160.0,
        x=setup.ecal.x - setup.ecal.slope_x,
        tx=setup.ecal.slope_x,
        z_start=setup.ecal.z - 1,
        primary=True,
    )
    tracks, paths = behind_target(rng, setup, line, start, propagate(rng, line, start))
    seen = calorimeter_energies(rng, setup, load_detector(setup), line, tracks, paths)
    energy = sum(part.sum(axis=(1, 2, 3)) for part in (seen.ecal, seen.vhcal, seen.hcal))
    by_event = np.bincount(tracks.event, energy, minlength=MUONS)
    own = np.flatnonzero(tracks.primary)
    # Behind the ECAL: at the face of the HCAL.
    return tracks, paths, own, by_event


def test_nothing_of_a_hard_photon_is_lost(setup, muons):
    """Bremsstrahlung and pairs above 80 GeV: what the target lets through is in the HCAL."""
    _, paths, own, energy = muons
    radiated = paths.inside[own, :2, RADIATED].sum(axis=1)
    hard = (radiated > 80) & (paths.inside[own, :2, NUCLEAR].max(axis=1) < 1)
    assert hard.sum() > 15
    # Muons that reach both modules of the HCAL add 4.8 GeV and what they radiate there.
    assert np.min(energy[hard] / radiated[hard]) > 0.85
    assert np.median(energy[hard] - radiated[hard]) == pytest.approx(6, abs=5)


def test_nuclear_interactions_make_hadrons(setup, muons):
    """Their rate above 5 GeV by the cross section; three in four GeV go with charged and neutral."""
    tracks, paths, own, _ = muons
    nu = paths.inside[own, :2, NUCLEAR].max(axis=1)
    least = 5.0
    grid = np.geomspace(least, 155, 400)
    plates = setup.ecal.sampling
    layers = sum(s.layers for s in setup.ecal.sections.values())
    expected = 0.0
    for material, thickness, density in (
        ("lead", plates.absorber_thickness, 11.35),
        ("polystyrene", plates.scintillator_thickness, 1.06),
    ):
        per_gram = np.trapezoid(spectrum("nuclear", 160.0, grid, find_material(material)), grid)
        expected += MUONS * 0.1 * layers * thickness * density * per_gram
    found = np.count_nonzero(nu > least)
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected))
    hadrons = np.flatnonzero((tracks.ecal_depth > 0) & (tracks.momentum > 0))
    masses = np.array([0, 0.13957, 0.4937, 0.0, 0, 0])[tracks.kind[hadrons]]
    total = np.sqrt(tracks.momentum[hadrons] ** 2 + masses**2)
    shares = np.bincount(tracks.event[hadrons], total, minlength=MUONS)[nu > 1] / nu[nu > 1]
    # 28.5 % are neutral pions (the composition of `nuclear`); nucleons have their mass extra.
    assert np.mean(shares) == pytest.approx(0.715, abs=0.08)
    assert np.all(shares < 1.9)


def test_hadrons_that_leave_the_target_are_seen_behind_it(setup, muons):
    """Above 30 GeV: 1.6 interaction lengths of ECAL let much through, which the HCAL stops.

    The ECAL sees 0.8 of the hadronic energy, and wide showers miss the gap of MS2: less than all.
    """
    _, paths, own, energy = muons
    nu = paths.inside[own, :2, NUCLEAR].max(axis=1)
    hard = nu > 30
    assert hard.sum() > 5
    assert np.isfinite(paths.inside[own, 0, MOMENTUM]).all()
    assert 0.6 < np.median(energy[hard] / nu[hard]) < 1.05
