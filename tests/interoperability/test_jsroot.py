"""What JSROOT reads from our ROOT files is what uproot reads: every bin, every value."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import awkward as ak
import hist
import numpy as np
import platformdirs
import pytest
import uproot

from na64reco.processors.outputs import write_histograms
from na64reco.processors.skim import SkimWriter

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "data_samples"
JSROOT = json.loads((HERE / "package.json").read_text())["dependencies"]["jsroot"]


@pytest.fixture(scope="module")
def jsroot():
    """Reads ROOT files with JSROOT, which npm fetches once into the user's cache."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing (Debian's packages nodejs and npm)")
    folder = platformdirs.user_cache_path("na64reco") / f"test-jsroot-{JSROOT}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers may come at once
        for name in ("package.json", ".npmrc", "read_root.mjs"):
            shutil.copy(HERE / name, folder)
        if not (folder / "installed").exists():
            try:
                done = subprocess.run(
                    ["npm", "install"], cwd=folder, capture_output=True, text=True, timeout=180
                )
            except subprocess.TimeoutExpired:
                pytest.skip(f"jsroot {JSROOT} could not be fetched in three minutes")
            if done.returncode:
                pytest.skip(f"npm could not fetch jsroot {JSROOT}: {done.stderr[-300:]}")
            (folder / "installed").touch()

    def read(path):
        done = subprocess.run(
            ["node", folder / "read_root.mjs", path], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)[str(path)]

    read.folder = folder
    return read


def check_histogram(found, expected):
    assert found["class"] == expected.classname
    assert found["name"] == expected.name
    assert found["title"] == expected.title
    assert found["entries"] == expected.member("fEntries")
    assert len(found["axes"]) == len(expected.axes)
    for axis, there in zip(found["axes"], expected.axes, strict=True):
        assert axis["title"] == there.member("fTitle")
        np.testing.assert_allclose(axis["edges"], there.edges(), rtol=1e-14, atol=1e-12)
    # ROOT's arrays run through the first axis first.
    values = expected.values(flow=True)
    np.testing.assert_array_equal(found["values"], values.ravel(order="F"))
    if expected.weighted:
        variances = expected.variances(flow=True)
        np.testing.assert_array_equal(found["sumw2"], variances.ravel(order="F"))
    else:
        assert found["sumw2"] == []


def test_histograms_of_a_run(jsroot, out):
    found = jsroot(out / "histograms.root")
    with uproot.open(out / "histograms.root") as file:
        names = [n for n, c in file.classnames(cycle=False).items() if c.startswith("TH")]
        assert set(found) == set(names)
        assert len(names) > 60
        for name in names:
            check_histogram(found[name], file[name])
    plane = found["data/ecal_hcal__srd"]
    assert plane["title"] == "data, after 'SRD'"
    assert [axis["title"] for axis in plane["axes"]] == ["E_ECAL [GeV]", "E_HCAL [GeV]"]
    # Data are counted, simulated events weighted.
    assert plane["sumw2"] == []
    assert len(found["signal/ecal_hcal__srd"]["sumw2"]) == 122**2


def test_weights_variable_bins_and_flow(jsroot, tmp_path):
    """Against what was filled in, not through uproot."""
    rng = np.random.default_rng(8)
    x, y, z = rng.normal(1.0, 2.0, (3, 500))
    weight = rng.choice([0.25, 0.5, 1.0, 4.0], 500)
    edges = [-1.0, 0.0, 0.125, 3.5]
    variable = hist.axis.Variable(edges, name="x", label="x [mm]")
    regular = hist.axis.Regular(7, -2.0, 5.0, name="y", label="y")
    third = hist.axis.Regular(2, 0.0, 1.0, name="z", label="E_{z} [GeV]")
    weighted = hist.Hist(variable, storage=hist.storage.Weight(), label="all, #mu < 3")
    weighted.fill(x, weight=weight)
    plane = hist.Hist(regular, variable, storage=hist.storage.Weight()).fill(y, x, weight=weight)
    cube = hist.Hist(variable, regular, third).fill(x, y, z)
    path = tmp_path / "h.root"
    write_histograms(path, {"a": {"one": weighted, "two": plane}, "b": {"three": cube}})
    found = jsroot(path)
    assert {n: (h["class"], h["title"]) for n, h in found.items()} == {
        "a/one": ("TH1D", "a, all, #mu < 3"),
        "a/two": ("TH2D", "a"),
        "b/three": ("TH3D", "b"),
    }
    one = found["a/one"]
    assert one["axes"] == [{"title": "x [mm]", "edges": edges}]
    outer = [-np.inf, *edges, np.inf]
    assert one["values"] == np.histogram(x, outer, weights=weight)[0].tolist()
    assert one["sumw2"] == np.histogram(x, outer, weights=weight**2)[0].tolist()
    y_outer = [-np.inf, *np.linspace(-2, 5, 8), np.inf]
    table = np.histogram2d(y, x, [y_outer, outer], weights=weight)[0]
    assert found["a/two"]["values"] == table.ravel(order="F").tolist()
    z_outer = [-np.inf, 0, 0.5, 1, np.inf]
    counts = np.histogramdd(np.stack([x, y, z], axis=1), [outer, y_outer, z_outer])[0]
    assert found["b/three"]["values"] == counts.ravel(order="F").tolist()
    with uproot.open(path) as file:
        again = file["a/one"].to_hist()
        assert again.values(flow=True).tolist() == one["values"]
        assert again.variances(flow=True).tolist() == one["sumw2"]
        assert again.axes[0].edges.tolist() == edges
    # What the box of statistics is made of.
    inside = (x >= edges[0]) & (x < edges[-1])
    assert one["statistics"]["fTsumw"] == weight[inside].sum()
    assert one["statistics"]["fTsumw2"] == (weight[inside] ** 2).sum()


def as_numpy(values, dtype):
    """Values of JSON in a branch's own type; JavaScript's strings are what JSON cannot hold."""
    if dtype.kind == "f":
        return np.array(values, dtype=np.float64)
    return np.array([int(v) if isinstance(v, str) else v for v in values], dtype=dtype)


def check_tree(found, tree):
    assert found["class"] == "TTree"
    assert found["entries"] == tree.num_entries
    assert list(found["columns"]) == tree.keys()
    kinds = set()
    for name, values in found["columns"].items():
        array = tree[name].array()
        if array.ndim == 1:
            expected = array.to_numpy()
            kinds.add(expected.dtype.name)
        else:
            assert [len(event) for event in values] == ak.num(array).to_list(), name
            expected = ak.flatten(array).to_numpy()
            kinds.add(f"{expected.dtype.name} list")
        flat = values if array.ndim == 1 else [v for event in values for v in event]
        np.testing.assert_array_equal(as_numpy(flat, expected.dtype), expected, name)
    return kinds


def test_selected_events(jsroot, out):
    found = jsroot(out / "selected.root")
    with uproot.open(out / "selected.root") as file:
        kinds = check_tree(found["Events"], file["Events"])
        assert found["na64reco_metadata"]["text"] == str(file["na64reco_metadata"])
    assert kinds >= {"bool", "uint8", "int8", "int16", "uint16", "uint32", "uint64", "float32"}
    assert found["Events"]["entries"] > 500


def test_hits(jsroot):
    """Lists, of each type that a hit file has."""
    found = jsroot(SAMPLES / "signal.root")
    with uproot.open(SAMPLES / "signal.root") as file:
        kinds = check_tree(found["Events"], file["Events"])
    assert kinds >= {"uint8 list", "uint16 list", "float32 list", "uint64", "float32"}


def test_the_ends_of_every_type(jsroot, tmp_path):
    columns = {
        "run": np.array([0, 1, 2**32 - 1], np.uint32),
        "event": np.array([1, 2**53 + 1, 2**64 - 1], np.uint64),
        "mc.process": np.array([0, 127, 255], np.uint8),
        "ecal.cells": np.array([-(2**15), 0, 2**15 - 1], np.int16),
        "track.charge": np.array([-128, 0, 127], np.int8),
        "ecal.energy": np.array([np.nan, -np.inf, 1e-45], np.float32),
        "track.found": np.array([True, False, True]),
    }
    path = tmp_path / "selected.root"
    with SkimWriter(path, list(columns), ["a"]) as writer:
        writer.add("a", columns)
    found = jsroot(path)["Events"]["columns"]
    for name, values in columns.items():
        got = as_numpy(found[name.replace(".", "_")], values.dtype)
        np.testing.assert_array_equal(got, values, name)


def test_the_example_of_the_documentation(jsroot, out):
    page = (HERE.parents[1] / "docs" / "interoperability.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```javascript\n(.*?)```", page, flags=re.DOTALL)
    script = jsroot.folder / f"example_{os.getpid()}.mjs"
    try:
        script.write_text(code)
        done = subprocess.run(
            ["node", script], cwd=out.parent, capture_output=True, text=True, timeout=60
        )
    finally:
        script.unlink()
    assert done.returncode == 0, done.stderr
    with uproot.open(out / "histograms.root") as file:
        content = file["data/ecal_hcal__all"].values(flow=True)[88, 1]
    assert content > 10
    assert done.stdout == f"data, all cuts E_ECAL [GeV] {content:g}\n"
