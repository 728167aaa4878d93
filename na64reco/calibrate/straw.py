"""Straws from tracks: t0, r-t relation and resolution per layer, shift and rotation per plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from na64reco.calibrate.constants import write_constants
from na64reco.calibrate.sample import (
    STRAW_FIELDS,
    STRIP_FIELDS,
    Tally,
    read_parts,
    require_same,
)
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibration import PROJECTIONS
from na64reco.calibration.sdc import runs_text
from na64reco.errors import DataError
from na64reco.tracking.straw_calibration import fit_straws
from na64reco.tracking.straw_tracks import find_crossings, join_crossings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from na64reco.calibration import Conditions
    from na64reco.tracking.straw_calibration import LayerFit, PlaneFit
    from na64reco.tracking.straw_tracks import StrawCrossings

__all__ = ["FILES", "StrawDetail", "calibrate_straw", "straw_places"]

FILES: Final = ("straw.txt", "alignment.txt")


@dataclass(frozen=True)
class StrawDetail:
    """What pictures are drawn from."""

    planes: tuple[PlaneFit, ...]
    crossings: StrawCrossings


def calibrate_straw(task: Task) -> Result:
    """Fit drift times to the distances that tracks of the strip planes say.

    Raises
    ------
    OutputExistsError
        If a file is there and not to be overwritten.
    DataError
        If the files hold no straws, no strip planes, or too few tracks.
    ConditionsError
        If the conditions to start from do not cover the runs.
    """
    for name in FILES:
        task.check_target(name)
    tally = Tally()
    parts = list(_crossings(task, tally))
    runs = tally.validity(task)
    conditions = parts[0][0]
    crossings = join_crossings([part for _, part in parts])
    planes = fit_straws(crossings)
    comment = f"drift times on {crossings.tracks} tracks in {tally.text}"
    layers = {
        (p.station, PROJECTIONS[p.projection], fit.layer.layer): {
            "t0": fit.t0,
            "time_max": fit.time_max,
            "rt": fit.rt,
            "resolution": fit.resolution,
            "t0_error": fit.t0_error,
            "time_max_error": fit.time_max_error,
            "resolution_error": fit.resolution_error,
            "entries": fit.entries,
        }
        for p in planes
        for fit in p.layers
    }
    written = write_constants(task, FILES[0], layers, runs=runs, comment=comment)
    places = straw_places(planes, conditions)
    aligned = write_constants(task, FILES[1], places, runs=runs, comment=comment)
    return Result(
        runs=runs,
        written=tuple(dict.fromkeys((written[0], *aligned, *written[1:]))),
        summary=_summary(planes, crossings, tally),
        tables=(_layer_table(planes, conditions, runs), _plane_table(planes, conditions)),
        warnings=_left_out(planes, crossings),
        detail=StrawDetail(planes, crossings),
    )


def _left_out(planes: Sequence[PlaneFit], crossings: StrawCrossings) -> tuple[str, ...]:
    fitted = {(p.station, p.projection) for p in planes}
    names = dict.fromkeys(
        f"{c.station} {PROJECTIONS[c.projection]}"
        for c in crossings.layers
        if (c.station, c.projection) not in fitted
    )
    if not names:
        return ()
    return (f"too few hits on tracks in {', '.join(names)}: these straws stay as they were.",)


def straw_places(
    planes: Sequence[PlaneFit], conditions: Conditions
) -> dict[tuple[str, str], dict[str, float]]:
    """Rows of alignment.txt for straw planes that were fitted."""
    rows = {}
    for p in planes:
        before = conditions.alignment["straw", p.number, p.projection]
        rows[p.station, PROJECTIONS[p.projection]] = {
            "shift": before.shift + p.shift,
            "rotation": before.rotation + p.rotation,
            "shift_error": p.shift_error,
            "rotation_error": p.rotation_error,
            "entries": sum(fit.entries for fit in p.layers),
        }
    return rows


def _crossings(task: Task, tally: Tally) -> Iterator[tuple[Conditions, StrawCrossings]]:
    first = None
    for part in read_parts(task, tally, label="Straws"):
        if not part.has("ST"):
            msg = (
                f"{', '.join(task.files[:3])}: no straw hits (collection ST). Give hit files with "
                "straws, or a mapping that names their branches"
            )
            raise DataError(msg)
        first = first or part
        require_same(first, part, ("mm", "gem", "alignment"), task)
        mm, gem = (
            part.hits(name, STRIP_FIELDS) if part.has(name) else None for name in ("MM", "GEM")
        )
        straw = part.hits("ST", STRAW_FIELDS)
        yield (
            part.conditions,
            find_crossings(mm, gem, straw, task.setup, part.conditions, spectrometer=task.tracker),
        )


def _summary(planes: Sequence[PlaneFit], crossings: StrawCrossings, tally: Tally) -> dict[str, Any]:
    return {
        "events": tally.events,
        "tracks": crossings.tracks,
        "planes": [
            {
                "plane": f"{p.station} {PROJECTIONS[p.projection]}",
                "shift_change_mm": p.shift,
                "shift_error_mm": p.shift_error,
                "rotation_change_mrad": p.rotation,
                "rotation_error_mrad": p.rotation_error,
                "layers": [
                    {
                        "layer": fit.layer.layer,
                        "t0_ns": fit.t0,
                        "t0_error_ns": fit.t0_error,
                        "time_max_ns": fit.time_max,
                        "time_max_error_ns": fit.time_max_error,
                        "rt_mm": list(fit.rt),
                        "resolution_mm": fit.resolution,
                        "resolution_error_mm": fit.resolution_error,
                        "time_resolution_ns": fit.time_resolution,
                        "hits": fit.entries,
                    }
                    for fit in p.layers
                ],
            }
            for p in planes
        ],
    }


def _layer_table(
    planes: Sequence[PlaneFit], conditions: Conditions, runs: tuple[int, int]
) -> Table:
    def row(plane: PlaneFit, fit: LayerFit) -> list[str]:
        before = conditions.straw[plane.number, plane.projection, fit.layer.layer]
        return [
            f"{plane.station} {PROJECTIONS[plane.projection]} {fit.layer.layer}",
            *(f"{v:.2f}" for v in (fit.t0, fit.t0_error, before.t0)),
            *(f"{v:.2f}" for v in (fit.time_max, fit.time_max_error, before.time_max)),
            *(f"{1e3 * v:.0f}" for v in (fit.resolution, before.resolution)),
            str(fit.entries),
        ]

    columns = (
        *("layer", "t0, ns", "+-", "before", "time_max, ns", "+-", "before"),
        *("resolution, um", "before", "hits"),
    )
    return Table(
        title=f"Straws, runs {runs_text(runs)}",
        columns=columns,
        rows=[row(p, fit) for p in planes for fit in p.layers],
    )


def _plane_table(planes: Sequence[PlaneFit], conditions: Conditions) -> Table:
    rows = []
    for (station, projection), values in straw_places(planes, conditions).items():
        number = next(p.number for p in planes if p.station == station)
        before = conditions.alignment["straw", number, PROJECTIONS.index(projection)]
        rows.append(
            [
                f"{station} {projection}",
                *(f"{v:.4f}" for v in (values["shift"], values["shift_error"], before.shift)),
                *(
                    f"{v:.3f}"
                    for v in (values["rotation"], values["rotation_error"], before.rotation)
                ),
            ]
        )
    return Table(
        title="Places of the straw planes",
        columns=("plane", "shift, mm", "+-", "before", "rotation, mrad", "+-", "before"),
        rows=rows,
    )
