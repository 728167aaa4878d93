"""Cuts one after the other: what is costly is made only of the events that passed those before.

The cumulative cutflow, regions and selected events are those of all cuts applied to all events.
What needs the verdict of a cut on events that failed an earlier one is not there: cuts alone, all
cuts but one, and histograms of a costly column at a stage before it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from na64reco.selection.model import WITHOUT, ByColumn
from na64reco.selection.variables import base_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from na64reco.selection.model import Cut, Histogram, Selection

    Provide: TypeAlias = Callable[[int, NDArray[np.bool_]], Mapping[str, NDArray[Any]]]

__all__ = ["CutSequence", "sequence_of"]


@dataclass(frozen=True)
class CutSequence:
    """When the costly columns of a selection are made."""

    after: Mapping[str, int] = field(default_factory=dict)
    """Column: how many cuts an event must have passed for it to be made; others are always."""

    def columns(self, cuts: int) -> tuple[str, ...]:
        """Those that are made of the events that passed just so many cuts."""
        return tuple(name for name, after in self.after.items() if after == cuts)

    def can_fill(self, selection: Selection, histogram: Histogram, stage: str) -> bool:
        """Whether all columns of a histogram are there for all events at a stage."""
        if stage.startswith(WITHOUT):
            return False
        names = selection.cut_names
        passed = {"none": 0, "all": len(names)}.get(stage)
        if passed is None:
            passed = names.index(stage) + 1
        used = base_columns(axis.variable for axis in histogram.axes)
        return all(self.after.get(name, 0) <= passed for name in used)


def sequence_of(selection: Selection, groups: Iterable[Iterable[str]]) -> CutSequence:
    """When to make each of some groups of costly columns: before the first cut that uses one.

    Parameters
    ----------
    groups
        Names of columns. A group may be made from those before it, which are there by then.
    """
    first = _first_uses(selection)
    after: dict[str, int] = {}
    latest = len(selection.cuts)
    for names in [list(group) for group in groups][::-1]:
        latest = min([latest, *(first[name] for name in names if name in first)])
        after |= dict.fromkeys(names, latest)
    return CutSequence({name: after[name] for name in after if after[name] > 0})


def _first_uses(selection: Selection) -> dict[str, int]:
    """Column: number of the first cut that uses it; 0 for those of the hidden box."""
    found: dict[str, int] = {}
    if selection.blind is not None:
        found = dict.fromkeys(base_columns(selection.regions[selection.blind]), 0)
    for number, cut in enumerate(selection.cuts):
        for name in base_columns(_variables(cut)):
            found.setdefault(name, number)
    return found


def _variables(cut: Cut) -> set[str]:
    return {cut.variable, *(limit.by for _, limit in cut.limits if isinstance(limit, ByColumn))}
