"""What `na64reco run` counted, read from its output folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.measurement import Measurement
from na64reco.processors.outputs import COUNTS, RUN
from na64reco.selection import Selection, clopper_pearson
from na64reco.selection.counts import Counts
from na64reco.selection.cutflow import ONE_SIGMA
from na64reco.selection.model import ByPeriod
from na64reco.selection.weights import effective_interval
from na64reco.setup import Setup, load_setup

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ALL", "Counted", "efficiency", "read_counts", "weighted_efficiency"]

ALL = "all"
"""Name of the only period of a selection that knows none."""


@dataclass(frozen=True, eq=False)
class Counted:
    """An output folder of `na64reco run`, as far as counts go."""

    path: Path
    selection: Selection
    setup: Setup
    counts: dict[str, Counts]
    """By dataset."""
    simulated: dict[str, bool]

    def period_of(self, run: int) -> str | None:
        """Name of the period that a run lies in; None outside of all."""
        if not self.selection.periods:
            return ALL
        for name, (first, last) in self.selection.periods.items():
            if first <= run <= last:
                return name
        return None

    def periods(self, runs: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
        """Period: which rows of a table belong to it."""
        names = [self.period_of(int(run)) for run in runs]
        return {
            name: np.array([n == name for n in names])
            for name in dict.fromkeys(names)
            if name is not None
        }

    def box_limit(self, period: str) -> float | None:
        """Upper limit of E_ECAL in the blinded region, GeV."""
        if self.selection.blind is None:
            return None
        box = self.selection.regions[self.selection.blind]
        bound = box.get("ecal.energy", (None, None))[1]
        return bound.values.get(period) if isinstance(bound, ByPeriod) else bound


def read_counts(path: Path | str) -> Counted:
    """Read counts and selection of an output folder.

    Raises
    ------
    InferenceError
        If it is no such folder, or one without counts.
    """
    path = Path(path)
    record = _load(path / RUN)
    counts = _load(path / COUNTS)
    try:
        selection = Selection.model_validate(record["selection"]["content"])
        setup = load_setup(record["setup"]["name"])
        found = {name: Counts.from_json(content) for name, content in counts.items()}
        simulated = {name: bool(record["datasets"][name]["simulated"]) for name in found}
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path} is not a complete output of `na64reco run`: {error!r}. Run it again."
        raise InferenceError(msg) from None
    return Counted(path, selection, setup, found, simulated)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        folder = path.parent
        there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        hint = did_you_mean(path.name, there) if there else "The folder does not exist or is empty."
        msg = (
            f"{folder} is not an output of `na64reco run`: {path.name} cannot be read ({error}). "
            f"{hint} Run `na64reco run SELECTION FILES -o {folder}` first."
        )
        raise InferenceError(msg) from None


def efficiency(passed: int, total: int, *, systematic: float = 0.0) -> Measurement:
    """Share of events, with its Clopper-Pearson interval; (0, 1) about 0 if there is none."""
    low, high = clopper_pearson(int(passed), int(total))
    value = passed / total if total else 0.0
    return Measurement(value, low, high, (high - low) / 2, systematic)


def weighted_efficiency(
    passed: tuple[float, float], total: tuple[float, float], *, systematic: float = 0.0
) -> Measurement:
    """The same from sums of weights and their squares, by effective counts."""
    low, high = effective_interval(passed, total, cl=ONE_SIGMA)
    value = passed[0] / total[0] if total[0] else 0.0
    return Measurement(value, low, high, (high - low) / 2, systematic)
