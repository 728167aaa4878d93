"""The shipped tables against the integrals that they stand for."""

from __future__ import annotations

import time
from importlib.resources import files

import numpy as np
import pytest

from na64reco.darksector.strahlung import SOFTEST_X, cross_section, spectrum, x_range
from na64reco.darksector.strahlung_tables import NUCLEI, load_table
from na64reco.errors import ModelError

# Between the grid's points, and at its corners.
POINTS = [(3.3e-6, 61.0), (7e-4, 17.0), (0.0167, 150.0), (0.222, 98.0), (1.7, 34.0), (2.95, 15.5)]


@pytest.mark.parametrize("lepton", ["electron", "muon"])
@pytest.mark.parametrize("name", sorted(NUCLEI))
@pytest.mark.parametrize("inelastic", [False, True])
def test_totals(lepton, name, inelastic):
    table = load_table(name, lepton, inelastic=inelastic)
    mass, energy = np.array(POINTS).T
    options = {"nucleus": NUCLEI[name], "lepton": lepton, "inelastic": inelastic}
    expected = cross_section(mass, energy, epsilon=1e-3, **options)
    found = table.cross_section(mass, energy, epsilon=1e-3)
    heavy = mass > 1
    np.testing.assert_allclose(found[~heavy], expected[~heavy], rtol=1e-5)
    # Steep near the kinematic limit, the more so with break-up at high momentum transfers.
    np.testing.assert_allclose(found[heavy], expected[heavy], rtol=4e-3 if inelastic else 1e-3)


@pytest.mark.parametrize("lepton", ["electron", "muon"])
@pytest.mark.parametrize(("mass", "energy"), POINTS)
def test_spectra(lepton, mass, energy):
    table = load_table("lead", lepton)
    cut = np.array([0.1, 0.5, 0.9])
    low, high = x_range(mass, energy, lepton=lepton)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    total = cross_section(mass, energy, lepton=lepton)
    for x in cut[cut > low]:
        first, last = np.log(x / (1 - x)), np.log(high / (1 - high))
        z = first + 0.5 * (last - first) * (1 + nodes)
        share = 1 / (1 + np.exp(-z))
        values = spectrum(share, mass, energy, lepton=lepton) * share * (1 - share)
        expected = 0.5 * (last - first) * np.sum(weights * values) / total
        assert table.fraction_above(x, mass, energy) == pytest.approx(expected, abs=5e-4)


def test_below_and_above_the_spectrum():
    table = load_table()
    np.testing.assert_allclose(
        table.fraction_above([0.0, 0.5 * SOFTEST_X, 1.0], 0.1, 100.0), [1, 1, 0], atol=1e-12
    )


@pytest.mark.parametrize("lepton", ["electron", "muon"])
def test_samples(lepton):
    table = load_table("lead", lepton)
    size = 40_000
    x = table.sample(np.random.default_rng(5), size, 0.1, 100.0)
    low, high = x_range(0.1, 100.0, lepton=lepton)
    assert x.min() >= low
    assert x.max() <= high + 1e-9
    # The cross section integrated above these, without the table.
    total = cross_section(0.1, 100.0, lepton=lepton)
    for cut in (0.3, 0.7, 0.95):
        expected = float(cross_section(0.1, 100.0, lepton=lepton, x_min=cut) / total)
        error = np.sqrt(expected * (1 - expected) / size)
        assert np.mean(x > cut) == pytest.approx(expected, abs=4 * error)


def test_positrons_are_electrons():
    assert load_table("iron", "positron").cross_section(0.1, 50.0) == load_table(
        "iron"
    ).cross_section(0.1, 50.0)


def test_quick_and_small():
    table = load_table()
    start = time.process_time()
    mass, energy = np.geomspace(1e-6, 3.0, 60)[:, None], np.linspace(15.0, 150.0, 40)
    table.cross_section(mass, energy)
    table.fraction_above(0.5, mass, energy)
    assert time.process_time() - start < 1.0
    size = len((files("na64reco.darksector") / "data" / "strahlung.npz").read_bytes())
    assert size < 300_000


def test_wrong_numbers():
    table = load_table("carbon")
    with pytest.raises(ModelError, match=r"holds masses from 1e-06 to 3 GeV, found 4; .*no extrap"):
        table.cross_section(4.0, 100.0)
    with pytest.raises(ModelError, match=r"holds energies from 15 to 200 GeV, found 5;"):
        table.cross_section(0.1, [5.0, 20.0])
    with pytest.raises(ModelError, match=r"on lead only, not on Z = 6"):
        table.sample(np.random.default_rng(1), 10, 0.1, 100.0)
    with pytest.raises(ModelError, match=r"no table for the nucleus 'led'.*'lead'"):
        load_table("led")
    with pytest.raises(ModelError, match="no table for the lepton 'tau'"):
        load_table("lead", "tau")
