from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
import uproot
import yaml

HEAVY = [
    "awkward",
    "coffea",
    "dask",
    "distributed",
    "hist",
    "matplotlib",
    "numba",
    "scipy",
    "uproot",
]


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['na64reco', 'run', '--help']\n"
        "from na64reco.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "[]"
    assert "Examples" in done.stdout
    # 0.4 s on an idle machine.
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    "name",
    [
        *("simulate", "inspect", "catalogue", "run", "freeze", "setups", "selections"),
        *("efficiency", "exposure", "compare"),
    ],
)
def test_every_command_has_an_example(command, name):
    done = command(name, "--help")
    assert done.exit_code == 0
    assert "Example" in done.stdout
    assert f"na64reco {name}" in done.stdout
    assert name in command("--help").stdout


def test_version(command):
    from na64reco.version import __version__

    assert command("--version").stdout == f"na64reco {__version__}\n"


def test_usage_errors_have_exit_code_2(command):
    assert command("nosuch").exit_code == 2
    assert command("run", "x").exit_code == 2
    assert command("run", "x", "y", "-o", "z", "--executor", "magic").exit_code == 2
    done = command("catalogue", "x.root")
    assert done.exit_code == 2
    assert "Give -o FILE, or --json" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["run", "electron-invisble-2022", "x.root", "-o", "out"],
            "Did you mean 'electron-invisib",
        ),
        (["run", "electron-invisible-2022", "nothing/*.root", "-o", "out"], "No file matches"),
        (
            ["run", "electron-invisible-2022", "none.root", "-o", "out"],
            "There is no file none.root",
        ),
        (["run", "electron-invisible-2022", "x.root", "-o", "."], "--overwrite"),
        (
            ["run", "electron-invisible-2022", "x.root", "-o", "out", "--scheduler", "tcp://1:2"],
            "--scheduler goes with --executor dask",
        ),
        (["simulate", "2023-electron", "electron", "-o", "x.root"], "There is no setup"),
        (["freeze", "electron-calibration-2022x", "-o", "x"], "There is no selection"),
        (["catalogue", "none.root", "-o", "x.yaml"], "There is no file none.root"),
    ],
)
def test_errors_are_messages_with_exit_code_1(command, arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(*arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_run_prints_tables_and_writes_everything(command, sample, tmp_path):
    out = tmp_path / "out"
    done = command(
        *("run", "electron-invisible-2022", f"mc={sample}/mc.root", f"{sample}/data.root"),
        *("-o", out, "--picture"),
    )
    assert done.exit_code == 0, done.output
    assert "Cutflow of mc" in done.stdout
    assert "Cutflow of events" in done.stdout
    signal = [line for line in done.stdout.splitlines() if line.startswith("│ signal")]
    assert len(signal) == 2
    assert "hidden" not in signal[0]
    assert "hidden" in signal[1]
    assert "400 events read, 0 skipped, of 400 in 2 files" in done.stdout
    names = {p.name for p in out.iterdir()}
    assert names == {
        "counts.json",
        "cutflow.json",
        "ecal_hcal.pdf",
        "ecal_hcal.png",
        "histograms.root",
        "ledger.json",
        "run.json",
        "selected.root",
    }
    assert all(str(out / name) in done.stdout for name in names)
    again = command("run", "electron-invisible-2022", f"{sample}/mc.root", "-o", out)
    assert again.exit_code == 1
    assert "exists. Choose another one (-o), or replace it with --overwrite" in again.stderr


def test_run_in_json_and_with_more_processes(command, sample, tmp_path, parse):
    results = []
    for name, options in {
        "one": ["--chunk-size", 70],
        "two": ["--executor", "futures", "--workers", 2, "--chunk-size", 90],
    }.items():
        done = command(
            *("run", "electron-invisible-2022", f"mc={sample}/mc.root", "-o", tmp_path / name),
            *("--json", *options),
        )
        assert done.exit_code == 0, done.output
        results.append(parse(done.stdout))
        assert not (tmp_path / name / "ecal_hcal.png").exists()
    one, two = results
    assert one["cutflow"] == two["cutflow"]
    assert one["cutflow"] == parse((tmp_path / "one" / "cutflow.json").read_text())
    assert one["events"] == {"in_files": 200, "read": 200, "skipped": 0}
    assert one["cutflow"]["mc"][0]["cut"] == "trigger"
    assert one["cutflow"]["mc"][0]["total"] == 200


def test_a_folder_that_cannot_be_written_is_an_error(command, sample, tmp_path):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    done = command("run", "electron-invisible-2022", sample / "mc.root", "-o", out)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {tmp_path}/file")
    assert "Traceback" not in done.stderr


def test_skipped_files_are_reported(command, sample, tmp_path, parse):
    broken = tmp_path / "broken.root"
    broken.write_bytes((sample / "mc.root").read_bytes()[:5000])
    arguments = [
        "run",
        "electron-invisible-2022",
        sample / "mc.root",
        broken,
        "-o",
        tmp_path / "out",
    ]
    fatal = command(*arguments)
    assert fatal.exit_code == 1
    assert "broken.root is truncated" in fatal.stderr
    done = command(*arguments, "--skip-bad-files")
    assert done.exit_code == 0
    assert "Warning: skipped" in done.stderr
    assert "broken.root is truncated" in done.stderr
    assert "200 events read, an unknown number skipped, of an unknown number in 2 files (1" in (
        done.stdout
    )


def test_simulate_refuses_to_overwrite_and_repeats_itself(command, sample, tmp_path):
    path = tmp_path / "x.root"
    arguments = ["simulate", "2022-electron", "muon", "-n", 20, "--trigger", "none", "-o", path]
    assert command(*arguments).exit_code == 0
    with uproot.open(path) as file:
        first = file["Events"]["ECAL_amplitude"].array().tolist()
        assert "MC_process" in file["Events"].keys()  # noqa: SIM118 - branches
    refused = command(*arguments)
    assert refused.exit_code == 1
    assert "is there already" in refused.stderr
    assert command(*arguments, "--overwrite", "--format", "rntuple").exit_code == 0
    with uproot.open(path) as file:
        assert file["Events"]["ECAL.amplitude"].array().tolist() == first
    with uproot.open(sample / "data.root") as file:
        assert not [b for b in file["Events"].keys() if b.startswith("MC_")]  # noqa: SIM118


def test_simulate_waveforms_and_inspect_them(command, tmp_path, parse):
    path = tmp_path / "w.root"
    arguments = ["simulate", "2022-electron", "electron", "-n", 20, "--trigger", "none"]
    assert command(*arguments, "--waveforms", "-o", path).exit_code == 0
    with uproot.open(path) as file:
        keys = file["Events"].keys()
        samples = file["Events"]["ECAL_samples"].array()
    for name in ("Counter", "ECAL", "HCAL", "SRD", "VETO"):
        assert f"{name}_samples" in keys
        assert f"{name}_amplitude" not in keys
        assert f"{name}_time" not in keys
    assert str(samples.type) == "20 * var * 32 * uint16"
    done = command("inspect", path, "--setup", "2022-electron", "--json")
    assert done.exit_code == 0
    assert parse(done.stdout)["waveforms"]["ECAL"]["number"] == sum(len(e) for e in samples)
    assert "waveforms, 0 clipped, 0 all zero" in command("inspect", path).stdout


def test_values_that_the_simulation_refuses_are_wrong_usage(command, tmp_path):
    done = command(
        *("simulate", "2022-electron", "signal", "-n", 5, "--model", "dark-foton"),
        *("-o", tmp_path / "x.root"),
    )
    assert done.exit_code == 2
    assert "Did you mean 'dark-photon'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_inspect(command, sample, tmp_path, parse):
    done = command("inspect", sample / "mc.root", "--setup", "2022-electron", "--json")
    assert done.exit_code == 0, done.output
    report = parse(done.stdout)
    assert (report["entries"], report["sound"], report["simulated"]) == (200, True, True)
    shown = command("inspect", sample / "mc.root")
    assert "200 events in Events" in shown.stdout
    assert "ECAL_amplitude" in shown.stdout
    (tmp_path / "bad.root").write_bytes(b"root")
    bad = command("inspect", tmp_path / "bad.root")
    assert bad.exit_code == 1
    assert "Problem:" in bad.stdout


def test_catalogue(command, sample, tmp_path, parse):
    path = tmp_path / "fileset.yaml"
    done = command("catalogue", f"mc={sample}/mc.root", f"data={sample}/data.root", "-o", path)
    assert done.exit_code == 0, done.output
    assert "2 files, 400 events" in done.stderr
    content = yaml.safe_load(path.read_text())
    facts = content["mc"]["files"][str(sample / "mc.root")]
    assert facts["entries"] == 200
    assert facts["simulated"] is True
    again = command("catalogue", sample / "mc.root", "-o", path)
    assert again.exit_code == 1
    assert "exists" in again.stderr
    printed = parse(command("catalogue", f"mc={sample}/mc.root", "--json").stdout)
    assert printed["mc"]["files"] == content["mc"]["files"]
    ran = command("run", "electron-calibration-2022", path, "-o", tmp_path / "out", "--json")
    assert ran.exit_code == 0, ran.output
    assert parse(ran.stdout)["events"]["read"] == 400


def test_freeze_and_unblind(command, sample, tmp_path, parse):
    box = tmp_path / "box.yaml"
    done = command("freeze", "electron-invisible-2022", "-o", box, "--json")
    assert done.exit_code == 0
    assert parse(done.stdout)["region"] == "signal"
    assert "a box is frozen once" in command("freeze", "electron-invisible-2022", "-o", box).stderr
    arguments = ["run", "electron-invisible-2022", sample / "data.root", "--json", "-o"]
    hidden = parse(command(*arguments, tmp_path / "hidden").stdout)
    shown = parse(command(*arguments, tmp_path / "shown", "--unblind", box).stdout)
    assert hidden["regions"]["events"][0]["passed"] is None
    assert shown["regions"]["events"][0]["passed"] is not None
    other = command(
        "run", "electron-invisible-2021", sample / "data.root", "-o", "x", "--unblind", box
    )
    assert other.exit_code == 1
    assert "is not that of the selection" in other.stderr


@pytest.mark.parametrize("name", ["setups", "selections"])
def test_lists(command, name, parse):
    found = parse(command(name, "--json").stdout)
    names = [entry["name"] for entry in found]
    assert any("2022" in n for n in names)
    shown = command(name).stdout
    assert all(n in shown for n in names)


def test_an_interrupt_leaves_nothing_behind(command, sample, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("na64reco.processors.job.process_files", interrupt)
    done = command("run", "electron-invisible-2022", sample / "mc.root", "-o", tmp_path / "out")
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert json.dumps(done.stdout) == '""'
