"""`na64reco simulate`: write a file of simulated hits."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from na64reco.cli import completion
from na64reco.cli.common import progress_bar, written

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["simulate_command"]


@contextmanager
def _wrong_values() -> Iterator[None]:
    """Values that the simulation refuses are wrong usage, not a bug."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def simulate_command(  # noqa: PLR0917 - the options of the command
    setup: Annotated[
        str,
        typer.Argument(
            metavar="SETUP",
            help="Name of a setup (see `na64reco setups`) or a YAML file.",
            autocompletion=completion.setups,
        ),
    ],
    process: Annotated[
        Literal[
            "electron",
            "positron",
            "pion",
            "kaon",
            "proton",
            "muon",
            "dimuon",
            "upstream",
            "signal",
            "beam",
        ],
        typer.Argument(
            metavar="PROCESS",
            help="electron, positron, pion, kaon, proton, muon, dimuon, upstream, signal, or beam: "
            "everything at its rate, a run.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Hit file to write.")],
    events: Annotated[
        int | None,
        typer.Option("-n", "--events", min=1, help="Events to write; default: 10000 or --eot."),
    ] = None,
    eot: Annotated[
        float | None,
        typer.Option(min=1.0, help="Beam particles on target to simulate, such as 1e8."),
    ] = None,
    importance: Annotated[
        int,
        typer.Option(
            min=1,
            help="A power of two: ordinary electrons of a beam stand for so many (MC_weight).",
        ),
    ] = 1,
    prescale: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of beam triggers beside physics triggers, 0 for none; default: 1000 for beam.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; any number writes the same file.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same file.")] = 1,
    trigger: Annotated[
        Literal["physics", "beam", "none"], typer.Option(help="Only events that fire this trigger.")
    ] = "physics",
    intensity: Annotated[
        float | None,
        typer.Option(min=0.0, help="Beam particles per spill (pile-up); default: nominal."),
    ] = None,
    run: Annotated[
        int | None, typer.Option(min=0, help="Run number; default: the first of the setup.")
    ] = None,
    start_event: Annotated[
        int,
        typer.Option(min=0, help="Number of the first event; a run's files must not share any."),
    ] = 1,
    format: Annotated[  # noqa: A002 - the name of the option
        Literal["ttree", "rntuple"], typer.Option(help="Container of the events.")
    ] = "ttree",
    compression: Annotated[
        Literal["zstd", "lz4", "none"],
        typer.Option(help="zstd makes the smallest files, lz4 is read 2-3 times faster."),
    ] = "zstd",
    waveforms: Annotated[
        bool,
        typer.Option(
            "--waveforms",
            help="Write raw samples of calorimeters and counters instead of amplitude and time.",
        ),
    ] = False,
    truth: Annotated[
        bool, typer.Option(help="Write the truth (MC_ branches); without it the file is as data.")
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(help="Model of the signal, or a YAML file.", autocompletion=completion.models),
    ] = None,
    mass: Annotated[float | None, typer.Option(min=0.0, help="Mass of the mediator, MeV.")] = None,
    coupling: Annotated[
        float | None, typer.Option(min=0.0, help="Its coupling, where the width matters.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
) -> None:
    """Simulate events of one process and write their hits.

    [bold]Examples[/bold]

    na64reco simulate 2022-electron electron -n 10000 --seed 1 --trigger beam -o calibration.root

    na64reco simulate 2022-electron beam --eot 1e9 --importance 64 --workers 2 -o run.root

    na64reco simulate 2022-electron signal -n 5000 --seed 7 --mass 10 -o signal.root
    """
    from na64reco.setup import load_setup
    from na64reco.simulation import write_simulation

    if events is None and eot is None:
        events = 10_000
    what = "events" if events is not None else "particles"
    with progress_bar(what.capitalize(), what) as progress, _wrong_values():
        number = write_simulation(
            out,
            load_setup(setup),
            process,
            events,
            seed=seed,
            trigger=trigger,
            intensity=intensity,
            run=run,
            start_event=start_event,
            waveforms=waveforms,
            eot=eot,
            importance=importance,
            prescale=prescale,
            workers=workers,
            format=format,
            compression=compression,
            truth=truth,
            model=model,
            mass=mass,
            coupling=coupling,
            overwrite=overwrite,
            progress=progress,
        )
    written([out], f"{out}: {number} events")
