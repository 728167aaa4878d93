"""Every way that leads to numbers: none of them knows how many events the box holds.

Two samples are alike but for what is in the box: in one, none of those events passes the cuts, in
the other all do. Whatever can be had before the box is frozen must be the same for both.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from coffea import processor
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import SelectionError
from na64reco.events import EventWriter, open_events
from na64reco.events.nano import HitSchema
from na64reco.inference.comparison import compare
from na64reco.inference.efficiency import measure_efficiency
from na64reco.inference.exposure import measure_exposure
from na64reco.processors import SelectionProcessor
from na64reco.reconstruction import reconstruct_columns
from na64reco.selection import (
    FrozenBox,
    apply,
    box_digest,
    count,
    empty_histograms,
    fill_histograms,
    freeze_box,
    load_selection,
    skim,
)
from na64reco.setup import load_setup

SETUP = load_setup("2022-electron")
NAMES = ("none", "all")
"""How many of the events in the box pass the cuts."""


@pytest.fixture(scope="module")
def calibration(selection_path, tmp_path_factory):
    """The same box with the beam trigger, for kappa."""
    path = tmp_path_factory.mktemp("calibration") / "calibration.yaml"
    text = selection_path.read_text().replace("trigger.physics}", "trigger.beam}")
    text = text.replace("histograms:", "  full_energy: {ecal.energy: [80, 120]}\nhistograms:")
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory, truths, batch_of):
    folder = tmp_path_factory.mktemp("audit")
    paths = {}
    truth = truths[0]
    box = truth.in_box
    assert 50 < np.count_nonzero(box) < 300
    for name in NAMES:
        prs = np.where(box, 1.1 if name == "all" else 0.3, truth.prs)
        ecal = np.where(box, 20.0 if name == "all" else 30.0 - truth.event % 9, truth.ecal)
        batch = batch_of(replace(truth, prs=prs, ecal=ecal))
        n = len(truth.event)
        batch.scalars["trigger"] = np.where(truth.physics | box, 3, 2).astype(np.uint32)
        batch.scalars["scaler"] = np.arange(n, dtype=np.uint64) * 100
        batch.scalars["scaler_live"] = np.arange(n, dtype=np.uint64) * 90
        batch.scalars["prescale"] = np.full(n, 90, np.uint32)
        paths[name] = folder / name / "run.root"
        with EventWriter(paths[name]) as writer:
            writer.write(batch)
    return paths


@pytest.fixture(scope="module")
def command():
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})

    def run(*arguments):
        done = runner.invoke(app, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture(scope="module")
def outs(files, calibration, command, tmp_path_factory):
    """The command line: what `run` prints, and its folders."""
    found = {}
    for name, path in files.items():
        out = tmp_path_factory.mktemp("out") / "out"
        options = ("-o", out, "--columns", "all", "--picture", "--json")
        found[name] = (out, json.loads(command("run", calibration, path, *options)))
    return found


def same(values):
    one, two = values
    assert one == two
    return one


def test_what_run_prints_and_writes(outs):
    for key in ("cutflow", "regions", "events"):
        same([printed[key] for _, printed in outs.values()])
    assert outs["all"][1]["regions"]["events"][0]["passed"] is None
    for name in ("cutflow.json", "counts.json"):
        same([(out / name).read_text() for out, _ in outs.values()])
    for name in ("ecal_hcal.png",):
        same([(out / name).read_bytes() for out, _ in outs.values()])
    records = [json.loads((out / "run.json").read_text()) for out, _ in outs.values()]
    same([r["datasets"] for r in records])
    assert records[0]["blinding"] == {"region": "signal", "unblinded": False, "frozen_box": None}


def test_efficiency_exposure_and_compare(outs, command):
    for name in ("efficiency", "exposure"):
        shown = same([command(name, out, "--json") for out, _ in outs.values()])
        assert json.loads(shown)["selection"] == "known"
        same([(out / f"{name}.json").read_text() for out, _ in outs.values()])
        same([command(name, out).replace(str(out), "OUT") for out, _ in outs.values()])
    same([(out / "pictures" / "efficiency.png").read_bytes() for out, _ in outs.values()])
    found = []
    for out, _ in outs.values():
        content = json.loads(command("compare", out, out, "--json"))
        assert content["hidden"] == "signal"
        for side in ("first", "second"):
            del content[side]["out"]
        found.append(content)
    same(found)


def test_the_same_in_python(outs):
    same([measure_efficiency(out) for out, _ in outs.values()])
    same([measure_exposure(out) for out, _ in outs.values()])
    found = [compare(out, out) for out, _ in outs.values()]
    assert found[0].shapes == found[1].shapes


def test_the_functions_under_the_commands(files, calibration):
    selection = load_selection(calibration)
    found = []
    for path in files.values():
        columns = reconstruct_columns(open_events(path), SETUP)
        outcome = apply(selection, columns)
        histograms = empty_histograms(selection)
        fill_histograms(histograms, outcome, columns)
        with pytest.raises(SelectionError, match="no region 'box'"):
            outcome.region("box")
        found.append(
            (
                outcome.cutflow,
                outcome.cutflow.rows(),
                outcome.cutflow.n_minus_1_rows(),
                outcome.cutflow.region_rows(),
                count(outcome, columns, {"trigger": np.full(len(outcome.visible), 3)}).to_json(),
                {name: h.values(flow=True).tolist() for name, h in histograms.items()},
                {n: np.nan_to_num(c).tolist() for n, c in skim(outcome, columns).items()},
                int(outcome.region("signal").sum()),
                int(outcome.boxes["signal"].sum()),
                [int(outcome.after(stage).sum()) for stage in selection.stages],
            )
        )
    assert same(found)[7:9] == (0, 0)


def test_the_processor_in_coffea(files, calibration):
    runner = processor.Runner(
        processor.IterativeExecutor(status=False), schema=HitSchema, chunksize=5000
    )
    found = []
    for path in files.values():
        work = SelectionProcessor(calibration)
        result = runner({"a": [str(path)]}, work, treename="Events")["a"]
        histograms = {n: h.values(flow=True).tolist() for n, h in result["histograms"].items()}
        selected = {n: np.nan_to_num(c).tolist() for n, c in result["skim"].columns.items()}
        found.append((result["cutflow"], result["counts"].to_json(), histograms, selected))
    same(found)


def test_nothing_but_the_frozen_box_opens_it(files, calibration, selection_path, tmp_path):
    selection = load_selection(calibration)
    columns = reconstruct_columns(open_events(files["all"]), SETUP)
    with pytest.raises(SelectionError, match="needs its frozen box"):
        apply(selection, columns, unblind=True)
    with pytest.raises(SelectionError, match="is not that of the selection"):
        apply(selection, columns, unblind=FrozenBox("known", "signal", "today", "0" * 64))
    with pytest.raises(SelectionError, match="lack the column"):
        apply(selection, columns, simulated=True)
    other = freeze_box(load_selection(selection_path), tmp_path / "other.yaml")
    with pytest.raises(SelectionError, match="is not that of the selection"):
        apply(selection, columns, unblind=other)
    wider = load_selection(calibration)
    changed = wider.model_copy(update={"cuts": wider.cuts[:2]})
    with pytest.raises(SelectionError, match="is not that of the selection"):
        apply(changed, columns, unblind=freeze_box(selection, tmp_path / "box.yaml"))
    assert box_digest(changed) != box_digest(selection)


def test_the_frozen_box_opens_it_and_the_record_says_so(
    files, calibration, command, tmp_path, truths
):
    box = tmp_path / "box.yaml"
    command("freeze", calibration, "-o", box)
    frozen = json.loads(command("freeze", calibration, "-o", tmp_path / "again.yaml", "--json"))
    printed = {}
    for name, path in files.items():
        out = tmp_path / name
        options = ("-o", out, "--json", "--unblind", box)
        printed[name] = json.loads(command("run", calibration, path, *options))
        record = json.loads((out / "run.json").read_text())["blinding"]
        assert record["unblinded"] is True
        assert record["frozen_box"]["file"] == str(box)
        assert record["frozen_box"]["sha256"] == frozen["sha256"]
        assert len(record["frozen_box"]["file_sha256"]) == 64
        content = json.loads((out / "counts.json").read_text())["events"]
        assert sum(content["columns"]["entered"]) == len(truths[0].event)
    signal = {name: p["regions"]["events"][0]["passed"] for name, p in printed.items()}
    assert signal == {"none": 0, "all": np.count_nonzero(truths[0].in_box)}
