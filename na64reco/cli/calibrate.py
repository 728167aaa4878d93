"""`na64reco calibrate`: constants from calibration runs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from na64reco.cli.common import print_json, progress_bar, say, show
from na64reco.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from na64reco.events import Mapping
    from na64reco.setup import Setup
    from na64reco.tracking.alignment import AlignmentResult

__all__ = ["calibrate_command"]

_RUNS: Final = re.compile(r"(\d+)(?:(-)(\d+)?)?")


@dataclass(frozen=True)
class _Task:
    """What every calibration is given."""

    setup: Setup
    files: list[str]
    out: Path
    calib: Path | None
    runs: tuple[int, int] | None
    max_events: int | None
    mapping: Mapping | None
    overwrite: bool
    quiet: bool
    """Print no tables."""
    straight: list[str]
    spectrometer: str | None
    tolerance: float
    beam_momentum: bool


def _alignment(task: _Task) -> dict[str, Any]:
    from na64reco.tracking.alignment_files import align_files

    with progress_bar("Alignment", "iterations") as progress:
        result, runs, written = align_files(
            task.setup,
            task.files,
            task.out,
            straight=task.straight,
            spectrometer=task.spectrometer,
            calib=task.calib,
            runs=task.runs,
            tolerance=task.tolerance,
            beam_momentum=task.beam_momentum,
            max_events=task.max_events,
            mapping=task.mapping,
            overwrite=task.overwrite,
            progress=progress,
        )
    if not result.converged:
        say(
            f"Warning: the alignment did not settle in {result.iterations} iterations; look at "
            "the corrections, and start again from the file that was written (--calib)."
        )
    if not task.quiet:
        _show_alignment(result, runs)
    return {
        "written": [str(path) for path in written],
        "runs": list(runs),
        **_alignment_summary(result),
    }


CALIBRATIONS: Final[dict[str, Callable[[_Task], dict[str, Any]]]] = {"alignment": _alignment}
"""What can be calibrated, in the order in which it is: each writes its own conditions files."""


def calibrate_command(  # noqa: PLR0917 - the options of the command
    setup: Annotated[
        str,
        typer.Argument(
            metavar="SETUP", help="Name of a setup (see `na64reco setups`) or a YAML file."
        ),
    ],
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="Hit files, folders or globs.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of conditions to write, such as calib/new.")
    ],
    only: Annotated[
        str, typer.Option(help=f"NAME,NAME,... of: {', '.join(CALIBRATIONS)}; default: all.")
    ] = "",
    calib: Annotated[
        Path | None,
        typer.Option(help="Folder of the conditions to start from; default: the shipped ones."),
    ] = None,
    runs: Annotated[
        str,
        typer.Option(
            metavar="FIRST-LAST",
            help="Validity: 6100, 6100-6199 or 6100-; default: from the first run of the files to "
            "the last of the setup.",
        ),
    ] = "",
    events: Annotated[
        int | None, typer.Option("-n", "--events", min=1, help="Use no more events than this.")
    ] = None,
    straight: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Alignment: a file with the magnets off. Repeatable."),
    ] = None,
    spectrometer: Annotated[
        str | None,
        typer.Option(help="Alignment: the planes of this one; default: the setup's first."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, help="Alignment: how far planes may be off, mm."),
    ] = 1.0,
    beam_momentum: Annotated[
        bool,
        typer.Option(
            "--beam-momentum",
            help="Alignment: take tracks to have the beam's momentum, within its spread.",
        ),
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that says how foreign branches are named.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace conditions files that are there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of tables.")
    ] = False,
) -> None:
    """Find constants in calibration runs and write them as conditions.

    The folder can be used at once: `na64reco run ... --calib FOLDER`. Conditions files that are
    not calibrated are copied into it.

    [bold]Examples[/bold]

    na64reco calibrate 2022-electron calibration.root -o calib/new

    na64reco calibrate 2022-electron runs/*.root -o calib/new --only alignment --runs 6100-
    """
    chosen = _chosen(only)
    from na64reco.events import load_mapping
    from na64reco.processors.fileset import resolve_inputs
    from na64reco.setup import load_setup

    validity = _validity(runs)
    task = _Task(
        setup=load_setup(setup),
        files=[file.path for file in resolve_inputs(files).files],
        out=out,
        calib=calib,
        runs=validity,
        max_events=events,
        mapping=None if mapping is None else load_mapping(mapping),
        overwrite=overwrite,
        quiet=as_json,
        straight=[file.path for file in resolve_inputs(straight).files] if straight else [],
        spectrometer=spectrometer,
        tolerance=tolerance,
        beam_momentum=beam_momentum,
    )
    results = {name: CALIBRATIONS[name](task) for name in chosen}
    if as_json:
        print_json({"setup": task.setup.name, "out": str(out), **results})
        return
    for name, result in results.items():
        say(f"{name}: {', '.join(result['written'])}")


def _chosen(only: str) -> list[str]:
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in CALIBRATIONS:
            msg = f"There is no calibration {name!r}. {did_you_mean(name, CALIBRATIONS)}"
            raise typer.BadParameter(msg)
    return [name for name in CALIBRATIONS if name in wanted or not wanted]


def _validity(text: str) -> tuple[int, int] | None:
    from na64reco.calibration import LAST_RUN

    if not text:
        return None
    found = _RUNS.fullmatch(text.strip())
    if not found:
        msg = f"--runs {text!r} is no range of runs; expected 6100, 6100-6199 or 6100-"
        raise typer.BadParameter(msg)
    first = int(found[1])
    last = int(found[3]) if found[3] else (LAST_RUN if found[2] else first)
    if last < first:
        msg = f"--runs {text!r}: the last run is before the first"
        raise typer.BadParameter(msg)
    return first, last


def _alignment_summary(result: AlignmentResult) -> dict[str, Any]:
    def known(error: float) -> float | None:
        return error if math.isfinite(error) else None

    return {
        "events": result.events,
        "tracks": result.tracks,
        "iterations": result.iterations,
        "converged": result.converged,
        "median_chi2_per_ndf": {"before": result.start_chi2, "after": result.chi2},
        "planes": [
            {
                "plane": name,
                "shift_mm": float(result.shift[i]),
                "shift_error_mm": float(result.shift_error[i]),
                "shift_before_mm": float(result.start_shift[i]),
                "rotation_mrad": float(result.rotation[i]),
                "rotation_error_mrad": float(result.rotation_error[i]),
                "rotation_before_mrad": float(result.start_rotation[i]),
            }
            for i, name in enumerate(result.names)
        ],
        "modes": [
            {
                "name": mode.name,
                "held": mode.held,
                "shift_error_mm": known(mode.shift_error),
                "rotation_error_mrad": known(mode.rotation_error),
                "shift_mm": mode.shift.tolist(),
                "rotation_mrad": mode.rotation.tolist(),
            }
            for mode in result.modes
        ],
    }


def _show_alignment(result: AlignmentResult, runs: tuple[int, int]) -> None:
    from rich.table import Table

    from na64reco.calibration.sdc import runs_text
    from na64reco.tracking.alignment_files import describe_modes

    table = Table(title=f"Alignment, runs {runs_text(runs)}")
    table.add_column("plane")
    for column in ("shift, mm", "+-", "before", "rotation, mrad", "+-", "before"):
        table.add_column(column, justify="right")
    for i, name in enumerate(result.names):
        table.add_row(
            name,
            f"{result.shift[i]:.4f}",
            f"{result.shift_error[i]:.4f}",
            f"{result.start_shift[i]:.4f}",
            f"{result.rotation[i]:.3f}",
            f"{result.rotation_error[i]:.3f}",
            f"{result.start_rotation[i]:.3f}",
        )
    show(
        table,
        f"{result.tracks} tracks of {result.events} events, {result.iterations} iterations; median "
        f"chi2/ndf {result.start_chi2:.2f} before, {result.chi2:.2f} after",
    )
    if result.modes:
        lines = "\n".join(f"  {line}" for line in describe_modes(result.modes))
        show(f"What tracks do not see, or worse than wanted:\n{lines}")
