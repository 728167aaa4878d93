"""The p-value against SciPy's incomplete gamma function."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammaincc

from na64reco.tracking.kalman import p_value


@pytest.mark.parametrize("ndf", [1, 2, 3, 7, 8, 19, 30])
def test_p_value(ndf):
    chi2 = np.array([0.0, 1e-6, 0.3, 2.0, 7.5, 40.0, 300.0, 1400.0])
    expected = gammaincc(ndf / 2, chi2 / 2)
    assert [p_value(c, ndf) for c in chi2] == pytest.approx(expected.tolist(), rel=1e-11, abs=0)


@pytest.mark.parametrize(("chi2", "ndf"), [(1.0, 0), (1.0, -1), (math.nan, 3)])
def test_no_p_value_without_degrees_of_freedom(chi2, ndf):
    assert math.isnan(p_value(chi2, ndf))
