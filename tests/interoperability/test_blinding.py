"""Two samples that differ in the blinded box alone: what is exported is the same, byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from na64reco.events import EventWriter, open_events, read_batch
from na64reco.processors import run
from na64reco.processors.export_events import export_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.report.hepdata import write_submission
from na64reco.setup import load_setup

PHYSICS = Path(__file__).parents[2] / "data_samples" / "physics.root"


def hide(path):
    """The run as if no event of the box had fired the physics trigger; how many there are."""
    events = open_events(PHYSICS)
    columns = reconstruct_columns(
        events, load_setup("2022-electron"), columns=("ecal.energy", "hcal.energy")
    )
    inside = (columns["ecal.energy"] < 47) & (columns["hcal.energy"] < 1)
    batch = read_batch(events)
    batch.scalars["trigger"] = np.where(inside, 2, batch.scalars["trigger"]).astype(np.uint32)
    with EventWriter(path) as writer:
        writer.write(batch)
    return int(inside.sum())


def test_of_a_blinded_box_there_is_nothing(tmp_path):
    assert hide(tmp_path / "physics.root") > 10
    tables, folders = [], []
    for name, path in (("a", PHYSICS), ("b", tmp_path / "physics.root")):
        out = tmp_path / name
        run("electron-invisible-2022", {"data": [path]}, out)
        export_events(out, tmp_path / f"{name}.parquet")
        tables.append(pq.read_table(tmp_path / f"{name}.parquet"))
        found = write_submission([out], tmp_path / f"{name}_hepdata")
        folders.append({p.name: p.read_bytes() for p in found.files})
    assert len(tables[0]) > 500
    assert tables[0].to_pandas().equals(tables[1].to_pandas())  # where NaN is NaN
    assert folders[0] == folders[1]
