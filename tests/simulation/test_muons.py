from __future__ import annotations

import numpy as np
import pytest

from na64reco.cascade import Stack, simulate_cascade
from na64reco.simulation.geometry import Line
from na64reco.simulation.muons import muon_energies

ENERGY = 100.0


def straight(setup, rows):
    """Muons through the middle of the ECAL and the modules behind it."""
    zero = np.zeros(rows)
    module = setup.hcal.sections["module1"]
    slope = (module.x - setup.ecal.x) / (module.z - setup.ecal.z)
    return Line(zero + setup.ecal.x, zero + setup.ecal.y, zero + slope, zero, setup.ecal.z)


def deposits(setup, rows, energy=ENERGY):
    rng = np.random.default_rng(31)
    ecal, hcal = muon_energies(
        rng, setup, straight(setup, rows), np.full(rows, energy), np.zeros(rows)
    )
    return ecal, hcal


def peak(values):
    counts, edges = np.histogram(values, bins=np.linspace(0, 2 * np.median(values), 60))
    return edges[counts.argmax()] + 0.5 * (edges[1] - edges[0])


@pytest.mark.parametrize("energy", [20.0, 100.0, 160.0])
def test_minimum_ionising_peaks(setup, energy):
    # ECAL about 0.5 GeV, HCAL 2.3-2.5 GeV per module (arXiv:2110.15111).
    ecal, hcal = deposits(setup, 30_000, energy)
    assert peak(ecal.sum(axis=(1, 2, 3))) == pytest.approx(0.5, abs=0.04)
    for module in range(3):
        assert 2.25 < peak(hcal[:, module].sum(axis=(1, 2))) < 2.55


def test_ecal_is_that_of_the_cascade(setup):
    """The cascade follows the muon's secondaries down to 1 MeV through the plates."""
    plates = Stack.sandwich([("lead", 0.15), ("polystyrene", 0.15)], 150, half_width=11.46)
    electrons = simulate_cascade(plates, 10.0, 60, cut=0.001, seed=1)
    seen = electrons.layers[:, 1::2].sum(axis=1).mean() / 10
    muons = simulate_cascade(plates, ENERGY, 1500, particle="muon", cut=0.001, seed=3)
    full = muons.layers[:, 1::2].sum(axis=1) / seen
    fast = deposits(setup, 20_000)[0].sum(axis=(1, 2, 3))
    # The energy scale is the setup's: within 6 % of the cascade's, without any tuning.
    middle = np.median(fast) / np.median(full)
    assert middle == pytest.approx(1.0, abs=0.06)
    for q in (0.05, 0.16, 0.75, 0.84):
        ratio = np.quantile(fast, q) / np.quantile(full, q) / middle
        assert ratio == pytest.approx(1.0, abs=0.06)
    for excess in (0.5, 1.0, 2.0):
        expected = (full - np.median(full) > excess).mean()
        found = (fast - np.median(fast) > excess).mean()
        assert found == pytest.approx(expected, abs=3.5 * np.sqrt(expected / len(full)))


def test_chance_of_hard_losses_in_iron(setup):
    # The cascade through 48 x (25 mm iron + 4 mm scintillator): 29 of 2500 muons are seen with 10 GeV
    # more than the median, on the scale of electrons.
    hcal = deposits(setup, 40_000)[1][:, 1].sum(axis=(1, 2))
    lost = (hcal > np.median(hcal) + 10).mean()
    assert lost == pytest.approx(29 / 2500, abs=3.5 * np.sqrt(29) / 2500)


def test_energy_is_never_made(setup):
    ecal, hcal = deposits(setup, 5000, 3.0)
    total = ecal.sum(axis=(1, 2, 3)) + hcal.sum(axis=(1, 2, 3))
    # A 3 GeV muon stops in the second module; its showers fluctuate with the resolution.
    assert (total < 3.0 + 4 * 0.6 * np.sqrt(3.0)).all()
    assert total.mean() < 3.0
    assert hcal[:, 2].sum() < 0.02 * hcal[:, 0].sum()


def test_start_inside_the_ecal_leaves_less(setup):
    rng = np.random.default_rng(2)
    line, rows = straight(setup, 4000), 4000
    late, _ = muon_energies(rng, setup, line, np.full(rows, 20.0), np.full(rows, 0.5))
    assert late[:, 0].sum() == 0.0
    assert peak(late.sum(axis=(1, 2, 3))) == pytest.approx(0.25, abs=0.03)


def test_the_number_of_portions_does_not_shift_other_draws(setup):
    after = []
    for energy in (1.0, 100.0):
        rng = np.random.default_rng(9)
        muon_energies(rng, setup, straight(setup, 50), np.full(50, energy), np.zeros(50))
        after.append(rng.random())
    assert after[0] == after[1]


def test_nothing_for_nobody(setup):
    empty = np.empty(0)
    rng = np.random.default_rng(9)
    ecal, hcal = muon_energies(
        rng, setup, Line(empty, empty, empty, empty, setup.ecal.z), empty, empty
    )
    assert ecal.shape == (0, *setup.ecal.shape)
    assert hcal.shape == (0, *setup.hcal.shape)
