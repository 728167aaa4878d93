"""counting.json: round trip, covariance, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from na64reco.errors import InferenceError
from na64reco.inference.background import Component
from na64reco.inference.counting import (
    Counting,
    Number,
    SignalCurve,
    background_of,
    joint_covariance,
    read_counting,
    write_counting,
)
from na64reco.inference.counting_model import CountingModel

UPSTREAM = Component("upstream", 0.4, 0.2, 0.1, 0.8, "fit", correlated=True)
MUONS = Component("muons", None, None, None, 0.23, "no event", correlated=True)


def counting(period="2022", **changes):
    content = {
        "period": period,
        "setup": "2022-electron",
        "selection": "s",
        "selection_sha256": "0" * 64,
        "observed": None,
        "threshold": Number(value=47.0, statistical=0.0, systematic=0.5),
        "hcal_threshold": 1.0,
        "beam_energy": 100.0,
        "background": background_of([UPSTREAM, MUONS]),
        "kappa": Number(value=0.5, statistical=0.01, systematic=0.05),
        "exposure": None,
        "signal_efficiency": SignalCurve(
            missing_energy=(40.0, 60.0), efficiency=(0.0, 1.0), error=(0.0, 0.0), source="x"
        ),
    }
    return Counting(**{**content, **changes})


def test_round_trip(tmp_path):
    first, second = counting(), counting("2021", observed=0)
    write_counting(first, tmp_path, several=True)
    path = write_counting(second, tmp_path, several=True)
    assert path.name == "counting-2021.json"
    assert read_counting(tmp_path) == (second, first)
    assert read_counting(path) == (second,)
    assert first.blinded
    assert not second.blinded
    assert first.missing() == ("exposure",)


def test_the_total():
    found = counting().background
    assert found.value == pytest.approx(0.4 + 0.23 / np.log(10))
    # Log-normal components give their variances back.
    variance = np.diag(np.array(found.covariance))
    sigma2 = np.log1p(variance / np.array([0.4, 0.23 / np.log(10)]) ** 2)
    assert sigma2[0] == pytest.approx(0.5**2 + np.log1p(0.25**2))
    assert found.error == pytest.approx(np.sqrt(variance.sum()))


def test_periods_share_the_systematic_error_alone():
    """Against random numbers: two backgrounds with a common factor and factors of their own."""
    only = background_of([UPSTREAM])
    periods = [counting(background=only), counting("2021", background=only)]
    matrix = joint_covariance(periods)
    rng = np.random.default_rng(1)
    stat, common = 0.5, np.sqrt(np.log1p(0.25**2))
    z = rng.standard_normal((2, 1_000_000)) * stat + rng.standard_normal(1_000_000) * common
    b = 0.4 * np.exp(z - 0.5 * (stat**2 + common**2))  # of mean 0.4
    assert matrix[0, 1] == pytest.approx(np.cov(b)[0, 1], rel=0.03)
    assert matrix[0, 0] == pytest.approx(np.cov(b)[0, 0], rel=0.02)
    model = CountingModel(("2022", "2021"), np.ones(2), np.full(2, only.value), covariance=matrix)
    modes = model.background_modes @ model.background_modes.T
    assert modes[0, 1] == pytest.approx(common**2, rel=1e-6)
    assert modes[0, 0] == pytest.approx(stat**2 + common**2, rel=1e-6)


def test_what_is_refused(tmp_path):
    with pytest.raises(InferenceError, match=r"has no counting\.json; `na64reco background"):
        read_counting(tmp_path)
    path = write_counting(counting(), tmp_path)
    content = json.loads(path.read_text())
    content["background"]["value"] = -1
    content["format"] = 2
    del content["kappa"]
    path.write_text(json.dumps(content))
    with pytest.raises(InferenceError, match=r"(?s)format: .*background.value: .*kappa: "):
        read_counting(path)
