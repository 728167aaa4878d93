"""Straws from the tracks of the muon spectrometers, of which they are planes themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from na64reco.calibration import Alignment
from na64reco.errors import DataError
from na64reco.setup import load_setup
from na64reco.tracking.straw_calibration import fit_straws
from na64reco.tracking.straw_tracks import find_crossings

from .muon_toy import RADIUS, RESOLUTION, T0, T_MAX, muons, straw_hits, strip_hits

EVENTS = 4000


@pytest.fixture(scope="module", params=["MS1", "MS2"])
def sample(request, tools):
    """Hits of single muons, and conditions by which straws stand 0.3 mm off and start 4 ns late."""
    spectrometer = request.param
    setup = load_setup("2022-muon-152")
    random = np.random.default_rng(5)
    made = muons(tools, setup, spectrometer, EVENTS, random, rate=0.0)
    how = {"inefficiency": 0.02, "noise": 0.05}
    strips = strip_hits(setup, spectrometer, made, random, **how)
    straws = straw_hits(setup, spectrometer, made, random, **how)
    right = tools.conditions(setup)
    straw = {k: dataclasses.replace(c, t0=c.t0 + 4) for k, c in right.straw.items()}
    shifts = {("straw", s, p): Alignment(-0.3, 0.0) for s, p, _ in straw}
    conditions = dataclasses.replace(right, straw=straw, alignment=shifts)
    return spectrometer, setup, conditions, strips, straws


def test_drift_times_and_places_are_found(sample):
    spectrometer, setup, conditions, strips, straws = sample
    crossings = find_crossings(
        strips["mm"], strips["gem"], straws, setup, conditions, spectrometer=spectrometer
    )
    assert crossings.tracks > 0.8 * EVENTS
    # Neither those before other magnets and the target, nor those behind.
    stations = {"MS1": {"ST5", "ST4"}, "MS2": {"ST2", "ST1", "ST11"}}[spectrometer]
    assert {layer.station for layer in crossings.layers} == stations
    planes = fit_straws(crossings)
    # The toy makes no hits in ST11.
    assert {plane.station for plane in planes} == stations - {"ST11"}
    pulls = []
    for plane in planes:
        assert plane.shift == pytest.approx(0.3, abs=0.05)
        pulls.append((plane.shift - 0.3) / plane.shift_error)
        for fit in plane.layers:
            assert fit.t0_error < 1.0
            pulls.append((fit.t0 - T0) / fit.t0_error)
            pulls.append((fit.time_max - T_MAX) / fit.time_max_error)
            assert fit.time_resolution == pytest.approx(
                RESOLUTION["straw"] * T_MAX / RADIUS, rel=0.1
            )
    assert 0.3 < np.mean(np.square(pulls)) < 2.2


def test_what_tracks_cannot_reach_is_said(sample):
    spectrometer, setup, conditions, strips, straws = sample
    stations = {n: s for n, s in setup.stations.items() if s.technology != "straw" or n == "ST11"}
    chosen = setup.spectrometers[spectrometer]
    without = chosen.model_copy(
        update={
            "upstream": tuple(n for n in chosen.upstream if n in stations),
            "downstream": tuple(n for n in chosen.downstream if n in stations),
        }
    )
    bare = setup.model_copy(update={"stations": stations, "spectrometers": {spectrometer: without}})
    with pytest.raises(DataError, match="there are none"):
        find_crossings(None, None, straws, bare, conditions, spectrometer=spectrometer)
    if spectrometer == "MS1":  # ST11 stands behind the target
        with pytest.raises(DataError, match="no straw station stands where tracks"):
            find_crossings(
                strips["mm"], strips["gem"], straws, bare, conditions, spectrometer=spectrometer
            )
