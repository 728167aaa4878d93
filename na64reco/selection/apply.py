"""Apply a selection to reconstructed columns: one boolean per cut and event, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from na64reco.errors import SelectionError, did_you_mean
from na64reco.selection.blinding import FrozenBox, allow_unblinding
from na64reco.selection.cutflow import Cutflow
from na64reco.selection.limits import Periods, cut_mask, in_box
from na64reco.selection.model import WITHOUT, ByColumn, Selection
from na64reco.selection.variables import Values, base_columns
from na64reco.selection.weights import Sum, WeightSums, event_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from na64reco.selection.sequential import CutSequence, Provide

    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["Outcome", "apply", "required_columns", "skim"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a selection made of a batch of events.

    Hidden events (in the blinded box) are False in every mask and counted nowhere, so whatever is
    derived from an outcome cannot show them.
    """

    selection: Selection
    visible: Mask
    """Shape (events,): not hidden by blinding."""
    passed: Mask
    """Shape (cuts, events): passes that cut, whatever the others say (but see `sequence`)."""
    boxes: Mapping[str, Mask]
    """Region: shape (events,), whether the event lies in its box, whatever the cuts say."""
    blinded: str | None
    """The region that is hidden here."""
    weights: NDArray[np.float64] | None = None
    """Of simulated events, shape (events,); None for data."""
    sequence: CutSequence | None = None
    """Where cuts were applied one after the other: then `passed` is `cumulative`."""

    @cached_property
    def cumulative(self) -> Mask:
        """Shape (cuts, events): passes that cut and all before it."""
        if self.sequence is not None:
            return self.passed
        # Row by row: numpy's accumulate takes ten times as long.
        result = self.passed.copy()
        for before, row in pairwise(result):
            np.logical_and(before, row, out=row)
        return result

    @cached_property
    def _without(self) -> dict[str, Mask]:
        """Cut: events that pass all others; by the number of cuts that each event fails."""
        failures = np.zeros(len(self.visible), dtype=np.uint16)
        for row in self.passed:
            failures += ~row
        none, one = (failures == 0) & self.visible, (failures == 1) & self.visible
        names = self.selection.cut_names
        return {name: none | (one & ~row) for name, row in zip(names, self.passed, strict=True)}

    def without(self, cut: str) -> Mask:
        """Events that pass all cuts but this one (whose own verdict does not matter).

        Raises
        ------
        SelectionError
            If cuts were applied one after the other.
        """
        if self.sequence is not None:
            msg = (
                f"The events that pass all cuts but {cut!r} are not known where cuts are applied "
                "one after the other; apply them without `--sequential`."
            )
            raise SelectionError(msg)
        return self._without[self.selection.cut_names[self._index(cut)]]

    @property
    def alone(self) -> list[Mask]:
        """Of each cut, the events that pass it; empty where cuts were applied in sequence."""
        return [] if self.sequence is not None else list(self.passed)

    @property
    def others(self) -> list[Mask]:
        """Of each cut, the events that pass all others; empty as `alone`."""
        if self.sequence is not None:
            return []
        return [self.without(name) for name in self.selection.cut_names]

    def after(self, stage: str) -> Mask:
        """Events at a stage: ``none``, a cut's name, ``all`` or ``without NAME``.

        Raises
        ------
        SelectionError
            If there is no such stage.
        """
        if stage == "none":
            return self.visible
        if stage == "all":
            stage = self.selection.cut_names[-1]
        if stage.startswith(WITHOUT):
            return self.without(stage.removeprefix(WITHOUT))
        result: Mask = self.cumulative[self._index(stage)]
        return result

    def region(self, name: str) -> Mask:
        """Events that pass all cuts and lie in the region's box.

        Raises
        ------
        SelectionError
            If there is no such region.
        """
        if name not in self.boxes:
            msg = (
                f"The selection {self.selection.name!r} has no region {name!r}. "
                f"{did_you_mean(name, self.boxes)}"
            )
            raise SelectionError(msg)
        result: Mask = self.boxes[name] & self.cumulative[-1]
        return result

    @property
    def selected(self) -> Mask:
        """Events that pass all cuts and lie in any region: those of the skim."""
        boxes = np.zeros(len(self.visible), dtype=bool)
        for box in self.boxes.values():
            boxes |= box
        boxes &= self.cumulative[-1]
        return boxes

    @cached_property
    def cutflow(self) -> Cutflow:
        """The counts."""
        count = np.count_nonzero
        names = self.selection.cut_names
        return Cutflow(
            cuts=names,
            entered=int(count(self.visible)),
            passed=tuple(int(count(mask)) for mask in self.cumulative),
            alone=tuple(int(count(mask)) for mask in self.alone),
            others=tuple(int(count(mask)) for mask in self.others),
            regions=tuple(
                (name, None if name == self.blinded else int(count(self.region(name))))
                for name in self.boxes
            ),
            weighted=self._weighted(),
        )

    def _weighted(self) -> WeightSums | None:
        if self.weights is None:
            return None
        weights, squares = self.weights, self.weights**2

        def sums(mask: Mask) -> Sum:
            return float(weights[mask].sum()), float(squares[mask].sum())

        return WeightSums(
            entered=sums(self.visible),
            passed=tuple(sums(mask) for mask in self.cumulative),
            alone=tuple(sums(mask) for mask in self.alone),
            others=tuple(sums(mask) for mask in self.others),
            regions=tuple(sums(self.region(name)) for name in self.boxes),
        )

    def _index(self, cut: str) -> int:
        names = self.selection.cut_names
        if cut not in names:
            msg = (
                f"The selection {self.selection.name!r} has no cut or stage {cut!r}. "
                f"{did_you_mean(cut, self.selection.stages)}"
            )
            raise SelectionError(msg)
        return names.index(cut)


def apply(
    selection: Selection,
    columns: Mapping[str, NDArray[Any]],
    *,
    unblind: FrozenBox | bool | None = None,
    simulated: bool = False,
    sequence: CutSequence | None = None,
    provide: Provide | None = None,
) -> Outcome:
    """Apply all cuts and regions of a selection.

    Parameters
    ----------
    selection
        From `load_selection`.
    columns
        Reconstructed columns by name, each of shape (events,); at least `required_columns`.
    unblind
        What `check_frozen_box` returned, to show the blinded region. (False is None; a bare True
        is an error.)
    simulated
        The events are simulated, so there is nothing to hide; they must then have the column
        ``mc.process``. Those with the column ``mc.weight`` count by it, others 1 each.
    sequence
        Apply the cuts one after the other, and ask for columns when they are needed.
    provide
        Called with how many cuts were applied and the mask of the events that passed them; returns
        the columns of the sequence at that place, each of shape (events,). What it gives for other
        events is not used.

    Raises
    ------
    SelectionError
        If a column is missing, a run lies in no period, or the events cannot be unblinded so.
    DataError
        If a weight is negative or not finite.
    """
    values = Values(columns)
    if simulated and "mc.process" not in columns:
        msg = (
            "These events were declared to be simulated but lack the column 'mc.process' that "
            "simulated files have; data stay blinded (use a frozen box to unblind them)."
        )
        raise SelectionError(msg)
    periods = Periods(selection, values)
    visible = np.ones(values.events, dtype=bool)
    blinded = None if simulated or allow_unblinding(selection, unblind) else selection.blind
    if blinded is not None:
        visible = ~in_box(selection.regions[blinded], values, periods, nan_inside=True)
    passed = np.empty((len(selection.cuts), values.events), dtype=bool)
    alive = visible
    for number, (row, cut) in enumerate(zip(passed, selection.cuts, strict=True)):
        if sequence is not None and provide is not None and sequence.columns(number):
            values.add(provide(number, alive))
        try:
            np.logical_and(cut_mask(cut, values, periods), alive, out=row)
        except SelectionError as error:
            msg = f"{selection.name}, cut {cut.name!r}: {error}"
            raise SelectionError(msg) from None
        if sequence is not None:
            alive = row
    if sequence is not None and provide is not None and sequence.columns(len(passed)):
        values.add(provide(len(passed), alive))
    boxes = {
        name: in_box(box, values, periods, nan_inside=False) & visible
        for name, box in selection.regions.items()
    }
    weights = event_weights(columns, values.events) if simulated else None
    return Outcome(selection, visible, passed, boxes, blinded, weights, sequence)


def required_columns(selection: Selection, *, simulated: bool = False) -> frozenset[str]:
    """The reconstructed columns that `apply` and filling the histograms need."""
    names = {cut.variable for cut in selection.cuts}
    names |= {
        limit.by for cut in selection.cuts for _, limit in cut.limits if isinstance(limit, ByColumn)
    }
    names |= {variable for box in selection.regions.values() for variable in box}
    names |= {a.variable for h in selection.histograms.values() for a in h.axes}
    if selection.uses_periods:
        names.add("run")
    if simulated:
        names.add("mc.process")
    return base_columns(names)


def skim(outcome: Outcome, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The columns of the visible events that pass all cuts and lie in any region."""
    mask = outcome.selected
    return {name: np.asarray(array)[mask] for name, array in columns.items()}
