"""From output folders to counting.json; blindness; what is written and printed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import InferenceError, SelectionError
from na64reco.inference.background_record import read_background
from na64reco.inference.counting import read_counting
from na64reco.inference.estimate import Options, Simulated, estimate
from na64reco.inference.frozen_choice import choice_for
from na64reco.inference.selected import read_folder
from na64reco.selection import check_frozen_box, freeze_box, load_selection

from .output_toy import data_events, write_output


@pytest.fixture
def command():
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return lambda *arguments: runner.invoke(app, [str(a) for a in arguments])


def made(seed=1, **content):
    return data_events(np.random.default_rng(seed), **content)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """90 events of sideband A, 40 of sideband C."""
    return write_output(tmp_path_factory.mktemp("one") / "out", {"events": made(punch=40)})


def test_one_command_makes_everything(output, command, tmp_path):
    done = command(
        "background", output, "-o", tmp_path, "--eot", "9.1e11,5e10", "--kappa", "0.5,0.05"
    )
    assert done.exit_code == 0, done.output
    assert "blinded" in done.stdout
    (counting,) = read_counting(tmp_path)
    assert counting.blinded
    assert counting.period == "2022"
    assert counting.threshold.value == 47.0
    assert counting.exposure.value == 9.1e11
    assert counting.kappa.error == 0.05
    assert [c.name for c in counting.background.components] == ["upstream", "punch-through"]
    eta = np.interp(
        [30, 53, 80],
        *(
            np.array(getattr(counting.signal_efficiency, n))
            for n in ("missing_energy", "efficiency")
        ),
    )
    assert eta == pytest.approx([0, 0.5, 1], abs=1e-4)
    record = read_background(tmp_path)
    found = record["periods"]["2022"]
    exponential = found["sidebands"]["A"]["shapes"]["exponential"]
    # Truth: 90 events of exp(x / 8).
    assert exponential["box"]["value"] == pytest.approx(0.42, rel=3 * 0.7)
    assert len(found["choice"]["ecal"]["reach"]) == len(found["choice"]["ecal"]["thresholds"])
    for name in ("background", "box"):
        assert (tmp_path / "pictures" / f"{name}.png").stat().st_size > 10_000


def test_nothing_depends_on_what_is_in_the_box(command, tmp_path):
    """A folder that was unblinded by mistake or holds truth: numbers, text, pictures are the same."""
    texts = []
    for box in (0, 25):
        events = made(punch=40, box=box) | {}
        weights = np.ones(len(events["run"]))
        out = write_output(
            tmp_path / f"out{box}", {"beam": events | {"mc.weight": weights}}, simulated=("beam",)
        )
        target = tmp_path / f"found{box}"
        done = command(
            *("background", out, "--data", "beam", "-o", target, "--eot", "1e12", "--json")
        )
        assert done.exit_code == 0, done.output
        record = json.loads(done.stdout)
        for key in ("date", "folders", "written"):
            del record[key]
        pictures = [p.read_bytes() for p in sorted((target / "pictures").iterdir())]
        texts.append((json.dumps(record), (target / "counting.json").read_text(), pictures))
        (counting,) = read_counting(target)
        assert counting.observed is None
        folder = read_folder(out, data=["beam"])
        data = folder.periods[0].data
        assert not np.any((data.ecal < 47) & (data.hcal < 1))
    assert texts[0] == texts[1]


def test_the_count_is_there_with_the_frozen_box_alone(tmp_path):
    selection = load_selection("electron-invisible-2022")
    box = freeze_box(selection, tmp_path / "box.yaml")
    frozen = {"sha256": box.sha256, "date": box.date}
    out = write_output(tmp_path / "open", {"events": made(punch=40, box=2)}, frozen=frozen)
    (found,) = estimate([out], Options(toys=100))
    assert found.counting.observed == 2
    assert found.counting.frozen_box == box.sha256
    closed = write_output(tmp_path / "closed", {"events": made(punch=40, box=2)})
    (blind,) = estimate([closed], Options(toys=100))
    assert blind.counting.observed is None
    assert blind.counting.background == found.counting.background


def test_folders_of_one_period_are_added(tmp_path):
    first = write_output(tmp_path / "a", {"events": made(1, punch=40)})
    second = write_output(tmp_path / "b", {"events": made(2, punch=20)})
    (found,) = estimate([first, second], Options(toys=100))
    assert found.upstream.fit.events == 180
    assert len(found.data.data) == 240
    other = write_output(
        tmp_path / "c",
        {"events": made(3, run=5100, edge=50.0)},
        selection="electron-invisible-2021",
    )
    both = estimate([first, other], Options(toys=100))
    assert [(p.data.setup, p.data.name) for p in both] == [
        ("2022-electron", "2022"),
        ("2021-electron", "2021"),
    ]
    assert [p.counting.threshold.value for p in both] == [47.0, 50.0]


def test_periods_of_one_name_keep_their_setups(tmp_path, command):
    """Selections without periods: "all" of 2018 and "all" of 2016 are two."""
    outs = [
        write_output(
            tmp_path / year,
            {"events": made(run=run, edge=50.0, top=80.0)},
            selection=f"electron-invisible-{year}",
        )
        for year, run in (("2018", 4000), ("2016", 2000))
    ]
    done = command("background", *outs, "-o", tmp_path, "--no-picture", "--toys", "100")
    assert done.exit_code == 0, done.output
    assert [c.period for c in read_counting(tmp_path)] == ["2016-electron-all", "2018-electron-all"]
    assert set(read_background(tmp_path)["periods"]) == {"2016-electron-all", "2018-electron-all"}


def test_simulated_backgrounds_and_controls(output, command, tmp_path):
    muons = made(4, sideband=10, punch=10, box=8)
    muons["mc.weight"] = np.full(28, 0.5)
    out = write_output(tmp_path / "out", {"events": made(punch=40), "mu": muons}, simulated=("mu",))
    done = command(
        *("background", out, "-o", tmp_path / "found", "--component", "mu=1e12,0.3"),
        *("--control", "n=4,0.01,0.005", "--eot", "5e11", "--json", "--no-picture"),
    )
    assert done.exit_code == 0, done.output
    parts = {c["name"]: c for c in json.loads(done.stdout)["periods"]["2022"]["components"]}
    assert parts["mu"]["value"] == pytest.approx(8 * 0.5 / 2)
    assert parts["n"]["value"] == pytest.approx(0.04)
    with pytest.raises(InferenceError, match="needs the electrons on target of the data"):
        estimate([out], Options(simulated={"mu": Simulated(1e12)}, toys=100))
    with pytest.raises(InferenceError, match=r"no simulated dataset 'muu'\. Did you mean 'mu'"):
        estimate([out], Options(simulated={"muu": Simulated(1e12)}, toys=100))


def test_an_empty_sideband_is_a_limit_in_words(command, tmp_path):
    out = write_output(tmp_path / "out", {"events": made(sideband=0)})
    done = command("background", out, "--no-picture")
    assert done.exit_code == 0, done.output
    assert "no event in the sideband, slope not measured" in done.stdout
    assert "< 2.5" in done.stdout
    assert "nan" not in done.stdout.lower()
    (counting,) = read_counting(out)
    assert counting.background.value > 1
    assert counting.background.components[0].value is None


def test_a_closure_that_fails_is_said(tmp_path, command):
    """Electrons at the trigger's edge, of large and unequal weights: no p-value tells, closure does."""
    rng = np.random.default_rng(8)
    content = made(8)
    edge = 90 - rng.exponential(1.0, 3000).clip(0, 8)
    content = {
        "ecal.energy": np.concatenate([content["ecal.energy"], edge]),
        "hcal.energy": np.concatenate([content["hcal.energy"], np.full(3000, 0.2)]),
        "run": np.full(len(content["run"]) + 3000, 6100),
        "mc.weight": np.concatenate(
            [np.full(len(content["run"]), 0.125), rng.choice([8.0, 64.0], 3000)]
        ),
    }
    out = write_output(tmp_path / "out", {"run": content}, simulated=("run",))
    options = ("background", out, "--data", "run", "--toys", 100, "--no-picture")
    found = command(*options)
    assert "closure of sideband A fails" in found.output
    assert "(--top)" in found.output
    assert "closure of sideband" not in command(*options, "--top", 80).output


def test_what_cannot_be_used_says_why(tmp_path, output, command):
    with pytest.raises(InferenceError, match=r"is not the output of `na64reco run`: run\.json"):
        read_folder(tmp_path)
    with pytest.raises(InferenceError, match=r"has no dataset 'evnts'\. Did you mean 'events'"):
        read_folder(output, data=["evnts"])
    with pytest.raises(InferenceError, match="has no region 'a' for a sideband"):
        read_folder(output, sideband_a="a")
    with pytest.raises(InferenceError, match="a sideband begins where the box ends"):
        read_folder(output, sideband_c="diagonal")
    events = made() | {"mc.weight": np.ones(90)}
    out = write_output(tmp_path / "mc", {"beam": events}, simulated=("beam",))
    with pytest.raises(InferenceError, match="name it: --data NAME"):
        estimate([out], Options())
    assert command("background", output, tmp_path / "mc").exit_code == 2
    assert "is not 1 to 2 numbers" in command("background", output, "--eot", "x").output


def test_the_choice_is_frozen_with_the_box(output, command, tmp_path):
    assert command("background", output, "-o", tmp_path, "--no-picture").exit_code == 0
    record = read_background(tmp_path)
    choice = record["periods"]["2022"]["choice"]
    choice |= {"threshold_GeV": 46.0, "plateau_GeV": [44.5, 49.0]}
    (tmp_path / "background.json").write_text(json.dumps(record))
    box = tmp_path / "box.yaml"
    done = command("freeze", "electron-invisible-2022", "-o", box, "--choice", tmp_path)
    assert done.exit_code == 0, done.output
    selection = load_selection("electron-invisible-2022")
    frozen = check_frozen_box(selection, box)
    assert frozen.choice["periods"]["2022"]["best_GeV"] == 46.0
    assert frozen.choice["periods"]["2022"]["threshold_GeV"] == 47.0
    # Editing the choice afterwards is found out.
    box.write_text(box.read_text().replace("best_GeV: 46.0", "best_GeV: 47.0"))
    with pytest.raises(SelectionError, match="was changed after it was frozen"):
        check_frozen_box(selection, box)
    choice["plateau_GeV"] = [41.0, 44.0]
    (tmp_path / "background.json").write_text(json.dumps(record))
    with pytest.raises(InferenceError, match=r"is not what .* found best: 46 GeV, or 41 to 44 GeV"):
        choice_for(selection, tmp_path)
    choice |= {"plateau_GeV": [41.0, 50.0], "blinded_below_GeV": 45.0}
    (tmp_path / "background.json").write_text(json.dumps(record))
    with pytest.raises(InferenceError, match="events above 45 GeV were visible"):
        choice_for(selection, tmp_path)


def test_efficiency_and_exposure_of_the_folders(tmp_path):
    """As `na64reco efficiency` and `exposure` write them: folders are added, kappa averaged."""
    from na64reco.inference.efficiency_results import (
        DatasetEfficiency,
        EfficiencyFile,
        Kappa,
        SignalEfficiency,
    )
    from na64reco.inference.exposure_results import DatasetExposure, ExposureFile, PeriodExposure
    from na64reco.inference.measurement import Measurement

    def number(value, error=0.0, systematic=0.0):
        return Measurement.symmetric(value, error, systematic)

    folders = []
    for seed, (electrons, kappa) in enumerate([(3e11, 0.5), (4e11, 0.4)]):
        out = write_output(tmp_path / f"{seed}", {"events": made(seed, punch=20)})
        folders.append(out)
        total = PeriodExposure(number(electrons, 3e9, 1e10), number(electrons, 3e9, 1e10))
        exposure = DatasetExposure(
            "events", total.particles, total.electrons, number(0.01), {"2022": total}, {}, None
        )
        content = ExposureFile("s", "2022-electron", {"events": exposure}).to_json()
        (out / "exposure.json").write_text(json.dumps(content))
        found = Kappa(50, 100, number(kappa, 0.01), number(kappa, 0.01, 0.02))
        box = (None, number(0.2, 0.05), number(0.9, 0.01))
        signal = SignalEfficiency(
            edges=(0.0, 40.0, 60.0, 100.0),
            up=number(0.8),
            up_by_energy=(None,) * 3,
            down=(None,) * 3,
            box=box,
            turn_on=None,
            expected_threshold=53.0,
            expected_width=3.0,
        )
        none = (found, {"2022": found}, {}, (), number(0.01), 0.0, None, {}, {})
        datasets = {
            "calibration": DatasetEfficiency("calibration", False, *none, None),
            "signal": DatasetEfficiency(
                "signal", True, None, {}, {}, (), number(0.0), 0.0, None, {}, {}, signal
            ),
        }
        content = EfficiencyFile("s", "2022-electron", 100.0, datasets).to_json()
        (out / "efficiency.json").write_text(json.dumps(content))
    (counting,) = [p.counting for p in estimate(folders, Options(toys=100))]
    assert counting.missing() == ()
    assert counting.exposure.value == 7e11
    assert counting.exposure.statistical == pytest.approx(3e9 * np.sqrt(2))
    assert counting.exposure.systematic == 2e10
    assert counting.kappa.value == pytest.approx(0.45)
    assert counting.kappa.systematic == pytest.approx(0.02)
    assert counting.signal_efficiency.missing_energy == (50.0, 80.0)
    assert counting.signal_efficiency.efficiency == (0.2, 0.9)
