"""Hits behind the magnets, counted again without the kernel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from na64reco.tracking.multiplicity import most_behind

# One chamber before the magnet, a Micromegas behind it, and a straw chamber of two layers.
PLANES = SimpleNamespace(
    technology=np.array([0, 0, 2, 2]),
    station=np.array([1, 5, 1, 1]),
    projection=np.zeros(4, np.int64),
    z=np.array([0.0, 200.0, 300.0, 305.0]),
)
LAYOUT = SimpleNamespace(planes=np.arange(4), field_centre=100.0)


def clusters(counts, in_time=None):
    """Clusters of events by plane, shape (events, 4)."""
    counts = np.asarray(counts)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    in_time = np.ones(offsets[-1], np.bool_) if in_time is None else in_time

    class Made(SimpleNamespace):
        def __len__(self):
            return len(counts)

    return Made(planes=4, offsets=offsets, in_time=in_time)


def test_planes_before_the_magnet_do_not_count():
    assert most_behind(clusters([[9, 1, 1, 1], [9, 0, 0, 0]]), PLANES, LAYOUT).tolist() == [1, 0]


def test_noise_in_one_layer_does_not_count():
    found = most_behind(clusters([[1, 1, 4, 1], [1, 1, 3, 2], [1, 3, 0, 2]]), PLANES, LAYOUT)
    assert found.tolist() == [1, 2, 3]


def test_out_of_time_does_not_count():
    made = clusters([[0, 3, 1, 1]], np.array([True, False, False, True, True]))
    assert most_behind(made, PLANES, LAYOUT).tolist() == [1]


def test_any_counts():
    rng = np.random.default_rng(1)
    counts = rng.poisson(1.5, (200, 4))
    in_time = rng.random(counts.sum()) < 0.7
    made = clusters(counts, in_time)
    parts = np.split(in_time, made.offsets[1:-1])
    seen = np.array([part.sum() for part in parts]).reshape(200, 4)
    expected = np.maximum(seen[:, 1], seen[:, 2:].min(axis=1))
    np.testing.assert_array_equal(most_behind(made, PLANES, LAYOUT), expected)
