"""Files with waveforms, made from hits of known amplitude and time with the toy's pulses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calibration import load_conditions
from na64reco.calorimeters import cell_energies, energy_errors, reconstruct_ecal
from na64reco.errors import ConditionsError, SetupError
from na64reco.events import EventBatch, EventWriter, Hits, open_events, read_scalar
from na64reco.reconstruction import reconstruct_columns
from na64reco.reconstruction.samples import error_columns, fit_samples, read_pulses, within_window
from na64reco.simulation.generate import simulate

from ..calorimeters.toy_pulses import DIGITIZER, NOISE, TIMES, pulse, sampled, toy_waveform

RUN = 6100
EVENTS = 400


@pytest.fixture(scope="module")
def conditions(setup):
    found = load_conditions(setup, RUN)
    return replace(found, waveform={"ECAL": toy_waveform(found.ecal.scale.shape)})


@pytest.fixture(scope="module")
def truth(conditions):
    """In every channel of every event a pulse in time, in some another 25 ns or more off."""
    rng = np.random.default_rng(17)
    shape = conditions.ecal.scale.shape
    index = np.indices(shape).reshape(3, -1)
    channels = index.shape[1]
    size = EVENTS * channels
    expected = np.tile(conditions.ecal.time.ravel(), EVENTS)
    late = rng.normal(0, 0.5, size)
    height = rng.exponential(300, size) + 20
    second = np.where(rng.random(size) < 0.2, rng.exponential(300, size) + 20, 0.0)
    apart = rng.choice([-1, 1], size) * rng.uniform(25, 90, size)
    time = expected + late
    trigger = rng.normal(0, 3, EVENTS)
    clock = time + np.repeat(trigger, channels)
    samples = sampled(rng, (height, clock), (second, clock + apart))
    section, ix, iy = (np.tile(i, EVENTS).astype(np.uint8) for i in index)
    hits = Hits(
        np.arange(EVENTS + 1) * channels,
        {"section": section, "ix": ix, "iy": iy, "samples": samples},
    )
    scale = np.tile(conditions.ecal.scale.ravel(), EVENTS)
    return SimpleNamespace(
        hits=hits,
        trigger=trigger,
        inside=(height * scale).reshape(EVENTS, -1).sum(axis=1),
        outside=(second * scale).reshape(EVENTS, -1).sum(axis=1),
        second=second,
    )


@pytest.fixture(scope="module")
def events(truth, setup, tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "samples.root"
    scalars = {
        "run": np.full(EVENTS, RUN, dtype=np.uint32),
        "spill": np.ones(EVENTS, dtype=np.uint32),
        "event": np.arange(EVENTS, dtype=np.uint64),
        "trigger": np.ones(EVENTS, dtype=np.uint32),
        "master_time": (setup.trigger.master_time + truth.trigger).astype(np.float32),
    }
    fields = {"ECAL": tuple(truth.hits.columns)}
    with EventWriter(path, collections=fields, scalars=tuple(scalars)) as writer:
        writer.write(EventBatch(scalars, {"ECAL": truth.hits}))
    return open_events(path)


@pytest.fixture(scope="module")
def digital(setup):
    return SimpleNamespace(name=setup.name, digitizer=DIGITIZER, trigger=setup.trigger)


def test_energies_from_a_file_with_samples(events, truth, setup, digital, conditions):
    hits = read_pulses(events, "ECAL", ("section", "ix", "iy", "amplitude", "time"))
    assert set(hits.columns) == {"section", "ix", "iy", "samples"}
    pulses = fit_samples("ECAL", hits, digital, conditions, read_scalar(events, "master_time"))
    found = reconstruct_ecal(pulses, setup, conditions)
    wanted = ("ecal.energy_error", "ecal.energy_out_error")
    errors = error_columns(wanted, {"ECAL": pulses}, conditions)
    assert tuple(errors) == wanted
    for name, true in (("energy", truth.inside), ("energy_out", truth.outside)):
        difference = found[f"ecal.{name}"] - true
        pulls = difference / errors[f"ecal.{name}_error"]
        assert abs(difference.mean()) < 0.002 * true.mean()
        # Median and width of the core: rare pulses that were not found stand out.
        assert np.diff(np.percentile(pulls, [16, 84]))[0] / 2 == pytest.approx(1, abs=0.15)
        assert np.mean(abs(pulls) > 5) < 0.02


def test_errors_of_single_pulses_in_closed_form(digital, conditions):
    """A single pulse of free height and time has the error sigma (D D / det)^(1/2)."""
    rng = np.random.default_rng(5)
    index = {"section": 1, "ix": 2, "iy": 3}
    expected = conditions.ecal.time[1, 2, 3]
    hits = Hits(
        np.arange(101),
        {
            **{name: np.full(100, value, dtype=np.uint8) for name, value in index.items()},
            "samples": sampled(rng, (500.0, np.full(100, expected))),
        },
    )
    on_time = np.full(100, digital.trigger.master_time)
    pulses = fit_samples("ECAL", hits, digital, conditions, on_time)
    inside, outside = energy_errors(pulses, conditions.ecal)
    height = pulse(TIMES - expected)
    slope = (pulse(TIMES - expected + 0.01) - pulse(TIMES - expected - 0.01)) / 0.02
    tt, td, dd = (height**2).sum(), (height * slope).sum(), (slope**2).sum()
    error = np.sqrt(NOISE**2 + 1 / 12) * np.sqrt(dd / (tt * dd - td**2))
    assert inside == pytest.approx(error * conditions.ecal.scale[1, 2, 3], rel=2e-3)
    assert (outside == 0).all()


def test_pulses_from_outside_the_window_are_counted_apart(digital, conditions):
    """One in time, one 60 ns later, one whose maximum is before the first sample."""
    rng = np.random.default_rng(9)
    at = conditions.ecal.time[1, 2, 3]
    n = 200
    samples = sampled(
        rng,
        (500.0, np.full(n, at)),
        (300.0, np.full(n, at + 60.0)),
        (800.0, np.full(n, at - 160.0)),
    )
    index = {"section": 1, "ix": 2, "iy": 3}
    hits = Hits(
        np.arange(n + 1),
        {
            **{name: np.full(n, value, dtype=np.uint8) for name, value in index.items()},
            "samples": samples,
        },
    )
    on_time = np.full(n, digital.trigger.master_time)
    pulses = fit_samples("ECAL", hits, digital, conditions, on_time)
    seen = within_window(pulses)
    assert (pulses.counts == 3).mean() > 0.97
    assert (seen.counts == 2).mean() > 0.97
    energies = cell_energies(seen, conditions.ecal, conditions.ecal.scale.shape)
    scale = conditions.ecal.scale[1, 2, 3]
    assert np.median(energies.in_time.sum(axis=(1, 2, 3))) == pytest.approx(500 * scale, rel=0.01)
    assert np.median(energies.out_of_time.sum(axis=(1, 2, 3))) == pytest.approx(
        300 * scale, rel=0.02
    )
    before = error_columns(("ecal.energy_before",), {"ECAL": pulses}, conditions)
    assert tuple(before) == ("ecal.energy_before",)
    # An extrapolation: only the end of its tail is in the window.
    assert np.median(before["ecal.energy_before"]) == pytest.approx(800 * scale, rel=0.3)
    peaks = Hits(np.array([0, 1]), {"amplitude": np.ones(1), "time": np.full(1, 230.0)})
    assert within_window(peaks) is peaks


def test_hits_without_samples_stay_as_they_are(digital, conditions):
    hits = Hits(np.array([0, 1]), {"amplitude": np.ones(1), "time": np.zeros(1)})
    assert fit_samples("SRD", hits, digital, conditions, None) is hits


def test_what_is_missing_is_named(truth, digital, conditions):
    part = truth.hits.slice(0, 1)
    without = SimpleNamespace(name="2022-electron", digitizer=None)
    with pytest.raises(
        SetupError, match=r"waveforms \(ECAL_samples\), but the setup 2022-electron"
    ):
        fit_samples("ECAL", part, without, conditions, None)
    bare = replace(conditions, waveform={})
    message = r"no pulse shape and pedestals of ECAL: waveform\.txt is missing.*--only waveform"
    with pytest.raises(ConditionsError, match=message):
        fit_samples("ECAL", part, digital, bare, None)


def test_simulated_waveforms_give_the_energies_of_the_simulated_amplitudes(setup, tmp_path):
    """The same electrons both ways, with the shipped conditions."""
    columns = ("ecal.energy", "srd.energy", "counters.s1")
    found = []
    for waveforms in (False, True):
        path = tmp_path / f"{waveforms}.root"
        with EventWriter(path) as writer:
            for batch in simulate(
                setup,
                "electron",
                300,
                seed=5,
                trigger="beam",
                intensity=1e4,
                waveforms=waveforms,
            ):
                writer.write(batch)
        found.append(reconstruct_columns(open_events(path), setup, columns=columns))
    peaks, fitted = found
    difference = fitted["ecal.energy"] - peaks["ecal.energy"]
    # GeV of 100
    assert np.median(abs(difference)) < 0.25
    assert np.mean(abs(difference) < 2.0) > 0.95
    for name, least in (("srd.energy", 0.002), ("counters.s1", 0.0001)):
        large = np.maximum(peaks[name], fitted[name]) > 5 * least
        assert np.mean(abs(fitted[name] - peaks[name])[large] < 0.15 * peaks[name][large]) > 0.9
