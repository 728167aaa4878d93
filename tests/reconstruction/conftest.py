"""A small file with hand-made hits of two run periods, interleaved."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.events import EventBatch, EventWriter, Hits, open_events
from na64reco.setup import load_setup

RUNS = (6100, 6200)  # the second calibration of the central cells is valid from 6150 on
EVENTS = 12


def ragged(counts, **columns) -> Hits:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    size = int(offsets[-1])
    return Hits(
        offsets,
        {
            name: np.resize(np.array(values, dtype=dtype), size)
            for name, (dtype, values) in columns.items()
        },
    )


def make_batch() -> EventBatch:
    """Each event: 3 hits in ECAL and HCAL, photomultipliers, counters; few in the trackers."""
    n = EVENTS
    three, cells = np.full(n, 3), {"ix": ("u1", [2, 2, 1]), "iy": ("u1", [3, 3, 3])}
    pulse = {"amplitude": ("f4", [900.0, 5000.0, 300.0]), "time": ("f4", [0.0])}
    strips = {
        "station": ("u1", [1, 2]),
        "projection": ("u1", [0, 1, 1, 0]),
        "strip": ("u2", [128, 129, 130]),
        "charge": ("f4", [300.0]),
        "time": ("f4", [0.0]),
    }
    return EventBatch(
        {
            "run": np.resize(np.array(RUNS, dtype=np.uint32), n),
            "spill": np.arange(n, dtype=np.uint32),
            "event": np.arange(n, dtype=np.uint64) + 1000,
            "trigger": np.arange(n, dtype=np.uint32) % 8,
            "master_time": np.full(n, 100, dtype=np.float32),
            "MC_process": np.full(n, 5, dtype=np.uint8),
            "MC_weight": np.linspace(0, 1, n, dtype=np.float32),
        },
        {
            "ECAL": ragged(three, section=("u1", [0, 1, 1]), **cells, **pulse),
            "HCAL": ragged(
                three, module=("u1", [0, 1, 3]), ix=("u1", [1]), iy=("u1", [1]), **pulse
            ),
            "SRD": ragged(three, ix=("u1", [0, 1, 2]), **pulse),
            "VETO": ragged(three, ix=("u1", [0, 1, 4]), **pulse),
            "Counter": ragged(three, id=("u1", [1, 2, 3]), **pulse),
            "MM": ragged(np.full(n, 4), **strips),
            "GEM": ragged(np.full(n, 2), **strips),
            "ST": ragged(
                np.full(n, 2),
                station=("u1", [3]),
                projection=("u1", [0, 1]),
                layer=("u1", [0]),
                wire=("u2", [30]),
                time=("f4", [20.0]),
            ),
        },
    )


def write(path, batch, *, without=()):
    kept = {name: hits for name, hits in batch.collections.items() if name not in without}
    scalars = {name: v for name, v in batch.scalars.items() if name not in without}
    fields = {name: tuple(hits.columns) for name, hits in kept.items()}
    with EventWriter(path, collections=fields, scalars=tuple(scalars)) as writer:
        writer.write(EventBatch(scalars, kept))
    return path


@pytest.fixture(scope="session")
def batch():
    return make_batch()


@pytest.fixture(scope="session")
def setup():
    return load_setup("2022-electron")


@pytest.fixture(scope="session")
def path(tmp_path_factory, batch):
    return write(tmp_path_factory.mktemp("hits") / "two_runs.root", batch)


@pytest.fixture(scope="session")
def without(tmp_path_factory, batch):
    """Events of a file that lacks some branches or collections."""

    def make(*names):
        folder = tmp_path_factory.mktemp("without")
        return open_events(write(folder / "events.root", batch, without=names))

    return make


@pytest.fixture
def events(path):
    return open_events(path)
