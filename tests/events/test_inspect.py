"""What `inspect_file` reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import uproot

from na64reco import load_setup
from na64reco.events import EventWriter, WaveformReport, concatenate, inspect_file

SETUP = load_setup("2022-electron")


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_a_sound_file(written, batch, kind):
    report = inspect_file(written[kind], SETUP)
    assert report.sound
    assert report.format == kind
    assert report.entries == 120
    assert report.size == written[kind].stat().st_size
    assert report.compression == "ZSTD(3)"
    assert report.runs == {6100: 120}
    assert report.spills == len(np.unique(batch.scalars["spill"]))
    assert report.triggers == {"physics": 120, "beam": 0, "random": 0}
    assert report.simulated
    assert report.metadata["seed"] == "7"
    assert report.metadata["written_by"].startswith("na64reco ")
    assert report.missing == ()
    assert report.unknown == ()
    for name, hits in batch.collections.items():
        assert report.hits[name] == pytest.approx(hits.size / 120)
    branch = next(b for b in report.branches if b.schema == "ECAL_time")
    assert (branch.unit, branch.meaning) == ("ns", "time relative to master_time")
    content = batch.collections["ECAL"]["time"].nbytes
    # A TTree's baskets hold offsets beside the content.
    assert content <= branch.uncompressed <= content + 120 * 8 + 1000
    assert 0 < branch.compressed < branch.uncompressed + 1000
    assert 0.3 * report.size < sum(b.compressed for b in report.branches) < report.size


def test_several_runs(tmp_path, make):
    path = tmp_path / "a.root"
    with EventWriter(path) as writer:
        writer.write(concatenate([make(30, run=6100), make(20, run=6101)]))
    assert inspect_file(path).runs == {6100: 30, 6101: 20}


def test_what_the_setup_has_and_the_file_has_not(tmp_path, batch):
    path = tmp_path / "a.root"
    with EventWriter(path, collections={"ECAL": ["ix", "iy", "amplitude"], "MM": ["strip"]}) as w:
        w.write(batch)
    report = inspect_file(path, SETUP)
    assert set(report.missing) == {
        "ECAL_section", "ECAL_time", "MM_station", "MM_projection", "MM_charge", "MM_time"
    }  # fmt: skip
    lacking = {p.split(",")[0] for p in report.problems}
    assert lacking == {
        f"there is no collection {name}" for name in ("Counter", "HCAL", "SRD", "VETO", "GEM", "ST")
    }


def test_times_in_another_unit(tmp_path, make):
    """Microseconds that were taken for nanoseconds; a trigger that came 20 ns late is no problem."""
    events = make()
    time = events.scalars["master_time"]
    for name, values in (("us", time / 1000), ("late", time + 20)):
        shifted = replace(events, scalars=dict(events.scalars) | {"master_time": values})
        path = tmp_path / f"{name}.root"
        with EventWriter(path) as writer:
            writer.write(shifted)
        problems = inspect_file(path, SETUP).problems
        assert [p.split(" is ")[0] for p in problems] == (["master_time"] if name == "us" else [])
        assert inspect_file(path).sound


def test_waveforms_need_no_amplitudes(tmp_path, make):
    path = tmp_path / "a.root"
    with EventWriter(path, collections={"SRD": ["ix", "samples"]}) as writer:
        writer.write(make(5, samples=True))
    assert inspect_file(path).missing == ()


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_waveforms_are_counted(tmp_path, make, kind, monkeypatch):
    # Several chunks are added up.
    monkeypatch.setattr("na64reco.events.inspect._WAVEFORM_CHUNK", 7)
    batch = make(20, samples=True, multiplicity={"SRD": 2, "VETO": 1})
    samples = batch.collections["SRD"]["samples"]
    samples[:] = 210
    samples[5, 9] = samples[-1, 3] = 2**14 - 1
    samples[2] = 0
    path = tmp_path / "a.root"
    with EventWriter(path, format=kind, collections={"SRD": ["ix", "samples"]}) as writer:
        writer.write(batch)
    found = inspect_file(path, SETUP).waveforms
    assert found == {"SRD": WaveformReport(number=len(samples), clipped=2, empty=1)}
    assert inspect_file(path).waveforms["SRD"].clipped == 0


def test_branches_that_are_not_of_the_schema(tmp_path):
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file.mktree("Events", {"run": "uint32", "temperature": "float32"}).extend(
            {"run": np.ones(3, dtype=np.uint32), "temperature": np.ones(3, dtype=np.float32)}
        )
    report = inspect_file(path)
    assert report.unknown == ("temperature",)
    assert "there is no branch 'event', which every hit file has" in report.problems
    assert not report.sound


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty (0 bytes)"),
        (b"run,event\n", "is not a ROOT file"),
        (None, "There is no file"),
    ],
)
def test_unreadable_files_are_reported_not_raised(tmp_path, content, problem):
    path = tmp_path / "a.root"
    if content is not None:
        path.write_bytes(content)
    report = inspect_file(path)
    assert not report.sound
    assert problem in report.problems[0]
    assert report.entries == 0


def test_no_events(tmp_path):
    path = tmp_path / "a.root"
    with EventWriter(path):
        pass
    assert inspect_file(path).problems == ("'Events' holds no events",)
