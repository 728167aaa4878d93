"""waveform.txt: there or not, read back as written, and every way to be wrong."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.calibration import (
    WAVEFORM_FILE,
    WaveformConditions,
    load_conditions,
    waveform_block,
    waveform_channels,
    waveform_format,
    write_sdc,
)
from na64reco.errors import ConditionsError
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup

if TYPE_CHECKING:
    from pathlib import Path

SETUP = load_setup("2022-electron")
HEAD = "columns=detector,section,ix,iy,pedestal_even,pedestal_odd,noise\n"
PULSE = "pulse.SRD=0,0.5,1,0.5,0.25,0\nstart.SRD=-5\nstep.SRD=2.5\nsaturation.SRD=4095\nshape_error.SRD=0.001\n"
ROWS = "SRD 0 0 0 50 52 1.5\nSRD 0 1 0 51 53 1.25\nSRD 0 2 0 52 54 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mine = shutil.copytree(shipped_folder("calib") / SETUP.name, tmp_path / "mine")
    (mine / WAVEFORM_FILE).unlink(missing_ok=True)
    return mine


def test_a_folder_without_the_file_is_whole(folder: Path) -> None:
    assert load_conditions(SETUP, 6100, folder=folder).waveform == {}


def test_values_by_hand_and_a_later_block(folder: Path) -> None:
    before = load_conditions(SETUP, 6200, folder=folder).digest
    (folder / WAVEFORM_FILE).write_text(
        f"{PULSE}{HEAD}{ROWS}runs=6200-\nshape_error.SRD=0.004\n{HEAD}SRD 0 1 0 60 61 2\n"
    )
    early = load_conditions(SETUP, 6100, folder=folder)
    late = load_conditions(SETUP, 6200, folder=folder)
    assert list(early.waveform) == ["SRD"]
    srd = early.waveform["SRD"]
    assert srd.pedestal.tolist() == [[50, 51, 52], [52, 53, 54]]
    assert srd.noise.tolist() == [1.5, 1.25, 1]
    assert (srd.start, srd.step, srd.saturation, srd.shape_error) == (-5, 2.5, 4095, 0.001)
    assert srd.pulse.tolist() == [0, 0.5, 1, 0.5, 0.25, 0]
    assert early.runs[1] < 6200 <= late.runs[0]
    assert late.waveform["SRD"].pedestal[:, 1].tolist() == [60, 61]
    assert late.waveform["SRD"].shape_error == 0.004
    assert late.waveform["SRD"].pulse.tolist() == srd.pulse.tolist()
    assert late.digest != before


def test_all_detectors_read_back_as_written(folder: Path) -> None:
    rng = np.random.default_rng(3)
    channels = waveform_channels(SETUP)
    assert list(channels) == ["ECAL", "HCAL", "SRD", "VETO", "Counter"]
    made = {}
    for name, (shape, existing) in channels.items():
        pedestal, noise = np.zeros((2, *shape)), np.ones(shape)
        for index in existing.values():
            pedestal[:, *index] = rng.uniform(40, 60, 2).round(3)
            noise[index] = round(rng.uniform(1, 2), 3)
        made[name] = WaveformConditions(
            pedestal, noise, 4095.0, -7.5, 1.25, rng.uniform(0, 1, 40).round(4), 0.002
        )
    block = waveform_block(SETUP, made, runs=SETUP.runs, comment="by hand")
    write_sdc(folder / WAVEFORM_FILE, [block], waveform_format(SETUP))
    found = load_conditions(SETUP, 6100, folder=folder).waveform
    assert list(found) == list(made)
    for name, values in made.items():
        for field in ("pedestal", "noise", "pulse", "start", "step", "saturation", "shape_error"):
            np.testing.assert_array_equal(getattr(found[name], field), getattr(values, field))


def test_pulses_of_channels_by_hand(folder: Path) -> None:
    (folder / WAVEFORM_FILE).write_text(
        f"{PULSE}mode1.SRD=0,0.1,0,0.2,0.1,0\nmode2.SRD=0,0,0,0,0.1,0\n"
        f"{HEAD.strip()},delay,coefficients,shape_error\n"
        "SRD 0 0 0 50 52 1.5 0.25 0.5,-0.1 0.002\n"
        "SRD 0 1 0 51 53 1.25 -0.5 0.3 -1\n"
        "SRD 0 2 0 52 54 1 0 - -1\n"
    )
    srd = load_conditions(SETUP, 6100, folder=folder).waveform["SRD"]
    assert srd.modes is not None
    assert srd.coefficients is not None
    assert srd.delay is not None
    assert srd.modes.tolist() == [[0, 0.1, 0, 0.2, 0.1, 0], [0, 0, 0, 0, 0.1, 0]]
    assert srd.coefficients.tolist() == [[0.5, 0.3, 0], [-0.1, 0, 0]]
    assert srd.delay.tolist() == [0.25, -0.5, 0]
    assert np.asarray(srd.shape_error).tolist() == [0.002, 0.001, 0.001]


def test_pulses_of_channels_read_back_as_written(folder: Path) -> None:
    rng = np.random.default_rng(4)
    made = WaveformConditions(
        rng.uniform(40, 60, (2, 3)).round(3),
        rng.uniform(1, 2, 3).round(3),
        4095.0,
        -7.5,
        1.25,
        rng.uniform(0, 1, 40).round(4),
        shape_error=np.array([0.001, 0.002, 0.003]),
        modes=rng.normal(0, 0.1, (2, 40)).round(4),
        coefficients=rng.normal(0, 0.1, (2, 3)).round(4),
        delay=rng.normal(0, 0.2, 3).round(3),
    )
    errors = {"SRD": (np.full((2, 3), 0.01), np.array([500, 40, 0]))}
    block = waveform_block(SETUP, {"SRD": made}, runs=SETUP.runs, errors=errors)
    write_sdc(folder / WAVEFORM_FILE, [block], waveform_format(SETUP))
    found = load_conditions(SETUP, 6100, folder=folder).waveform["SRD"]
    for field in ("pedestal", "noise", "pulse", "shape_error", "modes", "coefficients", "delay"):
        np.testing.assert_array_equal(getattr(found, field), getattr(made, field))
    row = (folder / WAVEFORM_FILE).read_text().splitlines()[-3].split()
    assert row[-2:] == ["0.01,0.01", "500"]


def test_detectors_that_the_setup_lacks_are_passed_over(folder: Path) -> None:
    (folder / WAVEFORM_FILE).write_text(f"{PULSE}{HEAD}{ROWS}")
    bare = SETUP.model_copy(update={"srd": None})
    assert load_conditions(bare, 6100, folder=folder).waveform == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{PULSE}{HEAD}{ROWS}SRD 0 3 0 1 1 1\n", r"line 10: the setup has no channel SRD 0 3 0"),
        (f"{PULSE}{HEAD}{ROWS}SDR 0 0 0 1 1 1\n", r"no channel SDR 0 0 0\. Did you mean 'SRD'"),
        (f"{PULSE}{HEAD}{ROWS[:20]}", r"lacks 2 of its 3 channels: section ix iy = 0 1 0; 0 2 0"),
        (f"{HEAD}{ROWS}", r"but no pulse\.SRD, start\.SRD, step\.SRD"),
        (f"{PULSE.replace('0.5', 'x', 1)}{HEAD}{ROWS}", r"`pulse\.SRD` is no list of numbers"),
        (f"{PULSE.replace('0.5', 'nan', 1)}{HEAD}{ROWS}", r"`pulse\.SRD` has a value that is not"),
        (
            f"{PULSE}{HEAD.strip()},coefficients\n{ROWS.replace('1.5', '1.5 0.1')}".replace(
                "1.25\n", "1.25 -\n"
            ).replace(" 1\n", " 1 -\n"),
            r"has coefficients, but no `mode1\.SRD` that they belong to",
        ),
        (
            f"{PULSE}mode1.SRD=0,1\n{HEAD.strip()},coefficients\n"
            "SRD 0 0 0 50 52 1.5 0.1\nSRD 0 1 0 51 53 1 -\nSRD 0 2 0 52 54 1 -\n",
            r"`mode1\.SRD` has 2 values, but `pulse\.SRD` 6",
        ),
        (f"pulse.HCLA=1\n{PULSE}{HEAD}{ROWS}", r"no key 'pulse\.HCLA'.*'pulse\.HCAL'"),
    ],
)
def test_mistakes_are_named(folder: Path, text: str, message: str) -> None:
    (folder / WAVEFORM_FILE).write_text(text)
    with pytest.raises(ConditionsError, match=message):
        load_conditions(SETUP, 6100, folder=folder)
