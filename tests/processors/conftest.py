"""Hit files whose energies are known, made with the conditions' constants and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from na64reco.calibration import load_conditions
from na64reco.calorimeters import ShowerProfile
from na64reco.calorimeters.hidden import ENERGIES, hidden_energy
from na64reco.events import EventBatch, EventWriter, Hits
from na64reco.setup import load_setup

SETUP = load_setup("2022-electron")
RUN = 6100

SELECTION = """\
name: known
title: energies that are known
setup: 2022-electron
blind: signal
cuts:
  - {name: trigger, variable: trigger.physics}
  - {name: quality, variable: quality.good}
  - {name: PRS, variable: prs.energy, min: 0.5}
  - {name: total, variable: calo.energy, window: [0.0, 130.0]}
regions:
  signal: {ecal.energy: [null, 50.0], hcal.energy: [null, 1.0]}
  sideband: {ecal.energy: [50.0, 90.0], hcal.energy: [null, 1.0]}
  hadrons: {calo.energy: [80.0, 120.0], hcal.energy: [1.0, null]}
histograms:
  ecal_hcal:
    axes:
      - {variable: ecal.energy, bins: 60, range: [0, 120]}
      - {variable: hcal.energy, bins: 60, range: [0, 120]}
    at: [none, all]
  ecal: {axes: [{variable: ecal.energy, bins: 60, range: [0, 120]}], at: [none, PRS, all]}
"""


@dataclass(frozen=True)
class Truth:
    """What was put into the events, each of shape (events,)."""

    event: np.ndarray
    physics: np.ndarray
    prs: np.ndarray
    ecal: np.ndarray
    hcal: np.ndarray

    def __getitem__(self, where):
        return Truth(*(getattr(self, name)[where] for name in self.__dataclass_fields__))

    @property
    def in_box(self):
        return (self.ecal < 50) & (self.hcal < 1)

    def cut_masks(self):
        """The cuts of SELECTION, by hand."""
        return [
            self.physics,
            np.ones(len(self.event), bool),
            self.prs >= 0.5,
            self.ecal + self.hcal <= 130,
        ]

    def passed(self, *, visible):
        return [
            int(np.count_nonzero(np.logical_and.reduce([visible, *self.cut_masks()[: i + 1]])))
            for i in range(4)
        ]


def draw_truth(events, *, first=0, seed=1):
    """Energies well away from every limit, so that rounding moves no event over one."""
    rng = np.random.default_rng([seed, first])

    def away(values, *limits):
        for limit in limits:
            values = np.where(np.abs(values - limit) < 0.05, limit + 0.2, values)
        return values

    hcal = np.where(rng.random(events) < 0.6, 0.3, away(rng.uniform(1.2, 60, events)))
    ecal = away(rng.uniform(2, 118, events), 50, 90)
    prs = np.where(rng.random(events) < 0.2, 0.3, 1.1)
    total = ecal + hcal
    for limit in (80, 120, 130):
        ecal = np.where(np.abs(total - limit) < 0.05, ecal + 0.15, ecal)
        total = ecal + hcal
    return Truth(
        np.arange(first, first + events, dtype=np.uint64),
        rng.random(events) < 0.9,
        prs,
        ecal,
        hcal,
    )


def _hidden(energy, conditions):
    """What `ecal.energy` adds for cells below threshold, which the events here do not have."""
    profile = ShowerProfile.from_conditions(conditions.shower_profile)
    table = hidden_energy(profile, SETUP.ecal, conditions.ecal.threshold)
    hidden = 0.0
    for _ in range(3):
        hidden = np.interp(np.log(energy - hidden), np.log(ENERGIES), table)
    return hidden


def _cells(conditions, section, ix, iy, energy, names):
    """One hit per event in one cell of one section or several."""
    events = len(energy[0])
    counts = len(section)
    number = np.tile(np.asarray(section, np.uint8), events)
    columns = {
        names[0]: number,
        "ix": np.full(events * counts, ix, np.uint8),
        "iy": np.full(events * counts, iy, np.uint8),
        "amplitude": (np.stack(energy, 1) / conditions.scale[section, ix, iy])
        .reshape(-1)
        .astype(np.float32),
        "time": np.tile(conditions.time[section, ix, iy], events).astype(np.float32),
    }
    return Hits(np.arange(events + 1, dtype=np.int64) * counts, columns)


def make_batch(truth, *, run=RUN, simulated=False):
    conditions = load_conditions(SETUP, RUN)
    events = len(truth.event)
    scalars = {
        "run": np.full(events, run, np.uint32),
        "spill": (1 + truth.event // 100).astype(np.uint32),
        "event": truth.event,
        "trigger": truth.physics.astype(np.uint32),
        "master_time": np.full(events, SETUP.trigger.master_time, np.float32),
    }
    if simulated:
        scalars["MC_process"] = np.zeros(events, np.uint8)
        scalars["MC_weight"] = np.ones(events, np.float32)
    ix, iy = SETUP.ecal.beam_cell
    visible = truth.ecal - _hidden(truth.ecal, conditions)
    ecal = _cells(conditions.ecal, [0, 1], ix, iy, [truth.prs, visible - truth.prs], ["section"])
    hcal = _cells(conditions.hcal, [0], 1, 1, [truth.hcal], ["module"])
    return EventBatch(scalars, {"ECAL": ecal, "HCAL": hcal})


def write(path, truth, *, run=RUN, simulated=False, **options):
    with EventWriter(path, **options) as writer:
        writer.write(make_batch(truth, run=run, simulated=simulated))
    return path


@pytest.fixture(scope="session")
def selection_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("selection") / "known.yaml"
    path.write_text(SELECTION)
    return path


@pytest.fixture(scope="session")
def truths():
    """Of three files, consecutive events of one run."""
    return [draw_truth(n, first=first) for n, first in ((700, 0), (500, 700), (333, 1200))]


@pytest.fixture(scope="session")
def data_files(tmp_path_factory, truths):
    folder = tmp_path_factory.mktemp("data")
    return [
        write(folder / f"run_6100_{i}.root", truth, format="rntuple" if i == 1 else "ttree")
        for i, truth in enumerate(truths)
    ]


@pytest.fixture(scope="session")
def simulated_files(tmp_path_factory, truths):
    folder = tmp_path_factory.mktemp("simulated")
    return [write(folder / f"mc_{i}.root", truth, simulated=True) for i, truth in enumerate(truths)]


@pytest.fixture(scope="session")
def joined(truths):
    """The truth of all three files."""
    return Truth(
        *(np.concatenate([getattr(t, name) for t in truths]) for name in Truth.__dataclass_fields__)
    )


@pytest.fixture(scope="session")
def write_file():
    return write


@pytest.fixture(scope="session")
def batch_of():
    return make_batch
