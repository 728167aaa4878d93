"""Energy below threshold, against EGSnrc showers and a simulation of the formula."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.calorimeters.hidden import ENERGIES, hidden_energy, lost_energy

# Per cent that thresholds take from EGSnrc v2025a-3 electrons (300 each) at the middle of a cell,
# by the threshold in GeV: at 10, 20, 50 and 100 GeV.
LOST = {
    0.01: (0.677, 0.342, 0.129, 0.057),
    0.02: (1.658, 0.877, 0.349, 0.155),
    0.03: (2.389, 1.435, 0.571, 0.267),
}


@pytest.mark.parametrize("threshold", LOST)
def test_energies_are_linear_with_thresholds(setup, profile, threshold):
    """Linear to 0.5 % from 10 to 100 GeV once what is hidden is added."""
    hidden = hidden_energy(profile, setup.ecal, np.full(setup.ecal.shape, threshold))
    energies = np.array([10.0, 20.0, 50.0, 100.0])
    added = 100 * np.interp(energies, ENERGIES, hidden) / energies
    left = np.array(LOST[threshold]) - added
    np.testing.assert_allclose(left, left[-1], atol=0.5)
    np.testing.assert_allclose(left, 0, atol=0.5)


def test_lost_energy_is_that_of_the_model():
    random = np.random.default_rng(1)
    lone, threshold, mean = 0.012, 0.02, 0.015
    number = random.poisson(mean / lone, 200_000)
    energy = lone * random.standard_gamma(np.maximum(number, 1e-9)) * (number > 0)
    lost = energy[energy < threshold].sum() / len(energy)
    assert lost_energy(np.array([mean]), threshold, lone)[0] == pytest.approx(lost, rel=0.02)


def test_without_thresholds_nothing_is_hidden(setup, profile):
    assert not hidden_energy(profile, setup.ecal, np.zeros(setup.ecal.shape)).any()
