"""`na64reco run`: hits in; histograms, cutflow and selected events out."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, print_json, progress_bar, say, warn, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from na64reco.processors import RunReport

__all__ = ["run_command"]


def run_command(  # noqa: PLR0917 - the options of the command
    selection: Annotated[
        str,
        typer.Argument(
            metavar="SELECTION",
            help="Name of a selection (see `na64reco selections`) or a YAML file.",
            autocompletion=completion.selections,
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES|FILESET",
            help="Hit files, folders, globs, NAME=FILE to name a dataset, or a fileset YAML.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")],
    executor: Annotated[
        Literal["iterative", "futures", "dask"],
        typer.Option(help="One process, a pool of processes, or dask. The results are the same."),
    ] = "iterative",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per processor.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a running dask scheduler (--executor dask).")
    ] = None,
    chunk_size: Annotated[
        int, typer.Option(min=1, help="Events in memory at a time, per process.")
    ] = 50_000,
    dataset: Annotated[
        str, typer.Option(help="Dataset of the files that have no NAME= in front.")
    ] = "events",
    memory: Annotated[
        float,
        typer.Option(min=0.5, help="GB that a process may hold (not --executor dask)."),
    ] = 1.5,
    timeout: Annotated[
        float,
        typer.Option(min=1, help="Seconds after which such a process is taken for hung."),
    ] = 1800.0,
    skip_bad_files: Annotated[
        bool,
        typer.Option(
            "--skip-bad-files",
            help="Leave out files that are broken, each as a whole, and record why.",
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a run that was stopped or killed; finished chunks that nothing has "
            "changed for are not done again.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output of an earlier run.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how foreign branches are named.")
    ] = None,
    calib: Annotated[
        Path | None, typer.Option(help="Folder of conditions; default: the shipped ones.")
    ] = None,
    nearest_conditions: Annotated[
        bool,
        typer.Option("--nearest-conditions", help="Runs that none cover take the nearest ones."),
    ] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential",
            help="Cuts one after the other: tracks and shower shapes only of events that pass all "
            "cuts before. Same cutflow, regions and selected events; no cut alone, no N-1.",
        ),
    ] = False,
    unblind: Annotated[
        Path | None,
        typer.Option(help="Frozen box of this selection (`na64reco freeze`): show its region."),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            help="Further columns for selected.root: NAME,NAME,... or `all`.",
            autocompletion=completion.columns,
        ),
    ] = "",
    format: Annotated[  # noqa: A002 - the name of the option
        Literal["ttree", "rntuple"], typer.Option(help="Container of selected.root.")
    ] = "ttree",
    picture: Annotated[
        bool,
        typer.Option(
            help="Draw the plane of the signal box into the output folder too, as `na64reco "
            "report` does; two seconds."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of tables.")
    ] = False,
) -> None:
    """Reconstruct and select events; write histograms, cutflow and selected events to a folder.

    Events of data in a selection's blinded region appear nowhere in the output.

    [bold]Examples[/bold]

    na64reco run electron-invisible-2022 data_samples/physics.root -o out

    na64reco run my_selection.yaml data=runs/run_61*.root mc=signal.root -o out --executor futures

    na64reco run electron-invisible-2022 fileset.yaml -o out --skip-bad-files --resume
    """
    from na64reco.processors import run
    from na64reco.processors.workers import limited_memory

    allowed = int(memory * 1e9)
    limit = limited_memory(allowed if executor == "iterative" else None)
    with _chunks_stay(out), limit, progress_bar("Events", "events") as progress:
        report = run(
            selection,
            files,
            out,
            dataset=dataset,
            executor=executor,
            workers=workers,
            scheduler=scheduler,
            chunk_size=chunk_size,
            memory=allowed,
            timeout=timeout,
            skip_bad_files=skip_bad_files,
            resume=resume,
            overwrite=overwrite,
            mapping=mapping,
            calib=calib,
            nearest_conditions=nearest_conditions,
            sequential=sequential,
            unblind=unblind,
            columns=columns if columns == "all" else [c for c in columns.split(",") if c],
            format=format,
            progress=progress,
            extra=_draw if picture else None,
        )
    if as_json:
        print_json(_summary(report))
    else:
        _print(report)


@contextmanager
def _chunks_stay(out: Path) -> Iterator[None]:
    """After an error, say that what was finished is not lost."""
    from na64reco.processors.outputs import chunk_folder

    try:
        yield
    except BaseException:
        if chunk_folder(out).is_dir():
            say("Finished chunks are kept: the same command with --resume continues.")
        raise


def _draw(folder: Path, report: RunReport) -> None:
    from na64reco.report import save_plane

    save_plane(report.selection, report.datasets, folder)


def _print(report: RunReport) -> None:
    from na64reco.report import cutflow_table, region_table

    for dataset in report.datasets:
        describe(cutflow_table(dataset.name, dataset.cutflow))
        if dataset.cutflow.regions:
            describe(region_table(dataset.name, dataset.cutflow))
    ledger = report.ledger
    for file in ledger.skipped:
        warn(f"skipped {file.path}: {file.reason}")
    total, skipped = ledger.events_in_files, ledger.events_skipped
    describe(
        f"{ledger.events_read} events read, "
        f"{'an unknown number' if skipped is None else skipped} skipped, of "
        f"{'an unknown number' if total is None else total} in {len(ledger.files)} files "
        f"({len(ledger.skipped)} files skipped); {report.seconds:.1f} s."
    )
    written(report.paths)


def _summary(report: RunReport) -> dict[str, Any]:
    ledger = report.ledger
    return {
        "out": str(report.out),
        "paths": [str(path) for path in report.paths],
        "events": {
            "in_files": ledger.events_in_files,
            "read": ledger.events_read,
            "skipped": ledger.events_skipped,
        },
        "skipped_files": {file.path: file.reason for file in ledger.skipped},
        "cutflow": {d.name: d.cutflow.rows() for d in report.datasets},
        "regions": {d.name: d.cutflow.region_rows() for d in report.datasets},
        "seconds": round(report.seconds, 3),
    }
