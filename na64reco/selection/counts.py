"""Counts from which efficiency and exposure are found: by run and spill, and by energy.

Integers, and sums of weights of simulated events, that add up in any order. Events that are hidden
by blinding are in none of them but the numbers of all events and of beam triggers, which depend on
neither energies nor cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from na64reco.errors import SelectionError
from na64reco.selection.rows import NONE, Rows
from na64reco.selection.variables import Values, base_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from na64reco.selection.apply import Outcome
    from na64reco.selection.model import Cut, Selection

    Array: TypeAlias = NDArray[Any]
    Mask: TypeAlias = NDArray[np.bool_]

__all__ = [
    "FULL_ENERGY",
    "OUT_OF_TIME",
    "Counts",
    "Curve",
    "base_cuts",
    "count",
    "is_downstream",
]

FULL_ENERGY: Final = "full_energy"
"""Region whose events are electrons by their energy in the ECAL: the tag of tag-and-probe."""

OUT_OF_TIME: Final = 10.0
"""GeV of out-of-time ECAL energy above which there was a further electron."""

_DOWN: Final = frozenset({"ecal", "prs", "veto", "hcal", "vhcal", "calo"})
_LEAST: Final = ("scaler_first", "live_first")
_LARGEST: Final = ("scaler_last", "live_last")

# Of beam triggers, for the turn-on of the physics trigger: (variable, edges, other variable, its
# lower and upper limit, which keep the other threshold out of the way).
_TURN_ONS: Final = {
    "trigger prs": ("prs.energy", np.linspace(0, 2, 101), "ecal.energy", 0.0, 75.0),
    "trigger ecal": ("ecal.energy", np.linspace(60, 130, 141), "prs.energy", 1.0, np.inf),
}
_MISSING: Final = np.linspace(0, 200, 201)


def is_downstream(cut: Cut) -> bool:
    """Whether a cut is on the ECAL or what follows it; the physics trigger is such a cut."""
    names = {*base_columns([cut.variable]), cut.variable}
    return "trigger.physics" in names or any(name.partition(".")[0] in _DOWN for name in names)


def base_cuts(selection: Selection) -> int:
    """How many cuts at the beginning only choose triggers, runs and spills."""
    for i, cut in enumerate(selection.cuts):
        if cut.variable.partition(".")[0] not in {"trigger", "quality"}:
            return i
    return len(selection.cuts)


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts in bins of a variable, under several conditions."""

    edges: Array
    counts: Mapping[str, Array]
    """Condition: events in each bin, int64."""
    weights: Mapping[str, Array]
    """Condition: sums of weights and of their squares, shape (2, bins); empty for data."""

    def __add__(self, other: Curve) -> Curve:
        return Curve(
            self.edges,
            {name: n + other.counts[name] for name, n in self.counts.items()},
            {name: w + other.weights[name] for name, w in self.weights.items()},
        )


@dataclass(frozen=True, eq=False)
class Counts:
    """One row per run and spill, and curves. ``Counts()`` is the zero of addition.

    Columns of shape (rows,): ``events``, ``beam`` (beam triggers; both with hidden events),
    ``good`` (events neither in a bad run nor spill), ``prescaled`` (sum of the prescale of beam
    triggers), ``prescale_known`` (beam triggers with a known prescale), ``scaler_first``,
    ``scaler_last``, ``live_first``, ``live_last``, ``entered``, ``out_of_time`` (after the
    `base_cuts`, with more than `OUT_OF_TIME`), ``tags_total`` (after the base cuts and those on the
    track, without out-of-time energy). Of shape (rows, 4): ``tags``, of the latter without SRD and
    with less than the full energy, without SRD and with it, with SRD and less, with both. Of shape
    (rows, cuts): ``passed``, ``alone``, ``others`` as in `Cutflow`, and ``tag_total``,
    ``tag_passed``: events that pass all other cuts and have the full energy, and those of them that
    pass this one. Where cuts were applied one after the other there are neither curves nor what
    needs a cut's verdict on all events (``alone``, ``others``, ``tag...``).

    Simulated events have sums of weights ``passed_w``, ``others_w``, ``entered_w``,
    ``prescaled_w`` and of squares (``..._w2``) as well.
    """

    cuts: tuple[str, ...] = ()
    run: Array = field(default_factory=lambda: np.empty(0, np.int64))
    spill: Array = field(default_factory=lambda: np.empty(0, np.int64))
    columns: Mapping[str, Array] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.run)

    def __getitem__(self, name: str) -> Array:
        """A column."""
        return self.columns[name]

    def __add__(self, other: Counts) -> Counts:
        if not len(other):
            return self
        if not len(self):
            return other
        if self.cuts != other.cuts:
            msg = f"Counts of different cuts cannot be added: {self.cuts} and {other.cuts}"
            raise SelectionError(msg)
        keys = np.stack(
            [np.concatenate([self.run, other.run]), np.concatenate([self.spill, other.spill])]
        )
        unique, index = np.unique(keys, axis=1, return_inverse=True)
        index = np.ravel(index)
        rows = unique.shape[1]
        columns = {}
        for name in [*self.columns, *(n for n in other.columns if n not in self.columns)]:
            mine, yours = (_column(c, name, like=(self, other)) for c in (self, other))
            both = np.concatenate([mine, yours])
            shape = (rows, *both.shape[1:])
            if name in _LEAST:
                result = np.full(shape, NONE)
                np.minimum.at(result, index, both)
            elif name in _LARGEST:
                result = np.full(shape, -1)
                np.maximum.at(result, index, both)
            else:
                result = np.zeros(shape, both.dtype)
                np.add.at(result, index, both)
            columns[name] = result
        curves = {
            name: self.curves[name] + other.curves[name]
            if name in self.curves and name in other.curves
            else (self.curves.get(name) or other.curves[name])
            for name in [*self.curves, *(n for n in other.curves if n not in self.curves)]
        }
        return Counts(self.cuts, unique[0], unique[1], columns, curves)

    def __radd__(self, other: object) -> Counts:
        """Allow ``sum(counts)``, which starts at 0."""
        return self if other == 0 else NotImplemented

    def to_json(self) -> dict[str, Any]:
        """Lists of Python numbers."""
        return {
            "cuts": list(self.cuts),
            "run": self.run.tolist(),
            "spill": self.spill.tolist(),
            "columns": {name: column.tolist() for name, column in self.columns.items()},
            "curves": {
                name: {
                    "edges": curve.edges.tolist(),
                    "counts": {n: c.tolist() for n, c in curve.counts.items()},
                    "weights": {n: w.tolist() for n, w in curve.weights.items()},
                }
                for name, curve in self.curves.items()
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Counts:
        """The inverse of `to_json`."""
        rows, cuts = len(content["run"]), tuple(content["cuts"])

        def column(name: str, values: Any) -> Array:
            dtype = np.float64 if name.endswith(("_w", "_w2")) else np.int64
            found = np.array(values, dtype=dtype)
            return found if rows else found.reshape(0)

        curves = {
            name: Curve(
                np.array(c["edges"], dtype=np.float64),
                {n: np.array(v, dtype=np.int64) for n, v in c["counts"].items()},
                {n: np.array(v, dtype=np.float64) for n, v in c["weights"].items()},
            )
            for name, c in content["curves"].items()
        }
        return cls(
            cuts,
            np.array(content["run"], dtype=np.int64),
            np.array(content["spill"], dtype=np.int64),
            {name: column(name, values) for name, values in content["columns"].items()},
            curves,
        )


def _column(counts: Counts, name: str, *, like: tuple[Counts, Counts]) -> Array:
    """A column, or what stands for one that these events do not have."""
    if name in counts.columns:
        return counts.columns[name]
    found = next(c.columns[name] for c in like if name in c.columns)
    fill = NONE if name in _LEAST else -1 if name in _LARGEST else 0
    return np.full((len(counts), *found.shape[1:]), fill, dtype=found.dtype)


def count(
    outcome: Outcome, columns: Mapping[str, Array], scalars: Mapping[str, Array] | None = None
) -> Counts:
    """Count one batch of events.

    Parameters
    ----------
    outcome
        From `apply`.
    columns
        The columns that `apply` got, with ``run`` and ``spill``; what needs others is left out
        where they are not there.
    scalars
        ``trigger`` (bits), ``scaler``, ``scaler_live``, ``prescale`` of the hit file, as far as it
        has them, each of shape (events,).
    """
    scalars = {} if scalars is None else scalars
    values = Values(columns)
    keys = np.stack([np.asarray(columns["run"]), np.asarray(columns["spill"])]).astype(np.int64)
    # Events of a spill stand together: only the first of each row of equal ones is sorted.
    first = np.flatnonzero(np.r_[keys.shape[1] > 0, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
    unique, rows = np.unique(keys[:, first], axis=1, return_inverse=True)
    bounds = np.r_[first, keys.shape[1]]
    table = Rows(bounds, np.ravel(rows), unique.shape[1], outcome.weights)
    base = (
        outcome.visible if (n := base_cuts(outcome.selection)) == 0 else outcome.cumulative[n - 1]
    )
    found = _triggers(table, columns, scalars)
    found["entered"] = table.count(outcome.visible)
    names = outcome.selection.cut_names
    others = outcome.others
    found["passed"] = table.counts(outcome.cumulative)
    if others:
        found["alone"] = table.counts(outcome.alone)
        found["others"] = table.counts(others)
    if outcome.weights is not None:
        for power, name in ((1, "w"), (2, "w2")):
            found[f"entered_{name}"] = table.sum(power, outcome.visible)
            found[f"passed_{name}"] = table.sums(power, outcome.cumulative)
            if others:
                found[f"others_{name}"] = table.sums(power, others)
    late = np.zeros(len(columns["run"]), dtype=bool)
    if "ecal.energy_out" in columns:
        late = np.asarray(columns["ecal.energy_out"]) > OUT_OF_TIME
        found["out_of_time"] = table.count(base & late)
    if FULL_ENERGY in outcome.boxes and others:
        full = outcome.boxes[FULL_ENERGY]
        found["tag_total"] = table.counts(mask & full for mask in others)
        found["tag_passed"] = table.counts(
            m & full & p for m, p in zip(others, outcome.passed, strict=True)
        )
        srd = [m for m, c in _with_cuts(outcome) if c.variable.startswith("srd.")]
        if srd and "ecal.energy" in outcome.selection.regions[FULL_ENERGY]:
            tag = np.logical_and.reduce(srd)
            low = outcome.selection.regions[FULL_ENERGY]["ecal.energy"][0]
            below = ~full & (np.asarray(columns["ecal.energy"]) < (low if _is_number(low) else 0.0))
            track = [m for m, c in _with_cuts(outcome) if c.variable.startswith("track.")]
            # Pile-up makes electrons lose SRD and ECAL energy together; it does not choose by kind.
            use = np.logical_and.reduce([base & ~late, *track])
            found["tags"] = table.counts(use & a & b for a in (~tag, tag) for b in (below, full))
            found["tags_total"] = table.count(use)
    # Curves are of events that pass some cuts whatever others say.
    curves = _curves(outcome, values) if others else {}
    return Counts(names, unique[0], unique[1], found, curves)


def _is_number(bound: object) -> bool:
    return isinstance(bound, int | float)


def _with_cuts(outcome: Outcome) -> list[tuple[Mask, Cut]]:
    return list(zip(outcome.passed, outcome.selection.cuts, strict=True))


def _triggers(
    table: Rows, columns: Mapping[str, Array], scalars: Mapping[str, Array]
) -> dict[str, Array]:
    everything = np.ones(len(columns["run"]), dtype=bool)
    good = np.asarray(columns.get("quality.good", everything), dtype=bool)
    found = {"events": table.count(everything), "good": table.count(good)}
    if "trigger" not in scalars:
        return found
    beam = (np.asarray(scalars["trigger"]) & 2) > 0
    found["beam"] = table.count(beam)
    if "prescale" in scalars:
        found["prescaled"] = table.total(np.asarray(scalars["prescale"]), beam)
        found["prescale_known"] = table.count(beam)
        if table.weighted:
            factor = np.asarray(scalars["prescale"], dtype=np.float64)
            found["prescaled_w"] = table.sum(1, beam, factor)
            found["prescaled_w2"] = table.sum(2, beam, factor)
    for scalar, name in (("scaler", "scaler"), ("scaler_live", "live")):
        if scalar in scalars:
            found[f"{name}_first"] = table.extreme(np.asarray(scalars[scalar]), largest=False)
            found[f"{name}_last"] = table.extreme(np.asarray(scalars[scalar]), largest=True)
    return found


def _curves(outcome: Outcome, values: Values) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    columns = values.given
    if {"trigger.beam", "trigger.physics", "ecal.energy", "prs.energy"} <= columns:
        # Well measured electrons: where the offline energy is wrong, so is the curve.
        kept = [
            mask
            for mask, cut in _with_cuts(outcome)
            if cut.variable.partition(".")[0] not in {"trigger", "prs", "hcal"}
        ]
        beam = np.logical_and.reduce(
            [np.asarray(values["trigger.beam"]), outcome.visible, *kept], dtype=bool
        )
        physics = np.asarray(values["trigger.physics"])
        for name, (variable, edges, other, low, high) in _TURN_ONS.items():
            with np.errstate(invalid="ignore"):
                use = beam & (values[other] > low) & (values[other] < high)
            masks = {"total": use, "passed": use & physics}
            found[name] = _curve(values[variable], edges, masks, outcome.weights)
    if "mc.missing_energy" in columns and np.any(values["mc.missing_energy"] > 0):
        down = np.array([is_downstream(cut) for cut in outcome.selection.cuts])
        up_mask = outcome.passed[~down].all(axis=0) & outcome.visible
        all_mask = outcome.cumulative[-1]
        offline = np.array([c.variable != "trigger.physics" for c in outcome.selection.cuts])
        offline_mask = outcome.passed[offline].all(axis=0) & outcome.visible
        masks = {"entered": outcome.visible, "up": up_mask, "offline": offline_mask}
        if outcome.selection.blind is not None:
            masks["box"] = all_mask & outcome.boxes[outcome.selection.blind]
        use = np.asarray(values["mc.missing_energy"]) > 0
        masks = {name: mask & use for name, mask in masks.items()}
        found["missing energy"] = _curve(
            values["mc.missing_energy"], _MISSING, masks, outcome.weights
        )
    return found


def _curve(values: Array, edges: Array, masks: Mapping[str, Mask], weights: Array | None) -> Curve:
    bins = len(edges) - 1
    # NaN sorts last, as what lies above: neither is in a bin.
    where = np.searchsorted(edges, np.asarray(values, dtype=np.float64), side="right") - 1
    inside = (where >= 0) & (where < bins)
    chosen = {name: mask & inside for name, mask in masks.items()}
    sums: dict[str, Array] = {}
    if weights is not None:
        sums = {
            name: np.stack([np.bincount(where[m], weights[m] ** k, bins) for k in (1, 2)])
            for name, m in chosen.items()
        }
    return Curve(edges, {n: np.bincount(where[m], minlength=bins) for n, m in chosen.items()}, sums)
