"""Events for the tests, drawn at random and independent of the simulation."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.events import COLLECTIONS, SCALARS, EventBatch, EventWriter, Hits

MULTIPLICITY = {"Counter": 4, "ECAL": 8, "HCAL": 6, "SRD": 2, "VETO": 3, "MM": 7, "GEM": 3, "ST": 5}


def make_batch(events=50, *, first=0, run=6100, seed=1, samples=False, multiplicity=None):
    """Random content that fits the 2022-electron setup; some events have no hits."""
    rng = np.random.default_rng([seed, first])

    def values(name, column, size):
        if column.dtype.kind == "f":
            return rng.normal(100, 20, (size, *column.shape)).astype(column.dtype)
        # Stations of each technology there are numbered differently; 3 is a straw station.
        low, high = {"station": (1, 3), "id": (1, 4)}.get(name, (0, 2))
        return rng.integers(low, high, (size, *column.shape)).astype(column.dtype)

    scalars = {name: values(name, column, events) for name, column in SCALARS.items()}
    scalars["run"][:] = run
    scalars["event"] = np.arange(first, first + events, dtype=np.uint64)
    scalars["trigger"][:] = 1
    collections = {}
    for name, mean in (multiplicity or MULTIPLICITY).items():
        offsets = np.zeros(events + 1, dtype=np.int64)
        np.cumsum(rng.poisson(mean, events), out=offsets[1:])
        fields = {f: c for f, c in COLLECTIONS[name].items() if samples or f != "samples"}
        columns = {f: values(f, c, int(offsets[-1])) for f, c in fields.items()}
        if name == "ST":
            columns["station"] += 2
        collections[name] = Hits(offsets, columns)
    return EventBatch(scalars, collections)


@pytest.fixture(scope="session")
def make():
    return make_batch


@pytest.fixture(scope="session")
def batch():
    return make_batch(120)


@pytest.fixture(scope="session")
def written(tmp_path_factory, batch):
    """The batch in both formats, two clusters; do not change these files."""
    folder = tmp_path_factory.mktemp("written")
    paths = {}
    for file_format in ("ttree", "rntuple"):
        paths[file_format] = folder / f"{file_format}.root"
        with EventWriter(
            paths[file_format], format=file_format, cluster_size=70, metadata={"seed": "7"}
        ) as writer:
            writer.write(batch)
    return paths
