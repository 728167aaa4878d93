"""Tracks are fitted side by side, and none depends on those beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from na64reco.events import open_events
from na64reco.reconstruction import reconstruct_columns
from na64reco.reconstruction.columns import columns_of_group
from na64reco.setup import load_setup

SAMPLES = Path(__file__).parents[2] / "data_samples"


@pytest.mark.parametrize("sample", ["calibration.root", "physics.root", "hadron.root"])
def test_some_events_have_the_bits_that_all_have(sample):
    """Hadrons among them: slow ones turn so far that they are not crossed in vectors."""
    events, setup = open_events(SAMPLES / sample), load_setup("2022-electron")
    columns = columns_of_group("track", "mm", "gem")
    every = reconstruct_columns(events, setup, columns=columns)
    assert np.count_nonzero(every["track.found"]) > 300
    rng = np.random.default_rng(1)
    random = [np.flatnonzero(rng.random(len(events)) < share) for share in (0.7, 0.4, 0.1)]
    for chosen in (*random, np.arange(8, len(events))):  # the last moves all by half a row
        some = reconstruct_columns(events, setup, columns=columns, chosen=chosen)
        for name in columns:
            assert some[name].tobytes() == every[name][chosen].tobytes(), name
