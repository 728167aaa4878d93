"""`na64reco yield` and `searches`."""

from __future__ import annotations

import csv

import pytest


def test_json(command, parse):
    done = command(
        *("yield", "na64e-2018", "--model", "dark-photon", "--masses", "1,100"),
        *("--coupling", 1e-5, "--json"),
    )
    assert done.exit_code == 0, done.output
    found = parse(done.stdout)
    assert (found["search"], found["model"]) == ("na64e-2018", "dark-photon")
    assert found["strength"] == "epsilon"
    low, high = found["points"]
    assert low["mass_MeV"] == 1.0
    assert low["coupling"] == 1e-5
    assert low["expected"] == pytest.approx(sum(low["periods"].values()))
    # 2.3 events at epsilon = 7.5e-6 (published), by 25 % in epsilon; below two electron masses
    # of 1.022 MeV nothing resonates.
    assert (2.3026 / low["expected"]) ** 0.5 * 1e-5 == pytest.approx(7.544e-6, rel=0.25)
    assert low["resonant"] == 0
    assert high["strahlung"] + high["resonant"] == pytest.approx(high["expected"])


def test_options_of_the_dark_sector(command, parse):
    def run(*options):
        done = command(
            *("yield", "na64e-2024", "--model", "lmutau-dark", "--masses", "250:280:2"), *options,
            "--json",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        return parse(done.stdout)

    plain = run()
    assert [p["mass_MeV"] for p in plain["points"]] == [250.0, 280.0]
    assert list(plain["points"][0]["periods"]) == ["2016-2018", "2021-2022"]
    other = run("--alpha-d", 0.02, "--mass-ratio", 0.4, "--kind", "majorana")
    assert other["dark"] == {"kind": "majorana", "alpha_D": 0.02, "mass_ratio": 0.4}
    assert other["points"][0]["expected"] != plain["points"][0]["expected"]
    tenth = run("--exposure", 9.1e10, "--production", "strahlung")
    assert tenth["points"][0]["resonant"] == 0
    ratio = tenth["points"][0]["expected"] / plain["points"][0]["strahlung"]
    assert ratio == pytest.approx(0.1)


def test_table_and_csv(command, tmp_path):
    path = tmp_path / "yields.csv"
    arguments = ("yield", "na64mu-2024", "--model", "lmutau-vanilla", "--masses", "10,40")
    done = command(*arguments, "--coupling", 6e-4, "--csv", path)
    assert done.exit_code == 0, done.output
    assert "smu-152" in done.stdout
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mass_MeV"]) for row in rows] == [10.0, 40.0]
    parts = sum(float(rows[1][name]) for name in ("smu-152", "smu-117"))
    assert float(rows[1]["expected"]) == pytest.approx(parts)
    again = command(*arguments, "--csv", path)
    assert again.exit_code == 1
    assert "already" in again.stderr


@pytest.mark.parametrize("masses", ["ten", "1,-1", "10:1:5", "1:10:1", "1:10", "nan"])
def test_wrong_masses(command, masses):
    done = command("yield", "na64e-2018", "--model", "b-l", "--masses", masses)
    assert done.exit_code == 2
    assert "LOW:HIGH:NUMBER" in done.stderr


def test_wrong_names(command):
    done = command("yield", "na64e-2018", "--model", "dark-foton")
    assert done.exit_code == 1
    assert "Did you mean 'dark-photon'" in done.stderr
    done = command("yield", "na64e-2018", "--model", "b-l", "--masses", "5000")
    assert done.exit_code == 1
    assert "1e-06 to 3 GeV, found 5" in done.stderr


def test_searches(command, parse):
    done = command("searches", "--json")
    assert done.exit_code == 0
    names = {search["name"] for search in parse(done.stdout)}
    assert {"na64e-2018", "na64e-2024", "na64mu-2024"} <= names
    assert "na64e-2018" in command("searches").stdout
