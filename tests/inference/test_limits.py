"""Limits on couplings: closed forms with hand-made yields, and what papers published."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from na64reco.darksector.g_minus_2 import Measured, coupling_band
from na64reco.darksector.generic import load_model
from na64reco.darksector.models import DarkPhoton, DarkSector, LMuLTau
from na64reco.darksector.relic import yield_variable
from na64reco.errors import InferenceError, ModelError
from na64reco.inference.limits import LimitSetter
from na64reco.inference.search import Search, load_search
from na64reco.inference.search_yields import SignalEvents

# As in arXiv:2401.01708 and arXiv:2404.06982.
BAND = Measured(116592059e-11, 22e-11), Measured(116591810e-11, 43e-11)
VANILLA = LMuLTau()


def hand_made(name, **periods):
    """A search of muons; its target does not matter."""
    common = {"threshold": 80.0, "efficiency": 1.0, "background": 0.0, "observed": 0}
    return Search.model_validate(
        {
            "name": name,
            "title": name,
            "beam": {"particle": "muon", "energy": 160.0},
            "target": {"layers": [{"material": "lead", "thickness": 1.0}]},
            "periods": {key: common | period for key, period in periods.items()},
        }
    )


@dataclass(frozen=True)
class Closed:
    """Yields in closed form: exposure x g^power x (mass/GeV)^slope by period."""

    search: Search
    power: float = 2.0
    slope: float = -1.0
    error: float = 0.0
    calls: list[int] = field(default_factory=list)

    def events(self, model, mass, coupling, *, production="all", exposure=None):
        share = np.array([p.exposure.value for p in self.search.periods.values()])
        if exposure is not None:
            share = share * exposure / share.sum()
        found = share[:, None] * coupling**self.power * mass**self.slope
        self.calls.append(1)
        return SignalEvents(mass, coupling, found, 0 * found)

    def threshold_error(self, model, mass, coupling, *, production="all"):
        return np.full((len(self.search.periods), len(mass)), self.error)


def setter(*yields, **options):
    found = LimitSetter(tuple(y.search for y in yields), **options)
    found.__dict__["_yields"] = yields
    return found


MASSES = np.geomspace(0.01, 3.0, 7)


def test_no_background_and_no_uncertainty_is_the_closed_form():
    one = Closed(hand_made("one", a={"exposure": 1e9}, b={"exposure": 3e9}))
    found = setter(one).limits(None, MASSES)
    np.testing.assert_allclose(found.coupling, np.sqrt(np.log(10) * MASSES / 4e9), rtol=1e-5)
    np.testing.assert_allclose(found.events, np.log(10), rtol=1e-5)
    # Three quarters of it in the second period; all bands are the same without background.
    np.testing.assert_allclose(found.signal[1] / found.signal.sum(axis=0), 0.75)
    np.testing.assert_allclose(found.bands, np.broadcast_to(found.coupling, (5, 7)), rtol=1e-3)
    assert np.all(np.isinf(found.upper))
    assert not found.projection


def test_other_confidence_levels():
    one = Closed(hand_made("one", a={"exposure": 1e9}))
    found = setter(one, cl=0.95).limits(None, [1.0])
    np.testing.assert_allclose(found.coupling, np.sqrt(np.log(20) / 1e9), rtol=1e-5)


@pytest.mark.parametrize(("power", "expected"), [(2.0, -0.5), (4.0, -0.25)])
def test_projections_scale_with_the_exposure(power, expected):
    one = Closed(hand_made("one", a={"exposure": 1e10}), power=power)
    now, then = (setter(one, exposure=n).limits(None, MASSES) for n in (1e10, 1e13))
    slope = np.log(then.coupling / now.coupling) / np.log(1e3)
    np.testing.assert_allclose(slope, expected, atol=1e-5)
    assert then.projection


def test_with_background_more_exposure_gains_less():
    background = {"value": 0.5, "error": 0.2}
    one = Closed(hand_made("one", a={"exposure": 1e10, "background": background}))
    now, then = (setter(one, exposure=n).limits(None, [1.0]) for n in (1e10, 2e11))
    # 10 events of background: between 20^-1/2 and 20^-1/4.
    assert 20**-0.5 < float((then.coupling / now.coupling)[0]) < 20**-0.25


def test_searches_together_are_at_least_as_strong_as_each():
    electrons = hand_made(
        "electrons",
        a={"exposure": 3e9, "background": {"value": 0.4, "error": 0.2}},
        b={"exposure": 6e9, "background": {"value": 0.3, "error": 0.2}},
    )
    muons = hand_made("muons", c={"exposure": 9e9, "background": {"value": 0.07, "error": 0.03}})
    falling, rising = Closed(electrons, slope=-1.0, error=0.03), Closed(muons, slope=1.0)
    masses = np.geomspace(0.1, 10, 9)
    alone = [setter(one).limits(None, masses) for one in (falling, rising)]
    both = setter(falling, rising).limits(None, masses)
    for one in alone:
        assert np.all(both.bands[2] < one.bands[2])
        assert np.all(both.coupling < one.coupling)
    # Of two equal ones without background the events add up.
    assert both.coupling[4] == pytest.approx(
        (alone[0].coupling[4] ** -2 + alone[1].coupling[4] ** -2) ** -0.5, rel=0.02
    )


def test_the_threshold_counts_by_channel():
    one = hand_made("one", a={"exposure": 1e9})
    plain, wide = (setter(Closed(one, error=e)).limits(None, [1.0]) for e in (0.0, 0.3))
    assert wide.threshold_error[0, 0] == 0.3
    assert 1.03 < float(wide.events[0] / plain.events[0]) < 1.12


def test_with_toys_nothing_is_expected(monkeypatch):
    asked = []

    def limit(counting, *, cl, method):
        asked.append((cl, method))
        return 3.0 / float(counting.signal.sum())

    monkeypatch.setattr("na64reco.inference.limits.upper_limit", limit)
    found = setter(Closed(hand_made("one", a={"exposure": 1e9})), method="cls-toys").limits(
        None, [1.0, 2.0]
    )
    np.testing.assert_allclose(found.coupling, np.sqrt(3.0 * np.array([1.0, 2.0]) / 1e9), rtol=1e-6)
    assert np.all(np.isinf(found.bands))
    assert asked == [(0.9, "cls-toys")]


def test_a_search_that_sees_nothing_excludes_nothing():
    found = LimitSetter((load_search("na64e-2018"),)).limits(load_model("muonphilic"), [0.1])
    assert np.isinf(found.coupling[0])
    assert np.all(np.isinf(found.bands))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LimitSetter(()), InferenceError, "at least one search"),
        (lambda: setter(ONE, ONE), InferenceError, "counted twice: one, one"),
        (lambda: setter(ONE, TWO, exposure=1e9), InferenceError, "exposure is that of one search"),
        (lambda: setter(ONE, exposure=-1.0).limits(VANILLA, [0.1]), InferenceError, "positive"),
        (lambda: setter(ONE, cl=90.0).limits(None, [0.1]), InferenceError, r"For 90 % give 0.9"),
        (
            lambda: setter(ONE, method="cls-toys", exposure=1e9).limits(None, [0.1]),
            InferenceError,
            "choose a method without toys",
        ),
        (lambda: setter(ONE, method="clz").limits(None, [0.1]), InferenceError, "'cls'"),
        (
            lambda: LimitSetter((load_search("na64e-2018"),)).limits(VANILLA, [5.0]),
            ModelError,
            r"1e-06 to 3 GeV.*found 5",
        ),
        (
            lambda: LimitSetter((load_search("na64e-2018"),)).limits(VANILLA, [1e-7]),
            ModelError,
            r"1e-06 to 3 GeV.*found 1e-07",
        ),
    ],
)
def test_nonsense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


ONE = Closed(hand_made("one", a={"exposure": 1e9}))
TWO = Closed(hand_made("two", a={"exposure": 1e9}))


def test_a_counting_json_is_a_search(tmp_path):
    number = {"value": 0.4, "statistical": 0.05}
    content = {
        "period": "2022A",
        "setup": "2022-electron",
        "selection": "invisible",
        "selection_sha256": "0" * 64,
        "observed": 0,
        "threshold": {"value": 50.0, "statistical": 1.0},
        "hcal_threshold": 1.0,
        "beam_energy": 100.0,
        "background": {"components": [], "covariance": [], "value": 0.0, "error": 0.0},
        "kappa": number,
        "exposure": {"value": 2.84e11, "statistical": 1e9},
        "signal_efficiency": {
            "missing_energy": [0.0, 49.9, 50.1, 100.0],
            "efficiency": [0.0, 0.0, 1.0, 1.0],
            "error": [0.0] * 4,
            "source": "a step",
        },
    }
    path = tmp_path / "counting.json"
    path.write_text(json.dumps(content))
    model = DarkPhoton(DarkSector())
    own = LimitSetter((load_search(path),), production="strahlung").limits(model, [0.01])
    shipped = LimitSetter((load_search("na64e-2018"),), production="strahlung")
    # 0.4 instead of 0.5 of the signal, exact spectra instead of IWW (2 %), no preshower (2 %).
    assert own.coupling[0] == pytest.approx(shipped.limits(model, [0.01]).coupling[0] * 1.118, 0.06)


@pytest.fixture(scope="module")
def of_electrons():
    return LimitSetter((load_search("na64e-2024"),))


@pytest.fixture(scope="module")
def electrons(of_electrons):
    """Vanilla L_mu - L_tau, na64e-2024."""
    mass = np.array([1e-6, 1e-5, 1e-4, 1e-3, 2e-3, 3e-3, 0.18, 0.24, 0.28, 0.34, 0.5])
    return of_electrons.limits(VANILLA, mass)


@pytest.fixture(scope="module")
def dark(of_electrons):
    """The same with alpha_D = 0.1 and 0.02."""
    mass = np.array([1e-3, 0.05, 0.18, 0.22, 0.24, 0.28, 0.5])
    return [of_electrons.limits(load_model("lmutau-dark", alpha=a), mass) for a in (0.1, 0.02)]


def test_light_bosons_of_electrons(electrons):
    """arXiv:2404.06982: the band is excluded from 1 keV to ~2 MeV; flat below 0.1 MeV."""
    flat = electrons.coupling[:3]
    assert flat.max() / flat.min() < 1.03
    low, high = coupling_band(electrons.mass[:6], *BAND)
    assert np.all(electrons.coupling[:4] < low[:4])  # up to 1 MeV all of the band
    assert electrons.coupling[4] < high[4]  # at 2 MeV a part of it
    assert electrons.coupling[5] > high[5]  # at 3 MeV nothing
    # Delta S from the threshold: a few percent, but largest for the lightest.
    assert np.all(
        (electrons.threshold_error[:, :6] > 0.02) & (electrons.threshold_error[:, :6] < 0.05)
    )
    # 15 % and 10 % on the yield, by two percent; background counts for nothing without events.
    assert 1.01 < electrons.events[0] / np.log(10) < 1.03


def test_steps_of_the_iteration(electrons, dark):
    """From the narrow-width limit at most three, to what root finding gives."""
    for found in (electrons, *dark):
        assert found.iterations.max() <= 3
        np.testing.assert_allclose(found.iterated, found.coupling, rtol=1e-4)


def test_2018_touches_the_band_at_1_mev():
    """arXiv:2206.03101: g = 5.2e-4 at 1 MeV; directly within 25 %."""
    found = LimitSetter((load_search("na64e-2018"),)).limits(VANILLA, [1e-3])
    assert found.coupling[0] == pytest.approx(5.2e-4, rel=0.25)


def test_ratio_to_the_published_dark_photon():
    """PRL 123, 121801, Fig. 3 (MeV, epsilon); couplings in closed form, to 2 %.

    L_mu - L_tau: epsilon / |Pi|, always neutrinos; 5.2e-4 at 1 MeV (arXiv:2206.03101). B - L: e
    epsilon, over the root of 3/5 into neutrinos from two electron masses on.
    """
    mass = np.array([1.0, 13.36, 57.19]) / 1e3
    epsilon = np.array([7.544e-6, 4.262e-5, 1.812e-4])
    one = LimitSetter((load_search("na64e-2018"),), production="strahlung")
    found = one.by_ratio(VANILLA, mass, (mass, epsilon))
    # |Pi| / g by numerical integration of eq. 2.3 of arXiv:2404.06982.
    loop = np.array([0.014433, 0.01446, 0.01459])
    np.testing.assert_allclose(found.coupling, epsilon / loop, rtol=5e-3)
    assert found.coupling[0] == pytest.approx(5.2e-4, rel=0.02)
    charge = np.sqrt(4 * np.pi / 137.036)
    expected = charge * epsilon / np.sqrt([1.0, 0.6, 0.6])
    found = one.by_ratio(load_model("b-l"), mass, (mass, epsilon))
    np.testing.assert_allclose(found.coupling, expected, rtol=5e-3)
    np.testing.assert_allclose(found.iterated, found.coupling, rtol=1e-4)
    with pytest.raises(InferenceError, match=r"for 1 to 57.19 MeV, masses are 0.5 to 0.5 MeV"):
        one.by_ratio(VANILLA, [5e-4], (mass, epsilon))


def test_the_cusp_of_the_resonance(electrons, dark):
    """230 to 320 MeV; alpha_D hardly matters; arXiv:2206.03101, section V."""
    at = dict(zip(electrons.mass.tolist(), electrons.coupling.tolist(), strict=True))
    assert at[0.24] < 0.5 * at[0.18]
    assert at[0.24] < at[0.28] < 0.5 * at[0.34]
    strong, weak = dark
    ratio = strong.coupling / weak.coupling
    np.testing.assert_allclose(ratio[:2], 1.0, atol=1e-3)  # strahlung, always invisible
    np.testing.assert_allclose(ratio[4:6], 1.0, atol=0.01)  # in the resonance's range
    # Below it the wider boson reaches higher energies of positrons.
    assert ratio[3] < 0.99


def test_muons():
    """arXiv:2401.01708: all of the band above ~40 MeV, g ~ 6e-4 there; y ~ 6e-12 at 40 MeV."""
    mass = np.array([0.03, 0.04, 0.05, 0.12, 0.2])
    one = LimitSetter((load_search("na64mu-2024"),))
    found = one.limits(VANILLA, mass)
    low, high = coupling_band(mass, *BAND)
    assert low[0] < found.coupling[0] < high[0]
    assert np.all(found.coupling[2:] < low[2:])
    assert found.coupling[1] == pytest.approx(6e-4, rel=0.15)
    model = load_model("lmutau-dark", alpha=0.05**2 / (4 * np.pi))
    y = yield_variable(model, one.limits(model, [0.12]).coupling)
    # 15 % of the coupling are 30 % of y.
    assert y[0] == pytest.approx(6e-12, rel=0.3)


def test_1e11_muons_cover_the_band():
    """arXiv:2110.15111, section IV."""
    mass = np.geomspace(1e-3, 1.0, 12)
    found = LimitSetter((load_search("na64mu-1e11"),)).limits(VANILLA, mass)
    assert found.projection
    np.testing.assert_allclose(found.events, np.log(10), rtol=1e-3)
    assert np.all(found.coupling < coupling_band(mass, *BAND)[0])
