"""Hits that are no numbers change nothing, in whatever detector: not one column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from na64reco.calibration import CellConditions, load_conditions
from na64reco.events import EventBatch, EventWriter, Hits, open_events
from na64reco.reconstruction import COLUMNS, reconstruct_columns
from na64reco.setup import load_setup
from na64reco.simulation.generate import simulate

EVENTS, RUN = 150, 6100
VALUES = {"MM": ("charge", "time"), "GEM": ("charge", "time"), "ST": ("time",)}
"""Of the others: amplitude and time."""


def with_vhcal(setup):
    return setup.model_copy(update={"vhcal": load_setup("2022-muon-152").vhcal})


@pytest.fixture(scope="module")
def conditions(setup):
    shape = (1, 4, 4)
    vhcal = CellConditions(*(np.full(shape, v) for v in (0.01, 0.0, 2.0, 0.05)))
    return replace(load_conditions(setup, RUN), vhcal=vhcal)


@pytest.fixture(scope="module")
def batch(setup):
    """Electrons at full intensity, and three hits in each event in HCAL and VHCAL."""
    made = next(iter(simulate(setup, "electron", EVENTS, seed=8, trigger="beam", run=RUN)))
    rng = np.random.default_rng(9)
    rim = np.array([c for c in np.ndindex(4, 4) if c not in {(1, 1), (1, 2), (2, 1), (2, 2)}])
    size = 3 * EVENTS

    def hits(**cells):
        pulses = {"amplitude": rng.exponential(100, size), "time": rng.normal(0, 5, size)}
        columns = {name: values.astype(np.uint8) for name, values in cells.items()}
        columns |= {name: values.astype(np.float32) for name, values in pulses.items()}
        return Hits(np.arange(EVENTS + 1) * 3, columns)

    ix, iy = rim[rng.integers(0, 12, size)].T
    module, jx, jy = rng.integers(0, (4, 3, 3), (size, 3)).T
    more = {"VHCAL": hits(ix=ix, iy=iy), "HCAL": hits(module=module, ix=jx, iy=jy)}
    return EventBatch(made.scalars, {**made.collections, **more})


def spoiled(hits, fields):
    """Each event's first hits once more, with one value that is no number."""
    index, offsets, rows = [], [0], []
    for event in range(len(hits)):
        own = np.arange(hits.offsets[event], hits.offsets[event + 1])
        index += [*own, *own[:6]]
        rows += [-1] * len(own) + list(range(len(own[:6])))
        offsets.append(len(index))
    columns = {name: values[index].copy() for name, values in hits.columns.items()}
    rows = np.array(rows)
    for row, bad in enumerate((np.nan, np.inf, -np.inf, np.nan, np.inf, -np.inf)):
        field = fields[row // 3 % len(fields)]
        columns[field][rows == row] = bad
    return Hits(np.array(offsets), columns)


def reconstructed(path, batch, setup, conditions):
    fields = {name: tuple(hits.columns) for name, hits in batch.collections.items()}
    with EventWriter(path, collections=fields, scalars=tuple(batch.scalars)) as writer:
        writer.write(batch)
    return reconstruct_columns(open_events(path), setup, conditions=conditions)


@pytest.fixture(scope="module")
def clean(batch, setup, conditions, tmp_path_factory):
    path = tmp_path_factory.mktemp("clean") / "clean.root"
    return reconstructed(path, batch, with_vhcal(setup), conditions)


def test_no_column_changes(batch, clean, setup, conditions, tmp_path):
    """With such hits in all detectors at once; a column that changes tells which one it is."""
    more = {}
    for name, hits in batch.collections.items():
        more[name] = spoiled(hits, VALUES.get(name, ("amplitude", "time")))
        assert more[name].size > hits.size + EVENTS / 4, name
    changed = EventBatch(batch.scalars, more)
    assert {"Counter", "SRD", "ECAL", "HCAL", "VHCAL", "VETO", "MM", "GEM", "ST"} <= set(more)
    found = reconstructed(tmp_path / "bad.root", changed, with_vhcal(setup), conditions)
    assert list(found) == list(clean)
    for column, values in clean.items():
        np.testing.assert_array_equal(found[column], values, err_msg=column)


def test_sums_are_finite(clean):
    """What sums energies is a number in every event, also in those without hits."""
    sums = [
        n
        for n, c in COLUMNS.items()
        if n in clean and c.unit == "GeV" and "expected" not in n and not n.startswith("mc.")
    ]
    assert len(sums) > 25
    for name in sums:
        assert np.isfinite(clean[name]).all(), name
    assert (clean["vhcal.energy"] > 0).mean() > 0.5
