"""Conditions with run validity: read from SDC text files, written to them."""

from __future__ import annotations

from na64reco.calibration.conditions import (
    Alignment,
    CellConditions,
    Conditions,
    NearestConditionsWarning,
    StrawConditions,
    StripConditions,
    WaveformConditions,
)
from na64reco.calibration.drift import DRIFT_FILE, Drift, drift_conditions, drift_format
from na64reco.calibration.load import load_conditions
from na64reco.calibration.read import read_sdc
from na64reco.calibration.sdc import ALL_RUNS, LAST_RUN, Block, Column, SdcFile, SdcFormat
from na64reco.calibration.tables import PROJECTIONS, file_formats
from na64reco.calibration.waveform import (
    WAVEFORM_FILE,
    waveform_block,
    waveform_channels,
    waveform_conditions,
    waveform_format,
)
from na64reco.calibration.write import format_sdc, write_sdc

__all__ = [
    "ALL_RUNS",
    "DRIFT_FILE",
    "LAST_RUN",
    "PROJECTIONS",
    "WAVEFORM_FILE",
    "Alignment",
    "Block",
    "CellConditions",
    "Column",
    "Conditions",
    "Drift",
    "NearestConditionsWarning",
    "SdcFile",
    "SdcFormat",
    "StrawConditions",
    "StripConditions",
    "WaveformConditions",
    "drift_conditions",
    "drift_format",
    "file_formats",
    "format_sdc",
    "load_conditions",
    "read_sdc",
    "waveform_block",
    "waveform_channels",
    "waveform_conditions",
    "waveform_format",
    "write_sdc",
]
