"""Histograms of a selection: empty ones to begin with, and filling them from an outcome.

Entries are counted, not weighted: counts in float64 are exact up to 2**53, so the sum of any
number of chunks is the same in whatever order they come, and uproot writes them as TH1D, TH2D.
NaN values (no track, say) are counted in the overflow bin, as boost-histogram does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hist
import numpy as np

from na64reco.errors import SelectionError
from na64reco.selection.blinding import FrozenBox, allow_unblinding
from na64reco.selection.model import slug
from na64reco.selection.variables import Values, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from na64reco.selection.apply import Outcome
    from na64reco.selection.model import Axis, Histogram, Selection

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


def _instances(selection: Selection, blinded: str | None) -> Iterator[tuple[str, Histogram, str]]:
    """Name, definition and stage of every histogram that may be shown."""
    for name, histogram in selection.histograms.items():
        if blinded is not None and histogram.region == blinded:
            continue
        for stage in histogram.at:
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


def empty_histograms(
    selection: Selection,
    *,
    unblind: FrozenBox | bool | None = None,
    simulated: bool = False,
) -> dict[str, hist.Hist[Any]]:
    """One empty histogram for each entry of the selection and each of its stages.

    Those of the blinded region are left out (an empty one would look like "nothing observed"),
    unless ``unblind`` or ``simulated`` say otherwise, as in `na64reco.selection.apply`.

    Raises
    ------
    SelectionError
        If ``unblind`` is not the frozen box of this selection.
    """
    blinded = None if simulated or allow_unblinding(selection, unblind) else selection.blind
    result: dict[str, hist.Hist[Any]] = {}
    for name, histogram, stage in _instances(selection, blinded):
        where = f"after {stage!r}" if stage not in {"none", "all"} else f"{stage} cuts"
        if histogram.region is not None:
            where += f", region {histogram.region}"
        result[name] = hist.Hist(
            *(_axis(axis) for axis in histogram.axes),
            storage=hist.storage.Double(),
            name=name,
            label=where,
        )
    return result


def fill_histograms(
    histograms: Mapping[str, hist.Hist[Any]],
    outcome: Outcome,
    columns: Mapping[str, NDArray[Any]],
) -> None:
    """Fill the histograms, in place, with the visible events of one batch.

    Parameters
    ----------
    histograms
        From `empty_histograms` of the same selection.
    outcome
        From `apply`.
    columns
        The columns that `apply` got.

    Raises
    ------
    SelectionError
        If the columns are those of other events, or a histogram is missing.
    """
    values = Values(columns)
    if values.events != len(outcome.visible):
        msg = f"{values.events} events in the columns, {len(outcome.visible)} in the outcome"
        raise SelectionError(msg)
    masks: dict[tuple[str, str | None], NDArray[np.intp]] = {}
    for name, histogram, stage in _instances(outcome.selection, outcome.blinded):
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
            *(np.asarray(values[a.variable])[chosen].astype(np.float64) for a in histogram.axes)
        )
