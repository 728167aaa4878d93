"""Gauss-Legendre quadrature on graded panels: for peaks of any width and for thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["graded", "panel_nodes"]

ORDER: Final = 8
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(ORDER)


def panel_nodes(edges: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of an integral over panels.

    Nodes close to 0 keep their relative precision, so that the variable is best an offset from
    a peak.

    Parameters
    ----------
    edges
        Ascending along the last axis, shape (..., panels + 1); equal edges are panels of weight 0.

    Returns
    -------
    nodes, weights
        Shape (..., panels * 8).
    """
    edges = np.asarray(edges, dtype=np.float64)
    low, high = edges[..., :-1, None], edges[..., 1:, None]
    half = 0.5 * (high - low)
    nodes = 0.5 * (high + low) + half * _NODES
    weights = half * _WEIGHTS
    shape = (*edges.shape[:-1], -1)
    return nodes.reshape(shape), weights.reshape(shape)


def graded(smallest: ArrayLike, largest: ArrayLike, number: int) -> NDArray[np.float64]:
    """Edges around 0, symmetric, in geometric steps.

    Parameters
    ----------
    smallest, largest
        Of the offsets, any shape.
    number
        Of offsets on each side.

    Returns
    -------
    array
        Shape (..., 2 * number + 1), ascending.
    """
    low, high = np.broadcast_arrays(
        np.asarray(smallest, dtype=np.float64), np.asarray(largest, dtype=np.float64)
    )
    steps = np.linspace(0.0, 1.0, number)
    side = low[..., None] * (high / low)[..., None] ** steps
    zero = np.zeros((*low.shape, 1))
    return np.concatenate((-side[..., ::-1], zero, side), axis=-1)
