"""The frame of all calibrations: good events run by run in, conditions files out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from na64reco.calibrate import Tally, Task, read_parts, write_constants, write_summary
from na64reco.calibration import file_formats, load_conditions, read_sdc
from na64reco.errors import ConditionsError, DataError, OutputExistsError
from na64reco.events import EventBatch, EventWriter, Hits
from na64reco.resources import shipped_folder
from na64reco.setup import load_setup


@pytest.fixture(scope="module")
def setup():
    return load_setup("2022-electron")


def _batch(runs, spills):
    """Events with as many ECAL hits as their number modulo 3, of amplitude 10 x number."""
    n = len(runs)
    counts = np.arange(n) % 3
    offsets = np.concatenate(([0], np.cumsum(counts)))
    owner = np.repeat(np.arange(n), counts)
    nothing = np.zeros(len(owner), np.uint8)
    return EventBatch(
        {
            "run": np.asarray(runs, np.uint32),
            "spill": np.asarray(spills, np.uint32),
            "event": np.arange(n, dtype=np.uint32),
            "trigger": np.full(n, 2, np.uint32),
            "master_time": np.zeros(n, np.float32),
        },
        {
            "ECAL": Hits(
                offsets,
                {
                    "section": nothing,
                    "ix": nothing,
                    "iy": nothing,
                    "amplitude": (10.0 * owner).astype(np.float32),
                    "time": np.zeros(len(owner), np.float32),
                },
            )
        },
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files: runs 6965 and 6967 mixed in the first, 6966 (bad as a whole) in the second.

    Of run 6967 the spills 3 and 4 are bad, by the shipped conditions.
    """
    folder = tmp_path_factory.mktemp("frame")
    first = _batch([6965, 6967, 6965, 6967, 6967, 6965], [1, 2, 1, 3, 4, 3])
    second = _batch([6966] * 4, [1] * 4)
    paths = []
    for name, batch in {"first": first, "second": second}.items():
        paths.append(str(folder / f"{name}.root"))
        with EventWriter(paths[-1]) as writer:
            writer.write(batch)
    return tuple(paths)


@pytest.mark.parametrize("step", [2, 100])
def test_good_events_come_run_by_run(setup, files, tmp_path, step):
    task = Task(setup=setup, files=files, out=tmp_path)
    tally = Tally()
    found = {}
    for part in read_parts(task, tally, step=step):
        assert part.conditions.setup == setup.name
        assert part.conditions.runs[0] <= part.run <= part.conditions.runs[1]
        hits = part.hits("ECAL", ("amplitude",))
        assert len(hits) == len(part) == len(part.scalar("event"))
        owner = part.scalar("event")[hits.event_index()]
        np.testing.assert_array_equal(hits["amplitude"], 10.0 * owner)
        np.testing.assert_array_equal(hits.counts, part.scalar("event") % 3)
        assert part.has("ECAL")
        assert not part.has("HCAL")
        reconstructed = part.columns(["event", "ecal.energy"])
        np.testing.assert_array_equal(reconstructed["event"], part.scalar("event"))
        found.setdefault(part.run, []).extend(part.scalar("event").tolist())
    assert found == {6965: [0, 2, 5], 6967: [1]}
    assert (tally.runs, tally.events, tally.dropped) == ({6965, 6967}, 4, 6)
    assert tally.text == "4 events of runs 6965 to 6967"
    assert tally.validity(task) == (6965, 6999)
    assert tally.validity(replace(task, runs=(6900, 6967))) == (6900, 6967)
    with pytest.raises(ConditionsError, match=r"valid for runs 6966 to 7000, but the files hold"):
        tally.validity(replace(task, runs=(6966, 7000)))


def test_no_more_events_than_asked_for(setup, files, tmp_path):
    task = Task(setup=setup, files=files, out=tmp_path, max_events=3)
    tally = Tally()
    assert sum(len(part) for part in read_parts(task, tally, step=2)) == tally.events == 3
    tally = Tally()
    only_bad = replace(task, files=files[1:])
    assert list(read_parts(only_bad, tally)) == []
    with pytest.raises(DataError, match="no events to calibrate with; 3 are in bad runs or spills"):
        tally.validity(only_bad)


@pytest.fixture
def start(setup, tmp_path):
    """A folder of conditions in which all ECAL scales are multiplied by 1.25, the PRS' by 2."""
    folder = tmp_path / "start"
    folder.mkdir()
    for path in (shipped_folder("calib") / setup.name).glob("*.txt"):
        text = path.read_text()
        if path.name == "ecal.txt":
            text += "\nruns=6035-6999\nfactor.ECAL=1.25\nfactor.ECAL.prs=2\n"
        (folder / path.name).write_text(text)
    return folder


def test_a_block_changes_what_it_has_and_nothing_else(setup, start, tmp_path):
    task = Task(setup=setup, files=(), out=tmp_path / "new", calib=start)
    rows = {
        (section, 2, 2): {"scale": np.float64(0.05), "scale_error": 0.001, "entries": np.int64(99)}
        for section in ("prs", "main")
    }
    written = write_constants(
        task, "ecal.txt", rows, runs=(6100, 6199), comment="from\na test", metadata={"profile.a": 7}
    )
    assert written[0] == tmp_path / "new" / "ecal.txt"
    assert {p.name for p in written} == {p.name for p in start.iterdir()}
    before = load_conditions(setup, 6150, folder=start)
    after = load_conditions(setup, 6150, folder=task.out)
    changed = after.ecal.scale != before.ecal.scale
    assert list(zip(*np.nonzero(changed), strict=True)) == [(0, 2, 2), (1, 2, 2)]
    # What was written is what is used, whatever factors the file has: for the PRS another one
    # from run 6150 on.
    np.testing.assert_allclose(
        load_conditions(setup, 6149, folder=task.out).ecal.scale[:, 2, 2], 0.05, rtol=1e-5
    )
    np.testing.assert_allclose(after.ecal.scale[changed], 0.05, rtol=1e-5)
    np.testing.assert_array_equal(after.ecal.time, before.ecal.time)
    assert after.shower_profile == {**before.shower_profile, "a": 7.0}
    assert after.runs[1] == 6199
    for run in (6099, 6200):  # outside
        scale = [load_conditions(setup, run, folder=f).ecal.scale for f in (task.out, start)]
        np.testing.assert_array_equal(*scale)
    assert "comment=from a test" in written[0].read_text()
    kept = read_sdc(written[0], file_formats(setup)["ecal.txt"]).resolve(6150).rows
    assert kept["main", 2, 2]["entries"] == 99
    assert kept["main", 2, 2]["scale_error"] == pytest.approx(0.001 / 1.25, rel=1e-5)
    assert kept["main", 2, 3]["scale_error"] == 0


def test_a_second_calibration_adds_to_the_first(setup, start, tmp_path):
    task = Task(setup=setup, files=(), out=tmp_path / "new", calib=start)
    options = {"runs": (6100, 6199), "comment": "first"}
    write_constants(task, "ecal.txt", {("main", 1, 1): {"scale": 0.03}}, **options)
    # A copy of the starting folder's file holds nothing that could be lost.
    assert task.check_target("hcal.txt") == task.out / "hcal.txt"
    with pytest.raises(OutputExistsError, match=r"ecal.txt exists already. Choose another folder"):
        write_constants(task, "ecal.txt", {("main", 1, 1): {"scale": 0.04}}, **options)
    again = replace(task, calib=task.out)
    write_constants(again, "ecal.txt", {("main", 1, 2): {"scale": 0.05, "time": 1.0}}, **options)
    write_constants(again, "ecal.txt", {("main", 1, 2): {"scale": 0.06, "time": 2.0}}, **options)
    scale = load_conditions(setup, 6150, folder=task.out).ecal.scale
    np.testing.assert_allclose(scale[1, 1, 1:3], [0.03, 0.06], rtol=1e-5)
    # What a later block covers entirely is gone, so that repeating does not pile up blocks.
    text = (task.out / "ecal.txt").read_text()
    # Two for each of two ranges of runs with other factors.
    assert text.count("comment=first") == 4
    assert text.count("factor.ECAL=1.25") == 1


def test_wrong_constants_are_refused(setup, start, tmp_path):
    task = Task(setup=setup, files=(), out=tmp_path / "new", calib=start)
    options = {"runs": (6100, 6199), "comment": "x"}
    rows = {("main", 1, 1): {"scale": 1.0}, ("main", 1, 2): {"time": 1.0}}
    with pytest.raises(ConditionsError, match=r"needs no vhcal.txt; its files are ecal.txt"):
        write_constants(task, "vhcal.txt", {}, **options)
    with pytest.raises(ConditionsError, match=r"ecal.txt: the row .* has .*'time',\), the first"):
        write_constants(task, "ecal.txt", rows, **options)
    with pytest.raises(ConditionsError, match="nan is not a finite number"):
        write_constants(task, "ecal.txt", {("main", 1, 1): {"scale": np.nan}}, **options)
    assert not (tmp_path / "new").exists()


def test_summaries_of_several_calibrations_stand_side_by_side(setup, tmp_path):
    task = Task(setup=setup, files=("a.root",), out=tmp_path)
    write_summary(task, "one", {"events": 3})
    path = write_summary(task, "two", {"events": 4})
    text = path.read_text()
    assert text.index('"one"') < text.index('"two"')
    assert text.count('"a.root"') == 2
