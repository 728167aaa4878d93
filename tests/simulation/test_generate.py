from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import SetupError
from na64reco.events.columns import concatenate
from na64reco.events.schema import COLLECTIONS, SCALARS
from na64reco.events.schema import PROCESSES as CODES
from na64reco.setup import list_setups, load_setup
from na64reco.simulation import PROCESSES, at_momentum, simulate
from na64reco.simulation.spill import spill_intensity


def equal(a, b):
    return (
        all(np.array_equal(a.scalars[k], b.scalars[k], equal_nan=True) for k in a.scalars)
        and a.collections.keys() == b.collections.keys()
        and all(
            np.array_equal(a.collections[n].offsets, b.collections[n].offsets)
            and all(
                np.array_equal(v, b.collections[n].columns[k])
                for k, v in a.collections[n].columns.items()
            )
            for n in a.collections
        )
    )


def test_the_same_seed_gives_the_same_events(setup):
    options = {"seed": 3, "trigger": "beam"}
    first = concatenate(list(simulate(setup, "electron", 300, **options)))
    again = concatenate(list(simulate(setup, "electron", 300, **options)))
    other = concatenate(list(simulate(setup, "electron", 300, seed=4, trigger="beam")))
    assert equal(first, again)
    assert not equal(first, other)


def test_more_events_begin_with_the_same_ones(setup):
    few = next(simulate(setup, "pion", 100, seed=3, trigger="beam"))
    more = next(simulate(setup, "pion", 1000, seed=3, trigger="beam"))
    assert equal(few, more.slice(0, 100))


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_makes_events_of_the_schema(setup, process):
    batches = list(simulate(setup, process, 200, seed=1, trigger="beam", run=6100))
    batch = concatenate(batches)
    assert len(batch) == 200
    for name, values in batch.scalars.items():
        assert values.dtype == SCALARS[name].dtype, name
    assert set(batch.collections) == {"Counter", "ECAL", "HCAL", "SRD", "VETO", "MM", "GEM", "ST"}
    for name, hits in batch.collections.items():
        for key, values in hits.columns.items():
            assert values.dtype == COLLECTIONS[name][key].dtype, (name, key)
            assert np.isfinite(values).all()
    assert (batch.scalars["run"] == 6100).all()
    assert (batch.scalars["trigger"] & 2 == 2).all()
    if process != "beam":
        assert (batch.scalars["MC_process"] == CODES.index(process)).all()


@pytest.mark.parametrize("name", [n for n in list_setups() if "electron" in n])
def test_indices_lie_within_the_setup(name):
    setup = load_setup(name)
    batch = concatenate(list(simulate(setup, "upstream", 300, seed=1, trigger="beam")))
    ecal = batch.collections["ECAL"]
    assert ecal["section"].max() == 1
    assert ecal["ix"].max() == setup.ecal.nx - 1
    assert ecal["iy"].max() == setup.ecal.ny - 1
    for collection, technology in (("MM", "mm"), ("GEM", "gem")):
        hits = batch.collections[collection]
        channels = {s.number: s.channels for s in setup.stations_of(technology).values()}
        assert set(hits["station"]) == set(channels)
        limit = np.array([channels[int(s)] for s in hits["station"]])
        assert (hits["strip"] < limit).all()


def test_numbers_of_events_and_spills(setup):
    batch = concatenate(
        list(simulate(setup, "muon", 9000, seed=1, trigger="beam", intensity=0, start_event=501))
    )
    assert batch.scalars["event"][[0, -1]].tolist() == [501, 9500]
    assert (np.diff(batch.scalars["event"]) == 1).all()
    assert batch.scalars["spill"][[0, -1]].tolist() == [1, 3]


def test_without_truth_it_looks_like_data(setup):
    batch = next(simulate(setup, "electron", 50, seed=1, trigger="beam", truth=False))
    assert not [name for name in batch.scalars if name.startswith("MC_")]


def test_physics_trigger(setup):
    batch = concatenate(list(simulate(setup, "dimuon", 500, seed=1)))
    assert (batch.scalars["trigger"] == 3).all()
    assert (batch.scalars["MC_ecal_energy"] < 96).mean() > 0.95


def test_trigger_rates(setup):
    batch = concatenate(list(simulate(setup, "electron", 8000, seed=2, trigger="none")))
    assert (batch.scalars["trigger"] & 4 == 4).all()
    beam = (batch.scalars["trigger"] & 2) > 0
    physics = (batch.scalars["trigger"] & 1) > 0
    # Most of the beam fires the counters; of 100 GeV with 4.1 GeV rms, 0.8 % are below 90 GeV.
    assert 0.9 < beam.mean() < 0.99
    assert 0.004 < physics.mean() < 0.03
    assert (beam | ~physics).all()


def test_pile_up_is_counted(setup):
    batch = concatenate(list(simulate(setup, "electron", 8000, seed=2, trigger="none")))
    # 6e6 per 4.8 s in 400 ns: 0.5 if the rate were even. A particle sees the rate of its moment:
    # <r^2> / <r>^2 = (0.8 (1 + 0.15^2 / 2) + 0.2 / 3) / 0.9^2 in the spill, whose wave averages out.
    expected = 0.5 * (0.8 * 1.01125 + 0.2 / 3) / 0.81
    # Two spills, each with an intensity of its own.
    found = np.array(
        [batch.scalars["MC_pileup"][batch.scalars["spill"] == s].mean() for s in (1, 2)]
    )
    factors = np.array([spill_intensity(2, s) for s in (1, 2)])
    assert found == pytest.approx(expected * factors, abs=0.03)
    assert batch.scalars["MC_pileup"].max() > 2


def test_pile_up_leaves_energy_out_of_time(events, setup, detector):
    def with_energy_out_of_time(intensity):
        batch = events("electron", 3000, intensity=intensity)
        hits = batch.collections["ECAL"]
        index = tuple(hits[k].astype(int) for k in ("section", "ix", "iy"))
        late = np.abs(hits["time"] - detector.ecal.time_offset[index]) > 20
        energy = hits["amplitude"] / detector.ecal.gain[index]
        total = np.bincount(hits.event_index()[late], weights=energy[late], minlength=len(batch))
        return (total > 30).mean()

    # The chance of at least one other particle outside +-20 ns: 1 - exp(-0.45).
    assert with_energy_out_of_time(6e6) == pytest.approx(1 - np.exp(-0.45), abs=0.04)
    assert with_energy_out_of_time(0.0) == 0


def test_hadron_runs_have_hadron_pile_up(events, dense, detector):
    batch = events("pion", 3000, intensity=6e6)
    hits = batch.collections["SRD"]
    energy = hits["amplitude"] / detector.srd.gain[hits["ix"]]
    assert (energy > 1e-3).sum() < 5


def test_signal_takes_its_energy_away(events, dense, detector):
    batch = events("signal", 2000, mass=100.0)
    ecal = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    total = ecal + batch.scalars["MC_missing_energy"]
    good = np.abs(total - 100) < 12
    assert good.mean() > 0.97
    assert total[good].mean() == pytest.approx(100, rel=0.01)
    # Electrons have lost a part of their energy before; most of the rest is taken.
    missing = batch.scalars["MC_missing_energy"]
    assert 0.4 < (missing > 50).mean() < 0.8


def test_upstream_events_fire_many_straws(events):
    def per_event(process):
        hits = events(process, 2000).collections["ST"]
        return hits.size / 2000

    assert per_event("upstream") > 1.4 * per_event("electron")


def test_upstream_events_have_a_soft_electron(events, dense, detector):
    batch = events("upstream", 2000)
    ecal = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    assert 40 < np.median(ecal) < 80
    # Photons from neutral pions bring some of the energy back into the ECAL.
    assert (ecal < 90).mean() > 0.9


def test_truth_is_what_the_ecal_sees(events, dense, detector):
    batch = events("electron", 3000)
    ecal = dense(batch, "ECAL", detector.ecal).sum(axis=(1, 2, 3))
    difference = ecal - batch.scalars["MC_ecal_energy"]
    assert np.median(np.abs(difference)) < 0.2


def test_beam_has_everything_at_its_rate(setup):
    batch = concatenate(list(simulate(setup, "beam", 30_000, seed=2, trigger="none", intensity=0)))
    share = np.bincount(batch.scalars["MC_process"], minlength=len(CODES)) / len(batch)
    assert share[CODES.index("pion")] == pytest.approx(0.003, abs=0.0012)
    assert share[CODES.index("muon")] == pytest.approx(0.001, abs=0.0008)
    assert share[CODES.index("electron")] == pytest.approx(0.995, abs=0.002)


@pytest.mark.parametrize("momentum", [10.0, 50.0])
def test_other_momenta_keep_their_path(setup, momentum):
    scaled = at_momentum(setup, momentum)
    batch = next(simulate(scaled, "electron", 1000, seed=1, trigger="beam", intensity=0))
    assert np.median(batch.scalars["MC_x"]) == pytest.approx(setup.beam_x(18_000.0), abs=1.5)
    assert np.median(batch.scalars["MC_ecal_energy"]) == pytest.approx(momentum, rel=0.01)


def test_positrons_of_an_electron_beam_keep_their_path(setup):
    batch = next(simulate(setup, "positron", 500, seed=1, trigger="beam", intensity=0))
    assert np.median(batch.scalars["MC_x"]) == pytest.approx(setup.beam_x(18_000.0), abs=1.5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("elektron", 10), {}, r"no process 'elektron'. Did you mean 'electron'"),
        (("electron", 10), {"trigger": "fysics"}, r"no trigger 'fysics'. Did you mean 'physics'"),
        (("electron", -1), {}, r"must not be negative, found n=-1"),
        (("electron", 1), {"intensity": -1.0}, r"must not be negative.*intensity=-1"),
        (
            ("pion", 1),
            {"mass": 10.0},
            r"model, mass and coupling belong to the process 'signal', not to 'pion'",
        ),
        (("signal", 1), {"mass": 2e5}, r"200 GeV is above 10 GeV.*masses here are in GeV"),
        (("signal", 1), {"model": "axion"}, r"no model 'axion'"),
    ],
)
def test_wrong_arguments(setup, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        list(simulate(setup, *arguments, seed=1, **options))


def test_a_trigger_that_never_fires(setup, monkeypatch):
    monkeypatch.setattr("na64reco.simulation.generate._HOPELESS", 2)
    blind = setup.model_copy(
        update={"trigger": setup.trigger.model_copy(update={"counter_threshold": 1e6})}
    )
    with pytest.raises(SetupError, match=r"'electron' in the setup '2022-electron' fired the beam"):
        list(simulate(blind, "electron", 1, seed=1, trigger="beam"))


def test_a_trigger_on_a_preshower_that_the_ecal_lacks(setup):
    sections = {"front": setup.ecal.sections["prs"], "main": setup.ecal.sections["main"]}
    ecal = setup.ecal.model_copy(update={"sections": sections})
    without = setup.model_copy(update={"ecal": ecal})
    with pytest.raises(
        SetupError, match=r"sections front, main; a trigger with prs_min=0\.3 needs"
    ):
        simulate_one(without)
    trigger = setup.trigger.model_copy(update={"prs_min": 0.0})
    batch = simulate_one(without.model_copy(update={"trigger": trigger}))
    assert len(batch) == 1


def simulate_one(setup):
    return next(simulate(setup, "electron", 1, seed=1, trigger="none"))
