"""The finder's short way through the magnets against the full one."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.propagation import propagate
from na64reco.tracking.views import _bend


@pytest.mark.parametrize("momentum", [0.3, 1.0, 10.0, -100.0])
@pytest.mark.parametrize("here", [-3600.0, -1000.0, 3000.0])
def test_bend_agrees_with_the_propagation(setup, conditions, momentum, here):
    dipoles = make_layout(setup, strip_planes(setup, conditions)).dipoles
    state = np.array([[5.0, 0.0, 2e-3, 0.0, 1 / momentum]])
    expected = propagate(state, here, 14000.0, dipoles)[0, 0]
    turns_back = 0 < momentum <= 1 and here < 0  # the field turns 1.05 GeV/c a magnet
    assert np.isnan(expected) == turns_back
    x = _bend(5.0, 2e-3, 1 / momentum, here, 14000.0, dipoles)
    assert x == pytest.approx(expected, rel=1e-10, nan_ok=True)
