"""Simulated hit files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from na64reco.events.write import EventWriter
from na64reco.simulation.generate import TriggerMode, simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from na64reco.setup.model import Setup

__all__ = ["write_simulation"]


def write_simulation(
    path: str | Path,
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
    format: Literal["ttree", "rntuple"] = "ttree",  # noqa: A002 - the name of the option
    compression: Literal["zstd", "lz4", "none"] = "zstd",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a file of simulated events; see `simulate` for the physics.

    Parameters
    ----------
    format, compression, overwrite
        See `EventWriter`.
    progress
        Called as ``progress(events written, n)`` after every batch.

    Returns
    -------
    int
        Number of events written.
    """
    batches = simulate(
        setup,
        process,
        n,
        seed=seed,
        trigger=trigger,
        intensity=intensity,
        run=run,
        model=model,
        mass=mass,
        truth=truth,
        start_event=start_event,
        waveforms=waveforms,
    )
    metadata = {
        "setup": setup.name,
        "process": process,
        "events": str(n),
        "seed": str(seed),
        "trigger": trigger,
        "intensity": f"{setup.beam.intensity if intensity is None else intensity:g}",
        "beam_momentum": f"{setup.beam.momentum:g}",
    }
    if process == "signal":
        metadata["model"] = model or "dark-photon"
        metadata["mass_MeV"] = f"{10.0 if mass is None else mass:g}"
    done = 0
    with EventWriter(
        path,
        format=format,
        compression=compression,
        metadata=metadata if truth else {"setup": setup.name},
        overwrite=overwrite,
    ) as writer:
        for batch in batches:
            writer.write(batch)
            done += len(batch)
            if progress is not None:
                progress(done, n)
    return done
