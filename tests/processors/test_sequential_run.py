"""`run --sequential`: the bytes of cutflow and selected events, and the histograms that it has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import InferenceError
from na64reco.events import EventWriter, concatenate, open_events, read_batch
from na64reco.inference.efficiency import measure_efficiency
from na64reco.processors import run
from na64reco.report.page import write_report
from na64reco.selection import load_selection

SAMPLES = Path(__file__).parents[2] / "data_samples"


def both(selection, inputs, folder, **options):
    return tuple(
        run(selection, inputs, folder / name, sequential=sequential, **options)
        for name, sequential in (("whole", False), ("sequential", True))
    )


def histograms(out):
    with uproot.open(out / "histograms.root") as file:
        names = [n for n, kind in file.classnames(cycle=False).items() if kind.startswith("TH")]
        return {name: file[name].values(flow=True) for name in names}


def compare(whole, sequential):
    """Everything that both have is the same."""
    for name in ("cutflow.json", "selected.root"):
        assert (sequential.out / name).read_bytes() == (whole.out / name).read_bytes(), name
    mine, all_ = histograms(sequential.out), histograms(whole.out)
    assert set(mine) < set(all_)
    for name, values in mine.items():
        assert np.array_equal(values, all_[name]), name
    for a, b in zip(whole.datasets, sequential.datasets, strict=True):
        assert (a.events, a.selected, a.cutflow.entered) == (
            b.events,
            b.selected,
            b.cutflow.entered,
        )
        assert a.cutflow.passed == b.cutflow.passed
        assert a.cutflow.regions == b.cutflow.regions
        for column, values in b.counts.columns.items():
            assert np.array_equal(values, a.counts.columns[column]), column
    return mine, all_


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """The search on what data are like, on hadrons and on signal."""
    inputs = [f"data={SAMPLES / 'physics.root'}", f"mc={SAMPLES / 'signal.root'}"]
    inputs += [f"hadron={SAMPLES / 'hadron.root'}"]
    return both("electron-invisible-2022", inputs, tmp_path_factory.mktemp("search"))


def test_the_search(search):
    mine, all_ = compare(*search)
    left_out = {name.partition("/")[2] for name in set(all_) - set(mine)}
    assert {"momentum__trigger", "veto__without_veto"} <= left_out
    assert not any(name.endswith("__all") for name in left_out)
    record = json.loads((search[1].out / "run.json").read_text())
    assert record["options"]["sequential"] is True
    assert record["datasets"]["data"]["cutflow"]["others"] == []


def test_tracks_are_made_of_few_events(search, monkeypatch):
    from na64reco.reconstruction import events as module

    seen = []
    real = module.reconstruct_tracks

    def watched(mm, *rest, **options):
        seen.append(len(mm))
        return real(mm, *rest, **options)

    monkeypatch.setattr(module, "reconstruct_tracks", watched)
    run(
        "electron-invisible-2022",
        SAMPLES / "physics.root",
        search[0].out.parent / "w",
        sequential=True,
    )
    flow = search[0].datasets[0].cutflow
    assert seen == [dict(zip(flow.cuts, flow.passed, strict=True))["VETO"]]


@pytest.mark.parametrize(
    ("selection", "sample", "columns"),
    [
        ("electron-calibration-2022", "calibration.root", "all"),
        ("dimuon-2022", "dimuon.root", ()),
        # The hidden box is in the momentum of the outgoing track: those are made of all events.
        ("muon-invisible-2022", "muon.root", ["track.chi2", "track_out.chi2"]),
    ],
)
def test_other_selections(tmp_path, selection, sample, columns):
    compare(*both(selection, SAMPLES / sample, tmp_path, columns=columns))


def test_chunks_with_several_runs(tmp_path):
    batch = read_batch(open_events(SAMPLES / "physics.root", entry_stop=400))
    other = read_batch(open_events(SAMPLES / "physics.root", entry_start=400, entry_stop=800))
    other.scalars["run"][:] += 1
    mixed = concatenate([batch, other]).select(np.random.default_rng(1).permutation(800))
    with EventWriter(tmp_path / "mixed.root") as writer:
        writer.write(mixed)
    compare(*both("electron-invisible-2022", tmp_path / "mixed.root", tmp_path, chunk_size=333))


def test_no_event_left_for_tracks(tmp_path):
    text = "based_on: electron-invisible-2022\ncuts: [{name: PRS, variable: prs.energy, min: 1000000.0}]\n"
    (tmp_path / "none.yaml").write_text(text)
    selection = load_selection(tmp_path / "none.yaml")
    whole, sequential = both(selection, SAMPLES / "physics.root", tmp_path)
    compare(whole, sequential)
    assert sequential.datasets[0].cutflow.selected == 0


def test_chunks_are_not_taken_for_those_of_the_other_kind(tmp_path):
    from na64reco.processors.kept import job_digest
    from na64reco.processors.processor import SelectionProcessor

    kinds = [SelectionProcessor("electron-invisible-2022", sequential=s) for s in (False, True)]
    assert len({job_digest(kind) for kind in kinds}) == 2


def test_efficiencies_are_refused_and_a_report_is_made(search):
    with pytest.raises(InferenceError, match=r"--sequential.*without"):
        measure_efficiency(search[1].out)
    page = write_report(search[1].out).path.read_text(encoding="utf-8")
    assert "cuts applied one after the other" in page
    assert "of all others, %" not in page


def test_in_the_shell(tmp_path):
    out = tmp_path / "out"
    line = ["run", "electron-invisible-2022", str(SAMPLES / "physics.root"), "-o", str(out)]
    done = CliRunner().invoke(app, [*line, "--sequential"])
    assert done.exit_code == 0, done.output
    assert json.loads((out / "run.json").read_text())["options"]["sequential"] is True
