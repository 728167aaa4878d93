"""Histograms of a selection: empty ones to begin with, and filling them from an outcome.

Entries of data are counted: counts in float64 are exact up to 2**53, so the sum of any number of
chunks is the same in whatever order they come, and uproot writes them as TH1D, TH2D. Simulated
events have weights: their histograms keep the sum of squares as well (Sumw2 in ROOT), and are as
independent of the order as the weights' sums are exact, see `na64reco.selection.weights`.
NaN values (no track, say) are counted in the overflow bin, as boost-histogram does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hist
import numpy as np

from na64reco.errors import SelectionError
from na64reco.selection.model import slug
from na64reco.selection.variables import Values, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from na64reco.selection.apply import Outcome
    from na64reco.selection.model import Axis, Histogram, Selection
    from na64reco.selection.sequential import CutSequence

__all__ = ["empty_histograms", "fill_histograms", "histogram_name"]


def histogram_name(name: str, stage: str, region: str | None = None) -> str:
    """Name of a histogram at a stage, as in the output file.

    >>> histogram_name("ecal_hcal", "incoming track")
    'ecal_hcal__incoming_track'
    >>> histogram_name("prs", "all", "sideband_a")
    'prs__all__sideband_a'
    """
    parts = [name, slug(stage)] + ([] if region is None else [slug(region)])
    return "__".join(parts)


def _instances(
    selection: Selection, sequence: CutSequence | None = None
) -> Iterator[tuple[str, Histogram, str]]:
    for name, histogram in selection.histograms.items():
        for stage in histogram.at:
            if sequence is None or sequence.can_fill(selection, histogram, stage):
                yield histogram_name(name, stage, histogram.region), histogram, stage


def _axis(axis: Axis) -> Any:
    description = describe(axis.variable)
    label = axis.label or description.meaning
    if description.unit:
        label = f"{label} [{description.unit}]"
    if axis.edges is not None:
        return hist.axis.Variable(axis.edges, name=axis.variable, label=label)
    assert axis.bins is not None
    assert axis.range is not None
    return hist.axis.Regular(axis.bins, *axis.range, name=axis.variable, label=label)


def _empty(name: str, histogram: Histogram, stage: str, *, weighted: bool) -> hist.Hist[Any]:
    where = f"after {stage!r}" if stage not in {"none", "all"} else f"{stage} cuts"
    if histogram.region is not None:
        where += f", region {histogram.region}"
    return hist.Hist(
        *(_axis(axis) for axis in histogram.axes),
        storage=hist.storage.Weight() if weighted else hist.storage.Double(),
        name=name,
        label=where,
    )


def empty_histograms(
    selection: Selection, *, weighted: bool = False, sequence: CutSequence | None = None
) -> dict[str, hist.Hist[Any]]:
    """One empty histogram for each entry of the selection and each of its stages.

    Those for simulated events are ``weighted``. With a `sequence` of cuts, there are only those
    that it can fill.

    Those of the blinded region are left out: an empty one would look like "nothing observed".
    `fill_histograms` adds them where the region may be seen.
    """
    return {
        name: _empty(name, histogram, stage, weighted=weighted)
        for name, histogram, stage in _instances(selection, sequence)
        if histogram.region is None or histogram.region != selection.blind
    }


def fill_histograms(
    histograms: dict[str, hist.Hist[Any]],
    outcome: Outcome,
    columns: Mapping[str, NDArray[Any]],
) -> None:
    """Fill the histograms, in place, with the visible events of one batch.

    Parameters
    ----------
    histograms
        From `empty_histograms` of the same selection. Histograms of the blinded region are added
        if the outcome shows it (simulated or unblinded events).
    outcome
        From `apply`.
    columns
        The columns that `apply` got.

    Raises
    ------
    SelectionError
        If the columns are those of other events, a histogram is missing, or weights other than 1
        would go into histograms that were not made for them.
    """
    values = Values(columns)
    if values.events != len(outcome.visible):
        msg = f"{values.events} events in the columns, {len(outcome.visible)} in the outcome"
        raise SelectionError(msg)
    selection = outcome.selection
    weights = outcome.weights
    weighted = _weighted(histograms) if histograms else weights is not None
    if weights is not None and not weighted:
        if np.any(weights != 1):
            msg = "These events have weights; use empty_histograms(selection, weighted=True)."
            raise SelectionError(msg)
        weights = None
    masks: dict[tuple[str, str | None], NDArray[np.intp]] = {}
    for name, histogram, stage in _instances(selection, outcome.sequence):
        if histogram.region is not None and histogram.region == selection.blind:
            if outcome.blinded is not None:
                continue
            histograms.setdefault(name, _empty(name, histogram, stage, weighted=weighted))
        if name not in histograms:
            msg = f"There is no histogram {name!r} to fill; use empty_histograms(selection)."
            raise SelectionError(msg)
        key = (stage, histogram.region)
        if key not in masks:
            mask = outcome.after(stage)
            if histogram.region is not None:
                mask = mask & outcome.boxes[histogram.region]
            masks[key] = np.flatnonzero(mask)
        chosen = masks[key]
        histograms[name].fill(
            *(np.asarray(values[a.variable])[chosen].astype(np.float64) for a in histogram.axes),
            weight=None if weights is None else weights[chosen],
        )


def _weighted(histograms: Mapping[str, hist.Hist[Any]]) -> bool:
    """Whether the histograms keep sums of squared weights; all do or none does."""
    return next(iter(histograms.values())).storage_type is hist.storage.Weight
