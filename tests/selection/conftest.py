"""A small selection and ten events whose fate was worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from na64reco.selection import Selection, load_selection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

MINI = """\
name: mini
setup: 2022-electron
blind: signal
periods: {early: [6035, 6499], late: [6500, 6999]}
cuts:
  - {name: trigger, variable: trigger.physics}
  - {name: incoming track, variable: track.momentum, window: [90, 110]}
  - {name: straw hits, variable: straw.multiplicity, max: 5}
  - name: shower shape
    variable: ecal.chi2
    max: {by: ecal.energy, edges: [0, 10, 20], values: [2.0, 3.0], above: 4.0}
regions:
  signal: {ecal.energy: [null, {by: period, values: {early: 50, late: 47}}], hcal.energy: [null, 1.0]}
  sideband: {ecal.energy: [50, 90], hcal.energy: [null, 1.0]}
histograms:
  ecal_hcal:
    axes: [{variable: ecal.energy, bins: 11, range: [0, 110]}, {variable: hcal.energy, bins: 10, range: [0, 100]}]
    at: [none, trigger, all, without straw hits]
  sum: {axes: [{variable: calo.energy, edges: [0, 50, 100, 200], label: total}], at: [all], region: sideband}
  box: {axes: [{variable: ecal.energy, bins: 5, range: [0, 50]}], at: [none, all], region: signal}
"""

NAN = np.nan
# run, trigger, momentum, straws, chi2, ecal, hcal
EVENTS = [
    (6100, 1, 100.0, 2, 1.0, 70.0, 0.2),  # 0 sideband, passes everything
    (6100, 1, 90.0, 5, 4.0, 50.0, 0.0),  # 1 sideband, every limit met exactly, at the box's edge
    (6100, 1, 100.0, 2, 1.0, 49.0, 0.5),  # 2 in the box: hidden
    (6600, 1, 100.0, 2, 1.0, 49.0, 0.5),  # 3 the same, but late: in no region
    (6600, 0, 100.0, 2, 1.0, 46.9, 0.99),  # 4 in the box though without trigger: hidden
    (6600, 1, 110.5, 2, 1.0, 60.0, 0.5),  # 5 fails momentum only
    (6100, 1, 100.0, 6, 1.0, 60.0, 0.5),  # 6 fails straws only
    (6100, 1, NAN, 9, 1.0, 60.0, 0.5),  # 7 fails momentum (NaN) and straws
    (6100, 1, 100.0, 2, 3.0, 19.9, 40.0),  # 8 passes: 3.0 in the bin [10, 20)
    (6100, 1, 100.0, 2, 3.1, 10.0, 40.0),  # 9 fails shape only: 3.1 in the bin [10, 20)
]


@pytest.fixture
def columns() -> dict[str, NDArray[Any]]:
    run, trigger, momentum, straws, chi2, ecal, hcal = zip(*EVENTS, strict=True)
    return {
        "run": np.array(run, dtype=np.uint32),
        "event": np.arange(len(run), dtype=np.uint64),
        "trigger.physics": np.array(trigger, dtype=bool),
        "track.momentum": np.array(momentum, dtype=np.float32),
        "straw.multiplicity": np.array(straws, dtype=np.int16),
        "ecal.chi2": np.array(chi2, dtype=np.float32),
        "ecal.energy": np.array(ecal, dtype=np.float32),
        "hcal.energy": np.array(hcal, dtype=np.float32),
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a selection file."""

    def writer(text: str, name: str = "mini.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return writer


@pytest.fixture
def mini(write: Callable[..., Path]) -> Selection:
    return load_selection(write(MINI))


@pytest.fixture
def mini_text() -> str:
    return MINI
