"""One dipole: closed forms, and derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.setup import load_setup
from na64reco.tracking.field import SYNCHROTRON_LOSS, cross_dipole, dipoles


def _cross(state, length=2000.0, field=1.75, loss=0.0):
    s, jacobian = np.array(state, float), np.zeros((5, 5))
    assert cross_dipole(s, length, field, loss, jacobian)
    return s, jacobian


def test_bends_an_electron_to_positive_x_by_the_field_integral():
    s, _ = _cross([0, 0, 0, 0, -1 / 100])
    sine = 0.299792458e-3 * 1.75 * 2000 / 100
    radius = 100 / (0.299792458e-3 * 1.75)
    assert s[2] == pytest.approx(np.tan(np.arcsin(sine)), rel=1e-12)
    assert s[0] == pytest.approx(radius - np.sqrt(radius**2 - 2000**2), rel=1e-9)


def test_vertical_path_is_slope_times_arc():
    # tan of the dip angle 0.02, p in the bending plane p cos(dip); circle of 5 GeV
    v, p = 0.02, 5.0
    s, _ = _cross([0, 0, 0, v, 1 / p])
    radius = p / np.sqrt(1 + v**2) / (0.299792458e-3 * 1.75)
    angle = np.arcsin(2000 / radius)
    assert s[0] == pytest.approx(-radius * (1 - np.cos(angle)), rel=1e-12)
    assert s[1] == pytest.approx(v * radius * angle, rel=1e-12)
    assert s[3] == pytest.approx(v / np.cos(angle), rel=1e-12)


def test_no_field_is_a_straight_line():
    s, jacobian = _cross([1, 2, 0.1, 0.2, -0.01], field=0.0)
    np.testing.assert_allclose(s, [1 + 200, 2 + 400, 0.1, 0.2, -0.01], rtol=1e-12)
    expected = np.eye(5)
    expected[0, 2] = expected[1, 3] = 2000
    np.testing.assert_allclose(jacobian, expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("length", [2000.0, -2000.0])
@pytest.mark.parametrize("qp", [-0.01, 0.01, -0.2, 0.3])
def test_jacobian_is_the_derivative(length, qp):
    state = np.array([1.0, -2.0, 0.03, -0.02, qp])
    _, jacobian = _cross(state, length)
    for column, h in enumerate([1e-3, 1e-3, 1e-6, 1e-6, 1e-7]):
        up, down = state.copy(), state.copy()
        up[column] += h
        down[column] -= h
        slope = (_cross(up, length)[0] - _cross(down, length)[0]) / (2 * h)
        np.testing.assert_allclose(jacobian[:, column], slope, rtol=1e-5, atol=1e-6)


def test_synchrotron_loss_is_155_mev_at_100_gev():
    # Textbook: 1.266 keV E^2 B^2 L with E in GeV, B in T, L in m (Wiedemann, Particle
    # Accelerator Physics): 1.266e-6 * 1e4 * 1.75**2 * 4 GeV = 155.1 MeV.
    assert pytest.approx(0.1551, rel=1e-3) == SYNCHROTRON_LOSS * 1e4 * 1.75**2 * 4000


def test_losses_up_to_the_middle_of_each_magnet():
    magnets = load_setup("2022-electron").magnets.values()
    one = SYNCHROTRON_LOSS * 1.75**2 * 2000
    np.testing.assert_allclose(dipoles(magnets, particle="electron").loss, [one / 2, 3 * one / 2])
    assert dipoles(magnets, particle="muon").loss.max() < 1e-8 * one
    assert not dipoles(magnets).loss.any()
