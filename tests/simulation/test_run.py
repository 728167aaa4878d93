"""A whole beam: triggers, scalers, weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import uproot

from na64reco.errors import FileFormatError
from na64reco.events import open_events
from na64reco.events.columns import concatenate
from na64reco.events.schema import PROCESSES as CODES
from na64reco.reconstruction import reconstruct_columns
from na64reco.simulation import simulate, write_simulation
from na64reco.simulation.generate import Production


@pytest.fixture(scope="module")
def run(setup):
    """Runs by (importance, eot), as one batch."""

    def make(importance, eot, seed=5):
        return concatenate(
            list(simulate(setup, "beam", None, seed=seed, eot=eot, importance=importance))
        ).scalars

    return make


@pytest.fixture(scope="module")
def plain(run):
    return run(1, 250_000)


@pytest.fixture(scope="module")
def weighted(run):
    return run(32, 1e7)


def test_scalers_count_up(plain):
    assert (np.diff(plain["scaler"].astype(np.int64)) > 0).all()
    # Its parts of a coincidence are rounded.
    assert (np.diff(plain["scaler_live"].astype(np.int64)) >= 0).all()
    assert (plain["scaler_live"] <= plain["scaler"]).all()
    # Of 250,000 particles 95-96 % fire the counters; the last event is near the end.
    assert 0.93 < plain["scaler"][-1] / 250_000 < 0.98
    assert (plain["MC_weight"] == 1).all()


def test_triggers(plain):
    physics, beam = (plain["trigger"] & 1) > 0, (plain["trigger"] & 2) > 0
    assert (physics | beam).all()
    assert (plain["prescale"] == 1000).all()
    # Beam triggers times prescale are the coincidences that the acquisition could have taken.
    assert beam.sum() * 1000 == pytest.approx(
        int(plain["scaler_live"][-1]), rel=4 / np.sqrt(beam.sum())
    )
    # They see the whole beam.
    assert np.median(plain["MC_ecal_energy"][beam]) == pytest.approx(100, rel=0.01)


def test_dead_time(plain):
    # 1.3 % of 1.25 per us times the 10 us of the setup, at the rates that particles see (8 % above
    # the mean one): 15 % at the trigger rate found.
    share = len(plain["run"]) / 250_000
    live = plain["scaler_live"][-1] / plain["scaler"][-1]
    before = share / live
    assert live == pytest.approx(1 / (1 + before * 1.25e-3 * 1.084 * 1e4), abs=0.02)


def test_weighted_events_are_the_same_beam(plain, weighted):
    """Rates of triggers, per beam particle, with and without weights."""
    weight = weighted["MC_weight"].astype(np.float64)
    assert (np.frexp(weight)[0] == 0.5).all()
    assert len(np.unique(weight)) > 5
    per_live = weighted["scaler_live"][-1] / plain["scaler_live"][-1]
    momentum, energy = "MC_momentum", "MC_ecal_energy"
    classes = {
        "all": lambda run: run["run"] > 0,
        "physics": lambda run: (run["trigger"] & 1) > 0,
        "radiated": lambda run: run[momentum] < 88,
        "edge": lambda run: (run[energy] > 85) & (run[energy] < 95) & (run["trigger"] == 1),
        "pions": lambda run: run["MC_process"] == CODES.index("pion"),
    }
    for name, chosen in classes.items():
        few = chosen(plain).sum()
        mask = chosen(weighted)
        expected = weight[mask].sum() / per_live
        error = np.hypot(np.sqrt(few), np.sqrt((weight[mask] ** 2).sum()) / per_live)
        assert abs(few - expected) < 3.5 * error, name
        assert error < 0.35 * few, name


def test_rare_events_are_many(weighted):
    number = np.bincount(weighted["MC_process"], minlength=len(CODES))
    # 2.5e-5 of 1e7 electrons are 255 pairs, drawn at half a particle each.
    assert number[CODES.index("dimuon")] > 300
    assert number[CODES.index("upstream")] > 100
    # Electrons that lack energy have lost it to hadrons nearly always.
    electrons = weighted["MC_process"] == CODES.index("electron")
    low = electrons & (weighted["MC_ecal_energy"] < 80) & (weighted["MC_momentum"] > 95)
    assert low.sum() > 30
    assert np.median(weighted["MC_weight"][low]) == 4


def test_exactly_as_many_particles_as_asked_for(setup):
    options = {"seed": 2, "trigger": "none", "eot": 5500.0, "intensity": 1e4}
    events = concatenate(list(simulate(setup, "electron", None, **options)))
    assert len(events) == 5500
    beam = concatenate(list(simulate(setup, "beam", None, **options)))
    assert len(beam) == 5500
    assert beam.scalars["prescale"][0] == 0
    np.testing.assert_array_equal(beam.scalars["scaler"], beam.scalars["scaler_live"])
    fired = np.cumsum((beam.scalars["trigger"] & 2) > 0)
    np.testing.assert_array_equal(beam.scalars["scaler"], fired)


def test_spills_have_as_many_particles_as_the_intensity_says(setup):
    beam = concatenate(
        list(simulate(setup, "beam", None, seed=2, trigger="none", eot=20_000, intensity=5e3))
    )
    sizes = np.bincount(beam.scalars["spill"])[1:-1]
    assert len(sizes) >= 3
    assert sizes == pytest.approx(5000, rel=0.2)
    assert len(set(sizes.tolist())) > 1


@pytest.mark.parametrize(
    ("process", "options", "message"),
    [
        ("beam", {"n": None}, "how much to simulate"),
        ("beam", {"eot": -1.0}, "must be positive .* eot=-1"),
        ("beam", {"workers": 0}, "must be positive .* workers=0"),
        ("pion", {"importance": 4}, "importance belongs to the process 'beam', not to 'pion'"),
        ("beam", {"importance": 4, "truth": False}, "need their weight"),
        ("beam", {"importance": 5}, "power of two"),
        ("beam", {"prescale": 10, "trigger": "beam"}, "prescale goes with the physics trigger"),
    ],
)
def test_wrong_arguments(setup, process, options, message):
    arguments = {"n": 10, "seed": 1} | options
    with pytest.raises(ValueError, match=message):
        simulate(setup, process, **arguments)


def test_a_production_knows_how_far_it_is(setup):
    production = Production.of(setup, "beam", 30, seed=1)
    list(production.batches())
    assert production.events == 30
    assert production.progress == (30, 30)
    assert production.summary["events"] == "30"
    assert float(production.summary["eot"]) > 1000
    assert float(production.summary["scaler_live"]) < float(production.summary["scaler"])


def test_scalers_and_weights_reach_the_columns(setup, tmp_path):
    path = tmp_path / "run.root"
    write_simulation(path, setup, "beam", 60, seed=1, importance=16)
    names = ["scaler", "scaler_live", "prescale", "mc.weight"]
    columns = reconstruct_columns(open_events(path), setup, columns=names)
    made = concatenate(list(simulate(setup, "beam", 60, seed=1, importance=16))).scalars
    for column, scalar in zip(names, (*names[:3], "MC_weight"), strict=True):
        np.testing.assert_array_equal(columns[column], made[scalar])
        assert columns[column].dtype == made[scalar].dtype
    with uproot.open(path) as file:
        metadata = json.loads(str(file["na64reco_metadata"]))["metadata"]
    assert metadata["importance"] == "16"
    # The file stands for what its last event has seen.
    assert int(metadata["scaler"]) == columns["scaler"][-1]
    # Some hundred particles of large weights have been counted.
    assert columns["scaler"][-1] == pytest.approx(0.96 * float(metadata["eot"]), rel=0.2)
    lacking = tmp_path / "pion.root"
    write_simulation(lacking, setup, "pion", 5, seed=1, trigger="beam")
    with pytest.raises(FileFormatError, match=r"'scaler_live' needs the branch 'scaler_live'"):
        reconstruct_columns(open_events(lacking), setup, columns=["scaler_live"])
