"""The fit against ACTS' Kalman fitter: the same measurements of the same tracks, one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.layout import SCATTERER
from na64reco.tracking.material import layer_loss

from .acts_telescope import SILICON_X0, acts_fit, make_telescope, make_tracks

N = 4000
MOMENTUM = 100.0


@pytest.fixture(scope="module", params=[True, False], ids=["x and y", "x, y in turn"])
def fitted(request, tools):
    telescope = make_telescope(both=request.param)
    toy = tools.toy(telescope.setup, 5)
    true, measured, guesses = make_tracks(telescope, toy, N, MOMENTUM)
    acts = acts_fit(telescope, measured, guesses)
    fit_tracks(measured[:1], guesses[:1], telescope.planes, telescope.layout)  # compile
    seconds = []
    for _ in range(5):
        start = time.process_time()
        ours = fit_tracks(measured, guesses, telescope.planes, telescope.layout)
        seconds.append(time.process_time() - start)
    return true, acts, ours, min(seconds)


def test_both_fit_every_track_with_every_plane(fitted):
    _, acts, ours, _ = fitted
    assert (acts.measurements == 10).all()
    assert np.isfinite(acts.states).all()
    assert ours.ok.all()


def test_resolution_and_pulls_are_those_of_acts(fitted):
    true, acts, ours, _ = fitted
    resolution = [np.std(s[:, 4] / true[:, 4] - 1) for s in (ours.first, acts.states)]
    # a spectrometer of the kind: a few per mil
    assert 0.001 < resolution[1] < 0.004
    assert resolution[0] == pytest.approx(resolution[1], rel=0.05)
    errors = np.sqrt(ours.first_covariance[:, 4, 4])
    assert np.median(errors / acts.qp_error) == pytest.approx(1, abs=0.01)
    pulls = [
        np.std((s[:, 4] - true[:, 4]) / e)
        for s, e in ((ours.first, errors), (acts.states, acts.qp_error))
    ]
    assert pulls == pytest.approx([1, 1], abs=0.05)
    assert pulls[0] == pytest.approx(pulls[1], abs=0.02)


def test_every_track_comes_out_the_same(fitted):
    """All five parameters to a fraction of their error, and chi2."""
    _, acts, ours, _ = fitted
    errors = np.sqrt(np.einsum("nii->ni", ours.first_covariance))
    off = (ours.first - acts.states) / errors
    assert np.sqrt((off**2).mean(axis=0)).max() < 0.1
    assert np.abs(off).max() < 0.5
    assert (np.abs(off[:, 4]) < 0.2).mean() > 0.999
    np.testing.assert_allclose(ours.chi2, acts.chi2, rtol=0.02, atol=0.2)


def test_twenty_times_as_fast(fitted):
    """CPU seconds of the fits alone; ACTS' fastest batch speaks for all of them."""
    _, acts, _, seconds = fitted
    assert acts.cpu_seconds.min() * len(acts.cpu_seconds) > 20 * seconds


def test_energy_loss_is_that_of_acts(tools):
    """5 mm of silicon in each plane take 2.6 MeV; ACTS' momentum is that in front of the first."""
    momentum, silicon = 20.0, 5.0
    telescope = make_telescope(both=True, silicon=silicon)
    toy = tools.toy(telescope.setup, 5)
    _, measured, guesses = make_tracks(telescope, toy, 1000, momentum)
    acts = [acts_fit(telescope, measured, guesses, energy_loss=on) for on in (False, True)]
    one = layer_loss(silicon / SILICON_X0, momentum, "muon", substance="silicon")
    layout = telescope.layout
    loss = np.where(layout.kind[:, None] == SCATTERER, (one.mean, one.sigma**2), 0.0)
    ours = [
        fit_tracks(measured, guesses, telescope.planes, layout._replace(loss=values))
        for values in (0 * loss, loss)
    ]
    without, with_loss = ((1 / np.abs(a.states[:, 4]), 1 / np.abs(o.first[:, 4]))
                          for a, o in zip(acts, ours, strict=True))  # fmt: skip
    with_loss[1][:] += one.mean
    shift = [np.median(after - before) for before, after in zip(without, with_loss, strict=True)]
    assert shift[0] == pytest.approx(6 * 2.6e-3, rel=0.05)  # five planes and an edge
    assert shift[1] == pytest.approx(shift[0], rel=0.02)
    error = np.sqrt(ours[1].first_covariance[:, 4, 4]) * with_loss[1] ** 2
    off = (with_loss[1] - with_loss[0]) / error
    assert np.sqrt((off**2).mean()) < 0.1
    assert np.abs(off).max() < 0.5
    assert abs(off.mean()) < 0.02
