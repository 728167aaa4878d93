"""What the shell completes, asked as bash asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.cli.completion import models


def complete(line):
    words = line.split(" ")
    done = CliRunner().invoke(
        app,
        [],
        prog_name="na64reco",
        env={
            "_NA64RECO_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("na64reco cal", ["calibrate"]),
        ("na64reco run --over", ["--overwrite"]),
        ("na64reco run electron-calibration-2022", ["electron-calibration-2022"]),
        ("na64reco freeze muon-invisible-20", ["muon-invisible-2022"]),
        ("na64reco simulate 2022-mu", ["2022-muon-117", "2022-muon-152"]),
        ("na64reco simulate 2022-electron ka", ["kaon"]),
        ("na64reco simulate 2022-electron signal --model lmutau-v", ["lmutau-vanilla"]),
        ("na64reco run --executor f", ["futures"]),
        ("na64reco run --columns ecal.energy,srd.energy_", ["ecal.energy,srd.energy_out"]),
        ("na64reco compare --variables hcal.ener", ["hcal.energy"]),
        ("na64reco calibrate 2022-electron --only ecal,sr", ["ecal,srd"]),
        ("na64reco inspect --setup 2021-m", ["2021-muon"]),
        ("na64reco display --selection electron-blind", ["electron-blind-2022"]),
        ("na64reco yield na64e-2018 --model dark-photon-", ["dark-photon-visible"]),
        ("na64reco limit na64e-2018 na64mu-2", ["na64mu-2024"]),
        # The shell then goes on with files.
        ("na64reco run my_selection", []),
    ],
)
def test_names_are_completed(line, expected):
    found = complete(line)
    assert set(expected) <= set(found)
    assert all(word.startswith(line.split(" ")[-1]) for word in found)
    assert bool(found) == bool(expected)


def test_models_are_those_that_there_are():
    from na64reco.darksector.generic import model_names

    assert models("") == sorted(model_names())


def test_completion_can_be_installed(tmp_path):
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    # The shell is the one that the command is called from.
    done = subprocess.run(
        ["bash", "--norc", "-c", "na64reco --install-completion; exit $?"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".bash_completions" / "na64reco.sh"
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()
    # Bash itself, with what was installed.
    line = "na64reco simulate 2016-e"
    asked = subprocess.run(
        [
            *("bash", "--norc", "-c"),
            f"source '{script}'; COMP_WORDS=({line}); COMP_CWORD=2; "
            '_na64reco_completion na64reco; echo "${COMPREPLY[@]}"',
        ],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert asked.stdout == "2016-electron\n", asked.stderr
