"""Whether hits of planes are of planes and channels that exist: kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from na64reco.events.schema import PROJECTIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["all_exist"]

_PLANES: Final = len(PROJECTIONS)
_BITS: Final = 32


def all_exist(
    station: NDArray[np.uint8],
    plane: NDArray[np.uint8],
    layer: NDArray[np.uint8],
    channel: NDArray[np.uint16],
    limits: NDArray[np.int32],
) -> bool:
    """Whether all hits are inside the limits.

    Parameters
    ----------
    station, channel
        Shape (hits,).
    plane, layer
        Shape (hits,), or (1,) for that of all hits.
    limits
        Shape (256, 257): of each station channels by plane, and layers in the last column; 0 where
        there is no such plane.
    """
    columns = (station, plane, layer, channel, limits)
    return _all_usual(*columns) or bool(_all_within(*columns))


@njit(cache=True, nogil=True)
def _all_within(
    station: NDArray[np.uint8],
    plane: NDArray[np.uint8],
    layer: NDArray[np.uint8],
    channel: NDArray[np.uint16],
    limits: NDArray[np.int32],
) -> bool:
    """Each hit against the limits of its own plane."""
    step_plane, step_layer = int(len(plane) > 1), int(len(layer) > 1)
    outside = False
    for i in range(len(station)):
        number = station[i]
        outside |= channel[i] >= limits[number, plane[i * step_plane]]
        outside |= layer[i * step_layer] >= limits[number, 256]
    return not outside


def _all_usual(
    station: NDArray[np.uint8],
    plane: NDArray[np.uint8],
    layer: NDArray[np.uint8],
    channel: NDArray[np.uint16],
    limits: NDArray[np.int32],
) -> bool:
    """Whether all hits are of planes that exist, and below the smallest limits of all of these.

    No hit needs to look up the limits of its own plane, so that this is three times as fast as
    `_all_within`; where it is False, that has to tell.
    """
    stations = _BITS // _PLANES
    numbers = limits[:, :_PLANES]
    known = numbers[numbers > 0]
    layers = limits[limits[:, 256] > 0, 256]
    if len(plane) != len(station) or (numbers[stations:] > 0).any() or not len(known):
        return False
    exists = np.packbits(numbers[:stations].ravel() > 0, bitorder="little").view(np.uint32)[0]
    top, deepest = min(int(known.min()), 0xFFFF), min(int(layers.min()), 0xFF)
    return bool(
        _below(channel, channel.dtype.type(top))
        and _below(layer, layer.dtype.type(deepest))
        and _below(station, station.dtype.type(stations))
        and _below(plane, plane.dtype.type(_PLANES))
        and _all_in(station, plane, exists)
    )


@njit(cache=True, nogil=True)
def _below(values: NDArray[Any], limit: Any) -> bool:
    # Counted to the end, since loops that may end early are not vectorised.
    above = 0
    for i in range(len(values)):
        above += values[i] >= limit
    return above == 0


@njit(cache=True, nogil=True)
def _all_in(station: NDArray[np.uint8], plane: NDArray[np.uint8], exists: np.uint32) -> bool:
    """Whether the bit of each hit's plane is set."""
    absent = 0
    for i in range(len(station)):
        bit = np.uint32(station[i]) * np.uint32(_PLANES) + np.uint32(plane[i])
        absent += (exists >> bit) & np.uint32(1) == np.uint32(0)
    return absent == 0
