"""Conditions with run validity: read from SDC text files, written to them."""

from __future__ import annotations

from na64reco.calibration.conditions import (
    Alignment,
    CellConditions,
    Conditions,
    NearestConditionsWarning,
    StrawConditions,
    StripConditions,
)

__all__ = [
    "Alignment",
    "CellConditions",
    "Conditions",
    "NearestConditionsWarning",
    "StrawConditions",
    "StripConditions",
]
