"""Degrees of freedom in the early universe against known values."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector.early_universe import (
    energy_degrees,
    entropy_degrees,
    entropy_density,
    entropy_slope,
    hubble,
)
from na64reco.errors import ModelError


def test_known_values() -> None:
    """After electrons are gone 3.36 and 3.91; with them 10.75; below the W 86.25 (E. W. Kolb, M. S.
    Turner, The Early Universe, 3.5), but for interactions."""
    assert energy_degrees(1e-6) == pytest.approx(3.363, abs=2e-3)
    assert entropy_degrees(1e-6) == pytest.approx(3.909, abs=1e-3)
    assert energy_degrees(5e-3) == pytest.approx(10.75, abs=0.03)
    assert entropy_degrees(10.0) == pytest.approx(86.25, rel=0.05)


def test_the_parts_join() -> None:
    temperature = np.geomspace(1e-6, 200, 2000)
    for values in (energy_degrees(temperature), entropy_degrees(temperature)):
        assert np.all(np.diff(values) > -0.01)
        assert np.max(np.abs(np.diff(np.log(values)))) < 0.03


def test_slope() -> None:
    for temperature in (2e-4, 0.05, 0.2):
        high, low = np.log(entropy_degrees(temperature * np.array([1.001, 0.999])))
        assert entropy_slope(temperature) == pytest.approx((high - low) / 2e-3, rel=2e-2)


def test_time_of_a_second() -> None:
    """t = 1 / (2 H) = 2.42 s / sqrt(g) (MeV / T)^2; entropy of photons 4/3 rho / T."""
    seconds = 6.582e-25 / (2 * hubble(5e-3))
    assert seconds == pytest.approx(2.42 / np.sqrt(10.75) / 25, rel=5e-3)
    assert entropy_density(5e-3) == pytest.approx(10.75 * 0.43865 * 1.25e-7, rel=3e-3)


def test_bounds() -> None:
    for wrong in (0.0, -1.0, 300.0, np.nan):
        with pytest.raises(ModelError, match="at most 282 GeV"):
            energy_degrees([0.1, wrong])
