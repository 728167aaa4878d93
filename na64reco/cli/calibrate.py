"""`na64reco calibrate`: constants from calibration runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from na64reco.cli import completion
from na64reco.cli.common import describe, print_json, progress_bar, warn, written
from na64reco.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from na64reco.calibrate import Result, Table, Task

__all__ = ["calibrate_command"]

_RUNS: Final = re.compile(r"(\d+)(?:(-)(\d+)?)?")


@dataclass(frozen=True)
class Calibration:
    """One thing that can be calibrated."""

    run: Callable[[Task], Result]
    files: tuple[str, ...]
    """Conditions files that it writes."""


def _alignment(task: Task) -> Result:
    from na64reco.calibrate.alignment import calibrate_alignment
    from na64reco.report.alignment import draw_alignment

    result = calibrate_alignment(task)
    return replace(result, pictures=draw_alignment(result.detail))


def _strips(task: Task) -> Result:
    from na64reco.calibrate.strips import calibrate_strips
    from na64reco.report.strip_calibration import draw_strips

    result = calibrate_strips(task)
    return replace(result, pictures=draw_strips(result.detail))


def _straw(task: Task) -> Result:
    from na64reco.calibrate.straw import calibrate_straw
    from na64reco.report.straw_calibration import draw_straws

    result = calibrate_straw(task)
    return replace(result, pictures=draw_straws(result.detail))


def _tracking(task: Task) -> Result:
    from na64reco.calibrate.tracking import look_at_tracks
    from na64reco.report.tracking_quality import draw_tracking_quality

    result = look_at_tracks(task)
    return replace(result, pictures={"tracking_quality": draw_tracking_quality(result.detail)})


def _ecal(task: Task) -> Result:
    from na64reco.calibrate.ecal import calibrate_ecal
    from na64reco.report.energy_calibration import draw_ecal

    result = calibrate_ecal(task)
    return replace(result, pictures=draw_ecal(result.detail))


def _profile(task: Task) -> Result:
    from na64reco.calibrate.profile import calibrate_profile
    from na64reco.report.shape_calibration import draw_profile

    result = calibrate_profile(task)
    return replace(result, pictures=draw_profile(result.detail))


def _cuts(task: Task) -> Result:
    from na64reco.calibrate.shape_cuts import calibrate_cuts
    from na64reco.report.shape_calibration import draw_cuts

    result = calibrate_cuts(task)
    return replace(result, pictures=draw_cuts(result.detail))


def _drift(task: Task) -> Result:
    from na64reco.calibrate.drift import calibrate_drift
    from na64reco.report.energy_calibration import draw_drift

    result = calibrate_drift(task)
    return replace(result, pictures=draw_drift(result.detail))


def _srd(task: Task) -> Result:
    from na64reco.calibrate.srd import calibrate_srd
    from na64reco.report.energy_calibration import draw_srd

    result = calibrate_srd(task)
    return replace(result, pictures=draw_srd(result.detail))


def _ionising(name: str) -> Callable[[Task], Result]:
    def run(task: Task) -> Result:
        from na64reco.calibrate.ionising import calibrate_ionising
        from na64reco.report.energy_calibration import draw_ionising

        result = calibrate_ionising(task, name)
        return replace(result, pictures=draw_ionising(result.detail))

    return run


def _quality(task: Task) -> Result:
    from na64reco.calibrate.data_quality import calibrate_quality
    from na64reco.report.stability import draw_quality

    result = calibrate_quality(task)
    return replace(result, pictures=draw_quality(result.detail))


def _waveform(task: Task) -> Result:
    from na64reco.calibrate.waveform import calibrate_waveform
    from na64reco.report.waveform_calibration import draw_waveforms

    result = calibrate_waveform(task)
    return replace(result, pictures=draw_waveforms(result.detail))


# An entry imports what it needs when it runs. Pictures: `replace(result, pictures=draw_NAME(...))`.
# Several run in this order; each starts from what those before it have written.
CALIBRATIONS: Final[dict[str, Calibration]] = {
    # First: what follows reads files with samples by it.
    "waveform": Calibration(_waveform, ("waveform.txt",)),
    "alignment": Calibration(_alignment, ("alignment.txt",)),
    "strips": Calibration(_strips, ("mm.txt", "gem.txt")),
    "straw": Calibration(_straw, ("straw.txt", "alignment.txt")),
    # Looks only, at what those above have written; writes no conditions.
    "tracking": Calibration(_tracking, ("tracking.root",)),
    # Electrons with the beam trigger.
    "drift": Calibration(_drift, ("drift.txt",)),
    "ecal": Calibration(_ecal, ("ecal.txt",)),
    "profile": Calibration(_profile, ("ecal.txt",)),
    "srd": Calibration(_srd, ("srd.txt",)),
    # Muon pairs; writes no conditions.
    "cuts": Calibration(_cuts, ("shape_cuts.yaml",)),
    # Muons.
    "hcal": Calibration(_ionising("hcal"), ("hcal.txt",)),
    "vhcal": Calibration(_ionising("vhcal"), ("vhcal.txt",)),
    "veto": Calibration(_ionising("veto"), ("veto.txt",)),
    "counters": Calibration(_ionising("counters"), ("counters.txt",)),
    # Any run.
    "quality": Calibration(_quality, ("quality.txt",)),
}
"""By the names that `--only` takes."""
DEFAULT: Final = "alignment"


def _complete(incomplete: str) -> list[str]:
    return completion.last_of_list(incomplete, CALIBRATIONS)


def calibrate_command(  # noqa: PLR0917 - the options of the command
    setup: Annotated[
        str,
        typer.Argument(
            metavar="SETUP",
            help="Name of a setup (see `na64reco setups`) or a YAML file.",
            autocompletion=completion.setups,
        ),
    ],
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="Hit files, folders or globs.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of conditions to write, such as calib/new.")
    ],
    only: Annotated[
        str,
        typer.Option(
            help=f"NAME,NAME,... of: {', '.join(CALIBRATIONS)}; default: {DEFAULT}.",
            autocompletion=_complete,
        ),
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
        typer.Option(help="Whose tracks and planes; default: the setup's first."),
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
    efficiency: Annotated[
        float,
        typer.Option(
            min=0.5, max=0.999, help="Profile, cuts: share of electrons that cuts are to keep."
        ),
    ] = 0.95,
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
    not calibrated are copied into it; to go on with a folder, name it as --calib too. Bad runs and
    spills of the starting conditions are left out.

    [bold]Examples[/bold]

    na64reco calibrate 2022-electron calibration.root -o calib/new

    na64reco calibrate 2022-electron runs/*.root -o calib/new --only alignment --runs 6100-
    """
    chosen = _chosen(only)
    from na64reco.calibrate import AlignmentOptions, Task, write_summary
    from na64reco.events import load_mapping
    from na64reco.processors.fileset import resolve_inputs
    from na64reco.report.pictures import save_pictures
    from na64reco.setup import load_setup

    task = Task(
        setup=load_setup(setup),
        files=tuple(file.path for file in resolve_inputs(files).files),
        out=out,
        calib=calib,
        runs=_validity(runs),
        max_events=events,
        mapping=None if mapping is None else load_mapping(mapping),
        overwrite=overwrite,
        spectrometer=spectrometer,
        alignment=AlignmentOptions(
            straight=tuple(file.path for file in resolve_inputs(straight).files)
            if straight
            else (),
            tolerance=tolerance,
            beam_momentum=beam_momentum,
        ),
        efficiency=efficiency,
        progress=progress_bar,
    )
    for file in {file for name in chosen for file in CALIBRATIONS[name].files}:
        task.check_target(file)
    results: dict[str, Any] = {}
    for name in chosen:
        result = CALIBRATIONS[name].run(task)
        for warning in result.warnings:
            warn(warning)
        if not as_json:
            _show(result.tables)
        pictures = save_pictures(result.pictures, out)
        results[name] = {
            "written": [str(path) for path in (*result.written, *pictures)],
            "runs": list(result.runs),
            **result.summary,
        }
        said = f"{name}: {', '.join(results[name]['written'])}"
        written(results[name]["written"], said, as_json=as_json)
        write_summary(task, name, results[name])
        task = replace(task, calib=out)
    if as_json:
        print_json({"setup": task.setup.name, "out": str(out), **results})


def _chosen(only: str) -> list[str]:
    wanted = [name.strip() for name in only.split(",") if name.strip()] or [DEFAULT]
    for name in wanted:
        if name not in CALIBRATIONS:
            msg = f"There is no calibration {name!r}. {did_you_mean(name, CALIBRATIONS)}"
            raise typer.BadParameter(msg)
    return [name for name in CALIBRATIONS if name in wanted]


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


def _show(tables: tuple[Table, ...]) -> None:
    from rich.table import Table as RichTable

    for table in tables:
        rich = RichTable(title=table.title)
        for number, column in enumerate(table.columns):
            rich.add_column(column, justify="right" if number else "left")
        for row in table.rows:
            rich.add_row(*row)
        describe(rich, *([table.note] if table.note else []))
