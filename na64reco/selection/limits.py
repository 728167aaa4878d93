"""Masks of single cuts and of boxes, with limits that may depend on run period or column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from na64reco.errors import SelectionError
from na64reco.selection.model import ByColumn, ByPeriod, Cut, Selection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.selection.model import Box
    from na64reco.selection.variables import Values

    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["Periods", "cut_mask", "in_box"]


class Periods:
    """To which period each event belongs.

    Raises
    ------
    SelectionError
        If a limit depends on the period and a run lies in none.
    """

    def __init__(self, selection: Selection, values: Values) -> None:
        self.names = tuple(selection.periods)
        self.index: NDArray[np.intp] | None = None
        """Position in ``names``, shape (events,)."""
        if selection.uses_periods:
            runs, inverse = np.unique(values["run"], return_inverse=True)
            self.index = np.array([self._find(selection, int(run)) for run in runs], dtype=np.intp)[
                inverse
            ]

    @staticmethod
    def _find(selection: Selection, run: int) -> int:
        for i, (first, last) in enumerate(selection.periods.values()):
            if first <= run <= last:
                return i
        known = ", ".join(f"{n}: {a}-{b}" for n, (a, b) in selection.periods.items())
        msg = (
            f"Run {run} lies in no period of the selection {selection.name!r} ({known}); use the "
            "selection of its season or extend a period."
        )
        raise SelectionError(msg)


def _limit(
    limit: float | ByPeriod | ByColumn, values: Values, periods: Periods, like: NDArray[Any]
) -> float | NDArray[Any]:
    """The limit for each event, in the type of the column that is compared with it.

    A limit written 0.1 is then the same number for float32 columns whether it stands alone or in
    a table.
    """
    if isinstance(limit, ByPeriod):
        assert periods.index is not None
        table = np.array([limit.values[name] for name in periods.names])
        result = table[periods.index]
    elif isinstance(limit, ByColumn):
        column = values[limit.by]
        result = np.array(limit.table)[np.searchsorted(limit.edges, column, side="right")]
        # NaN sorts behind the last edge; as a limit it fails every comparison.
        result = np.where(np.isnan(column), np.nan, result)
    else:
        return limit
    return result.astype(like.dtype) if like.dtype.kind == "f" else result


def cut_mask(cut: Cut, values: Values, periods: Periods) -> Mask:
    """Whether each event passes a cut, shape (events,)."""
    column = np.asarray(values[cut.variable])
    # The condition that no number fails but NaN does, for the negation of cuts.
    known = np.ones(column.shape, dtype=bool)
    if column.dtype.kind == "f":
        known &= ~np.isnan(column)
    mask = known.copy() if not cut.is_boolean else known & (column != 0)
    if cut.equal is not None:
        mask &= column == cut.equal
    low, high = cut.window or (cut.min, cut.max)
    if low is not None:
        lower = _limit(low, values, periods, column)
        mask &= column >= lower
        known &= ~np.isnan(lower)
    if high is not None:
        upper = _limit(high, values, periods, column)
        mask &= column <= upper
        known &= ~np.isnan(upper)
    return known & ~mask if cut.negate else mask


def in_box(box: Box, values: Values, periods: Periods, *, nan_inside: bool) -> Mask:
    """Whether each event lies in a box, lo <= v < hi in each variable, shape (events,)."""
    mask = np.ones(values.events, dtype=bool)
    for variable, (low, high) in box.items():
        column = np.asarray(values[variable])
        inside = np.ones(values.events, dtype=bool)
        unknown = np.isnan(column)
        if low is not None:
            inside &= column >= _limit(low, values, periods, column)
        if high is not None:
            inside &= column < _limit(high, values, periods, column)
        mask &= (inside | unknown) if nan_inside else (inside & ~unknown)
    return mask
