"""The commands from counts to numbers, on a simulated run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from na64reco.inference.efficiency_results import load_efficiency


@pytest.fixture(scope="module")
def out(tmp_path_factory, sample, command):
    folder = tmp_path_factory.mktemp("run") / "out"
    done = command(
        *("run", "electron-calibration-2022", f"mc={sample}/mc.root", f"data={sample}/data.root"),
        *("-o", folder, "--no-picture"),
    )
    assert done.exit_code == 0, done.output
    return folder


def test_efficiency(out, command, parse):
    done = command("efficiency", out, "--contamination", "0.004+-0.002")
    assert done.exit_code == 0, done.output
    assert "Efficiency of mc, %" in done.stdout
    assert "kappa of data, %" in done.stdout
    assert (out / "pictures" / "efficiency.png").stat().st_size > 10_000
    printed = parse(command("efficiency", out, "--contamination", "0.004+-0.002", "--json").stdout)
    found = load_efficiency(out)
    assert printed == parse((out / "efficiency.json").read_text())
    assert printed == parse(json.dumps(found.to_json()))
    # The cutflow says the same: everything behind the trigger and quality.
    rows = parse((out / "cutflow.json").read_text())["data"]
    raw = found.datasets["data"].kappa.raw
    assert raw.value == rows[-1]["passed"] / rows[1]["passed"]
    assert found.kappa(dataset="data").value == pytest.approx(raw.value / 0.996)
    assert found.kappa(dataset="mc").value == pytest.approx(found.kappa(dataset="data").value)


def test_errors_say_what_to_do(out, command, tmp_path):
    done = command("efficiency", out, "--dataset", "dta")
    assert done.exit_code == 1
    assert "has no dataset 'dta'. Did you mean 'data'?" in done.stderr
    done = command("efficiency", out, "--contamination", "50")
    assert done.exit_code == 1
    assert "0 <= f < 1" in done.stderr
    assert command("efficiency", out, "--contamination", "some").exit_code == 2
    done = command("efficiency", tmp_path)
    assert done.exit_code == 1
    assert "is not an output of `na64reco run`" in done.stderr


def test_exposure(out, command, parse):
    done = command("exposure", out)
    assert done.exit_code == 1
    assert "--eot" in done.stderr
    run = parse((out / "counts.json").read_text())["data"]["run"][0]
    given = ("--eot", f"{run}=2e9+-1e7", "--contamination", "0.01+-0.005", "--dataset", "data")
    found = parse(command("exposure", out, *given, "--json").stdout)["datasets"]["data"]
    assert found["particles"]["value"] == 2e9
    assert found["electrons"]["value"] == pytest.approx(1.98e9)
    assert found["electrons"]["systematic"] == pytest.approx(np.hypot(0.99e7, 1e7))
    assert f"run {run}" in command("exposure", out, *given).stdout


def test_compare(out, command, parse, tmp_path):
    # The two datasets are the same events but for the truth.
    options = ("--variables", "ecal.energy,prs.energy", "--exposures", 1e6, 1e6, "-o", tmp_path)
    found = parse(command("compare", f"{out}:data", f"{out}:mc", *options, "--json").stdout)
    assert [s["ks"] for s in found["shapes"]] == [0.0, 0.0]
    assert found["yields"]["value"] == 1.0
    assert (tmp_path / "pictures" / "ecal_energy.png").stat().st_size > 5_000
    assert parse((tmp_path / "comparison.json").read_text()) == found
    assert "KS distance" in command("compare", f"{out}:data", f"{out}:mc").stdout
