"""How good the tracks are by the starting conditions: nothing is calibrated, only looked at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibrate.sample import STRIP_FIELDS, Tally, read_parts
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibration.sdc import runs_text
from na64reco.tracking.quality import track_quality

if TYPE_CHECKING:
    from pathlib import Path

    import hist

    from na64reco.tracking.quality import TrackQuality

__all__ = ["FILE", "look_at_tracks"]

FILE: Final = "tracking.root"
_BY_PLANE: Final = ("residual", "pull", "cluster_size")
_OF_TRACKS: Final = ("tracks", "reason", "chi2", "p_value", "momentum", "momentum_pull")


def look_at_tracks(task: Task) -> Result:
    """Residuals, pulls, efficiencies, noise of all planes; tracks; with truth, their momenta.

    Writes the histograms into tracking.root, and no conditions.

    Raises
    ------
    OutputExistsError
        If the file is there and not to be overwritten.
    DataError
        If the files hold no strip planes.
    ConditionsError
        If the starting conditions do not cover the runs.
    """
    path = task.check_target(FILE)
    tally = Tally()
    quality: TrackQuality | None = None
    for part in read_parts(task, tally, label="Tracks"):
        hits: dict[str, Any] = {
            name: part.hits(name, STRIP_FIELDS) for name in ("MM", "GEM") if part.has(name)
        }
        if part.has("MC_momentum"):
            hits["MC_momentum"] = part.scalar("MC_momentum")
        more = track_quality(hits, task.setup, part.conditions, spectrometer=task.tracker)
        quality = more if quality is None else quality + more
    runs = tally.validity(task)
    assert quality is not None
    _write(path, quality)
    seen = (min(tally.runs), max(tally.runs))
    return Result(
        runs=runs,
        written=(path,),
        summary=_summary(quality),
        tables=(_table(quality, seen),),
        detail=quality,
    )


def _write(path: Path, quality: TrackQuality) -> None:
    import uproot

    path.parent.mkdir(parents=True, exist_ok=True)
    with uproot.recreate(path) as file:
        for name in _BY_PLANE:
            histogram: hist.Hist[Any] = getattr(quality, name)
            for number, plane in enumerate(quality.planes):
                file[f"{name}/{plane}"] = histogram[number, :]
        for number, plane in enumerate(quality.planes):
            probes: Any = quality.probe[number, :, :]
            file[f"crossed/{plane}"] = probes.project("position")
            file[f"found/{plane}"] = probes[:, 1]
        for name in _OF_TRACKS:
            file[name] = getattr(quality, name)


def _planes(quality: TrackQuality) -> list[dict[str, Any]]:
    def moments(histogram: hist.Hist[Any], number: int) -> tuple[float, float]:
        values = np.asarray(histogram.values()[number], np.float64)
        centres = np.asarray(histogram.axes[1].centers)
        if not values.sum():
            return math.nan, math.nan
        mean = float(np.average(centres, weights=values))
        return mean, float(np.sqrt(np.average((centres - mean) ** 2, weights=values)))

    rows = []
    for number, efficiency in enumerate(quality.efficiencies):
        mean, rms = moments(quality.residual, number)
        rows.append(
            {
                "plane": efficiency.plane,
                "residual_mean_mm": mean,
                "residual_rms_mm": rms,
                "pull_rms": moments(quality.pull, number)[1],
                "efficiency": efficiency.value,
                "efficiency_low": efficiency.low,
                "efficiency_high": efficiency.high,
                "unused_clusters_per_event": float(quality.unused_per_event[number]),
            }
        )
    return rows


def _summary(quality: TrackQuality) -> dict[str, Any]:
    def known(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {
        "events": quality.events,
        "found": known(quality.found),
        "wrong": known(quality.wrong),
        "planes": [{k: known(v) for k, v in row.items()} for row in _planes(quality)],
    }


def _table(quality: TrackQuality, runs: tuple[int, int]) -> Table:
    rows = [
        [
            row["plane"],
            f"{1e3 * row['residual_mean_mm']:.1f}",
            f"{1e3 * row['residual_rms_mm']:.1f}",
            f"{row['pull_rms']:.3f}",
            f"{100 * row['efficiency']:.2f}",
            f"{100 * (row['efficiency_high'] - row['efficiency_low']) / 2:.2f}",
            f"{row['unused_clusters_per_event']:.3f}",
        ]
        for row in _planes(quality)
    ]
    note = f"Tracks in {100 * quality.found:.2f} % of {quality.events} events"
    if math.isfinite(quality.wrong):
        note += f"; momentum more than 5 errors off in {100 * quality.wrong:.2f} % of them"
    return Table(
        title=f"Tracks, spectrometer {quality.spectrometer}, runs {runs_text(runs)}",
        columns=(
            *("plane", "residual, um", "rms, um", "pull rms", "efficiency, %", "+-"),
            "clusters on no track",
        ),
        rows=rows,
        note=note,
    )
