"""What the selection leaves of hadrons, dimuons and signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from na64reco.selection import apply, load_selection

LOW = 1e4


def in_srd_window(columns: dict[str, np.ndarray]) -> np.ndarray:
    """1-100 MeV in time: arXiv:2404.06982, section 4."""
    energy = columns["srd.energy"]
    return (energy >= 0.001) & (energy <= 0.100)


def test_srd_tells_electrons_from_pions(sample):
    electrons = in_srd_window(sample("electron", 4000, intensity=LOW))
    pions = in_srd_window(sample("pion", 20_000, intensity=LOW))
    assert electrons.mean() > 0.95
    assert pions.mean() < 1e-3
    # Also at 90 % confidence (Clopper-Pearson).
    assert beta.ppf(0.9, pions.sum() + 1, len(pions) - pions.sum()) < 1e-3


@pytest.mark.parametrize(
    ("process", "n"), [("pion", 20_000), ("kaon", 4000), ("dimuon", 4000), ("electron", 4000)]
)
def test_no_background_is_left_in_the_box(sample, process, n):
    """Each simulated particle as if the physics trigger had taken it."""
    columns = dict(sample(process, n, intensity=LOW if process == "pion" else None))
    columns["trigger.physics"] = columns["trigger.beam"]
    outcome = apply(load_selection("electron-invisible-2022"), columns, simulated=True)
    assert np.count_nonzero(outcome.region("signal")) == 0


@pytest.mark.parametrize("mass", [1.0, 10.0, 100.0])
def test_signal_passes_with_the_efficiency_of_the_calibration_run(sample, mass):
    """kappa from electrons holds for signal with E_miss > 55 GeV to 5 % absolute.

    Of events that the physics trigger took: what its preshower threshold loses is the trigger's
    efficiency, which a calibration run cannot know.
    """
    electrons = sample("electron", 8000)
    calibration = apply(load_selection("electron-calibration-2022"), electrons, simulated=True)
    kappa = calibration.cutflow.passed[-1] / calibration.cutflow.entered
    columns = sample("signal", 8000, trigger="physics", mass=mass)
    outcome = apply(load_selection("electron-invisible-2022"), columns, simulated=True)
    chosen = columns["mc.missing_energy"] > 55.0
    passed, of = (outcome.region("signal") & chosen).sum(), chosen.sum()
    assert passed / of == pytest.approx(kappa, abs=0.05)
    # And the tolerance is not statistics: one standard deviation is below 1.5 %.
    assert np.sqrt(kappa * (1 - kappa) * (1 / of + 1 / len(electrons["run"]))) < 0.015


def test_dimuons_look_like_two_muons_in_the_hcal(sample):
    """4-8 GeV in each of HCAL 0-2, public analysis code; MIP 2.3-2.5 GeV, arXiv:2110.15111."""
    columns = sample("dimuon", 4000)
    in_order = np.ones(len(columns["run"]), dtype=bool)
    for module in range(3):
        energy = columns[f"hcal.module{module}"]
        in_order &= (energy > 3.0) & (energy < 9.0)
        assert np.median(energy) == pytest.approx(2 * 2.4, rel=0.2)
    assert in_order.mean() > 0.6
