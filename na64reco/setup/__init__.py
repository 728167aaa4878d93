"""Where every detector stands, per run period."""

from __future__ import annotations

from na64reco.setup.load import list_setups, load_setup
from na64reco.setup.model import (
    Beam,
    Calorimeter,
    Counter,
    Digitizer,
    Magnet,
    Passive,
    Sampling,
    Section,
    Setup,
    Spectrometer,
    Srd,
    Station,
    Trigger,
    Veto,
)

__all__ = [
    "Beam",
    "Calorimeter",
    "Counter",
    "Digitizer",
    "Magnet",
    "Passive",
    "Sampling",
    "Section",
    "Setup",
    "Spectrometer",
    "Srd",
    "Station",
    "Trigger",
    "Veto",
    "list_setups",
    "load_setup",
]
