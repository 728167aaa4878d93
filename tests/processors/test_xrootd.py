"""Files on an XRootD server, which is started here: the same results, and what is lost with it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

import pytest

from na64reco.errors import FileFormatError
from na64reco.processors import catalogue, chunks, resolve_inputs, run, write_catalogue

SAMPLE = Path(__file__).parents[2] / "data_samples" / "physics.root"
SELECTION = "electron-invisible-2022"
OUTPUTS = ("histograms.root", "selected.root", "cutflow.json", "counts.json")

# Not imported: the client takes its patience from the environment as soon as it is loaded.
if importlib.util.find_spec("fsspec_xrootd") is None:
    pytest.skip("no XRootD client: pip install 'na64reco[xrootd]'", allow_module_level=True)
if shutil.which("xrootd") is None:
    pytest.skip("there is no XRootD server: apt-get install xrootd-server", allow_module_level=True)


class Server:
    """An XRootD server of one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "server.cfg").write_text(
            f"xrd.port {self.port}\nxrd.network nodnr\nall.export /\noss.localroot {self.data}\n"
            f"all.adminpath {folder}/admin\nall.pidpath {folder}/admin\n"
            "xrootd.chksum max 2 adler32\n"
        )
        self.process = None

    def url(self, name):
        return f"root://127.0.0.1:{self.port}//{name}"

    def start(self):
        # It refuses to be root's.
        user = ("-R", "nobody") if os.getuid() == 0 else ()
        self.process = subprocess.Popen(
            ["xrootd", "-c", "server.cfg", "-l", "server.log", *user],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, "the server does not start"
            time.sleep(0.1)
        pytest.fail("the server does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server():
    # Not below pytest's own folder, which the server's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="na64reco-xrootd-"))
    (folder / "data").mkdir()
    (folder / "admin").mkdir()
    shutil.copy(SAMPLE, folder / "data" / "physics.root")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    found = Server(folder)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)


def outputs(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "out"
    run(SELECTION, SAMPLE, out, chunk_size=1000)
    return outputs(out)


def test_the_same_results_and_a_catalogue_that_holds(server, local, tmp_path):
    entries = catalogue(resolve_inputs(server.url("physics.root")))
    write_catalogue(entries, tmp_path / "fileset.yaml")
    (entry,) = entries
    content = SAMPLE.read_bytes()
    assert (entry.facts.size, entry.facts.adler32) == (
        len(content),
        f"{zlib.adler32(content):08x}",
    )
    run(SELECTION, tmp_path / "fileset.yaml", tmp_path / "out", chunk_size=1000)
    assert outputs(tmp_path / "out") == local
    (file,) = json.loads((tmp_path / "out" / "run.json").read_text())["inputs"]
    assert file["path"] == server.url("physics.root")
    assert file["adler32"] == entry.facts.adler32

    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 4
    (server.data / "physics.root").write_bytes(damaged)
    # The server keeps a checksum until the file's time, in seconds, is another.
    later = time.time() + 60
    os.utime(server.data / "physics.root", (later, later))
    with pytest.raises(FileFormatError, match="`adler32` should be"):
        run(SELECTION, tmp_path / "fileset.yaml", tmp_path / "none", chunk_size=1000)


def test_missing_files_are_named(server, tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.root cannot be opened: .*no such file"):
        run(SELECTION, server.url("none.root"), tmp_path / "out")


def test_a_lost_server_that_comes_back_is_waited_for(server, local, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "WAITS", (0.1, 1.0))

    def restart(done, total):
        if done == 1000:
            server.stop()
            server.start()

    run(SELECTION, server.url("physics.root"), tmp_path / "out", chunk_size=1000, progress=restart)
    assert outputs(tmp_path / "out") == local


def test_a_lost_server_ends_the_run_and_resume_goes_on(server, local, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "WAITS", (0.1,))
    started = time.monotonic()
    with pytest.raises(FileFormatError, match=r"physics\.root cannot be read at the moment"):
        run(
            SELECTION,
            server.url("physics.root"),
            tmp_path / "out",
            chunk_size=1000,
            progress=lambda done, total: server.stop() if done == 1000 else None,
        )
    assert time.monotonic() - started < 90
    assert not (tmp_path / "out").exists()
    server.start()
    monkeypatch.setattr(chunks, "WAITS", (1.0, 3.0))
    run(SELECTION, server.url("physics.root"), tmp_path / "out", chunk_size=1000, resume=True)
    options = json.loads((tmp_path / "out" / "run.json").read_text())["options"]
    assert options["resumed_chunks"] == 1
    assert outputs(tmp_path / "out") == local
