from __future__ import annotations

import pytest

from na64reco.report.regions import outlines

VARIABLES = ("ecal.energy", "hcal.energy")
FRAME = ((0.0, 120.0), (0.0, 120.0))


def area(corners):
    """Shoelace formula."""
    pairs = zip(corners, (*corners[1:], corners[0]), strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def test_a_box_with_open_sides_ends_at_the_frame(selection):
    found = [o for o in outlines(selection, VARIABLES, FRAME) if o.region == "signal"]
    assert [(o.period, area(o.corners)) for o in found] == [("early", 50.0), ("late", 47.0)]


def test_a_limit_on_the_sum_is_a_band(selection):
    (band,) = (o for o in outlines(selection, VARIABLES, FRAME) if o.region == "diagonal")
    # Between x + y = 80 and 120 and above y = 1: two triangles' difference.
    assert area(band.corners) == pytest.approx((119**2 - 79**2) / 2)


def test_regions_of_other_variables_are_not_drawn(selection):
    assert {o.region for o in outlines(selection, VARIABLES, FRAME)} == {"signal", "diagonal"}


def test_a_region_outside_the_frame_is_not_drawn(selection):
    frame = ((0.0, 20.0), (0.0, 10.0))
    assert "diagonal" not in {o.region for o in outlines(selection, VARIABLES, frame)}
