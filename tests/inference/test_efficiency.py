"""Efficiencies of toys whose truth is known, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from na64reco.errors import InferenceError
from na64reco.inference.counted import Counted
from na64reco.inference.efficiency import (
    correct_for_contamination,
    dataset_efficiency,
    spread_of,
)
from na64reco.inference.measurement import Measurement
from na64reco.selection import apply, count, load_selection
from na64reco.setup import load_setup

SELECTION = """\
name: toy
setup: 2022-electron
blind: signal
periods: {early: [6035, 6499], late: [6500, 6999]}
cuts:
  - {name: trigger, variable: trigger.beam}
  - {name: quality, variable: quality.good}
  - {name: incoming track, variable: track.momentum, window: [90, 110]}
  - {name: SRD, variable: srd.energy, window: [0.001, 0.1]}
  - {name: ECAL pile-up, variable: ecal.energy_out, max: 30}
  - {name: HCAL, variable: hcal.energy, max: 1.0}
regions:
  signal: {ecal.energy: [null, 47], hcal.energy: [null, 1.0], trigger.physics: [1, null]}
  full_energy: {ecal.energy: [80, 120]}
"""
TRACK, SRD, HCAL = 0.95, 0.97, 0.99
TAU = 1.0e-7
"""Spills per particle: exp(-r TAU) of events have no other particle."""


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.yaml"
    path.write_text(SELECTION)
    return load_selection(path)


def kappa_at(rate):
    return TRACK * SRD * HCAL * math.exp(-rate * TAU)


def draw(rng, events, rate, *, hadrons=0.0, run=6100, spill=1):
    """Columns of beam triggers: electrons, and hadrons without synchrotron radiation."""
    hadron = rng.random(events) < hadrons
    late = rng.random(events) < -math.expm1(-rate * TAU)
    srd = np.where(rng.random(events) < SRD, 0.03, 0.0)
    ecal = rng.normal(100, 4, events).clip(82, 118)
    # Half of the hadrons leave little in the ECAL and the HCAL: what only the SRD rejects.
    soft = rng.uniform(1, 60, events)
    hcal = np.where(rng.random(events) < HCAL, 0.2, 3.0)
    return {
        "run": np.full(events, run, np.uint32),
        "spill": np.full(events, spill, np.uint32),
        "trigger.beam": np.ones(events, bool),
        "trigger.physics": np.zeros(events, bool),
        "quality.good": np.ones(events, bool),
        "track.momentum": np.where(rng.random(events) < TRACK, 100.0, np.nan),
        "srd.energy": np.where(hadron, 0.0, srd),
        "ecal.energy": np.where(hadron, soft, ecal),
        "ecal.energy_out": np.where(late, 90.0, 0.0),
        "hcal.energy": np.where(hadron & (rng.random(events) < 0.5), 40.0, hcal),
        "prs.energy": np.full(events, 5.0),
    }


def join(parts):
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def counted(selection, columns, scalars=None, **options):
    counts = count(apply(selection, columns, **options), columns, scalars)
    simulated = {"toy": options.get("simulated", False)}
    return Counted(None, selection, load_setup("2022-electron"), {"toy": counts}, simulated)


def measure(selection, columns, contamination=None, intensity=None, scalars=None, **options):
    found = counted(selection, columns, scalars, **options)
    return dataset_efficiency(found, "toy", contamination, intensity)


def test_kappa_is_unbiased_and_its_interval_covers(selection):
    """200 pseudo-experiments: 0.5 % absolute, 68 +- 5 %."""
    rng = np.random.default_rng(12)
    rate, truth = 3.0e6, kappa_at(3.0e6)
    kappas, covered, f = [], 0, []
    for _ in range(200):
        found = measure(selection, draw(rng, 2000, rate, hadrons=0.01))
        kappa = found.kappa.kappa
        kappas.append(kappa.value)
        f.append(found.contamination.value)
        covered += kappa.low <= truth <= kappa.high
    assert np.mean(kappas) == pytest.approx(truth, abs=0.005)
    # The mean of 200 is known to 0.08 %.
    assert np.mean(kappas) == pytest.approx(truth, abs=0.0025)
    assert np.mean(f) == pytest.approx(0.01, abs=0.0007)
    assert 0.63 <= covered / 200 <= 0.73


def test_kappa_with_a_given_contamination(selection):
    rng = np.random.default_rng(5)
    columns = draw(rng, 40_000, 0.0, hadrons=0.2)
    found = measure(selection, columns, (0.2, 0.01))
    assert found.kappa.raw.value == pytest.approx(0.8 * kappa_at(0), abs=0.008)
    assert found.kappa.kappa.value == pytest.approx(kappa_at(0), abs=0.01)
    # d kappa / d f = kappa / (1 - f)
    expected = found.kappa.kappa.value / 0.8 * 0.01
    assert found.kappa.kappa.systematic == pytest.approx(expected)


def test_correction_in_closed_form():
    raw = Measurement(0.45, 0.44, 0.46, 0.01)
    found = correct_for_contamination(raw, Measurement.symmetric(0.1, 0.0), passing=0.05)
    assert found.value == pytest.approx((0.45 - 0.005) / 0.9)
    assert found.low == pytest.approx((0.44 - 0.005) / 0.9)
    assert 0.9 * found.value + 0.1 * 0.05 == pytest.approx(0.45)


def test_cut_by_cut_and_by_run(selection):
    rng = np.random.default_rng(1)
    parts = [draw(rng, 5000, 0.0, run=run) for run in (6100, 6101, 6600)]
    columns = join(parts)
    found = measure(selection, columns, (0.0, 0.0))
    assert [c.cut for c in found.cuts] == ["incoming track", "SRD", "ECAL pile-up", "HCAL"]
    for cut, truth in zip(found.cuts, (TRACK, SRD, 1.0, HCAL), strict=True):
        assert cut.sequential.value == pytest.approx(truth, abs=0.01)
        assert cut.n_minus_1.value == pytest.approx(truth, abs=0.01)
    assert found.cuts[1].cumulative.value == pytest.approx(TRACK * SRD, abs=0.01)
    for part, (run, kappa) in zip(parts, found.runs.items(), strict=True):
        good = (part["track.momentum"] > 0) & (part["srd.energy"] > 0) & (part["hcal.energy"] < 1)
        assert (kappa.passed, kappa.total) == (np.count_nonzero(good), 5000)
        assert run == part["run"][0]
    assert found.periods["early"].total == 10_000
    assert found.periods["late"].passed == found.runs[6600].passed
    assert found.tag_and_probe["SRD"].value == pytest.approx(SRD, abs=0.01)
    assert set(found.tag_and_probe) == {"incoming track", "SRD"}


def test_runs_that_differ_give_a_systematic_error(selection):
    rng = np.random.default_rng(2)
    rates = np.array([0.5, 2.0, 4.0, 6.0, 9.0]) * 1e6
    columns = join([draw(rng, 4000, r, run=6100 + i) for i, r in enumerate(rates)])
    found = measure(selection, columns, (0.0, 0.0))
    truth = np.std([kappa_at(r) for r in rates], ddof=1)
    assert found.spread == pytest.approx(truth, rel=0.1)
    assert found.kappa.kappa.systematic == pytest.approx(found.spread)
    same = join([draw(rng, 4000, 1e6, run=6100 + i) for i in range(5)])
    assert measure(selection, same, (0.0, 0.0)).spread < 0.01


def test_spread_in_closed_form():
    # Equal errors: s^2 = variance - e^2.
    x = np.array([0.4, 0.5, 0.6, 0.55])
    assert spread_of(x, np.full(4, 0.02)) ** 2 == pytest.approx(np.var(x, ddof=1) - 0.02**2)
    assert spread_of(x, np.full(4, 0.2)) == 0.0
    assert spread_of(x[:1], np.full(1, 0.2)) == 0.0


def scaler(columns, rates):
    """A scaler that grows evenly over the spills, and the trigger bits."""
    per_spill = np.bincount(columns["spill"])[1:]
    steps = np.concatenate([np.full(n, r / (n + 1)) for n, r in zip(per_spill, rates, strict=True)])
    first = np.concatenate([[0], np.cumsum(per_spill)[:-1]])
    steps[first[1:]] *= 2
    value = np.cumsum(steps).astype(np.uint64)
    return {"trigger": np.full(len(value), 2, np.uint32), "scaler": value}


def test_extrapolation_to_the_intensity_of_physics_runs(selection):
    """Calibration at up to 3e6 a spill, physics at 6e6: 60 experiments."""
    rng = np.random.default_rng(7)
    rates = np.linspace(0.2e6, 3e6, 12)
    pulls, taus = [], []
    for _ in range(60):
        columns = join([draw(rng, 800, r, spill=i + 1) for i, r in enumerate(rates)])
        found = measure(selection, columns, (0.0, 0.0), 6e6, scaler(columns, rates)).pile_up
        assert found.measure == "scaler"
        taus.append(found.slope.value)
        if found.model == "exponential":
            at = found.extrapolated
            pulls.append((at.value - kappa_at(6e6)) / at.statistical)
    assert len(pulls) > 50
    assert abs(np.mean(pulls)) < 0.4
    assert 0.7 < np.std(pulls) < 1.3
    assert np.mean(taus) == pytest.approx(TAU, rel=0.06)


def test_out_of_time_energy_stands_for_a_scaler(selection):
    rng = np.random.default_rng(8)
    rates = np.array([0.5, 1.5, 3.0, 5.0]) * 1e6
    columns = join([draw(rng, 8000, r, run=6100 + i) for i, r in enumerate(rates)])
    found = measure(selection, columns, (0.0, 0.0), 0.6).pile_up
    assert (found.measure, found.model) == ("out of time", "exponential")
    # mu = r tau further particles: kappa = kappa0 exp(-mu).
    assert found.slope.value == pytest.approx(1.0, abs=4 * found.slope.error)
    assert found.zero.value == pytest.approx(kappa_at(0), abs=0.01)
    assert found.extrapolated.value == pytest.approx(kappa_at(6e6), abs=0.015)


def test_one_intensity_tells_nothing_of_pile_up(selection):
    columns = draw(np.random.default_rng(9), 4000, 3e6)
    found = measure(selection, columns)
    assert found.pile_up is None
    assert any("pile-up" in note for note in found.notes)


def test_trigger_thresholds(selection):
    """PRS 0.3 GeV and ECAL 90 GeV of a trigger whose sums have 5 % and 2 % resolution."""
    rng = np.random.default_rng(10)
    n = 40_000
    columns = draw(rng, n, 0.0)
    soft = rng.random(n) < 0.5
    columns["ecal.energy"] = np.where(soft, rng.uniform(50, 70, n), rng.uniform(70, 110, n))
    columns["prs.energy"] = np.where(soft, rng.uniform(0.0, 1.0, n), 5.0)
    columns["hcal.energy"] = np.full(n, 3.0)  # outside of the box, which hides events
    fires = columns["prs.energy"] + 0.015 * rng.standard_normal(n) > 0.3
    fires &= columns["ecal.energy"] + 1.8 * rng.standard_normal(n) < 90
    columns["trigger.physics"] = fires & (rng.random(n) < 0.98)
    found = measure(selection, columns).trigger
    prs, ecal = found["prs"], found["ecal"]
    # Four standard deviations: over 100 samples pulls have means within 0.2 and widths 0.9-1.0.
    assert prs.threshold.value == pytest.approx(0.3, abs=4 * prs.threshold.error)
    assert prs.width.value == pytest.approx(0.015, abs=4 * prs.width.error)
    assert prs.threshold.error < 0.002
    assert ecal.threshold.value == pytest.approx(90, abs=4 * ecal.threshold.error)
    assert ecal.width.value == pytest.approx(1.8, abs=4 * ecal.width.error)
    assert ecal.width.error < 0.1
    assert ecal.plateau.value == pytest.approx(0.98, abs=0.005)
    for fit in (prs, ecal):
        assert fit.chi2 < fit.ndf + 4 * math.sqrt(2 * fit.ndf)


def signal(rng, n, *, weighted):
    """Events that lose up to 100 GeV; what is left is measured with 10 %/sqrt(E) (+) 4 %."""
    missing = rng.uniform(5, 95, n)
    columns = draw(rng, n, 0.0)
    left = 100 - missing
    width = np.hypot(0.1 * np.sqrt(left), 0.04 * left)
    columns["ecal.energy"] = left + width * rng.standard_normal(n)
    columns["mc.process"] = np.full(n, 8, np.uint8)
    columns["mc.missing_energy"] = missing.astype(np.float32)
    columns["trigger.physics"] = np.ones(n, bool)
    if weighted:
        columns["mc.weight"] = rng.choice([0.5, 1.0, 4.0], n).astype(np.float32)
    return columns


@pytest.mark.parametrize("weighted", [False, True])
def test_signal_against_missing_energy(selection, weighted):
    columns = signal(np.random.default_rng(13), 60_000, weighted=weighted)
    found = measure(selection, columns, simulated=True).signal
    assert found.up.value == pytest.approx(TRACK * SRD, abs=4 * found.up.statistical)
    assert found.down[2] is None
    # kappa holds all cuts: behind them only the box is left, at full height.
    assert found.box[80].value == 1.0
    assert found.box[53].value == pytest.approx(0.57, abs=4 * found.box[53].statistical)
    for i in (20, 50, 54, 60, 90):
        # Mean over the bin of the Gaussian tail below the box's limit.
        left = 100 - np.linspace(i, i + 1, 50)
        truth = HCAL * np.mean(ndtr((47 - left) / np.hypot(0.1 * np.sqrt(left), 0.04 * left)))
        assert found.down[i].value == pytest.approx(
            truth, abs=5 * found.down[i].statistical + 0.005
        )
    fit = found.turn_on
    assert found.expected_threshold == 53.0
    assert found.expected_width == pytest.approx(
        math.hypot(47 * math.hypot(0.1 / 47**0.5, 0.04), 0.5)
    )
    # The resolution falls with the energy that is left, which pulls the threshold down by 0.09.
    assert fit.threshold.value == pytest.approx(52.91, abs=4 * fit.threshold.error)
    assert fit.threshold.error < 0.1
    assert fit.width.value == pytest.approx(math.hypot(0.1 * 47**0.5, 0.04 * 47), abs=0.15)
    assert fit.plateau.value == pytest.approx(HCAL, abs=0.005)


def test_weighted_kappa_is_that_of_the_unbiased_sample(selection):
    rng = np.random.default_rng(3)
    columns = draw(rng, 20_000, 0.0)
    # Half of the losers of the SRD cut are left out, the others stand for two.
    lost = columns["srd.energy"] == 0
    keep = ~lost | (rng.random(20_000) < 0.5)
    columns = {name: column[keep] for name, column in columns.items()}
    columns["mc.weight"] = np.where(columns["srd.energy"] == 0, 2, 1).astype(np.float32)
    columns["mc.process"] = np.zeros(len(columns["run"]), np.uint8)
    found = measure(selection, columns, (0.0, 0.0), simulated=True)
    assert found.cuts[1].sequential.value == pytest.approx(SRD, abs=0.006)
    assert found.kappa.kappa.value == pytest.approx(kappa_at(0), abs=0.01)


def test_hidden_events_are_not_counted(selection):
    columns = draw(np.random.default_rng(6), 3000, 0.0)
    columns["trigger.physics"][:] = True
    columns["ecal.energy"][:100] = 20.0
    columns["hcal.energy"][:100] = 0.1
    scalars = {"trigger": np.full(3000, 3, np.uint32)}
    counts = count(apply(selection, columns), columns, scalars)
    assert counts["entered"].sum() == 2900
    changed = {name: column.copy() for name, column in columns.items()}
    changed["track.momentum"][:100] = np.nan
    changed["srd.energy"][:100] = 0.0
    assert count(apply(selection, changed), changed, scalars).to_json() == counts.to_json()


def test_a_physics_selection_has_no_kappa(tmp_path, selection):
    path = tmp_path / "physics.yaml"
    path.write_text(SELECTION.replace("variable: trigger.beam", "variable: trigger.physics"))
    columns = draw(np.random.default_rng(6), 300, 0.0)
    found = measure(load_selection(path), columns)
    assert found.kappa is None
    assert "needs a selection whose first cut is the beam trigger" in found.notes[0]


def test_an_impossible_contamination(tmp_path):
    from na64reco.inference.efficiency import measure_efficiency

    with pytest.raises(InferenceError, match="is not an output of `na64reco run`"):
        measure_efficiency(tmp_path)
