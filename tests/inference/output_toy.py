"""Output folders of `na64reco run` with events whose distributions are known."""

from __future__ import annotations

import json

import numpy as np

from na64reco.processors.record import digest_of
from na64reco.processors.skim import SkimWriter
from na64reco.selection import load_selection


def falling(rng, count, low, high, slope):
    """Energies from exp(slope x) between two ends, by inversion."""
    share = 1 - np.exp(-slope * (high - low))
    return high + np.log(1 - rng.random(count) * share) / slope


def data_events(rng, *, edge=47.0, top=90.0, slope=0.125, sideband=90, punch=0, box=0, run=6100):
    """Sideband A falls exponentially; sideband C is flat in the HCAL; the box holds `box`."""
    hidden = np.random.default_rng(99)  # the rest is the same whatever the box holds
    ecal = np.concatenate(
        [
            falling(rng, sideband, edge, top, slope),
            rng.uniform(1, edge, punch),
            hidden.uniform(1, edge - 1, box),
        ]
    )
    hcal = np.concatenate(
        [
            rng.uniform(0.0, 0.5, sideband),
            rng.uniform(1.0, 41.0, punch),
            hidden.uniform(0.0, 0.9, box),
        ]
    )
    return {"ecal.energy": ecal, "hcal.energy": hcal, "run": np.full(len(ecal), run)}


def write_output(
    folder, datasets, *, selection="electron-invisible-2022", simulated=(), frozen=None
):
    """An output folder with these columns per dataset."""
    folder.mkdir(parents=True)
    chosen = selection if not isinstance(selection, str) else load_selection(selection)
    columns = ["run", "ecal.energy", "hcal.energy"]
    columns += ["mc.weight"] if simulated else []
    with SkimWriter(folder / "selected.root", columns, list(datasets)) as writer:
        for name, content in datasets.items():
            writer.add(name, content)
    plain = chosen.model_dump(mode="json", by_alias=True)
    record = {
        "selection": {"name": chosen.name, "sha256": digest_of(plain), "content": plain},
        "setup": {"name": chosen.setup},
        "blinding": {
            "region": chosen.blind,
            "unblinded": frozen is not None,
            "frozen_box": frozen,
        },
        "datasets": {n: {"simulated": n in simulated} for n in datasets},
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder
