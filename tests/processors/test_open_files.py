"""A file is opened once, is never believed when it has changed, and is closed in the end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from na64reco.errors import FileFormatError
from na64reco.processors import chunks, probe, run
from na64reco.processors.chunks import BadFile, Chunk, probe_file, process_chunk
from na64reco.processors.fileset import InputFile
from na64reco.processors.processor import SelectionProcessor

SAMPLE = Path(__file__).parents[2] / "data_samples" / "physics.root"
SELECTION = "electron-invisible-2022"


@pytest.fixture
def opened(monkeypatch):
    """Files that are opened: whether each is closed, by now."""
    states = []

    def open_file(*args, **options):
        file = original(*args, **options)
        close = file.directory.file.source.close
        states.append("open")
        number = len(states) - 1

        def and_tell():
            states[number] = "closed"
            close()

        file.directory.file.source.close = and_tell
        return file

    original = chunks.open_file
    monkeypatch.setattr(chunks, "open_file", open_file)
    monkeypatch.setattr(probe, "open_file", open_file)
    return states


def test_a_run_opens_each_of_its_files_and_leaves_none_open(opened, tmp_path):
    shutil.copy(SAMPLE, tmp_path / "a.root")
    run(SELECTION, tmp_path / "a.root", tmp_path / "one", chunk_size=1000)
    assert opened == ["closed"]
    shutil.copy(SAMPLE, tmp_path / "b.root")
    inputs = [f"x={tmp_path / 'a.root'}", f"y={tmp_path / 'b.root'}"]
    run(SELECTION, inputs, tmp_path / "two", chunk_size=1000)
    # Of several files the first stays open.
    assert opened[1:] == ["closed"] * 3


def test_a_run_that_fails_leaves_no_file_open(opened, tmp_path):
    with pytest.raises(FileFormatError):
        run(SELECTION, [SAMPLE, tmp_path / "none.root"], tmp_path / "out")
    assert opened == ["closed"]


def test_a_file_that_is_replaced_after_it_was_opened_is_not_believed(tmp_path):
    path = tmp_path / "a.root"
    shutil.copy(SAMPLE, path)
    facts = probe_file(None, InputFile("events", str(path)))
    chunk = Chunk(0, str(path), 0, 10, facts.promise)
    assert list(chunks._open) == [(str(path), "Events", facts.promise)]
    content = np.fromfile(path, np.uint8)
    content[len(content) // 2] ^= 1
    content.tofile(path)
    with chunks.no_file_left_open():
        found = process_chunk(SelectionProcessor(SELECTION), None, chunk)
    assert isinstance(found, BadFile)
    assert "xxh3" in found.reason
