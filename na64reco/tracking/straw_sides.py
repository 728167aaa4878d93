"""Left or right of the wire, once a track is known: what the fit says of its straw hits.

A distance of less than `BLIND` resolutions is too short for a track to tell the side: to take the
nearer one always would make every residual small, and chi2 with it. Whether a hit is that close
depends on its drift time alone, so that leaving it out of the fit favours no track. Of the others
that stand on the wrong side (the hit of the other layer was lost, or was another particle's), the
fit sees a residual that is larger than that of the mirror image: then the fit is repeated with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.tracking.fit import Fits, fit_tracks, residuals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["BLIND", "fit_with_sides", "without_blind"]

BLIND: Final = 2.0
"""Distance from the wire, in resolutions, below which a hit is left out of the fit."""
_ROUNDS: Final = 2
_DOUBTFUL: Final = 0.1  # p-value below which a fit's sides are looked at: a wrong one costs 16


def without_blind(
    measured: NDArray[np.float64], mirrored: NDArray[np.float64], resolution: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``measured`` with NaN where the track is too close to the wire to tell the side.

    Parameters
    ----------
    measured, mirrored
        Shape (tracks, planes): the hit, and its mirror image about the wire (NaN: a strip), mm.
    resolution
        Of the planes, mm.
    """
    # False of a NaN
    return np.where(np.abs(measured - mirrored) < 2 * BLIND * resolution, np.nan, measured)


def fit_with_sides(
    measured: NDArray[np.float64],
    mirrored: NDArray[np.float64],
    seeds: NDArray[np.float64],
    planes: Planes,
    layout: Layout,
) -> tuple[Fits, NDArray[np.float64]]:
    """Fit, change sides where that makes the track better, fit those again.

    Parameters
    ----------
    measured, seeds
        As of `fit_tracks`.
    mirrored
        As of `without_blind`.

    Returns
    -------
    tuple
        The fits, and ``measured`` with the sides they took.
    """
    measured = without_blind(measured, mirrored, planes.resolution[layout.planes])
    fits = fit_tracks(measured, seeds, planes, layout)
    for _ in range(_ROUNDS):
        straws = (np.isfinite(measured) & np.isfinite(mirrored)).any(axis=1)
        suspect = np.flatnonzero(fits.ok & straws & (fits.p_value < _DOUBTFUL))
        if not len(suspect):
            break
        here, there = measured[suspect], mirrored[suspect]
        off, _ = residuals(here, _part(fits, suspect), planes, layout)
        other = off + there - here
        swap = np.abs(other) < np.abs(off)  # False of a NaN
        changed = swap.any(axis=1)
        if not changed.any():
            break
        suspect = suspect[changed]
        trial = np.where(swap, there, here)[changed]
        again = fit_tracks(trial, fits.first[suspect], planes, layout)
        better = again.ok & (again.chi2 < fits.chi2[suspect])
        chosen = suspect[better]
        mirrored[chosen] = np.where(swap, here, there)[changed][better]
        measured[chosen] = trial[better]
        for name in Fits.__dataclass_fields__:
            getattr(fits, name)[chosen] = getattr(again, name)[better]
    return fits, measured


def _part(fits: Fits, index: NDArray[np.int64]) -> Fits:
    return Fits(**{name: getattr(fits, name)[index] for name in Fits.__dataclass_fields__})
