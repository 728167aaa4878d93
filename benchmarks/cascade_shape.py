"""The shape cut on showers of the cascade: half of them fit the profile, the other half is judged.

`python -m benchmarks.cascade_shape`, about ten minutes on one core. The cascade shares nothing with
the profile, and can be asked for as many showers as the question needs.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from na64reco.calibrate.profile_fit import ShowerSample, fit_profile
from na64reco.calorimeters import ShowerProfile, shower_chi2
from na64reco.calorimeters.shape import published_cut
from na64reco.cascade import Stack, simulate_cascade
from na64reco.cascade.shower import Cells
from na64reco.setup import load_setup

_START = Path(__file__).parents[1] / "tests" / "calorimeters" / "data" / "egsnrc_profile.txt"
_ELECTRONS = {100.0: 3000, 50.0: 800, 20.0: 1000, 10.0: 1000}
_PHOTONS = (50.0, 600)
_CELL = 3.82  # cm
_THRESHOLD = 0.01  # GeV
_TRACK_ERROR = 0.3  # mm
_BANDS = (0.0, 2.0, 4.0, 7.0, 11.0, 19.1)  # mm from the cell's edge


class _Showers(NamedTuple):
    cells: np.ndarray
    x: np.ndarray
    y: np.ndarray
    beam: np.ndarray

    def part(self, chosen: slice) -> _Showers:
        return _Showers(*(values[chosen] for values in self))


def _simulate(energy: float, showers: int, particle: str, random: np.random.Generator) -> _Showers:
    """100 GeV all over the beam cell, the rest at its centre."""
    stack = Stack.sandwich(
        [("lead", 0.15), ("polystyrene", 0.15)],
        150,
        densities={"polystyrene": 1.03},
        half_width=3 * _CELL,
    )
    section = np.repeat((np.arange(150) >= 16).astype(int), 2)
    seen = np.tile([False, True], 150)
    points = np.full((showers, 2), _CELL / 2)
    if energy == 100.0:
        points = random.uniform(0, _CELL, (showers, 2))
    result = simulate_cascade(
        stack,
        energy,
        showers,
        particle=particle,
        seed=int(energy),
        cut=1e-3,
        production_cut=1e-3,
        points=points,
        cells=Cells(section, seen, _CELL, 6, 6),
    )
    x, y = 10 * points.T
    return _Showers(result.cells, x, y, np.full(showers, energy))


def _read_out(showers: _Showers, sampling: float, random: np.random.Generator) -> _Showers:
    """As in the tests with EGSnrc: gains to 0.3 %, noise, 14 bits, zero suppression, tracks."""
    count = np.array([20.0, 100.0])[:, None, None] / 16383
    cells = showers.cells / sampling * (1 + random.normal(0, 0.003, showers.cells.shape[1:]))
    cells = np.round((cells + 0.35 * count * random.normal(size=cells.shape)) / count) * count
    cells[cells < _THRESHOLD] = 0
    x, y = (at + random.normal(0, _TRACK_ERROR, at.shape) for at in (showers.x, showers.y))
    return _Showers(cells, x, y, showers.beam)


def _share(kept: np.ndarray) -> tuple[float, float]:
    return float(kept.mean()), float(kept.std() / np.sqrt(len(kept)))


def main() -> None:
    """Print the shares that are kept, with their errors."""
    random = np.random.default_rng(77)
    made = {e: _simulate(e, n, "electron", random) for e, n in _ELECTRONS.items()}
    photons = _simulate(*_PHOTONS, "photon", random)
    sampling = float(made[100.0].cells.sum(axis=(1, 2, 3)).mean() / 100)
    ecal = load_setup("2018-electron").ecal
    threshold = np.full(ecal.shape, _THRESHOLD)
    read = {e: _read_out(showers, sampling, random) for e, showers in made.items()}
    photons = _read_out(photons, sampling, random)
    pairs = (
        line.removeprefix("profile.").split("=")
        for line in _START.read_text(encoding="utf-8").splitlines()
        if line.startswith("profile.")
    )
    start = ShowerProfile.from_conditions({name: float(value) for name, value in pairs})
    even = [showers.part(slice(0, None, 2)) for showers in read.values()]
    sample = ShowerSample(*(np.concatenate(c) for c in zip(*even, strict=True)), threshold)
    profile = fit_profile(sample, ecal, start).profile

    def keep(showers: _Showers) -> np.ndarray:
        chi2 = shower_chi2(showers.cells, showers.x, showers.y, profile, ecal, threshold)
        cut = np.array([published_cut(e) for e in showers.cells.sum(axis=(1, 2, 3))])
        return chi2 < cut

    odd = {e: showers.part(slice(1, None, 2)) for e, showers in read.items()}
    found = {f"electrons of {e:g} GeV": _share(keep(showers)) for e, showers in odd.items()}
    full = odd[100.0]
    middle = 5 * _CELL
    away = middle - np.maximum(
        *(np.abs(made[100.0].part(slice(1, None, 2))[k] - middle) for k in (1, 2))
    )
    for low, high in pairwise(_BANDS):
        inside = (away >= low) & (away < high)
        found[f"100 GeV, {low:g} to {high:g} mm from the edge"] = _share(keep(full)[inside])
    early = photons.cells[:, 0].sum(axis=(1, 2)) > 0.5
    found["photons of 50 GeV, preshower above 0.5 GeV"] = _share(keep(photons)[early])
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
