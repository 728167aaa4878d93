"""The conditions file drift.txt: how gains drift from spill to spill and within a spill.

A folder of conditions may have it. Each row multiplies the energies of a detector in one run, in
some spills (``7``, ``7-9``, ``*`` for all) and at some times since the beginning of the spill
(``0.4-0.8`` s, the end not included, ``*`` for all); all rows that fit an event multiply::

    columns=detector,run,spills,time,factor
    ECAL  6100  *  0-0.6    0.985
    ECAL  6100  *  0.6-1.2  0.991
    ECAL  6100  3  *        1.004

Times before the first or after the last interval of a run count as in that.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from na64reco.calibration.sdc import ALL_RUNS, Column, SdcFormat
from na64reco.errors import ConditionsError, did_you_mean

if TYPE_CHECKING:
    from na64reco.calibration.sdc import Resolved, SdcFile
    from na64reco.setup import Setup

__all__ = ["DRIFT_FILE", "Drift", "drift_conditions", "drift_format"]

DRIFT_FILE: Final = "drift.txt"
_LAST_SPILL: Final = 2**32 - 1
_SPILLS: Final = re.compile(r"(\d+)(?:-(\d+))?")
_NUMBER: Final = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?"
_TIME: Final = re.compile(rf"({_NUMBER})-({_NUMBER})")

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Drift:
    """Factors of one detector; all arrays have one entry per row of the file."""

    run: NDArray[np.int64]
    first_spill: NDArray[np.int64]
    last_spill: NDArray[np.int64]
    start: Array
    """s since the beginning of the spill; -infinity where all times are meant."""
    stop: Array
    factor: Array

    def needs_time(self, run: NDArray[Any]) -> bool:
        """Whether factors of any of these runs depend on the time in the spill."""
        return bool(np.isfinite(self.start[np.isin(self.run, run)]).any())

    def factors(
        self, run: NDArray[Any], spill: NDArray[Any], spill_time: NDArray[Any] | None
    ) -> Array:
        """What to multiply each event's energies by, shape (events,).

        Parameters
        ----------
        run, spill
            Shape (events,).
        spill_time
            s since the beginning of the spill; NaN counts as unknown: no factor for it.

        Raises
        ------
        ConditionsError
            If factors depend on the time, which is not given.
        """
        result = np.ones(len(run))
        present = np.unique(run)
        if spill_time is None and self.needs_time(present):
            msg = (
                f"{DRIFT_FILE} has gains that drift within the spills of run "
                f"{int(present[np.isin(present, self.run[np.isfinite(self.start)])][0])}, but the "
                "file does not say when in the spill an event was: it has no branch `spill_time`. "
                "Read it with a mapping (--mapping) if the branch has another name, or take the "
                "rows with times out of the file."
            )
            raise ConditionsError(msg)
        for number in present:
            events = np.flatnonzero(run == number)
            rows = np.flatnonzero(self.run == number)
            timed = rows[np.isfinite(self.start[rows])]
            if len(timed) and spill_time is not None:
                begin, end = self.start[timed].min(), self.stop[timed].max()
                time = np.clip(spill_time[events], begin, np.nextafter(end, begin))
            else:
                time = np.zeros(len(events))
            own = spill[events].astype(np.int64)
            for row in rows:
                fits = (own >= self.first_spill[row]) & (own <= self.last_spill[row])
                if np.isfinite(self.start[row]):
                    fits &= (time >= self.start[row]) & (time < self.stop[row])
                result[events[fits]] *= self.factor[row]
        return result


def drift_format() -> SdcFormat:
    """Columns of the file."""
    return SdcFormat(
        keys=(
            Column("detector", "text", "ECAL, HCAL, ...: collection of the hit file"),
            Column("run", "int", "run number", limit="not negative"),
            Column("spills", "text", "number of a spill, FIRST-LAST, or * for all"),
            Column("time", "text", "FROM-TO, s since the beginning of the spill, or * for all"),
        ),
        values=(
            Column("factor", "float", "multiplies energies", limit="positive"),
            Column("factor_error", "float", "standard deviation of factor", default=0.0),
            Column("entries", "int", "events it is from", default=0, limit="not negative"),
        ),
    )


def drift_conditions(file: SdcFile, resolved: Resolved, setup: Setup) -> dict[str, Drift]:
    """Factors by detector.

    Raises
    ------
    ConditionsError
        If a row names no detector of the setup, or its spills or times cannot be read.
    """
    present = {"SRD": setup.srd, "VETO": setup.veto, "VHCAL": setup.vhcal}
    known = ["ECAL", "HCAL", "Counter", *(name for name, part in present.items() if part)]
    for block in file.blocks:
        if block.runs != ALL_RUNS:
            msg = (
                f"{file.path}, line {block.line}: `runs=` has no meaning here; each row names its "
                "run. Remove the line."
            )
            raise ConditionsError(msg)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for key, values in resolved.rows.items():
        detector, run, spills, time = key
        where = f"{file.path}, line {resolved.lines[key]}"
        if detector not in known:
            msg = (
                f"{where}: column 'detector' is {detector!r}, which the setup lacks. "
                f"{did_you_mean(str(detector), known)}"
            )
            raise ConditionsError(msg)
        factor = values["factor"]
        assert isinstance(factor, int | float)
        assert isinstance(run, int)
        row = (run, *_spills(str(spills), where), *_times(str(time), where), float(factor))
        rows.setdefault(str(detector), []).append(row)
    found = {}
    for name, table in rows.items():
        numbers, first, last, start, stop, factors = np.array(table, dtype=np.float64).T
        found[name] = Drift(
            run=numbers.astype(np.int64),
            first_spill=first.astype(np.int64),
            last_spill=last.astype(np.int64),
            start=start,
            stop=stop,
            factor=factors,
        )
    return found


def _spills(text: str, where: str) -> tuple[int, int]:
    if text == "*":
        return 0, _LAST_SPILL
    match = _SPILLS.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        msg = f"{where}: column 'spills' is {text!r}, expected 7, 7-9 or *."
        raise ConditionsError(msg)
    return first, last


def _times(text: str, where: str) -> tuple[float, float]:
    if text == "*":
        return -math.inf, math.inf
    match = _TIME.fullmatch(text)
    start, stop = (float(match[1]), float(match[2])) if match else (1.0, 0.0)
    if start >= stop:
        msg = f"{where}: column 'time' is {text!r}, expected FROM-TO in s, as 0.4-0.8, or *."
        raise ConditionsError(msg)
    return start, stop
