"""Runs that are stopped, killed or run out of disk, and continued."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from na64reco.errors import FileFormatError
from na64reco.processors import kept, run
from na64reco.resources import shipped_folder

OUTPUTS = ("histograms.root", "selected.root", "cutflow.json", "counts.json", "ledger.json")


def output_bytes(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}


def resumed_chunks(out):
    return json.loads((out / "run.json").read_text())["options"]["resumed_chunks"]


class Stop(Exception):
    pass


def stop_after(events):
    def progress(done, total):
        if done >= events:
            raise Stop

    return progress


@pytest.fixture(scope="module")
def reference(tmp_path_factory, selection_path, data_files):
    out = tmp_path_factory.mktemp("reference") / "out"
    run(selection_path, data_files, out, chunk_size=100)
    return output_bytes(out)


@pytest.fixture
def stopped(tmp_path, selection_path, data_files):
    """An output folder whose run was stopped after nine of its sixteen chunks."""
    with pytest.raises(Stop):
        run(
            selection_path,
            data_files,
            tmp_path / "out",
            chunk_size=100,
            progress=stop_after(900),
        )
    return tmp_path / "out"


def test_the_bytes_are_the_same_whoever_did_the_work(
    tmp_path, selection_path, data_files, reference
):
    run(
        *(selection_path, data_files, tmp_path / "out"),
        chunk_size=100,
        executor="futures",
        workers=2,
    )
    assert output_bytes(tmp_path / "out") == reference
    run(selection_path, data_files, tmp_path / "one", chunk_size=10_000)
    other = output_bytes(tmp_path / "one")
    assert {n for n in OUTPUTS if other[n] != reference[n]} == {"ledger.json"}


def test_files_that_differ_have_different_identifiers(tmp_path, selection_path, data_files):
    import uproot

    identifiers = set()
    for i in range(2):
        run(selection_path, data_files[i], tmp_path / f"{i}")
        for name in ("histograms.root", "selected.root"):
            with uproot.open(tmp_path / f"{i}" / name) as file:
                identifiers.add(file.file.uuid)
    assert len(identifiers) == 4


def test_a_stopped_run_continues_to_the_same_bytes(stopped, selection_path, data_files, reference):
    assert not stopped.exists()
    with pytest.raises(Stop):
        run(
            *(selection_path, data_files, stopped),
            chunk_size=100,
            resume=True,
            progress=stop_after(1200),
        )
    run(selection_path, data_files, stopped, chunk_size=100, resume=True)
    assert output_bytes(stopped) == reference
    assert resumed_chunks(stopped) == 12
    assert [p.name for p in stopped.parent.iterdir()] == ["out"]


def test_without_the_option_nothing_old_is_used(stopped, selection_path, data_files, reference):
    run(selection_path, data_files, stopped, chunk_size=100)
    assert resumed_chunks(stopped) == 0
    assert output_bytes(stopped) == reference


def test_files_may_have_moved_but_not_changed(
    stopped, tmp_path, selection_path, data_files, truths, write_file, reference
):
    moved = [Path(shutil.copy(p, tmp_path / f"moved_{p.name}")) for p in data_files]
    run(selection_path, moved, stopped, chunk_size=100, resume=True)
    assert resumed_chunks(stopped) == 9
    found = output_bytes(stopped)
    assert {n for n in OUTPUTS if found[n] != reference[n]} == {"ledger.json"}  # names the paths
    content = bytearray(moved[0].read_bytes())
    with pytest.raises(Stop):
        run(selection_path, moved, tmp_path / "b", chunk_size=100, progress=stop_after(900))
    content[100] ^= 1  # in the record of the directory, which nobody reads
    moved[0].write_bytes(content)
    run(selection_path, moved, tmp_path / "b", chunk_size=100, resume=True)
    assert resumed_chunks(tmp_path / "b") == 2


def changed_cut(selection_path, tmp_path, options):
    path = tmp_path / "other.yaml"
    path.write_text(selection_path.read_text().replace("min: 0.5", "min: 0.4"))
    return path


def changed_conditions(selection_path, tmp_path, options):
    folder = tmp_path / "calib"
    shutil.copytree(shipped_folder("calib") / "2022-electron", folder)
    path = folder / "ecal.txt"
    path.write_text(path.read_text() + "\n")
    options["calib"] = folder
    return selection_path


def changed_columns(selection_path, tmp_path, options):
    options["columns"] = ["ecal.x"]
    return selection_path


def changed_code(selection_path, tmp_path, options):
    options["monkeypatch"].setattr(kept, "code_digest", lambda: "another")
    return selection_path


def changed_chunks(selection_path, tmp_path, options):
    options["chunk_size"] = 99
    return selection_path


@pytest.mark.parametrize(
    "change", [changed_cut, changed_conditions, changed_columns, changed_code, changed_chunks]
)
def test_what_has_changed_never_meets_an_old_result(
    stopped, tmp_path, selection_path, data_files, change, monkeypatch
):
    options = {"chunk_size": 100, "monkeypatch": monkeypatch}
    selection = change(selection_path, tmp_path, options)
    del options["monkeypatch"]
    run(selection, data_files[:1], stopped, resume=True, **options)
    assert resumed_chunks(stopped) == 0
    run(selection, data_files[:1], tmp_path / "fresh", **options)
    assert output_bytes(stopped) == output_bytes(tmp_path / "fresh")


def test_a_half_written_chunk_is_done_again(stopped, selection_path, data_files, reference):
    folder = stopped.with_name(".out.chunks")
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    assert len(paths) == 9
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    paths[1].write_bytes(b"")
    content = bytearray(paths[2].read_bytes())
    content[len(content) // 2] ^= 1
    paths[2].write_bytes(content)
    run(selection_path, data_files, stopped, chunk_size=100, resume=True)
    assert resumed_chunks(stopped) == 6
    assert output_bytes(stopped) == reference


def test_a_full_disk_ends_the_run_and_room_continues_it(
    tmp_path, selection_path, data_files, reference, monkeypatch
):
    written, write = [], Path.write_bytes

    def full(path, content):
        if len(written) == 6:
            write(path, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        return write(path, content)

    out = tmp_path / "out"
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        run(selection_path, data_files, out, chunk_size=100)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [".out.chunks"]
    run(selection_path, data_files, out, chunk_size=100, resume=True)
    assert resumed_chunks(out) == 6
    assert output_bytes(out) == reference


def test_simulated_weights_come_back_exactly(tmp_path, selection_path, truths, batch_of):
    from na64reco.events import EventWriter

    batch = batch_of(truths[0], simulated=True)
    weights = np.random.default_rng(3).choice([2.0**-8, 0.5, 3.0, 2.0**20], 700)
    batch.scalars["MC_weight"] = weights.astype(np.float32)
    with EventWriter(tmp_path / "mc.root") as writer:
        writer.write(batch)
    run(selection_path, tmp_path / "mc.root", tmp_path / "whole", chunk_size=100)
    with pytest.raises(Stop):
        run(
            *(selection_path, tmp_path / "mc.root", tmp_path / "out"),
            chunk_size=100,
            progress=stop_after(400),
        )
    run(selection_path, tmp_path / "mc.root", tmp_path / "out", chunk_size=100, resume=True)
    assert resumed_chunks(tmp_path / "out") == 4
    assert output_bytes(tmp_path / "out") == output_bytes(tmp_path / "whole")


def test_a_file_that_changes_during_the_run_is_noticed(
    tmp_path, selection_path, data_files, truths
):
    path = Path(shutil.copy(data_files[0], tmp_path / "run.root"))

    def change(done, total):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)

    with pytest.raises(FileFormatError, match=r"run\.root is not the file .*`xxh3` should be"):
        run(selection_path, path, tmp_path / "out", chunk_size=100, progress=change)
