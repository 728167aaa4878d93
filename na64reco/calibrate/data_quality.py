"""Data quality by run and spill, and a proposal of bad spills for quality.txt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from na64reco.calibrate.constants import copy_files, others_of
from na64reco.calibrate.gain_drift import location
from na64reco.calibrate.sample import Tally, read_parts
from na64reco.calibrate.stability import (
    DetectorHistory,
    Finding,
    History,
    find_problems,
    silent_channels,
)
from na64reco.calibrate.task import Result, Table, Task
from na64reco.calibrate.times import channel_index
from na64reco.calibration import Block, file_formats, read_sdc, write_sdc
from na64reco.calorimeters import cell_energies
from na64reco.calorimeters.pedestals import measure_pedestals
from na64reco.calorimeters.waveforms import channel_index as sampled_channel
from na64reco.errors import DataError
from na64reco.events import TRIGGER_BITS

if TYPE_CHECKING:
    from pathlib import Path

    from na64reco.calibrate.sample import Part
    from na64reco.calibration import CellConditions, Conditions
    from na64reco.calibration.sdc import Value
    from na64reco.setup import Setup

__all__ = ["FILE", "QualityCheck", "calibrate_quality"]

FILE: Final = "quality.txt"
_IN_TIME: Final = 3.0
_WHOLE_RUN: Final = 0.5
"""A run in which more than this share of the spills is bad, of at least three, is bad."""
_PEAK: Final = 0.3
_FEWEST: Final = 100
"""Electrons that a spill's gain needs."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class QualityCheck:
    """What was found."""

    setup: Setup
    history: History
    findings: tuple[Finding, ...]


@dataclass
class _Sums:
    """Of one detector, by (run, spill)."""

    name: str
    axes: tuple[str, ...]
    channels: tuple[str, ...]
    hits: dict[tuple[int, int], Array] = field(default_factory=dict)
    late: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Number, sum and sum of squares of the lateness of hits in time."""
    pedestal: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Weight and weighted sum of the pedestals' shifts."""


def calibrate_quality(task: Task) -> Result:
    """Compare all spills of the files and propose bad ones in quality.txt, to be reviewed.

    Runs and spills that the starting conditions call bad stay so, and are not looked at.

    Raises
    ------
    OutputExistsError
        If quality.txt is there and not to be overwritten.
    DataError
        If there are no good events.
    """
    task.check_target(FILE)
    tally = Tally()
    events: dict[tuple[int, int], int] = {}
    sums: dict[str, _Sums] = {}
    ratios: dict[tuple[int, int], list[Array]] = {}
    channels = _channels(task.setup)
    for part in read_parts(task, tally):
        spill = part.scalar("spill").astype(np.int64)
        for number in np.unique(spill).tolist():
            key = (part.run, number)
            events[key] = events.get(key, 0) + int(np.count_nonzero(spill == number))
        for name, (axes, names) in channels.items():
            if part.has(name):
                own = sums.setdefault(name, _Sums(name, axes, names))
                _add(own, part, spill)
                _add_pedestals(own, part, task.setup, spill)
        if part.has("ECAL"):
            _add_gain(ratios, part, task.setup, spill)
    runs = tally.validity(task)
    if not sums:
        msg = (
            f"{', '.join(task.files[:3])}: no hits of calorimeters, SRD, VETO or counters. Give "
            "hit files with detectors, or a mapping (--mapping) that names their branches"
        )
        raise DataError(msg)
    history = _history(events, sums, ratios, channels)
    found = QualityCheck(task.setup, history, tuple(find_problems(history)))
    silent = silent_channels(history)
    warnings = [
        f"{name}: no hit at all in {len(which)} channels: {', '.join(which[:6])}"
        f"{', ...' if len(which) > 6 else ''}"
        for name, which in silent.items()
    ]
    if len(history.run) < 3:
        warnings.append("fewer than three spills: nothing to compare them with")
    bad = {(f.run, f.spill) for f in found.findings}
    return Result(
        runs=runs,
        written=_write(task, found, tally),
        summary={
            "spills": len(history.run),
            "bad_spills": sorted([run, spill] for run, spill in bad),
            "findings": [[f.run, f.spill, f.reason] for f in found.findings],
            "silent_channels": silent,
        },
        tables=(_table(found),),
        warnings=tuple(warnings),
        detail=found,
    )


def _channels(setup: Setup) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By collection: columns of the hits that name the channel, and the channels' names.

    Those of channels that do not exist are empty.
    """
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    calorimeters = (("ECAL", ("section",), setup.ecal), ("HCAL", ("module",), setup.hcal))
    for name, axis, part in (*calorimeters, ("VHCAL", (), setup.vhcal)):
        if part is None:
            continue
        cells = [
            "" if (x, y) in part.hole else f"{s}_{x}_{y}"
            for s in part.sections
            for x in range(part.nx)
            for y in range(part.ny)
        ]
        found[name] = ((*axis, "ix", "iy"), tuple(cells))
    if setup.srd is not None:
        found["SRD"] = (("ix",), tuple(f"module_{i}" for i in range(setup.srd.modules)))
    if setup.veto is not None:
        found["VETO"] = (("ix",), tuple(f"tube_{i}" for i in range(2 * setup.veto.bars)))
    by_id = {c.id: n for n, c in setup.counters.items()}
    found["Counter"] = (("id",), tuple(by_id.get(i, f"id_{i}") for i in range(16)))
    return found


def _conditions(conditions: Conditions, name: str) -> CellConditions:
    found: CellConditions = getattr(conditions, "counters" if name == "Counter" else name.lower())
    return found


def _add(sums: _Sums, part: Part, spill: NDArray[np.int64]) -> None:
    name, axes, names = sums.name, sums.axes, sums.channels
    hits = part.pulses(name, (*axes, "amplitude", "time"))
    known = _conditions(part.conditions, name)
    channel = channel_index(hits, known.scale.shape[-len(axes) :], axes)
    of_hit = np.repeat(spill, hits.counts)
    good = channel >= 0
    late = hits["time"][good] - known.time.ravel()[channel[good]]
    in_time = np.abs(late) < _IN_TIME * known.time_width.ravel()[channel[good]]
    for number in np.unique(spill).tolist():
        key = (part.run, number)
        mine = of_hit[good] == number
        counts = np.bincount(channel[good][mine], minlength=len(names)).astype(np.float64)
        sums.hits[key] = sums.hits.get(key, np.zeros(len(names))) + counts
        punctual = late[mine & in_time].astype(np.float64)
        moments = sums.late.setdefault(key, [0.0, 0.0, 0.0])
        moments[0] += len(punctual)
        moments[1] += float(punctual.sum())
        moments[2] += float((punctual**2).sum())


def _add_pedestals(sums: _Sums, part: Part, setup: Setup, spill: NDArray[np.int64]) -> None:
    """Pedestals of each spill less those of the starting conditions."""
    waveform = part.conditions.waveform.get(sums.name)
    if waveform is None or setup.digitizer is None or not part.has_samples(sums.name):
        return
    hits = part.hits(sums.name, (*sums.axes, "samples"))
    shape = waveform.noise.shape
    channel = sampled_channel(hits, shape, sums.name)
    of_hit = np.repeat(spill, hits.counts)
    known = waveform.pedestal.reshape(2, -1)
    for number in np.unique(spill).tolist():
        mine = of_hit == number
        found = measure_pedestals(
            hits["samples"][mine],
            channel[mine],
            waveform.noise.size,
            first=max(setup.digitizer.presamples // 2, 2),
        )
        shift, error = found.pedestal - known, found.error
        good = np.isfinite(shift) & (error > 0)
        total = sums.pedestal.setdefault((part.run, number), [0.0, 0.0])
        total[0] += float((1 / error[good] ** 2).sum())
        total[1] += float((shift[good] / error[good] ** 2).sum())


def _add_gain(
    ratios: dict[tuple[int, int], list[Array]], part: Part, setup: Setup, spill: NDArray[np.int64]
) -> None:
    """Energy in the ECAL over the beam's, of events that the beam trigger took."""
    bits = part.scalar("trigger")
    free = (bits & (TRIGGER_BITS["beam"] | TRIGGER_BITS["random"])) != 0
    chosen = np.flatnonzero(free)
    hits = part.pulses("ECAL", ("section", "ix", "iy", "amplitude", "time")).select(chosen)
    cells = cell_energies(hits, part.conditions.ecal, setup.ecal.shape).in_time
    ratio = cells.sum(axis=(1, 2, 3)) / setup.beam.momentum
    for number in np.unique(spill[chosen]).tolist():
        ratios.setdefault((part.run, number), []).append(ratio[spill[chosen] == number])


def _history(
    events: dict[tuple[int, int], int],
    sums: dict[str, _Sums],
    ratios: dict[tuple[int, int], list[Array]],
    channels: dict[str, tuple[tuple[str, ...], tuple[str, ...]]],
) -> History:
    keys = sorted(events)
    detectors = {}
    for name, found in sums.items():
        names = channels[name][1]
        moments = np.array([found.late.get(key, [0.0, 0.0, 0.0]) for key in keys])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = moments[:, 1] / moments[:, 0]
            spread = np.sqrt(np.maximum(moments[:, 2] / moments[:, 0] - mean**2, 0))
            error = spread / np.sqrt(moments[:, 0])
        hits = np.array([found.hits.get(key, np.zeros(len(names))) for key in keys])
        shift, shift_error = None, None
        if found.pedestal:
            sums_of = np.array([found.pedestal.get(key, [0.0, 0.0]) for key in keys])
            with np.errstate(invalid="ignore", divide="ignore"):
                shift, shift_error = sums_of[:, 1] / sums_of[:, 0], sums_of[:, 0] ** -0.5
        detectors[name] = DetectorHistory(names, hits, mean, error, shift, shift_error)
    gain, error = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    for i, key in enumerate(keys):
        values = np.concatenate(ratios[key]) if key in ratios else np.empty(0)
        near = values[np.abs(values - 1) < _PEAK]
        if len(near) >= max(_FEWEST, 0.5 * len(values)):
            gain[i], error[i], _ = location(near)
    return History(
        run=np.array([run for run, _ in keys]),
        spill=np.array([spill for _, spill in keys]),
        events=np.array([events[key] for key in keys]),
        detectors=detectors,
        gain=gain,
        gain_error=error,
    )


def _write(task: Task, found: QualityCheck, tally: Tally) -> tuple[Path, ...]:
    fmt = file_formats(task.setup)[FILE]
    rows: dict[tuple[Value, Value], Value] = {}
    before = task.source / FILE
    if before.exists():
        for (run, spill), values in read_sdc(before, fmt).resolve_all().rows.items():
            rows[run, spill] = values["reason"]
    spills = np.stack([found.history.run, found.history.spill], axis=1)
    for run in sorted(tally.runs):
        own = [f for f in found.findings if f.run == run]
        bad = {f.spill for f in own}
        all_spills = np.count_nonzero(spills[:, 0] == run)
        if all_spills >= 3 and len(bad) > _WHOLE_RUN * all_spills:
            rows[run, "*"] = f"{len(bad)}_of_{all_spills}_spills_bad,{own[0].reason}"
            continue
        for spill in sorted(bad):
            reasons = [f.reason for f in own if f.spill == spill]
            rows[run, str(spill)] = ",".join(reasons[:4])
    header = (
        f"{task.setup.title}: bad runs and spills.\n"
        f"Those of {tally.text} are a proposal, found by comparing spills with each other.\n"
        "To be reviewed: remove the rows of spills that are good."
    )
    block = Block(
        metadata=(("setup", task.setup.name),),
        columns=("run", "spill", "reason") if rows else (),
        rows=tuple((*key, reason) for key, reason in rows.items()),
    )
    others = others_of(task, FILE)
    target = task.out / FILE
    write_sdc(target, (block,), fmt, header=header, overwrite=True)
    return target, *copy_files(task, others)


def _table(found: QualityCheck) -> Table:
    history = found.history
    problems: dict[tuple[int, int], list[str]] = {}
    for f in found.findings:
        problems.setdefault((f.run, f.spill), []).append(f.reason)
    rows = []
    for i in range(len(history.run)):
        key = (int(history.run[i]), int(history.spill[i]))
        gain = history.gain[i]
        rows.append(
            (
                f"run {key[0]} spill {key[1]}",
                str(history.events[i]),
                "-" if np.isnan(gain) else f"{gain:.4f}",
                ", ".join(problems.get(key, ["good"])),
            )
        )
    return Table(
        "Data quality",
        ("", "events", "ECAL gain", "proposal"),
        rows,
        f"{len(problems)} of {len(rows)} spills are proposed as bad: review {FILE}",
    )
