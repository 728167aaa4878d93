"""One batch of events, from beam particles to hits, made from nothing but its number.

A batch is a fixed number of beam particles, not of triggers, so that the trigger does not change
the generated events; it is a sample of one spill. Its generators are seeded by (seed, process,
number): batches can be made anywhere and in any order.

For the physics trigger the counters are looked at first, then the energy that particles bring into
the ECAL (from `IMPOSSIBLE` on it cannot fire), then its showers; only what remains is followed
through all detectors, and meets the pile-up that the trigger did not see.

Waveforms have generators of their own: with them or without, an event has the same particles,
truth and tracker hits. Only particles outside the window of amplitudes, whose pulses samples see
too, come in addition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from na64reco.events.columns import EventBatch
from na64reco.events.schema import TRIGGER_BITS
from na64reco.simulation.acquisition import live_share, prescaled
from na64reco.simulation.beam import WINDOW
from na64reco.simulation.deposits import Calorimetry, calorimeter_energies, counter_energies
from na64reco.simulation.mixture import comb, expected_energy, thinning
from na64reco.simulation.processes import (
    PROCESSES,
    Generated,
    Source,
    draw_responses,
    follow,
    follow_others,
)
from na64reco.simulation.readout import Deposits, deposits, read_out, sample
from na64reco.simulation.spill import relative_rate, spill_intensity, spill_times
from na64reco.simulation.trigger import COINCIDENCE, beam_trigger, coincidence, physics_trigger
from na64reco.simulation.waveforms import sampling_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.events.columns import Hits
    from na64reco.simulation.detector import Detector

__all__ = ["IMPOSSIBLE", "Job", "Made", "TriggerMode", "make_batch"]

TriggerMode = Literal["physics", "beam", "none"]

IMPOSSIBLE: Final = 1.08
"""Electrons that bring more than so many times the trigger's largest ECAL energy do not fire it."""

_SIZE: Final = 4000
"""Beam particles of a batch where most are recorded; such a batch is a spill."""

_LARGE: Final = 20_000
_PER_SPILL: Final = 16
"""The same where few are, and how many such batches make a spill; but in a whole beam, spills
have as many particles as the intensity says."""


@dataclass(frozen=True, eq=False)
class Job:
    """What stays the same in all batches."""

    source: Source
    detector: Detector
    trigger: TriggerMode
    seed: int
    run: int
    truth: bool
    first_spill: int
    waveforms: bool
    prescale: int
    """Of the beam trigger in a run of physics triggers; 0 for none."""

    @property
    def counts(self) -> bool:
        """Whether scalers count and the acquisition can be busy: in a whole beam only."""
        return self.source.mixture is not None

    def spill_and_size(self, number: int) -> tuple[int, int]:
        """Spill of a batch and how many beam particles are drawn in it."""
        few = self.trigger == "physics" and self.source.process in {"electron", "positron", "beam"}
        size, per_spill = (_LARGE, _PER_SPILL) if few else (_SIZE, 1)
        if self.source.mixture is None:
            return self.first_spill + number // per_spill, size
        # Spills have as many particles as the intensity says.
        drawn = (self.source.intensity or self.source.setup.beam.intensity) / (
            self.source.mixture.mean_weight
        )
        per_spill = math.ceil(drawn / size)
        spill = self.first_spill + number // per_spill
        return spill, max(1, round(drawn / per_spill * spill_intensity(self.seed, spill)))


@dataclass(frozen=True, eq=False)
class Made:
    """A batch; of what is counted through a run, only its own part."""

    batch: EventBatch
    """Without `event` and the scalers."""
    particles: NDArray[np.float64]
    """Beam particles up to and with each event, shape (events,)."""
    scaler: NDArray[np.float64]
    """Coincidences up to and with each event."""
    live: NDArray[np.float64]
    """Those of them that came while the acquisition was ready."""
    totals: tuple[float, float, float]
    """The three at the end of the batch."""


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Beam particles of a batch, thinned out or not; arrays have the shape (events,)."""

    generated: Generated
    weight: NDArray[np.float64]
    time: NDArray[np.float64]
    """s in the spill."""
    rate: NDArray[np.float64]
    """Of the moment over the mean one."""
    particles: NDArray[np.float64]
    """Up to and with each event."""

    def take(self, events: NDArray[np.bool_]) -> _Drawn:
        return _Drawn(
            self.generated.take(events),
            self.weight[events],
            self.time[events],
            self.rate[events],
            self.particles[events],
        )


def make_batch(job: Job, number: int) -> Made:
    """Make the batch of a number, from 0."""
    key = (PROCESSES.index(job.source.process), number)
    rng, sampling, when = (
        np.random.default_rng(np.random.SeedSequence(job.seed, spawn_key=(*key, *which)))
        for which in ((), (1,), (2,))
    )
    setup, line = job.source.setup, job.source.line
    spill = job.spill_and_size(number)[0]
    drawn, total = _draw(rng, when, job, number)
    tracks = drawn.generated.tracks
    counters = counter_energies(rng, setup, line, tracks, drawn.generated.paths)
    fired = (tracks.event, tracks.time, counters, len(drawn.weight))
    beam = beam_trigger(setup, *fired)
    physics = coincidence(setup, setup.trigger.coincidence, *fired)
    energies, physics = _physics(rng, job, drawn.generated, physics)
    passed = prescaled(rng, beam, job.prescale) if job.prescale else beam
    accepted = {"none": np.ones_like(beam), "beam": beam, "physics": physics}[job.trigger]
    if job.trigger == "physics" and job.prescale:
        accepted = accepted | passed

    hits = np.where(beam, drawn.weight, 0.0)
    live = np.ones(len(beam))
    if job.counts and job.trigger == "physics":
        share = float(drawn.weight[accepted].sum()) / total
        live = live_share(setup, drawn.rate, intensity=job.source.intensity, recorded=share)
        accepted &= rng.random(len(live)) < live
    scaler, ready = np.cumsum(hits), np.cumsum(hits * live)

    rows = accepted[tracks.event]
    kept = drawn.take(accepted)
    generated, counters, energies = kept.generated, counters[rows], _rows(energies, rows)
    count = len(kept.weight)
    generated, counters, energies = _with_late(
        rng, job, generated, counters, energies, rate=kept.rate
    )
    collections, seen = read_out(
        rng, setup, job.detector, line, count, generated.tracks, generated.paths, counters, energies
    )
    bits = physics[accepted] * TRIGGER_BITS["physics"] + passed[accepted] * TRIGGER_BITS["beam"]
    if job.trigger == "none":
        bits = bits | TRIGGER_BITS["random"]
    jitter = setup.trigger.master_time_jitter * rng.standard_normal(count)
    scalars: dict[str, NDArray[Any]] = {
        "run": np.full(count, job.run, dtype=np.uint32),
        "spill": np.full(count, spill, dtype=np.uint32),
        "trigger": bits.astype(np.uint32),
        "master_time": (setup.trigger.master_time + jitter).astype(np.float32),
        "spill_time": kept.time.astype(np.float32),
    }
    if job.counts:
        of_beam = 1 if job.trigger == "beam" else job.prescale
        scalars["prescale"] = np.full(count, of_beam, dtype=np.uint32)
    if job.waveforms:
        # Pedestals drift over some spills.
        slow = 0.7 * (spill + kept.time / setup.beam.spill_length)
        collections |= _sampled(sampling, job, seen, phase=jitter, slow=slow, rate=kept.rate)
    if job.truth:
        scalars |= _truth(line.surface("ecal"), generated, energies)
        scalars["MC_weight"] = kept.weight.astype(np.float32)
    return Made(
        EventBatch(scalars, collections),
        kept.particles,
        scaler[accepted],
        ready[accepted],
        (total, float(scaler[-1]) if len(scaler) else 0.0, float(ready[-1]) if len(ready) else 0.0),
    )


def _draw(
    rng: np.random.Generator, when: np.random.Generator, job: Job, number: int
) -> tuple[_Drawn, float]:
    """Beam particles with what is in coincidence, and for how many they stand."""
    setup, mixture = job.source.setup, job.source.mixture
    spill, size = job.spill_and_size(number)
    intensity = spill_intensity(job.seed, spill)
    time = spill_times(when, size, setup.beam.spill_length)
    rate = intensity * relative_rate(time, setup.beam.spill_length)
    generated = follow(rng, job.source, size, rate=rate)
    generated = draw_responses(rng, setup, job.detector, generated)
    drawn = _Drawn(generated, generated.weight, time, rate, np.cumsum(generated.weight))
    total = float(drawn.particles[-1])
    if mixture and mixture.importance > 1:
        drawn = drawn.take(generated.weight > 0)
        now = drawn.generated
        power = thinning(setup, job.source.line, now.tracks, now.paths, len(now.code))
        kept = comb(rng, power)
        weight = drawn.weight * 2.0**power
        drawn = replace(drawn, weight=weight).take(kept)
    return drawn, total


def _physics(
    rng: np.random.Generator, job: Job, generated: Generated, fires: NDArray[np.bool_]
) -> tuple[Calorimetry, NDArray[np.bool_]]:
    """Energies of the particles that decide, NaN for those not looked at, and who triggers."""
    setup, line = job.source.setup, job.source.line
    tracks, paths = generated.tracks, generated.paths
    looked_at = np.ones_like(fires)
    if job.trigger == "physics":
        brought = expected_energy(setup, line, tracks, paths, len(fires))
        looked_at = fires & (brought < IMPOSSIBLE * setup.trigger.ecal_max)
    rows = np.flatnonzero(looked_at[tracks.event] & (np.abs(tracks.time) < COINCIDENCE))
    energies = Calorimetry.empty(setup, len(tracks))
    energies.ecal[:] = np.nan
    found = calorimeter_energies(
        rng, setup, job.detector, line, tracks.take(rows), paths.take(rows)
    )
    energies.put(rows, found)
    physics = physics_trigger(
        rng, setup, tracks.event[rows], tracks.time[rows], found.ecal, len(fires)
    )
    return energies, fires & looked_at & physics


def _with_late(
    rng: np.random.Generator,
    job: Job,
    generated: Generated,
    counters: NDArray[np.float64],
    energies: Calorimetry,
    *,
    rate: NDArray[np.float64],
) -> tuple[Generated, NDArray[np.float64], Calorimetry]:
    """Pile-up out of coincidence joins in; what has no energies yet gets them."""
    setup, line = job.source.setup, job.source.line
    late = follow_others(rng, job.source, rate)
    theirs = counter_energies(rng, setup, line, late.tracks, late.paths)
    rows, more = len(generated.tracks), len(late.tracks)
    order = np.argsort(np.concatenate((generated.tracks.event, late.tracks.event)), kind="stable")
    generated = generated.with_others(late)
    counters = np.concatenate((counters, theirs))[order]
    all_energies = Calorimetry.empty(setup, rows + more)
    all_energies.ecal[:] = np.nan
    all_energies.put(np.arange(rows), energies)
    all_energies = _rows(all_energies, order)
    lacking = np.flatnonzero(np.isnan(all_energies.ecal[:, 0, 0, 0]))
    tracks, paths = generated.tracks.take(lacking), generated.paths.take(lacking)
    all_energies.put(lacking, calorimeter_energies(rng, setup, job.detector, line, tracks, paths))
    return generated, counters, all_energies


def _rows(energies: Calorimetry, rows: NDArray[Any]) -> Calorimetry:
    """Rows by mask or index."""
    return Calorimetry(**{f.name: getattr(energies, f.name)[rows] for f in fields(energies)})


def _sampled(
    rng: np.random.Generator,
    job: Job,
    seen: Deposits,
    *,
    phase: NDArray[np.float64],
    slow: NDArray[np.float64],
    rate: NDArray[np.float64],
) -> dict[str, Hits]:
    """Waveforms: of the particles that were followed, and of those before and after them."""
    setup, line = job.source.setup, job.source.line
    assert setup.digitizer is not None
    begin, end = sampling_window(setup.digitizer)
    parts = [seen]
    for between in ((begin, -WINDOW), (WINDOW, end)):
        if between[1] > between[0]:
            others = follow_others(rng, job.source, rate, between=(between,))
            parts.append(deposits(rng, setup, job.detector, line, others.tracks, others.paths))
    return sample(rng, setup, job.detector, parts, phase=phase, slow=slow)


def _truth(face: int, generated: Generated, energies: Calorimetry) -> dict[str, NDArray[Any]]:
    """`MC_` scalars. The ECAL energy is that of the event's own particles, without pile-up."""
    tracks, paths = generated.tracks, generated.paths
    events = len(generated.code)
    own = tracks.time == 0
    primary = np.flatnonzero(tracks.primary)
    ecal = np.bincount(
        tracks.event[own], weights=energies.ecal[own].sum(axis=(1, 2, 3)), minlength=events
    )
    # Where the magnets begin: what the spectrometer measures, after any radiation before them.
    entering = paths.entry[primary, 0, 4]
    momentum = np.where(np.isnan(entering), tracks.momentum[primary], entering)
    return {
        "MC_process": generated.code,
        "MC_momentum": momentum.astype(np.float32),
        "MC_x": paths.x[primary, face].astype(np.float32),
        "MC_y": paths.y[primary, face].astype(np.float32),
        "MC_ecal_energy": ecal.astype(np.float32),
        "MC_missing_energy": generated.missing.astype(np.float32),
        "MC_pileup": np.minimum(generated.pileup, 255).astype(np.uint8),
    }
