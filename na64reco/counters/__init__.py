"""Counters: synchrotron-radiation detector, VETO and beam counters."""

from __future__ import annotations

from na64reco.counters.channels import TIME_WINDOW, ChannelEnergies, channel_energies
from na64reco.counters.scintillators import reconstruct_counters
from na64reco.counters.srd import reconstruct_srd
from na64reco.counters.veto import bar_energy, reconstruct_veto

__all__ = [
    "TIME_WINDOW",
    "ChannelEnergies",
    "bar_energy",
    "channel_energies",
    "reconstruct_counters",
    "reconstruct_srd",
    "reconstruct_veto",
]
