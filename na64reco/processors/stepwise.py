"""Columns of a chunk of events, made as the cuts of a selection ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.reconstruction import COLUMNS, reconstruct_columns
from na64reco.reconstruction.needs import IMPACT, costly_columns, wanted_columns
from na64reco.selection import sequence_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from na64reco.selection import CutSequence, Selection
    from na64reco.setup import Setup

__all__ = ["StepwiseColumns"]


class StepwiseColumns:
    """Reconstructed columns of some events.

    Parameters
    ----------
    needed
        Names, or None for all that the file can give.
    sequential
        Leave what is costly to `provide`; else all is made at once.
    options
        Of `reconstruct_columns`.
    """

    def __init__(
        self,
        events: Any,
        setup: Setup,
        selection: Selection,
        needed: Iterable[str] | None,
        *,
        sequential: bool,
        **options: Any,
    ) -> None:
        self._events, self._setup, self._options = events, setup, options
        self.wanted = wanted_columns(needed, events, setup)
        """Names of those that were asked for."""
        first = self.wanted
        self.sequence: CutSequence | None = None
        if sequential:
            groups = costly_columns(self.wanted, events, setup)
            self.sequence = sequence_of(selection, groups)
            names = {*self.wanted, *(n for group in groups for n in group)}
            first = tuple(n for n in COLUMNS if n in names - set(self.sequence.after))
        self.made: dict[str, NDArray[Any]] = self._reconstruct(first)
        """Columns so far, each of shape (events,)."""

    def _reconstruct(self, columns: Iterable[str], **chosen: Any) -> dict[str, NDArray[Any]]:
        return reconstruct_columns(
            self._events, self._setup, columns=columns, **self._options, **chosen
        )

    def provide(self, cuts: int, passed: NDArray[np.bool_]) -> Mapping[str, NDArray[Any]]:
        """Make what the sequence has after so many cuts, for the events that passed them.

        Of others the columns are NaN, or 0 where they are no real numbers.
        """
        assert self.sequence is not None
        chosen = np.flatnonzero(passed)
        given = {name: self.made[name][chosen] for name in IMPACT if name in self.made}
        found = self._reconstruct(self.sequence.columns(cuts), chosen=chosen, given=given)
        new = {name: _spread(values, chosen, len(passed)) for name, values in found.items()}
        self.made |= new
        return new


def _spread(values: NDArray[Any], chosen: NDArray[np.intp], events: int) -> NDArray[Any]:
    result = np.full(events, np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    result[chosen] = values
    return result
