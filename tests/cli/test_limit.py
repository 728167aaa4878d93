"""`na64reco limit`."""

from __future__ import annotations

import csv
import json

import pytest

LIMIT = ("limit", "na64mu-2024", "--model", "lmutau-vanilla")


@pytest.fixture(scope="module")
def files(command, tmp_path_factory):
    """JSON on standard output, CSV, figure with an overlay, workspace; all of one command."""
    folder = tmp_path_factory.mktemp("limit")
    (folder / "other.csv").write_text("# theirs\nmass_MeV,g\n10,1e-3\n100,2e-3\n")
    done = command(
        *(*LIMIT, "--masses", "40,100", "--json", "--csv", folder / "limit.csv"),
        *("--figure", folder / "limit.png", "--overlay", folder / "other.csv"),
        *("--workspace", folder / "limit.json"),
    )
    assert done.exit_code == 0, done.output
    return folder, done


def test_json(files, parse):
    found = parse(files[1].stdout)
    assert found["search"] == "na64mu-2024"
    assert found["model"] == "lmutau-vanilla"
    assert (found["strength"], found["dark"]) == ("g", None)
    assert (found["method"], found["cl"], found["projection"]) == ("cls", 0.9, False)
    assert found["systematics"]["na64mu-2024"]["running_alpha"] == 0.024
    first, second = found["points"]
    assert (first["mass_MeV"], second["mass_MeV"]) == (40.0, 100.0)
    # arXiv:2401.01708: ~6e-4 at 40 MeV.
    assert first["coupling"] == pytest.approx(6e-4, rel=0.15)
    assert first["expected"] == first["bands"][2]
    assert sum(first["signal"].values()) == pytest.approx(first["events"], rel=1e-4)
    assert first["iterated"] == pytest.approx(first["coupling"], rel=1e-4)
    assert first["upper_edge"] is None


def test_csv_and_picture(files, parse):
    folder, done = files
    with (folder / "limit.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mass_MeV"]) for row in rows] == [40.0, 100.0]
    points = parse(done.stdout)["points"]
    for row, point in zip(rows, points, strict=True):
        assert float(row["coupling"]) == point["coupling"]
        assert float(row["median"]) == point["expected"]
    assert (folder / "limit.png").read_bytes().startswith(b"\x89PNG")


def test_workspace_holds_the_limit(files):
    """By pyhf: signal at mu = 1 is what is excluded; asymptotic limits of no events are lower."""
    pyhf = pytest.importorskip("pyhf")
    content = json.loads((files[0] / "limit.json").read_text())
    channels = [channel["name"] for channel in content["channels"]]
    assert channels == ["na64mu-2024 smu-152", "na64mu-2024 smu-117"]
    total = sum(channel["samples"][0]["data"][0] for channel in content["channels"])
    assert total == pytest.approx(2.305, abs=0.01)
    model = pyhf.Model(
        {"channels": content["channels"]},
        poi_name="mu",
        modifier_settings={"normsys": {"interpcode": "code1"}},
        validate=False,
    )
    data = [*(o["data"][0] for o in content["observations"]), *model.config.auxdata]
    cls = float(pyhf.infer.hypotest(1.0, data, model, test_stat="qtilde"))
    assert cls < 0.1


def test_table(command):
    done = command("limit", "na64e-2018", "--model", "lmutau-vanilla", "--masses", "1")
    assert done.exit_code == 0, done.output
    assert "90% upper limit, na64e-2018, cls" in done.stdout
    assert "dimuons 15.00%" in done.stdout
    assert "3.2%" in done.stdout  # of the threshold
    projection = command(*LIMIT, "--masses", "10", "--exposure", "1e12")
    assert "expected limit (projection)" in projection.stdout


def test_ratio_to_a_published_curve(command, parse, tmp_path):
    path = tmp_path / "epsilon.csv"
    path.write_text("mass_MeV,epsilon90\n1,7.544e-06\n10,3e-5\n")  # PRL 123, 121801, Fig. 3
    done = command(
        *("limit", "na64e-2018", "--model", "lmutau-vanilla", "--masses", "1"),
        *("--ratio-to", path, "--json"),
    )
    assert done.exit_code == 0, done.output
    found = parse(done.stdout)
    assert found["method"] == "ratio"
    assert found["points"][0]["coupling"] == pytest.approx(5.2e-4, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cl", "90"), "For 90 % give 0.9"),
        (("--masses", "5000"), "found 5"),
        (("--masses", "ten"), "LOW:HIGH:NUMBER"),
        (("--exposure", "-1"), "positive number of particles"),
        (("--alpha-d", "0.1"), "has no dark sector"),
        (("--overlay", "none.csv"), "--overlay needs --figure"),
        (("--overlay", "none.csv", "--figure", "x.png"), "none.csv: cannot be read"),
    ],
)
def test_nonsense(command, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(*LIMIT, *options)
    assert done.exit_code in {1, 2}
    assert message in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_files_that_are_there_are_kept(command, tmp_path):
    path = tmp_path / "limit.csv"
    path.write_text("mine")
    done = command(*LIMIT, "--masses", "10", "--csv", path)
    assert done.exit_code == 1
    assert "already" in done.stderr
    assert path.read_text() == "mine"
