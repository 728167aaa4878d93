"""The tracking against the published resolution of the same chambers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.events import open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.setup import load_setup
from na64reco.simulation import write_simulation

if TYPE_CHECKING:
    from pathlib import Path


def test_four_micromegas_alone_resolve_as_published(tmp_path: Path) -> None:
    """1.1 %: D. Banerjee et al., Nucl. Instrum. Meth. A 881 (2018) 72, four modules, 100 GeV/c.

    With the GEM besides, the setups reach 0.93-0.95 %.
    """
    setup = load_setup("2022-electron")
    path = tmp_path / "electrons.root"
    write_simulation(path, setup, "electron", 4000, seed=5, trigger="beam", intensity=1e4)
    main = setup.spectrometers["main"].model_copy(update={"downstream": ("MM3", "MM4")})
    columns = reconstruct_columns(
        open_events(path), setup.model_copy(update={"spectrometers": {"main": main}})
    )
    found = columns["track.found"]
    ratio = columns["track.momentum"][found] / columns["mc.momentum"][found]
    low, high = np.percentile(ratio, [15.865, 84.135])
    assert 0.0105 < (high - low) / 2 < 0.0125
