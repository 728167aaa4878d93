"""Searches: what is shipped is what papers say; a user's own; what is wrong is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from na64reco.cascade import simulate_cascade
from na64reco.cascade.shower import Cells
from na64reco.darksector.acceptance import Acceptance
from na64reco.darksector.dump import load_dump, shashlik
from na64reco.darksector.generic import load_model
from na64reco.darksector.models import DarkPhoton, DarkSector, LMuLTau
from na64reco.darksector.yields import DumpYield
from na64reco.errors import InferenceError, SetupError
from na64reco.inference.search import load_search, search_names
from na64reco.inference.search_yields import SearchYields

INVISIBLE = DarkPhoton(DarkSector())
OWN = {
    "title": "mine",
    "beam": {"particle": "muon", "energy": 160.0},
    "target": {"layers": [{"material": "lead", "thickness": 10.0}], "repeat": 2},
    "periods": {
        "one": {
            "exposure": 1e10,
            "threshold": 80.0,
            "efficiency": 0.5,
            "background": {"value": 0.1, "error": 0.05},
            "observed": 1,
        }
    },
}


def write(folder, content):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("name", "exposure", "background", "observed"),
    [
        # arXiv:2206.03101; arXiv:2404.06982 (0.4 + 0.3); arXiv:2401.01708.
        ("na64e-2018", 2.84e11, 0.53, 0),
        ("na64e-2024", 9.1e11, 0.7, 0),
        ("na64mu-2024", 1.98e10, 0.07, 0),
        ("na64e-1e13-electron", 1e13, 0.0, None),
        ("na64e-1e13-positron", 1e13, 0.0, None),
        ("na64mu-1e11", 1e11, 0.0, None),
    ],
)
def test_shipped_searches(name, exposure, background, observed, tmp_path):
    assert name in search_names()
    search = load_search(name)
    periods = search.periods.values()
    assert sum(p.exposure.value for p in periods) == pytest.approx(exposure)
    assert sum(p.background.value for p in periods) == pytest.approx(background)
    assert {p.observed for p in periods} == {observed}
    # 40 radiation lengths; the track lengths are shipped: none has to be simulated.
    dump = SearchYields(search, cache=tmp_path).dump
    layers = [layer.thickness * layer.rho / layer.material.radiation_length
              for layer in dump.stack.layers]  # fmt: skip
    assert sum(layers) == pytest.approx(40.6, abs=0.3)
    assert not list(tmp_path.iterdir())


def test_the_published_limit_on_dark_photons():
    """Strahlung alone, 2.3026 events, nothing fitted: within 25 % at every published mass.

    PRL 123, 121801 (2019), Fig. 3, read off: MeV, epsilon.
    """
    mass, epsilon = np.transpose(
        [
            (1.0, 7.544e-6), (1.238, 7.841e-6), (1.919, 9.638e-6), (3.442, 1.413e-5),
            (6.66, 2.348e-5), (13.36, 4.262e-5), (27.41, 8.395e-5), (57.19, 1.812e-4),
            (119.9, 4.328e-4), (247.7, 1.146e-3), (500.0, 3.357e-3), (1006.0, 1.098e-2),
        ]
    )  # fmt: skip
    yields = SearchYields(load_search("na64e-2018"))
    events = yields.events(INVISIBLE, mass / 1e3, epsilon, production="strahlung").total[0]
    np.testing.assert_allclose(np.sqrt(2.3026 / events), 1.0, atol=0.25)


def test_what_is_left_must_show_in_the_preshower():
    """The factors against missing energy: 0.3 GeV in 16 layers.

    10.5 % of the energy is seen by this cascade, in all layers and with this cut (10.3 % by EGSnrc).
    """
    points = load_search("na64e-2018").periods["2016-2018"].efficiency_points
    assert points is not None
    layers = np.arange(300)
    cells = Cells(np.where(layers < 32, 0, 1), layers % 2 == 1, 30.0, 1, 1)
    showers = simulate_cascade(shashlik(), 1.0, 200, cut=0.001, cells=cells, seed=3)
    seen = np.mean(showers.cells[:, 0, 0, 0] / 0.105 > 0.3)
    assert np.interp(99.0, *np.transpose(points.points)) == pytest.approx(seen, abs=0.09)


def test_muons_at_40_mev():
    """arXiv:2401.01708: the g-2 band is excluded above ~40 MeV, g ~ 6e-4 there.

    At 120 MeV y < 6e-12 for m_chi = m / 3 and g_chi = 0.05, so that g = 4.4e-4.
    """
    yields = SearchYields(load_search("na64mu-2024"))
    events = yields.events(LMuLTau(), [0.04, 0.12], 6e-4).total.sum(axis=0)
    limit = 6e-4 * np.sqrt(2.3026 / events)
    np.testing.assert_allclose(limit, [6e-4, 4.4e-4], rtol=0.15)


def test_periods_add_up_and_scale():
    yields = SearchYields(load_search("na64e-2024"))
    one = yields.events(INVISIBLE, 0.01, 1e-5)
    ten = yields.events(INVISIBLE, 0.01, 1e-5, exposure=9.1e12)
    np.testing.assert_allclose(ten.total, 10 * one.total, rtol=1e-9)
    # The same but for exposure and threshold (50 and 53 GeV).
    first, second = one.total[:, 0]
    assert second / first == pytest.approx(6.26 / 2.84, rel=0.15)
    assert second / first < 6.26 / 2.84


def test_spread_of_the_threshold():
    """dN/N of a narrow spectrum at half the beam's energy: small, and it grows with the error."""
    yields = SearchYields(load_search("na64e-2018"))
    mass = np.array([0.01])
    spread = yields.threshold_error(INVISIBLE, mass, 1e-5, production="strahlung")[0, 0]
    period = yields.search.periods["2016-2018"]
    down, up = (
        float(yields._yield(period, shift=shift).strahlung(INVISIBLE, mass, 1e-5)[0])
        for shift in (-1.0, 1.0)
    )
    # A straight line over one standard deviation.
    assert spread == pytest.approx((down - up) / (down + up), rel=0.02)
    assert 0.01 < spread < 0.05


def test_ones_own_search(tmp_path):
    search = load_search(write(tmp_path, OWN))
    assert search.name == "mine"
    found = SearchYields(search).events(INVISIBLE, [0.1, 0.2], 1e-3)
    # 2 cm of 22.5 cm of lead, half of what is above 80 GeV.
    other = SearchYields(load_search("na64mu-1e11")).events(INVISIBLE, [0.1, 0.2], 1e-3)
    expected = other.total.sum(axis=0) * 2.0 / 22.5 * 0.1 * 0.5 / 0.35
    np.testing.assert_allclose(found.total.sum(axis=0), expected, rtol=0.02)


def test_factors_against_mass_and_energy(tmp_path):
    content = json.loads(json.dumps(OWN))
    plain = SearchYields(load_search(write(tmp_path, content))).events(INVISIBLE, 0.1, 1e-3)
    period = content["periods"]["one"]
    period["efficiency_points"] = {"against": "mass", "points": [[0.05, 0.0], [0.15, 1.0]]}
    half = SearchYields(load_search(write(tmp_path, content))).events(INVISIBLE, 0.1, 1e-3)
    np.testing.assert_allclose(half.total, plain.total / 2)
    period["efficiency_points"] = {
        "against": "missing_energy", "points": [[80.0, 1.5], [160.0, 1.5]]
    }  # fmt: skip
    more = SearchYields(load_search(write(tmp_path, content))).events(INVISIBLE, 0.1, 1e-3)
    np.testing.assert_allclose(more.total, 1.5 * plain.total, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"periods": {}}, r"periods: .* at least 1 item"),
        ({"tresholds": 1}, r"tresholds: .*Did you mean 'threshold'"),
        ({"target": {}}, r"target: .*give either `setup: NAME` or `layers"),
        ({"beam": {"particle": "photon", "energy": 100.0}}, r"beam.particle: .*'muon'"),
        ({"beam": {"particle": "electron", "energy": 5.0}}, r"beam.energy: .*16"),
        ({"beam": {"particle": "electron", "energy": 60.0}}, r"80.0 GeV of missing energy is not"),
        ({"background_correlation": 2}, r"background_correlation: .*less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    with pytest.raises(InferenceError, match=message):
        load_search(write(tmp_path, OWN | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background": -1}, r"one.background.value: .*greater than or equal to 0"),
        ({"efficiency": 50.0}, r"the efficiency reaches 50: it is a share"),
        ({"exposure": 0}, r"there must be some beam particles"),
        ({"observed": 0.5}, r"one.observed: .*integer"),
        (
            {"efficiency_points": {"against": "mass", "points": [[2, 1], [1, 1]]}},
            r"must ascend in their first number",
        ),
    ],
)
def test_what_is_wrong_in_a_period_is_named(tmp_path, change, message):
    period = OWN["periods"]["one"] | change
    with pytest.raises(InferenceError, match=message):
        load_search(write(tmp_path, OWN | {"periods": {"one": period}}))


def test_unknown_names(tmp_path):
    with pytest.raises(InferenceError, match=r"no search 'na64e-2020'.*'na64e-2024'"):
        load_search("na64e-2020")
    with pytest.raises(InferenceError, match="cannot be read as YAML"):
        load_search(tmp_path / "none.yaml")
    target = {"layers": [{"material": "lego", "thickness": 1.0}]}
    with pytest.raises(SetupError, match="no material 'lego'"):
        _ = SearchYields(load_search(write(tmp_path, OWN | {"target": target}))).dump
    with pytest.raises(InferenceError, match="exposure must be a positive number"):
        SearchYields(load_search("na64mu-1e11")).events(INVISIBLE, 0.1, 1e-3, exposure=-1)


def test_counting_json_is_a_search(tmp_path):
    number = {"value": 0.4, "statistical": 0.05}
    content = {
        "period": "2022A",
        "setup": "2022-electron",
        "selection": "invisible",
        "selection_sha256": "0" * 64,
        "observed": None,
        "threshold": {"value": 50.0, "statistical": 1.0},
        "hcal_threshold": 1.0,
        "beam_energy": 100.0,
        "background": {"components": [], "covariance": [], "value": 0.0, "error": 0.0},
        "kappa": number,
        "exposure": {"value": 2e10, "statistical": 1e9},
        "signal_efficiency": {
            "missing_energy": [0.0, 49.9, 50.1, 100.0],
            "efficiency": [0.0, 0.0, 1.0, 1.0],
            "error": [0.0] * 4,
            "source": "a step",
        },
    }
    path = tmp_path / "counting.json"
    path.write_text(json.dumps(content))
    search = load_search(path)
    assert search.periods["2022A"].observed is None
    found = SearchYields(search).events(INVISIBLE, [0.001, 0.1], 1e-5).total
    step = DumpYield(load_dump(shashlik(), 100.0), Acceptance(50.0, plateau=0.4))
    expected = 2e10 * step(INVISIBLE, np.array([0.001, 0.1]), 1e-5).total
    np.testing.assert_allclose(found[0], expected, rtol=5e-3)
    # The threshold's error moves the curve: the same as that of a plain threshold.
    own = {"layers": [{"material": "lead", "thickness": 1.5}, {"material": "polystyrene", "thickness": 1.5}], "repeat": 150}  # fmt: skip
    period = {
        "exposure": 2e10, "threshold": {"value": 50.0, "error": 1.0}, "resolution": 0.0,
        "efficiency": 0.4, "background": 0.0, "observed": None,
    }  # fmt: skip
    beam = {"particle": "electron", "energy": 100.0}
    plain = write(tmp_path, OWN | {"beam": beam, "target": own, "periods": {"one": period}})
    errors = [
        SearchYields(one).threshold_error(INVISIBLE, 0.01, 1e-5)[0, 0]
        for one in (search, load_search(plain))
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)
    assert errors[0] > 0.01
    path.write_text(json.dumps(content | {"exposure": None}))
    with pytest.raises(InferenceError, match="period '2022A' still lacks exposure"):
        load_search(path)


def test_models_that_a_beam_cannot_make():
    """Muonphilic: no coupling to electrons, no events."""
    found = SearchYields(load_search("na64e-2018")).events(load_model("muonphilic"), 0.1, 1e-3)
    assert found.total.sum() == 0
