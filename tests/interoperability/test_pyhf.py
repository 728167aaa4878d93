"""The likelihood as pyhf JSON: valid by pyhf's schema, and `pyhf cls` says what we say."""

from __future__ import annotations

import json
import warnings

import click.testing
import numpy as np
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.inference.counting_model import CountingModel
from na64reco.inference.pyhf_limits import workspace
from na64reco.inference.upper_limits import upper_limit


def invoke(*arguments):
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, [str(a) for a in arguments])


def pyhf(*arguments):
    """pyhf's own command, which validates what it reads by the schema."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its use of jsonschema
        from pyhf.cli import cli

        done = click.testing.CliRunner().invoke(cli, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def signal_of(path):
    """Events by channel at mu = 1."""
    channels = json.loads(path.read_text())["channels"]
    return {channel["name"]: channel["samples"][0]["data"][0] for channel in channels}


def test_pyhf_finds_our_confidence_level(tmp_path):
    """The signal that we exclude at just 90 %, with the options that pyhf has by itself."""
    model = CountingModel(
        ("first", "second"),
        np.array([2.0, 1.0]),
        np.array([1.5, 0.7]),
        np.array([[0.3, 0.1], [0.1, 0.2]]),
        {"dimuons": np.array([0.15, 0.15]), "threshold second": np.array([0.0, 0.4])},
        np.array([2, 0]),
    )
    limit = upper_limit(model, cl=0.9, method="cls-asymptotic")
    path = tmp_path / "pyhf.json"
    path.write_text(json.dumps(workspace(model)))
    assert pyhf("cls", path, "--test-poi", limit)["CLs_obs"] == pytest.approx(0.1, abs=5e-4)


def test_one_file_a_mass(tmp_path):
    done = invoke(
        *("limit", "na64mu-2024", "--model", "lmutau-vanilla", "--masses", "40,100", "--json"),
        *("--pyhf", tmp_path / "at_{mass}.json"),
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["beams"] == {"na64mu-2024": {"particle": "muon", "energy_GeV": 160.0}}
    points = found["points"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["at_100.json", "at_40.json"]
    for point in points:
        path = tmp_path / f"at_{point['mass_MeV']:g}.json"
        assert signal_of(path) == point["signal"]
    # No event seen, by the formulas for many: a stronger exclusion than the exact one of 90 %.
    assert 0 < pyhf("cls", path)["CLs_obs"] < 0.1


def test_against_the_formula_for_one_channel(tmp_path):
    """G. Cowan et al., EPJC 71 (2011) 1554, eq. 16 and 66, without uncertainties."""
    s, b, n = 15.0, 40.0, 43
    model = CountingModel(("one",), np.array([s]), np.array([b]), observed=np.array([n]))
    path = tmp_path / "one.json"
    path.write_text(json.dumps(workspace(model)))

    def q(count, mu=1.0):
        best = max((count - b) / s, 0.0)
        if best > mu:
            return 0.0
        mean, at_best = mu * s + b, best * s + b
        return 2 * (mean - at_best + count * np.log(at_best / mean))

    root, asimov = np.sqrt(q(n)), np.sqrt(q(b))
    expected = norm.sf(root) / norm.cdf(asimov - root)
    assert pyhf("cls", path)["CLs_obs"] == pytest.approx(expected, rel=1e-3)


def test_nothing_is_written_where_nothing_is_excluded(tmp_path):
    done = invoke(
        *("limit", "na64e-2018", "--model", "lmutau-vanilla", "--masses", "900", "--cl", "0.9"),
        *("--production", "resonant", "--pyhf", tmp_path / "w.json", "--csv", tmp_path / "w.csv"),
    )
    assert done.exit_code == 1
    assert "nothing is excluded at 900 MeV" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_projection_has_no_counts(tmp_path):
    done = invoke(
        *("limit", "na64e-2018", "--model", "dark-photon", "--masses", "10"),
        *("--exposure", "1e12", "--pyhf", tmp_path / "w.json"),
    )
    assert done.exit_code == 1
    assert "a workspace needs them" in done.stderr
    assert list(tmp_path.iterdir()) == []
