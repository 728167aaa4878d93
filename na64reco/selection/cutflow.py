"""Counts of a selection: integers that add up exactly in any order, and their efficiencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from na64reco.errors import SelectionError

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
    key: str, name: str, passed: int | None, total: int, cl: float
) -> dict[str, str | int | float | None]:
    low: float | None
    high: float | None
    if passed is None:
        efficiency = low = high = None
    else:
        efficiency = passed / total if total else None
        low, high = clopper_pearson(passed, total, cl=cl)
    return {
        key: name,
        "passed": passed,
        "total": total,
        "efficiency": efficiency,
        "low": low,
        "high": high,
    }


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
    """Events that pass the cut, whatever the others say."""
    others: tuple[int, ...] = ()
    """Events that pass all other cuts."""
    regions: tuple[tuple[str, int | None], ...] = ()
    """Events that pass all cuts and lie in the region; None = hidden by blinding."""

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
        )

    def __radd__(self, other: object) -> Cutflow:
        """Allow ``sum(cutflows)``, which starts at 0."""
        return self if other == 0 else NotImplemented

    @property
    def selected(self) -> int:
        """Events that pass all cuts."""
        return self.passed[-1] if self.passed else self.entered

    def rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per cut, as in cutflow.json; ``total`` is what entered that cut."""
        totals = (self.entered, *self.passed[:-1])
        return [
            _row("cut", name, passed, total, cl)
            for name, passed, total in zip(self.cuts, self.passed, totals, strict=True)
        ]

    def cumulative_rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per cut; ``total`` is what entered the first one."""
        return [
            _row("cut", name, passed, self.entered, cl)
            for name, passed in zip(self.cuts, self.passed, strict=True)
        ]

    def n_minus_1_rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per cut; ``total`` is what passes all other cuts, ``passed`` all cuts."""
        return [
            _row("cut", name, self.selected, total, cl)
            for name, total in zip(self.cuts, self.others, strict=True)
        ]

    def region_rows(self, *, cl: float = ONE_SIGMA) -> list[dict[str, Any]]:
        """One row per region; ``total`` is what passes all cuts. Hidden: None everywhere."""
        return [_row("region", name, n, self.selected, cl) for name, n in self.regions]

    def to_json(self) -> dict[str, Any]:
        """The bare counts, from which `from_json` makes the same cutflow."""
        return {
            "cuts": list(self.cuts),
            "entered": self.entered,
            "passed": list(self.passed),
            "alone": list(self.alone),
            "others": list(self.others),
            "regions": dict(self.regions),
        }

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
        )
