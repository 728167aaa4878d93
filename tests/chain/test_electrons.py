"""The reconstruction of simulated electrons against published figures.

The truth (`mc.*`) is the simulation's; resolutions and efficiencies are the papers'.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from na64reco.selection import apply, load_selection

LOW = 1e4  # particles per spill: no pile-up to speak of


def core(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the core: values within 2.5 sigma, corrected for that cut."""
    values = values[np.isfinite(values)]
    mean, width = np.median(values), 1.4826 * np.median(np.abs(values - np.median(values)))
    for _ in range(20):
        inside = values[np.abs(values - mean) < 2.5 * width]
        # A normal distribution cut at 2.5 sigma has 0.9489 of its variance's root.
        mean, width = float(np.mean(inside)), float(np.std(inside)) / 0.9489
    return mean, width


def pure(columns: dict[str, np.ndarray]) -> np.ndarray:
    return columns["trigger.beam"] & columns["track.found"] & columns["ecal.in_beam_cell"]


def test_energy_resolution_at_100_GeV(sample):
    """10 %/sqrt(E) (+) 4 %: arXiv:2206.03101, section III."""
    columns = sample("electron", 4000, intensity=LOW)
    mean, width = core(columns["ecal.energy"][pure(columns)])
    expected = np.hypot(0.10 / np.sqrt(100.0), 0.04)
    assert width / mean == pytest.approx(expected, rel=0.2)
    assert mean == pytest.approx(100.0, rel=0.01)


@pytest.mark.parametrize("momentum", [10.0, 20.0, 50.0])
def test_energies_are_linear(sample, momentum):
    full = sample("electron", 4000, intensity=LOW)
    columns = sample("electron", 4000, trigger="none", intensity=LOW, momentum=momentum)
    reference, _ = core(full["ecal.energy"][pure(full)])
    chosen = columns["ecal.in_beam_cell"]
    mean, width = core(columns["ecal.energy"][chosen])
    assert mean / momentum == pytest.approx(reference / 100.0, rel=0.01)
    expected = np.hypot(0.10 / np.sqrt(momentum), 0.04)
    assert width / mean == pytest.approx(expected, rel=0.2)


def test_momentum_resolution_and_pulls(sample):
    """About 1 %: arXiv:2404.06982, section 3."""
    columns = sample("electron", 4000, intensity=LOW)
    found = columns["track.found"]
    residual = columns["track.momentum"][found] / columns["mc.momentum"][found] - 1
    mean, width = core(residual)
    assert 0.009 < width < 0.013
    assert abs(mean) < 0.001
    pull = (columns["track.momentum"] - columns["mc.momentum"])[found]
    _, width = core(pull / columns["track.momentum_error"][found])
    assert 0.9 < width < 1.1


def test_tracks_lead_to_the_shower(sample):
    columns = sample("electron", 4000, intensity=LOW)
    chosen = pure(columns)
    for axis, error in (("x", "track.x_ecal_error"), ("y", "track.y_ecal_error")):
        difference = columns[f"track.{axis}_ecal"][chosen] - columns[f"ecal.{axis}"][chosen]
        mean, width = core(difference)
        assert abs(mean) < 1.5
        assert width < 5.0  # mm
        assert np.nanmedian(columns[error][chosen]) < 1.0


def kappa(columns: dict[str, np.ndarray], season: int = 2022) -> tuple[int, int]:
    """Electrons that pass all cuts but the ECAL threshold, of those that the beam trigger took."""
    outcome = apply(load_selection(f"electron-calibration-{season}"), columns, simulated=True)
    return outcome.cutflow.passed[-1], outcome.cutflow.entered


def test_efficiency_at_nominal_intensity_and_its_fall(sample):
    """About 50 % with 10 % variation by pile-up: arXiv:2404.06982, section 5."""
    passed, total = kappa(sample("electron", 4000))
    assert 0.40 < passed / total < 0.65
    efficiency = [
        np.divide(*kappa(sample("electron", 4000, intensity=intensity)))
        for intensity in (LOW, 3e6, 6e6, 9e6)
    ]
    # Each step is many standard deviations (0.8 % at 4000 events) of pile-up.
    assert all(a - b > 0.03 for a, b in pairwise(efficiency))
    assert efficiency[0] > 0.8


@pytest.mark.parametrize("season", [2016, 2017, 2018, 2021])
def test_every_season_has_an_efficiency_as_published(sample, season):
    """About 50 % with 10 % variation between runs: arXiv:2404.06982, section 5."""
    passed, total = kappa(sample("electron", 2000, name=f"{season}-electron"), season)
    assert 0.40 < passed / total < 0.65


def test_full_energy_electrons_stay_out_of_the_box(sample):
    columns = sample("electron", 4000)
    outcome = apply(load_selection("electron-calibration-2022"), columns, simulated=True)
    chosen = outcome.cumulative[-1]
    # 9 standard deviations of the resolution below 100 GeV, and above the box.
    assert np.min(columns["ecal.energy"][chosen]) > 60.0
