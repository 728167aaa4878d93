"""Histograms as ROOT's classes, with what ROOT and JSROOT show beside the bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hist
import numpy as np
from uproot.writing import identify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["as_root"]

_NAMES = ("x", "y", "z")


def as_root(histogram: hist.Hist[Any], title: str) -> Any:
    """A TH1D, TH2D or TH3D that uproot can write, with a title and the statistics of its weights.

    uproot's own conversion gives the histogram's name as title, and the sum of weights in place of
    that of their squares, from which ROOT takes the error of a mean and the number of effective
    entries; and it looks at each bin several times.

    Parameters
    ----------
    histogram
        One to three axes with bins of numbers and both flow bins; storage Double or Weight.
    """
    view: Any = histogram.view(flow=True)
    weighted = view.dtype.names is not None
    values: NDArray[np.float64] = np.asarray(view["value"] if weighted else view)
    squares: NDArray[np.float64] | None = np.asarray(view["variance"]) if weighted else None
    axes = list(histogram.axes)
    inner = (slice(1, -1),) * len(axes)
    found = _moments(values[inner], [axis.centers for axis in axes])
    names = _NAMES[: len(axes)]
    # The first axis runs first in ROOT's arrays.
    return _WRITERS[len(axes)](
        fName=None,
        fTitle=title,
        data=values.ravel(order="F"),
        fSumw2=None if squares is None else squares.ravel(order="F"),
        fEntries=values.sum(),
        fTsumw2=found["fTsumw"] if squares is None else float(squares[inner].sum()),
        **found,
        **{f"f{n.upper()}axis": _axis(n, axis) for n, axis in zip(names, axes, strict=True)},
    )


_WRITERS = {1: identify.to_TH1x, 2: identify.to_TH2x, 3: identify.to_TH3x}


def _moments(
    values: NDArray[np.float64], centers: Sequence[NDArray[np.float64]]
) -> dict[str, float]:
    """Sums of weights, times the coordinates of the bins' centres and the products of two."""
    found = {"fTsumw": float(values.sum())}
    for i, name in enumerate(_NAMES[: len(centers)]):
        others = tuple(j for j in range(len(centers)) if j != i)
        along = values.sum(axis=others)
        found[f"fTsumw{name}"] = float(along @ centers[i])
        found[f"fTsumw{name}2"] = float(along @ centers[i] ** 2)
        for j in range(i + 1, len(centers)):
            rest = tuple(k for k in range(len(centers)) if k not in {i, j})
            both = centers[i] @ values.sum(axis=rest) @ centers[j]
            found[f"fTsumw{name}{_NAMES[j]}"] = float(both)
    return found


def _axis(name: str, axis: Any) -> Any:
    edges = axis.edges
    regular = isinstance(axis, hist.axis.Regular) and axis.transform is None
    return identify.to_TAxis(
        fName=f"{name}axis",
        fTitle=axis.label,
        fNbins=len(edges) - 1,
        fXmin=edges[0],
        fXmax=edges[-1],
        fXbins=None if regular else edges,
    )
