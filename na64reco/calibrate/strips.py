"""Strip planes from tracks: resolution, mean time and its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.sample import Tally
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibrate.trackers import read_trackers
from na64reco.calibration.sdc import runs_text
from na64reco.tracking.quality import track_quality
from na64reco.tracking.strip_calibration import apply_strips, fit_strips

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from na64reco.tracking.quality import TrackQuality
    from na64reco.tracking.strip_calibration import StripFit

__all__ = ["FILES", "StripDetail", "calibrate_strips"]

FILES: Final = ("mm.txt", "gem.txt")


@dataclass(frozen=True)
class StripDetail:
    """What pictures are drawn from."""

    planes: tuple[StripFit, ...]
    quality: TrackQuality
    """By the new constants."""


def calibrate_strips(task: Task) -> Result:
    """Find resolution and timing of a spectrometer's strip planes.

    Raises
    ------
    OutputExistsError
        If a file is there and not to be overwritten.
    DataError
        If the files hold no strip planes or too few tracks.
    ConditionsError
        If the conditions to start from do not cover the runs.
    """
    for name in FILES:
        task.check_target(name)
    tally = Tally()
    hits, first = read_trackers(task, task.files, tally, label="Strips")
    runs = tally.validity(task)
    assert first is not None
    planes = fit_strips(
        hits.get("MM"), hits.get("GEM"), task.setup, first.conditions, spectrometer=task.tracker
    )
    written: list[Path] = []
    for name in FILES:
        rows = {
            tuple(plane.name.rsplit(" ", 1)): {
                "time": plane.time,
                "time_width": plane.time_width,
                "resolution": plane.resolution,
                "time_error": plane.time_error,
                "time_width_error": plane.time_width_error,
                "resolution_error": plane.resolution_error,
                "entries": plane.entries,
            }
            for plane in planes
            if plane.key[0] == name.removesuffix(".txt")
        }
        if rows:
            comment = f"resolution and times on tracks in {tally.text}"
            written += write_constants(task, name, rows, runs=runs, comment=comment)
    quality = track_quality(
        hits, task.setup, apply_strips(planes, first.conditions), spectrometer=task.tracker
    )
    return Result(
        runs=runs,
        written=tuple(dict.fromkeys(written)),
        summary={"events": tally.events, "planes": [_summary(plane) for plane in planes]},
        tables=(_table(planes, runs),),
        detail=StripDetail(planes, quality),
    )


def _summary(plane: StripFit) -> dict[str, Any]:
    return {
        "plane": plane.name,
        "resolution_mm": plane.resolution,
        "resolution_error_mm": plane.resolution_error,
        "resolution_before_mm": plane.start.resolution,
        "pull_width_before": plane.pull,
        "time_ns": plane.time,
        "time_error_ns": plane.time_error,
        "time_before_ns": plane.start.time,
        "time_width_ns": plane.time_width,
        "time_width_error_ns": plane.time_width_error,
        "time_width_before_ns": plane.start.time_width,
        "hits": plane.entries,
        "strips": plane.strips,
    }


def _table(planes: Sequence[StripFit], runs: tuple[int, int]) -> Table:
    rows = [
        [
            plane.name,
            *(
                f"{1e3 * v:.1f}"
                for v in (plane.resolution, plane.resolution_error, plane.start.resolution)
            ),
            *(f"{v:.2f}" for v in (plane.time, plane.time_error, plane.start.time)),
            *(f"{v:.2f}" for v in (plane.time_width, plane.time_width_error)),
            f"{plane.start.time_width:.2f}",
            str(plane.entries),
        ]
        for plane in planes
    ]
    columns = (
        *("plane", "resolution, um", "+-", "before"),
        *("time, ns", "+-", "before", "width, ns", "+-", "before", "hits"),
    )
    return Table(title=f"Strip planes, runs {runs_text(runs)}", columns=columns, rows=rows)
