"""Whole events: from the beam to the hits of every detector, batch by batch.

The batches of a file are made from generators seeded by (seed, process, batch number); the same
seed, process and options give the same events. A batch is a fixed number of beam particles, not of
triggers, so that the trigger does not change the generated events.

For the physics trigger the counters are looked at first, then the ECAL energies of particles in
time, and only what remains is followed through all detectors.

Waveforms have generators of their own: with them or without, an event has the same particles,
truth and tracker hits. Only particles outside the window of amplitudes, whose pulses samples see
too, come in addition. Left out: VHCAL and beam momentum stations, drifts of intensity with time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from na64reco.errors import SetupError, did_you_mean
from na64reco.events.columns import EventBatch
from na64reco.events.schema import TRIGGER_BITS
from na64reco.simulation.beam import WINDOW
from na64reco.simulation.deposits import Calorimetry, calorimeter_energies, counter_energies
from na64reco.simulation.detector import Detector, load_detector
from na64reco.simulation.processes import PROCESSES, Generated, Source, follow, follow_others
from na64reco.simulation.readout import Deposits, deposits, read_out, sample
from na64reco.simulation.spill import spill_of, spill_times
from na64reco.simulation.transport import beamline
from na64reco.simulation.trigger import COINCIDENCE, beam_trigger, physics_trigger
from na64reco.simulation.waveforms import sampling_window
from na64reco.units import MeV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from na64reco.events.columns import Hits
    from na64reco.setup.model import Setup

__all__ = ["TriggerMode", "at_momentum", "simulate"]

TriggerMode = Literal["physics", "beam", "none"]

_BATCH = {"none": 4000, "beam": 4000, "physics": 20_000}
"""Beam particles per batch by trigger."""

_HOPELESS = 200
"""After so many batches without any trigger the simulation gives up."""


@dataclass(frozen=True, eq=False)
class _Job:
    """What stays the same in all batches."""

    source: Source
    detector: Detector
    trigger: TriggerMode
    run: int
    truth: bool
    start_event: int
    waveforms: bool


def at_momentum(setup: Setup, momentum: float) -> Setup:
    """The setup at another beam momentum, GeV/c, with its magnets scaled: the beam keeps its path.

    Simulation and reconstruction need the same one.
    """
    beam = setup.beam.model_copy(update={"momentum": momentum})
    return _scale_magnets(setup, momentum / setup.beam.momentum).model_copy(update={"beam": beam})


def _scale_magnets(setup: Setup, factor: float) -> Setup:
    magnets = {
        name: magnet.model_copy(update={"field": magnet.field * factor})
        for name, magnet in setup.magnets.items()
    }
    return setup.model_copy(update={"magnets": magnets})


def simulate(
    setup: Setup,
    process: str,
    n: int,
    *,
    seed: int,
    trigger: TriggerMode = "physics",
    intensity: float | None = None,
    run: int | None = None,
    model: str | None = None,
    mass: float | None = None,
    truth: bool = True,
    start_event: int = 1,
    waveforms: bool = False,
) -> Iterator[EventBatch]:
    """Simulated events as hit-file batches.

    Parameters
    ----------
    setup
        The detector.
    process
        One of `PROCESSES`. Pile-up is of the nominal beam, but in a hadron or muon run of that
        particle. Where ``electron`` or ``positron`` is not the setup's beam particle, the whole
        beam has that charge and the magnets the other polarity, as in a positron run.
    n
        Number of events that fire the trigger.
    seed
        Not negative.
    trigger
        ``"physics"``, ``"beam"`` (counters only) or ``"none"`` (every beam particle).
    intensity
        Beam particles per spill; by default the setup's, 0 for no pile-up.
    run
        Run number; by default the setup's first.
    model, mass
        For the process ``signal``: model (default ``dark-photon``) and mass in **MeV**, as on the
        command line (default 10).
    truth
        Write ``MC_`` scalars; without them the file passes for data.
    start_event
        Number of the first event.
    waveforms
        Calorimeters and counters have `samples` instead of `amplitude` and `time`.

    Yields
    ------
    EventBatch
        In all `n` events.

    Raises
    ------
    ValueError
        For an unknown process, trigger or model, or numbers out of range.
    SetupError
        If the setup has detectors that the simulation lacks (VHCAL, beam momentum stations) or an
        ECAL without a preshower, or no digitiser for waveforms, or if nothing fires the trigger.
    """
    if process not in PROCESSES:
        msg = f"There is no process {process!r}. {did_you_mean(process, PROCESSES)}"
        raise ValueError(msg)
    if trigger not in get_args(TriggerMode):
        msg = f"There is no trigger {trigger!r}. {did_you_mean(trigger, get_args(TriggerMode))}"
        raise ValueError(msg)
    nominal = setup.beam.intensity if intensity is None else intensity
    if n < 0 or seed < 0 or nominal < 0:
        msg = (
            "number of events, seed and intensity must not be negative, found "
            f"n={n}, seed={seed}, intensity={nominal}"
        )
        raise ValueError(msg)
    if process != "signal" and (model is not None or mass is not None):
        msg = f"model and mass belong to the process 'signal', not to {process!r}"
        raise ValueError(msg)
    _refuse_unknown_detectors(setup)
    if waveforms and setup.digitizer is None:
        msg = f"The setup {setup.name!r} has no `digitizer`, so nothing can be sampled. Add one."
        raise SetupError(msg)
    charge = {"electron": -1, "positron": 1}.get(process, setup.beam.charge)
    setup = _scale_magnets(setup, charge * setup.beam.charge)
    source = Source(
        setup=setup,
        line=beamline(setup),
        process=process,
        intensity=nominal,
        model=model or "dark-photon",
        mass=(10.0 if mass is None else mass) * MeV,
    )
    job = _Job(
        source=source,
        detector=load_detector(setup),
        trigger=trigger,
        run=setup.runs[0] if run is None else run,
        truth=truth,
        start_event=start_event,
        waveforms=waveforms,
    )
    return _batches(job, n, seed=seed)


def _refuse_unknown_detectors(setup: Setup) -> None:
    lacking = [name for name, s in setup.stations.items() if s.technology == "bms"]
    lacking += ["vhcal"] if setup.vhcal else []
    if lacking:
        msg = (
            f"The simulation does not know these detectors of the setup {setup.name!r}: "
            f"{', '.join(lacking)}. Leave them out of the setup file."
        )
        raise SetupError(msg)
    if "prs" not in setup.ecal.sections:
        msg = (
            f"The ECAL of the setup {setup.name!r} has the sections "
            f"{', '.join(setup.ecal.sections)}; the trigger needs one named prs."
        )
        raise SetupError(msg)


def _batches(job: _Job, n: int, *, seed: int) -> Iterator[EventBatch]:
    process = job.source.process
    made = number = empty = 0
    size = _BATCH[job.trigger]
    while made < n:
        key = (PROCESSES.index(process), number)
        generators = tuple(
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*key, *which)))
            for which in ((), (1,), (2,))
        )
        number += 1
        batch = _batch(generators, job, size, start=job.start_event - 1 + made)
        if len(batch) == 0:
            empty += 1
            if empty == _HOPELESS:
                msg = (
                    f"{_HOPELESS * size} particles of the process {process!r} in the setup "
                    f"{job.source.setup.name!r} fired the {job.trigger} trigger not once. Take "
                    "another trigger ('none' keeps every event), or check the setup's trigger."
                )
                raise SetupError(msg)
            continue
        empty = 0
        batch = batch.slice(0, min(len(batch), n - made))
        if not job.truth:
            for name in [name for name in batch.scalars if name.startswith("MC_")]:
                del batch.scalars[name]
        made += len(batch)
        yield batch


def _batch(
    generators: tuple[np.random.Generator, ...], job: _Job, events: int, *, start: int
) -> EventBatch:
    """Events of a fixed number of beam particles; the first is that of the number `start`, from 0.

    The generators draw the events, what waveforms need in addition, and times in the spill.
    """
    rng, sampling, when = generators
    setup, detector, line = job.source.setup, job.detector, job.source.line
    generated = follow(rng, job.source, events)
    tracks, paths = generated.tracks, generated.paths
    counters = counter_energies(rng, setup, line, tracks, paths)
    beam = beam_trigger(setup, tracks.event, tracks.time, counters, events)
    if job.trigger != "none":
        keep = beam
        counters = counters[keep[tracks.event]]
        generated, beam = generated.take(keep), beam[keep]
        tracks, paths = generated.tracks, generated.paths

    early = np.flatnonzero(np.abs(tracks.time) < COINCIDENCE)
    in_time = calorimeter_energies(
        rng, setup, detector, line, tracks.take(early), paths.take(early)
    )
    physics = beam & physics_trigger(
        rng, setup, tracks.event[early], tracks.time[early], in_time.ecal, len(beam)
    )
    if job.trigger == "physics":
        keep = physics
        rows = keep[tracks.event]
        stays = rows[early]
        in_time = Calorimetry(in_time.ecal[stays], in_time.hcal[stays], in_time.veto[stays])
        counters, beam, physics = counters[rows], beam[keep], physics[keep]
        generated = generated.take(keep)
        tracks, paths = generated.tracks, generated.paths
        early = np.flatnonzero(np.abs(tracks.time) < COINCIDENCE)
    late = np.flatnonzero(np.abs(tracks.time) >= COINCIDENCE)
    energies = Calorimetry.empty(setup, len(tracks))
    energies.put(early, in_time)
    energies.put(
        late,
        calorimeter_energies(rng, setup, detector, line, tracks.take(late), paths.take(late)),
    )
    count = len(beam)
    collections, seen = read_out(
        rng, setup, detector, line, count, tracks, paths, counters, energies
    )
    bits = physics * TRIGGER_BITS["physics"] + beam * TRIGGER_BITS["beam"]
    if job.trigger == "none":
        bits = bits | TRIGGER_BITS["random"]
    jitter = setup.trigger.master_time_jitter * rng.standard_normal(count)
    number = start + np.arange(count, dtype=np.int64)
    spill = spill_of(number)
    spill_time = spill_times(when, number, setup.beam.spill_length)
    scalars: dict[str, NDArray[Any]] = {
        "run": np.full(count, job.run, dtype=np.uint32),
        "spill": spill,
        "event": (number + 1).astype(np.uint64),
        "trigger": bits.astype(np.uint32),
        "master_time": (setup.trigger.master_time + jitter).astype(np.float32),
        "spill_time": spill_time.astype(np.float32),
    }
    if job.waveforms:
        # Pedestals drift over some spills.
        slow = 0.7 * (spill + spill_time / setup.beam.spill_length)
        collections |= _sampled(sampling, job, seen, phase=jitter, slow=slow)
    return EventBatch(scalars | _truth(line.surface("ecal"), generated, energies), collections)


def _sampled(
    rng: np.random.Generator,
    job: _Job,
    seen: Deposits,
    *,
    phase: NDArray[np.float64],
    slow: NDArray[np.float64],
) -> dict[str, Hits]:
    """Waveforms: of the particles that were followed, and of those before and after them."""
    setup, line = job.source.setup, job.source.line
    assert setup.digitizer is not None
    begin, end = sampling_window(setup.digitizer)
    parts = [seen]
    for between in ((begin, -WINDOW), (WINDOW, end)):
        if between[1] > between[0]:
            tracks, paths = follow_others(rng, job.source, len(phase), between=between)
            parts.append(deposits(rng, setup, job.detector, line, tracks, paths))
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
        "MC_weight": np.ones(events, dtype=np.float32),
        "MC_momentum": momentum.astype(np.float32),
        "MC_x": paths.x[primary, face].astype(np.float32),
        "MC_y": paths.y[primary, face].astype(np.float32),
        "MC_ecal_energy": ecal.astype(np.float32),
        "MC_missing_energy": generated.missing.astype(np.float32),
        "MC_pileup": np.minimum(generated.pileup, 255).astype(np.uint8),
    }
