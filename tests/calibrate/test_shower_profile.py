"""The shower profile from electrons: of a toy with known shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from na64reco.calibrate.profile_fit import ShowerSample, cut_values, fit_profile
from na64reco.calibration import load_conditions
from na64reco.calorimeters import ShowerProfile, expected_shares, shape_statistic
from na64reco.errors import DataError
from na64reco.setup import load_setup

SETUP = load_setup("2022-electron")
ECAL = SETUP.ecal


@pytest.fixture(scope="module")
def start() -> ShowerProfile:
    return ShowerProfile.from_conditions(load_conditions(SETUP, 6100).shower_profile)


def toy(profile: ShowerProfile, events: int, seed: int) -> ShowerSample:
    """100 GeV showers with Gaussian fluctuations of the given profile, over one cell."""
    random = np.random.default_rng(seed)
    centre = ECAL.x_centres[2], ECAL.y_centres[3]
    x, y = (c + ECAL.cell_x * random.uniform(-0.5, 0.5, events) for c in centre)
    share = np.exp(profile.share_log + profile.share_width * random.normal(size=events))
    energy = 100 * np.stack([share, 1 - share], axis=1)
    shift = profile.wander / np.sqrt(energy)
    cells = np.empty((events, *ECAL.shape))
    for section in range(2):
        at = (a + shift[:, section] * random.normal(size=events) for a in (x, y))
        f = expected_shares(
            profile, ECAL, *at, np.full(events, 100.0), depth=share / np.exp(profile.share_log) - 1
        )[:, section]
        mean = f * energy[:, section, None, None]
        sigma = np.sqrt(profile.quantum[section] * mean + profile.noise**2)
        cells[:, section] = mean + sigma * random.normal(size=mean.shape)
    return ShowerSample(cells, x, y, np.full(events, 100.0), np.zeros(ECAL.shape))


def test_known_shape_is_found(start):
    """Fluctuations of energy 0.02 GeV and wander 4 mm GeV^1/2, and the core 10 % wider."""
    truth = replace(
        start,
        sigma=start.sigma * 1.1,
        quantum=np.array([0.02, 0.02]),
        single=np.zeros(2),
        wander=np.array([4.0, 4.0]),
        width=np.full(2, 1e-3),
        share_log=start.share_log + 0.2,
        calibration_error=1e-6,
        track_error=1e-3,
    )
    begin = replace(start, calibration_error=1e-6, track_error=1e-3)
    fit = fit_profile(toy(truth, 600, 1), ECAL, begin)
    assert fit.used > 590
    found = fit.profile
    assert found.quantum[1] == pytest.approx(0.02, rel=0.1)
    assert found.wander[1] == pytest.approx(4.0, rel=0.1)
    assert found.share_log == pytest.approx(truth.share_log, abs=0.05)
    x, y, at = (np.array([v]) for v in (ECAL.x_centres[2] + 5, ECAL.y_centres[3] - 9, 100.0))
    shares = [expected_shares(p, ECAL, x, y, at)[0, 1] for p in (found, truth, start)]
    assert np.abs(shares[0] - shares[1]).max() < 0.2 * np.abs(shares[2] - shares[1]).max()
    # Gaussian fluctuations: T has as many degrees of freedom as cells, less one energy a section,
    # and one for the preshower's share.
    other = toy(truth, 400, 2)
    statistic = shape_statistic(other.energies, other.x, other.y, found, ECAL, other.threshold)
    freedom = ECAL.nx * ECAL.ny - 1
    assert np.median(statistic) == pytest.approx(2 * freedom, rel=0.06)
    # What does not change with one beam energy is kept.
    assert found.growth.tolist() == start.growth.tolist()
    assert found.share_slope == start.share_slope
    assert found.level_slope == start.level_slope


def test_too_few_electrons(start):
    sample = toy(start, 60, 3)
    sample.x[:10] = np.nan
    with pytest.raises(DataError, match=r"^50 of 60 events .* needs 200"):
        fit_profile(sample, ECAL, start)


def test_cut_values_are_quantiles():
    random = np.random.default_rng(4)
    energy = np.repeat([20.0, 80.0], 5000)
    chi2 = random.chisquare(10, 10_000) * energy / 20
    cuts, errors = cut_values(chi2, energy, np.array([0.0, 50, 100, 150]))
    expected = np.array([18.307, 4 * 18.307])  # 95 % of chi2 with 10 degrees of freedom
    assert (np.abs(cuts[:2] - expected) < 4 * errors[:2]).all()
    assert (errors[:2] < 0.03 * expected).all()
    assert np.isnan(cuts[2])
