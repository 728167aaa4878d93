"""What a selection file may say: cuts, regions, histograms, periods (DESIGN of `selections/`).

Conventions, the same everywhere:

- A *cut* keeps the values between its limits, the limits included: ``min: 1`` keeps v >= 1,
  ``max: 5`` keeps v <= 5, ``window: [lo, hi]`` keeps lo <= v <= hi. Limits of counts are
  written as people say them ("1 to 5 hits").
- A *region* is a box whose sides are half-open, lo <= v < hi, as are the bins of histograms: two
  regions that share an edge never share an event. ``null`` is no limit on that side.
- NaN fails every cut, also a negated one, and lies in no region. (For blinding a NaN counts as
  inside, see `na64reco.selection.blinding`.)
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from na64reco.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Axis",
    "Bound",
    "Box",
    "ByColumn",
    "ByPeriod",
    "Cut",
    "Histogram",
    "Limit",
    "Selection",
    "slug",
]

WITHOUT = "without "
"""``at: [without SRD]`` is the stage after all cuts but SRD."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
Problem: TypeAlias = tuple[tuple[str | int, ...], str]
"""Where in the file (keys and list positions), and what is wrong."""


def slug(name: str) -> str:
    """A name as it appears in the names of histograms.

    >>> slug("incoming track")
    'incoming_track'
    """
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ByPeriod(_Part):
    """A limit with one value per run period."""

    by: Literal["period"]
    """Says that it is one."""
    values: dict[str, Number] = Field(min_length=1)
    """The limit in each of the periods."""


class ByColumn(_Part):
    """A limit that is piecewise constant in another column.

    ``values[i]`` holds for edges[i] <= column < edges[i + 1], ``below`` and ``above`` outside the
    edges (by default the first and last value). NaN in the column fails the cut.
    """

    by: str
    """Variable that the limit depends on."""
    edges: Annotated[tuple[Number, ...], Field(min_length=2)]
    """Ascending values of that variable."""
    values: tuple[Number, ...]
    """The limit between each two neighbouring edges, one fewer than these."""
    below: Number | None = None
    """The limit below the first edge; default: the first value."""
    above: Number | None = None
    """The limit from the last edge on; default: the last value."""

    @model_validator(mode="after")
    def _check(self) -> ByColumn:
        if any(b <= a for a, b in pairwise(self.edges)):
            msg = f"the edges {list(self.edges)} must ascend"
            raise ValueError(msg)
        if len(self.values) != len(self.edges) - 1:
            msg = (
                f"{len(self.edges)} edges make {len(self.edges) - 1} bins, found "
                f"{len(self.values)} values (what holds outside the edges goes to "
                "`below` and `above`)"
            )
            raise ValueError(msg)
        return self

    @property
    def table(self) -> tuple[float, ...]:
        """Values below the first edge, in each bin, and from the last edge on."""
        below = self.values[0] if self.below is None else self.below
        above = self.values[-1] if self.above is None else self.above
        return (below, *self.values, above)


def _kind(value: Any) -> str:
    """Which of the three forms a limit has; errors then speak of that form alone."""
    if isinstance(value, dict):
        return "by period" if value.get("by") == "period" else "by column"
    if isinstance(value, ByPeriod):
        return "by period"
    return "by column" if isinstance(value, ByColumn) else "number"


Limit: TypeAlias = Annotated[
    Annotated[Number, Tag("number")]
    | Annotated[ByPeriod, Tag("by period")]
    | Annotated[ByColumn, Tag("by column")],
    Discriminator(_kind),
]
Bound: TypeAlias = Annotated[
    Annotated[Number, Tag("number")] | Annotated[ByPeriod, Tag("by period")],
    Discriminator(lambda value: "by period" if _kind(value) != "number" else "number"),
]
Box: TypeAlias = dict[str, tuple[Bound | None, Bound | None]]
"""Variable: (lo, hi), lo <= v < hi; None is no limit."""


class Cut(_Part):
    """One requirement; without any limit the variable, a boolean, must be true."""

    name: Name
    """What it is called in the cutflow."""
    variable: str
    """[Column or variable](#variables) that it looks at."""
    window: tuple[Limit, Limit] | None = None
    """Smallest and largest value kept."""
    min: Limit | None = None
    """Smallest value kept."""
    max: Limit | None = None
    """Largest value kept."""
    equal: Number | None = None
    """The value kept."""
    negate: bool = Field(default=False, alias="not", strict=True)
    """Keep what the rest of the cut would reject (NaN is rejected all the same)."""

    @model_validator(mode="after")
    def _check(self) -> Cut:
        given = [key for key in ("window", "min", "max", "equal") if getattr(self, key) is not None]
        if len(given) > 1:
            msg = f"only one of {', '.join(given)} may be given; two limits are a window: [lo, hi]"
            raise ValueError(msg)
        if self.window is not None:
            _check_order(*self.window, what="window")
        return self

    @property
    def limits(self) -> Iterator[tuple[tuple[str | int, ...], float | ByPeriod | ByColumn]]:
        """Where in the cut, and which, are its limits."""
        for key in ("min", "max"):
            if (limit := getattr(self, key)) is not None:
                yield (key,), limit
        for side, limit in enumerate(self.window or ()):
            yield ("window", side), limit

    @property
    def is_boolean(self) -> bool:
        """Whether the variable itself is the decision."""
        return self.equal is None and next(self.limits, None) is None


class Axis(_Part):
    """One axis of a histogram: ``bins`` and ``range``, or ``edges``."""

    variable: str
    """[Column or variable](#variables) that it shows."""
    bins: Annotated[int, Field(gt=0, le=100_000, strict=True)] | None = None
    """Number of bins of the same width; with `range`."""
    range: tuple[Number, Number] | None = None
    """Lower edge of the first, upper edge of the last bin."""
    edges: Annotated[tuple[Number, ...], Field(min_length=2)] | None = None
    """All edges of the bins, ascending; instead of `bins` and `range`."""
    label: str | None = None
    """What is written at the axis; default: the variable's meaning. The unit is added."""

    @model_validator(mode="after")
    def _check(self) -> Axis:
        if (self.edges is None) == (self.bins is None) or (self.bins is None) != (
            self.range is None
        ):
            msg = "an axis has either bins: N and range: [lo, hi], or edges: [...]"
            raise ValueError(msg)
        if self.range is not None and self.range[0] >= self.range[1]:
            msg = f"range {list(self.range)}: the first must be below the second"
            raise ValueError(msg)
        if self.edges is not None and any(b <= a for a, b in pairwise(self.edges)):
            msg = f"the edges {list(self.edges)} must ascend"
            raise ValueError(msg)
        return self


class Histogram(_Part):
    """A histogram, filled at one or several stages.

    A stage is a cut's name (events that passed it and all before), ``none`` (before any cut),
    ``all`` (after all), or ``without NAME`` (after all but NAME).
    """

    axes: Annotated[tuple[Axis, ...], Field(min_length=1, max_length=3)]
    """One to three."""
    at: Annotated[tuple[str, ...], Field(min_length=1)] = ("all",)
    """[Stages](#stages) at which it is filled."""
    region: str | None = None
    """Only events in this region's box."""

    @model_validator(mode="after")
    def _check(self) -> Histogram:
        variables = [axis.variable for axis in self.axes]
        if len(set(variables)) != len(variables):
            msg = f"two axes show the same variable: {variables}"
            raise ValueError(msg)
        return self


class Selection(_Part):
    """A whole selection file."""

    name: Name
    """How it is called; default: the name of the file."""
    title: str = ""
    """What it is, for people."""
    setup: str
    """Name of the setup that it is meant for."""
    blind: str | None = None
    """The region whose events stay hidden."""
    periods: dict[str, tuple[int, int]] = {}
    """First and last run, both included, of the periods that ``{by: period}`` knows."""
    cuts: Annotated[tuple[Cut, ...], Field(min_length=1)]
    """In the order of the cutflow. Those that need a track stand best last (`run --sequential`)."""
    regions: dict[str, Box] = {}
    """Boxes by name: of each variable `[low, high]`, low <= value < high; `null` is no limit on
    that side."""
    histograms: dict[str, Histogram] = {}
    """By name: letters, digits and single underscores."""

    @model_validator(mode="after")
    def _check(self) -> Selection:
        problems = [*_check_periods(self), *_check_cuts(self), *_check_regions(self)]
        problems += _check_histograms(self)
        if problems:
            kind, text = "selection", "; ".join(text for _, text in problems)
            raise PydanticCustomError(kind, "{text}", {"text": text, "problems": problems})
        return self

    @property
    def cut_names(self) -> tuple[str, ...]:
        """In the order of the cutflow."""
        return tuple(cut.name for cut in self.cuts)

    @property
    def stages(self) -> tuple[str, ...]:
        """Every stage at which a histogram may be filled."""
        return ("none", *self.cut_names, "all", *(WITHOUT + name for name in self.cut_names))

    @property
    def uses_periods(self) -> bool:
        """Whether any limit depends on the run period."""
        return any(True for _ in _by_period(self))


def _values(limit: Limit) -> dict[Any, float]:
    """A limit's value in each of its cases; a plain number has the case None."""
    if isinstance(limit, ByPeriod):
        return dict(limit.values)
    if isinstance(limit, ByColumn):
        return {(limit.by, limit.edges, i): v for i, v in enumerate(limit.table)}
    return {None: limit}


def _check_order(low: Limit | None, high: Limit | None, *, what: str) -> None:
    """Compare the two sides case by case where their cases correspond."""
    if low is None or high is None:
        return
    lows, highs = _values(low), _values(high)
    for case, below in lows.items():
        for other, above in highs.items():
            if (None in {case, other} or case == other) and below > above:
                msg = f"{what}: the lower limit {below:g} lies above the upper limit {above:g}"
                raise ValueError(msg)


def _by_period(selection: Selection) -> Iterator[tuple[tuple[str | int, ...], ByPeriod]]:
    for i, cut in enumerate(selection.cuts):
        for where, limit in cut.limits:
            if isinstance(limit, ByPeriod):
                yield ("cuts", i, *where), limit
    for name, box in selection.regions.items():
        for variable, sides in box.items():
            for side, bound in enumerate(sides):
                if isinstance(bound, ByPeriod):
                    yield ("regions", name, variable, side), bound


def _check_periods(selection: Selection) -> Iterator[Problem]:
    for name, (first, last) in selection.periods.items():
        if first > last:
            yield ("periods", name), f"the first run {first} is above the last, {last}"
    ordered = sorted(selection.periods.items(), key=lambda item: item[1])
    for (before, (_, end)), (after, (start, _)) in pairwise(ordered):
        if start <= end:
            text = f"period {after!r} starts at run {start}, before {before!r} ends at {end}"
            yield ("periods", after), text
    for where, limit in _by_period(selection):
        for period in limit.values:
            if period not in selection.periods:
                text = (
                    f"there is no period {period!r}. {did_you_mean(period, selection.periods)} "
                    "Periods are given at the top: `periods: {NAME: [first_run, last_run]}`."
                )
                yield (*where, "values", period), text
        if missing := sorted(set(selection.periods) - set(limit.values)):
            yield where, f"no value for the period {', '.join(map(repr, missing))}"


def _check_cuts(selection: Selection) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for i, cut in enumerate(selection.cuts):
        key = slug(cut.name)
        if key in {"", "all", "none"} or key.startswith(slug(WITHOUT) + "_"):
            text = f"{cut.name!r} cannot be a cut's name: it is empty or the name of a stage"
            yield ("cuts", i, "name"), text
        elif key in seen:
            text = (
                f"a second cut of the name {cut.name!r}"
                if seen[key] == cut.name
                else f"the names {seen[key]!r} and {cut.name!r} both become {key!r} in histograms"
            )
            yield ("cuts", i, "name"), f"{text}; every cut needs a name of its own"
        seen.setdefault(key, cut.name)


def _check_regions(selection: Selection) -> Iterator[Problem]:
    if selection.blind is not None and selection.blind not in selection.regions:
        text = f"there is no region {selection.blind!r}. "
        yield ("blind",), text + did_you_mean(selection.blind, selection.regions)
    for name, box in selection.regions.items():
        if not slug(name) or not box:
            yield ("regions", name), "a region needs a name and at least one `variable: [lo, hi]`"
        for variable, (low, high) in box.items():
            try:
                _check_order(low, high, what="limits")
            except ValueError as error:
                yield ("regions", name, variable), str(error)


def _check_histograms(selection: Selection) -> Iterator[Problem]:
    for name, histogram in selection.histograms.items():
        where = ("histograms", name)
        if not re.fullmatch(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*", name):
            text = f"{name!r} must be made of letters, digits and single underscores"
            yield where, text
        if histogram.region is not None and histogram.region not in selection.regions:
            text = f"there is no region {histogram.region!r}. "
            yield (*where, "region"), text + did_you_mean(histogram.region, selection.regions)
        for i, stage in enumerate(histogram.at):
            if stage not in selection.stages:
                text = f"there is no stage {stage!r}. {did_you_mean(stage, selection.stages)}"
                yield (*where, "at", i), text
            if stage in histogram.at[:i]:
                yield (*where, "at", i), f"the stage {stage!r} is given twice"
