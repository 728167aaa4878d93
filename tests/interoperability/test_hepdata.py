"""The submission, by HEPData's own validator; its numbers, by the files that they are from."""

from __future__ import annotations

import gc
import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import uproot
import yaml
from scipy.stats import beta, chi2
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import InferenceError, OutputExistsError
from na64reco.processors import DatasetReport
from na64reco.report.hepdata import About, write_submission
from na64reco.report.hepdata_tables import plane_tables
from na64reco.selection import Counts, Cutflow, empty_histograms, load_selection

LIMIT = ("limit", "na64mu-2024", "--model", "lmutau-dark", "--alpha-d", "0.02", "--json")
ALPHA = (1 - 0.6827) / 2


def invoke(*arguments):
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def limit(tmp_path_factory):
    path = tmp_path_factory.mktemp("limit") / "limit.json"
    done = invoke(*LIMIT, "--masses", "40,100,900")
    assert done.exit_code == 0, done.output
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def submission(out, limit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hepdata") / "submission"
    done = invoke("export", out, limit, "--hepdata", folder, "--collaboration", "X", "--json")
    assert done.exit_code == 0, done.output
    assert "wants what --abstract and --inspire would give" in done.stderr
    return folder, json.loads(done.stdout)["hepdata"]


def validate(folder):
    """Complaints of HEPData's validator, by file."""
    with warnings.catch_warnings():
        # It uses what jsonschema deprecates, and leaves files open.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        from hepdata_validator.full_submission_validator import FullSubmissionValidator

        found = FullSubmissionValidator()
        valid = found.validate(directory=str(folder))
        messages = {f: [m.message for m in ms] for f, ms in found.get_messages().items()}
        del found
        gc.collect()
    assert valid == (not messages), messages
    return messages


def documents(folder):
    return list(yaml.safe_load_all((folder / "submission.yaml").read_text()))


def table(folder, name):
    """What submission.yaml says of a table, independent and dependent variables by name."""
    (about,) = (d for d in documents(folder) if d.get("name") == name)
    content = yaml.safe_load((folder / about["data_file"]).read_text())
    independent, dependent = (
        {v["header"]["name"]: v for v in content[kind]}
        for kind in ("independent_variables", "dependent_variables")
    )
    return about, independent, dependent


def values(variable):
    return [cell["value"] for cell in variable["values"]]


def test_hepdata_finds_nothing_wrong(submission):
    folder, said = submission
    assert validate(folder) == {}
    names = [d["name"] for d in documents(folder) if "name" in d]
    assert names == said["tables"]
    kinds = ("Upper limits", "Cutflow", "Regions", "E_ECAL against E_HCAL")
    assert all(any(n.startswith(kind) for n in names) for kind in kinds)
    assert documents(folder)[0] == {"comment": "X Collaboration."}


def test_the_validator_would_find_something(submission, tmp_path):
    folder, _ = submission
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        text = path.read_text()
        (broken / path.name).write_text(text.replace("dependent_variables", "dependents"))
    assert validate(broken)


def test_limits(submission, limit):
    content = json.loads(limit.read_text())
    name = next(n for n in submission[1]["tables"] if n.startswith("Upper limits"))
    about, independent, dependent = table(submission[0], name)
    assert independent["$m$"]["header"]["units"] == "MeV"
    assert values(independent["$m$"]) == [40.0, 100.0, 900.0]
    columns = {
        "Observed upper limit on $g$": [p["coupling"] for p in content["points"]],
        "Expected upper limit on $g$, -2 s.d.": [p["bands"][0] for p in content["points"]],
        "Expected upper limit on $g$, median": [p["expected"] for p in content["points"]],
        "Expected upper limit on $g$, +2 s.d.": [p["bands"][4] for p in content["points"]],
    }
    for title, expected in columns.items():
        assert values(dependent[title]) == pytest.approx(expected, rel=1e-5)
    qualifiers = {q["name"]: q["value"] for q in dependent[title]["qualifiers"]}
    assert qualifiers["Confidence level"] == 90
    assert qualifiers["$\\alpha_D$"] == 0.02
    assert qualifiers["Beam of na64mu-2024"] == "muon, 160 GeV"
    keywords = {k["name"]: k["values"] for k in about["keywords"]}
    assert keywords["reactions"] == ["MU- NUCLEUS --> MU- NUCLEUS X"]


def test_where_nothing_is_excluded(tmp_path):
    bands = [1e-5, 2e-5, 3e-5, None, None]
    points = [{"mass_MeV": 1.0, "coupling": None, "bands": bands, "upper_edge": 1e-3}]
    content = {
        "search": "s", "model": "dark-photon", "strength": "epsilon", "points": points, "cl": 0.9,
        "method": "cls", "production": "resonant", "projection": False,
        "beams": {"s": {"particle": "positron", "energy_GeV": 100.0}},
    }  # fmt: skip
    path = tmp_path / "l.json"
    path.write_text(json.dumps(content))
    about = About("Words.", inspire=1, arxiv="0000.00000")
    write_submission([path], tmp_path / "s", about=about)
    assert validate(tmp_path / "s") == {}
    first, second = documents(tmp_path / "s")
    assert first["comment"] == "Words."
    assert first["record_ids"] == [{"type": "inspire", "id": 1}]
    _, _, dependent = table(tmp_path / "s", second["name"])
    assert values(dependent["Observed upper limit on $\\epsilon$"]) == ["-"]
    assert values(dependent["Expected upper limit on $\\epsilon$, +1 s.d."]) == ["-"]
    assert values(dependent["Expected upper limit on $\\epsilon$, median"]) == [3e-5]
    assert values(dependent["Upper end of the excluded $\\epsilon$"]) == [1e-3]
    assert {"name": "reactions", "values": ["E+ E- --> X"]} in second["keywords"]


def test_cutflow_of_data(submission, out):
    """Errors by the quantiles of chi2 and beta distributions."""
    _, independent, dependent = table(submission[0], "Cutflow, data")
    rows = json.loads((out / "cutflow.json").read_text())["data"]
    assert values(independent["Cut"]) == ["before all cuts", *(r["cut"] for r in rows)]
    counts = [rows[0]["total"], *(r["passed"] for r in rows)]
    assert values(dependent["Events"]) == counts
    for n, cell in zip(counts, dependent["Events"]["values"], strict=True):
        error = cell["errors"][0]["asymerror"]
        assert error["minus"] == pytest.approx(chi2.ppf(ALPHA, 2 * n) / 2 - n, rel=1e-3)
        assert error["plus"] == pytest.approx(chi2.isf(ALPHA, 2 * n + 2) / 2 - n, rel=1e-3)
    cells = dependent["Efficiency so far"]["values"]
    for n, cell in zip(counts[1:], cells[1:], strict=True):
        assert cell["value"] == pytest.approx(n / counts[0], rel=1e-5)
        error = cell["errors"][0]["asymerror"]
        if n < counts[0]:
            high = beta.ppf(1 - ALPHA, n + 1, counts[0] - n)
            assert error["plus"] == pytest.approx(high - n / counts[0], rel=1e-4)
        low = beta.ppf(ALPHA, n, counts[0] - n + 1)
        assert error["minus"] == pytest.approx(low - n / counts[0], rel=1e-4)


def test_cutflow_of_simulation(submission, out):
    _, _, dependent = table(submission[0], "Cutflow, signal")
    record = json.loads((out / "run.json").read_text())["datasets"]["signal"]["cutflow"]
    sums = [record["weighted"]["entered"], *record["weighted"]["passed"]]
    assert values(dependent["Sum of weights"]) == pytest.approx([s for s, _ in sums], rel=1e-5)
    errors = [c["errors"][0]["symerror"] for c in dependent["Sum of weights"]["values"]]
    assert errors == pytest.approx([np.sqrt(square) for _, square in sums], rel=1e-5)


def test_the_box_is_blinded_everywhere(submission, out):
    folder, said = submission
    about, independent, dependent = table(folder, "Regions, data")
    assert values(independent["Region"])[0] == "signal"
    assert dependent["Events"]["values"][0] == {"value": "blinded"}
    assert "Events in the blinded region signal are not counted." in about["description"]
    planes = [n for n in said["tables"] if n.startswith("E_ECAL against E_HCAL, data")]
    assert len(planes) == 2
    for name in planes:
        _, axes, events = table(folder, name)
        cells = zip(
            axes["E_ECAL"]["values"],
            axes["E_HCAL"]["values"],
            values(events["Events"]),
            strict=True,
        )
        for x, y, value in cells:
            inside = x["low"] < 47 and y["low"] < 1
            assert (value == "blinded") == inside
    # Of simulated events nothing is hidden.
    simulated = [d for d in documents(folder) if d.get("name", "").endswith(", signal")]
    assert all("blinded" not in (folder / d["data_file"]).read_text() for d in simulated)


@pytest.mark.parametrize(("sample", "column"), [("data", "Events"), ("signal", "Sum of weights")])
def test_plane(submission, out, sample, column):
    _, axes, events = table(submission[0], f"E_ECAL against E_HCAL, {sample}")
    with uproot.open(out / "histograms.root") as file:
        histogram = file[f"{sample}/ecal_hcal__all"]
        expected, variances = histogram.values(), histogram.variances()
    found, squares = np.zeros_like(expected), np.zeros_like(expected)
    assert axes["E_ECAL"]["header"]["units"] == axes["E_HCAL"]["header"]["units"] == "GeV"
    for x, y, cell in zip(
        axes["E_ECAL"]["values"], axes["E_HCAL"]["values"], events[column]["values"], strict=True
    ):
        assert (x["high"] - x["low"], y["high"] - y["low"]) == (1, 1)
        if cell["value"] != "blinded":
            found[int(x["low"]), int(y["low"])] = cell["value"]
            if "errors" in cell:
                squares[int(x["low"]), int(y["low"])] = cell["errors"][0]["symerror"] ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.sum() > 100
    if sample == "signal":
        np.testing.assert_allclose(squares, variances, rtol=1e-4)


def test_limits_that_lie_in_the_output_folder(submission, out, limit, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    shutil.copy(limit, copy / "mine.json")
    found = write_submission([copy], tmp_path / "s", dataset="signal")
    assert found.tables[:2] == ("Upper limits, lmutau-dark, na64mu-2024", "Cutflow, signal")
    assert not any(name.endswith(", data") for name in found.tables)
    name = "limit_lmutau-dark.yaml"
    assert (tmp_path / "s" / name).read_bytes() == (submission[0] / name).read_bytes()
    assert all(path.is_file() for path in found.files)


SELECTION = """\
name: s
setup: 2022-electron
blind: box
periods: {early: [6035, 6200], late: [6201, 6999]}
cuts: [{name: trigger, variable: trigger.physics}]
regions:
  box:
    ecal.energy: [null, {by: period, values: {early: 25.0, late: 40.0}}]
    hcal.energy: [10.0, 20.0]
histograms:
  plane:
    axes:
      - {variable: ecal.energy, bins: 12, range: [0, 120]}
      - {variable: hcal.energy, edges: [0, 5, 10, 15, 30]}
    at: [all]
"""


def test_a_box_of_several_periods(tmp_path):
    """Bins are hidden that the box of any period touches; what is empty elsewhere is left out."""
    path = tmp_path / "s.yaml"
    path.write_text(SELECTION)
    selection = load_selection(path)
    (histogram,) = empty_histograms(selection).values()
    histogram.fill([45.0, 45.0, 5.0], [12.0, 12.0, 7.0])
    flow = Cutflow(("trigger",), 9, (3,), (3,), (9,), (("box", None),))
    data = DatasetReport("d", 9, False, "box", flow, Counts(), {"plane__all": histogram}, 3)
    (found,) = plane_tables(selection, data)
    x, y = ([(b["low"], b["high"]) for b in axis.values] for axis in found.independent)
    cells = dict(zip(zip(x, y, strict=True), found.dependent[0].values, strict=True))
    expected = {
        ((low, low + 10), side): {"value": "blinded"}
        for low in (0, 10, 20, 30)
        for side in ((10, 15), (15, 30))
    }
    expected |= {((40, 50), (10, 15)): {"value": 2}, ((0, 10), (5, 10)): {"value": 1}}
    assert cells == expected
    shown = replace(data, blinded=None)
    (opened,) = plane_tables(selection, shown)
    assert [cell["value"] for cell in opened.dependent[0].values] == [1, 2]


def test_no_two_tables_or_files_have_one_name(limit, tmp_path):
    """Two limits of one model, and one whose model is called as the second file would be."""
    content = json.loads(limit.read_text())
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    for path, model in zip(paths, ("a", "a", "a_2"), strict=True):
        path.write_text(json.dumps(content | {"model": model, "search": "s" * 80}))
    found = write_submission(paths, tmp_path / "s")
    assert validate(tmp_path / "s") == {}
    assert len(set(found.tables)) == len({p.name for p in found.files[1:]}) == 3


def test_nothing_but_a_submission_is_replaced(limit, tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(OutputExistsError, match="exists"):
        write_submission([limit], folder)
    with pytest.raises(OutputExistsError, match=r"has no submission\.yaml"):
        write_submission([limit], folder, overwrite=True)
    assert [p.name for p in folder.iterdir()] == ["mine"]
    (folder / "mine").unlink()
    write_submission([limit], folder, overwrite=True)
    write_submission([limit], folder, overwrite=True)
    assert validate(folder) == {}


def test_what_is_wrong_is_said(out, limit, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InferenceError, match="is not what `na64reco limit --json` prints"):
        write_submission([tmp_path / "x.json"], tmp_path / "s")
    with pytest.raises(InferenceError, match="cannot be read as JSON"):
        write_submission([tmp_path / "none.json"], tmp_path / "s")
    with pytest.raises(InferenceError, match=r"no dataset 'dta'. Did you mean 'data'"):
        write_submission([out], tmp_path / "s", dataset="dta")
    assert not (tmp_path / "s").exists()
    nothing = invoke("export", out)
    assert nothing.exit_code == 2
    assert "Give -o FILE for events, or --hepdata FOLDER" in nothing.stderr
    both = invoke("export", out, limit, "-o", tmp_path / "s.csv")
    assert both.exit_code == 2
    assert "of one source" in both.stderr
