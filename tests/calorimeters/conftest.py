"""Hand-made hits and conditions, and reference showers of another simulation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calibration import CellConditions
from na64reco.calorimeters import ShowerProfile
from na64reco.events import Hits
from na64reco.setup import load_setup

SAMPLING_FRACTION = 0.1030  # of the reference showers


def flat_conditions(shape, *, scale=0.01, time=0.0, width=1.0, threshold=0.0) -> CellConditions:
    def full(value):
        return np.full(shape, value, dtype=np.float64)

    return CellConditions(full(scale), full(time), full(width), full(threshold))


def make_hits(events, names) -> Hits:
    """Hits from one list of tuples per event, the last two values being amplitude and time."""
    rows = [hit for event in events for hit in event]
    offsets = np.cumsum([0] + [len(event) for event in events]).astype(np.int64)
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in names]
    types = [np.float32 if n in ("amplitude", "time") else np.uint8 for n in names]
    return Hits(
        offsets,
        {n: np.array(c, dtype=t) for n, c, t in zip(names, columns, types, strict=True)},
    )


def dense_hits(energies, conditions, first="section") -> Hits:
    """Hits of dense energies (event, section, ix, iy), all exactly in time."""
    hit = energies > 0
    _, i, j, k = np.nonzero(hit)
    offsets = np.concatenate([[0], np.cumsum(hit.sum(axis=(1, 2, 3)))]).astype(np.int64)
    return Hits(
        offsets,
        {
            first: i.astype(np.uint8),
            "ix": j.astype(np.uint8),
            "iy": k.astype(np.uint8),
            "amplitude": (energies[hit] / conditions.scale[i, j, k]).astype(np.float32),
            "time": conditions.time[i, j, k].astype(np.float32),
        },
    )


def reference_profile() -> dict[str, float]:
    """Fitted to the half of the reference showers that `showers` does not hold."""
    path = Path(__file__).parent / "data" / "egsnrc_profile.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (
        line.removeprefix("profile.").split("=") for line in lines if line.startswith("profile")
    )
    return {name: float(value) for name, value in pairs}


@pytest.fixture(scope="session")
def setup():
    """With 6 x 6 cells, as the reference showers have them."""
    return load_setup("2018-electron")


@pytest.fixture(scope="session")
def parameters():
    return reference_profile()


@pytest.fixture(scope="session")
def profile(parameters):
    return ShowerProfile.from_conditions(parameters)


@pytest.fixture(scope="session")
def conditions(setup, parameters):
    """What the calorimeters need of the conditions."""
    return SimpleNamespace(
        ecal=flat_conditions(setup.ecal.shape, threshold=0.03),
        hcal=flat_conditions(setup.hcal.shape),
        shower_profile=parameters,
    )


@pytest.fixture(scope="session")
def showers():
    """EGSnrc showers: beam energy, impact x and y, energies (event, section, ix, iy) in GeV."""
    path = Path(__file__).parent / "data" / "egsnrc_showers.csv"
    table = np.genfromtxt(path, delimiter=",", filling_values=0.0)
    return SimpleNamespace(
        energy=table[:, 0],
        x=table[:, 1],
        y=table[:, 2],
        cells=table[:, 3:].reshape(-1, 2, 6, 6) * 1e-3 / SAMPLING_FRACTION,
        uniform=table[:, 1] != np.median(table[table[:, 0] < 100, 1]),
    )
