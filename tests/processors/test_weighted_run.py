"""Weights of simulated events through the main job."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from na64reco.events import EventWriter
from na64reco.processors import run


@pytest.fixture(scope="module")
def weighted(tmp_path_factory, truths, batch_of):
    """Files and the weights in them, of a range over which float32 sums would be wrong."""
    folder = tmp_path_factory.mktemp("weighted")
    rng = np.random.default_rng(21)
    paths, weights = [], []
    for i, truth in enumerate(truths):
        batch = batch_of(truth, simulated=True)
        weights.append(rng.choice([2.0**-8, 0.5, 1.0, 3.0, 2.0**20], len(truth.event)))
        batch.scalars["MC_weight"] = weights[-1].astype(np.float32)
        paths.append(folder / f"{i}.root")
        with EventWriter(paths[-1]) as writer:
            writer.write(batch)
    return paths, np.concatenate(weights)


def content(out):
    with uproot.open(out / "histograms.root") as file:
        histograms = {
            name: (
                file[name].values(flow=True).tobytes(),
                file[name].variances(flow=True).tobytes(),
            )
            for name in file.keys(cycle=False, filter_classname="TH*")
        }
    return histograms, *((out / f"{n}.json").read_text() for n in ("cutflow", "counts"))


def test_against_sums_by_hand(tmp_path, selection_path, weighted, joined):
    paths, weights = weighted
    out = run(selection_path, paths, tmp_path / "out").out
    passed = np.logical_and.accumulate(joined.cut_masks())
    rows = json.loads((out / "cutflow.json").read_text())["events"]
    for row, mask in zip(rows, passed, strict=True):
        assert row["passed"] == np.count_nonzero(mask)
        assert row["weighted"]["passed"] == weights[mask].sum()
        assert row["weighted"]["low"] <= row["weighted"]["efficiency"] <= row["weighted"]["high"]
    with uproot.open(out / "histograms.root") as file:
        found = file["events/ecal_hcal__all"]
        x, y = joined.ecal[passed[-1]], joined.hcal[passed[-1]]
        for power, read in ((1, found.values()), (2, found.variances())):
            expected, _, _ = np.histogram2d(
                x, y, bins=60, range=[[0, 120], [0, 120]], weights=weights[passed[-1]] ** power
            )
            np.testing.assert_array_equal(read, expected)
    with uproot.open(out / "selected.root") as file:
        skim = file["Events"].arrays(["event", "mc_weight"], library="np")
    np.testing.assert_array_equal(skim["mc_weight"], weights[skim["event"].astype(int)])


def test_neither_order_nor_chunks_change_a_bit(tmp_path, selection_path, weighted):
    paths, _ = weighted
    whole = content(run(selection_path, paths, tmp_path / "whole").out)
    other = content(run(selection_path, paths[::-1], tmp_path / "other", chunk_size=97).out)
    assert whole == other
