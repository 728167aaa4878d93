"""Resolution and timing of strip planes that a toy drew hits with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import chi2

from na64reco.calibration import StripConditions
from na64reco.errors import DataError
from na64reco.tracking.strip_calibration import apply_strips, fit_strips

N = 6000
TIME, WIDTH = 3.0, 8.0  # ns: of the clusters, whose strips share their time
SPOILT = ("mm", 4, 1)
SPOILT_SIGMA = 0.15


@pytest.fixture(scope="module")
def hits(tools, setup):
    """Hits of single tracks; one plane has a worse resolution than its technology."""
    toy = tools.toy(setup, 81)
    truth = toy.track(toy.states(N, 100.0, spread=0.005))
    measured = toy.smear(truth, inefficiency=0.02)
    more = np.sqrt(SPOILT_SIGMA**2 - tools.resolution["mm"] ** 2)
    measured[SPOILT] = measured[SPOILT] + more * toy.random.normal(size=N)
    return toy.hits(measured, noise=0.05, time=TIME, width=WIDTH)


def _start(conditions, **values):
    """Conditions with wrong constants in all planes."""

    def changed(strips):
        return {k: dataclasses.replace(s, **values) for k, s in strips.items()}

    return dataclasses.replace(conditions, mm=changed(conditions.mm), gem=changed(conditions.gem))


def _true(tools, key):
    return SPOILT_SIGMA if key == SPOILT else tools.resolution[key[0]]


@pytest.mark.parametrize(
    "start",
    [
        {"resolution": 0.11, "time": 0.0, "time_width": 10.0},
        {"resolution": 0.05, "time": -90.0, "time_width": 6.0},  # no hit is in time
    ],
)
def test_what_went_in_comes_out(tools, setup, conditions, hits, start):
    conditions = _start(conditions, **start)
    fits = fit_strips(hits["mm"], hits["gem"], setup, conditions, spectrometer="main")
    assert [f.key for f in fits][:3] == [("mm", 1, 0), ("mm", 1, 1), ("mm", 2, 0)]
    assert fits[0].name == "MM1 X"
    assert len(fits) == 12
    pulls = np.array([(f.resolution - _true(tools, f.key)) / f.resolution_error for f in fits])
    total = float((pulls**2).sum())
    assert min(chi2.sf(total, 12), chi2.cdf(total, 12)) > 1e-4
    y = [f for f in fits if f.key[2] == 1]  # known well: tracks have four planes to spare
    assert all(f.resolution_error < 0.06 * f.resolution for f in y)
    for f in fits:
        # Strips of a cluster have one time in the toy: the error counts them as if they had not.
        assert f.time == pytest.approx(TIME, abs=0.5)
        assert f.time_width == pytest.approx(WIDTH, rel=0.05)
        assert f.entries > 0.9 * N
        assert f.start == conditions.mm.get(f.key[1:]) or f.key[0] == "gem"


def test_pulls_by_the_starting_conditions(tools, setup, conditions, hits):
    worse = _start(conditions, resolution=0.144)
    fits = fit_strips(hits["mm"], hits["gem"], setup, worse, spectrometer="main")
    # All planes twice too wide: the residuals are, too, but for scattering and the spoilt plane.
    mm = [f.pull for f in fits if f.key[0] == "mm" and f.key[2] == 0]
    assert np.mean(mm) == pytest.approx(0.5, abs=0.07)


def test_conditions_take_what_was_found(setup, conditions, hits):
    fits = fit_strips(hits["mm"], hits["gem"], setup, conditions, spectrometer="main")
    new = apply_strips(fits, conditions)
    f = fits[-1]
    assert f.key == ("gem", 2, 1)
    assert new.gem[2, 1] == StripConditions(
        min_charge=conditions.gem[2, 1].min_charge,
        time=f.time,
        time_width=f.time_width,
        resolution=f.resolution,
    )
    again = fit_strips(hits["mm"], hits["gem"], setup, new, spectrometer="main")
    assert all(abs(g.pull - 1) < 0.02 for g in again)
    assert new.alignment == conditions.alignment


def test_too_few_tracks(setup, conditions, hits):
    few = {name: h.slice(0, 100) for name, h in hits.items()}
    with pytest.raises(DataError, match=r"MM\d [XY]: \d+ hits on tracks, at least 200"):
        fit_strips(few["mm"], few["gem"], setup, conditions, spectrometer="main")
    with pytest.raises(DataError, match="MM or GEM; there are none"):
        fit_strips(None, None, setup, conditions, spectrometer="main")
