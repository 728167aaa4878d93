from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from na64reco.calorimeters import PROFILE_NAMES, ShowerProfile, expected_shares
from na64reco.calorimeters.shares import share_modes
from na64reco.errors import ConditionsError


def test_shares_are_the_integrals_of_the_gaussians(setup, parameters, profile):
    """Integrated numerically: a fine sum over each cell of the mixture's density."""
    ecal = setup.ecal
    x, y, energy = 7.3, 30.1, 40.0
    shares = expected_shares(profile, ecal, np.array([x]), np.array([y]), np.array([energy]))[0]
    fine = (np.arange(6 * 400) + 0.5) * ecal.cell_x / 400 - 3 * ecal.cell_x
    for section, name in enumerate(("prs", "main")):
        density = np.zeros((len(fine), len(fine)))
        for k in range(1, 5):
            sigma = parameters[f"{name}_sigma{k}"] * (energy / 100) ** parameters[f"{name}_growth"]
            weight = parameters[f"{name}_weight{k}"]
            density += (
                weight
                / (2 * math.pi * sigma**2)
                * np.exp(-((fine[:, None] - x) ** 2 + (fine[None] - y) ** 2) / (2 * sigma**2))
            )
        cells = density.reshape(6, 400, 6, 400).sum(axis=(1, 3))
        np.testing.assert_allclose(shares[section], cells / cells.sum(), rtol=2e-3, atol=1e-6)


def test_modes_are_the_differences_of_the_shares(setup, profile):
    ecal, step = setup.ecal, 0.05
    x, y = np.array([16.5]), np.array([21.0])
    energy, depth = np.array([100.0]), 0.4

    def shares(at=profile, x=x, y=y):
        return expected_shares(at, ecal, x, y, energy, depth=depth)[0]

    _, slope_x, slope_y, wide = np.moveaxis(
        share_modes(profile, ecal, x, y, energy, depth=depth)[0], 1, 0
    )
    wider = replace(profile, sigma=profile.sigma * math.exp(0.01))
    narrower = replace(profile, sigma=profile.sigma * math.exp(-0.01))
    # The normalisation's part, for which shares grow together, is left out of the modes.
    for mode, difference in (
        (slope_x, (shares(x=x + step) - shares(x=x - step)) / (2 * step)),
        (slope_y, (shares(y=y + step) - shares(y=y - step)) / (2 * step)),
        (wide, (shares(wider) - shares(narrower)) / 0.02),
    ):
        whole = mode.sum(axis=(1, 2), keepdims=True) * shares()
        np.testing.assert_allclose(mode - whole, difference, atol=3e-4 * np.abs(mode).max() + 2e-4)
    assert slope_x[1, 2, 3] < -0.001  # moving away from the cell to the left
    assert wide[1, 3, 3] < -0.01  # a wider shower leaves its cell


def test_early_showers_have_another_core(setup, profile):
    x = y = np.array([19.1])
    early, late = (
        expected_shares(profile, setup.ecal, x, y, np.array([100.0]), depth=q)[0, 1, 3, 3]
        for q in (1.0, -1.0)
    )
    assert early < late  # its main section begins further from the start


def test_mirror_images_have_mirrored_shares(setup, profile):
    x, y = np.array([12.0, -12.0]), np.array([-3.0, 3.0])
    one, other = expected_shares(profile, setup.ecal, x, y, np.full(2, 100.0))
    np.testing.assert_allclose(one, other[:, ::-1, ::-1], rtol=1e-4, atol=1e-9)


def test_mean_shares_agree_with_the_reference(setup, profile, parameters, showers):
    """EGSnrc, impact uniform over cell (3, 3): 70 % in the cell, 97.0 % in 3 x 3."""
    u = (np.arange(24) + 0.5) / 24 * 38.2
    x, y = (a.ravel() for a in np.meshgrid(u, u))
    shares = expected_shares(profile, setup.ecal, x, y, np.full(x.size, 100.0)).mean(axis=0)
    both = 0.056 * shares[0] + 0.944 * shares[1]
    assert both[3, 3] == pytest.approx(0.70, abs=0.01)
    assert both[2:5, 2:5].sum() == pytest.approx(0.970, abs=0.004)
    # and, cell by cell, with the showers that were not used to fit
    chosen = showers.uniform
    cells = showers.cells[chosen]
    measured = cells / cells.sum(axis=(2, 3), keepdims=True)
    share = cells[:, 0].sum(axis=(1, 2)) / cells.sum(axis=(1, 2, 3))
    expected = expected_shares(
        profile,
        setup.ecal,
        showers.x[chosen],
        showers.y[chosen],
        showers.energy[chosen],
        depth=share / math.exp(parameters["share_log"]) - 1,
    )
    difference = measured - expected
    error = difference.std(axis=0) / math.sqrt(chosen.sum())
    np.testing.assert_array_less(np.abs(difference.mean(axis=0)), 4 * error + 1e-3)


def test_far_outside_nothing_is_expected(setup, profile):
    far = np.array([1e5])
    assert expected_shares(profile, setup.ecal, far, far, np.array([100.0])).sum() == 0


def test_missing_parameter_is_named(parameters):
    incomplete = {k: v for k, v in parameters.items() if k != "main_sigma2"}
    with pytest.raises(ConditionsError, match=r"lacks 1 of .* profile\.main_sigma2=.* Copy"):
        ShowerProfile.from_conditions(incomplete)


def test_misspelt_parameter_is_named(parameters):
    with pytest.raises(ConditionsError, match=r"profile\.main_sigam2=.*'main_sigma2'"):
        ShowerProfile.from_conditions({**parameters, "main_sigam2": 1.0})


@pytest.mark.parametrize("name", ["prs_sigma1", "share_width", "power", "noise", "lone"])
def test_impossible_parameter_is_named(parameters, name):
    with pytest.raises(ConditionsError, match=rf"profile\.{name}=0.0.* must be above 0"):
        ShowerProfile.from_conditions({**parameters, name: 0.0})


def test_weights_without_sum(parameters):
    zero = {f"prs_weight{k}": 0.0 for k in range(1, 5)}
    with pytest.raises(ConditionsError, match="weights"):
        ShowerProfile.from_conditions({**parameters, **zero})


def test_parameters_go_there_and_back(parameters, profile):
    back = profile.parameters()
    assert list(back) == list(PROFILE_NAMES)
    assert back == pytest.approx(parameters, rel=1e-4, abs=1e-9)
