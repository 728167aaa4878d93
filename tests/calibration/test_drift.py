from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.calibration import load_conditions
from na64reco.errors import ConditionsError
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from pathlib import Path

SETUP = load_setup("2022-electron")
HEAD = "columns=detector,run,spills,time,factor\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(shipped_folder("calib") / SETUP.name, tmp_path / "calib")
    return tmp_path / "calib"


def write(folder: Path, rows: str) -> Path:
    (folder / "drift.txt").write_text(HEAD + rows)
    return folder


def test_no_file_no_drift():
    assert load_conditions(SETUP, 6100).drift == {}


def test_all_rows_that_fit_multiply(folder):
    write(
        folder,
        "ECAL 6100 *   0-0.5 1.1\nECAL 6100 *   0.5-1 0.9\nECAL 6100 2-3 *     2\n"
        "ECAL 6101 *   *     0.5\nHCAL 6100 1   *     3\n",
    )
    drift = load_conditions(SETUP, 6100, folder=folder).drift
    run = np.array([6100, 6100, 6100, 6101, 6102])
    spill = np.array([1, 2, 4, 7, 7], np.uint32)
    time = np.array([0.1, 0.5, 7.0, np.nan, 0.1])
    found = drift["ECAL"].factors(run, spill, time)
    assert found == pytest.approx([1.1, 0.9 * 2, 0.9, 0.5, 1.0])
    assert drift["HCAL"].factors(run, spill, None) == pytest.approx([3, 1, 1, 1, 1])


def test_times_are_needed_only_where_factors_depend_on_them(folder):
    write(folder, "ECAL 6100 * 0-0.5 1.1\nECAL 6101 * * 0.5\n")
    drift = load_conditions(SETUP, 6100, folder=folder).drift["ECAL"]
    ones = np.ones(2, np.int64)
    assert drift.factors(6101 * ones, ones, None).tolist() == [0.5, 0.5]
    with pytest.raises(ConditionsError, match=r"run 6100, but .* no branch `spill_time`"):
        drift.factors(6100 * ones, ones, None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ECLA 6100 * * 1", r"line 2: column 'detector' is 'ECLA'.*'ECAL'"),
        ("ECAL 6100 3-2 * 1", r"line 2: column 'spills' is '3-2', expected 7, 7-9 or \*"),
        ("ECAL 6100 * 1 1", "column 'time' is '1', expected FROM-TO in s"),
        ("ECAL 6100 * 1-1 1", "column 'time' is '1-1'"),
        ("ECAL 6100 * * 0", "column 'factor' is 0, expected positive"),
        ("runs=6100\ncolumns=detector,run,spills,time,factor\nECAL 6100 * * 1", "`runs=` has no"),
    ],
)
def test_errors_name_line_and_mend(folder, row, message):
    write(folder, row + "\n")
    with pytest.raises(ConditionsError, match=message):
        load_conditions(SETUP, 6100, folder=folder)
