"""Alignment of the tracking planes: `na64reco.tracking.alignment` from files to a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.sample import (
    Part,
    Tally,
)
from na64reco.calibrate.straw import straw_places
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibrate.trackers import read_trackers
from na64reco.calibration import file_formats, read_sdc
from na64reco.calibration.sdc import runs_text
from na64reco.errors import DataError
from na64reco.tracking.alignment import AlignmentSample, align
from na64reco.tracking.quality import track_quality
from na64reco.tracking.straw_calibration import fit_straws
from na64reco.tracking.straw_tracks import find_crossings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.tracking.alignment import AlignmentResult
    from na64reco.tracking.alignment_modes import Mode
    from na64reco.tracking.quality import TrackQuality

__all__ = ["FILE", "AlignmentDetail", "calibrate_alignment", "describe_modes"]

FILE: Final = "alignment.txt"
_HOPELESS: Final = {"mm": 10.0, "mrad": 50.0}
"""An error with which nobody would say that a movement is seen."""


@dataclass(frozen=True)
class AlignmentDetail:
    """What pictures are drawn from."""

    found: AlignmentResult
    quality: TrackQuality
    """By the new constants."""


def calibrate_alignment(task: Task) -> Result:
    """Align the planes of a spectrometer with the tracks of hit files.

    Raises
    ------
    OutputExistsError
        If alignment.txt is there and not to be overwritten.
    DataError
        If the files hold too few tracks, or no tracker, or runs of several periods.
    ConditionsError
        If the conditions to start from do not cover the runs.
    """
    task.check_target(FILE)
    tally = Tally()
    samples = []
    first: Part | None = None
    bent: dict[str, Hits] = {}
    for files, is_straight in ((task.files, False), (task.alignment.straight, True)):
        if files:
            hits, first = read_trackers(task, files, tally, first=first)
            samples.append(AlignmentSample(hits.get("MM"), hits.get("GEM"), straight=is_straight))
            bent = bent or hits
    runs = tally.validity(task)
    assert first is not None
    with task.progress("Alignment", "iterations") as update:
        found = align(
            samples,
            task.setup,
            first.conditions,
            spectrometer=task.tracker,
            tolerance=task.alignment.tolerance,
            beam_momentum=task.alignment.beam_momentum,
            progress=update,
        )
    warnings = []
    if not found.converged:
        warnings.append(
            f"the alignment did not settle in {found.iterations} iterations; look at the "
            "corrections, and start again from the file that was written (--calib)."
        )
    places: dict[tuple[str, str], dict[str, float]] = {}
    aligned = found.apply(first.conditions)
    if "ST" in bent:
        try:
            places = _straws(task, bent, aligned)
        except DataError as error:
            warnings.append(f"straw planes stay where they were: {error}")
    written = _write(task, found, places, tally=tally, runs=runs)
    return Result(
        runs=runs,
        written=written,
        summary={**_summary(found), "straws": _straw_summary(places)},
        tables=(_table(found, runs), *([_straw_table(places)] if places else [])),
        warnings=tuple(warnings),
        detail=AlignmentDetail(
            found, track_quality(bent, task.setup, aligned, spectrometer=task.tracker)
        ),
    )


def _straws(
    task: Task, hits: dict[str, Hits], conditions: Conditions
) -> dict[tuple[str, str], dict[str, float]]:
    """Straw planes, from the tracks of the strip planes where these have been found to be."""
    crossings = find_crossings(
        hits.get("MM"),
        hits.get("GEM"),
        hits["ST"],
        task.setup,
        conditions,
        spectrometer=task.tracker,
    )
    return straw_places(fit_straws(crossings), conditions)


def _write(
    task: Task,
    found: AlignmentResult,
    places: dict[tuple[str, str], dict[str, float]],
    *,
    tally: Tally,
    runs: tuple[int, int],
) -> tuple[Path, ...]:
    # All planes of the setup: a block that lacked some would not cover runs of its own.
    before = read_sdc(task.source / FILE, file_formats(task.setup)[FILE]).resolve(runs[0]).rows
    columns = ("shift", "rotation", "shift_error", "rotation_error", "entries")
    rows: dict[Any, Mapping[str, Any]] = {
        key: {c: values[c] for c in columns} for key, values in before.items()
    }
    rows |= places
    for i, name in enumerate(found.names):
        station, projection = name.rsplit(" ", 1)
        rows[station, projection] = {
            "shift": round(float(found.shift[i]), 5),
            "rotation": round(float(found.rotation[i]), 4),
            "shift_error": _known(found.shift_error[i]),
            "rotation_error": _known(found.rotation_error[i]),
            "entries": found.tracks,
        }
    lines = [
        f"{task.setup.title}: positions of the tracking planes.",
        f"Last block: fitted to {found.tracks} tracks in {tally.text}; median chi2/ndf",
        f"{found.start_chi2:.2f} before and {found.chi2:.2f} after, {found.iterations} iterations"
        f"{'' if found.converged else ', NOT CONVERGED'}. Standard deviations are for what is",
        "kept as before being right.",
    ]
    if found.modes:
        lines += ["", "What tracks do not see, or worse than wanted:"]
        lines += [f"  {line}" for line in describe_modes(found.modes)]
    return write_constants(
        task,
        FILE,
        rows,
        runs=runs,
        comment=f"alignment with {found.tracks} tracks in {tally.text}",
        header="\n".join(lines),
    )


def _straw_summary(places: dict[tuple[str, str], dict[str, float]]) -> list[dict[str, Any]]:
    names = {"shift": "mm", "shift_error": "mm", "rotation": "mrad", "rotation_error": "mrad"}
    return [
        {"plane": " ".join(key), **{f"{n}_{unit}": values[n] for n, unit in names.items()}}
        for key, values in places.items()
    ]


def _straw_table(places: dict[tuple[str, str], dict[str, float]]) -> Table:
    return Table(
        title="Straw planes, from tracks of the strip planes",
        columns=("plane", "shift, mm", "+-", "rotation, mrad", "+-"),
        rows=[
            [
                " ".join(key),
                *(f"{values[n]:.4f}" for n in ("shift", "shift_error")),
                *(f"{values[n]:.3f}" for n in ("rotation", "rotation_error")),
            ]
            for key, values in places.items()
        ],
    )


def _known(error: float) -> float:
    return float(error) if math.isfinite(error) else 0.0


def describe_modes(modes: Sequence[Mode]) -> list[str]:
    """One line for each mode."""
    lines = []
    for mode in modes:
        errors = [(mode.shift_error, "mm"), (mode.rotation_error, "mrad")]
        known = [f"{e:.2g} {unit}" for e, unit in errors if e and e < _HOPELESS[unit]]
        how = f"tracks know it to {' and '.join(known)}" if known else "no track sees it"
        what = "kept as before" if mode.held else "fitted"
        lines.append(f"{mode.name}: {what}, {how}")
    return lines


def _summary(found: AlignmentResult) -> dict[str, Any]:
    def known(error: float) -> float | None:
        return error if math.isfinite(error) else None

    return {
        "events": found.events,
        "tracks": found.tracks,
        "iterations": found.iterations,
        "converged": found.converged,
        "median_chi2_per_ndf": {"before": found.start_chi2, "after": found.chi2},
        "planes": [
            {
                "plane": name,
                "shift_mm": float(found.shift[i]),
                "shift_error_mm": float(found.shift_error[i]),
                "shift_before_mm": float(found.start_shift[i]),
                "rotation_mrad": float(found.rotation[i]),
                "rotation_error_mrad": float(found.rotation_error[i]),
                "rotation_before_mrad": float(found.start_rotation[i]),
            }
            for i, name in enumerate(found.names)
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
            for mode in found.modes
        ],
    }


def _table(found: AlignmentResult, runs: tuple[int, int]) -> Table:
    numbers = np.column_stack(
        (
            found.shift,
            found.shift_error,
            found.start_shift,
            found.rotation,
            found.rotation_error,
            found.start_rotation,
        )
    )
    note = (
        f"{found.tracks} tracks of {found.events} events, {found.iterations} iterations; median "
        f"chi2/ndf {found.start_chi2:.2f} before, {found.chi2:.2f} after"
    )
    if found.modes:
        lines = "\n".join(f"  {line}" for line in describe_modes(found.modes))
        note += f"\nWhat tracks do not see, or worse than wanted:\n{lines}"
    return Table(
        title=f"Alignment, runs {runs_text(runs)}",
        columns=("plane", "shift, mm", "+-", "before", "rotation, mrad", "+-", "before"),
        rows=[
            [name, *(f"{v:.4f}" for v in row[:3]), *(f"{v:.3f}" for v in row[3:])]
            for name, row in zip(found.names, numbers, strict=True)
        ],
        note=note,
    )
