"""The page of a run: everything on it, nothing from elsewhere, nothing of a blinded box."""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import uproot
from scipy.stats import chi2_contingency, poisson

from na64reco.errors import InferenceError, OutputExistsError
from na64reco.events import EventBatch, EventWriter, Hits, open_events, read_batch
from na64reco.processors import run
from na64reco.reconstruction import reconstruct_columns
from na64reco.report.page import write_report
from na64reco.report.page_figures import garwood, table_csv
from na64reco.report.page_histograms import group_of
from na64reco.report.page_input import read_run_folder
from na64reco.report.page_stability import constancy
from na64reco.selection import load_selection
from na64reco.setup import load_setup

SELECTION = """\
name: tiny
title: "<script>alert('$_^x$')</script> & \\"quotes\\""
setup: 2022-electron
blind: signal
cuts:
  - {name: trigger, variable: trigger.physics}
  - {name: "a <b>$cut$</b>", variable: prs.energy, min: 0.5}
  - {name: window, variable: calo.energy, window: [0.0, 130.0]}
  - {name: pile-up, variable: ecal.energy_out, max: 30.0}
regions:
  signal: {ecal.energy: [null, 50.0], hcal.energy: [null, 1.0]}
  hadrons: {calo.energy: [80.0, 120.0], hcal.energy: [1.0, null]}
histograms:
  plane:
    axes:
      - {variable: ecal.energy, bins: 12, range: [0, 120]}
      - {variable: hcal.energy, bins: 12, range: [0, 120]}
    at: [all]
  prs: {axes: [{variable: prs.energy, bins: 20, range: [0, 2], label: "E_$ <i>"}], at: ["without a <b>$cut$</b>"]}
  inside: {axes: [{variable: ecal.energy, bins: 10, range: [0, 100]}], at: [all], region: signal}
"""
PHYSICS = Path(__file__).parents[2] / "data_samples" / "physics.root"
"""Without truth: it counts as data."""
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Elements of a page; refuses tags that do not nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def selection_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("selection") / "tiny.yaml"
    path.write_text(SELECTION)
    return path


@pytest.fixture(scope="module")
def folder(selection_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "out"
    path = out.parent / "<i>run.root"
    path.symlink_to(PHYSICS)
    run(selection_file, {"beam": [path]}, out)
    (out / "limit.json").write_text(json.dumps(limit()))
    return out


def limit():
    points = [
        {"mass_MeV": m, "coupling": 2e-5 * m, "bands": [m * f * 1e-5 for f in (1, 1.5, 2, 3, 4)]}
        for m in (1.0, 10.0, 100.0)
    ]
    return {
        "search": "one & two", "model": "dark-photon", "strength": "epsilon", "points": points,
        "cl": 0.9, "method": "cls", "production": "all", "projection": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def written(folder):
    return write_report(folder, other=folder)


@pytest.fixture(scope="module")
def page(written):
    return Page(written.path.read_text())


def test_every_figure_is_there_in_all_formats(written, page):
    names = [f["id"] for f in page.of("figure")]
    assert names == list(written.figures)
    kinds = ("cutflow", "plane", "histogram_prs", "stability", "limit_limit", "comparison_0_ecal")
    assert all(any(n.startswith(kind) for n in names) for kind in kinds)
    assert "histogram_inside" not in names  # of the blinded region
    links = [a for a in page.of("a") if "download" in a]
    assert {a["download"] for a in links} == {f"{n}.{k}" for n in names for k in ("pdf", "csv")}
    starts = {"pdf": b"%PDF", "csv": b""}
    for a in links:
        head, _, content = a["href"].partition(";base64,")
        assert head.startswith("data:")
        assert base64.b64decode(content, validate=True).startswith(starts[a["download"][-3:]])
    assert all(i["alt"] for i in page.of("img"))
    for image in page.of("img"):  # of which the browser makes a PNG
        head, _, content = image["src"].partition(";base64,")
        assert head == "data:image/svg+xml"
        assert ET.fromstring(base64.b64decode(content)).tag.endswith("svg")


def test_nothing_comes_from_elsewhere(page):
    for tag, attrs in page.tags:
        for key in ("src", "href", "action", "data", "srcset"):
            assert attrs.get(key, "#").startswith(("data:", "#")), (tag, attrs)
    (policy,) = [m for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert "viewport" in {m.get("name") for m in page.of("meta")}


def test_names_of_files_are_text(page, written):
    text = " ".join(page.text)
    assert "<script>alert('$_^x$')</script> & \"quotes\"" in text
    assert "a <b>$cut$</b>" in text
    assert "<i>run.root" in text
    assert len(page.of("script")) == 1
    assert not page.of("b")
    assert not page.of("i")


def test_numbers_are_those_of_the_files(page, folder):
    record = json.loads((folder / "run.json").read_text())
    text = " ".join(page.text).replace("\N{NARROW NO-BREAK SPACE}", "")
    flow = record["datasets"]["beam"]["cutflow"]
    for number in (flow["entered"], *flow["passed"]):
        assert f"{number}" in text
    # Less those outside the box it would be those inside.
    assert flow["entered"] < record["events"]["read"] == 3000
    assert "3000" not in text
    assert record["selection"]["sha256"][:12] in text
    assert "hidden" in text
    assert record["versions"]["uproot"] in text
    (link,) = [a["href"] for a in page.of("a") if a.get("download") == "histogram_prs.csv"]
    rows = base64.b64decode(link.partition(",")[2]).decode().splitlines()
    values = [float(row.split(",")[-2]) for row in rows[1:]]
    with uproot.open(folder / "histograms.root") as file:
        expected = file["beam/prs__without_a_b_cut_b"].values(flow=True)
    assert values == expected.tolist()


def test_compared_with_itself_nothing_differs(page):
    text = " ".join(page.text)
    assert "First:" in text
    links = [
        a for a in page.of("a") if a.get("download", "").startswith("comparison_0_ecal_energy.csv")
    ]
    rows = base64.b64decode(links[0]["href"].partition(",")[2]).decode().splitlines()
    ratios = [row.split(",")[6] for row in rows[1:]]
    assert ratios
    assert set(ratios) <= {"1", ""}


def test_of_a_blinded_box_there_is_nothing(selection_file, folder, tmp_path):
    """Samples that differ only in how many events of the box pass the cuts, or in having any."""
    hidden = hide_some(tmp_path / "changed.root")
    assert hidden > 5
    assert leave_out(tmp_path / "without.root") > hidden
    pages, unblinded = [], []
    opened = load_selection(selection_file).model_copy(update={"blind": None})
    samples = (PHYSICS, tmp_path / "changed.root", tmp_path / "without.root")
    for name, path in zip("abc", samples, strict=True):
        out = tmp_path / name
        run(selection_file, {"data": [path]}, out)
        record = json.loads((out / "run.json").read_text())
        # What no event decides: when and how fast it was made, and the file itself.
        record["finished"], record["seconds"] = "today", 1.0
        record["inputs"][0].update(path="x", size=0)
        assert record["inputs"][0]["sha256"] is None
        (out / "run.json").write_text(json.dumps(record))
        shown = tmp_path / "shown"
        shutil.rmtree(shown, ignore_errors=True)
        out.rename(shown)
        pages.append(write_report(shown).path.read_bytes())
        report = run(opened, {"data": [path]}, tmp_path / f"open_{name}")
        unblinded.append(report.datasets[0].cutflow.passed[1])
    assert pages[0] == pages[1] == pages[2]
    # There was something to hide: those of the box that fired the trigger.
    assert 5 < unblinded[0] - unblinded[1] <= hidden


def inside_box():
    """Energies of the preshower, and which events lie in the box."""
    events = open_events(PHYSICS)
    names = ("ecal.energy", "hcal.energy", "prs.energy")
    columns = reconstruct_columns(events, load_setup("2022-electron"), columns=names)
    return columns["prs.energy"], (columns["ecal.energy"] < 50) & (columns["hcal.energy"] < 1)


def hide_some(path):
    """A copy of the run in which no event of the box has a preshower signal; how many that are."""
    prs, inside = inside_box()
    box = inside & (prs > 0.6)
    batch = read_batch(open_events(PHYSICS))
    ecal = batch.collections["ECAL"]
    event = np.repeat(np.arange(len(box)), np.diff(ecal.offsets))
    amplitude = ecal.columns["amplitude"].copy()
    # The preshower's energy goes: less energy in the box stays in the box.
    amplitude[box[event] & (ecal.columns["section"] == 0)] *= 0.01
    batch.collections["ECAL"] = Hits(ecal.offsets, {**ecal.columns, "amplitude": amplitude})
    with EventWriter(path) as writer:
        writer.write(batch)
    return int(box.sum())


def leave_out(path):
    """A copy of the run without the events of the box; how many that are."""
    _, box = inside_box()
    batch = read_batch(open_events(PHYSICS))
    kept = {}
    for name, hits in batch.collections.items():
        counts = np.diff(hits.offsets)
        hit = np.repeat(~box, counts)
        offsets = np.concatenate(([0], np.cumsum(counts[~box])))
        kept[name] = Hits(offsets, {k: v[hit] for k, v in hits.columns.items()})
    with EventWriter(path) as writer:
        writer.write(EventBatch({k: v[~box] for k, v in batch.scalars.items()}, kept))
    return int(box.sum())


def test_what_is_no_output_is_refused(tmp_path):
    with pytest.raises(InferenceError, match="not an output folder of `na64reco run`"):
        write_report(tmp_path)


def test_nothing_but_a_report_is_replaced(folder, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("<html>mine</html>")
    with pytest.raises(OutputExistsError, match="is no report; it is not replaced"):
        write_report(folder, to=path)
    assert path.read_text() == "<html>mine</html>"


def test_datasets_without_a_partner_cannot_be_compared(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    record = json.loads((other / "run.json").read_text())
    one = record["datasets"].pop("beam")
    record["datasets"] = {"x": one, "y": one}
    (other / "run.json").write_text(json.dumps(record))
    with pytest.raises(InferenceError, match="none of the same name"):
        write_report(folder, to=tmp_path / "r.html", other=other)


def test_an_incomplete_folder_says_what_to_do(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "counts.json").unlink()
    with pytest.raises(InferenceError, match=r"is incomplete .*run again|run `na64reco run` again"):
        read_run_folder(other)


PROBE = """
<script>addEventListener("load", () => {
  const saved = [];
  HTMLAnchorElement.prototype.click = function () { saved.push([this.download, this.href]); };
  const figures = [...document.querySelectorAll("figure")];
  for (const button of document.querySelectorAll(".files button")) { button.click(); }
  const zoom = document.getElementById("zoom");
  figures[0].querySelector("img").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}));
  const opened = zoom.open;
  zoom.querySelector("button").click();
  parent.document.title = JSON.stringify({
    images: figures.map((f) => f.querySelector("img")).map((i) => i.complete && i.naturalWidth > 100),
    reached: figures.every((f) => f.querySelector("img").tabIndex === 0),
    wide: document.documentElement.scrollWidth > innerWidth, width: innerWidth,
    sizes: figures.map((f) => [f.querySelector("img").naturalWidth, f.querySelector("img").naturalHeight]),
    opened, closed: !zoom.open, saved: saved.map(([name, href]) => [name, href.slice(0, 100)])});
});</script></body>"""


def test_a_browser_shows_it_without_complaint(written, chromium, tmp_path):
    """Every picture is decoded, PNG and SVG are made, a phone's width is enough, nothing is logged."""
    text = written.path.read_text().replace("</body>", PROBE)
    frame = f'<iframe width="400" height="900" style="border:0" srcdoc="{escape(text)}"></iframe>'
    wrapper = tmp_path / "phone.html"
    wrapper.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title></title>{frame}')
    dom, log = chromium(wrapper)
    assert "CONSOLE" not in log
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    found = json.loads(unescape(title[1]))
    assert found["images"] == [True] * len(written.figures)
    assert found["width"] == 400
    assert not found["wide"]
    assert found["reached"]
    assert found["opened"]
    assert found["closed"]
    saved = dict(found["saved"])
    assert set(saved) == {f"{n}.{k}" for n in written.figures for k in ("png", "svg")}
    for name, size in zip(written.figures, found["sizes"], strict=True):
        assert saved[f"{name}.svg"].startswith("data:image/svg+xml;base64,")
        head, _, content = saved[f"{name}.png"].partition(";base64,")
        assert head == "data:image/png"
        # Width and height stand in the first chunk.
        assert struct.unpack(">II", base64.b64decode(content[:32])[16:24]) == tuple(
            2 * v for v in size
        )
        assert size[0] > 300


def test_poisson_intervals_cover_as_they_should():
    low, high = garwood(np.array([7.0]), np.array([7.0]))
    # The ends are the means under which as few or as many are seen with 15.87 %.
    assert poisson.sf(6, 7 - low[0]) == pytest.approx(0.158655, rel=1e-4)
    assert poisson.cdf(7, 7 + high[0]) == pytest.approx(0.158655, rel=1e-4)


def test_constancy_is_the_chi2_of_the_table():
    passed, total = np.array([40, 55, 61, 0]), np.array([100, 100, 120, 0])
    chi2, ndf = constancy(passed, total)
    expected = chi2_contingency([passed[:3], (total - passed)[:3]], correction=False)
    assert (chi2, ndf) == (pytest.approx(expected.statistic), expected.dof)


def test_groups():
    assert group_of(["track.momentum"]) == "track"
    assert group_of(["ecal.energy", "ecal.chi2"]) == "shape"
    assert group_of(["prs.energy_out"]) == "time"
    assert group_of(["mine"]) == "other"


def test_tables_quote_what_needs_it():
    assert table_csv([("a", "b"), ("x,y", 0.1), (None, 3)]) == 'a,b\n"x,y",0.1\n,3\n'
