"""Events against the spectra that they are drawn from, and against integrals of their angles."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chisquare

from na64reco.darksector.acceptance import Acceptance
from na64reco.darksector.dump import load_dump, shashlik
from na64reco.darksector.generation import Generator
from na64reco.darksector.missing_energy import missing_energy
from na64reco.darksector.models import DarkPhoton, DarkSector, LMuLTau
from na64reco.darksector.strahlung import angular_spectrum
from na64reco.darksector.yields import DumpYield
from na64reco.errors import ModelError

INVISIBLE = DarkPhoton(DarkSector())
EVENTS = 100_000


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def generator(model=INVISIBLE, mass=0.01, *, beam="electron", energy=100.0, above=50.0, **options):
    dump = load_dump(shashlik(), energy, beam)
    return Generator(DumpYield(dump, Acceptance(above)), model, mass, 1e-4, above, **options)


@pytest.mark.parametrize(
    ("model", "mass", "beam"),
    [
        (INVISIBLE, 1e-3, "electron"),
        (INVISIBLE, 0.25, "electron"),
        (LMuLTau(DarkSector(alpha=0.1)), 0.3, "positron"),
    ],
)
def test_energies_follow_the_yields_spectrum(rng, model, mass, beam):
    source = generator(model, mass, beam=beam)
    events = source.draw(rng, EVENTS)
    edges = np.array([50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 98.0, 100.01])
    expected = missing_energy(source.yields, model, mass, 1e-4, edges)
    for chosen, shape in ((events.resonant, expected.resonant),
                          (~events.resonant, expected.strahlung)):  # fmt: skip
        counts, _ = np.histogram(events.energy[chosen], edges)
        assert counts.sum() == chosen.sum()
        if counts.sum() < 1000:
            continue
        wanted = counts.sum() * shape / shape.sum()
        many = wanted > 20
        # The tables' shares are good to 5e-4 of all; a bin's own spread is never that good here.
        assert np.all(np.abs(counts - wanted)[many] < 4 * np.sqrt(wanted[many]) + 2e-3 * EVENTS)
    share = expected.resonant.sum() / expected.total.sum()
    assert events.resonant.mean() == pytest.approx(share, abs=0.01)
    assert source.rate == pytest.approx(expected.total.sum(), rel=0.01)
    assert np.all(events.energy <= events.lepton)
    assert np.all(events.charge[events.resonant] == 1)


def test_they_are_where_the_cascade_is(rng):
    source = generator(mass=0.1, production="strahlung", above=30.0)
    events = source.draw(rng, EVENTS)
    dump = source.yields.dump
    assert np.all(dump.stack.boundaries[events.layer] <= events.depth)
    assert np.all(events.depth <= dump.stack.boundaries[events.layer + 1])
    # All but 1 % in lead.
    assert np.mean(dump.stack.index[events.layer] == 0) == pytest.approx(0.99, abs=0.005)
    # A shower's electrons above 30 GeV: two radiation lengths deep, all of them within 15.
    assert 1.0 < np.mean(events.depth) / 1.12 < 3.0
    assert events.depth.max() < 0.3 * 60
    # EGSnrc: T+ / T- is 0.13 above 30 GeV, and what radiates is the hardest of them.
    assert 0.03 < np.mean(events.charge == 1) < 0.13


@pytest.mark.parametrize("mass", [1e-3, 0.1])
def test_angles(rng, mass):
    source = generator(mass=mass, production="strahlung")
    events = source.draw(rng, EVENTS)
    x = events.energy / events.lepton
    near = (np.abs(x - 0.9) < 0.02) & (np.abs(events.lepton - 95) < 5)
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 200.0])
    typical = np.sqrt((mass**2 * 0.1 / 0.9 + 0.511e-3**2 * 0.9) / 0.9) / 95
    counts, _ = np.histogram(events.angle[near] / typical, edges)
    wanted = []
    for low, high in pairwise(edges):
        theta = np.geomspace(max(low, 1e-3), high, 201) * typical
        density = angular_spectrum(0.9, theta, mass, 95.0)
        wanted.append(np.trapezoid(density, theta))
    expected = counts.sum() * np.array(wanted) / np.sum(wanted)
    assert counts.sum() > 1000
    np.testing.assert_allclose(counts, expected, atol=4 * np.sqrt(expected.max()))


def test_muons(rng):
    source = generator(LMuLTau(), 0.1, beam="muon", energy=160.0, above=80.0)
    events = source.draw(rng, EVENTS)
    assert np.all((events.energy >= 80.0 * (1 - 1e-2)) & (events.energy < 160.0))
    assert not events.resonant.any()
    # Evenly along the lead: 45 cm of both.
    counts, _ = np.histogram(events.depth, np.linspace(0, 45, 10))
    assert chisquare(counts).pvalue > 1e-3


def test_wrong_requests(rng):
    with pytest.raises(ModelError, match=r"bosons above 120.0 GeV: .* less than the beam's 100"):
        generator(above=120.0)
    with pytest.raises(ModelError, match=r"no events above 50 GeV by resonant production"):
        generator(mass=1e-3, production="resonant").draw(rng, 1)
