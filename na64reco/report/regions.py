"""Regions of a selection as polygons in a plane of two variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from na64reco.selection.model import ByPeriod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from na64reco.selection.model import Bound, Box, Selection

__all__ = ["Outline", "outlines"]

Point = tuple[float, float]

# Variables that are a sum of the plane's own: their limits are straight lines too.
_SUMS = {
    "calo.energy": ("ecal.energy", "hcal.energy"),
    "calo.with_muon": ("track_out.momentum", "calo.all"),
}


@dataclass(frozen=True)
class Outline:
    """One region in the plane, in one period where its limits depend on that."""

    region: str
    period: str | None
    corners: tuple[Point, ...]
    """Inside the frame of the picture, in order around the polygon."""


def outlines(
    selection: Selection, variables: tuple[str, str], frame: tuple[Point, Point]
) -> Iterator[Outline]:
    """Regions that are limited by the plane's variables alone.

    Parameters
    ----------
    variables
        Of the x and the y axis.
    frame
        ((x_low, x_high), (y_low, y_high)) of the picture; what lies outside is cut off.
    """
    for name, box in selection.regions.items():
        if any(_weights(variable, variables) is None for variable in box):
            continue
        periods = sorted(
            {
                p
                for sides in box.values()
                for b in sides
                if isinstance(b, ByPeriod)
                for p in b.values
            }
        )
        seen: set[tuple[Point, ...]] = set()
        cases: list[str | None] = [*periods] or [None]
        for period in cases:
            corners = _polygon(box, variables, frame, period)
            if corners and corners not in seen:
                seen.add(corners)
                yield Outline(name, period, corners)


def _weights(variable: str, variables: tuple[str, str]) -> tuple[float, float] | None:
    """(a, b) such that the variable is a x + b y; None if it is nothing of the kind."""
    if variable == variables[0]:
        return 1.0, 0.0
    if variable == variables[1]:
        return 0.0, 1.0
    return (1.0, 1.0) if set(_SUMS.get(variable, ())) == set(variables) else None


def _polygon(
    box: Box, variables: tuple[str, str], frame: tuple[Point, Point], period: str | None
) -> tuple[Point, ...]:
    (x_low, x_high), (y_low, y_high) = frame
    corners: list[Point] = [(x_low, y_low), (x_high, y_low), (x_high, y_high), (x_low, y_high)]
    for variable, (low, high) in box.items():
        weights = _weights(variable, variables)
        assert weights is not None
        a, b = weights
        if (limit := _value(low, period)) is not None:
            corners = _clip(corners, a, b, limit)
        if (limit := _value(high, period)) is not None:
            corners = _clip(corners, -a, -b, -limit)
    return tuple(corners)


def _value(bound: Bound | None, period: str | None) -> float | None:
    if isinstance(bound, ByPeriod):
        return bound.values[period] if period is not None else None
    return bound


def _clip(corners: list[Point], a: float, b: float, limit: float) -> list[Point]:
    """The part of a convex polygon where a x + b y >= limit (Sutherland and Hodgman 1974)."""
    result: list[Point] = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        before, after = a * x0 + b * y0 - limit, a * x1 + b * y1 - limit
        if before >= 0:
            result.append((x0, y0))
        if before * after < 0:
            t = before / (before - after)
            result.append((x0 + t * (x1 - x0), y0 + t * (y1 - y0)))
    return result
