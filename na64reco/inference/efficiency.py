"""Efficiencies of a selection: kappa from calibration runs, and the signal's against its energy.

kappa [arXiv:2404.06982 section 5] is the share of beam particles that pass all cuts but the ECAL
threshold, measured with the beam trigger, which knows no ECAL. Of the particles in that trigger a
share f is none of the beam's kind (hadrons, muons) and fails the cuts but for a share p:

    raw = (1 - f) kappa + f p,      kappa = (raw - f p) / (1 - f)

f is given, or the share of beam triggers with neither synchrotron radiation nor the full energy in
the ECAL beyond that of electrons (`contamination_of`); half of it is its systematic error, for
hadrons that shower in the ECAL alone.

The errors of kappa: Clopper-Pearson; systematic are that of f, and the spread of runs beyond their
statistics (J. Paule, J. Mandel, J. Res. NBS 87 (1982) 377), since calibration runs are few.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.counted import Counted, efficiency, read_counts, weighted_efficiency
from na64reco.inference.efficiency_results import (
    CutEfficiency,
    DatasetEfficiency,
    EfficiencyFile,
    Kappa,
)
from na64reco.inference.measurement import Measurement
from na64reco.inference.pile_up import fit_pile_up, points
from na64reco.inference.signal_efficiency import signal_efficiency
from na64reco.inference.turn_on import fit_turn_on
from na64reco.selection.counts import base_cuts, is_downstream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.inference.efficiency_results import PileUp, TurnOn
    from na64reco.selection.counts import Counts

    Array = NDArray[Any]

__all__ = [
    "contamination_of",
    "correct_for_contamination",
    "dataset_efficiency",
    "measure_efficiency",
    "spread_of",
]


def measure_efficiency(
    out: Path | str,
    *,
    datasets: tuple[str, ...] = (),
    contamination: tuple[float, float] | None = None,
    intensity: float | None = None,
) -> EfficiencyFile:
    """All efficiencies that the counts of an output folder tell.

    Parameters
    ----------
    out
        Output of `na64reco run`: with a calibration selection for kappa, with the search's own for
        simulated signal.
    datasets
        Of them; default: all.
    contamination
        Share of particles in the beam trigger that are none of the beam's kind, and its standard
        deviation; default: measured.
    intensity
        Of the physics runs, where kappa is wanted: particles a spill where files have scalers, else
        further electrons in the readout window.

    Raises
    ------
    InferenceError
        If the folder is no output of `na64reco run` or one of cuts applied one after the other,
        lacks a dataset, or the contamination is no share.
    """
    counted = read_counts(out)
    for name in datasets:
        if name not in counted.counts:
            msg = f"{counted.path} has no dataset {name!r}. {did_you_mean(name, counted.counts)}"
            raise InferenceError(msg)
    if any(len(counts) and "others" not in counts.columns for counts in counted.counts.values()):
        msg = (
            f"{counted.path} was made with --sequential: what each cut does to events that pass "
            "all others was not counted, and efficiencies need it. Run it again without."
        )
        raise InferenceError(msg)
    if contamination is not None and not (0 <= contamination[0] < 1 and contamination[1] >= 0):
        msg = (
            "The contamination is a share of the particles, 0 <= f < 1, with an error >= 0; found "
            f"{contamination[0]:g} +- {contamination[1]:g}."
        )
        raise InferenceError(msg)
    return EfficiencyFile(
        selection=counted.selection.name,
        setup=counted.setup.name,
        beam_momentum=counted.setup.beam.momentum,
        datasets={
            name: dataset_efficiency(counted, name, contamination, intensity)
            for name in (datasets or counted.counts)
        },
    )


def correct_for_contamination(
    raw: Measurement, contamination: Measurement, *, passing: float = 0.0
) -> Measurement:
    """kappa = (raw - f p) / (1 - f), with the error of f as a systematic one."""
    f = contamination.value

    def corrected(value: float) -> float:
        return min(max((value - f * passing) / (1 - f), 0.0), 1.0)

    kappa = corrected(raw.value)
    # d kappa / d f = (kappa - p) / (1 - f)
    systematic = abs(kappa - passing) / (1 - f) * contamination.error
    return Measurement(
        kappa,
        corrected(raw.low),
        corrected(raw.high),
        raw.statistical / (1 - f),
        math.hypot(raw.systematic / (1 - f), systematic),
    )


def spread_of(values: Array, errors: Array) -> float:
    """Standard deviation of true values beyond their errors; 0 if the errors explain it all.

    s such that sum (x - mean)^2 / (e^2 + s^2) = n - 1, with the mean of these weights (Paule and
    Mandel 1982).
    """
    use = errors > 0
    x, e2 = values[use], errors[use] ** 2
    if len(x) < 2:
        return 0.0

    def excess(s2: float) -> float:
        w = 1 / (e2 + s2)
        return float(np.sum(w * (x - np.sum(w * x) / w.sum()) ** 2)) - (len(x) - 1)

    if excess(0.0) <= 0:
        return 0.0
    from scipy.optimize import brentq

    return math.sqrt(brentq(excess, 0.0, float(np.ptp(x)) ** 2 * len(x), xtol=1e-15))


def contamination_of(counts: Counts) -> Measurement:
    """Share of triggers that look like hadrons and muons; half of it is systematic.

    Of triggers with a track of the beam's momentum and no other electron near in time, A have
    neither an SRD signal nor the full energy. Electrons lose the one or the other independently, so
    B C / D of these are electrons: B triggers are without SRD signal at full energy, C with it at
    less, and D have both.
    """
    if "tags" not in counts.columns or not counts["tags_total"].sum():
        return Measurement(0.0, 0.0, 0.0, 0.0)
    total = float(counts["tags_total"].sum())
    a, b, c, d = (float(n) for n in counts["tags"].sum(axis=0))
    electrons = b * c / d if d else 0.0
    relative = 1 / b + 1 / c + 1 / d if b and c and d else 0.0
    value = max(a - electrons, 0.0) / total
    # At least one event's worth: none at all does not prove that there is none.
    error = math.sqrt(max(a, 1.0) + electrons**2 * relative) / total
    return Measurement(value, max(value - error, 0.0), value + error, error, value / 2)


def dataset_efficiency(
    counted: Counted,
    name: str,
    given: tuple[float, float] | None,
    intensity: float | None,
) -> DatasetEfficiency:
    """As `measure_efficiency`, of one dataset."""
    counts, selection = counted.counts[name], counted.selection
    notes: list[str] = []
    first = base_cuts(selection)
    chosen = {cut.variable for cut in selection.cuts[:first]}
    beam = "trigger.beam" in chosen and "trigger.physics" not in chosen and len(counts) > 0
    if not beam:
        notes.append(
            "kappa needs a selection whose first cut is the beam trigger (electron-calibration-...)"
        )
    table = _Table(counts, first)
    contamination = Measurement(0.0, 0.0, 0.0, 0.0)
    if beam and given is not None:
        contamination = Measurement.symmetric(given[0], 0.0, given[1])
    elif beam:
        contamination = contamination_of(counts)
        if "tags" not in counts.columns:
            notes.append(
                "contamination taken as 0: the selection has no cut on the SRD or no region "
                "`full_energy` to measure it with; give it"
            )
    runs: dict[int, Kappa] = {}
    periods: dict[str, Kappa] = {}
    kappa = pile_up = None
    spread = 0.0
    if beam and table.base.sum():
        rows = {int(run): counts.run == run for run in np.unique(counts.run)}
        runs = {run: table.kappa(mask, contamination) for run, mask in rows.items()}
        spread = _spread(list(runs.values()))
        kappa = table.kappa(np.ones(len(counts), bool), contamination, spread=spread)
        for period, mask in counted.periods(counts.run).items():
            mine = [runs[int(run)] for run in np.unique(counts.run[mask])]
            periods[period] = table.kappa(mask, contamination, spread=_spread(mine))
        found = points(counts, counts["passed"][:, -1], table.base)
        pile_up = None if found is None else fit_pile_up(found, intensity=intensity)
        if pile_up is not None:
            pile_up = _of_electrons(pile_up, contamination)
        if pile_up is None:
            notes.append("no dependence on pile-up: all at one intensity, or no measure of it")
    up = [i for i, cut in enumerate(selection.cuts) if i >= first and not is_downstream(cut)]
    tags = {}
    if beam and "tag_total" in counts.columns:
        total, passed = (counts[n].sum(axis=0) for n in ("tag_total", "tag_passed"))
        tags = {counts.cuts[i]: efficiency(passed[i], total[i]) for i in up if total[i]}
    return DatasetEfficiency(
        name=name,
        simulated=counted.simulated[name],
        kappa=kappa,
        periods=periods,
        runs=runs,
        cuts=table.cuts() if len(counts) else (),
        contamination=contamination,
        spread=spread,
        pile_up=pile_up,
        trigger=_triggers(counted, counts),
        tag_and_probe=tags,
        signal=signal_efficiency(counted, counts),
        notes=tuple(notes),
    )


def _of_electrons(fit: PileUp, contamination: Measurement) -> PileUp:
    """The fit is to all particles; its values at the same intensities for those of the beam."""
    at = fit.extrapolated
    return replace(
        fit,
        zero=correct_for_contamination(fit.zero, contamination),
        extrapolated=None if at is None else correct_for_contamination(at, contamination),
    )


def _spread(runs: list[Kappa]) -> float:
    values = np.array([k.kappa.value for k in runs])
    return spread_of(values, np.array([k.kappa.statistical for k in runs]))


class _Table:
    """Sums over rows of the counts, weighted where the events are."""

    def __init__(self, counts: Counts, first: int) -> None:
        self.counts, self.first = counts, first
        self.weighted = "passed_w" in counts.columns
        self.base = self._stage(first, "") if len(counts) else np.empty(0, np.int64)

    def _stage(self, cuts: int, suffix: str) -> Array:
        """After so many cuts, shape (rows,)."""
        if cuts == 0:
            return self.counts[f"entered{suffix}"]
        return np.asarray(self.counts[f"passed{suffix}"][:, cuts - 1])

    def _ratio(self, passed: tuple[str, int], total: tuple[str, int], mask: Array) -> Measurement:
        """Of two stages: ("passed", number of cuts) or ("others", cut)."""

        def sums(stage: tuple[str, int], suffix: str) -> Any:
            kind, i = stage
            column = (
                self._stage(i, suffix) if kind == "passed" else self.counts[kind + suffix][:, i]
            )
            return column[mask].sum()

        if not self.weighted:
            return efficiency(int(sums(passed, "")), int(sums(total, "")))
        return weighted_efficiency(
            (float(sums(passed, "_w")), float(sums(passed, "_w2"))),
            (float(sums(total, "_w")), float(sums(total, "_w2"))),
        )

    def kappa(self, mask: Array, contamination: Measurement, *, spread: float = 0.0) -> Kappa:
        """Of some rows."""
        last = len(self.counts.cuts)
        raw = self._ratio(("passed", last), ("passed", self.first), mask)
        found = correct_for_contamination(raw, contamination)
        found = Measurement(
            found.value,
            found.low,
            found.high,
            found.statistical,
            math.hypot(found.systematic, spread),
        )
        suffix = "_w" if self.weighted else ""
        passed, total = (self._stage(i, suffix)[mask].sum().item() for i in (last, self.first))
        return Kappa(passed, total, raw, found)

    def cuts(self) -> tuple[CutEfficiency, ...]:
        """Of the cuts behind those that choose triggers and spills."""
        mask = np.ones(len(self.counts), bool)
        last = len(self.counts.cuts)
        return tuple(
            CutEfficiency(
                self.counts.cuts[i],
                sequential=self._ratio(("passed", i + 1), ("passed", i), mask),
                cumulative=self._ratio(("passed", i + 1), ("passed", self.first), mask),
                n_minus_1=self._ratio(("passed", last), ("others", i), mask),
            )
            for i in range(self.first, last)
        )


def _triggers(counted: Counted, counts: Counts) -> Mapping[str, TurnOn | None]:
    trigger = counted.setup.trigger
    wanted = {"prs": ("prs.energy", trigger.prs_min, 0.02, True)}
    wanted["ecal"] = ("ecal.energy", trigger.ecal_max, 1.0, False)
    found: dict[str, TurnOn | None] = {}
    for name, (variable, start, width, rising) in wanted.items():
        curve = counts.curves.get(f"trigger {name}")
        found[name] = (
            None
            if curve is None
            else fit_turn_on(
                variable,
                curve.edges,
                curve.counts["passed"],
                curve.counts["total"],
                start=start,
                width=width,
                rising=rising,
            )
        )
    return found
