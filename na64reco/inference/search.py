"""Searches as data: beam, target, exposure, threshold, efficiency, background of each run period.

A search is a YAML file, shipped (`search_names`) or of one's own:

.. code-block:: yaml

    title: what and when
    beam: {particle: electron, energy: 100.0}         # electron, positron, muon; GeV
    target: {setup: 2018-electron}                    # the ECAL of a setup, or
    # target: {layers: [{material: lead, thickness: 1.5}], repeat: 150}     # mm
    signal: {inelastic: true, spectrum: exact}        # see docs/darksector.md; may be left out
    periods:
      first:
        exposure: {value: 2.84e+11, error: 1.4e+10}   # beam particles; a number has no error
        threshold: {value: 50.0, error: 1.0}          # GeV of missing energy
        resolution: 2.1                               # rms, GeV of missing energy at the threshold
        efficiency: {value: 0.5, error: 0.05}         # of all cuts but the threshold
        efficiency_points: {against: mass, points: [[0.01, 0.5], [0.1, 1.0]]}   # factor; GeV
        background: {value: 0.5, error: 0.2}          # events
        observed: 0                                   # null: none, a projection
    background_correlation: 0.0                       # between periods
    systematics: {dimuons: 0.15}                      # on the yield, relative, all periods alike

The `counting.json` of a run's own analysis is a search too.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from na64reco.cascade.stack import Layer, Stack
from na64reco.darksector.acceptance import Acceptance
from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.counting import Counting, read_counting
from na64reco.materials import find_material
from na64reco.setup.layers import ecal_stack
from na64reco.setup.load import load_setup

__all__ = ["Measured", "Period", "Search", "load_search", "search_names"]

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Part):
    """A value and its standard deviation."""

    value: NonNegative
    """The number."""
    error: NonNegative = 0.0
    """Its standard deviation."""

    @model_validator(mode="before")
    @classmethod
    def _number(cls, content: Any) -> Any:
        """A number alone has no error."""
        if isinstance(content, (int, float)) and not isinstance(content, bool):
            return {"value": content}
        return content


class Beam(_Part):
    """What hits the target."""

    particle: Literal["electron", "positron", "muon"]
    """What hits the target."""
    energy: Annotated[float, Field(ge=16, le=200)]
    """Of each particle, GeV."""


class Plate(_Part):
    """One layer of the target."""

    material: str
    """Name of a material."""
    thickness: Positive
    """Along the beam, mm."""


class Target(_Part):
    """The dump: the ECAL of a setup, or layers."""

    setup: str | None = None
    """Name of a setup: its ECAL is the target."""
    layers: tuple[Plate, ...] = ()
    """Instead of a setup: what the beam meets, in order."""
    repeat: Annotated[int, Field(gt=0)] = 1
    """How often these layers come."""

    @model_validator(mode="after")
    def _check(self) -> Target:
        if (self.setup is None) == (not self.layers):
            msg = "give either `setup: NAME` or `layers: [{material:, thickness:}, ...]`"
            raise ValueError(msg)
        return self

    def stack(self) -> Stack:
        """Layers for the cascade; as wide as need be.

        Raises
        ------
        SetupError
            For an unknown setup or material.
        """
        if self.setup is not None:
            return ecal_stack(load_setup(self.setup))
        group = tuple(Layer(find_material(p.material), p.thickness / 10) for p in self.layers)
        return Stack(group * self.repeat)


class Signal(_Part):
    """How strahlung is calculated; see `na64reco.darksector.yields.DumpYield`."""

    inelastic: bool = True
    """Whether strahlung that breaks up the nucleus counts."""
    spectrum: Literal["exact", "iww"] = "exact"
    """Exact tree-level amplitude, or the improved Weizsaecker-Williams approximation."""


class EfficiencyPoints(_Part):
    """A factor of the efficiency, linear between points and constant beyond."""

    against: Literal["missing_energy", "mass"]
    """What the first number of a point is."""
    points: tuple[tuple[Positive, NonNegative], ...]
    """[GeV, factor], ascending."""
    threshold: bool = False
    """Whether the threshold's turn-on is in the points, which then move with it."""

    @field_validator("points")
    @classmethod
    def _ascending(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        at = [x for x, _ in points]
        if not points or sorted(set(at)) != at:
            msg = f"the points must ascend in their first number, found {at}"
            raise ValueError(msg)
        return points


class Period(_Part):
    """One run period or trigger configuration."""

    exposure: Measured
    """Number of beam particles."""
    threshold: Measured
    """Of missing energy, GeV."""
    resolution: NonNegative = 0.0
    """rms of the missing energy at the threshold, GeV."""
    efficiency: Measured
    """Share of signal above the threshold that passes everything else."""
    efficiency_points: EfficiencyPoints | None = None
    """Factors of the efficiency."""
    background: Measured
    """Expected in the signal box, events."""
    observed: Annotated[int, Field(ge=0)] | None
    """In the signal box, events. `null` where nothing was observed yet, or is hidden."""

    @model_validator(mode="after")
    def _check(self) -> Period:
        highest = self.efficiency.value
        points = self.efficiency_points
        if points is not None:
            highest *= max(factor for _, factor in points.points)
        if not highest <= 1:
            msg = f"the efficiency reaches {highest:g}: it is a share, at most 1"
            raise ValueError(msg)
        if not self.exposure.value > 0:
            msg = "exposure: there must be some beam particles"
            raise ValueError(msg)
        return self

    def acceptance(self, *, threshold: float | None = None) -> Acceptance:
        """Against missing energy; factors against mass are not in it.

        Parameters
        ----------
        threshold
            Instead of the period's own, GeV.
        """
        points = self.efficiency_points
        table = points.points if points is not None and points.against == "missing_energy" else ()
        scale = max((factor for _, factor in table), default=1.0)
        own = self.threshold.value
        at = own if threshold is None else threshold
        if points is not None and points.threshold:
            # The step must not cut what the points say.
            table = tuple((e + at - own, factor) for e, factor in table if e + at > own)
            at = max(min(own, at), 1e-3 * own)
        return Acceptance(
            at,
            self.resolution,
            self.efficiency.value * scale,
            tuple((energy, factor / scale) for energy, factor in table),
        )


class Search(_Part):
    """All periods that are analysed together."""

    name: str
    """How it is called; default: the name of the file."""
    title: str
    """What and when, for people."""
    beam: Beam
    """What comes in."""
    target: Target
    """What it hits."""
    signal: Signal = Signal()
    """How strahlung is calculated."""
    periods: Annotated[dict[str, Period], Field(min_length=1)]
    """Run periods or trigger configurations by name."""
    background_correlation: Share = 0.0
    """Of the backgrounds of two periods."""
    systematics: dict[str, NonNegative] = Field(default_factory=dict)
    """Relative errors of the yield by name, for all periods alike."""

    @model_validator(mode="after")
    def _check(self) -> Search:
        for name, period in self.periods.items():
            if not period.threshold.value < self.beam.energy:
                msg = (
                    f"periods.{name}.threshold: {period.threshold.value} GeV of missing energy is "
                    f"not below the beam's {self.beam.energy} GeV"
                )
                raise ValueError(msg)
        return self


_SHIPPED: Final = Path(str(files("na64reco.inference") / "data" / "searches"))


def search_names() -> tuple[str, ...]:
    """The searches that come with the package."""
    return tuple(path.stem for path in sorted(_SHIPPED.glob("*.yaml")))


def load_search(name: str | Path) -> Search:
    """A search by name, from a YAML file, or from `counting.json` (or the folder that has it).

    Raises
    ------
    InferenceError
        If there is none, or with the key that is wrong.
    """
    path = Path(name)
    text = str(name)
    if path.suffix == ".json" or path.is_dir():
        return _of_counting(read_counting(path), path)
    if path.suffix not in {".yaml", ".yml"}:
        if text not in search_names():
            msg = (
                f"There is no search {text!r}. {did_you_mean(text, search_names())} A YAML file or "
                f"a counting.json is taken as well."
            )
            raise InferenceError(msg)
        path = _SHIPPED / f"{text}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read as YAML: {error}"
        raise InferenceError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path}: expected a mapping of {', '.join(Search.model_fields)}, found {content!r}"
        raise InferenceError(msg)
    content.setdefault("name", path.stem)
    return _validated(content, path)


def _validated(content: dict[str, Any], path: Path) -> Search:
    try:
        return Search.model_validate(content)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
            hint = ""
            if problem["type"] == "extra_forbidden":
                hint = f" {did_you_mean(str(problem['loc'][-1]), _KEYS)}"
            lines.append(f"  {where}: {problem['msg']} (found {problem['input']!r:.60}).{hint}")
        msg = f"{path} is not a search:\n" + "\n".join(lines)
        raise InferenceError(msg) from None


_KEYS: Final = tuple(
    dict.fromkeys(
        key
        for part in (Search, Period, Target, Beam, Signal, Measured)
        for key in part.model_fields
    )
)


def _of_counting(countings: tuple[Counting, ...], path: Path) -> Search:
    """Periods of one setup's target and beam, as their analysis left them."""
    periods: dict[str, Any] = {}
    for one in countings:
        if one.kappa is None or one.exposure is None:
            msg = (
                f"{path}: period {one.period!r} still lacks {' and '.join(one.missing())}; "
                f"complete it before it is a search"
            )
            raise InferenceError(msg)
        curve = one.signal_efficiency
        periods[one.period] = {
            "exposure": {"value": one.exposure.value, "error": one.exposure.error},
            # The curve has the threshold in it.
            "threshold": {
                "value": min(e for e in curve.missing_energy if e > 0),
                "error": one.threshold.error,
            },
            "efficiency": {"value": one.kappa.value, "error": one.kappa.error},
            "efficiency_points": {
                "against": "missing_energy",
                "threshold": True,
                "points": [
                    (e, f)
                    for e, f in zip(curve.missing_energy, curve.efficiency, strict=True)
                    if e > 0
                ],
            },
            "background": {"value": one.background.value, "error": one.background.error},
            "observed": one.observed,
        }
    beams = {(load_setup(one.setup).beam.particle, one.beam_energy) for one in countings}
    if len(beams) != 1:
        msg = f"{path}: periods of different beams ({beams}) are different searches"
        raise InferenceError(msg)
    particle, energy = beams.pop()
    content = {
        "name": path.stem,
        "title": f"periods {', '.join(periods)} of {path}",
        "beam": {"particle": particle, "energy": energy},
        "target": {"setup": countings[0].setup},
        "periods": periods,
    }
    return _validated(content, path)
