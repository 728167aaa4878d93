"""Exposure of runs whose every beam particle is known."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from na64reco.errors import InferenceError
from na64reco.inference.counted import Counted
from na64reco.inference.exposure import dataset_exposure, measure_exposure, read_given
from na64reco.inference.exposure_results import load_exposure
from na64reco.selection import Counts, Cutflow, apply, count, load_selection
from na64reco.setup import load_setup

SETUP = load_setup("2022-electron")
SELECTION = """\
name: toy
setup: 2022-electron
periods: {early: [6035, 6499], late: [6500, 6999]}
cuts:
  - {name: quality, variable: quality.good}
"""
PRESCALE = 50


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.yaml"
    path.write_text(SELECTION)
    return load_selection(path)


def spill(rng, particles, *, dead, physics):
    """One spill, particle by particle in steps from one accepted trigger to the next.

    After each accepted trigger the next `dead` particles find the acquisition busy. Returns, for
    each event, how many particles and how many live ones came up to it; bits; and all live ones.
    """
    chance = physics + 1 / PRESCALE - physics / PRESCALE
    waits = rng.geometric(chance, size=int(3 * particles * chance) + 50)
    came = np.cumsum(waits + dead) - dead
    live = np.cumsum(waits)
    events = int(np.searchsorted(came, particles, side="right"))
    came, live = came[:events], live[:events]
    after = particles - (came[-1] + dead if events else 0)
    total = (live[-1] if events else 0) + max(after, 0)
    both = physics / PRESCALE
    kinds = np.array([physics - both, 1 / PRESCALE - both, both]) / chance
    bits = rng.choice([1, 2, 3], size=events, p=kinds).astype(np.uint32)
    return came, live, bits, total


def run(rng, number, *, spills=40, rate=60_000, dead=150, physics=0.002, bad=(), skipped=()):
    """Columns, scalars and the true number of live particles in good spills that were read."""
    columns, scalars, truth = [], [], 0
    particles = live = 0
    for i in range(1, spills + 1):
        here = int(rng.poisson(rate * rng.uniform(0.7, 1.3)))
        came, ready, bits, total = spill(rng, here, dead=dead, physics=physics)
        if i not in skipped:
            n = len(bits)
            columns.append((np.full(n, number), np.full(n, i), np.full(n, i not in bad)))
            scalars.append((bits, particles + came, live + ready))
            truth += total if i not in bad else 0
        particles, live = particles + here, live + total
    run_, spill_, good = (np.concatenate(c) for c in zip(*columns, strict=True))
    bits, scaler, scaler_live = (np.concatenate(s) for s in zip(*scalars, strict=True))
    return (
        {"run": run_.astype(np.uint32), "spill": spill_.astype(np.uint32), "quality.good": good},
        {
            "trigger": bits,
            "scaler": scaler.astype(np.uint64),
            "scaler_live": scaler_live.astype(np.uint64),
            "prescale": np.full(len(bits), PRESCALE, np.uint32),
        },
        truth,
    )


def counted(selection, *runs, without=()):
    counts = sum(
        (
            count(
                apply(selection, columns),
                columns,
                {name: values for name, values in scalars.items() if name not in without},
            )
            for columns, scalars, _ in runs
        ),
        Counts(),
    )
    return Counted(None, selection, SETUP, {"toy": counts}, {"toy": False})


def exposure(found, given=None, contamination=(0.0, 0.0), live_fraction=None):
    return dataset_exposure(found, "toy", given or {}, contamination, live_fraction)


def test_scalers_to_half_a_per_cent(selection):
    rng = np.random.default_rng(1)
    runs = [run(rng, 6100 + i) for i in range(3)]
    found = exposure(counted(selection, *runs))
    truth = sum(r[2] for r in runs)
    assert found.particles.value == pytest.approx(truth, rel=0.005)
    assert abs(found.particles.value - truth) < 4 * found.particles.statistical
    assert found.particles.statistical < 0.001 * truth
    for (_, _, one), (_, e) in zip(runs, found.runs.items(), strict=True):
        assert e.particles.value == pytest.approx(one, rel=0.005)
        assert e.source == "scaler_live"
        # Dead for 150 particles after each of about (1/50 + 0.002) live ones: 1/(1 + 150 p).
        assert e.live_fraction == pytest.approx(1 / (1 + 150 * 0.02196), rel=0.02)


def test_bad_spills_and_runs_and_gaps_count_nothing(selection):
    """Pseudo-experiments: every second spill bad, two not read."""
    rng = np.random.default_rng(2)
    pulls = []
    for i in range(40):
        one = run(rng, 6100 + i, spills=20, dead=10, bad=range(1, 20, 2), skipped=(7, 12))
        found = exposure(counted(selection, one))
        assert found.particles.value == pytest.approx(one[2], rel=0.005)
        pulls.append((found.particles.value - one[2]) / found.particles.statistical)
        assert (found.runs[6100 + i].good_spills, found.runs[6100 + i].bad_spills) == (9, 9)
    assert abs(np.mean(pulls)) < 0.5
    assert np.std(pulls) < 1.3
    nothing = exposure(counted(selection, run(rng, 6200, spills=5, bad=range(1, 6))))
    assert nothing.particles.value == 0


def test_nothing_is_counted_twice_where_spills_end_in_dead_time(selection):
    """77 % dead: after a spill's last event comes less than a gap, before its first a whole one."""
    rng = np.random.default_rng(5)
    runs = [run(rng, 6100 + i, spills=12) for i in range(40)]
    found = [(exposure(counted(selection, r)).particles, r[2]) for r in runs]
    pulls = [(p.value - truth) / p.statistical for p, truth in found]
    assert abs(np.mean(pulls)) < 0.45
    assert np.mean([p.value / truth for p, truth in found]) == pytest.approx(1.0, abs=1e-4)


def test_beam_triggers_times_prescale(selection):
    rng = np.random.default_rng(3)
    pulls = []
    for i in range(40):
        one = run(rng, 6100 + i, spills=10, bad=(3,))
        found = exposure(counted(selection, one, without=("scaler", "scaler_live")))
        assert found.runs[6100 + i].source == "beam triggers"
        pulls.append((found.particles.value - one[2]) / found.particles.statistical)
    assert abs(np.mean(pulls)) < 0.5
    assert 0.7 < np.std(pulls) < 1.3


def test_the_two_ways_agree(selection):
    rng = np.random.default_rng(4)
    ratio = exposure(counted(selection, run(rng, 6100), run(rng, 6600))).scaler_to_beam
    assert ratio.value == pytest.approx(1, abs=4 * ratio.statistical)
    assert ratio.statistical < 0.02


def test_the_order_of_chunks_does_not_matter(selection):
    columns, scalars, _ = run(np.random.default_rng(5), 6100, spills=6)
    whole = counted(selection, (columns, scalars, 0))
    n = len(columns["run"])
    edges = [0, 3, n // 3, n // 3 + 1, n - 2, n]
    parts = [
        ({k: c[a:b] for k, c in columns.items()}, {k: c[a:b] for k, c in scalars.items()}, 0)
        for a, b in pairwise(edges)
    ]
    for order in (parts, parts[::-1], parts[2:] + parts[:2]):
        assert counted(selection, *order).counts["toy"].to_json() == whole.counts["toy"].to_json()


def test_periods_and_contamination(selection):
    rng = np.random.default_rng(6)
    runs = [run(rng, n, spills=5) for n in (6100, 6101, 6600)]
    found = exposure(counted(selection, *runs), contamination=(0.1, 0.02))
    values = [e.particles.value for e in found.runs.values()]
    assert found.periods["early"].particles.value == pytest.approx(values[0] + values[1])
    assert found.periods["late"].electrons.value == pytest.approx(0.9 * values[2])
    assert found.electrons.systematic == pytest.approx(0.02 * sum(values))


def test_a_given_exposure_comes_first(selection):
    one = run(np.random.default_rng(7), 6100, spills=5)
    found = exposure(counted(selection, one), given={6100: (1.5e6, 1e4)})
    assert (found.particles.value, found.particles.systematic) == (1.5e6, 1e4)
    assert found.runs[6100].source == "given"


def test_a_scaler_alone_needs_the_live_fraction(selection):
    one = run(np.random.default_rng(8), 6100, spills=10)
    alone = counted(selection, one, without=("scaler_live", "prescale"))
    with pytest.raises(InferenceError, match=r"run 6100 is unknown.*--eot 6100=1.2e9"):
        exposure(alone)
    share = one[2] / (one[1]["scaler"][-1])
    found = exposure(alone, live_fraction=float(share))
    assert found.particles.value == pytest.approx(one[2], rel=0.01)


def test_a_scaler_that_falls_is_refused(selection):
    columns, scalars, _ = run(np.random.default_rng(9), 6100, spills=5)
    late = columns["spill"] > 3
    scalars["scaler_live"][late] -= np.uint64(scalars["scaler_live"][late][0])
    with pytest.raises(InferenceError, match=r"live scaler falls at spill 4: it must count up"):
        exposure(counted(selection, (columns, scalars, 0)))


def test_what_is_given_on_the_command_line(tmp_path):
    assert read_given(["6100=1.2e9+-1e7", "6101=5"]) == {6100: (1.2e9, 1e7), 6101: (5.0, 0.0)}
    path = tmp_path / "eot.yaml"
    path.write_text("6100: 1.0e+9\n6102: [2.0e+9, 3.0e+7]\n")
    assert read_given([str(path)]) == {6100: (1e9, 0.0), 6102: (2e9, 3e7)}
    for text in ("6100=many", "6100=-1", "nothing.yaml", "x=1"):
        with pytest.raises(InferenceError, match=r"gives no exposure\. Expected RUN=PARTICLES"):
            read_given([text])


def write_out(folder, selection, found):
    """An output folder, as far as exposure needs one."""
    folder.mkdir()
    counts = found.counts["toy"]
    record = {
        "selection": {"content": selection.model_dump(mode="json", by_alias=True)},
        "setup": {"name": "2022-electron"},
        "datasets": {"toy": {"simulated": False, "cutflow": Cutflow().to_json()}},
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "counts.json").write_text(json.dumps({"toy": counts.to_json()}))
    return folder


def test_through_the_files(selection, tmp_path):
    one = run(np.random.default_rng(10), 6100, spills=8)
    out = write_out(tmp_path / "out", selection, counted(selection, one))
    found = measure_exposure(out)
    (out / "exposure.json").write_text(json.dumps(found.to_json()))
    assert load_exposure(out) == found
    assert load_exposure(out).electrons(period="early").value == pytest.approx(one[2], rel=0.005)
    with pytest.raises(
        InferenceError, match=r"no exposure of the period 'erly'\. Did you mean 'early'"
    ):
        load_exposure(out).electrons(period="erly")
    with pytest.raises(InferenceError, match="run 6999 was given, but"):
        measure_exposure(out, given={6999: (1.0, 0.0)})
    with pytest.raises(InferenceError, match=r"`na64reco exposure .*` writes it"):
        load_exposure(tmp_path)


def test_neither_scaler_nor_prescale(selection, tmp_path):
    one = run(np.random.default_rng(11), 6100, spills=3)
    bare = counted(selection, one, without=("scaler", "scaler_live", "prescale"))
    out = write_out(tmp_path / "out", selection, bare)
    with pytest.raises(
        InferenceError, match=r"neither a scaler of the beam.*--eot 6100=1.2e9\+-1e7"
    ):
        measure_exposure(out)
    assert measure_exposure(out, given={6100: (5e6, 1e5)}).electrons().value == 5e6
