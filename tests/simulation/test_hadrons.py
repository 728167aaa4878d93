from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.geometry import Line
from na64reco.simulation.hadrons import hadron_energies, stack_of
from na64reco.simulation.tracks import PION


@pytest.fixture(scope="module")
def pions(setup):
    """100 GeV pions along the axis."""
    rng, n = np.random.default_rng(21), 6000
    zero = np.zeros(n)
    line = Line(setup.ecal.x + zero, 0.0 + zero, setup.ecal.slope_x + zero, zero, setup.ecal.z)
    kind, charge = np.full(n, PION, dtype=np.int8), np.full(n, -1, dtype=np.int8)
    return hadron_energies(rng, setup, line, np.full(n, 100.0), kind, charge, zero)


def test_most_probable_path_is_a_mip_through_the_ecal(pions):
    ecal = pions.ecal.sum(axis=(1, 2, 3))
    # exp(-1.6 / 1.1) do not interact in 1.6 proton interaction lengths.
    through = (ecal > 0.3) & (ecal < 1.2)
    assert through.mean() == pytest.approx(np.exp(-1.6 / 1.1), abs=0.03)
    assert np.median(ecal[through]) == pytest.approx(0.5, abs=0.03)  # MIP [arXiv:2110.15111]


def test_hcal_measures_what_it_is_given(pions):
    through = pions.ecal.sum(axis=(1, 2, 3)) < 0.8
    hcal = pions.hcal[through].sum(axis=(1, 2, 3))
    assert hcal.mean() == pytest.approx(100, rel=0.03)
    # 60 % / sqrt(100) (+) 5 %.
    assert hcal.std() / hcal.mean() == pytest.approx(np.hypot(0.06, 0.05), rel=0.2)


def test_energy_is_conserved_up_to_the_ecals_response(pions):
    total = pions.ecal.sum(axis=(1, 2, 3)) + pions.hcal.sum(axis=(1, 2, 3))
    assert 85 < total.mean() < 101
    assert (total < 140).all()


def test_three_modules_hold_everything(pions):
    by_module = pions.hcal.sum(axis=(2, 3)).mean(axis=0)
    assert by_module[0] > 10 * by_module[1] > 10 * by_module[2] > 0
    assert by_module[3] == 0  # the module at zero degrees is beside


def test_the_shower_is_widest_in_the_hcal(pions):
    hcal = pions.hcal[:, 0]
    centre = hcal[:, 1, 1].sum() / hcal.sum()
    assert 0.6 < centre < 0.95


def test_neutral_hadrons_do_not_ionise(setup, rng):
    n = 2000
    zero = np.zeros(n)
    line = Line(setup.ecal.x + zero, zero, setup.ecal.slope_x + zero, zero, setup.ecal.z)
    kind, charge = np.full(n, PION, dtype=np.int8), np.zeros(n, dtype=np.int8)
    found = hadron_energies(rng, setup, line, np.full(n, 50.0), kind, charge, zero)
    assert (found.ecal.sum(axis=(1, 2, 3)) == 0).mean() == pytest.approx(0.23, abs=0.04)


def test_tracks_beside_everything_leave_nothing(setup, rng):
    zero = np.zeros(50)
    line = Line(5000.0 + zero, zero, zero, zero, setup.ecal.z)
    kind, charge = np.full(50, PION, dtype=np.int8), np.ones(50, dtype=np.int8)
    found = hadron_energies(rng, setup, line, np.full(50, 20.0), kind, charge, zero)
    assert found.ecal.sum() == 0
    assert found.hcal.sum() == 0


def test_stack_depths_are_those_of_the_setup(setup):
    stack = stack_of(setup)
    assert stack.radiation[:2].sum() == pytest.approx(40)  # arXiv:2206.03101
    assert stack.radiation[0] == pytest.approx(4, abs=0.3)
    assert stack.interaction[2:5].sum() == pytest.approx(21)  # arXiv:2404.06982
