"""The templates of docs/cluster on real batch systems, which are started here for one machine.

Slurm runs from Debian's packages. HTCondor is no part of Debian 12, and takes no jobs of root:
that half runs where it is installed and the tests are another user's.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from na64reco.processors import run

ROOT = Path(__file__).parents[2]
OUTPUTS = ("histograms.root", "selected.root", "cutflow.json", "counts.json", "ledger.json")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

# Looks twice a second, so that the test need not wait; otherwise the template as it is.
START = """
import runpy, sys
from na64reco.processors import batch
batch.INTERVAL = 0.5
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

pytestmark = [
    pytest.mark.skipif(not (ROOT / "docs" / "cluster").is_dir(), reason="a checkout is needed"),
    pytest.mark.filterwarnings("ignore:.*(Port|dashboard|unclosed|Dashboard)"),
]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(holds, seconds, what):
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds} s: {what()}"
        time.sleep(0.1)
    return found


class System:
    """A batch system of this machine with two processors; its daemons live in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.daemons = []
        self.environment = {
            **os.environ,
            "PATH": PATH,
            f"DASK_JOBQUEUE__{self.name.upper()}__INTERFACE": "lo",
            "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "2s",
        }

    def call(self, *command):
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        ).stdout

    def daemon(self, *command):
        with (self.folder / f"{command[0]}.out").open("w") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, cwd=self.folder
            )
        self.daemons.append(process)

    def said(self):
        """What the daemons wrote, for a message."""
        logs = [*self.folder.glob("*.out"), *self.folder.glob("log/*")]
        return "\n".join(f"{p.name}: {p.read_text(errors='replace')[-500:]}" for p in logs)

    def stop(self):
        self.clear()
        until(lambda: not self.jobs(), 20, self.said)
        for process in reversed(self.daemons):
            process.terminate()
        for process in reversed(self.daemons):
            process.wait(30)

    def processes(self):
        """All that know this folder: daemons, jobs, workers."""
        found = []
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values()]
            except psutil.Error:
                continue
            if any(str(self.folder) in word for word in words) and process.pid != os.getpid():
                found.append(process)
        return found


class Slurm(System):
    name = "slurm"
    commands = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch")
    install = "apt-get install munge slurmctld slurmd slurm-client"
    refused = ('"short"', '"nosuch"', "Invalid partition name specified")

    def start(self):
        user, folder = getpass.getuser(), self.folder
        for name in ("state", "spool", "log"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(
            f"""\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=4096 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES State=UP
"""
        )
        self.environment["SLURM_CONF"] = str(folder / "slurm.conf")
        key, munge = folder / "munge.key", folder / "munge.socket"
        self.call("mungekey", "--create", f"--keyfile={key}")
        files = {"key-file": key, "socket": munge, "pid-file": folder / "munged.pid"}
        files |= {"log-file": folder / "munged.log", "seed-file": folder / "munged.seed"}
        options = (f"--{name}={path}" for name, path in files.items())
        self.daemon("munged", "--foreground", "--force", "--num-threads=2", *options)
        until(munge.exists, 10, self.said)
        self.daemon("slurmctld", "-D", "-c")
        self.daemon("slurmd", "-D", "-N", "localhost")
        until(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T"), 20, self.said)

    def jobs(self):
        return self.call("squeue", "--noheader", "--format=%A").split()

    def clear(self):
        self.call("scancel", *self.jobs())

    def pause(self):
        self.call("scontrol", "update", "nodename=localhost", "state=drain", "reason=test")

    def resume(self):
        self.call("scontrol", "update", "nodename=localhost", "state=resume")

    def cancel(self, job):
        self.call("scancel", job)

    def requeue(self, job):
        self.call("scontrol", "requeue", job)


class HTCondor(System):
    name = "htcondor"
    commands = ("condor_master", "condor_schedd", "condor_startd", "condor_submit")
    install = "apt-get install condor (Debian 13)"
    refused = ('"getenv": "True"', '"universe": "nosuch"', "nosuch")

    def start(self):
        usr = Path(shutil.which("condor_master", path=PATH)).resolve().parents[1]
        for name in ("log", "spool", "execute", "lock", "run", "cred"):
            (self.folder / name).mkdir()
        (self.folder / "condor_config").write_text(
            f"""\
RELEASE_DIR = {usr}
LOCAL_DIR = {self.folder}
BIN = {usr}/bin
SBIN = {usr}/sbin
LIB = {usr}/lib/condor
LIBEXEC = {usr}/libexec/condor
SHARE = {usr}/share/condor
LOG = $(LOCAL_DIR)/log
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
RUN = $(LOCAL_DIR)/run
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/cred
SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/cred
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
FULL_HOSTNAME = localhost
NETWORK_HOSTNAME = localhost
DEFAULT_DOMAIN_NAME = localdomain
NO_DNS = True
ENABLE_IPV6 = False
COLLECTOR_HOST = 127.0.0.1:{free_port()}
USE_SHARED_PORT = False
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD
use SECURITY : HOST_BASED
ALLOW_READ = 127.0.0.1
ALLOW_WRITE = 127.0.0.1
ALLOW_DAEMON = 127.0.0.1
ALLOW_NEGOTIATOR = 127.0.0.1
ALLOW_ADMINISTRATOR = 127.0.0.1
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, CLAIMTOBE
NUM_CPUS = 2
MEMORY = 6000
NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = cpus=100%
SLOT_TYPE_1_PARTITIONABLE = True
START = True
SUSPEND = False
PREEMPT = False
KILL = False
BASE_CGROUP =
NEGOTIATOR_INTERVAL = 3
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 5
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 5
"""
        )
        self.environment["CONDOR_CONFIG"] = str(self.folder / "condor_config")
        self.daemon("condor_master", "-f")
        until(lambda: "slot1" in self.call("condor_status", "-autoformat", "Name"), 60, self.said)

    def jobs(self):
        return self.call(
            "condor_q", "-format", "%d.", "ClusterId", "-format", "%d ", "ProcId"
        ).split()

    def clear(self):
        self.call("condor_rm", "-all")

    def _start(self, what):
        with (self.folder / "condor_config").open("a") as config:
            config.write(f"START = {what}\n")
        self.call("condor_reconfig", "-all")

    def pause(self):
        self._start("False")

    def resume(self):
        self._start("True")

    def cancel(self, job):
        self.call("condor_rm", job)

    def requeue(self, job):
        self.call("condor_vacate_job", "-fast", job)


@pytest.fixture(scope="module", params=[Slurm, HTCondor], ids=lambda kind: kind.name)
def system(request):
    pytest.importorskip("dask_jobqueue", reason="pip install 'na64reco[cluster]'")
    kind = request.param
    if lacking := [c for c in kind.commands if shutil.which(c, path=PATH) is None]:
        pytest.skip(f"no {', '.join(lacking)} here: {kind.install}")
    if kind is HTCondor and os.getuid() == 0:
        pytest.skip("HTCondor takes no jobs of root")
    # Not below pytest's own folder: a socket's name must be short.
    folder = Path(tempfile.mkdtemp(prefix=f"na64reco-{kind.name}-"))
    found = kind(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        try:
            until(lambda: not found.processes(), 20, found.processes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Script:
    """A template of docs/cluster in a process of its own, as a user starts it."""

    def __init__(self, system, folder, jobs, *, replace=(), environment=()):
        text = (ROOT / "docs" / "cluster" / f"{system.name}.py").read_text()
        if replace:
            assert replace[0] in text
            text = text.replace(*replace)
        (folder / "script.py").write_text(text)
        self.errors = folder / "errors"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, "script.py", str(jobs)],
                cwd=folder,
                env={**system.environment, **dict(environment)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def said(self):
        return self.errors.read_text()

    def says(self, pattern, seconds=30):
        """Wait for the latest line to be like this."""

        def latest():
            return self.said().rpartition("\n")[0].rpartition("\n")[2]

        until(lambda: re.search(pattern, latest()), seconds, self.said)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


def outputs(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}


def test_a_run_outlives_its_jobs(system, selection_path, data_files, tmp_path):
    run(selection_path, data_files, tmp_path / "alone", chunk_size=100)
    system.pause()
    with Script(system, tmp_path, 2) as script:
        address = script.process.stdout.readline().strip()
        assert address.startswith("tcp://127.0.0.1:")
        script.says(r"^0 of 2 jobs have a worker; .* without: (PENDING \(|IDLE)")
        system.resume()
        script.says("^2 of 2 jobs have a worker")
        jobs = system.jobs()
        assert len(jobs) == 2

        def lose_both(done, total):
            if done == 500:
                system.cancel(jobs[0])
                system.requeue(jobs[1])
                script.says("^0 of 2 jobs have a worker")

        options = {"executor": "dask", "scheduler": address, "chunk_size": 100}
        run(selection_path, data_files, tmp_path / "out", progress=lose_both, **options)
        assert outputs(tmp_path / "out") == outputs(tmp_path / "alone")
        script.says("^2 of 2 jobs have a worker")
        assert jobs[0] not in system.jobs()
        assert script.end() == 0
    until(lambda: not system.jobs(), 10, system.jobs)


def test_jobs_that_the_queue_refuses(system, tmp_path):
    *replace, words = system.refused
    with Script(system, tmp_path, 2, replace=replace) as script:
        assert script.process.wait(30) == 1
        assert script.process.stdout.read() == ""
    assert script.said().startswith("Error: The batch system takes no job.")
    assert words in script.said()
    assert "Traceback" not in script.said()


def test_jobs_that_end_before_their_worker_comes(system, tmp_path):
    python = {f"DASK_JOBQUEUE__{system.name.upper()}__PYTHON": "/bin/false"}
    with Script(system, tmp_path, 1, environment=python) as script:
        assert script.process.wait(90) == 1
    assert "Error: 3 jobs in a row ended before a dask worker of theirs came." in script.said()
    assert "Traceback" not in script.said()
    assert not system.jobs()
