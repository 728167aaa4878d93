"""Counts of a selection: integers that add up exactly in any order, and their efficiencies.

Simulated events have weights besides, and their rows an entry ``weighted``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from na64reco.errors import SelectionError
from na64reco.selection.weights import Sum, WeightSums, effective_interval

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ONE_SIGMA", "Cutflow", "clopper_pearson"]

ONE_SIGMA = 0.6827
"""Probability content of one standard deviation."""


def clopper_pearson(passed: int, total: int, *, cl: float = ONE_SIGMA) -> tuple[float, float]:
    """Central Clopper-Pearson interval of a binomial efficiency.

    With a = 1 - cl the limits are the a/2 quantile of Beta(k, n - k + 1) and the 1 - a/2 quantile
    of Beta(k + 1, n - k); 0 for k = 0, 1 for k = n (Clopper and Pearson, Biometrika 26 (1934)
    404). For n = 0 nothing is known: (0, 1).

    Raises
    ------
    ValueError
        If not 0 <= passed <= total or not 0 < cl < 1.
    """
    if not 0 <= passed <= total:
        msg = f"passed = {passed} does not lie between 0 and total = {total}"
        raise ValueError(msg)
    if not 0 < cl < 1:
        msg = f"the confidence level must lie between 0 and 1, found {cl}"
        raise ValueError(msg)
    from scipy.special import betaincinv  # scipy.stats would cost half a second at start-up

    tail = (1 - cl) / 2
    low = 0.0 if passed == 0 else float(betaincinv(passed, total - passed + 1, tail))
    high = 1.0 if passed == total else float(betaincinv(passed + 1, total - passed, 1 - tail))
    return low, high


def _row(
    key: str,
    name: str,
    passed: int | None,
    total: int,
    *,
    cl: float,
    weighted: tuple[Sum, Sum] | None,
) -> dict[str, Any]:
    low: float | None
    high: float | None
    if passed is None:
        efficiency = low = high = None
    else:
        efficiency = passed / total if total else None
        low, high = clopper_pearson(passed, total, cl=cl)
    row: dict[str, Any] = {
        key: name,
        "passed": passed,
        "total": total,
        "efficiency": efficiency,
        "low": low,
        "high": high,
    }
    if weighted is not None and passed is not None:
        (mine, _), (all_, _) = weighted
        low, high = effective_interval(*weighted, cl=cl)
        row["weighted"] = {
            "passed": mine,
            "total": all_,
            "efficiency": mine / all_ if all_ else None,
            "low": low,
            "high": high,
        }
    return row


def _added(mine: tuple[int, ...], yours: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(mine, yours, strict=True))


@dataclass(frozen=True)
class Cutflow:
    """How many visible events pass which cuts. ``Cutflow()`` is the zero of addition."""

    cuts: tuple[str, ...] = ()
    """Names in order."""
    entered: int = 0
    """Events before the first cut."""
    passed: tuple[int, ...] = ()
    """Events that pass the cut and all before it."""
    alone: tuple[int, ...] = ()
    """Events that pass the cut, whatever the others say; empty if cuts were applied in sequence."""
    others: tuple[int, ...] = ()
    """Events that pass all other cuts; empty as well."""
    regions: tuple[tuple[str, int | None], ...] = ()
    """Events that pass all cuts and lie in the region; None = hidden by blinding."""
    weighted: WeightSums | None = None
    """Sums of weights of simulated events; None for data."""

    def __add__(self, other: object) -> Cutflow:
        if not isinstance(other, Cutflow):
            return NotImplemented
        if not other.cuts:
            return self
        if not self.cuts:
            return other
        names, theirs = [n for n, _ in self.regions], [n for n, _ in other.regions]
        if self.cuts != other.cuts or names != theirs:
            msg = (
                "Cutflows of different selections cannot be added: cuts "
                f"{list(self.cuts)} and regions {names} here, {list(other.cuts)} and {theirs} there"
            )
            raise SelectionError(msg)
        if len(self.others) != len(other.others):
            msg = (
                "A cutflow of cuts applied one after the other (--sequential) cannot be added to "
                "one that knows each cut alone."
            )
            raise SelectionError(msg)
        if (self.weighted is None) != (other.weighted is None):
            msg = "A cutflow of data and one of weighted simulated events cannot be added."
            raise SelectionError(msg)
        return Cutflow(
            cuts=self.cuts,
            entered=self.entered + other.entered,
            passed=_added(self.passed, other.passed),
            alone=_added(self.alone, other.alone),
            others=_added(self.others, other.others),
            regions=tuple(
                # Hidden plus anything is hidden.
                (name, None if a is None or b is None else a + b)
                for (name, a), (_, b) in zip(self.regions, other.regions, strict=True)
            ),
            weighted=None
            if self.weighted is None or other.weighted is None
            else self.weighted + other.weighted,
        )

    def __radd__(self, other: object) -> Cutflow:
        """Allow ``sum(cutflows)``, which starts at 0."""
        return self if other == 0 else NotImplemented

    @property
    def is_sequential(self) -> bool:
        """Whether cuts were applied one after the other: `alone` and `others` are not known."""
        return bool(self.cuts) and not self.others

    @property
    def selected(self) -> int:
        """Events that pass all cuts."""
        return self.passed[-1] if self.passed else self.entered

    def rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per cut, as in cutflow.json; ``total`` is what entered that cut."""
        totals = (self.entered, *self.passed[:-1])
        sums = self.weighted
        pairs = None
        if sums is not None:
            pairs = zip(sums.passed, (sums.entered, *sums.passed[:-1]), strict=True)
        return self._rows("cut", self.cuts, self.passed, totals, weighted=pairs, cl=cl)

    def cumulative_rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per cut; ``total`` is what entered the first one."""
        totals = (self.entered,) * len(self.cuts)
        sums = self.weighted
        pairs = None if sums is None else ((p, sums.entered) for p in sums.passed)
        return self._rows("cut", self.cuts, self.passed, totals, weighted=pairs, cl=cl)

    def n_minus_1_rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per cut; ``total`` is what passes all other cuts, ``passed`` all cuts.

        Empty if cuts were applied one after the other.
        """
        passed = (self.selected,) * len(self.others)
        sums = self.weighted
        pairs = None if sums is None else ((sums.selected, t) for t in sums.others)
        return self._rows("cut", self.cuts, passed, self.others, weighted=pairs, cl=cl)

    def region_rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per region; ``total`` is what passes all cuts. Hidden: None everywhere."""
        names = [name for name, _ in self.regions]
        passed = [n for _, n in self.regions]
        sums = self.weighted
        pairs = None if sums is None else ((p, sums.selected) for p in sums.regions)
        return self._rows(
            "region", names, passed, (self.selected,) * len(names), weighted=pairs, cl=cl
        )

    @staticmethod
    def _rows(
        key: str,
        names: Iterable[str],
        passed: Iterable[int | None],
        totals: Iterable[int],
        *,
        weighted: Iterable[tuple[Sum, Sum]] | None,
        cl: float,
    ) -> list[dict[str, Any]]:
        # `repeat` knows no end, so this `zip` ends with the names.
        pairs = repeat(None) if weighted is None else weighted
        return [
            _row(key, name, p, t, cl=cl, weighted=w)
            for name, p, t, w in zip(names, passed, totals, pairs, strict=False)
        ]

    def to_json(self) -> dict[str, Any]:
        """The bare counts, from which `from_json` makes the same cutflow."""
        content = {
            "cuts": list(self.cuts),
            "entered": self.entered,
            "passed": list(self.passed),
            "alone": list(self.alone),
            "others": list(self.others),
            "regions": dict(self.regions),
        }
        return content if self.weighted is None else content | {"weighted": self.weighted.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Cutflow:
        """The inverse of `to_json`."""
        return cls(
            tuple(content["cuts"]),
            content["entered"],
            tuple(content["passed"]),
            tuple(content["alone"]),
            tuple(content["others"]),
            tuple(content["regions"].items()),
            WeightSums.from_json(content["weighted"]) if "weighted" in content else None,
        )
