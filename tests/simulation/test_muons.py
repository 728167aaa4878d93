from __future__ import annotations

import numpy as np
import pytest

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
    # 3000 muons of 100 GeV, followed by na64reco.cascade with their secondaries down to 1 MeV through
    # 150 x (1.5 mm lead + 1.5 mm scintillator), seen energy over that of 60 electrons (10 GeV) by energy.
    median, events = 0.562, 3000
    quantiles = {0.05: 0.439, 0.16: 0.467, 0.75: 0.735, 0.84: 0.901}
    above_median = {0.5: 340, 1.0: 168, 2.0: 76}
    fast = deposits(setup, 20_000)[0].sum(axis=(1, 2, 3))
    # The energy scale is the setup's: within 6 % of the cascade's, without any tuning.
    middle = np.median(fast) / median
    assert middle == pytest.approx(1.0, abs=0.06)
    for q, value in quantiles.items():
        assert np.quantile(fast, q) / value / middle == pytest.approx(1.0, abs=0.06)
    for excess, seen in above_median.items():
        found = (fast - np.median(fast) > excess).mean()
        assert found == pytest.approx(seen / events, abs=3.5 * np.sqrt(seen) / events)


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
