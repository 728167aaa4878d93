"""What `efficiency.json` says, and reading it back.

The file holds one object per dataset of the output folder::

    {"format": 1, "selection": NAME, "setup": NAME, "beam_momentum": GeV,
     "datasets": {DATASET: {
        "simulated": bool,
        "kappa": KAPPA | null,            the whole dataset
        "periods": {PERIOD: KAPPA},       run periods of the selection ("all" if it has none)
        "runs": {"6100": KAPPA},
        "cuts": [{"cut": NAME, "sequential": M, "cumulative": M, "n_minus_1": M}],
        "contamination": M,               share of particles in the beam trigger that are none of
                                          the beam's kind
        "spread": float,                  rms of kappa from run to run beyond statistics
        "pile_up": PILE_UP | null,
        "trigger": {"prs": TURN_ON | null, "ecal": TURN_ON | null},
        "tag_and_probe": {CUT: M},
        "signal": SIGNAL | null}}}

``M`` is a `Measurement`: value, low, high, statistical, systematic. ``KAPPA`` has passed and total
(integers, or sums of weights), ``raw`` (M; passed / total) and ``kappa`` (M; of electrons:
corrected for contamination). Fields of the others: `PileUp`, `TurnOn`, `SignalEfficiency`. What
could not be measured is null; a reason stands in ``notes`` of the dataset.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import InferenceError, did_you_mean
from na64reco.inference.measurement import Measurement, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "EFFICIENCY",
    "CutEfficiency",
    "DatasetEfficiency",
    "EfficiencyFile",
    "Kappa",
    "PileUp",
    "SignalEfficiency",
    "TurnOn",
    "load_efficiency",
]

EFFICIENCY = "efficiency.json"
"""Name of the file in an output folder."""


@dataclass(frozen=True)
class Kappa:
    """The efficiency of all cuts for beam particles that fired the beam trigger."""

    passed: float
    total: float
    raw: Measurement
    """passed / total."""
    kappa: Measurement
    """The same for particles of the beam's kind."""


@dataclass(frozen=True)
class CutEfficiency:
    """One cut's efficiencies, of those that pass the stage before the first counted cut."""

    cut: str
    sequential: Measurement
    """Of those that pass all cuts before."""
    cumulative: Measurement
    """This and all cuts before it."""
    n_minus_1: Measurement
    """Of those that pass all other cuts."""


@dataclass(frozen=True)
class PileUp:
    """kappa against beam intensity, fitted; see `na64reco.inference.pile_up`."""

    measure: str
    """What stands for the intensity: ``scaler`` (particles a spill) or ``out of time`` (mean
    number of further electrons in the readout window)."""
    model: str
    """``exponential``, or ``linear`` where that fits clearly better."""
    zero: Measurement
    """kappa without pile-up."""
    slope: Measurement
    """tau of zero * exp(-r tau), or -b / zero of zero + b r; per unit of the measure."""
    chi2: float
    ndf: int
    intensity: float | None
    """At which kappa was asked for."""
    extrapolated: Measurement | None
    """kappa there; the difference of the two models is in its systematic error."""


@dataclass(frozen=True)
class TurnOn:
    """A trigger threshold: plateau * (1 +- erf((x - threshold) / (sqrt2 width))) / 2."""

    variable: str
    threshold: Measurement
    """GeV, of the offline energy."""
    width: Measurement
    """GeV."""
    plateau: Measurement
    chi2: float
    ndf: int


@dataclass(frozen=True)
class SignalEfficiency:
    """Efficiency of simulated signal against missing energy; arXiv:2206.03101 section IV B.

    ``up``: cuts on what stands before the ECAL. ``down``: cuts on ECAL, VETO and HCAL and the box,
    of events that pass ``up``; arrays of one value per bin, as its Fig. 6.
    """

    edges: tuple[float, ...]
    """GeV of missing energy."""
    up: Measurement
    """All energies together."""
    up_by_energy: tuple[Measurement | None, ...]
    down: tuple[Measurement | None, ...]
    """None where there is no event."""
    box: tuple[Measurement | None, ...]
    """Of events that pass all cuts but the physics trigger, the share that fires it and falls in
    the box: what is to be multiplied by kappa, which holds all the other cuts."""
    turn_on: TurnOn | None
    """Of ``down``: its half height is where E_ECAL meets the box's limit."""
    expected_threshold: float
    """GeV: beam momentum minus the box's limit."""
    expected_width: float
    """GeV: the ECAL's resolution at that limit and the beam's spread."""


@dataclass(frozen=True)
class DatasetEfficiency:
    """Everything about one dataset."""

    name: str
    simulated: bool
    kappa: Kappa | None
    periods: Mapping[str, Kappa]
    runs: Mapping[int, Kappa]
    cuts: tuple[CutEfficiency, ...]
    contamination: Measurement
    spread: float
    pile_up: PileUp | None
    trigger: Mapping[str, TurnOn | None]
    tag_and_probe: Mapping[str, Measurement]
    signal: SignalEfficiency | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EfficiencyFile:
    """The content of efficiency.json."""

    selection: str
    setup: str
    beam_momentum: float
    """GeV/c."""
    datasets: Mapping[str, DatasetEfficiency]

    def kappa(self, *, dataset: str | None = None, period: str | None = None) -> Measurement:
        """kappa of a dataset, by default the only one that has it, in one period or altogether.

        Where it was extrapolated to an intensity it is kappa there, that of the physics runs.

        Raises
        ------
        InferenceError
            If there is none, or several datasets have one.
        """
        have = {n: d for n, d in self.datasets.items() if d.kappa is not None}
        if dataset is None and len(have) == 1:
            dataset = next(iter(have))
        if dataset is None or dataset not in have:
            msg = (
                f"kappa is known of the datasets {', '.join(map(repr, have)) or 'none'}; "
                f"which of them is wanted? Asked for {dataset!r}."
            )
            raise InferenceError(msg)
        found = have[dataset]
        if period is not None and period not in found.periods:
            msg = f"There is no kappa of the period {period!r}. " + did_you_mean(
                period, found.periods
            )
            raise InferenceError(msg)
        if found.pile_up is not None and found.pile_up.extrapolated is not None:
            return found.pile_up.extrapolated
        chosen = found.kappa if period is None else found.periods[period]
        assert chosen is not None
        return chosen.kappa

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "format": 1,
            "selection": self.selection,
            "setup": self.setup,
            "beam_momentum": self.beam_momentum,
            "datasets": {name: _plain(found) for name, found in self.datasets.items()},
        }


def _plain(found: DatasetEfficiency) -> dict[str, Any]:
    content = asdict(found)
    del content["name"]
    content["runs"] = {str(run): value for run, value in content["runs"].items()}
    return content


def load_efficiency(path: Path | str) -> EfficiencyFile:
    """Read efficiency.json, of an output folder or by its own path.

    Raises
    ------
    InferenceError
        If it is not there, or not what `na64reco efficiency` writes.
    """
    path = Path(path)
    path = path / EFFICIENCY if path.is_dir() or path.suffix != ".json" else path
    content = read_json(path, command="efficiency")
    try:
        return EfficiencyFile(
            selection=content["selection"],
            setup=content["setup"],
            beam_momentum=content["beam_momentum"],
            datasets={n: _dataset(n, c) for n, c in content["datasets"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} is not what `na64reco efficiency` writes: {error!r}. Make it anew."
        raise InferenceError(msg) from None


_M = Measurement.from_json


def _maybe(content: Mapping[str, Any] | None) -> Measurement | None:
    return None if content is None else _M(content)


def _kappa(content: Mapping[str, Any]) -> Kappa:
    return Kappa(content["passed"], content["total"], _M(content["raw"]), _M(content["kappa"]))


def _turn_on(content: Mapping[str, Any] | None) -> TurnOn | None:
    if content is None:
        return None
    parts = {name: _M(content[name]) for name in ("threshold", "width", "plateau")}
    return TurnOn(variable=content["variable"], chi2=content["chi2"], ndf=content["ndf"], **parts)


def _pile_up(content: Mapping[str, Any] | None) -> PileUp | None:
    if content is None:
        return None
    return PileUp(
        **{
            **content,
            "zero": _M(content["zero"]),
            "slope": _M(content["slope"]),
            "extrapolated": _maybe(content["extrapolated"]),
        }
    )


def _signal(content: Mapping[str, Any] | None) -> SignalEfficiency | None:
    if content is None:
        return None
    return SignalEfficiency(
        edges=tuple(content["edges"]),
        up=_M(content["up"]),
        up_by_energy=tuple(_maybe(c) for c in content["up_by_energy"]),
        down=tuple(_maybe(c) for c in content["down"]),
        box=tuple(_maybe(c) for c in content["box"]),
        turn_on=_turn_on(content["turn_on"]),
        expected_threshold=content["expected_threshold"],
        expected_width=content["expected_width"],
    )


def _dataset(name: str, content: Mapping[str, Any]) -> DatasetEfficiency:
    kinds = ("sequential", "cumulative", "n_minus_1")
    return DatasetEfficiency(
        name=name,
        simulated=content["simulated"],
        kappa=None if content["kappa"] is None else _kappa(content["kappa"]),
        periods={n: _kappa(c) for n, c in content["periods"].items()},
        runs={int(n): _kappa(c) for n, c in content["runs"].items()},
        cuts=tuple(
            CutEfficiency(c["cut"], **{kind: _M(c[kind]) for kind in kinds})
            for c in content["cuts"]
        ),
        contamination=_M(content["contamination"]),
        spread=content["spread"],
        pile_up=_pile_up(content["pile_up"]),
        trigger={n: _turn_on(c) for n, c in content["trigger"].items()},
        tag_and_probe={n: _M(c) for n, c in content["tag_and_probe"].items()},
        signal=_signal(content["signal"]),
        notes=tuple(content["notes"]),
    )
