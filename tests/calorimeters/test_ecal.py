from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calorimeters import reconstruct_ecal
from na64reco.reconstruction import COLUMNS, columns_of_group
from na64reco.reconstruction.samples import ERROR_COLUMNS

from .conftest import dense_hits, flat_conditions, make_hits

NAMES = ("section", "ix", "iy", "amplitude", "time")


@pytest.fixture(scope="module")
def reference(showers, setup, conditions):
    return reconstruct_ecal(dense_hits(showers.cells, conditions.ecal), setup, conditions)


def test_columns_are_the_declared_ones(reference):
    declared = set(columns_of_group("ecal", "prs")) - set(ERROR_COLUMNS)
    assert set(reference) == declared
    for name, values in reference.items():
        assert values.dtype == COLUMNS[name].dtype, name


def test_figures_of_the_reference_showers(reference, showers):
    """EGSnrc at 100 GeV: preshower 5.6 % with an rms of 2.0 %, 3x3 holds 97.0 %."""
    chosen = showers.uniform
    error = 1 / math.sqrt(chosen.sum())
    share = reference["prs.energy"][chosen] / reference["ecal.energy"][chosen]
    assert share.mean() == pytest.approx(0.056, abs=3 * 0.020 * error)
    assert share.std() == pytest.approx(0.020, rel=0.25)
    inside = chosen & (reference["ecal.cell_ix"] == 3) & (reference["ecal.cell_iy"] == 3)
    # A little is below threshold: the share of what is left is larger.
    assert reference["ecal.fraction3x3"][inside].mean() == pytest.approx(0.972, abs=0.004)
    np.testing.assert_allclose(
        reference["ecal.lateral"], 1 - reference["ecal.fraction3x3"], atol=1e-6
    )


def test_energies_are_linear(showers, setup, parameters):
    """Without thresholds; the sampling fraction is the same within 0.1 % from 10 to 100 GeV."""
    low = SimpleNamespace(
        ecal=flat_conditions(setup.ecal.shape, threshold=0.0), shower_profile=parameters
    )
    found = reconstruct_ecal(dense_hits(showers.cells, low.ecal), setup, low)
    assert (found["ecal.hidden"] == 0).all()
    for energy in (10, 20, 50, 100):
        measured = found["ecal.energy"][showers.energy == energy]
        error = measured.std() / energy / math.sqrt(len(measured))
        assert measured.mean() == pytest.approx(energy, rel=float(0.005 + 2 * error))
        # sampling fluctuations of 7.6-8.2 % / sqrt(E)
        assert measured.std() / energy == pytest.approx(0.079 / math.sqrt(energy), rel=0.25)


def test_position_has_no_s_shape(reference, showers):
    """Better than 3 mm at 100 GeV with a bias below 0.5 mm all over the cell."""
    chosen = showers.uniform
    for axis in "xy":
        true = getattr(showers, axis)[chosen]
        difference = reference[f"ecal.{axis}"][chosen] - true
        assert difference.std() < 1.0
        for low in np.arange(0, 38.2, 6.37):
            part = difference[(true >= low) & (true < low + 6.37)]
            assert abs(part.mean()) < 0.5 + 2 * part.std() / math.sqrt(len(part))
    for energy, resolution in ((10, 5.0), (20, 3.5), (50, 2.0)):
        part = showers.energy == energy
        assert (reference["ecal.x"] - showers.x)[part].std() < resolution


def test_shape_at_the_shower_s_own_position_serves_without_a_track(showers, setup, conditions):
    hits = dense_hits(showers.cells, conditions.ecal)
    nan = np.full(len(showers.x), np.nan)
    own = reconstruct_ecal(hits, setup, conditions)
    without = reconstruct_ecal(hits, setup, conditions, impact_x=nan, impact_y=nan)
    tracked = reconstruct_ecal(hits, setup, conditions, impact_x=showers.x, impact_y=showers.y)
    far = reconstruct_ecal(hits, setup, conditions, impact_x=showers.x - 38.2, impact_y=showers.y)
    np.testing.assert_array_equal(own["ecal.chi2"], without["ecal.chi2"])
    assert (own["ecal.chi2"][showers.uniform] < 4).mean() > 0.93
    assert (tracked["ecal.chi2"][showers.uniform] < 4).mean() > 0.93
    assert (far["ecal.chi2"][showers.uniform] < 4).mean() == 0
    np.testing.assert_array_equal(own["ecal.energy"], far["ecal.energy"])


@pytest.mark.parametrize("wanted", [("ecal.chi2", "prs.energy"), ("ecal.x", "ecal.chi2")])
def test_columns_that_are_wanted_are_as_without_asking(showers, setup, conditions, wanted):
    hits = dense_hits(showers.cells, conditions.ecal)
    x = np.where(np.arange(len(showers.x)) % 2 == 0, np.nan, showers.x)
    everything = reconstruct_ecal(hits, setup, conditions, impact_x=x, impact_y=showers.y)
    some = reconstruct_ecal(hits, setup, conditions, impact_x=x, impact_y=showers.y, wanted=wanted)
    assert set(wanted) <= set(some)
    for name, values in some.items():
        np.testing.assert_array_equal(values, everything[name], err_msg=name)


def test_shape_in_a_second_call_for_some_events(showers, setup, conditions):
    """All but the shape needs no track; the shape of some events is that of all of them."""
    hits, chosen = dense_hits(showers.cells, conditions.ecal), np.array([5, 3, 40, 41])
    x = np.where(np.arange(len(showers.x)) % 4 == 0, np.nan, showers.x)
    everything = reconstruct_ecal(hits, setup, conditions, impact_x=x, impact_y=showers.y)
    names = tuple(name for name in everything if name != "ecal.chi2")
    first = reconstruct_ecal(hits, setup, conditions, wanted=names)
    assert set(first) == set(names)
    for name, values in first.items():
        np.testing.assert_array_equal(values, everything[name], err_msg=name)
    second = reconstruct_ecal(
        hits.select(chosen),
        setup,
        conditions,
        impact_x=x[chosen],
        impact_y=showers.y[chosen],
        wanted=("ecal.chi2",),
    )
    assert set(second) == {"ecal.chi2"}
    np.testing.assert_array_equal(second["ecal.chi2"], everything["ecal.chi2"][chosen])


@pytest.mark.parametrize(
    "broken",
    [(1, 2, 3, np.inf, 0.0), (1, 2, 3, 9.0, np.nan), (2, 0, 0, 9.0, 0.0), (0, 5, 9, 9.0, 0.0)],
)
def test_what_is_no_hit_of_a_cell_is_left_out(setup, conditions, broken):
    """As are hits with NaN, and cells that do not exist; the other hits count all the same."""
    sound = [(0, 3, 3, 500.0, 0.0), (1, 3, 3, 8000.0, 1.0), (1, 3, 4, 700.0, 40.0)]
    found = reconstruct_ecal(make_hits([sound, [*sound, broken], sound], NAMES), setup, conditions)
    for name, values in found.items():
        np.testing.assert_array_equal(values, values[:1].repeat(3), err_msg=name)
    assert found["prs.energy"][1] == pytest.approx(5)
    assert found["ecal.energy_out"][1] == pytest.approx(7)


def test_sums_of_hand_made_hits(setup, conditions):
    hits = make_hits(
        [
            [
                (0, 3, 3, 500.0, 0.0),  # 5 GeV
                (1, 3, 3, 8000.0, 2.0),  # 80 GeV
                (1, 4, 3, 1000.0, 0.0),  # 10 GeV
                (1, 0, 0, 300.0, 0.0),  # 3 GeV, outside 3x3
                (0, 3, 3, 200.0, 30.0),  # 2 GeV out of time
                (1, 2, 2, 700.0, -30.0),  # 7 GeV out of time
                (1, 1, 1, 2.0, 0.0),  # below threshold
            ],
            [],
            [(1, 2, 3, np.nan, 0.0), (0, 2, 3, 400.0, 0.0)],
        ],
        NAMES,
    )
    found = reconstruct_ecal(hits, setup, conditions)
    assert found["prs.energy"].tolist() == pytest.approx([5, 0, 4])
    assert found["prs.energy_out"].tolist() == pytest.approx([2, 0, 0])
    assert found["ecal.main"].tolist() == pytest.approx([93, 0, 0])
    visible = found["ecal.energy"] - found["ecal.hidden"]
    assert visible.tolist() == pytest.approx([98, 0, 4], rel=1e-5)
    assert found["prs.fraction"].tolist() == pytest.approx([5 / 98, 0, 1])
    assert found["ecal.hidden"][1] == 0
    assert found["ecal.energy_out"].tolist() == pytest.approx([9, 0, 0])
    np.testing.assert_allclose(found["ecal.missing"], 100 - found["ecal.energy"], atol=1e-5)
    assert found["ecal.fraction3x3"].tolist() == pytest.approx([95 / 98, 0, 1])
    assert found["ecal.lateral"].tolist() == pytest.approx([3 / 98, 0, 0])
    assert found["ecal.fraction5x5"].tolist() == pytest.approx([95 / 98, 0, 1])
    # second moments by hand, in cells: 10 GeV at ix = 4, 3 GeV at (0, 0), 85 GeV at (3, 3)
    mean = (4 * 10 + 3 * 85) / 98
    spread = math.sqrt((16 * 10 + 9 * 85) / 98 - mean**2)
    assert found["ecal.width_x"][0] == pytest.approx(38.2 * spread, rel=1e-5)
    assert found["ecal.width_y"][0] == pytest.approx(38.2 * math.sqrt(3 * 95 * 9) / 98, rel=1e-5)
    assert found["ecal.width_x"][2] == pytest.approx(0, abs=1e-3)
    assert np.isnan(found["ecal.width_x"][1])
    assert found["ecal.cells"].tolist() == [4, 0, 1]
    assert found["ecal.cell_ix"].tolist() == [3, -1, 2]
    assert found["ecal.cell_iy"].tolist() == [3, -1, 3]
    assert found["ecal.in_beam_cell"].tolist() == [True, False, False]
    assert found["ecal.time"][0] == pytest.approx(160 / 98.02, rel=1e-4)
    assert np.isnan(found["ecal.time"][1])
    assert np.isnan([found[f"ecal.{name}"][1] for name in ("x", "y", "chi2")]).all()
    # only the preshower has energy: its position and shape still have values
    assert np.isfinite([found[f"ecal.{name}"][2] for name in ("x", "y", "chi2")]).all()


def test_time_offsets_of_channels_cancel(setup, parameters, showers):
    random = np.random.default_rng(3)
    shifted = flat_conditions(setup.ecal.shape)
    shifted.time[...] = random.normal(0, 10, setup.ecal.shape)
    conditions = SimpleNamespace(ecal=shifted, shower_profile=parameters)
    found = reconstruct_ecal(dense_hits(showers.cells[:20], shifted), setup, conditions)
    np.testing.assert_allclose(found["ecal.time"], 0, atol=1e-5)
    np.testing.assert_allclose(
        found["ecal.energy"], showers.cells[:20].sum(axis=(1, 2, 3)), rtol=1e-6
    )


def test_showers_at_the_rim_stay_finite(setup, conditions):
    cells = np.zeros((4, *setup.ecal.shape))
    for event, (ix, iy) in enumerate(((0, 0), (5, 5), (0, 5), (5, 0))):
        cells[event, :, ix, iy] = (3.0, 60.0)
    found = reconstruct_ecal(dense_hits(cells, conditions.ecal), setup, conditions)
    half = 3 * setup.ecal.cell_x
    for name in ("ecal.x", "ecal.y"):
        assert (np.abs(found[name]) <= half).all()
    assert np.isfinite(found["ecal.chi2"]).all()
    np.testing.assert_allclose(found["ecal.fraction3x3"], 1)
