"""Comparisons of samples against scipy, and with themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp, kstest

from na64reco.errors import InferenceError
from na64reco.inference.comparison import compare, compare_shapes
from na64reco.processors.outputs import RUN, SELECTED
from na64reco.processors.skim import SkimWriter
from na64reco.selection import load_selection

SELECTION = """\
name: toy
setup: 2022-electron
blind: signal
cuts:
  - {name: PRS, variable: prs.energy, min: 0.5}
regions:
  signal: {ecal.energy: [null, 47.0], hcal.energy: [null, 1.0]}
  dimuon: {ecal.energy: [null, 90.0]}
"""


def test_unweighted_against_scipy():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, 900), rng.normal(0.1, 1.1, 700)
    found = compare_shapes("x", x, y, np.ones(900), np.ones(700))
    expected = ks_2samp(x, y, method="asymp")
    assert found.ks == pytest.approx(expected.statistic)
    # scipy corrects the asymptotic probability for finite samples.
    assert found.ks_p == pytest.approx(expected.pvalue, rel=0.15)
    table = [np.histogram(v, found.edges)[0] for v in (x, y)]
    assert sum(t.sum() for t in table) == 1600
    statistic, p, ndf, _ = chi2_contingency(table, correction=False)
    assert (found.chi2, found.ndf) == (pytest.approx(statistic), ndf)
    assert found.chi2_p == pytest.approx(p)
    assert found.ratio[3] == pytest.approx(table[0][3] / 900 / (table[1][3] / 700))


@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_uniform_where_samples_agree(weighted):
    """300 pseudo-experiments; against a uniform distribution."""
    rng = np.random.default_rng(2)
    ks, chi2 = [], []
    for _ in range(300):
        x, y = rng.exponential(1, 400), rng.exponential(1, 800)
        w = rng.choice([0.5, 1, 2], 400) if weighted else np.ones(400)
        found = compare_shapes("x", x, y, w, np.ones(800))
        ks.append(found.ks_p)
        chi2.append(found.chi2_p)
    assert kstest(chi2, "uniform").pvalue > 0.002
    assert kstest(ks, "uniform").pvalue > 0.002


def test_differences_are_seen_through_weights():
    # The second sample is the first with low values thinned out and weighted up again.
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 1, 4000), rng.uniform(0, 1, 4000)
    keep = (y > 0.5) | (rng.random(4000) < 0.25)
    y, w = y[keep], np.where(y[keep] > 0.5, 1.0, 4.0)
    good = compare_shapes("x", x, y, np.ones(4000), w)
    bad = compare_shapes("x", x, y, np.ones(4000), np.ones(len(y)))
    assert good.chi2_p > 0.01
    assert good.ks_p > 0.01
    assert bad.chi2_p < 1e-9
    assert bad.ks_p < 1e-9


def test_few_values_make_bins_of_their_own():
    x, y = np.repeat([0, 1, 2], [10, 20, 30]), np.repeat([0, 1, 2], [30, 20, 10])
    found = compare_shapes("straw.multiplicity", x, y, np.ones(60), np.ones(60))
    assert found.edges == (-0.5, 0.5, 1.5, 2.5)
    assert found.first == pytest.approx((1 / 6, 1 / 3, 1 / 2))
    assert found.ndf == 2


def test_nothing_to_compare():
    one = np.ones(5)
    assert "same value" in compare_shapes("x", one, one, one, one)
    assert "no events" in compare_shapes("x", one * np.nan, one, one, one)


def write(folder, selection, data, mc):
    """An output with a blinded and a simulated dataset."""
    folder.mkdir()
    columns = ["run", "event", "prs.energy", "ecal.energy", "hcal.energy", "mc.weight"]
    with SkimWriter(folder / SELECTED, columns, ["data", "mc"]) as writer:
        writer.add("data", data)
        writer.add("mc", mc)
    record = {
        "selection": {"content": selection.model_dump(mode="json", by_alias=True)},
        "datasets": {
            "data": {"simulated": False, "blinded": "signal"},
            "mc": {"simulated": True, "blinded": None},
        },
    }
    (folder / RUN).write_text(json.dumps(record))
    return folder


def draw(rng, n, *, box):
    ecal = rng.uniform(0 if box else 47, 90, n).astype(np.float32)
    return {
        "run": np.full(n, 6100, np.uint32),
        "event": np.arange(n, dtype=np.uint64),
        "prs.energy": rng.exponential(2, n).astype(np.float32),
        "ecal.energy": ecal,
        "hcal.energy": np.full(n, 0.2, np.float32),
    }


def test_samples_of_outputs(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(SELECTION)
    rng = np.random.default_rng(4)
    mc = draw(rng, 4000, box=True) | {"mc.weight": np.full(4000, 0.25, np.float32)}
    outside = int(np.count_nonzero(mc["ecal.energy"] >= 47))
    out = write(tmp_path / "out", load_selection(path), draw(rng, 1000, box=False), mc)
    found = compare(out, out, datasets=("data", "mc"), exposures=(1e9, 5e8))
    # The blinded box is taken out of the simulated sample as well.
    assert found.hidden == "signal"
    assert found.second.events == outside
    shapes = {s.variable: s for s in found.shapes}
    assert shapes["ecal.energy"].chi2_p > 0.001
    assert shapes["ecal.energy"].edges[0] >= 47
    ratio = (1000 / 1e9) / (0.25 * outside / 5e8)
    assert found.yields.value == pytest.approx(ratio)
    assert found.yields.statistical == pytest.approx(ratio * np.hypot(1000**-0.5, outside**-0.5))
    # Muon pairs: 15 % [arXiv:2404.06982].
    assert found.yields.systematic == pytest.approx(0.15 * ratio)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["hidden"] == "signal"
    with pytest.raises(InferenceError, match="has the datasets 'data', 'mc'; which of them"):
        compare(out, out)
    with pytest.raises(InferenceError, match=r"'prs\.energi' cannot be compared"):
        compare(out, out, datasets=("data", "mc"), variables=["prs.energi"])
    with pytest.raises(InferenceError, match="is not an output"):
        compare(tmp_path, out)
