"""SRD, VETO and beam counters on hand-made hits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from na64reco.calibration import CellConditions
from na64reco.counters import (
    bar_energy,
    channel_energies,
    reconstruct_counters,
    reconstruct_srd,
    reconstruct_veto,
)
from na64reco.errors import DataError
from na64reco.events import Hits
from na64reco.setup import load_setup


def flat(channels: int, *, threshold: float = 0.0) -> CellConditions:
    ones = np.ones(channels)
    return CellConditions(ones * 1e-5, ones * 0, ones * 2.0, ones * threshold)


def hits(*events, name="ix") -> Hits:
    rows = [hit for event in events for hit in event]
    offsets = np.cumsum([0] + [len(e) for e in events]).astype(np.int64)
    channel, amplitude, time = zip(*rows, strict=True) if rows else ((), (), ())
    return Hits(
        offsets,
        {
            name: np.array(channel, dtype=np.uint8),
            "amplitude": np.array(amplitude, dtype=np.float32),
            "time": np.array(time, dtype=np.float32),
        },
    )


@pytest.fixture(scope="module")
def setup():
    return load_setup("2022-electron")


@pytest.fixture(scope="module")
def conditions():
    return SimpleNamespace(srd=flat(3, threshold=0.0005), veto=flat(6), counters=flat(16))


def test_bar_rule():
    """sqrt(a1 a2); the larger where one is below 0.3 of the other; exactly 0.3 is not below."""
    left = np.array([4.0, 10.0, 10.0, 0.0, 7.0, 2.9, 0.0])
    right = np.array([9.0, 2.9, 3.1, 5.0, 0.0, 10.0, 0.0])
    expected = [6.0, 10.0, 31**0.5, 5.0, 7.0, 10.0, 0.0]
    assert bar_energy(left, right).tolist() == pytest.approx(expected)
    assert bar_energy(right, left).tolist() == pytest.approx(expected)


def test_negative_noise_makes_no_nan():
    assert bar_energy(np.array([-1.0, -1.0]), np.array([4.0, -2.0])).tolist() == [4.0, 0.0]


def test_veto(setup, conditions):
    found = reconstruct_veto(
        hits(
            [(0, 400.0, 0.0), (1, 900.0, 1.0), (2, 1000.0, 0.0), (3, 100.0, 0.0)],
            [(4, 400.0, 50.0), (5, 900.0, 50.0), (5, np.nan, 0.0)],
            [],
        ),
        setup,
        conditions,
    )
    assert found["veto.bar0"].tolist() == pytest.approx([0.006, 0, 0])
    assert found["veto.bar1"].tolist() == pytest.approx([0.010, 0, 0])
    assert found["veto.bar2"].tolist() == [0, 0, 0]
    assert found["veto.energy"].tolist() == pytest.approx([0.010, 0, 0])
    assert found["veto.energy_out"].tolist() == pytest.approx([0, 0.006, 0])


def test_srd(setup, conditions):
    found = reconstruct_srd(
        hits([(0, 1000.0, 0.0), (1, 200.0, 5.9), (2, 40.0, 0.0), (2, 300.0, 6.1)], []),
        setup,
        conditions,
    )
    assert found["srd.module0"].tolist() == pytest.approx([0.010, 0])
    assert found["srd.module1"].tolist() == pytest.approx([0.002, 0])
    assert found["srd.module2"].tolist() == [0, 0]  # 0.4 MeV is below the threshold
    assert found["srd.energy"].tolist() == pytest.approx([0.012, 0])
    assert found["srd.energy_out"].tolist() == pytest.approx([0.003, 0])
    assert found["srd.modules"].tolist() == [2, 0]


def test_setups_without_them_have_no_columns(setup, conditions):
    without = setup.model_copy(update={"srd": None, "veto": None})
    assert reconstruct_srd(hits([]), without, conditions) == {}
    assert reconstruct_veto(hits([]), without, conditions) == {}


def test_coincidence_and_veto(setup, conditions):
    """2022: S1 S2 S3 above half of their MIP of 0.4 MeV, V1 and V2 of 2 MeV."""
    beam = [(1, 40.0, 0.0), (2, 30.0, 0.0), (3, 50.0, 0.0)]
    found = reconstruct_counters(
        hits(
            beam,
            [*beam[:2], (3, 50.0, 20.0)],  # S3 out of time
            [*beam[:2], (3, 19.0, 0.0)],  # S3 below threshold
            [*beam, (9, 110.0, 0.0)],  # V1
            [*beam, (10, 90.0, 0.0)],  # V2 below threshold
            [],
            name="id",
        ),
        setup,
        conditions,
    )
    assert found["counters.beam"].tolist() == [True, False, False, True, True, False]
    assert found["counters.veto"].tolist() == [False, False, False, True, False, False]
    assert found["counters.s1"].tolist() == pytest.approx([4e-4] * 5 + [0])
    assert found["counters.v1"][3] == pytest.approx(1.1e-3)
    assert set(found) == {
        *(f"counters.{name}" for name in ("s1", "s2", "s3", "v1", "v2", "beam", "veto"))
    }


@pytest.mark.parametrize(
    "bad", [(0, np.nan, 0.0), (0, np.inf, 0.0), (1, 50.0, np.nan), (3, 5.0, 0.0)]
)
def test_impossible_hits_are_counted_and_never_summed(bad):
    found = channel_energies(hits([bad, (2, 100.0, 0.0)]), flat(3), 3)
    assert found.ignored == 1
    assert found.in_time.tolist() == [pytest.approx([0, 0, 0.001])]
    assert found.out_of_time.sum() == 0


def test_pulses_add_up_before_the_threshold():
    found = channel_energies(hits([(0, 30.0, 0.0), (0, 30.0, 1.0)]), flat(1, threshold=5e-4), 1)
    assert found.in_time[0, 0] == pytest.approx(6e-4)


def test_conditions_of_another_detector():
    with pytest.raises(DataError, match=r"shape \(3,\), the detector has \(6,\)"):
        channel_energies(hits([]), flat(3), 6)
