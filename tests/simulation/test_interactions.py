from __future__ import annotations

import numpy as np
import pytest

from na64reco.simulation.interactions import (
    available_energy,
    electromagnetic_share,
    interacting_less,
    share_fluctuation,
)
from na64reco.simulation.tracks import ELECTRON, KAON, PION, PROTON


def test_pions_interact_less_than_nucleons(setup):
    # PDG: iron 160.8 / 132.1 = 1.217, lead 226.2 / 199.6 = 1.133; the plastic adds a little.
    iron, lead = interacting_less(setup.hcal.sampling), interacting_less(setup.ecal.sampling)
    assert iron[PION] == pytest.approx(1.217, rel=0.01)
    assert 1.133 < lead[PION] < 1.20
    assert iron[KAON] > iron[PION] > iron[PROTON] == 1.0 == iron[ELECTRON]


def test_interaction_lengths_of_the_setup_are_those_of_its_materials(setup):
    """150 x (1.5 mm lead + 1.5 mm plastic) and 48 x (25 mm iron + 4 mm plastic), from PDG."""
    ecal = 150 * 0.15 * (11.35 / 199.6 + 1.06 / 81.7)
    hcal = 48 * (2.5 * 7.874 / 132.1 + 0.4 * 1.06 / 81.7)
    assert setup.ecal.interaction_lengths == pytest.approx(ecal, rel=0.03)
    assert setup.hcal.interaction_lengths == pytest.approx(hcal, rel=0.06)


def test_electromagnetic_shares():
    """Wigmans: half of a 100 GeV pion's energy, a bit more in iron than in lead, less of protons."""
    energy, pion = np.array([10.0, 100.0]), np.full(2, PION, dtype=np.int8)
    iron, lead = (electromagnetic_share(energy, pion, a) for a in ("Fe", "Pb"))
    proton = electromagnetic_share(energy, np.full(2, PROTON, dtype=np.int8), "Fe")
    assert iron[1] == pytest.approx(0.591, abs=0.001)  # 1 - 142.9^-0.18
    assert lead[1] == pytest.approx(0.542, abs=0.001)  # 1 - 76.9^-0.18
    assert (proton < lead).all()
    assert (lead < iron).all()
    # Gabriel et al.: at 100 GeV protons' showers have about 15 % less of it.
    assert proton[1] / iron[1] == pytest.approx(0.85, abs=0.05)


@pytest.mark.parametrize("mean", [0.05, 0.3, 0.6, 0.9])
def test_fluctuations_keep_mean_and_rms(rng, mean):
    share = share_fluctuation(rng, np.full(40_000, mean))
    assert share.mean() == pytest.approx(mean, abs=0.003)
    assert share.std() == pytest.approx(0.15, rel=0.03)
    assert 0 <= share.min() < share.max() <= 1


def test_nucleons_keep_their_mass():
    kind = np.array([PION, PROTON, PROTON, PROTON], dtype=np.int8)
    charge = np.array([-1, 1, 0, -1], dtype=np.int8)
    found = available_energy(np.full(4, 3.0), kind, charge)
    np.testing.assert_allclose(found, [3.0, 2.061728, 2.061728, 3.938272], atol=1e-6)
