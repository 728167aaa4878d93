"""Files on an XRootD server, which is started here: the same results, and what is lost with it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import pytest

from na64reco.errors import FileFormatError
from na64reco.processors import (
    catalogue,
    chunks,
    resolve_inputs,
    run,
    write_catalogue,
)

SAMPLE = Path(__file__).parents[2] / "data_samples" / "physics.root"
SELECTION = "electron-invisible-2022"
OUTPUTS = ("histograms.root", "selected.root", "cutflow.json", "counts.json")
NAMES = ("run 1 [a] b#c.root", "run:2 %20 é.root", "run_3+d&e='.root")
"""As awkward as names of files get."""

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

    def replace(self, name, content):
        """Another file under the name, and of a later time: sums are kept for size and second."""
        path = self.data / name
        later = path.stat().st_mtime + 60
        path.write_bytes(content)
        os.utime(path, (later, later))


@pytest.fixture(scope="module")
def one_server(data_files):
    # Not below pytest's own folder, which the server's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="na64reco-xrootd-"))
    (folder / "data" / "set").mkdir(parents=True)
    (folder / "admin").mkdir()
    shutil.copy(SAMPLE, folder / "data" / "physics.root")
    for file, name in zip(data_files, NAMES, strict=True):
        shutil.copy(file, folder / "data" / "set" / name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    found = Server(folder)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(one_server):
    """It runs at the beginning of each test, with the same files."""
    files = {p: p.read_bytes() for p in one_server.data.rglob("*.root")}
    if one_server.process.poll() is not None:
        one_server.start()
    yield one_server
    for path, content in files.items():
        if path.read_bytes() != content:
            one_server.replace(path.relative_to(one_server.data), content)


def outputs(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}


def flipped(content):
    """One bit of many."""
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 4
    return bytes(damaged)


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

    server.replace("physics.root", flipped(content))
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


@pytest.fixture(scope="module")
def good(one_server, selection_path, tmp_path_factory):
    """What the three files give as local ones, in one process."""
    out = tmp_path_factory.mktemp("good") / "out"
    run(selection_path, one_server.data / "set", out, chunk_size=100)
    return out


def facts_of(out, base):
    """Of ledger and record all that does not say where, when or how."""
    record = json.loads((out / "run.json").read_text())
    del record["finished"], record["seconds"]
    for name in ("executor", "workers", "resumed_chunks"):
        del record["options"][name]
    for file in record["inputs"]:
        # One of them is known, by who keeps the file.
        assert (file.pop("xxh3") is None) != (file.pop("adler32") is None)
    return json.loads(
        json.dumps([json.loads((out / "ledger.json").read_text()), record]).replace(base, "")
    )


@pytest.mark.parametrize("executor", ["futures", "dask"])
def test_pools_read_from_a_server_as_from_a_disk(executor, server, selection_path, good, tmp_path):
    out = tmp_path / "out"
    url = server.url("set/run*.root")
    run(selection_path, url, out, executor=executor, workers=2, chunk_size=100)
    assert outputs(out) == outputs(good)
    base = server.url("set").removesuffix("set")
    assert facts_of(out, base) == facts_of(good, f"{server.data}/")


def test_workers_refuse_a_file_that_has_changed(server, selection_path, tmp_path):
    changed = server.data / "set" / NAMES[2]

    def change(done, total):
        if done == 50:
            server.replace(changed, flipped(changed.read_bytes()))

    options = {"executor": "futures", "workers": 2, "chunk_size": 50, "skip_bad_files": True}
    report = run(*(selection_path, server.url("set"), tmp_path / "out"), **options, progress=change)
    (skipped,) = report.ledger.skipped
    assert skipped.path == server.url(f"set/{NAMES[2]}")
    assert "`adler32` should be" in skipped.reason
    assert (report.ledger.events_read, report.ledger.events_skipped) == (1200, 333)
    others = [server.data / "set" / name for name in NAMES[:2]]
    run(selection_path, others, tmp_path / "others")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "others")


DRIVER = """
import os, sys
from na64reco import processors
number, server, last, plain = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), processors.run
def run(*arguments, progress, **options):
    def watch(done, total):
        if done == last:
            os.kill(server, number)
    return plain(*arguments, progress=watch, **options)
processors.run = run
del sys.argv[1:4]
from na64reco.cli import main
sys.exit(main())
"""
"""`na64reco` that ends or stops the server after some events."""

IMPATIENT = {
    "XRD_CONNECTIONWINDOW": "1",
    "XRD_CONNECTIONRETRY": "1",
    "XRD_STREAMERRORWINDOW": "1",
    "XRD_REQUESTTIMEOUT": "2",
    "XRD_TIMEOUTRESOLUTION": "1",
}


def command(number, server, *arguments):
    """The command line, and a server that gets a signal after 200 events."""
    return subprocess.Popen(
        [
            *(sys.executable, "-c", DRIVER, str(int(number)), str(server.process.pid), "200"),
            *map(str, arguments),
        ],
        env={**os.environ, **IMPATIENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


POOL = ("--executor", "futures", "--workers", "2", "--chunk-size", "100")


def test_a_pool_waits_for_a_server_that_comes_back(server, selection_path, good, tmp_path):
    out = tmp_path / "out"
    with command(
        signal.SIGKILL, server, "run", selection_path, server.url("set"), "-o", out, *POOL
    ) as driver:
        server.process.wait(60)
        time.sleep(1)
        server.start()
        _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 0, errors
    assert outputs(out) == outputs(good)


def test_a_server_that_falls_silent_ends_the_run_and_resume_goes_on(
    server, selection_path, good, tmp_path
):
    """Not even --skip-bad-files leaves out files for it."""
    out = tmp_path / "out"
    arguments = ("run", selection_path, server.url("set"), "-o", out, *POOL, "--skip-bad-files")
    started = time.monotonic()
    with command(signal.SIGSTOP, server, *arguments) as driver:
        _, errors = driver.communicate(timeout=120)
    server.process.send_signal(signal.SIGCONT)
    assert driver.returncode == 1
    assert f"{NAMES[0]} cannot be read at the moment" in " ".join(errors.split())
    assert "(entries " in errors
    assert "--resume continues" in errors
    # Four times 2 s, and 10.5 s in between.
    assert time.monotonic() - started < 60
    assert not out.exists()
    run(selection_path, server.url("set"), out, chunk_size=100, skip_bad_files=True, resume=True)
    options = json.loads((out / "run.json").read_text())["options"]
    assert options["resumed_chunks"] >= 2
    assert outputs(out) == outputs(good)
