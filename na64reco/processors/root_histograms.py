"""Histograms as ROOT's classes, with what ROOT and JSROOT show beside the bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hist
import uproot

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_root"]


def as_root(histogram: hist.Hist[Any], title: str) -> Any:
    """A TH1D, TH2D or TH3D that uproot can write, with a title and the statistics of its weights.

    uproot gives the histogram's name as title, and the sum of weights in place of that of their
    squares, from which ROOT takes the error of a mean and the number of effective entries.
    """
    found = uproot.to_writable(histogram)
    _set(found, "fTitle", title)
    if histogram.storage_type is hist.storage.Weight:
        squares: Any = histogram.variances(flow=False)
        _set(found, "fTsumw2", float(squares.sum()))
    return found


def _set(model: Any, member: str, value: Any) -> None:
    """Set a member of an object that was made for writing; uproot has no public way."""
    owner = next(part for part in _parts(model) if member in part._members)  # noqa: SLF001
    owner._members[member] = value  # noqa: SLF001


def _parts(model: Any) -> Iterator[Any]:
    yield model
    for base in model._bases:  # noqa: SLF001
        if hasattr(base, "_members"):
            yield from _parts(base)
