"""Background of the muon mode from output folders whose content is known."""

from __future__ import annotations

import json

import hist
import numpy as np
import pytest
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.errors import InferenceError
from na64reco.inference.estimate import Control
from na64reco.inference.muon_background import (
    KAONS,
    MuonOptions,
    estimate_muons,
    momentum_tail,
    scaled,
)
from na64reco.processors.outputs import write_histograms
from na64reco.processors.record import digest_of
from na64reco.processors.skim import SkimWriter
from na64reco.selection import load_selection

from .output_toy import falling

PARTS = ("track.momentum", "track_out.momentum", "ecal.energy", "vhcal.energy", "hcal.energy")
SLOPE = 0.1  # 1/GeV


def muons(rng, tail, *, peak=1000, box=0):
    """Full momentum, a tail that falls exponentially below 140 GeV, and `box` events in the box."""
    hidden = np.random.default_rng(99)
    p_out = np.concatenate(
        [
            rng.normal(160, 5, peak).clip(141, None),
            falling(rng, tail, 80.001, 140.0, SLOPE),
            hidden.uniform(5, 79, box),
        ]
    )
    count = len(p_out)
    columns = {"track.momentum": np.full(count, 160.0), "track_out.momentum": p_out}
    columns |= {"ecal.energy": np.full(count, 0.5), "vhcal.energy": np.zeros(count)}
    columns |= {"hcal.energy": np.full(count, 5.0), "run": np.full(count, 5700)}
    return {k: v.astype(np.uint32 if k == "run" else np.float32) for k, v in columns.items()}


def write(folder, datasets, *, name="muon-invisible-2022", simulated=(), soft=(), unblinded=False):
    """An output folder of `na64reco run`; `soft` is E_CAL of events below 80 GeV/c."""
    folder.mkdir(parents=True)
    selection = load_selection(name)
    with SkimWriter(folder / "selected.root", ["run", *PARTS], list(datasets)) as writer:
        for key, content in datasets.items():
            writer.add(key, content)
    spectrum = hist.Hist(hist.axis.Regular(220, 0, 220, name="calo.all"))
    spectrum.fill(list(soft))
    named = {"calo_soft__vhcal__soft": spectrum}
    write_histograms(folder / "histograms.root", dict.fromkeys(datasets, named))
    plain = selection.model_dump(mode="json", by_alias=True)
    record = {
        "selection": {"name": name, "sha256": digest_of(plain), "content": plain},
        "setup": {"name": selection.setup},
        "blinding": {"region": "signal", "unblinded": unblinded, "frozen_box": None},
        "datasets": {n: {"simulated": n in simulated} for n in datasets},
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_tail_of_the_momentum_in_closed_form():
    """N exp(-0.1 x 60) ... integrated below 80, and its scatter over pseudo-experiments."""
    truth = 400 * np.expm1(SLOPE * 80) / (np.exp(SLOPE * 140) - np.exp(SLOPE * 80))
    rng, pulls = np.random.default_rng(2), []
    for _ in range(15):
        content = muons(rng, rng.poisson(400))
        p_in, p_out = (content[n].astype(np.float64) for n in PARTS[:2])
        found, number = momentum_tail(
            p_in, p_out, np.ones(len(p_in)), beam=160.0, box=80.0, rng=rng, toys=100
        )
        assert number == len(p_in)
        pulls.append(np.log(found.nominal.value / truth) / found.nominal.log_error)
    assert abs(np.mean(pulls)) < 0.7
    assert np.std(pulls) == pytest.approx(1, abs=0.45)


def test_muons_of_another_momentum_do_not_count():
    """Two standard deviations of 3.8 % about 160 GeV: 147.8 to 172.2 [arXiv:2401.01708]."""
    content = muons(np.random.default_rng(3), 100)
    p_out = content["track_out.momentum"].astype(np.float64)
    for p_in, inside in ((147.9, True), (147.7, False), (172.1, True), (172.3, False)):
        found, number = momentum_tail(
            np.full(len(p_out), p_in), p_out, np.ones(len(p_out)),
            beam=160.0, box=80.0, rng=np.random.default_rng(1), toys=100,
        )  # fmt: skip
        assert (found.fit.events > 0) == inside
        assert (number > 0) == inside


def test_events_in_the_box_change_nothing(tmp_path):
    found = [
        estimate_muons(
            [write(tmp_path / f"{box}", {"runs": muons(np.random.default_rng(4), 100, box=box)})],
            MuonOptions(toys=100),
        )[0]
        for box in (0, 20)
    ]
    assert found[0].components == found[1].components
    assert found[1].observed is None


def test_shape_of_calibration_triggers_number_of_physics_triggers(tmp_path):
    rng = np.random.default_rng(5)
    calibration = write(
        tmp_path / "c", {"beam": muons(rng, 2000, peak=40_000)}, name="muon-calibration-2022"
    )
    physics = write(tmp_path / "p", {"runs": muons(rng, 0, peak=100)})
    (found,) = estimate_muons([physics, calibration], MuonOptions(toys=100))
    truth = 2000 * np.expm1(SLOPE * 80) / (np.exp(SLOPE * 140) - np.exp(SLOPE * 80))
    component = found.components[0]
    assert component.value == pytest.approx(truth * 100 / 42_000, rel=0.4)
    # 10 % for 100 muons, beside what the shape leaves open.
    assert component.systematic >= 0.1 * component.value


def test_non_hermeticity_of_a_flat_spectrum(tmp_path):
    """As many per GeV in the box as above it: 12/100 of 1000 events."""
    soft = np.random.default_rng(6).uniform(12, 112, 1000)
    folder = write(tmp_path / "o", {"runs": muons(np.random.default_rng(6), 50)}, soft=soft)
    (found,) = estimate_muons([folder], MuonOptions(toys=100))
    last = found.components[-1]
    assert last.name == "non-hermeticity"
    assert last.value == pytest.approx(120, abs=3 * np.hypot(last.statistical, last.systematic))
    assert last.statistical < 30


def test_kaons_by_their_rate(tmp_path):
    """20 of 1e5 kaons in the box, 3e-8 kaons per muon: 0.06 of 1e10 muons."""
    kaons = muons(np.random.default_rng(7), 0, peak=5, box=20)
    data = muons(np.random.default_rng(8), 100)
    folder = write(tmp_path / "o", {"runs": data, "kaons": kaons}, simulated=["kaons"])
    options = MuonOptions(muons=1e10, kaon="kaons", kaons=1e5, toys=100)
    (found,) = estimate_muons([folder], options)
    component = next(c for c in found.components if c.name == "kaon decays")
    assert component.value == pytest.approx(1e10 * KAONS * 20 / 1e5)
    assert component.value == pytest.approx(0.06)
    assert component.statistical == pytest.approx(0.06 / np.sqrt(20))
    assert scaled(component, 5.0).value == pytest.approx(0.3)
    with pytest.raises(InferenceError, match=r"needs the muons on target of the data \(--eot"):
        estimate_muons([folder], MuonOptions(kaon="kaons", kaons=1e5, toys=100))
    with pytest.raises(InferenceError, match=r"no simulated dataset 'kaon'.*Did you mean 'kaons'"):
        estimate_muons([folder], MuonOptions(muons=1e10, kaon="kaon", kaons=1e5, toys=100))


def test_a_control_sample_takes_the_place_of_a_fit(tmp_path):
    folder = write(tmp_path / "o", {"runs": muons(np.random.default_rng(9), 100)})
    options = MuonOptions(toys=100, controls={"momentum": Control(4, 0.5, 0.1)})
    (found,) = estimate_muons([folder], options)
    assert [c.name for c in found.components] == ["momentum", "non-hermeticity"]
    assert found.components[0].value == pytest.approx(2.0)


def test_what_is_missing_is_said(tmp_path):
    rng = np.random.default_rng(10)
    simulated = write(tmp_path / "s", {"mc": muons(rng, 5)}, simulated=["mc"])
    with pytest.raises(InferenceError, match=r"no data in .*only simulated datasets \(mc\)"):
        estimate_muons([simulated], MuonOptions())
    with pytest.raises(InferenceError, match=r"no dataset 'mcc' in any folder.*Did you mean 'mc'"):
        estimate_muons([simulated], MuonOptions(data=("mc", "mcc")))
    calibration = write(tmp_path / "c", {"runs": muons(rng, 5)}, name="muon-calibration-2022")
    with pytest.raises(InferenceError, match="are of calibration triggers; give"):
        estimate_muons([calibration], MuonOptions())
    electrons = tmp_path / "e"
    electrons.mkdir()
    with pytest.raises(InferenceError, match=r"must limit track_out\.momentum"):
        estimate_muons([electrons], MuonOptions())
    bare = write(tmp_path / "b", {"runs": muons(rng, 5)})
    record = json.loads((bare / "run.json").read_text())
    del record["selection"]["content"]["histograms"]["calo_soft"]
    (bare / "run.json").write_text(json.dumps(record))
    with pytest.raises(InferenceError, match=r"no histogram .calo_soft. of calo\.all"):
        estimate_muons([bare], MuonOptions())


def test_the_command_shows_the_published_table(tmp_path):
    folder = write(tmp_path / "o", {"runs": muons(np.random.default_rng(11), 100)})
    runner = CliRunner(env={"COLUMNS": "250", "NO_COLOR": "1", "TERM": "dumb"})
    done = runner.invoke(app, ["background", str(folder), "--eot", "2e10", "--toys", "100"])
    assert done.exit_code == 0, done.output
    assert "0.07 +- 0.03" in done.output
    assert "arXiv:2401" in done.output
    assert "blinded" in done.output
    record = json.loads((folder / "background.json").read_text())
    (period,) = record["periods"].values()
    assert [c["name"] for c in period["components"]] == ["momentum", "non-hermeticity"]
    assert (folder / "pictures" / "background.png").is_file()
