"""A weighted run of the whole beam, from hits to what limits need, against the files' own truth."""

from __future__ import annotations

import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

from na64reco.cli import app
from na64reco.events import inspect_file
from na64reco.inference.counted import Counted, read_counts
from na64reco.inference.counting import read_counting
from na64reco.inference.efficiency_results import load_efficiency
from na64reco.inference.exposure import dataset_exposure
from na64reco.inference.exposure_results import load_exposure
from na64reco.inference.search import load_search
from na64reco.selection import Counts, load_selection
from na64reco.setup import load_setup
from na64reco.simulation import write_simulation


def command(*arguments):
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    done = runner.invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Output folders of a physics run and of two calibration runs, through every command."""
    folder = tmp_path_factory.mktemp("search")
    setup = load_setup("2022-electron")
    run = folder / "run.root"
    write_simulation(run, setup, "beam", None, seed=3, eot=1.3e7, importance=64, prescale=100)
    for number, intensity in ((6111, 1.5e6), (6112, 6e6)):
        options = {"trigger": "beam", "run": number, "intensity": intensity}
        write_simulation(folder / f"{number}.root", setup, "beam", 2500, seed=number, **options)
    command("run", "electron-blind-2022", f"run={run}", "-o", folder / "out", "--no-picture")
    files = [f"cal={folder / f'{n}.root'}" for n in (6111, 6112)]
    options = ["-o", folder / "cal", "--columns", "mc.process", "--no-picture"]
    command("run", "electron-calibration-2022", *files, *options)
    command("efficiency", folder / "cal", "--intensity", 0.5)
    options = ["--data", "run", "--calibration", folder / "cal", "--toys", 100, "--no-picture"]
    command("exposure", folder / "out")
    assert "kappa is that of electrons, the exposure" in command(
        "background", folder / "out", *options
    )
    command("exposure", folder / "out", "--contamination", "0.0045+-0.002")
    assert "kappa is that of electrons" not in command("background", folder / "out", *options)
    return folder


def truth(path):
    return {
        name: float(value)
        for name, value in inspect_file(path).metadata.items()
        if name in {"eot", "scaler", "scaler_live"}
    }


def test_the_blind_selection_is_the_search_with_more_hidden():
    blind, search = (load_selection(f"electron-{name}-2022") for name in ("blind", "invisible"))
    assert blind.cuts == search.cuts
    edges = [s.regions["signal"]["ecal.energy"][1].values["2022"] for s in (blind, search)]
    # Published: 47 to 50 GeV (arXiv:2404.06982), which must not have been seen.
    assert edges[0] > 50.0 >= edges[1]
    assert blind.regions["signal"]["hcal.energy"] == search.regions["signal"]["hcal.energy"]
    for side, bound in (("sideband_a", 0), ("sideband_c", 1)):
        assert blind.regions[side]["ecal.energy"][bound].values["2022"] == edges[0]


def test_exposure_is_what_the_simulation_counted(search):
    """Half a per cent is asked for."""
    live = truth(search / "run.root")["scaler_live"]
    found = load_exposure(search / "out").datasets["run"]
    assert found.particles.value == pytest.approx(live, rel=5e-3)
    assert found.electrons.value == pytest.approx(0.9955 * live, rel=5e-3)


def test_prescaled_beam_triggers_count_by_weight(search):
    """Without scalers: a beam trigger stands for weight x prescale particles."""
    live = truth(search / "run.root")["scaler_live"]
    counted = read_counts(search / "out")
    counts = counted.counts["run"]
    columns = {n: c for n, c in counts.columns.items() if not n.startswith(("scaler", "live"))}
    bare = Counts(counts.cuts, counts.run, counts.spill, columns, counts.curves)
    given = Counted(None, counted.selection, counted.setup, {"run": bare}, {"run": True})
    found = dataset_exposure(given, "run", {}, (0.0, 0.0), None).particles
    # The error is that of the weights; unweighted the number would be too small by far.
    with uproot.open(search / "run.root") as file:
        columns = file["Events"].arrays(["trigger", "prescale", "MC_weight"], library="np")
    beam = (columns["trigger"] & 2) > 0
    weights = columns["MC_weight"][beam].astype(np.float64) * columns["prescale"][beam]
    assert found.value == weights.sum()
    assert found.statistical == pytest.approx(np.sqrt((weights**2).sum()))
    assert abs(found.value - live) < 4 * found.statistical < live
    assert columns["prescale"][beam].sum() < 0.1 * live


def test_kappa_is_the_share_of_true_electrons(search):
    found = load_efficiency(search / "cal").datasets["cal"]
    with uproot.open(search / "cal" / "selected.root") as file:
        events = file["Events"].arrays(["run", "mc_process"], library="np")
    for number, kappa in found.runs.items():
        with uproot.open(search / f"{number}.root") as file:
            electrons = np.count_nonzero(file["Events"]["MC_process"].array(library="np") == 0)
        passed = np.count_nonzero((events["run"] == number) & (events["mc_process"] == 0))
        # Contamination is measured: its error, and nothing else, lies between the two.
        assert kappa.kappa.value == pytest.approx(passed / electrons, abs=0.004)
    assert found.contamination.value == pytest.approx(0.0045, abs=4 * found.contamination.error)
    at = found.pile_up.extrapolated
    assert at.value == pytest.approx(found.runs[6112].kappa.value, abs=4 * at.error)


def test_counting_is_a_search(search):
    (counting,) = read_counting(search / "out")
    assert counting.blinded
    assert not counting.missing()
    assert counting.exposure.value == load_exposure(search / "out").datasets["run"].electrons.value
    at = load_efficiency(search / "cal").datasets["cal"].pile_up.extrapolated
    assert counting.kappa.value == at.value
    # So few particles leave the edge of the trigger alone: next to nothing comes from there, and
    # sideband C is empty, which is a limit and not a zero.
    upstream, punch = counting.background.components
    assert "events in sideband, exponential" in upstream.source
    assert 0 < upstream.value < upstream.upper < 0.1
    assert punch.value is None
    assert punch.upper > 0
    period = load_search(search / "out" / "counting.json").periods["2022"]
    assert period.exposure.value == counting.exposure.value
    assert period.efficiency.value == counting.kappa.value
    assert period.observed is None
    assert period.background.value == counting.background.value
