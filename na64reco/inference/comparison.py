"""Two samples of selected events, variable by variable, and their yields.

Shapes are compared by the Kolmogorov-Smirnov distance, unbinned, and by chi2 in bins that hold
about equally many events of both samples together:

    chi2 = sum_i (a_i / A - b_i / B)^2 / (p_i (u_i / A + v_i / B))

with sums of weights a, b in bins, A and B in all; u = sum w^2 / sum w of the bin in the first
sample, v in the second; p the shares of both samples together. For unweighted samples these are
scipy's `ks_2samp` and `chi2_contingency`; weighted ones count by their effective numbers,
(sum w)^2 / sum w^2, in the former and in p.

Yields: (A / exposure_1) / (B / exposure_2), as data over simulation of muon pairs, whose systematic
error in arXiv:2404.06982 is 15 %.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.exposure_results import EXPOSURE, load_exposure
from na64reco.inference.measurement import Measurement
from na64reco.processors.outputs import RUN, SELECTED
from na64reco.processors.skim import METADATA, branch_of
from na64reco.reconstruction import COLUMNS
from na64reco.selection import Selection
from na64reco.selection.limits import Periods, in_box
from na64reco.selection.variables import Values, find_description

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["DIMUON_SYSTEMATIC", "Comparison", "Shape", "Side", "compare", "compare_shapes"]

DIMUON_SYSTEMATIC = 0.15
"""Relative, of the yield of muon pairs [arXiv:2404.06982 section 5]."""

_BINS = 20
_FEWEST = 10


@dataclass(frozen=True)
class Side:
    """One of the two samples."""

    out: str
    dataset: str
    simulated: bool
    events: int
    weight: float
    """Sum of weights."""
    error: float
    """Root of the sum of their squares."""
    exposure: float | None
    """Particles on target, or whatever the yields are to be divided by."""


@dataclass(frozen=True)
class Shape:
    """One variable: normalised contents of the bins, and how well they agree."""

    variable: str
    unit: str
    edges: tuple[float, ...]
    first: tuple[float, ...]
    first_error: tuple[float, ...]
    second: tuple[float, ...]
    second_error: tuple[float, ...]
    ratio: tuple[float | None, ...]
    """First over second."""
    ratio_error: tuple[float | None, ...]
    ks: float
    """Largest distance of the cumulative distributions."""
    ks_p: float
    """Probability of a larger one (asymptotic; too large for discrete variables)."""
    chi2: float
    ndf: int
    chi2_p: float


@dataclass(frozen=True)
class Comparison:
    """Of two samples."""

    first: Side
    second: Side
    hidden: str | None
    """The region whose events are left out of both, since one of them is blinded."""
    yields: Measurement | None
    """First over second, each by its exposure; None without events in the second."""
    shapes: tuple[Shape, ...]
    skipped: dict[str, str]
    """Variables that could not be compared, and why."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Sample:
    side: Side
    selection: Selection
    columns: dict[str, Array]
    weights: Array
    blinded: str | None


def compare(
    first: Path | str,
    second: Path | str,
    *,
    datasets: tuple[str | None, str | None] = (None, None),
    variables: Iterable[str] = (),
    exposures: tuple[float | None, float | None] = (None, None),
    systematic: float | None = None,
) -> Comparison:
    """Compare the selected events of two output folders.

    Parameters
    ----------
    datasets
        One of each folder; default: the only one.
    variables
        Default: all that the selections cut on, use in regions or fill into histograms.
    exposures
        Of each; default: exposure.json of its folder, if it is there, for both or for none.
    systematic
        Relative, of the ratio of yields; default: `DIMUON_SYSTEMATIC` for selections with a region
        ``dimuon``, else 0.

    Raises
    ------
    InferenceError
        If a folder is no output, a dataset is unknown or ambiguous, or a variable is not there.
    """
    a, b = (
        _read(Path(out), dataset, exposure)
        for out, dataset, exposure in zip((first, second), datasets, exposures, strict=True)
    )
    hidden = a.blinded or b.blinded
    if hidden is not None:
        box = (a if a.blinded else b).selection
        a, b = (_without_box(sample, box) for sample in (a, b))
    shapes, skipped = [], {}
    for name in tuple(variables) or _variables(a.selection, b.selection):
        try:
            values = [np.asarray(Values(s.columns)[name], np.float64) for s in (a, b)]
        except Exception as error:
            if variables:
                msg = f"{name!r} cannot be compared: {error}"
                raise InferenceError(msg) from None
            skipped[name] = "not in both files; add it with `na64reco run --columns`"
            continue
        shape = compare_shapes(name, values[0], values[1], a.weights, b.weights)
        if isinstance(shape, str):
            skipped[name] = shape
        else:
            shapes.append(shape)
    return Comparison(a.side, b.side, hidden, _yields(a, b, systematic), tuple(shapes), skipped)


def compare_shapes(
    name: str, first: Array, second: Array, first_weights: Array, second_weights: Array
) -> Shape | str:
    """Compare two distributions; a reason if there is nothing to compare.

    Parameters
    ----------
    first, second
        Values, shape (events,) each; those that are not finite are left out.
    first_weights, second_weights
        Of the events.
    """
    x, y = _ordered(first, first_weights), _ordered(second, second_weights)
    if min(x.total, y.total) <= 0:
        return "no events with a value in one of the samples"
    edges = _edges(x.values, y.values)
    if edges is None:
        return "all events have the same value"
    (a, a2), (b, b2) = x.histogram(edges), y.histogram(edges)
    p, q = a / x.total, b / y.total
    dp, dq = np.sqrt(a2) / x.total, np.sqrt(b2) / y.total
    chi2, ndf = _chi2(a, a2, b, b2)
    from scipy.stats import chi2 as chi2_distribution
    from scipy.stats import kstwobign

    distance = _distance(x, y)
    n, m = x.total**2 / x.squares[-1], y.total**2 / y.squares[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = p / q
        error = ratio * np.hypot(dp / p, dq / q)
    known = (a > 0) & (b > 0)
    description = find_description(name)  # None for a caller's own name
    return Shape(
        variable=name,
        unit="" if description is None else description.unit,
        edges=tuple(edges.tolist()),
        first=tuple(p.tolist()),
        first_error=tuple(dp.tolist()),
        second=tuple(q.tolist()),
        second_error=tuple(dq.tolist()),
        ratio=tuple(float(r) if k else None for r, k in zip(ratio, known, strict=True)),
        ratio_error=tuple(float(r) if k else None for r, k in zip(error, known, strict=True)),
        ks=distance,
        ks_p=float(kstwobign.sf(distance * math.sqrt(n * m / (n + m)))),
        chi2=chi2,
        ndf=ndf,
        chi2_p=float(chi2_distribution.sf(chi2, ndf)) if ndf else 1.0,
    )


@dataclass(frozen=True, eq=False)
class _Ordered:
    """A sample in ascending order; one sort serves histogram and cumulative distribution."""

    values: Array
    sums: Array
    """Of weights below each value, shape (events + 1,)."""
    squares: Array
    """Of squared weights."""

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self.sums[-1])

    def histogram(self, edges: Array) -> tuple[Array, Array]:
        """Sums of weights and of their squares; the last edge belongs to the last bin."""
        places = np.searchsorted(self.values, edges, side="left")
        places[-1] = np.searchsorted(self.values, edges[-1], side="right")
        return np.diff(self.sums[places]), np.diff(self.squares[places])

    def below(self, points: Array) -> Array:
        """Share of the weight at or below points in ascending order."""
        share: Array = self.sums[np.searchsorted(self.values, points, side="right")] / self.total
        return share


def _ordered(values: Array, weights: Array) -> _Ordered:
    use = np.isfinite(values) & (weights > 0)
    values, weights = values[use], weights[use]
    if np.all(weights == 1):
        sums = np.arange(len(values) + 1, dtype=np.float64)
        return _Ordered(np.sort(values), sums, sums)
    order = np.argsort(values)
    sums, squares = np.zeros(len(values) + 1), np.zeros(len(values) + 1)
    np.cumsum(weights[order], out=sums[1:])
    np.cumsum(weights[order] ** 2, out=squares[1:])
    return _Ordered(values[order], sums, squares)


def _edges(x: Array, y: Array) -> Array | None:
    """Bins of about the same number of events; one for each of few values."""
    # A thousand of each tell whether there are many values; few are counted in full.
    few = np.unique(np.concatenate([s[:: max(len(s) // 1000, 1)] for s in (x, y)]))
    if len(few) <= _BINS:
        few = np.unique(np.concatenate([x, y]))
    if len(few) < 2:
        return None
    if len(few) <= _BINS:
        middle = (few[1:] + few[:-1]) / 2
        step = few[1] - few[0], few[-1] - few[-2]
        return np.array([few[0] - step[0] / 2, *middle, few[-1] + step[1] / 2])
    bins = int(np.clip((len(x) + len(y)) // (2 * _FEWEST), 1, _BINS))
    # Every so-many-th value of the ordered samples has the quantiles of all of them.
    thin = max((len(x) + len(y)) // 200_000, 1)
    values = np.concatenate([x[::thin], y[::thin], x[-1:], y[-1:]])
    edges = np.unique(
        np.quantile(values, np.linspace(0, 1, bins + 1), method="closest_observation")
    )
    if len(edges) < 3:
        return np.array([few[0], few[1], few[-1]])
    return np.asarray(edges)


def _chi2(a: Array, a2: Array, b: Array, b2: Array) -> tuple[float, int]:
    """Of the shapes of two histograms, with sums of weights and of their squares."""
    total_a, total_b = a.sum(), b.sum()
    n, m = total_a**2 / a2.sum(), total_b**2 / b2.sum()
    p, q = a / total_a, b / total_b
    common = (n * p + m * q) / (n + m)
    # What an event weighs in a bin, on average; where there is none, as in all bins.
    weight = np.divide(a2, a, out=np.full_like(a, a2.sum() / total_a), where=a > 0) / total_a
    weight += np.divide(b2, b, out=np.full_like(b, b2.sum() / total_b), where=b > 0) / total_b
    use = common > 0
    chi2 = float(np.sum((p - q)[use] ** 2 / (common * weight)[use]))
    return chi2, max(int(np.count_nonzero(use)) - 1, 0)


def _distance(x: _Ordered, y: _Ordered) -> float:
    """At 200,000 points of either sample at most: between two the curves rise by 5e-6."""
    thinned = (s.values[:: max(len(s.values) // 200_000, 1)] for s in (x, y))
    return max(float(np.max(np.abs(x.below(p) - y.below(p)))) for p in thinned)


def _yields(a: _Sample, b: _Sample, systematic: float | None) -> Measurement | None:
    if b.side.weight <= 0:
        return None
    scales = (a.side.exposure, b.side.exposure)
    scale = scales[1] / scales[0] if scales[0] and scales[1] else 1.0
    ratio = a.side.weight / b.side.weight * scale
    relative = math.hypot(
        a.side.error / a.side.weight if a.side.weight else 0.0, b.side.error / b.side.weight
    )
    if systematic is None:
        dimuon = "dimuon" in a.selection.regions
        systematic = DIMUON_SYSTEMATIC if dimuon else 0.0
    statistical = ratio * relative if ratio else scale / b.side.weight
    return Measurement.symmetric(ratio, statistical, ratio * systematic)


def _variables(*selections: Selection) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for selection in selections:
        names |= dict.fromkeys(cut.variable for cut in selection.cuts)
        names |= dict.fromkeys(v for box in selection.regions.values() for v in box)
        names |= dict.fromkeys(a.variable for h in selection.histograms.values() for a in h.axes)
    return tuple(n for n in names if n.partition(".")[0] not in {"trigger", "quality", "run"})


def _without_box(sample: _Sample, selection: Selection) -> _Sample:
    """Events outside of the blinded region, as those of blinded data are."""
    assert selection.blind is not None
    values = Values(sample.columns)
    box = in_box(
        selection.regions[selection.blind], values, Periods(selection, values), nan_inside=True
    )
    columns = {name: column[~box] for name, column in sample.columns.items()}
    weights = sample.weights[~box]
    side = Side(
        **{
            **asdict(sample.side),
            "events": len(weights),
            "weight": float(weights.sum()),
            "error": float(np.sqrt(np.sum(weights**2))),
        }
    )
    return _Sample(side, sample.selection, columns, weights, sample.blinded)


def _read(out: Path, dataset: str | None, exposure: float | None) -> _Sample:
    import uproot

    try:
        record = json.loads((out / RUN).read_text(encoding="utf-8"))
        selection = Selection.model_validate(record["selection"]["content"])
        known = record["datasets"]
    except (OSError, ValueError, KeyError) as error:
        msg = f"{out} is not an output of `na64reco run`: {error}"
        raise InferenceError(msg) from None
    if dataset is None and len(known) == 1:
        dataset = next(iter(known))
    if dataset is None or dataset not in known:
        names = ", ".join(map(repr, known))
        msg = f"{out} has the datasets {names}; which of them? Name it as OUT:DATASET. "
        msg += did_you_mean(dataset, known) if dataset else ""
        raise InferenceError(msg.strip())
    try:
        with uproot.open(out / SELECTED) as file:
            number = json.loads(str(file[METADATA]))["datasets"].index(dataset)
            arrays = file["Events"].arrays(library="np")
    except (OSError, KeyError, ValueError) as error:
        msg = f"{out / SELECTED} cannot be read: {error}"
        raise InferenceError(msg) from None
    mine = arrays["dataset"] == number
    columns = {n: arrays[b][mine] for n in COLUMNS if (b := branch_of(n)) in arrays}
    simulated = bool(known[dataset]["simulated"])
    weights = np.ones(int(mine.sum()))
    if simulated and "mc.weight" in columns:
        weights = columns["mc.weight"].astype(np.float64)
    if exposure is None and (out / EXPOSURE).is_file():
        exposures = load_exposure(out).datasets
        exposure = exposures[dataset].particles.value if dataset in exposures else None
    side = Side(
        str(out),
        dataset,
        simulated,
        len(weights),
        float(weights.sum()),
        float(np.sqrt(np.sum(weights**2))),
        exposure,
    )
    return _Sample(side, selection, columns, weights, known[dataset]["blinded"])
