"""Whole events: from the beam to the hits of every detector, batch by batch.

The same seed, process and options give the same events, whatever the number of workers.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from na64reco.errors import SetupError, did_you_mean
from na64reco.events.schema import SCALARS
from na64reco.simulation.acquisition import PRESCALE
from na64reco.simulation.batches import Job, Made, TriggerMode
from na64reco.simulation.detector import load_detector
from na64reco.simulation.mixture import beam_mixture
from na64reco.simulation.processes import PROCESSES, Source
from na64reco.simulation.signal import COUPLING, Boson
from na64reco.simulation.transport import beamline
from na64reco.simulation.workers import batches_in_order
from na64reco.units import MeV

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from na64reco.events.columns import EventBatch
    from na64reco.setup.model import Setup

__all__ = ["Production", "TriggerMode", "at_momentum", "simulate"]

_HOPELESS = 200
"""After so many batches without any trigger the simulation gives up."""

_PER_SPILL = 4000
"""Events of a spill, where files of one run continue each other's spills."""


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
    n: int | None,
    *,
    seed: int,
    trigger: TriggerMode = "physics",
    intensity: float | None = None,
    run: int | None = None,
    model: str | None = None,
    mass: float | None = None,
    coupling: float | None = None,
    truth: bool = True,
    start_event: int = 1,
    waveforms: bool = False,
    eot: float | None = None,
    importance: int = 1,
    prescale: int | None = None,
    workers: int = 1,
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
        Number of events that fire the trigger; None for as many as `eot` gives.
    seed
        Not negative.
    trigger
        ``"physics"``, ``"beam"`` (counters only) or ``"none"`` (every beam particle).
    intensity
        Beam particles per spill; by default the setup's, 0 for no pile-up.
    run
        Run number; by default the setup's first.
    model, mass, coupling
        For the process ``signal``: model (default ``dark-photon``), mass in **MeV**, as on the
        command line (default 10), and coupling (default 1e-4; it matters for the width only).
    truth
        Write ``MC_`` scalars; without them the file passes for data.
    start_event
        Number of the first event.
    waveforms
        Calorimeters and counters have `samples` instead of `amplitude` and `time`.
    eot
        Beam particles on target to simulate; events end with these, or with `n` if that is less.
    importance
        For the process ``beam``: a power of two; ordinary electrons stand for so many or, if
        nothing can come of them, up to 64 times as many beam particles (``MC_weight``), rarer
        processes for fewer.
    prescale
        Of the beam trigger beside the physics trigger, 0 for none: only every so many-th beam
        trigger is recorded, and ``trigger`` has the bit 2 for these alone. By default `PRESCALE`
        for the process ``beam``; for the others none, and the bit tells the coincidence.
    workers
        Processes that make batches.

    Yields
    ------
    EventBatch
        In all `n` events.

    Raises
    ------
    ValueError
        For an unknown process, trigger or model, or numbers out of range.
    SetupError
        If the trigger asks for a preshower that the ECAL lacks, if the setup has no digitiser for
        waveforms, or if nothing fires the trigger.
    """
    production = Production.of(
        setup,
        process,
        n,
        seed=seed,
        trigger=trigger,
        intensity=intensity,
        run=run,
        model=model,
        mass=mass,
        coupling=coupling,
        truth=truth,
        start_event=start_event,
        waveforms=waveforms,
        eot=eot,
        importance=importance,
        prescale=prescale,
        workers=workers,
    )
    return production.batches()


@dataclass(eq=False)
class Production:
    """A simulation to be done, and how far it is."""

    job: Job
    n: int | None
    eot: float | None
    start_event: int
    workers: int
    events: int = 0
    """Made so far."""
    particles: float = 0.0
    """Beam particles on target so far."""
    scaler: float = 0.0
    """Coincidences so far."""
    live: float = 0.0
    """Those of them that came while the acquisition was ready."""

    @staticmethod
    def of(
        setup: Setup,
        process: str,
        n: int | None,
        *,
        seed: int,
        trigger: TriggerMode = "physics",
        intensity: float | None = None,
        run: int | None = None,
        model: str | None = None,
        mass: float | None = None,
        coupling: float | None = None,
        truth: bool = True,
        start_event: int = 1,
        waveforms: bool = False,
        eot: float | None = None,
        importance: int = 1,
        prescale: int | None = None,
        workers: int = 1,
    ) -> Production:
        """What `simulate` is asked for; parameters and errors are the same."""
        if process not in PROCESSES:
            msg = f"There is no process {process!r}. {did_you_mean(process, PROCESSES)}"
            raise ValueError(msg)
        if trigger not in get_args(TriggerMode):
            msg = f"There is no trigger {trigger!r}. {did_you_mean(trigger, get_args(TriggerMode))}"
            raise ValueError(msg)
        nominal = setup.beam.intensity if intensity is None else intensity
        if (n or 0) < 0 or seed < 0 or nominal < 0:
            msg = (
                "number of events, seed and intensity must not be negative, found "
                f"n={n}, seed={seed}, intensity={nominal}"
            )
            raise ValueError(msg)
        if process != "signal" and any(x is not None for x in (model, mass, coupling)):
            msg = f"model, mass and coupling belong to the process 'signal', not to {process!r}"
            raise ValueError(msg)
        if n is None and eot is None:
            msg = "Say how much to simulate: a number of events, or of beam particles (eot)."
            raise ValueError(msg)
        if (eot is not None and eot <= 0) or (prescale or 0) < 0 or workers < 1:
            msg = (
                "eot and workers must be positive and prescale not negative, found "
                f"eot={eot}, workers={workers}, prescale={prescale}"
            )
            raise ValueError(msg)
        if importance != 1 and process != "beam":
            msg = f"importance belongs to the process 'beam', not to {process!r}"
            raise ValueError(msg)
        if importance != 1 and not truth:
            msg = "Events of a weighted simulation need their weight: leave out truth=False."
            raise ValueError(msg)
        if prescale and trigger != "physics":
            msg = f"A prescale goes with the physics trigger, not with {trigger!r}."
            raise ValueError(msg)
        _refuse_impossible_trigger(setup)
        if waveforms and setup.digitizer is None:
            msg = (
                f"The setup {setup.name!r} has no `digitizer`, so nothing can be sampled. Add one."
            )
            raise SetupError(msg)
        charge = {"electron": -1, "positron": 1}.get(process, setup.beam.charge)
        setup = _scale_magnets(setup, charge * setup.beam.charge)
        if prescale is None:
            prescale = PRESCALE if process == "beam" and trigger == "physics" else 0
        source = Source(
            setup=setup,
            line=beamline(setup),
            process=process,
            intensity=nominal,
            boson=Boson(
                model or "dark-photon",
                (10.0 if mass is None else mass) * MeV,
                COUPLING if coupling is None else coupling,
            ),
            mixture=beam_mixture(setup, importance) if process == "beam" else None,
        )
        job = Job(
            source=source,
            detector=load_detector(setup),
            trigger=trigger,
            seed=seed,
            run=setup.runs[0] if run is None else run,
            truth=truth,
            first_spill=1 + max(0, start_event - 1) // _PER_SPILL,
            waveforms=waveforms,
            prescale=prescale,
        )
        return Production(job, n, eot, start_event, workers)

    def done(self) -> bool:
        """Whether everything is made that was asked for."""
        enough = self.n is not None and self.events >= self.n
        return enough or (self.eot is not None and self.particles >= self.eot)

    @property
    def progress(self) -> tuple[int, int]:
        """What is made and what is asked for: events, or else beam particles."""
        if self.n is not None:
            return self.events, self.n
        return int(self.particles), int(self.eot or 0)

    @property
    def summary(self) -> dict[str, str]:
        """What a file's metadata say of what has been made."""
        counted = {"events": str(self.events), "eot": f"{self.particles:.0f}"}
        if self.job.counts:
            counted |= {"scaler": f"{int(self.scaler)}", "scaler_live": f"{int(self.live)}"}
        return counted

    def batches(self) -> Generator[EventBatch, None, None]:
        """All batches, each with at least one event."""
        if self.done():
            return
        empty = 0
        with closing(batches_in_order(self.job, workers=self.workers)) as source:
            for made in source:
                batch = self._add(made)
                empty = 0 if len(batch) else empty + 1
                if empty == _HOPELESS:
                    raise SetupError(self._nothing())
                if len(batch):
                    yield batch
                if self.done():
                    return

    def _nothing(self) -> str:
        source = self.job.source
        return (
            f"{self.particles:.0f} particles of the process {source.process!r} in the "
            f"setup {source.setup.name!r} fired the {self.job.trigger} trigger not once. "
            "Take another trigger ('none' keeps every event), or check the setup's trigger."
        )

    def _add(self, made: Made) -> EventBatch:
        """Number the events, count on, and cut off what is too much."""
        count = len(made.batch)
        take = count if self.n is None else min(count, self.n - self.events)
        if self.eot is not None:
            within = np.searchsorted(made.particles, self.eot - self.particles, side="right")
            take = min(take, int(within))
        batch = made.batch.slice(0, take) if take < count else made.batch
        number = self.start_event + self.events + np.arange(take, dtype=np.int64)
        added = {"event": number.astype(np.uint64)}
        if self.job.counts:
            added["scaler"] = np.floor(self.scaler + made.scaler[:take]).astype(np.uint64)
            added["scaler_live"] = np.floor(self.live + made.live[:take]).astype(np.uint64)
        # In the schema's order.
        scalars = batch.scalars | added
        batch.scalars.clear()
        batch.scalars.update({name: scalars[name] for name in SCALARS if name in scalars})
        self.events += take
        ends = made.totals
        if take < count and self.n is not None and self.events >= self.n:
            last = take - 1
            ends = (made.particles[last], made.scaler[last], made.live[last])
        elif self.eot is not None and self.particles + made.totals[0] > self.eot:
            share = (self.eot - self.particles) / made.totals[0]
            ends = (made.totals[0] * share, made.totals[1] * share, made.totals[2] * share)
            self.eot = self.particles + ends[0]
        self.particles += float(ends[0])
        self.scaler += float(ends[1])
        self.live += float(ends[2])
        return batch


def _refuse_impossible_trigger(setup: Setup) -> None:
    if "prs" not in setup.ecal.sections and setup.trigger.prs_min > 0:
        msg = (
            f"The ECAL of the setup {setup.name!r} has the sections "
            f"{', '.join(setup.ecal.sections)}; a trigger with "
            f"prs_min={setup.trigger.prs_min:g} needs one named prs."
        )
        raise SetupError(msg)
