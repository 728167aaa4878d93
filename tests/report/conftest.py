"""Reports with known content."""

from __future__ import annotations

import shutil
import subprocess

import hist
import pytest

from na64reco.processors import DatasetReport
from na64reco.selection import Cutflow, load_selection

SELECTION = """\
name: planes
setup: 2022-electron
blind: signal
periods:
  early: [6035, 6200]
  late: [6201, 6999]
cuts:
  - {name: one, variable: trigger.physics}
  - {name: two, variable: prs.energy, min: 0.5}
regions:
  signal: {ecal.energy: [null, {by: period, values: {early: 50.0, late: 47.0}}], hcal.energy: [null, 1.0]}
  diagonal: {calo.energy: [80.0, 120.0], hcal.energy: [1.0, null]}
  elsewhere: {veto.energy: [0.0, 1.0]}
histograms:
  prs: {axes: [{variable: prs.energy, bins: 10, range: [0, 10]}]}
  plane:
    axes:
      - {variable: ecal.energy, bins: 12, range: [0, 120]}
      - {variable: hcal.energy, bins: 12, range: [0, 120]}
    at: [two, one, all]
  low:
    axes:
      - {variable: ecal.energy, bins: 12, range: [0, 120]}
      - {variable: hcal.energy, bins: 10, range: [0, 10]}
    at: [all]
"""


@pytest.fixture
def selection(tmp_path):
    path = tmp_path / "planes.yaml"
    path.write_text(SELECTION)
    return load_selection(path)


@pytest.fixture
def cutflow():
    return Cutflow(
        ("one", "two"),
        200,
        (100, 25),
        (100, 30),
        (30, 100),
        (("signal", None), ("diagonal", 5)),
    )


@pytest.fixture
def dataset(selection, cutflow):
    def plane(high):
        return hist.Hist(
            hist.axis.Regular(12, 0, 120, name="ecal.energy"),
            hist.axis.Regular(12, 0, high, name="hcal.energy"),
        )

    planes = {"plane__one": plane(120), "plane__all": plane(120), "low__all": plane(10)}
    planes["plane__one"].fill([95.0] * 50, [5.0] * 50)
    return DatasetReport(
        name="runs",
        events=300,
        simulated=False,
        blinded="signal",
        cutflow=cutflow,
        counts=None,  # of no use in pictures and tables
        histograms=planes,
        selected=5,
    )


@pytest.fixture
def chromium(tmp_path):
    """A function that opens a page in a browser and gives its elements and what was logged."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("the browser chromium is not installed (Debian's package of that name)")

    def load(path, width=500):
        options = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
        )
        done = subprocess.run(
            [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
             "--v=0", f"--window-size={width},900", "--virtual-time-budget=10000", "--dump-dom",
             path.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout, done.stderr

    return load
