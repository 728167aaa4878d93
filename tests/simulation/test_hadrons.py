from __future__ import annotations

import numpy as np
import pytest

from na64reco.constants import PROTON_MASS
from na64reco.simulation.geometry import Line
from na64reco.simulation.hadrons import hadron_energies, stack_of
from na64reco.simulation.tracks import KAON, PION, PROTON


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
    # 1.6 interaction lengths of nucleons; PDG: 226.2 and 199.6 g/cm2 in lead, 113.7 and 81.7 in
    # polystyrene, for pions and nucleons.
    lead, plastic = 11.35 * 1.5, 1.06 * 1.5
    longer = (lead / 199.6 + plastic / 81.7) / (lead / 226.2 + plastic / 113.7)
    through = (ecal > 0.3) & (ecal < 0.8)
    assert through.mean() == pytest.approx(np.exp(-1.6 / longer), abs=0.02)
    assert np.median(ecal[through]) == pytest.approx(0.5, abs=0.03)  # MIP [arXiv:2110.15111]


def test_hcal_measures_what_it_is_given(pions):
    through = pions.ecal.sum(axis=(1, 2, 3)) < 0.8
    hcal = pions.hcal[through].sum(axis=(1, 2, 3))
    assert hcal.mean() == pytest.approx(100, rel=0.03)
    # 60 % / sqrt(100) (+) 5 %.
    assert hcal.std() / hcal.mean() == pytest.approx(np.hypot(0.06, 0.05), rel=0.05)


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
    assert (found.ecal.sum(axis=(1, 2, 3)) == 0).mean() == pytest.approx(0.256, abs=0.04)


def test_tracks_beside_everything_leave_nothing(setup, rng):
    zero = np.zeros(50)
    line = Line(5000.0 + zero, zero, zero, zero, setup.ecal.z)
    kind, charge = np.full(50, PION, dtype=np.int8), np.ones(50, dtype=np.int8)
    found = hadron_energies(rng, setup, line, np.full(50, 20.0), kind, charge, zero)
    assert found.ecal.sum() == 0
    assert found.hcal.sum() == 0
    assert (found.charged_behind_ecal == 1).all()  # whether it hits the VETO, the VETO knows


def test_stack_depths_are_those_of_the_setup(setup):
    stack = stack_of(setup)
    assert stack.radiation[:2].sum() == pytest.approx(40)  # arXiv:2206.03101
    assert stack.radiation[0] == pytest.approx(4, abs=0.3)
    assert stack.interaction[2:5].sum() == pytest.approx(21)  # arXiv:2404.06982


def shoot(setup, rng, rows, energy, kind, *, charge=-1, start=1.0, stretch=1.0):
    """Hadrons along the axis, by default from the ECAL's end."""
    zero = np.zeros(rows)
    line = Line(setup.ecal.x + zero, zero, setup.ecal.slope_x + zero, zero, setup.ecal.z)
    return hadron_energies(
        rng,
        setup,
        line,
        zero + energy,
        np.full(rows, kind, dtype=np.int8),
        np.full(rows, charge, dtype=np.int8),
        zero + start,
        stretch=stretch,
    )


def with_depth(setup, lengths):
    """HCAL modules of another depth in interaction lengths."""
    depth = {"interaction_lengths": lengths, "radiation_lengths": 9.7 * lengths}
    return setup.model_copy(update={"hcal": setup.hcal.model_copy(update=depth)})


def modules_without_signal(found, modules, rows, *, threshold):
    quiet = found.hcal[:, :modules].sum(axis=(1, 2, 3)) < threshold
    weight = np.where(quiet, found.weight, 0.0)
    return weight.mean(), weight.std() / np.sqrt(rows)


def test_resolution_of_the_hcal_follows_sixty_percent_over_root_e(setup, rng):
    for energy in (10.0, 30.0, 100.0):
        seen = shoot(setup, rng, 5000, energy, PION).hcal.sum(axis=(1, 2, 3))
        expected = np.hypot(0.6 / np.sqrt(energy), 0.05)
        assert seen.std() / seen.mean() == pytest.approx(expected, rel=0.06)


def test_the_hcal_is_not_linear_as_e_over_h_demands(setup, rng):
    """pi/e = [1 + (e/h - 1) <f>] h/e with e/h = 1.4 and <f> = 1 - (E / 0.7 GeV)^-0.18."""

    def pi(energy):
        return 1 + 0.4 * (1 - (energy / 0.7) ** -0.18)

    means = {
        energy: shoot(setup, rng, 12_000, energy, PION).hcal.sum(axis=(1, 2, 3)).mean() / energy
        for energy in (10.0, 100.0)
    }
    assert means[100.0] == pytest.approx(1, abs=0.01)
    assert means[10.0] / means[100.0] == pytest.approx(pi(10.0) / pi(100.0), abs=0.01)


def test_true_energy_is_conserved(setup, rng):
    for kind, charge, mass in (
        (PION, -1, 0.0),
        (PROTON, 0, PROTON_MASS),
        (PROTON, -1, -PROTON_MASS),
    ):
        found = shoot(setup, rng, 500, 60.0, kind, charge=charge, start=0.0)
        total = found.deposited.sum(axis=1) + found.leaked
        np.testing.assert_allclose(total, 60.0 - mass, rtol=1e-9)
        assert (found.deposited >= 0).all()


def test_slow_hadrons_end_in_the_ecal(setup, rng):
    """Ranges of 0.3 GeV pions are shorter than 300 g/cm2."""
    found = shoot(setup, rng, 400, 0.33, PION, start=0.0)
    np.testing.assert_allclose(found.deposited.sum(axis=1) + found.leaked, 0.33)
    assert found.hcal[:, 1:].sum() < 0.02 * 400 * 0.33
    assert found.charged_behind_ecal.mean() < 0.05


def test_hadrons_that_pass_leave_a_mip_per_module(setup, rng):
    found = shoot(setup, rng, 30_000, 100.0, PION, stretch=10.0)
    # Nothing but ionisation: 92.8 GeV on average.
    through = found.leaked > 91.5
    assert through.sum() > 1000
    assert found.hcal[through, :3].sum(axis=(2, 3)).mean(axis=0) == pytest.approx(2.4, rel=0.03)


def quiet_collisions(energy, allowed):
    """Share of collisions in which the target dissociates and takes less than `allowed` GeV.

    5 % with dN/dM^2 ~ 1/M^2 between (m_p + m_pi)^2 and 0.1 s.
    """
    mass2, low = 0.938272**2, (0.938272 + 0.139570) ** 2
    high = 0.1 * (2 * 0.938272 * energy + mass2)
    most = mass2 + 2 * 0.938272 * allowed
    return 0.05 * np.log(max(most, low) / low) / np.log(high / low)


@pytest.mark.parametrize(("modules", "published"), [(1, 1e-2), (2, 1e-6), (4, 1e-11)])
def test_punch_through(setup, rng, modules, published):
    """arXiv:2110.15111: pi, K and n through modules of 7.5 interaction lengths.

    Neutral ones leave less than 0.1 GeV, charged ones minimum-ionising particles; by importance
    sampling of the collisions. Against the probability to pass without a collision that is seen,
    in closed form, and, on average over the kinds, the published order of magnitude.
    """
    rows, energy = 30_000, 100.0
    where = with_depth(setup, 7.5 if modules < 4 else 15.0)
    seen = min(modules, 2)
    pion = (25 * 7.874 / 132.1 + 4 * 1.06 / 81.7) / (25 * 7.874 / 160.8 + 4 * 1.06 / 113.7)
    found = {}
    for kind, charge, longer in ((PROTON, 0, 1.0), (PION, -1, pion), (KAON, -1, 1.08 * pion)):
        shots = shoot(where, rng, rows, energy, kind, charge=charge, stretch=4.0 * modules)
        assert shots.weight.mean() == pytest.approx(1, abs=0.1)
        threshold = 0.1 if charge == 0 else 1.6 * 2.4 * seen
        found[kind], error = modules_without_signal(shots, seen, rows, threshold=threshold)
        depth = 7.5 * modules / longer
        low = np.exp(-depth)
        # Of the energy of a charged one's collisions the rest of the threshold is allowed to all.
        high = np.exp(-depth * (1 - quiet_collisions(energy, 1.5 * (threshold - 2.4 * seen))))
        assert error < 0.1 * found[kind]
        # Some collide, but in the last few percent of an interaction length.
        assert low - 4 * error < found[kind] < 1.25 * max(low, high) + 4 * error
    average = np.exp(np.mean(np.log(list(found.values()))))
    assert published / 10 < average < published * 10


def test_stretched_collisions_keep_the_means(setup):
    """Importance sampling changes neither the mean signal nor how often it is small."""
    where = with_depth(setup, 3.0)
    results = []
    for stretch in (1.0, 2.0):
        shots = shoot(where, np.random.default_rng(7), 40_000, 60.0, PROTON, stretch=stretch)
        seen = shots.hcal[:, :1].sum(axis=(1, 2, 3))
        values = [shots.weight * seen, shots.weight * (seen < 20), shots.weight * (seen < 4)]
        results.append([(v.mean(), v.std() / np.sqrt(len(v))) for v in values])
    for (plain, error), (weighted, other) in zip(*results, strict=True):
        assert abs(plain - weighted) < 4 * np.hypot(error, other)
        assert other < 0.05 * weighted


def test_depth_that_holds_95_percent(setup, rng):
    """0.2 ln E + 0.7 + 2.5 E^0.13 interaction lengths (C. W. Fabjan, T. Ludlam, 1982)."""
    depths = np.array([5.5, 6.5, 7.5])
    for energy in (50.0, 100.0):
        held = [
            shoot(with_depth(setup, depth), rng, 5000, energy, PION).deposited[:, 2].mean() / energy
            for depth in depths
        ]
        expected = 0.2 * np.log(energy) + 0.7 + 2.5 * energy**0.13
        assert np.interp(0.95, held, depths) == pytest.approx(expected, rel=0.15)


def test_interactions_cannot_be_drawn_earlier(setup, rng):
    with pytest.raises(ValueError, match=r"stretch >= 1\), found stretch=0.5"):
        shoot(setup, rng, 2, 10.0, PION, stretch=0.5)
