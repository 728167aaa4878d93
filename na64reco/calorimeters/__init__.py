"""Calorimeters: hits to energies, positions and shapes of showers."""

from __future__ import annotations

from na64reco.calorimeters.cells import TIME_WINDOW, CellEnergies, cell_energies
from na64reco.calorimeters.ecal import reconstruct_ecal
from na64reco.calorimeters.hcal import beam_modules, reconstruct_hcal
from na64reco.calorimeters.position import shower_position
from na64reco.calorimeters.profile import PROFILE_NAMES, ShowerProfile
from na64reco.calorimeters.pulse_errors import energy_errors, pulse_energies
from na64reco.calorimeters.shape import shape_statistic, shower_chi2
from na64reco.calorimeters.shares import expected_shares
from na64reco.calorimeters.vhcal import reconstruct_vhcal
from na64reco.calorimeters.waveforms import OUTSIDE, fit_waveforms, pulses_from_waveforms

__all__ = [
    "OUTSIDE",
    "PROFILE_NAMES",
    "TIME_WINDOW",
    "CellEnergies",
    "ShowerProfile",
    "beam_modules",
    "cell_energies",
    "energy_errors",
    "expected_shares",
    "fit_waveforms",
    "pulse_energies",
    "pulses_from_waveforms",
    "reconstruct_ecal",
    "reconstruct_hcal",
    "reconstruct_vhcal",
    "shape_statistic",
    "shower_chi2",
    "shower_position",
]
