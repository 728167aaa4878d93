"""How many hits the planes behind a spectrometer's magnets have.

Cut iii of arXiv:2401.01708: at most one hit in MM5-7 and ST1. A chamber that measures one
projection in several layers (straws) has as many hits as its layer with the fewest, so that noise
in one layer does not count.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.tracking.clusters import Clusters
    from na64reco.tracking.layout import Layout
    from na64reco.tracking.planes import Planes

__all__ = ["most_behind"]


def most_behind(clusters: Clusters, planes: Planes, layout: Layout) -> NDArray[np.int32]:
    """Largest number of in-time hits in one projection of a chamber behind the magnets.

    Parameters
    ----------
    clusters
        Of all planes, straw points included.

    Returns
    -------
    Shape (events,); 0 where these chambers saw nothing.
    """
    behind = layout.planes[planes.z[layout.planes] > layout.field_centre]
    views: NDArray[Any] = np.stack(
        [
            planes.technology[behind],
            planes.station[behind],
            planes.projection[behind],
        ]
    )
    _, view = np.unique(views, axis=1, return_inverse=True)
    found: NDArray[np.int32] = _most(
        clusters.offsets, clusters.in_time, clusters.planes, len(clusters), behind, view.ravel()
    )
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _most(
    offsets: NDArray[np.int64],
    in_time: NDArray[np.bool_],
    planes: int,
    events: int,
    behind: NDArray[np.int64],
    view: NDArray[np.int64],
) -> NDArray[np.int32]:  # pragma: no cover - compiled
    most = np.zeros(events, np.int32)
    number = view.max() + 1 if len(view) else 0
    fewest = np.empty(number, np.int64)
    for event in range(events):
        fewest[:] = -1
        for i in range(len(behind)):
            row = event * planes + behind[i]
            count = 0
            for c in range(offsets[row], offsets[row + 1]):
                count += in_time[c]
            if fewest[view[i]] < 0 or count < fewest[view[i]]:
                fewest[view[i]] = count
        for v in range(number):
            most[event] = max(most[event], fewest[v])
    return most
