from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from coffea.processor import accumulate
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from na64reco.errors import SelectionError
from na64reco.selection import Cutflow, apply, clopper_pearson, empty_histograms, fill_histograms

FLOW = Cutflow(
    cuts=("a", "b"), entered=10, passed=(8, 4), alone=(8, 5), others=(5, 8), regions=(("box", 1),)
)


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.05, 0.999))
def test_interval_against_scipy(k, more, cl):
    n = k + more
    if n == 0:
        assert clopper_pearson(0, 0, cl=cl) == (0.0, 1.0)
        return
    expected = binomtest(k, n).proportion_ci(confidence_level=cl, method="exact")
    assert clopper_pearson(k, n, cl=cl) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_interval_of_zero_in_closed_form():
    # No event of n: the upper limit u solves (1 - u)**n = (1 - cl) / 2.
    low, high = clopper_pearson(0, 20, cl=0.9)
    assert low == 0.0
    assert (1 - high) ** 20 == pytest.approx(0.05)
    assert clopper_pearson(20, 20, cl=0.9) == pytest.approx((1 - high, 1.0))


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_interval_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match=rf"passed = {k} does not lie between 0 and total = {n}"):
        clopper_pearson(k, n)
    with pytest.raises(ValueError, match=r"must lie between 0 and 1, found 68\.27"):
        clopper_pearson(1, 2, cl=68.27)


def test_rows():
    first, second = FLOW.rows()
    low, high = binomtest(4, 8).proportion_ci(confidence_level=0.6827, method="exact")
    assert first["total"] == 10
    assert second == {
        "cut": "b",
        "passed": 4,
        "total": 8,
        "efficiency": 0.5,
        "low": pytest.approx(low),
        "high": pytest.approx(high),
    }
    assert [row["total"] for row in FLOW.cumulative_rows()] == [10, 10]
    assert [(row["passed"], row["total"]) for row in FLOW.n_minus_1_rows()] == [(4, 5), (4, 8)]
    assert FLOW.region_rows()[0]["region"] == "box"
    assert FLOW.region_rows()[0]["efficiency"] == 0.25
    assert FLOW.rows(cl=0.95)[1]["low"] < low


def test_row_of_a_cut_that_nothing_reached_is_plain_json():
    row = Cutflow(("a",), 0, (0,), (0,), (0,)).rows()[0]
    assert json.loads(json.dumps(row, allow_nan=False))["efficiency"] is None
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_addition():
    assert Cutflow() + FLOW == FLOW
    assert FLOW + Cutflow() == FLOW
    both = FLOW + FLOW
    assert (both.entered, both.passed, both.regions) == (20, (16, 8), (("box", 2),))
    assert sum([FLOW, FLOW]) == both
    # coffea's own way of merging what its workers return
    assert accumulate([{"x": Cutflow()}, {"x": FLOW}, {"x": FLOW}]) == {"x": both}
    with pytest.raises(SelectionError, match=r"cannot be added: cuts \['a', 'b'\] .* \['c'\]"):
        FLOW + Cutflow(("c",), 1, (1,), (1,), (1,))
    with pytest.raises(TypeError):
        FLOW + 1


def test_hidden_plus_anything_is_hidden():
    hidden = Cutflow(("a", "b"), 10, (8, 4), (8, 5), (5, 8), (("box", None),))
    assert (hidden + FLOW).regions == (("box", None),)
    assert (FLOW + hidden).regions == (("box", None),)
    assert hidden.region_rows()[0] == {
        "region": "box",
        "passed": None,
        "total": 4,
        "efficiency": None,
        "low": None,
        "high": None,
    }


def test_json_round_trip():
    assert Cutflow.from_json(json.loads(json.dumps(FLOW.to_json()))) == FLOW


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(5)
    n = 400
    return {
        "run": rng.choice([6100, 6600], n).astype(np.uint32),
        "trigger.physics": rng.random(n) < 0.9,
        "track.momentum": np.where(rng.random(n) < 0.1, np.nan, rng.normal(100, 7, n)),
        "straw.multiplicity": rng.poisson(3, n),
        "ecal.chi2": rng.exponential(2, n),
        "ecal.energy": rng.uniform(0, 110, n),
        "hcal.energy": np.where(rng.random(n) < 0.5, 0.2, rng.uniform(0, 90, n)),
    }


def process(selection, columns):
    outcome = apply(selection, columns)
    histograms = empty_histograms(selection)
    fill_histograms(histograms, outcome, columns)
    return {"cutflow": outcome.cutflow, "histograms": histograms}


def test_any_chunks_in_any_order_give_the_same(mini, many):
    whole = process(mini, many)
    assert 0 < whole["cutflow"].selected < whole["cutflow"].entered < 400

    @given(st.lists(st.integers(0, 400), max_size=5), st.randoms())
    def check(edges, random):
        edges = [0, *sorted(edges), 400]
        parts = [
            process(mini, {name: array[a:b] for name, array in many.items()})
            for a, b in pairwise(edges)
        ]
        random.shuffle(parts)
        merged = accumulate(parts)
        assert merged["cutflow"] == whole["cutflow"]
        for name, histogram in whole["histograms"].items():
            assert merged["histograms"][name] == histogram

    check()
