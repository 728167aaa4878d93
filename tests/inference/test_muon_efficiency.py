"""What efficiencies of the muon mode refuse, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import InferenceError
from na64reco.inference.muon_efficiency import Share, mip_systematic, trigger_efficiency
from na64reco.selection import load_selection, required_columns
from na64reco.setup import load_setup


def test_binomial_errors():
    assert Share(25, 100).value == 0.25
    assert Share(25, 100).error == pytest.approx(np.sqrt(0.25 * 0.75 / 100), rel=0.02)
    assert Share(0, 100).error > 0


def test_the_electron_mode_has_no_calibration_trigger():
    with pytest.raises(InferenceError, match="'2022-electron' has no calibration trigger"):
        trigger_efficiency(load_setup("2022-electron"), 100.0, 10)


def test_peaks_that_move_out_of_a_window():
    """Four events 1, 3, 5 and 7 % below the upper edge of the window in one module of the HCAL."""
    selection = load_selection("muon-invisible-2022")
    columns = {n: np.ones(4, np.float32) for n in required_columns(selection)}
    columns |= {"run": np.full(4, 5700, np.uint32), "trigger.physics": np.ones(4, np.bool_)}
    columns |= {"quality.good": np.ones(4, np.bool_), "mc.process": np.full(4, 8, np.uint8)}
    near = 5 / np.array([1.01, 1.03, 1.05, 1.07], np.float32)
    values = {
        "master_time": 100, "track.momentum": 160, "track_out.momentum": 30, "ecal.energy": 0.5,
        "veto.energy": 0.01, "vhcal.energy": 0, "hcal.expected0": 2.4, "hcal.expected1": 2.4,
        "hcal.module0": near, "hcal.module1": 2.4, "hcal.energy": 2.4 + near,
    }  # fmt: skip
    columns |= {n: np.full(4, v, np.float32) for n, v in values.items()}
    for difference, lost in ((0.0, 0), (0.02, 1), (0.04, 2), (0.06, 3)):
        assert mip_systematic(selection, columns, "signal", difference) == lost / 4
    columns["track_out.momentum"] = np.full(4, 160, np.float32)
    with pytest.raises(InferenceError, match="None of these events passes 'muon-invisible-2022'"):
        mip_systematic(selection, columns, "signal", 0.02)
