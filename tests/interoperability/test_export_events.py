"""Selected events and hits in Parquet, Arrow, CSV and pandas, against uproot's own reading."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import uproot
from typer.testing import CliRunner

import na64reco
from na64reco.cli import app
from na64reco.errors import FileFormatError, OutputExistsError, SelectionError
from na64reco.events import EventBatch, EventWriter, Hits
from na64reco.processors import export_events as module
from na64reco.processors import selected_events
from na64reco.processors.export_events import export_events
from na64reco.processors.skim import SkimWriter
from na64reco.reconstruction import COLUMNS

SAMPLES = Path(__file__).parents[2] / "data_samples"
KINDS = ("parquet", "arrow", "feather", "csv")


@pytest.fixture(scope="module")
def truth(out):
    with uproot.open(out / "selected.root") as file:
        datasets = json.loads(str(file["na64reco_metadata"]))["datasets"]
        return file["Events"].arrays(library="np"), datasets


def frame(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_feather(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_that_of_uproot(out, truth, kind, tmp_path):
    arrays, datasets = truth
    path = tmp_path / f"selected.{kind}"
    written = export_events(out, path)
    found = frame(path)
    assert list(found.columns) == list(arrays)
    assert written.events == len(found) == len(arrays["run"]) > 500
    assert list(found["dataset"]) == [datasets[i] for i in arrays["dataset"]]
    kinds = {a.dtype.name for a in arrays.values()}
    assert kinds >= {"bool", "uint8", "int8", "int16", "uint32", "uint64", "float32"}
    for name, values in arrays.items():
        if name == "dataset":
            continue
        column = found[name].to_numpy()
        if kind != "csv":
            assert column.dtype == values.dtype, name
        np.testing.assert_array_equal(column.astype(values.dtype), values, name)
    # Both samples, and something that is missing in one of them.
    assert set(found["dataset"]) == {"data", "signal"}
    assert np.isnan(arrays["mc_weight"]).any()


def test_through_arrow_and_pandas_and_back(out, truth, tmp_path):
    arrays, _ = truth
    first, second, third = (tmp_path / f"{n}.parquet" for n in "abc")
    export_events(out / "selected.root", first)
    table = pq.read_table(first)
    pq.write_table(table, second)
    assert pq.read_schema(second).equals(table.schema, check_metadata=True)
    pd.read_parquet(first).to_parquet(third)
    for again in (pq.read_table(second), pq.read_table(third)):
        for name, values in arrays.items():
            if name != "dataset":
                np.testing.assert_array_equal(again[name].to_numpy(), values, name)
    nested = ak.from_parquet(first)
    assert ak.to_numpy(nested.event).tolist() == arrays["event"].tolist()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_metadata(out, truth, kind, tmp_path):
    path = tmp_path / f"s.{kind}"
    export_events(out, path)
    schema = pq.read_schema(path) if kind == "parquet" else pa.feather.read_table(path).schema
    by_branch = {name.replace(".", "_"): column for name, column in COLUMNS.items()}
    units = set()
    for field in schema:
        about = {k.decode(): v.decode() for k, v in field.metadata.items() if k[:3] != b"PAR"}
        if field.name in by_branch:
            expected = by_branch[field.name]
            assert about == {"unit": expected.unit, "description": expected.meaning}
            units.add(expected.unit)
        assert about["description"]
    assert units >= {"GeV", "GeV/c", "mm", "mrad", "ns", ""}
    content = json.loads(schema.metadata[b"na64reco"])
    record = json.loads((out / "run.json").read_text())
    assert content["runs"] == np.unique(truth[0]["run"]).tolist()
    assert content["selection"]["sha256"] == record["selection"]["sha256"]
    assert content["versions"] == record["versions"]
    assert content["blinding"]["region"] == "signal"
    assert content["samples"]["data"]["blinded"] == "signal"
    assert content["samples"]["signal"]["blinded"] is None
    assert content["written_by"] == f"na64reco {na64reco.__version__}"
    assert frame(path).attrs.get("units", {"ecal_energy": "GeV"})["ecal_energy"] == "GeV"


def test_pandas_knows_the_units(out, tmp_path):
    path = tmp_path / "s.parquet"
    export_events(out, path)
    attrs = pd.read_parquet(path).attrs
    assert attrs["units"]["track_momentum"] == "GeV/c"
    assert na64reco.read_selected(out).to_pandas().attrs["units"] == attrs["units"]


def test_columns_and_dataset(out, truth, tmp_path):
    arrays, datasets = truth
    path = tmp_path / "s.csv"
    export_events(out, path, columns=["event", "ecal.energy", "hcal_energy"], dataset="signal")
    found = pd.read_csv(path)
    here = arrays["dataset"] == datasets.index("signal")
    assert list(found.columns) == ["event", "ecal_energy", "hcal_energy"]
    np.testing.assert_array_equal(
        found["ecal_energy"].to_numpy(np.float32), arrays["ecal_energy"][here]
    )


def test_nothing_of_a_blinded_box(out, tmp_path):
    path = tmp_path / "s.parquet"
    export_events(out, path)
    found = pd.read_parquet(path)
    inside = (found.ecal_energy < 47) & (found.hcal_energy < 1)
    assert not inside[found.dataset == "data"].any()
    assert inside[found.dataset == "signal"].any()


@pytest.mark.parametrize("name", ["calibration.root", "calibration_rntuple.root"])
def test_hits_are_lists(name, tmp_path):
    path = tmp_path / "hits.parquet"
    written = export_events(SAMPLES / name, path)
    table = pq.read_table(path)
    with uproot.open(SAMPLES / name) as file:
        tree = file["Events"]
        count = 0
        for column in written.columns:
            branch = column if column in tree.keys() else column.replace("_", ".", 1)  # noqa: SIM118
            expected = tree[branch].array()
            found = ak.from_arrow(table[column])
            assert ak.array_equal(found, expected, check_parameters=False), column
            count += expected.ndim == 2
    assert count > 20
    assert written.events == table.num_rows
    assert table.schema.field("ECAL_amplitude").metadata[b"unit"] == b"ADC"
    assert json.loads(table.schema.metadata[b"na64reco"])["metadata"]["setup"] == "2022-electron"


def test_waveforms_are_lists_of_arrays(tmp_path):
    rng = np.random.default_rng(5)
    samples = rng.integers(0, 4096, (5, 32)).astype(np.uint16)
    scalars = {n: np.arange(3) for n in ("run", "spill", "event", "trigger", "master_time")}
    hits = Hits(np.array([0, 2, 2, 5]), {"ix": np.arange(5, dtype=np.uint8), "samples": samples})
    with EventWriter(tmp_path / "w.root") as writer:
        writer.write(EventBatch(scalars, {"SRD": hits}))
    export_events(tmp_path / "w.root", tmp_path / "w.parquet")
    found = pq.read_table(tmp_path / "w.parquet")["SRD_samples"].to_pylist()
    assert found == [samples[:2].tolist(), [], samples[2:].tolist()]


def test_csv_of_hits_says_what_is_missing(tmp_path):
    done = invoke("export", SAMPLES / "signal.root", "-o", tmp_path / "hits.csv")
    assert done.exit_code == 0, done.output
    assert "columns of hits are lists, which CSV cannot hold" in done.stderr
    found = pd.read_csv(tmp_path / "hits.csv")
    with uproot.open(SAMPLES / "signal.root") as file:
        assert found["event"].tolist() == file["Events"]["event"].array().tolist()
    assert not any(name.startswith("ECAL") for name in found.columns)


def test_piece_by_piece(out, truth, tmp_path, monkeypatch):
    monkeypatch.setattr(selected_events, "BATCH", 100)
    calls = []
    path = tmp_path / "s.parquet"
    export_events(out, path, progress=lambda done, total: calls.append((done, total)))
    total = len(truth[0]["run"])
    file = pq.ParquetFile(path)
    assert file.metadata.num_row_groups == -(-total // 100)
    assert calls[-1] == (total, total)
    assert calls[0] == (100, total)
    np.testing.assert_array_equal(file.read()["event"].to_numpy(), truth[0]["event"])
    monkeypatch.setattr(module, "_HITS", 300)
    export_events(SAMPLES / "signal.root", tmp_path / "h.arrow")
    with uproot.open(SAMPLES / "signal.root") as opened:
        expected = opened["Events"]["ECAL_amplitude"].array()
    found = ak.from_arrow(pa.feather.read_table(tmp_path / "h.arrow")["ECAL_amplitude"])
    assert ak.array_equal(found, expected, check_parameters=False)


def test_complete_or_not_there_at_all(out, tmp_path, monkeypatch):
    path = tmp_path / "s.parquet"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="choose another name or give --overwrite"):
        export_events(out, path)

    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_events(out, path, overwrite=True, progress=fail)
    assert [p.name for p in tmp_path.iterdir()] == ["s.parquet"]
    assert path.read_text() == "mine"
    export_events(out, path, overwrite=True)
    assert pq.ParquetFile(path).metadata.num_rows > 0


def test_no_event_selected(tmp_path):
    with SkimWriter(tmp_path / "selected.root", ["run", "ecal.energy"], ["a", "b"]):
        pass
    for kind in KINDS:
        written = export_events(tmp_path, tmp_path / f"s.{kind}")
        assert written.events == 0
        assert list(frame(tmp_path / f"s.{kind}").columns) == ["dataset", "run", "ecal_energy"]
    assert len(na64reco.read_selected(tmp_path)) == 0


@pytest.mark.parametrize("container", ["ttree", "rntuple"])
def test_read_selected(container, tmp_path):
    columns = {
        "run": np.array([7, 7, 2**32 - 1], np.uint32),
        "event": np.array([1, 2**63 + 1, 3], np.uint64),
        "ecal.energy": np.array([1.5, np.nan, -2.25], np.float32),
        "track.charge": np.array([-1, 0, 1], np.int8),
        "region.sideband_a": np.array([True, False, True]),
    }
    with SkimWriter(
        tmp_path / "selected.root", list(columns), ["a", "b"], format=container
    ) as writer:
        writer.add("b", {n: v[:1] for n, v in columns.items()})
        writer.add("a", {n: v[1:] for n, v in columns.items()})
    found = na64reco.read_selected(tmp_path)
    events, pandas = found.to_awkward(), found.to_pandas()
    assert events.dataset.tolist() == pandas["dataset"].tolist() == ["b", "a", "a"]
    for name, values in columns.items():
        record = events
        for part in name.split("."):
            record = record[part]
        branch = name.replace(".", "_")
        for given in (ak.to_numpy(record), found.columns[branch], pandas[branch].to_numpy()):
            assert given.dtype == values.dtype
            np.testing.assert_array_equal(given, values)
    assert found.descriptions["ecal_energy"][0] == "GeV"
    only = na64reco.read_selected(tmp_path, columns=["ecal.energy"], dataset="b")
    assert only.columns["ecal_energy"].tolist() == [pytest.approx(1.5)]
    assert list(only.columns) == ["ecal_energy"]


def test_what_is_wrong_is_said(out, tmp_path):
    with pytest.raises(SelectionError, match=r"no column 'ecal_enrgy'. Did you mean 'ecal_energy'"):
        export_events(out, tmp_path / "s.csv", columns=["ecal.enrgy"])
    with pytest.raises(SelectionError, match=r"no dataset 'dta'. Did you mean 'data'"):
        na64reco.read_selected(out, dataset="dta")
    with pytest.raises(SelectionError, match="no column 'ECAL_amplitud'"):
        export_events(SAMPLES / "signal.root", tmp_path / "s.csv", columns=["ECAL_amplitud"])
    with pytest.raises(SelectionError, match="it has no datasets"):
        export_events(SAMPLES / "signal.root", tmp_path / "s.csv", dataset="data")
    with pytest.raises(FileFormatError, match=r"it has no selected\.root"):
        na64reco.read_selected(tmp_path)
    with pytest.raises(FileFormatError, match="holds no selected events"):
        na64reco.read_selected(SAMPLES / "signal.root")
    with pytest.raises(FileFormatError, match="There is no file"):
        export_events(tmp_path / "none.root", tmp_path / "s.csv")
    assert list(tmp_path.iterdir()) == []


def invoke(*arguments):
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return runner.invoke(app, [str(a) for a in arguments])


def test_the_command(out, tmp_path):
    one, two = tmp_path / "s.parquet", tmp_path / "s.csv"
    done = invoke("export", out, "-o", one, "-o", two, "--columns", "run,event", "--json")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert [c["path"] for c in content["events"]] == [str(one), str(two)]
    assert content["events"][0]["columns"] == ["run", "event"]
    assert content["events"][0]["events"] == len(pd.read_csv(two))
    wrong = invoke("export", out, "-o", tmp_path / "s.xlsx")
    assert wrong.exit_code == 2
    assert "found '.xlsx'" in wrong.stderr
    assert "na64reco export out -o selected.parquet" in invoke("export", "--help").stdout
