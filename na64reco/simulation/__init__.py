"""Fast simulation: beam particles through the setup, hits as the electronics would write them.

It shares with the reconstruction the setup and the file format, nothing else: gains, noise and
misalignments (`load_detector`), shower profiles and random draws are its own.
"""

from __future__ import annotations

from na64reco.simulation.detector import Detector, load_detector
from na64reco.simulation.generate import at_momentum, simulate
from na64reco.simulation.processes import PROCESSES
from na64reco.simulation.signal import MODELS
from na64reco.simulation.write import write_simulation

__all__ = [
    "MODELS",
    "PROCESSES",
    "Detector",
    "at_momentum",
    "load_detector",
    "simulate",
    "write_simulation",
]
