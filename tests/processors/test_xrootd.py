"""Files on an XRootD server, which is started here: the same results, and what is lost with it."""

from __future__ import annotations

import glob
import hashlib
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
from contextlib import suppress
from pathlib import Path

import pytest
import xxhash

from na64reco.errors import FileFormatError
from na64reco.events import LostServerError
from na64reco.events.remote import server_checksum
from na64reco.processors import (
    FilesetError,
    catalogue,
    checksums,
    chunks,
    resolve_inputs,
    run,
    write_catalogue,
)
from na64reco.processors.probe import catalogued

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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """An XRootD server of one folder.

    Parameters
    ----------
    files
        What is in the folder, by name there.
    role
        Lines of its configuration that make it one of several.
    """

    def __init__(self, files, *, role=""):
        # Not below pytest's own folder, which the server's user may not enter.
        self.folder = folder = Path(tempfile.mkdtemp(prefix="na64reco-xrootd-"))
        self.data = folder / "data"
        self.port = free_port()
        (folder / "server.cfg").write_text(
            f"xrd.network nodnr\nall.export /\noss.localroot {self.data}\n"
            f"all.adminpath {folder}/admin\nall.pidpath {folder}/admin\n"
            f"xrootd.chksum max 2 adler32\n{role}"
            f"if exec xrootd\nxrd.port {self.port}\nfi\n"
        )
        (folder / "admin").mkdir()
        self.data.mkdir()
        for name, file in files.items():
            (self.data / name).parent.mkdir(exist_ok=True)
            shutil.copy(file, self.data / name)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)
        self.process = self.of_cluster = None

    def url(self, name):
        return f"root://127.0.0.1:{self.port}//{name}"

    def _launch(self, program):
        # It refuses to be root's.
        user = ("-R", "nobody") if os.getuid() == 0 else ()
        return subprocess.Popen(
            [program, "-c", "server.cfg", "-l", f"{program}.log", *user],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self):
        self.process = self._launch("xrootd")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, "the server does not start"
            time.sleep(0.1)
        pytest.fail("the server does not answer")

    def join(self):
        """Start what connects it with the others of a cluster."""
        self.of_cluster = self._launch("cmsd")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def remove(self):
        for process in (self.process, self.of_cluster):
            if process is not None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def replace(self, name, content):
        """Another file under the name, and of a later time: sums are kept for size and second."""
        path = self.data / name
        later = path.stat().st_mtime + 60
        path.write_bytes(content)
        os.utime(path, (later, later))


@pytest.fixture(scope="module")
def one_server(data_files):
    files = {f"set/{name}": file for file, name in zip(data_files, NAMES, strict=True)}
    found = Server({"physics.root": SAMPLE, **files})
    found.start()
    yield found
    found.remove()


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
    # The plan of a run is made of it alone.
    (described,) = resolve_inputs(tmp_path / "fileset.yaml").files
    assert catalogued(described) == entry.facts
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


@pytest.mark.parametrize(
    "pattern",
    [
        *("set/run*.root", "set/run[_:]*.root", "set/run 1 [[]a]*", "*/*.root", "**/*.root"),
        *("*.root", "s*/run_3*", "**/set/*d&e*", "set/**"),
    ],
)
def test_globs_are_those_of_a_disk(server, pattern):
    found = glob.glob(str(server.data / pattern), recursive=True)  # noqa: PTH207 - as in a shell
    files = sorted(Path(f).relative_to(server.data) for f in found if Path(f).is_file())
    assert files
    assert [f.path for f in resolve_inputs(server.url(pattern)).files] == [
        server.url(f) for f in files
    ]


def test_a_folder_stands_for_its_files_and_a_name_for_itself(server):
    named = [server.url(f"set/{name}") for name in sorted(NAMES)]
    for url in (server.url("set"), server.url("set/")):
        files = resolve_inputs(f"data={url}").files
        assert [(f.dataset, f.path) for f in files] == [("data", name) for name in named]
    # What is there under a name with brackets is that file.
    assert [f.path for f in resolve_inputs(named[0]).files] == [named[0]]
    tokens = resolve_inputs(server.url("set/run[_:]*.root?authz=a/b*")).files
    assert [f.path for f in tokens] == [f"{name}?authz=a/b*" for name in named[1:]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("set/walk_*.root", r"nothing in \S+//set fits 'walk_\*.root'; it holds 3 names \(run"),
        ("none/run_*.root", "there is no folder root://127"),
        ("physics.root/*.root", r"there is no folder \S+//physics.root"),
        ("none", "There is no file or folder root"),
        ("physics.root/", r"There is no folder \S+physics.root/"),
        ("set/*n_?.root", r"What follows the question mark, '\?.root', is no part of a name"),
        ("fileset.yaml", "a fileset must be a local file"),
        ("closed/**/*.root", r"Unable to open directory /closed/x; permission denied"),
    ],
)
def test_a_list_of_nothing_says_what_was_looked_for(server, name, text):
    closed = server.data / "closed" / "x"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o755)
    closed.chmod(0)
    try:
        with pytest.raises((FilesetError, FileFormatError), match=text):
            run(SELECTION, server.url(name), server.folder / "none")
    finally:
        closed.rmdir()
        closed.parent.rmdir()


def test_a_folder_is_no_file(server):
    (server.data / "folder.root").mkdir()
    try:
        with pytest.raises(FileFormatError, match=r"folder\.root is a folder, but a ROOT file was"):
            catalogue(resolve_inputs({"data": {"files": [server.url("folder.root")]}}))
    finally:
        (server.data / "folder.root").rmdir()


def test_a_bit_that_flips_behind_the_servers_back_is_found(server, tmp_path, monkeypatch):
    """Size and time stay, so that the server gives the checksum that it has."""
    path, url = server.data / "physics.root", server.url("physics.root")
    entries = catalogue(resolve_inputs(url), read=True)
    write_catalogue(entries, tmp_path / "fileset.yaml")
    (local,) = catalogue(resolve_inputs(path))
    (remote,) = entries
    assert remote.facts.xxh3 == local.facts.xxh3
    assert remote.facts.sha256 == local.facts.sha256
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(flipped(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    monkeypatch.setattr(checksums, "_known", {})  # as in another process
    # It keeps sums where the disk can: there it does not know.
    stale = server_checksum(url) == remote.facts.adler32
    text = "is damaged: its server says" if stale else "`adler32` should be"
    with pytest.raises(FileFormatError, match=text):
        run(SELECTION, tmp_path / "fileset.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_the_server_has_no_checksum_the_bytes_are_read(server, tmp_path, monkeypatch):
    url, content = server.url("physics.root"), (server.data / "physics.root").read_bytes()
    monkeypatch.setattr(checksums, "server_checksum", lambda path: None)
    monkeypatch.setattr(checksums, "_known", {})
    write_catalogue(catalogue(resolve_inputs(url)), tmp_path / "fileset.yaml")
    (file,) = resolve_inputs(tmp_path / "fileset.yaml").files
    promised = {
        "xxh3": xxhash.xxh3_128_hexdigest(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "adler32": f"{zlib.adler32(content):08x}",
    }
    assert {key: getattr(file, key) for key in promised} == promised
    server.replace("physics.root", flipped(content))
    for key, value in promised.items():
        with pytest.raises(FileFormatError, match=f"`{key}` should be"):
            run(SELECTION, {"data": {"files": {url: {key: value}}}}, tmp_path / "out")


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


def command(number, server, last, *arguments):
    """The command line, and a server that gets a signal after so many events."""
    return subprocess.Popen(
        [
            *(sys.executable, "-c", DRIVER, str(int(number)), str(server.process.pid), str(last)),
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
        signal.SIGKILL, server, 200, "run", selection_path, server.url("set"), "-o", out, *POOL
    ) as driver:
        server.process.wait(120)
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
    with command(signal.SIGSTOP, server, 800, *arguments) as driver:
        _, errors = driver.communicate(timeout=120)
    server.process.send_signal(signal.SIGCONT)
    assert driver.returncode == 1
    # The first file is complete: there would be a result if the others were skipped.
    text = " ".join(errors.split())
    assert any(f"{name} cannot be read at the moment" in text for name in NAMES[1:])
    assert "(entries " in errors
    assert "--resume continues" in errors
    # Four times 2 s, and 10.5 s in between.
    assert time.monotonic() - started < 110
    assert not out.exists()
    run(selection_path, server.url("set"), out, chunk_size=100, skip_bad_files=True, resume=True)
    options = json.loads((out / "run.json").read_text())["options"]
    assert options["resumed_chunks"] >= 8
    assert outputs(out) == outputs(good)


def test_a_file_that_hangs_alone_is_bad_itself(server, selection_path, monkeypatch, tmp_path):
    """The server answers all else: then the file can be skipped."""
    real = chunks.probe

    def hang(file, **options):
        if file.path.endswith(NAMES[1]):
            msg = f"{file.path} cannot be read at the moment: [ERROR] Operation expired."
            raise LostServerError(msg)
        return real(file, **options)

    monkeypatch.setattr(chunks, "probe", hang)
    monkeypatch.setattr(chunks, "WAITS", (0.01,))
    report = run(selection_path, server.url("set"), tmp_path / "out", skip_bad_files=True)
    (skipped,) = report.ledger.skipped
    assert skipped.path == server.url(f"set/{NAMES[1]}")
    assert "Operation expired" in skipped.reason


SHORT = """
import sys
from na64reco.processors import chunks
chunks.WAITS = (0.1,)
from na64reco.cli import main
sys.exit(main())
"""


def catalogue_soon(url, folder):
    """`na64reco catalogue` with little patience."""
    return subprocess.run(
        [sys.executable, "-c", SHORT, "catalogue", url, "-o", folder / "fileset.yaml"],
        env={**os.environ, **IMPATIENT},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("name", ["run_1.root", "run_*.root"])
def test_a_server_that_says_nothing_is_not_waited_for_for_ever(name, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # the system accepts
        url = f"root://127.0.0.1:{silent.getsockname()[1]}//{name}"
        started = time.monotonic()
        done = catalogue_soon(url, tmp_path)
    assert done.returncode == 1
    assert f"{name} cannot be read at the moment: " in " ".join(done.stderr.split())
    # Two times a second or two, and what it takes to start.
    assert time.monotonic() - started < 50
    assert not (tmp_path / "fileset.yaml").exists()


@pytest.mark.skipif(shutil.which("cmsd") is None, reason="no cmsd: apt-get install xrootd-server")
def test_a_redirector_lists_the_files_of_all_its_servers(data_files, selection_path, tmp_path):
    """And none while one of them is lost: half of the files would be a wrong result."""
    manager = f"all.manager 127.0.0.1:{(port := free_port())}\ncms.allow host *\n"
    rest = "cms.delay startup 1 servers 1 lookup 1\n"
    halves = [
        Server(
            {f"set/run_{i}.root": data_files[i] for i in numbers},
            role=f"{manager}{rest}all.role server\n",
        )
        for numbers in ((0, 2), (1,))
    ]
    head = Server({}, role=f"{manager}{rest}all.role manager\nif exec cmsd\nxrd.port {port}\nfi\n")
    url = head.url("set/run_*.root")
    expected = [head.url(f"set/run_{i}.root") for i in range(3)]
    try:
        for server in (head, *halves):
            server.start()
            server.join()
        end = time.monotonic() + 60
        found = []
        while found != expected and time.monotonic() < end:
            # They need seconds to find each other.
            with suppress(FilesetError, FileFormatError):
                found = [f.path for f in resolve_inputs(url).files]
            time.sleep(0.2)
        assert found == expected
        run(selection_path, url, tmp_path / "out")
        run(selection_path, data_files, tmp_path / "local")
        assert outputs(tmp_path / "out") == outputs(tmp_path / "local")
        halves[1].stop()
        done = catalogue_soon(url, tmp_path)
        assert done.returncode == 1
        assert "only some of the servers list /set" in " ".join(done.stderr.split())
    finally:
        for server in (head, *halves):
            server.remove()
