"""Inputs that nobody wrote in good faith: errors with a name, bounded time and memory."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import uproot
import yaml

from na64reco.errors import FileFormatError
from na64reco.events import PassingError, open_file
from na64reco.processors import FilesetError, chunks, resolve_inputs, run
from na64reco.yaml_text import read_yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="a checkout is needed")
def test_fuzzed_files_and_yamls(monkeypatch, tmp_path, data_files, selection_path):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import fuzz

    monkeypatch.setattr(fuzz, "SELECTION", str(selection_path))
    (tmp_path / "fileset.yaml").write_text(
        yaml.safe_dump({"a": {"files": {str(p): {"entries": 700} for p in data_files}}})
    )
    texts = [tmp_path / "fileset.yaml", selection_path]
    found = fuzz.fuzz(data_files[:2], texts, 120, workers=1)
    mutants = found["mutants"]
    # Where a checksum is promised, every mutant is refused before any of it counts.
    assert {k: n for k, n in mutants.items() if k.startswith("with c")} == {
        "with checksum, refused": 30
    }
    assert sum(n for kind, n in mutants.items() if "lost" in kind) == 0
    kinds = {kind.partition(", ")[2] for kind in mutants}
    assert kinds <= {"refused", "read", "silent", "the same", "error ConditionsError"}
    assert mutants["without checksum, refused"] > 5
    assert found["slowest_seconds"] < fuzz.TIMEOUT


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "\n".join(" " * i + "a:" for i in range(3000)),
        "a: " + "9" * 5000,
        "a: 2020-02-31",
        "a: !!python/object/apply:os.system [true]",
        "a: \0",
        '{"a": ' * 50_000,
    ],
)
def test_yaml_of_any_kind_is_an_error_and_no_crash(tmp_path, text):
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
    (tmp_path / "fileset.yaml").write_text(text)
    with pytest.raises(FilesetError, match="is not valid YAML"):
        resolve_inputs(tmp_path / "fileset.yaml")


def test_aliases_do_not_grow():
    """A thousand million laughs take no more memory than their text: nothing copies them."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(FilesetError, match="'a0'"):
        resolve_inputs(read_yaml("\n".join(lines)) | {"a0": {"files": {}}})


@pytest.mark.parametrize("name", ["../../etc", "a/b", "/tmp/x", "", "a\0b", ".hidden"])
def test_names_of_datasets_cannot_leave_the_output(data_files, name):
    with pytest.raises(FilesetError, match="is no name for a dataset"):
        resolve_inputs({name: {"files": [str(data_files[0])]}})
    with pytest.raises(FilesetError, match="is no name for a dataset"):
        resolve_inputs(data_files, dataset=name)


@pytest.mark.parametrize(
    "path", ["ssh://host/file.root", "simplecache::root://x/y", "python://x", "a\0b", "file:///x"]
)
def test_paths_are_files_and_known_servers_only(path):
    with pytest.raises(FilesetError, match="is no path of a hit file"):
        resolve_inputs({"a": {"files": {path: {}}}})


def test_a_pipe_does_not_hang(tmp_path, selection_path):
    os.mkfifo(tmp_path / "pipe.root")
    with pytest.raises(FileFormatError, match="is no regular file"):
        run(selection_path, tmp_path / "pipe.root", tmp_path / "out")


def test_an_absurd_number_of_entries(tmp_path, data_files):
    with uproot.open(data_files[0]) as file:
        member = file["Events"].member("fEntries")
    content = data_files[0].read_bytes()
    where = content.find(member.to_bytes(8, "big"))
    if where < 0:
        pytest.skip("the tree is written compressed")
    path = tmp_path / "many.root"
    path.write_bytes(content[:where] + (2**62).to_bytes(8, "big") + content[where + 8 :])
    with pytest.raises(FileFormatError), open_file(path) as opened:
        opened.entries  # noqa: B018


class TestPassingErrors:
    """What may pass is tried again, what lasts is not."""

    @pytest.fixture
    def failing(self, monkeypatch):
        """Have reading fail some times with an error; the waits are noted instead of waited."""
        waits, left = [], []
        monkeypatch.setattr(chunks.time, "sleep", waits.append)
        original = Path.open

        def open_(path, *arguments, **options):
            if path.suffix == ".root" and left:
                raise OSError(left.pop(), "broken", str(path))
            return original(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", open_)
        return left, waits

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
    def test_an_error_that_passes(self, failing, tmp_path, selection_path, data_files, number):
        left, waits = failing
        left += [number] * 3
        report = run(selection_path, data_files[:1], tmp_path / "out")
        assert waits == [0.5, 2.0, 8.0]
        assert report.ledger.events_read == 700

    def test_an_error_that_comes_again_and_again(
        self, failing, tmp_path, selection_path, data_files
    ):
        left, waits = failing
        left += [errno.EIO] * 4
        with pytest.raises(PassingError, match=r"cannot be read at the moment: .*try again"):
            run(selection_path, data_files[:1], tmp_path / "out")
        assert len(waits) == 3

    def test_an_error_that_lasts(self, failing, tmp_path, selection_path, data_files):
        left, waits = failing
        left += [errno.EACCES]
        with pytest.raises(FileFormatError, match="cannot be opened: broken"):
            run(selection_path, data_files[:1], tmp_path / "out")
        assert waits == []


def test_a_plan_of_ten_thousand_files(tmp_path):
    """Building it opens no file; less than 10 s and 500 MB."""
    import subprocess
    import sys

    branches = ", ".join(f"ECAL_field_{i}" for i in range(55))
    lines = ["a:", "  treename: Events", "  files:"]
    for i in range(10_000):  # as `na64reco catalogue` writes it
        path = tmp_path / f"run_{i:05}.root"
        path.touch()
        lines += [
            f"    {path.name}:",
            "      object_path: Events",
            "      entries: 100000",
            "      num_entries: 100000",
            "      size: 0",
            f"      xxh3: '{i:032x}'",
            f"      sha256: '{i:064x}'",
            "      container: ttree",
            "      simulated: false",
            f"      runs: [{i}]",
            "      spills: 80",
            "      branches: " + (f"&id001 [{branches}]" if i == 0 else "*id001"),
        ]
    (tmp_path / "fileset.yaml").write_text("\n".join(lines))
    code = (
        "import json, sys, time; from na64reco.processors import resolve_inputs;"
        "from na64reco.processors.execute import probe_files;"
        "started = time.process_time(); files = resolve_inputs(sys.argv[1]).files;"
        "facts = probe_files(files, None); seconds = time.process_time() - started;"
        "status = open('/proc/self/status').read().split();"
        "print(json.dumps([len(facts), sum(f.entries for f in facts), seconds,"
        "int(status[status.index('VmHWM:') + 1]) / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "fileset.yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    number, events, seconds, memory = json.loads(done.stdout)
    assert (number, events) == (10_000, 10**9)
    assert seconds < 10
    assert memory < 500
