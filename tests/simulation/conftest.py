from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.events.columns import EventBatch, concatenate
from na64reco.setup import load_setup
from na64reco.simulation import load_detector, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from na64reco.setup import Setup
    from na64reco.simulation import Detector
    from na64reco.simulation.detector import Channels

SHAPES = {
    "ECAL": ("section", "ix", "iy"),
    "HCAL": ("module", "ix", "iy"),
    "VETO": ("ix",),
    "SRD": ("ix",),
}


@pytest.fixture(scope="session")
def setup() -> Setup:
    return load_setup("2022-electron")


@pytest.fixture(scope="session")
def detector(setup: Setup) -> Detector:
    return load_detector(setup)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240411)


@pytest.fixture(scope="session")
def events(setup: Setup) -> Callable[..., EventBatch]:
    """Simulated events in one batch; the same arguments give the same object."""
    made: dict[object, EventBatch] = {}

    def make(process: str, n: int, *, where: Setup = setup, **options: object) -> EventBatch:
        key = (where.name, where.beam.momentum, process, n, *sorted(options.items()))
        if key not in made:
            defaults = {"seed": 5, "trigger": "beam", "intensity": 0.0}
            made[key] = concatenate(list(simulate(where, process, n, **(defaults | options))))
        return made[key]

    return make


def in_time(
    batch: EventBatch, name: str, channels: Channels, *, within: float = 25.0
) -> NDArray[np.float64]:
    """Energies by event and channel with the true constants."""
    hits = batch.collections[name]
    index = tuple(hits[key].astype(int) for key in SHAPES[name])
    late = np.abs(hits["time"] - channels.time_offset[index]) > within
    energy = np.where(late, 0, hits["amplitude"] / channels.gain[index])
    dense = np.zeros((len(batch), *channels.gain.shape))
    np.add.at(dense, (hits.event_index(), *index), energy)
    return dense


@pytest.fixture(scope="session")
def dense() -> Callable[..., NDArray[np.float64]]:
    return in_time
