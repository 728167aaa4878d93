"""Parts of the page against numbers that were found without it."""

from __future__ import annotations

import base64
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from na64reco.errors import InferenceError
from na64reco.events import EventWriter, open_events, read_batch
from na64reco.processors import run
from na64reco.reconstruction import reconstruct_columns
from na64reco.report.limits import Overlay
from na64reco.report.page import write_report
from na64reco.setup import load_setup

SAMPLES = Path(__file__).parents[2] / "data_samples"
SELECTION = """\
name: parts
setup: 2022-electron
cuts:
  - {name: trigger, variable: trigger.physics}
  - {name: PRS, variable: prs.energy, min: 0.5}
  - {name: SRD, variable: srd.energy, window: [0.001, 0.1]}
regions:
  low: {ecal.energy: [null, 50.0]}
histograms:
  srd: {axes: [{variable: srd.energy, bins: 150, range: [0, 0.15]}], at: [none, without SRD]}
"""
RUNS = (6110, 6112)


def write_half(path, number, start, stop):
    """Some events of the signal sample as a run of their own."""
    events = open_events(SAMPLES / "signal.root", entry_start=start, entry_stop=stop)
    batch = read_batch(events)
    batch.scalars["run"] = np.full_like(batch.scalars["run"], number)
    with EventWriter(path) as writer:
        writer.write(batch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs of electrons, one of hadrons, and a file that is no good; a limit."""
    place = tmp_path_factory.mktemp("parts")
    selection = place / "parts.yaml"
    selection.write_text(SELECTION)
    files = [place / f"{number}.root" for number in RUNS]
    for i, (path, number) in enumerate(zip(files, RUNS, strict=True)):
        write_half(path, number, 0 if i == 0 else 300, 300 if i == 0 else 1000)
    bad = place / "bad.root"
    bad.write_bytes(files[0].read_bytes()[:3000])
    given = {"electrons": [*files, bad], "hadron": [SAMPLES / "hadron.root"]}
    run(selection, given, place / "out", skip_bad_files=True)
    bands = [[m * f * 1e-5 for f in (1, 1.5, 2, 3, 4)] for m in (1.0, 10.0)]
    points = [
        {"mass_MeV": m, "coupling": 2e-5 * m, "upper_edge": None, "bands": b}
        for m, b in zip((1.0, 10.0), bands, strict=True)
    ]
    limit = {
        "search": "mine", "model": "dark-photon", "strength": "epsilon", "cl": 0.9,
        "method": "cls", "production": "all", "projection": True, "points": points,
    }  # fmt: skip
    (place / "out" / "limit.json").write_text(json.dumps(limit))
    limit |= {"model": "mine.yaml", "strength": "g"}
    (place / "out" / "other.json").write_text(json.dumps(limit))
    return place / "out"


@pytest.fixture(scope="module")
def page(folder):
    other = Overlay("somebody's", np.array([1e-3, 2e-3]), np.array([1e-4, 2e-4]))
    return write_report(folder, overlays=[other]).path.read_text()


@pytest.fixture(scope="module")
def columns():
    """What is known of all events of both samples."""
    setup = load_setup("2022-electron")
    names = ("trigger.physics", "prs.energy", "srd.energy")
    return {
        name: reconstruct_columns(open_events(SAMPLES / f"{name}.root"), setup, columns=names)
        for name in ("signal", "hadron")
    }


def rows(page, name):
    link = re.search(rf'download="{name}\.csv" href="data:text/csv;base64,([^"]*)"', page)
    return list(csv.DictReader(base64.b64decode(link[1]).decode().splitlines()))


def test_srd_of_electrons_and_hadrons(page, columns):
    found = rows(page, "srd_electrons_hadrons")
    for dataset, kind, sample in (
        ("electrons", "electrons", "signal"),
        ("hadron", "hadrons", "hadron"),
    ):
        energy = columns[sample]["srd.energy"]
        shares = [r for r in found if r["dataset"] == dataset]
        assert {r["kind"] for r in shares} == {kind}
        edges = [float(r["low_MeV"]) for r in shares] + [float(shares[-1]["high_MeV"])]
        assert (edges[0], edges[-1]) == (0, 150)
        expected = np.histogram(1e3 * energy, edges)[0] / len(energy)
        assert [float(r["share"]) for r in shares] == pytest.approx(expected, abs=1e-9)
        kept = np.mean((energy >= 0.001) & (energy <= 0.1))
        text = re.search(rf"{dataset} \({kind}\) ([\d.]+) % ", page)
        assert float(text[1]) == pytest.approx(100 * kept, abs=0.051)  # three digits


def test_each_cut_run_by_run(page, columns):
    found = rows(page, "cuts_by_run")
    signal = columns["signal"]
    cuts = {
        "trigger": signal["trigger.physics"].astype(bool),
        "PRS": signal["prs.energy"] >= 0.5,
        "SRD": (signal["srd.energy"] >= 0.001) & (signal["srd.energy"] <= 0.1),
    }
    for number, part in zip(RUNS, (slice(0, 300), slice(300, 1000)), strict=True):
        before = np.ones(len(signal["prs.energy"]), bool)[part]
        for cut, passed in cuts.items():
            (row,) = [r for r in found if r["run"] == str(number) and r["cut"] == cut]
            n, p = before.sum(), (before & passed[part]).sum()
            assert (int(row["of"]), int(row["passed"])) == (n, p)
            # Clopper and Pearson's limits are quantiles of beta distributions.
            low = beta.ppf(0.158655, p, n - p + 1)
            assert float(row["low"]) == pytest.approx(low, rel=1e-4)
            before &= passed[part]
    assert {r["dataset"] for r in found} == {"electrons", "hadron"}


def test_limits_stand_beside_published_ones(page):
    found = rows(page, "limit_limit_json")
    published = [r for r in found if r["curve"].startswith("PRL 123, 121801")]
    # The first and last point of the curve of PRL 123, 121801 (2019).
    ends = [(float(r["mass_MeV"]), float(r["coupling"])) for r in (published[0], published[-1])]
    assert ends == [(1.0, 7.544e-6), (1006.0, 1.098e-2)]
    mine = [r for r in found if r["curve"] == "mine"]
    assert [float(r["coupling"]) for r in mine] == [2e-5, 2e-4]
    assert [float(r["minus_2_sigma"]) for r in mine] == [1e-5, 1e-4]
    assert "mine (expected)" in svg_text(page, "limit_limit_json")
    assert "nothing is observed yet" in page
    # Of a model that is not known here, with the user's line alone.
    other = rows(page, "limit_other_json")
    assert {r["curve"] for r in other} == {"mine", "somebody's"}


def svg_text(page, name):
    image = re.search(rf'<figure id="{name}".*?src="data:image/svg\+xml;base64,([^"]*)"', page)
    return " ".join(re.findall("<!-- (.*?) -->", base64.b64decode(image[1]).decode()))


def test_what_is_missing_says_how_to_make_it(page, folder):
    section = page.partition('<section id="missing">')[2].partition("</section>")[0]
    assert f"na64reco efficiency {folder}" in section
    assert f"na64reco calibrate 2022-electron FILE -o {folder} --only tracking" in section
    assert "Limits" not in section
    assert "--hadrons" not in section


def test_files_that_were_left_out_are_named(page):
    assert "3 of 4 read, 1 skipped" in page
    assert re.search(r'class="note">Skipped: [^<]*bad.root', page)


def test_without_hadrons_or_electrons_the_page_says_so(folder):
    path = folder.parent / "given.html"
    text = write_report(folder, to=path, hadrons=["hadron", "electrons"]).path.read_text()
    assert "hadron=FILE" in text.partition('<section id="missing">')[2]
    assert 'id="srd_electrons_hadrons"' not in text
    with pytest.raises(InferenceError, match=r"no dataset 'hadrn'.*Did you mean 'hadron'"):
        write_report(folder, to=path, hadrons=["hadrn"])
