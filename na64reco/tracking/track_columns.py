"""Columns ``track.*`` of the events, from the fits of their candidates."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.tracking.finding import OK

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter
    from na64reco.tracking.finding import Candidates
    from na64reco.tracking.fit import Fits

__all__ = ["FIT_FAILED", "TrackColumns", "to_face"]

FIT_FAILED: Final = 4

_REALS: Final = (
    "momentum",
    "momentum_error",
    "chi2",
    "p_value",
    "angle_in",
    "slope_x_in",
    "slope_y_in",
    "slope_x_out",
    "slope_y_out",
    "x_ecal",
    "y_ecal",
    "x_ecal_error",
    "y_ecal_error",
    "time",
)
_COUNTS: Final = ("ndf", "hits", "dropped", "candidates", "most_behind")


def _rows(
    names: tuple[str, ...], wanted: Collection[str] | None
) -> tuple[dict[str, int], NDArray[np.int64]]:
    """Rows of the wanted ones of some columns, by name, and by number (-1: not wanted)."""
    kept = [name for name in names if wanted is None or f"track.{name}" in wanted]
    rows = {name: i for i, name in enumerate(kept)}
    return rows, np.array([rows.get(name, -1) for name in names], np.int64)


@dataclass(frozen=True, eq=False)
class TrackColumns:
    """What `reconstruct_tracks` gives of the tracks; only wanted columns take memory and time."""

    found: NDArray[np.bool_]
    """Shape (events,), as the next two."""
    reason: NDArray[np.uint8]
    charge: NDArray[np.int8]
    counts: NDArray[np.int32]
    """Shape (wanted ones of `_COUNTS`, events)."""
    reals: NDArray[np.float32]
    """Shape (wanted ones of `_REALS`, events), NaN without a track."""
    count_rows: tuple[dict[str, int], NDArray[np.int64]]
    real_rows: tuple[dict[str, int], NDArray[np.int64]]

    @classmethod
    def empty(cls, events: int, wanted: Collection[str] | None) -> TrackColumns:
        """Without any track, and without a reason why."""
        counts, reals = _rows(_COUNTS, wanted), _rows(_REALS, wanted)
        return cls(
            found=np.zeros(events, np.bool_),
            reason=np.zeros(events, np.uint8),
            charge=np.zeros(events, np.int8),
            counts=np.zeros((len(counts[0]), events), np.int32),
            reals=np.full((len(reals[0]), events), np.nan, np.float32),
            count_rows=counts,
            real_rows=reals,
        )

    def columns(self, wanted: Collection[str] | None) -> dict[str, NDArray[Any]]:
        """By name, each of shape (events,)."""
        found: dict[str, NDArray[Any]] = {
            f"track.{name}": getattr(self, name)
            for name in ("found", "reason", "charge")
            if wanted is None or f"track.{name}" in wanted
        }
        for (rows, _), values in (
            (self.count_rows, self.counts),
            (self.real_rows, self.reals),
        ):
            found |= {f"track.{name}": values[row] for name, row in rows.items()}
        return found

    def wants(self, name: str) -> bool:
        """Whether the column is one of them."""
        return name in self.count_rows[0] or name in self.real_rows[0]

    def fill(self, start: int, candidates: Candidates, fits: Fits, face: Calorimeter) -> None:
        """Put in the events from ``start`` on: the first candidate of each whose fit is good.

        Where tracks meet the calorimeter's ``face``: see `to_face`.
        """
        _fill(
            start,
            candidates.offsets,
            candidates.reason,
            candidates.number,
            candidates.time,
            fits.ok,
            fits.ndf,
            fits.dropped,
            fits.chi2,
            fits.p_value,
            fits.first,
            fits.first_variance,
            fits.last,
            fits.last_variance,
            _face(face),
            self.found,
            self.reason,
            self.charge,
            self.counts,
            self.reals,
            self.count_rows[1],
            self.real_rows[1],
        )

    def fill_most_behind(self, start: int, values: NDArray[np.int32]) -> None:
        """Of the events from ``start`` on."""
        self.counts[self.count_rows[0]["most_behind"], start : start + len(values)] = values


def _face(calorimeter: Calorimeter) -> tuple[float, float, float, float]:
    """x, y, slope of its axis and the cosine of that."""
    slope = calorimeter.slope_x
    return calorimeter.x, calorimeter.y, slope, 1 / math.sqrt(1 + slope * slope)


@njit(cache=True, nogil=True, error_model="numpy")
def _meet(x, y, tx, ty, face):  # type: ignore[no-untyped-def]
    """x, y on the face, and by what an error in x grows there."""
    x0, y0, slope, cosine = face
    d = x - x0
    factor = 1 / (1 + tx * slope)
    dz = -d * slope * factor
    return (d + tx * dz) * cosine - dz * slope * cosine, y - y0 + ty * dz, factor


def to_face(
    states: NDArray[np.float64], covariances: NDArray[np.float64], calorimeter: Calorimeter
) -> tuple[NDArray[np.float64], ...]:
    """Where tracks meet a calorimeter's front face, in its own frame, and the errors, mm.

    ``states`` (tracks, 5) and covariances (of x and y at least) are those at the calorimeter's z.
    The face is perpendicular to the axis, which has the slope ``slope_x``: a track at global
    x - x0 = d meets it at z - z0 = -d t / (1 + tx t), t = slope_x.
    """
    meet: Any = _meet.py_func
    x, y, factor = meet(*states[:, :4].T, _face(calorimeter))
    # The face is so nearly at constant z that the errors are those at its centre's z.
    return x, y, np.sqrt(covariances[:, 0, 0]) * factor, np.sqrt(covariances[:, 1, 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(  # type: ignore[no-untyped-def]
    start, offsets, reasons, number, time, ok, ndf, dropped, chi2, p_value, first, first_variance,
    last, last_variance, face, found, reason, charge, counts, reals, count_row, real_row,
):  # fmt: skip
    values = np.empty(len(real_row))
    whole = np.empty(len(count_row), np.int64)
    angle = real_row[4] >= 0
    for event in range(len(offsets) - 1):
        e = start + event
        if count_row[3] >= 0:
            counts[count_row[3], e] = number[event]
        reason[e] = reasons[event]
        for t in range(offsets[event], offsets[event + 1]):
            reason[e] = FIT_FAILED
            if not ok[t]:
                continue
            qp, tx, ty = first[t, 4], first[t, 2], first[t, 3]
            reason[e], found[e] = OK, True
            charge[e] = -1 if qp < 0 else 1
            whole[0], whole[1], whole[2] = ndf[t], ndf[t] + 5, dropped[t]
            x, y, factor = _meet(last[t, 0], last[t, 1], last[t, 2], last[t, 3], face)
            values[0] = 1 / abs(qp)
            values[1] = math.sqrt(first_variance[t, 4]) / (qp * qp)
            values[2], values[3] = chi2[t], p_value[t]
            values[4] = 1e3 * math.atan(math.hypot(tx, ty)) if angle else 0.0
            values[5], values[6] = 1e3 * tx, 1e3 * ty
            values[7], values[8] = 1e3 * last[t, 2], 1e3 * last[t, 3]
            values[9], values[10] = x, y
            values[11] = math.sqrt(last_variance[t, 0]) * factor
            values[12] = math.sqrt(last_variance[t, 1])
            values[13] = time[t]
            for i in range(3):
                if count_row[i] >= 0:
                    counts[count_row[i], e] = whole[i]
            for i in range(len(real_row)):
                if real_row[i] >= 0:
                    reals[real_row[i], e] = values[i]
            break
