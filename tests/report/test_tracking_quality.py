from __future__ import annotations

import numpy as np
import pytest

from na64reco.calibration import load_conditions
from na64reco.report.pictures import save_pictures
from na64reco.report.tracking_quality import REASONS, draw_tracking_quality
from na64reco.setup import load_setup
from na64reco.simulation import simulate
from na64reco.tracking.quality import track_quality


def _quality(*, truth):
    setup = load_setup("2022-electron")
    batch = next(iter(simulate(setup, "electron", 400, seed=7, trigger="beam", intensity=1e4)))
    hits = {k: batch.collections[k] for k in ("MM", "GEM")}
    if truth:
        hits["MC_momentum"] = batch.scalars["MC_momentum"]
    return track_quality(hits, setup, load_conditions(setup, setup.runs[0]))


@pytest.fixture(scope="module")
def quality():
    return _quality(truth=True)


def _points(ax, label):
    (line,) = (x for x in ax.get_lines() if x.get_label() == label)
    return np.asarray(line.get_ydata())


def test_points_are_those_of_the_planes(quality):
    figure = draw_tracking_quality(quality)
    residual, pulls, efficiency, clusters, tracks, p_value, reasons, momentum = figure.axes
    for ax in (residual, pulls, efficiency, clusters):
        assert tuple(t.get_text() for t in ax.get_xticklabels()) == quality.planes
    assert _points(pulls, "rms (expected: 1)") == pytest.approx(np.ones(12), abs=0.2)
    drawn = efficiency.get_lines()[0].get_ydata()
    assert drawn == pytest.approx([100 * e.value for e in quality.efficiencies])
    unused = _points(clusters, "on no track, per ten events")
    assert unused == pytest.approx(10 * quality.unused_per_event)
    heights = [bar.get_height() for bar in tracks.patches]
    assert sum(heights) == pytest.approx(1)
    assert heights[1] == quality.tracks[1j] / quality.events
    assert [t.get_text() for t in reasons.get_xticklabels()] == list(REASONS)
    assert reasons.get_title() == f"tracks found: {100 * quality.found:.2f} %"
    assert momentum.get_title().startswith("core 0.") or momentum.get_title().startswith("core 1.")
    assert p_value.get_xlabel() == "p-value of the fit"
    assert figure.get_suptitle() == "2022-electron, spectrometer main: 400 events"


def test_without_truth_the_picture_says_so():
    figure = draw_tracking_quality(_quality(truth=False))
    assert [t.get_text() for t in figure.axes[-1].texts] == ["no truth"]


def test_pictures_are_written_over(quality, tmp_path):
    figure = draw_tracking_quality(quality)
    old = tmp_path / "pictures" / "one.png"
    for _ in range(2):
        assert save_pictures({"one": figure}, tmp_path) == (old,)
    assert old.read_bytes().startswith(b"\x89PNG")
    assert save_pictures({}, tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()
