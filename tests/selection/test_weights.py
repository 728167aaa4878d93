"""Weighted events against sums by numpy, other libraries and coverage of toys."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from na64reco.errors import DataError, SelectionError
from na64reco.selection import (
    Cutflow,
    apply,
    clopper_pearson,
    count,
    empty_histograms,
    fill_histograms,
)
from na64reco.selection.weights import effective_interval


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(11)
    n = 600
    return {
        "run": rng.choice([6100, 6600], n).astype(np.uint32),
        "spill": rng.integers(1, 5, n).astype(np.uint32),
        "mc.process": np.zeros(n, np.uint8),
        # Sums of few powers of two, over twenty of them.
        "mc.weight": rng.choice([2.0**-6, 0.75, 1.0, 3.0, 64.0, 2.0**14], n).astype(np.float32),
        "trigger.physics": rng.random(n) < 0.9,
        "track.momentum": np.where(rng.random(n) < 0.1, np.nan, rng.normal(100, 7, n)),
        "straw.multiplicity": rng.poisson(3, n),
        "ecal.chi2": rng.exponential(2, n),
        "ecal.energy": rng.uniform(0, 110, n),
        "hcal.energy": np.where(rng.random(n) < 0.5, 0.2, rng.uniform(0, 90, n)),
    }


def process(selection, columns):
    outcome = apply(selection, columns, simulated=True)
    histograms = empty_histograms(selection, weighted=True)
    fill_histograms(histograms, outcome, columns)
    return outcome.cutflow, histograms, count(outcome, columns)


def by_hand(columns):
    """The cuts of the selection `mini`, in numpy alone."""
    chi2_limit = np.where(columns["ecal.energy"] < 10, 2.0, 3.0)
    chi2_limit = np.where(columns["ecal.energy"] >= 20, 4.0, chi2_limit)
    masks = [
        columns["trigger.physics"],
        np.abs(columns["track.momentum"] - 100) <= 10,
        columns["straw.multiplicity"] <= 5,
        columns["ecal.chi2"] <= chi2_limit,
    ]
    return np.logical_and.accumulate(masks)


def test_cutflow_against_numpy(mini, many):
    flow, _, _ = process(mini, many)
    weights = many["mc.weight"].astype(np.float64)
    passed = by_hand(many)
    assert flow.weighted.entered == (weights.sum(), (weights**2).sum())
    assert flow.weighted.passed == tuple(
        (weights[m].sum(), (weights[m] ** 2).sum()) for m in passed
    )
    limit = np.where(many["run"] < 6500, 50, 47)
    box = passed[-1] & (many["ecal.energy"] < limit) & (many["hcal.energy"] < 1)
    assert flow.weighted.regions[0] == (weights[box].sum(), (weights[box] ** 2).sum())
    row = flow.rows()[2]
    assert row["passed"] == np.count_nonzero(passed[2])
    assert row["weighted"]["passed"] == weights[passed[2]].sum()
    assert row["weighted"]["total"] == weights[passed[1]].sum()
    assert row["weighted"]["low"] < row["weighted"]["efficiency"] < row["weighted"]["high"]
    assert Cutflow.from_json(json.loads(json.dumps(flow.to_json()))) == flow


def test_histograms_are_read_back_with_uproot(mini, many, tmp_path):
    _, histograms, _ = process(mini, many)
    with uproot.recreate(tmp_path / "h.root") as file:
        for name, histogram in histograms.items():
            file[name] = histogram
    weights = many["mc.weight"].astype(np.float64)
    axes = {"bins": (11, 10), "range": ((0, 110), (0, 100))}
    with uproot.open(tmp_path / "h.root") as file:
        read = file["ecal_hcal__all"]
        assert read.classname == "TH2D"
        chosen = by_hand(many)[-1]
        x, y = many["ecal.energy"][chosen], many["hcal.energy"][chosen]
        for power, found in ((1, read.values()), (2, read.variances())):
            expected, _, _ = np.histogram2d(x, y, weights=weights[chosen] ** power, **axes)
            np.testing.assert_array_equal(found, expected)


def test_data_keep_exact_counts(mini, columns):
    histograms = empty_histograms(mini)
    outcome = apply(mini, columns)
    fill_histograms(histograms, outcome, columns)
    assert outcome.weights is None
    assert outcome.cutflow.weighted is None
    assert "weighted" not in outcome.cutflow.rows()[0]
    assert {h.storage_type.__name__ for h in histograms.values()} == {"Double"}


def test_any_chunks_in_any_order_give_the_same_bits(mini, many):
    flow, histograms, counts = process(mini, many)

    @given(st.lists(st.integers(0, 600), max_size=5), st.randoms())
    def check(edges, random):
        parts = [
            process(mini, {name: array[a:b] for name, array in many.items()})
            for a, b in pairwise([0, *sorted(edges), 600])
        ]
        random.shuffle(parts)
        assert sum((p[0] for p in parts), Cutflow()) == flow
        assert sum(p[2] for p in parts).to_json() == counts.to_json()
        for name, histogram in histograms.items():
            assert (
                sum(p[1][name] for p in parts[1:]) + parts[0][1][name] == histogram
                if len(parts) > 1
                else parts[0][1][name] == histogram
            )

    check()


def test_a_weight_of_two_is_two_events(mini, many):
    doubled = {name: np.concatenate([array, array]) for name, array in many.items()}
    doubled["mc.weight"] = np.ones(1200, np.float32)
    many = many | {"mc.weight": np.full(600, 2, np.float32)}
    one, two = process(mini, many)[0], process(mini, doubled)[0]
    assert [w for w, _ in one.weighted.passed] == [w for w, _ in two.weighted.passed]


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_impossible_weights(mini, many, bad):
    weights = many["mc.weight"].copy()
    weights[7] = bad
    with pytest.raises(DataError, match=r"1 of 600 events have an impossible mc.weight .* row 7"):
        apply(mini, many | {"mc.weight": weights}, simulated=True)


def test_histograms_that_were_not_made_for_weights(mini, many):
    outcome = apply(mini, many, simulated=True)
    with pytest.raises(SelectionError, match="weighted=True"):
        fill_histograms(empty_histograms(mini), outcome, many)


def test_data_and_simulation_do_not_add_up(mini, many, columns):
    simulated = process(mini, many)[0]
    with pytest.raises(SelectionError, match="A cutflow of data and one of weighted simulated"):
        simulated + apply(mini, columns).cutflow


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.25, 1.0, 8.0]))
def test_equal_weights_have_the_interval_of_counts(k, more, w):
    n = k + more
    if n == 0:
        assert effective_interval((0, 0), (0, 0), cl=0.9) == (0.0, 1.0)
        return
    found = effective_interval((w * k, w * w * k), (w * n, w * w * n), cl=0.9)
    assert found == pytest.approx(clopper_pearson(k, n, cl=0.9), abs=1e-9)


def test_coverage_with_very_different_weights():
    # Of 300 events a third weigh 8, and pass more often. The variance of the ratio in closed form
    # is that of a sum of binomials.
    rng = np.random.default_rng(4)
    toys, light, heavy = 3000, 200, 100
    truth = (light * 0.3 + 8 * heavy * 0.7) / (light + 8 * heavy)
    a, b = rng.binomial(light, 0.3, toys), rng.binomial(heavy, 0.7, toys)
    total = (light + 8.0 * heavy, light + 64.0 * heavy)
    covered = 0
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        low, high = effective_interval((x + 8.0 * y, x + 64.0 * y), total, cl=0.6827)
        covered += low <= truth <= high
    # Clopper-Pearson covers a little more than it says.
    assert 0.66 < covered / toys < 0.74
