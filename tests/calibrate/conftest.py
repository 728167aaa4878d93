from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from na64reco.events import EventWriter
from na64reco.events.columns import Hits
from na64reco.setup import Setup, load_setup
from na64reco.simulation.detector import Detector, load_detector
from na64reco.simulation.generate import simulate

if TYPE_CHECKING:
    from pathlib import Path

AXES = {
    "ECAL": ("section", "ix", "iy"),
    "HCAL": ("module", "ix", "iy"),
    "SRD": ("ix",),
    "VETO": ("ix",),
    "Counter": ("id",),
}
SPILL = 4.8


@dataclass(frozen=True)
class Distorted:
    """A simulated file whose gains were changed by factors that only the test knows."""

    path: Path
    setup: Setup
    detector: Detector
    gain: dict[str, np.ndarray]
    """Factors on the gains by collection."""

    def scale(self, collection: str) -> np.ndarray:
        """True GeV per count."""
        true = getattr(self.detector, {"Counter": "counters"}.get(collection, collection.lower()))
        with np.errstate(divide="ignore"):
            return 1 / (true.gain * self.gain[collection])

    def drift(self, spill, spill_time):
        """Gain over its mean: 5 % within a spill, less than 1 % from spill to spill."""
        return drift(spill, spill_time)


def drift(spill, spill_time):
    within = 0.05 * (np.sqrt(np.asarray(spill_time) / SPILL) - 2 / 3)
    return (1 + within) * (1 + 0.008 * np.sin(2.0 * np.asarray(spill, float)))


def distort(path, setup, process, n, *, seed, trigger, gain, intensity=None, run=None, drifts=True):
    """Write simulated events with amplitudes multiplied by ``gain`` and, in the ECAL, the drift."""
    rng = np.random.default_rng(seed + 1000)
    with EventWriter(path) as writer:
        for batch in simulate(
            setup, process, n, seed=seed, trigger=trigger, intensity=intensity, run=run
        ):
            time = np.sort(rng.uniform(0, SPILL, len(batch)))
            batch.scalars["spill_time"] = time.astype(np.float32)
            for name, factors in gain.items():
                hits = batch.collections[name]
                index = tuple(hits[axis] for axis in AXES[name])
                amplitude = hits["amplitude"] * factors[index]
                if name == "ECAL" and drifts:
                    amplitude *= np.repeat(drift(batch.scalars["spill"], time), hits.counts)
                columns = {**hits.columns, "amplitude": amplitude.astype(np.float32)}
                batch.collections[name] = Hits(hits.offsets, columns)
            writer.write(batch)


def random_gains(seed, **shapes):
    rng = np.random.default_rng(seed)
    return {
        name: 1 + 0.2 * np.clip(rng.standard_normal(shape), -2, 2) for name, shape in shapes.items()
    }


@pytest.fixture(scope="session")
def setup() -> Setup:
    return load_setup("2022-electron")


@pytest.fixture(scope="session")
def electrons(setup, tmp_path_factory) -> Distorted:
    """20000 electrons of 100 GeV at full intensity, in five spills."""
    detector = load_detector(setup)
    gain = random_gains(
        11, ECAL=detector.ecal.gain.shape, SRD=detector.srd.gain.shape, Counter=(16,)
    )
    path = tmp_path_factory.mktemp("electrons") / "electrons.root"
    distort(path, setup, "electron", 20_000, seed=21, trigger="beam", gain=gain, run=6100)
    return Distorted(path, setup, detector, gain)


@pytest.fixture(scope="session")
def muons(setup, tmp_path_factory) -> Distorted:
    """10000 muons."""
    detector = load_detector(setup)
    gain = random_gains(
        12,
        HCAL=detector.hcal.gain.shape,
        VETO=detector.veto.gain.shape,
        Counter=(16,),
    )
    path = tmp_path_factory.mktemp("muons") / "muons.root"
    distort(path, setup, "muon", 10_000, seed=22, trigger="none", gain=gain, run=6100)
    return Distorted(path, setup, detector, gain)
