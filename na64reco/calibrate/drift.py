"""Drift of the ECAL's gain within and between spills, from the electron peak itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.calibrate.constants import copy_files, others_of
from na64reco.calibrate.electrons import Electrons, read_electrons
from na64reco.calibrate.gain_drift import FEWEST, DriftFit, fit_drift
from na64reco.calibrate.sample import Tally
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibration import (
    DRIFT_FILE,
    Block,
    drift_format,
    read_sdc,
    write_sdc,
)
from na64reco.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from na64reco.calibrate.gain_drift import Interval
    from na64reco.calibration.sdc import Value
    from na64reco.setup import Setup

__all__ = ["DriftCalibration", "calibrate_drift"]

_COLUMNS: Final = ("detector", "run", "spills", "time", "factor", "factor_error", "entries")
_NEAR: Final = 0.3
"""Events within this of the peak serve, relative."""
_OFF: Final = 2.0
"""By which factor the starting scales may be off."""


@dataclass(frozen=True, eq=False)
class DriftCalibration:
    """What was found."""

    setup: Setup
    electrons: Electrons
    ratio: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Energy seen over energy expected, of the events near the peak."""
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]]
    """Those events, of all in `electrons`."""
    fit: DriftFit


def calibrate_drift(task: Task) -> Result:
    """Follow the electron peak through spills and write drift.txt.

    Rows of the runs in the files replace those that the starting folder has.

    Raises
    ------
    OutputExistsError
        If drift.txt is there and not to be overwritten.
    DataError
        If the sample is not one of beam electrons, or too small.
    """
    task.check_target(DRIFT_FILE)
    tally = Tally()
    electrons = read_electrons(task, tally, drift=False)
    runs = tally.validity(task)
    scale = electrons.conditions.ecal.scale.ravel()
    ratio = (electrons.amplitude @ scale) / electrons.energy
    with np.errstate(invalid="ignore"):
        middle = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 0.0
        near = np.flatnonzero(np.abs(ratio / max(middle, 1e-9) - 1) < _NEAR)
    most = len(near) > 0.5 * np.count_nonzero(np.isfinite(ratio))
    if len(near) < 2 * FEWEST or not most or not 1 / _OFF < middle < _OFF:
        msg = (
            f"{', '.join(task.files[:3])}: {len(near)} of {len(ratio)} events lie within "
            f"{_NEAR:.0%} of the middle of the ECAL's energies, {middle:.3g} of the beam's; the "
            f"drift needs a peak of at least {2 * FEWEST} electrons that holds most events, not "
            "far from 1. Give runs of the electron beam with the beam trigger"
        )
        raise DataError(msg)
    fit = fit_drift(
        ratio[near], electrons.run[near], electrons.spill[near], electrons.spill_time[near]
    )
    found = DriftCalibration(task.setup, electrons, ratio[near], near, fit)
    warnings: tuple[str, ...] = ()
    if not fit.known_times:
        warnings = (
            "the files have no branch `spill_time`: only the drift from spill to spill is seen",
        )
    return Result(
        runs=runs,
        written=_write(task, fit, tally),
        summary={
            "events": len(near),
            "width_before": fit.width_before,
            "width_after": fit.width_after,
            "runs_drifting_within_spills": sorted(fit.drifting_times),
            "runs_drifting_between_spills": sorted(fit.drifting_spills),
            "intervals": [_entry(part) for part in (*fit.times, *fit.spills)],
        },
        tables=(_table(fit),),
        warnings=warnings,
        detail=found,
    )


def _span(part: Interval) -> tuple[str, str]:
    """Spills and times as they stand in the file."""
    spills = "*"
    if part.spills is not None:
        first, last = part.spills
        spills = f"{first}" if first == last else f"{first}-{last}"
    times = "*" if part.times is None else f"{part.times[0]:g}-{part.times[1]:g}"
    return spills, times


def _entry(part: Interval) -> dict[str, object]:
    spills, times = _span(part)
    return {
        "run": part.run,
        "spills": spills,
        "time_s": times,
        "gain": part.gain,
        "gain_error": part.error,
        "events": part.entries,
    }


def _write(task: Task, fit: DriftFit, tally: Tally) -> tuple[Path, ...]:
    fmt = drift_format()
    rows: list[tuple[Value, ...]] = []
    before = task.source / DRIFT_FILE
    if before.exists():
        kept = read_sdc(before, fmt).resolve_all().rows
        rows += [
            (*key, *(values[name] for name in _COLUMNS[4:]))
            for key, values in kept.items()
            if key[0] != "ECAL" or key[1] not in tally.runs
        ]
    moving = [part for part in fit.times if part.run in fit.drifting_times]
    moving += [part for part in fit.spills if part.run in fit.drifting_spills]
    rows += [
        (
            "ECAL",
            part.run,
            *_span(part),
            round(1 / part.gain, 5),
            round(part.error / part.gain**2, 5),
            part.entries,
        )
        for part in moving
    ]
    steady = sorted(tally.runs - fit.drifting_times - fit.drifting_spills)
    lines = [
        f"{task.setup.title}: drift of gains within and between spills.",
        f"ECAL: from the electron peak, {tally.text}; the peak's width was "
        f"{100 * fit.width_before:.2f} % before and {100 * fit.width_after:.2f} % after.",
    ]
    if steady:
        lines.append(f"No drift beyond chance in the runs {', '.join(map(str, steady))}.")
    block = Block(
        metadata=(("setup", task.setup.name),),
        columns=_COLUMNS if rows else (),
        rows=tuple(rows),
    )
    others = others_of(task, DRIFT_FILE)
    target = task.out / DRIFT_FILE
    write_sdc(target, (block,), fmt, header="\n".join(lines), overwrite=True)
    return target, *copy_files(task, others)


def _table(fit: DriftFit) -> Table:
    rows = []
    for part in (*fit.times, *fit.spills):
        spills, times = _span(part)
        name = f"run {part.run}, spills {spills}, time {times}"
        rows.append((name, f"{part.gain:.4f}", f"{part.error:.4f}", str(part.entries)))
    return Table(
        "Gain of the ECAL relative to its mean",
        ("when", "gain", "+-", "events"),
        rows,
        f"width of the peak {100 * fit.width_before:.2f} % before, "
        f"{100 * fit.width_after:.2f} % after",
    )
