"""Cuts on the shower's shape from simulated muon pairs, and what they keep of others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from na64reco.calibrate.shape_cuts import energy_bins
from na64reco.cli.app import app
from na64reco.events import EventWriter, open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.selection import load_selection
from na64reco.setup import load_setup
from na64reco.simulation.generate import simulate

SETUP = load_setup("2022-electron")
PAIRS = 2600


def made(path, process, n, seed, **options):
    with EventWriter(path) as writer:
        for batch in simulate(SETUP, process, n, seed=seed, intensity=1e4, run=6100, **options):
            writer.write(batch)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuts")
    made(folder / "pairs.root", "dimuon", PAIRS, 41)
    made(folder / "others.root", "dimuon", PAIRS, 42)
    return folder


def calibrate(*words):
    return CliRunner().invoke(app, ["calibrate", "2022-electron", *map(str, words)])


@pytest.fixture(scope="module")
def found(folder):
    out = folder / "new"
    done = calibrate(folder / "pairs.root", "-o", out, "--only", "cuts", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["cuts"]


def kept(path, cuts):
    """Share of pairs below the cuts, by hand, and how many there are."""
    columns = ["energy", "chi2", "energy_out"]
    columns = [*(f"ecal.{n}" for n in columns), "hcal.muons", "prs.energy", "track.found"]
    c = reconstruct_columns(open_events(path), SETUP, columns=columns)
    pair = (c["hcal.muons"] == 2) & (c["prs.energy"] > 0.5) & c["track.found"]
    pair &= c["ecal.energy_out"] < 30
    edges = [cut["ecal.energy"][0] for cut in cuts]
    place = np.searchsorted(edges, c["ecal.energy"][pair], "right") - 1
    limit = np.array([cut["max"] for cut in cuts])[place]
    return np.mean(c["ecal.chi2"][pair] < limit), int(pair.sum())


def test_cuts_keep_the_share_of_other_pairs(folder, found):
    share, n = kept(folder / "others.root", found["cuts"])
    assert n > 1000
    # The cuts are from as many events as they are tried on.
    error = np.sqrt(2 * 0.95 * 0.05 / n)
    assert share == pytest.approx(0.95, abs=3 * error)
    same, n = kept(folder / "pairs.root", found["cuts"])
    assert n == found["pairs"]
    assert same == pytest.approx(0.95, abs=len(found["cuts"]) / n)


def test_published_cuts_are_where_these_are(found):
    """2.8 to 4.0 for 95 % of the experiment's own pairs (see the selections); by bin, 3 errors."""
    selection = load_selection("electron-invisible-2022")
    published = next(c for c in selection.cuts if c.variable == "ecal.chi2").max
    for cut in found["cuts"]:
        middle = np.mean(cut["ecal.energy"])
        place = np.searchsorted(published.edges, middle, "right") - 1
        value = published.values[min(place, len(published.values) - 1)]
        assert cut["max"] == pytest.approx(value, abs=max(3.5 * cut["error"], 0.3))


def test_the_file_is_a_cut_of_a_selection(folder, found, tmp_path):
    text = (folder / "new" / "shape_cuts.yaml").read_text()
    assert "muon pairs: 2600 events of run 6100" in text
    path = tmp_path / "mine.yaml"
    path.write_text("based_on: electron-invisible-2022\n" + text)
    selection = load_selection(path)
    names = [c.name for c in load_selection("electron-invisible-2022").cuts]
    assert [c.name for c in selection.cuts] == names
    cut = next(c for c in selection.cuts if c.name == "shower shape")
    assert list(cut.max.values) == pytest.approx([c["max"] for c in found["cuts"]], rel=1e-3)
    assert (folder / "new" / "pictures" / "shape_cuts.png").stat().st_size > 10_000
    assert not (folder / "new" / "ecal.txt").exists()


def test_another_efficiency(folder, found):
    words = ("--only", "cuts", "--efficiency", 0.8, "--json")
    done = calibrate(folder / "pairs.root", "-o", folder / "loose", *words)
    lower = json.loads(done.stdout)["cuts"]
    assert lower["efficiency"] == 0.8
    share, n = kept(folder / "pairs.root", lower["cuts"])
    assert share == pytest.approx(0.8, abs=len(lower["cuts"]) / n)


def test_electrons_are_no_pairs(tmp_path):
    path = made(tmp_path / "electrons.root", "electron", 300, 5, trigger="beam")
    done = calibrate(path, "-o", tmp_path / "new", "--only", "cuts")
    assert done.exit_code == 1
    assert "0 muon pairs among 300 events of run 6100" in " ".join(done.output.split())
    assert not (tmp_path / "new").exists()


def test_profile_from_electrons_with_waveforms(tmp_path):
    """That they can be read at all; what the fit finds is tested with toys."""
    path = made(tmp_path / "e.root", "electron", 260, 6, trigger="beam", waveforms=True)
    done = calibrate(path, "-o", tmp_path / "new", "--only", "profile", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["profile"]
    assert 200 < found["events"] <= 260
    assert found["cuts"][-1]["max"] == pytest.approx(4, abs=1.5)  # [pub]: 4.0
    assert (tmp_path / "new" / "pictures" / "profile.png").stat().st_size > 20_000


def test_bins_are_joined_until_they_have_enough():
    rng = np.random.default_rng(6)
    # 40 GeV^-1 up to 20 GeV, 4 above: 200 in 5 GeV, then in 50.
    energy = np.concatenate([rng.uniform(0, 20, 800), rng.uniform(20, 120, 400)])
    edges = energy_bins(energy, fewest=160)
    assert (np.diff(edges) % 5 == 0).all()
    counts = np.histogram(energy, edges)[0]
    assert counts.sum() == len(energy)
    assert counts.min() >= 160
    assert edges[:5].tolist() == [0, 5, 10, 15, 20]
    assert binom.sf(159, 1200, 200 / 1200) > 0.99  # so it had to be
    assert energy_bins(np.full(10, 50.0)).tolist() == [0.0]
    assert energy_bins(np.empty(0)).tolist() == [0.0]
