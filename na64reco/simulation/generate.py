"""Whole events: from the beam to the hits of every detector, batch by batch.

The batches of a file are made from generators seeded by (seed, process, batch number); the same
seed, process and options give the same events. A batch is a fixed number of beam particles, not of
triggers, so that the trigger does not change the generated events.

For the physics trigger the counters are looked at first, then the ECAL energies of particles in
time, and only what remains is followed through all detectors.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from na64reco.errors import SetupError, did_you_mean
from na64reco.events.columns import EventBatch, Hits
from na64reco.events.schema import PROCESSES as PROCESS_CODES
from na64reco.events.schema import TRIGGER_BITS
from na64reco.simulation.beam import beam_composition, pile_up, primaries
from na64reco.simulation.deposits import (
    COUNTERS,
    Calorimetry,
    calorimeter_energies,
    counter_energies,
)
from na64reco.simulation.detector import Detector, load_detector
from na64reco.simulation.pulses import pulses
from na64reco.simulation.secondaries import dimuons, nuclear_interactions, upstream_interactions
from na64reco.simulation.signal import missing_share
from na64reco.simulation.straws import straw_hits
from na64reco.simulation.strips import strip_hits
from na64reco.simulation.synchrotron import srd_energies
from na64reco.simulation.tracks import ELECTRON, KINDS, Tracks
from na64reco.simulation.transport import (
    Beamline,
    Paths,
    beamline,
    bremsstrahlung_photons,
    propagate,
)
from na64reco.simulation.trigger import COINCIDENCE, beam_trigger, physics_trigger
from na64reco.units import MeV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["PROCESSES", "TriggerMode", "at_momentum", "simulate"]

TriggerMode = Literal["physics", "beam", "none"]

PROCESSES = (*PROCESS_CODES, "beam")
"""What can be simulated; `beam` is everything at its rate."""

EVENTS_PER_SPILL = 4000
"""Recorded events of a spill, assumed."""

RARE = {"dimuon": 2e-5, "upstream": 2e-4}
"""Share of the electrons in the process `beam` that undergo each, assumed."""

_BATCH = {"none": 4000, "beam": 4000, "physics": 20_000}
"""Beam particles per batch by trigger."""

_HOPELESS = 200
"""After so many batches without any trigger the simulation gives up."""


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


@dataclass(frozen=True, eq=False)
class _Job:
    """What stays the same in all batches."""

    setup: Setup
    detector: Detector
    line: Beamline
    process: str
    trigger: TriggerMode
    intensity: float
    model: str
    mass: float
    """GeV."""


@dataclass(frozen=True, eq=False)
class _Generated:
    """Particles of a batch and where they went."""

    tracks: Tracks
    paths: Paths
    code: NDArray[np.uint8]
    """Process by event."""
    missing: NDArray[np.float64]
    """GeV by event."""
    pileup: NDArray[np.int64]
    """Other beam particles by event."""

    def take(self, events: NDArray[np.bool_]) -> _Generated:
        """Events by mask, numbered anew."""
        rows = events[self.tracks.event]
        tracks = self.tracks.take(rows)
        number = np.cumsum(events) - 1
        return _Generated(
            tracks.with_(event=number[tracks.event]),
            self.paths.take(rows),
            self.code[events],
            self.missing[events],
            self.pileup[events],
        )


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

    Yields
    ------
    EventBatch
        In all `n` events.

    Raises
    ------
    ValueError
        For an unknown process, trigger or model, or numbers out of range.
    SetupError
        If nothing fires the trigger.
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
    charge = {"electron": -1, "positron": 1}.get(process, setup.beam.charge)
    setup = _scale_magnets(setup, charge * setup.beam.charge)
    job = _Job(
        setup=setup,
        detector=load_detector(setup),
        line=beamline(setup),
        process=process,
        trigger=trigger,
        intensity=nominal,
        model=model or "dark-photon",
        mass=(10.0 if mass is None else mass) * MeV,
    )
    return _batches(job, n, seed, setup.runs[0] if run is None else run, truth, start_event)


def _batches(
    job: _Job, n: int, seed: int, run: int, truth: bool, start_event: int
) -> Iterator[EventBatch]:
    made = number = empty = 0
    size = _BATCH[job.trigger]
    while made < n:
        key = (PROCESSES.index(job.process), number)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        number += 1
        batch = _batch(rng, job, size, run)
        if len(batch) == 0:
            empty += 1
            if empty == _HOPELESS:
                msg = (
                    f"{_HOPELESS * size} particles of the process {job.process!r} in the setup "
                    f"{job.setup.name!r} fired the {job.trigger} trigger not once. Take another "
                    "trigger ('none' keeps every event), or check the setup's trigger section."
                )
                raise SetupError(msg)
            continue
        empty = 0
        batch = batch.slice(0, min(len(batch), n - made))
        index = made + np.arange(len(batch), dtype=np.int64)
        batch.scalars["event"] = (start_event + index).astype(np.uint64)
        spill = 1 + (start_event - 1 + index) // EVENTS_PER_SPILL
        batch.scalars["spill"] = spill.astype(np.uint32)
        if not truth:
            for name in [name for name in batch.scalars if name.startswith("MC_")]:
                del batch.scalars[name]
        made += len(batch)
        yield batch


def _particles(rng: np.random.Generator, job: _Job, events: int) -> _Generated:
    """Beam particles, pile-up and secondaries of a batch, followed through the setup."""
    setup, process = job.setup, job.process
    composition = beam_composition(setup)
    charge = setup.beam.charge
    if process in {"pion", "kaon", "proton", "muon"}:
        composition = {process: 1.0}
    elif process in {"electron", "positron"}:
        contamination = {k: v for k, v in composition.items() if k != setup.beam.particle}
        composition = {process: 1 - sum(contamination.values())} | contamination
        charge = -1 if process == "electron" else 1
    code = np.full(events, PROCESS_CODES.index("electron"), dtype=np.uint8)
    if process == "beam":
        first, code = _mixed(rng, setup, composition, events)
    elif process in KINDS:
        first = primaries(rng, setup, process, events)
        code[:] = PROCESS_CODES.index(process)
    else:
        first = primaries(rng, setup, setup.beam.particle, events)
        code[:] = PROCESS_CODES.index(process)
    others = pile_up(
        rng, setup, events, intensity=job.intensity, composition=composition, charge=charge
    )
    tracks = Tracks.join([first, others])
    paths = propagate(rng, job.line, tracks)

    missing = np.zeros(events)
    photons = bremsstrahlung_photons(tracks, paths)
    extra: list[Tracks] = [photons]
    of_signal = tracks.primary & (code[tracks.event] == PROCESS_CODES.index("signal"))
    if of_signal.any():
        taken = missing_share(
            rng,
            int(of_signal.sum()),
            model=job.model,
            mass=job.mass,
            energy=setup.beam.momentum,
        )
        share = tracks.share.copy()
        share[of_signal] = 1 - taken
        face = job.line.surface("ecal")
        arrived = ~np.isnan(paths.x[of_signal, face])
        missing[tracks.event[of_signal]] = np.where(arrived, taken * paths.momentum[of_signal], 0)
        tracks = tracks.with_(share=share)
    for name, make in (("dimuon", dimuons),):
        chosen = code[tracks.event] == PROCESS_CODES.index(name)
        if chosen.any():
            marked = tracks.with_(primary=tracks.primary & chosen)
            share, rows = make(rng, setup, job.line, marked, paths)
            tracks = tracks.with_(share=share)
            extra.append(rows)
    chosen = code[tracks.event] == PROCESS_CODES.index("upstream")
    if chosen.any():
        marked = tracks.with_(primary=tracks.primary & chosen)
        z_end, rows = upstream_interactions(rng, setup, job.line, marked, paths)
        paths.cut(z_end, job.line.z)
        extra.append(rows)
    share, rows = nuclear_interactions(rng, setup, job.line, tracks, paths)
    tracks = tracks.with_(share=share)
    extra.append(rows)

    added = Tracks.join(extra)
    parts = [tracks, added]
    order = np.argsort(np.concatenate([p.event for p in parts]), kind="stable")
    paths = Paths.join([paths, propagate(rng, job.line, added)], order)
    count = np.bincount(others.event, minlength=events)
    return _Generated(Tracks.join(parts), paths, code, missing, count)


def _mixed(
    rng: np.random.Generator, setup: Setup, composition: dict[str, float], events: int
) -> tuple[Tracks, NDArray[np.uint8]]:
    """Primaries of all kinds at their rates."""
    names = [*composition, *RARE]
    shares = np.array([*composition.values(), *RARE.values()])
    shares[list(composition).index(setup.beam.particle)] -= sum(RARE.values())
    drawn = rng.choice(len(names), size=events, p=shares)
    kinds = [KINDS.get(name, ELECTRON) for name in names]
    first = primaries(rng, setup, setup.beam.particle, events)
    codes = np.array([PROCESS_CODES.index(name) for name in names], dtype=np.uint8)
    return first.with_(kind=np.array(kinds, dtype=np.int8)[drawn]), codes[drawn]


def _batch(rng: np.random.Generator, job: _Job, events: int, run: int) -> EventBatch:
    setup, detector, line = job.setup, job.detector, job.line
    generated = _particles(rng, job, events)
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
    collections = _hits(rng, job, generated, counters, energies)
    bits = physics * TRIGGER_BITS["physics"] + beam * TRIGGER_BITS["beam"]
    if job.trigger == "none":
        bits = bits | TRIGGER_BITS["random"]
    jitter = setup.trigger.master_time_jitter * rng.standard_normal(len(beam))
    scalars: dict[str, NDArray[Any]] = {
        "run": np.full(len(beam), run, dtype=np.uint32),
        "spill": np.zeros(len(beam), dtype=np.uint32),
        "event": np.zeros(len(beam), dtype=np.uint64),
        "trigger": bits.astype(np.uint32),
        "master_time": (setup.trigger.master_time + jitter).astype(np.float32),
    }
    return EventBatch(scalars | _truth(job, generated, energies), collections)


def _hits(
    rng: np.random.Generator,
    job: _Job,
    generated: _Generated,
    counters: NDArray[np.float64],
    energies: Calorimetry,
) -> dict[str, Hits]:
    """Hits of all detectors of the setup."""
    setup, detector, line = job.setup, job.detector, job.line
    tracks, paths = generated.tracks, generated.paths
    events = len(generated.code)
    first = np.searchsorted(tracks.event, np.arange(events + 1))

    def cells(shape: tuple[int, ...], *names: str) -> dict[str, NDArray[np.uint8]]:
        index = np.indices(shape).reshape(len(shape), -1).astype(np.uint8)
        return dict(zip(names, index, strict=True))

    found = {
        "Counter": pulses(
            rng, detector.counters, first, tracks.time, counters, cells((COUNTERS,), "id")
        ),
        "ECAL": pulses(
            rng,
            detector.ecal,
            first,
            tracks.time,
            energies.ecal,
            cells(setup.ecal.shape, "section", "ix", "iy"),
        ),
        "HCAL": pulses(
            rng,
            detector.hcal,
            first,
            tracks.time,
            energies.hcal,
            cells(setup.hcal.shape, "module", "ix", "iy"),
        ),
    }
    if setup.srd and detector.srd:
        srd = srd_energies(rng, setup, tracks, paths)
        index = cells((setup.srd.modules,), "ix")
        found["SRD"] = pulses(rng, detector.srd, first, tracks.time, srd, index)
    if setup.veto and detector.veto:
        index = cells((2 * setup.veto.bars,), "ix")
        found["VETO"] = pulses(rng, detector.veto, first, tracks.time, energies.veto, index)
    for technology, name in (("mm", "MM"), ("gem", "GEM")):
        if setup.stations_of(technology):
            found[name] = strip_hits(rng, setup, detector, technology, line, first, tracks, paths)
    if setup.stations_of("straw"):
        found["ST"] = straw_hits(rng, setup, detector, line, first, tracks, paths)
    return found


def _truth(job: _Job, generated: _Generated, energies: Calorimetry) -> dict[str, NDArray[Any]]:
    """`MC_` scalars. The ECAL energy is that of the event's own particles, without pile-up."""
    tracks, paths = generated.tracks, generated.paths
    events = len(generated.code)
    own = tracks.time == 0
    primary = np.flatnonzero(tracks.primary)
    face = job.line.surface("ecal")
    ecal = np.bincount(
        tracks.event[own], weights=energies.ecal[own].sum(axis=(1, 2, 3)), minlength=events
    )
    return {
        "MC_process": generated.code,
        "MC_weight": np.ones(events, dtype=np.float32),
        "MC_momentum": tracks.momentum[primary].astype(np.float32),
        "MC_x": paths.x[primary, face].astype(np.float32),
        "MC_y": paths.y[primary, face].astype(np.float32),
        "MC_ecal_energy": ecal.astype(np.float32),
        "MC_missing_energy": generated.missing.astype(np.float32),
        "MC_pileup": np.minimum(generated.pileup, 255).astype(np.uint8),
    }
