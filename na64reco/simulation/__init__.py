"""Fast simulation: beam particles through the setup, hits as the electronics would write them."""

from __future__ import annotations

from na64reco.simulation.detector import Detector, load_detector

__all__ = ["Detector", "load_detector"]
