"""More than one particle in an event: how many tracks there are, and which one triggered.

Pairs are two beam particles of one event, anywhere in the beam; pile-up is drawn at the nominal rate
over the trackers' readout window. 2 % of all hits are missing, a plane has 0.2 noise strips. Charges
in x and y of a chamber differ by 15 % (rms; COMPASS' GEM have less than 10 %).
"""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.tracking import reconstruct_tracks

N = 4000
WINDOW = 100.0  # ns to either side of the trigger


def test_pairs_in_time_are_two_tracks(tools, setup, conditions):
    toy = tools.toy(setup, 21)
    truth = toy.track(toy.states(2 * N, 100.0, spread=0.005))
    hits = toy.hits(toy.smear(truth, 0.02), events=np.tile(np.arange(N), 2), n=N, noise=0.2)
    columns = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)
    number = columns["track.candidates"]
    assert (number == 2).mean() > 0.99
    # One cluster for both is all there is to see of them where they are closer than a few strips.
    gaps = np.stack([np.abs(u[:N] - u[N:]) for u in truth.u.values()])
    apart = (gaps > 1.5).all(axis=0)
    assert apart.mean() > 0.5
    assert (number[apart] == 2).mean() > 0.998


def pile_up(tools, setup, conditions, seed, sharing):
    """Event i is about track i; the others of ``truth`` are pile-up."""
    toy = tools.toy(setup, seed)
    r = toy.random
    others = r.poisson(2 * WINDOW * setup.beam.rate, N)
    events = np.concatenate([np.arange(N), np.repeat(np.arange(N), others)])
    times = np.concatenate([np.zeros(N), r.uniform(-WINDOW, WINDOW, others.sum())])
    truth = toy.track(toy.states(len(events), 100.0, spread=0.005))
    measured = toy.smear(truth, 0.02)
    hits = toy.hits(measured, events=events, n=N, noise=0.2, time=times, sharing=sharing)
    columns = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)
    return others, truth, columns


def displaced(setup, truth, columns):
    """Whether the tracks are more than five standard deviations off at the ECAL, shape (N,)."""
    off = np.zeros(N, bool)
    for axis, (name, origin) in enumerate((("x", setup.ecal.x), ("y", setup.ecal.y))):
        residual = columns[f"track.{name}_ecal"] - (truth.ecal[:N, axis] - origin)
        off |= np.abs(residual) > 5 * columns[f"track.{name}_ecal_error"]
    return off


@pytest.fixture(scope="module")
def piled_up(tools, setup, conditions):
    return pile_up(tools, setup, conditions, 31, 0.15)


def test_at_nominal_intensity_nearly_every_track_is_found_and_right(piled_up, setup):
    others, truth, columns = piled_up
    assert others.mean() == pytest.approx(0.25, abs=0.03)  # 1.25 MHz, 200 ns
    found = columns["track.found"]
    assert found.mean() > 0.995
    p = 1 / np.abs(truth.first[:N, 4])
    wrong = (
        np.abs(columns["track.momentum"] - p)[found] > 5 * columns["track.momentum_error"][found]
    )
    assert wrong.mean() < 0.003
    mixed = displaced(setup, truth, columns)
    assert mixed[found].mean() < 0.02
    assert mixed[found & (others == 0)].mean() < 0.003


def test_alone_in_the_window_there_is_one(piled_up):
    others, _, columns = piled_up
    number = columns["track.candidates"]
    assert (number[others == 0] == 1).mean() > 0.997
    assert (number[others == 1] == 2).mean() > 0.1  # in time with the trigger, or nearly
