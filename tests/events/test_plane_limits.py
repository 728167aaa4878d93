"""Hits of planes against limits: every hit looked up with numpy, and one that is outside."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.events.plane_limits import all_exist

HITS = 300
ALIKE = {(1, 0): 320, (1, 1): 320, (2, 0): 320, (6, 3): 320}
"""Channels by (station, plane)."""
UNLIKE = {(1, 0): 320, (1, 1): 64, (7, 2): 1000}
HIGH = {(1, 0): 320, (200, 1): 320}
"""A station too high for a bit of its own."""


def table(planes, layers=2):
    limits = np.zeros((256, 257), dtype=np.int32)
    for (station, plane), channels in planes.items():
        limits[station, plane] = channels
        limits[station, 256] = layers
    return limits


def inside(limits, station, plane, layer, channel):
    """The same by indexing."""
    return bool(((channel < limits[station, plane]) & (layer < limits[station, 256])).all())


def hits(planes):
    random = np.random.default_rng(5)
    chosen = np.array(list(planes))[random.integers(0, len(planes), HITS)]
    station, plane = chosen.T.astype(np.uint8)
    top = np.array([planes[int(s), int(p)] for s, p in chosen])
    channel = (top * random.random(HITS)).astype(np.uint16)
    channel[0] = top[0] - 1
    return station, plane, random.integers(0, 2, HITS).astype(np.uint8), channel


@pytest.mark.parametrize("planes", [ALIKE, UNLIKE, HIGH])
def test_hits_of_planes_that_exist(planes):
    limits, columns = table(planes), hits(planes)
    assert inside(limits, *columns)
    assert all_exist(*columns, limits)


@pytest.mark.parametrize("planes", [ALIKE, UNLIKE, HIGH])
@pytest.mark.parametrize("at", [0, 17, HITS - 1])
@pytest.mark.parametrize(
    ("column", "value"),
    [(0, 0), (0, 3), (0, 9), (0, 255), (1, 3), (1, 4), (1, 32), (1, 255), (2, 2), (3, 1000)],
)
def test_one_hit_outside(planes, at, column, value):
    limits, columns = table(planes), hits(planes)
    columns[0][at], columns[1][at] = 1, 0
    columns[column][at] = value
    assert not inside(limits, *columns)
    assert not all_exist(*columns, limits)


def test_one_plane_or_layer_for_all_hits():
    limits, zero = table({(1, 0): 320}, layers=1), np.zeros(1, dtype=np.uint8)
    station, channel = np.ones(HITS, dtype=np.uint8), np.arange(HITS, dtype=np.uint16)
    assert all_exist(station, zero, zero, channel, limits)
    channel[3] = 320
    assert not all_exist(station, zero, zero, channel, limits)
    assert not all_exist(station, zero, zero + 1, channel - 1, limits)


def test_no_planes_and_no_hits():
    none = np.zeros(0, dtype=np.uint8)
    assert all_exist(none, none, none, none.astype(np.uint16), table({}))
    one = np.ones(1, dtype=np.uint8)
    assert not all_exist(one, one, one, one.astype(np.uint16), table({}))
