"""Counters: synchrotron-radiation detector, VETO and beam counters."""

from __future__ import annotations

from na64reco.counters.scintillators import reconstruct_counters
from na64reco.counters.srd import reconstruct_srd
from na64reco.counters.veto import bar_energy, reconstruct_veto

__all__ = ["bar_energy", "reconstruct_counters", "reconstruct_srd", "reconstruct_veto"]
