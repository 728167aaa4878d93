"""Beam particles on target, run by run, while the acquisition could take a trigger.

Two ways to count them, from what hit files say of the beam:

- Scalers. `scaler_live` counts coincidences since the run began during which a trigger could be
  accepted. An event tells its value at that moment: between the first and the last event of a spill
  it grows by what came between them, and the beam between the last event of a spill and the first
  of the next is shared (`scaler_by_spill`); where a neighbour is missing (the end of the run,
  spills that were not read) a mean gap between events stands for it. `scaler` counts all
  coincidences; alone it needs the share of the time that the acquisition was ready.
- Beam triggers: each one that is recorded stands for `prescale` of them.

Scalers are preferred. Statistical errors: the gaps that were not seen, of their own size each; and
sqrt(sum prescale^2) for beam triggers. Simulated beam triggers count by their weights. Bad runs and
spills count nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.counted import Counted, read_counts
from na64reco.inference.exposure_results import (
    DatasetExposure,
    ExposureFile,
    PeriodExposure,
    RunExposure,
)
from na64reco.inference.measurement import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.selection.counts import Counts

    Array = NDArray[Any]

__all__ = ["Given", "dataset_exposure", "measure_exposure", "read_given", "scaler_by_spill"]

_SCALERS = ("live", "scaler")

Given = tuple[float, float]
"""Particles on target and their standard deviation."""


def measure_exposure(
    out: Path | str,
    *,
    datasets: tuple[str, ...] = (),
    given: Mapping[int, Given] | None = None,
    contamination: tuple[float, float] = (0.0, 0.0),
    live_fraction: float | None = None,
) -> ExposureFile:
    """The exposure of the runs in an output folder of `na64reco run`.

    Parameters
    ----------
    datasets
        Of the folder; default: those with scalers, prescaled beam triggers or a given run.
    given
        Run: particles on target, instead of what the files say.
    contamination
        Share of the particles that are none of the beam's kind, and its standard deviation.
    live_fraction
        Share of the time that the acquisition was ready, for runs that have but `scaler`.

    Raises
    ------
    InferenceError
        If a run's exposure cannot be known; the message says what to give.
    """
    counted = read_counts(out)
    for name in datasets:
        if name not in counted.counts:
            msg = f"{counted.path} has no dataset {name!r}. {did_you_mean(name, counted.counts)}"
            raise InferenceError(msg)
    f, f_error = contamination
    if not (0 <= f < 1 and f_error >= 0):
        msg = (
            f"The contamination is a share, 0 <= f < 1, with an error >= 0; found {f} +- {f_error}."
        )
        raise InferenceError(msg)
    if live_fraction is not None and not 0 < live_fraction <= 1:
        msg = f"The live fraction must lie between 0 and 1, found {live_fraction:g}."
        raise InferenceError(msg)
    given = {} if given is None else given
    known = datasets or tuple(n for n, c in counted.counts.items() if _has_beam(c, given))
    if not known:
        raise InferenceError(_what_to_give(counted.counts.values()))
    unused = set(given) - {int(r) for n in known for r in counted.counts[n].run}
    if unused:
        msg = (
            f"The exposure of run {', '.join(map(str, sorted(unused)))} was given, but "
            f"{counted.path} has no event of it."
        )
        raise InferenceError(msg)
    found = {
        name: dataset_exposure(counted, name, given, contamination, live_fraction) for name in known
    }
    return ExposureFile(counted.selection.name, counted.setup.name, found)


def read_given(texts: Iterable[str]) -> dict[int, Given]:
    """``RUN=VALUE`` or ``RUN=VALUE+-ERROR``, or a YAML file ``{RUN: VALUE or [VALUE, ERROR]}``.

    Raises
    ------
    InferenceError
        If a text is none of these.
    """
    from pathlib import Path

    import yaml

    found: dict[int, Given] = {}
    for text in texts:
        run, equals, number = text.partition("=")
        try:
            if equals:
                items = [(int(run.removeprefix("run")), number.split("+-"))]
            else:
                content = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
                items = [
                    (int(key), list(value) if isinstance(value, list) else [value])
                    for key, value in content.items()
                ]
            for key, values in items:
                found[key] = _number(values)
        except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
            msg = (
                f"{text!r} gives no exposure. Expected RUN=PARTICLES, RUN=PARTICLES+-ERROR, or a "
                "YAML file with lines `RUN: PARTICLES` or `RUN: [PARTICLES, ERROR]`."
            )
            raise InferenceError(msg) from None
    return found


def _number(values: list[Any]) -> Given:
    value, error = (*map(float, values), 0.0)[:2]
    if not (math.isfinite(value) and value >= 0 and error >= 0):
        raise ValueError(values)
    return value, error


def scaler_by_spill(
    spill: Array, events: Array, first: Array, last: Array, *, ready: float = 1.0
) -> tuple[Array, Array]:
    """How much a scaler grew in each spill of one run, and the standard deviation.

    Parameters
    ----------
    spill
        Numbers, ascending, shape (spills,).
    events
        Recorded in each.
    first, last
        Value of the scaler at the first and last event of each.
    ready
        Share of the beam that the scaler counts. The acquisition is ready when a spill begins, so
        that a whole mean gap comes before the first event; the spill's end falls at any time, so
        that this share of one comes after the last.
    """
    first, last = first.astype(np.float64), last.astype(np.float64)
    span, n = last - first, events.astype(np.float64)
    # n events at random times cut a spill into n + 1 gaps of the same mean.
    gap = np.where(n > 1, span / np.maximum(n - 1, 1), np.nan)
    usual = float(np.nanmean(gap)) if np.isfinite(gap).any() else 0.0
    gap = np.where(np.isfinite(gap), gap, usual)
    follows = np.diff(spill) == 1
    between = (first[1:] - last[:-1])[follows]
    before, after = gap.copy(), ready * gap
    # Either nothing, or with the chance `ready` a gap: exponential.
    before_error, after_error = gap.copy(), gap * math.sqrt(ready * (2 - ready))
    before[1:][follows], after[:-1][follows] = between / (1 + ready), between * ready / (1 + ready)
    before_error[1:][follows] = after_error[:-1][follows] = between / math.sqrt(12)
    if len(spill) and spill[0] <= 1:
        # The count began with the run, and so did the first spill.
        before[0], before_error[0] = first[0], 0.0
    return span + before + after, np.hypot(before_error, after_error)


def _has_beam(counts: Counts, given: Mapping[int, Given]) -> bool:
    have = {"live_last", "scaler_last", "prescaled"} & set(counts.columns)
    return bool(have) or any(int(run) in given for run in counts.run)


def _what_to_give(counts: Iterable[Counts], run: int | None = None) -> str:
    runs = sorted({int(r) for c in counts for r in c.run}) if run is None else [run]
    shown = ", ".join(map(str, runs[:8])) + (", ..." if len(runs) > 8 else "")
    example = runs[0] if runs else 6100
    return (
        f"The exposure of run {shown} is unknown: its files have neither a scaler of the beam "
        "(branch `scaler_live`, or `scaler` with `--live-fraction`) nor a prescale of beam "
        f"triggers (`prescale`). Give the particles on target: `--eot {example}=1.2e9+-1e7` for "
        f"each run, or a YAML file with a line `{example}: [1.2e9, 1e7]` each (`--eot FILE`)."
    )


def dataset_exposure(
    counted: Counted,
    name: str,
    given: Mapping[int, Given],
    contamination: tuple[float, float],
    live_fraction: float | None,
) -> DatasetExposure:
    """As `measure_exposure`, of one dataset."""
    counts = counted.counts[name]
    runs = {
        int(r): _run(counts, int(r), given.get(int(r)), live_fraction)
        for r in np.unique(counts.run)
    }
    f, f_error = contamination
    periods: dict[str, list[RunExposure]] = {}
    for run, found in runs.items():
        period = counted.period_of(run)
        if period is not None:
            periods.setdefault(period, []).append(found)
    total = _sum(runs.values())
    sums = {period: _sum(of_period) for period, of_period in periods.items()}
    return DatasetExposure(
        name=name,
        particles=total,
        electrons=_electrons(total, f, f_error),
        contamination=Measurement.symmetric(f, 0.0, f_error),
        periods={
            period: PeriodExposure(particles, _electrons(particles, f, f_error))
            for period, particles in sums.items()
        },
        runs=runs,
        scaler_to_beam=_consistency(runs.values()),
    )


def _run(counts: Counts, run: int, given: Given | None, live_fraction: float | None) -> RunExposure:
    rows = counts.run == run
    columns = {name: counts[name][rows] for name in counts.columns if counts[name].ndim == 1}
    order = np.argsort(counts.spill[rows])
    spill = counts.spill[rows][order]
    columns = {name: column[order] for name, column in columns.items()}
    good = columns["good"] == columns["events"]
    live = _scaler(spill, columns, good, "live")
    everything = _scaler(spill, columns, good, "scaler")
    beam = None
    if "prescaled" in columns and _complete(columns, good):
        beam = _beam(columns, good)
    fraction = None
    if everything is not None and everything.value > 0:
        counted_live = live or beam
        fraction = None if counted_live is None else counted_live.value / everything.value
    if given is not None:
        value, source = Measurement.symmetric(given[0], 0.0, given[1]), "given"
    elif live is not None:
        value, source = live, "scaler_live"
    elif beam is not None:
        value, source = beam, "beam triggers"
    elif everything is not None and live_fraction is not None:
        value = Measurement.symmetric(
            everything.value * live_fraction, everything.statistical * live_fraction
        )
        source, fraction = "scaler times live fraction", live_fraction
    else:
        raise InferenceError(_what_to_give((), run))
    return RunExposure(
        run=run,
        particles=value,
        source=source,
        scaler=live,
        beam=beam,
        live_fraction=fraction,
        good_spills=int(good.sum()),
        bad_spills=int((~good).sum()),
    )


def _scaler(
    spill: Array, columns: Mapping[str, Array], good: Array, name: str
) -> Measurement | None:
    if f"{name}_last" not in columns or np.any(columns[f"{name}_last"] < 0):
        return None
    first, last = columns[f"{name}_first"], columns[f"{name}_last"]
    if np.any(np.diff(last) < 0) or np.any(first[1:] < last[:-1]):
        back = int(spill[1:][first[1:] < last[:-1]][0])
        msg = (
            f"The {name} scaler falls at spill {back}: it must count up through a run. Are two "
            "runs of the same number mixed, or was it reset? Give the exposure with --eot instead."
        )
        raise InferenceError(msg)
    ready = _ready(columns) if name == "live" else 1.0
    number, error = scaler_by_spill(spill, columns["events"], first, last, ready=ready)
    # Half gaps between two good spills add up to the gap, whose size is known.
    both = good[1:] & good[:-1] & (np.diff(spill) == 1)
    known = (first[1:] - last[:-1])[both] / math.sqrt(12)
    variance = float(np.sum(error[good] ** 2)) - 2 * float(np.sum(known.astype(float) ** 2))
    return Measurement.symmetric(float(number[good].sum()), math.sqrt(max(variance, 0.0)))


def _ready(columns: Mapping[str, Array]) -> float:
    """Share of the coincidences that were live, between the first and the last event of spills."""
    if "scaler_last" not in columns or np.any(columns["scaler_last"] < 0):
        return 1.0
    live, every = (float((columns[f"{n}_last"] - columns[f"{n}_first"]).sum()) for n in _SCALERS)
    return min(live / every, 1.0) if every > 0 else 1.0


def _complete(columns: Mapping[str, Array], good: Array) -> bool:
    """Whether the prescale of every beam trigger is known, and there is one."""
    beam = columns["beam"][good]
    return bool(beam.sum() > 0 and np.all(columns["prescale_known"][good] == beam))


def _beam(columns: Mapping[str, Array], good: Array) -> Measurement:
    if "prescaled_w" in columns:
        squares = float(columns["prescaled_w2"][good].sum())
        return Measurement.symmetric(float(columns["prescaled_w"][good].sum()), math.sqrt(squares))
    number, triggers = columns["prescaled"][good].astype(np.float64), columns["beam"][good]
    mean = np.divide(number, triggers, out=np.zeros_like(number), where=triggers > 0)
    return Measurement.symmetric(float(number.sum()), math.sqrt(float(np.sum(triggers * mean**2))))


def _sum(runs: Iterable[RunExposure]) -> Measurement:
    found = list(runs)
    return Measurement.symmetric(
        math.fsum(r.particles.value for r in found),
        math.hypot(*(r.particles.statistical for r in found)),
        math.hypot(*(r.particles.systematic for r in found)),
    )


def _electrons(particles: Measurement, f: float, f_error: float) -> Measurement:
    return Measurement.symmetric(
        particles.value * (1 - f),
        particles.statistical * (1 - f),
        math.hypot(particles.systematic * (1 - f), particles.value * f_error),
    )


def _consistency(runs: Iterable[RunExposure]) -> Measurement | None:
    pairs = [(r.scaler, r.beam) for r in runs if r.scaler is not None and r.beam is not None]
    by_scaler = math.fsum(s.value for s, _ in pairs)
    by_beam = math.fsum(b.value for _, b in pairs)
    if not pairs or by_scaler <= 0 or by_beam <= 0:
        return None
    ratio = by_scaler / by_beam
    relative = [s.statistical / by_scaler for s, _ in pairs]
    relative += [b.statistical / by_beam for _, b in pairs]
    return Measurement.symmetric(ratio, ratio * math.hypot(*relative))
