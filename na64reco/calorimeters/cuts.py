"""The cuts on the chi2 of a shower's shape that public analyses of NA64 use, by energy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

__all__ = ["PUBLISHED_CUTS", "published_cut"]

_LAST_CUT: Final = 4.0
_CUT_STEP: Final = 5.0
PUBLISHED_CUTS: Final = np.array([
    2.5, 3.86, 3.25, 2.915, 2.83, 2.85, 2.93, 3.035, 3.16, 3.285, 3.385, 3.51, 3.6, 3.685, 3.74,
    3.695, _LAST_CUT,
])  # fmt: skip
"""In bins of 5 GeV from 0 on, and above the last; public analyses of NA64."""


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def published_cut(energy: float) -> float:  # pragma: no cover - compiled
    """Cut at an energy (GeV), interpolated between the middles of the bins."""
    place = energy / _CUT_STEP - 0.5
    if place >= len(PUBLISHED_CUTS) - 1:
        return _LAST_CUT
    index = int(max(place, 0.0))
    part = max(place, 0.0) - index
    below, above = PUBLISHED_CUTS[index], PUBLISHED_CUTS[index + 1]
    return float(below + part * (above - below))
