"""The search of the muon mode, from the trigger to the signal box, against the two papers.

[24m] is arXiv:2401.01708, [22m] arXiv:2110.15111.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import Na64recoError
from na64reco.events import open_events
from na64reco.inference.muon_efficiency import (
    MODEL,
    displacement,
    mip_systematic,
    share_passing,
    trigger_efficiency,
)
from na64reco.processors import run
from na64reco.reconstruction import reconstruct_columns
from na64reco.selection import apply, load_selection, required_columns
from na64reco.setup import load_setup
from na64reco.simulation import write_simulation

SAMPLE = Path(__file__).parents[2] / "data_samples" / "muon.root"
ELECTRONS = SAMPLE.with_name("physics.root")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The one command on the sample, and its output folder."""
    out = tmp_path_factory.mktemp("muon") / "out"
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    done = runner.invoke(
        app, ["run", "muon-invisible-2022", str(SAMPLE), "-o", str(out), "--json", "--picture"]
    )
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


@pytest.fixture(scope="module")
def plane(searched):
    """Fig. 2 of [24m]: before the cuts for minimum-ionising particles."""
    with uproot.open(searched[0] / "histograms.root") as file:
        counts, p_out, e_cal = file["events/plane__mip_behind_it"].to_numpy()
    x, y = np.meshgrid(p_out[:-1] + 1, e_cal[:-1] + 1, indexing="ij")
    return counts, x, y


def test_regions_of_the_plane_are_filled_as_published(plane):
    """B, hard bremsstrahlung, has nearly all soft muons, on the line p_out + E_CAL = 160."""
    counts, p_out, e_cal = plane
    soft = p_out < 80
    b = soft & (p_out + e_cal > 130)
    d = soft & (e_cal > 12) & (p_out + e_cal < 130)
    assert counts[b].sum() > 50
    assert counts[d].sum() <= 0.05 * counts[b].sum()
    mean = np.average((p_out + e_cal)[b], weights=counts[b])
    assert mean == pytest.approx(160, abs=8)  # less what is not seen, more what fluctuates
    # A and C: full momentum. Few in between: photons along the beam do not deflect the muon.
    assert counts[p_out > 130].sum() > 30
    assert counts[(p_out > 80) & (p_out < 120)].sum() < 0.1 * counts[b].sum()
    # Two standard deviations of 160 GeV and 4.4 %.
    full = (p_out > 120) & (p_out < 200)
    assert np.average(p_out[full], weights=counts[full]) == pytest.approx(160, abs=4)


def test_the_box_is_empty_and_blinded(searched, plane):
    counts, p_out, e_cal = plane
    assert counts[(p_out < 80) & (e_cal < 12)].sum() == 0
    (rows,) = searched[1]["regions"].values()
    (signal,) = (row for row in rows if row["region"] == "signal")
    assert signal["passed"] is None
    assert {p.name for p in searched[0].iterdir()} >= {"plane.png", "plane.pdf"}


def test_rate_of_the_trigger(searched):
    """0.04 % of the calibration trigger at this position [24m]: 0.02 to 0.2 %."""
    (rows,) = searched[1]["cutflow"].values()
    physics, everything = rows[0]["passed"], searched[1]["events"]["read"]
    calibration = 1000 * (everything - physics)  # prescale
    assert 2e-4 < physics / calibration < 2e-3


def test_muons_on_target_by_the_scalers(searched):
    """2e6 of the beam, 78 % in S0 and S1 [22m], 0.6 % lost to dead time; background per 2e10."""
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    out = str(searched[0])
    assert runner.invoke(app, ["exposure", out]).exit_code == 0
    done = runner.invoke(app, ["background", out, "--toys", "100", "--no-picture", "--json"])
    assert done.exit_code == 0, done.output
    (period,) = json.loads(done.stdout)["periods"].values()
    assert period["muons"] == pytest.approx(2e6 * 0.78, rel=0.03)
    # One event or none in the sidebands: only limits.
    assert all(c["value"] is None for c in period["components"])


def test_trigger_efficiency_by_mass():
    """Rising with the mass within 15-35 % [22m]."""
    setup = load_setup("2021-muon")
    found = [trigger_efficiency(setup, mass, 8000) for mass in (10.0, 100.0, 300.0)]
    assert found[0].value + found[0].error < found[1].value
    assert found[1].value + found[1].error < found[2].value
    assert all(0.15 < f.value < 0.35 for f in found)


def test_the_nearer_counters_catch_more():
    """S_mu at 117 instead of 152 mm; a displacement of 2 mm is at most 5 % [24m]."""
    near, far = (load_setup(f"2022-muon-{position}") for position in (117, 152))
    for mass in (30.0, 300.0):
        a, b = (trigger_efficiency(setup, mass, 8000).value for setup in (near, far))
        assert 1.1 < a / b < 1.7
        assert displacement(far, mass, 8000, 2.0) <= 0.05


def test_signal_after_all_cuts(tmp_path):
    """Its maximum is about 12 % for 100 MeV to 1 GeV [24m]; MIP peaks 4 % at most."""
    setup, selection = load_setup("2022-muon-152"), load_selection("muon-invisible-2022")
    for mass in (100.0, 300.0):
        path = tmp_path / f"{mass}.root"
        write_simulation(
            path, setup, "signal", 400, seed=7, trigger="physics", model=MODEL, mass=mass
        )
        columns = reconstruct_columns(open_events(path), setup)
        passed = share_passing(selection, columns, "signal")
        trigger = trigger_efficiency(setup, mass, 8000)
        assert 0.08 < trigger.value * passed.value < 0.16
        # All that passes the cuts is in the box.
        assert share_passing(selection, columns, "soft") == passed
        assert mip_systematic(selection, columns, "signal", 0.02) <= 0.04


def test_signal_of_the_prospects(tmp_path):
    """E_CAL <= 20 GeV instead of 12, at 1e7 muons a spill [22m]: pile-up takes more."""
    setup, selection = load_setup("2021-muon"), load_selection("muon-prospects-2021")
    path = tmp_path / "signal.root"
    write_simulation(path, setup, "signal", 250, seed=8, trigger="physics", model=MODEL, mass=300)
    columns = reconstruct_columns(open_events(path), setup)
    passed = share_passing(selection, columns, "signal")
    assert 0.40 < passed.value < 0.65
    assert selection.regions["signal"]["calo.all"] == (None, 20.0)


def test_an_event_without_outgoing_momentum_stays_hidden():
    """It may belong to the box; with much in the calorimeters it does not."""
    selection = load_selection("muon-invisible-2022")
    columns = {n: np.zeros(3, np.float32) for n in required_columns(selection)}
    columns |= {"run": np.full(3, 5700, np.uint32), "spill": np.ones(3, np.uint32)}
    columns["track_out.momentum"] = np.array([np.nan, np.nan, 160], np.float32)
    columns["hcal.energy"] = np.array([5, 50, 5], np.float32)
    outcome = apply(selection, columns)
    assert outcome.visible.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("selection", "file", "said"),
    [
        ("muon-invisible-2022", ELECTRONS, "needs the branch 'VHCAL_ix'"),
        ("muon-invisible-2022-117", SAMPLE, "5800"),  # runs of the other position
        ("electron-invisible-2022", SAMPLE, "SRD|srd"),
    ],
)
def test_files_of_another_mode_are_refused(tmp_path, selection, file, said):
    with pytest.raises(Na64recoError, match=said):
        run(selection, [file], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_file_is_left_out_by_name_only(tmp_path, searched):
    broken = tmp_path / "broken.root"
    broken.write_bytes(SAMPLE.read_bytes()[:200_000])
    with pytest.raises(Na64recoError, match=r"broken\.root"):
        run("muon-invisible-2022", [SAMPLE, broken], tmp_path / "a")
    report = run("muon-invisible-2022", [SAMPLE, broken], tmp_path / "b", skip_bad_files=True)
    assert [Path(f.path).name for f in report.ledger.skipped] == ["broken.root"]
    assert report.ledger.events_read == searched[1]["events"]["read"]


def test_the_output_is_not_replaced_unasked(searched):
    with pytest.raises(Na64recoError, match="--overwrite"):
        run("muon-invisible-2022", [SAMPLE], searched[0])
