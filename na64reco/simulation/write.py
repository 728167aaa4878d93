"""Simulated hit files."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Literal

from na64reco.events.write import EventWriter
from na64reco.simulation.generate import Production, TriggerMode
from na64reco.simulation.signal import COUPLING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from na64reco.setup.model import Setup

__all__ = ["write_simulation"]


def write_simulation(
    path: str | Path,
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
    format: Literal["ttree", "rntuple"] = "ttree",  # noqa: A002 - the name of the option
    compression: Literal["zstd", "lz4", "none"] = "zstd",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a file of simulated events; see `simulate` for the physics.

    The file's metadata say what was simulated, for how many beam particles it stands (``eot``) and
    what the scalers counted until the end.

    Parameters
    ----------
    format, compression, overwrite
        See `EventWriter`.
    progress
        Called after every batch as ``progress(events written, n)``, without `n` as
        ``progress(beam particles, eot)``.

    Returns
    -------
    int
        Number of events written.
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
    batches = production.batches()
    metadata = {
        "setup": setup.name,
        "process": process,
        "seed": str(seed),
        "trigger": trigger,
        "intensity": f"{setup.beam.intensity if intensity is None else intensity:g}",
        "beam_momentum": f"{setup.beam.momentum:g}",
        "importance": str(importance),
        "prescale": str(production.job.prescale),
    }
    if process == "signal":
        metadata["model"] = model or "dark-photon"
        metadata["mass_MeV"] = f"{10.0 if mass is None else mass:g}"
        metadata["coupling"] = f"{COUPLING if coupling is None else coupling:g}"
    with EventWriter(
        path,
        format=format,
        compression=compression,
        metadata=metadata if truth else {"setup": setup.name},
        overwrite=overwrite,
    ) as writer:
        # Workers go home also where writing fails.
        with closing(batches):
            for batch in batches:
                writer.write(batch)
                if progress is not None:
                    progress(*production.progress)
        if truth:
            writer.metadata |= production.summary
    return production.events
