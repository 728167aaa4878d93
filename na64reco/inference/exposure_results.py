"""What `exposure.json` says, and reading it back.

::

    {"format": 1, "selection": NAME, "setup": NAME,
     "datasets": {DATASET: {
        "particles": M,                 beam particles on target, all good runs and spills
        "electrons": M,                 the same without contamination
        "contamination": M,
        "periods": {PERIOD: {"particles": M, "electrons": M}},
        "runs": {"6100": {"particles": M, "source": TEXT, "scaler": M | null, "beam": M | null,
                          "live_fraction": float | null, "good_spills": int, "bad_spills": int}},
        "scaler_to_beam": M | null}}}

``M`` is a `Measurement`. Efficiencies that are corrected for contamination (``kappa`` of
efficiency.json) belong to ``electrons``, raw ones to ``particles``: the products are the same.
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
    "EXPOSURE",
    "DatasetExposure",
    "ExposureFile",
    "PeriodExposure",
    "RunExposure",
    "load_exposure",
]

EXPOSURE = "exposure.json"
"""Name of the file in an output folder."""


@dataclass(frozen=True)
class RunExposure:
    """Beam particles on target in one run, while the acquisition could take a trigger."""

    run: int
    particles: Measurement
    """In good spills."""
    source: str
    """``scaler_live``, ``beam triggers``, ``scaler times live fraction`` or ``given``."""
    scaler: Measurement | None
    """By `scaler_live`."""
    beam: Measurement | None
    """By beam triggers times prescale."""
    live_fraction: float | None
    """Share of beam particles during which the acquisition was ready."""
    good_spills: int
    bad_spills: int


@dataclass(frozen=True)
class PeriodExposure:
    """The sum over the runs of a period."""

    particles: Measurement
    electrons: Measurement


@dataclass(frozen=True)
class DatasetExposure:
    """Everything about one dataset."""

    name: str
    particles: Measurement
    electrons: Measurement
    contamination: Measurement
    periods: Mapping[str, PeriodExposure]
    runs: Mapping[int, RunExposure]
    scaler_to_beam: Measurement | None
    """Ratio of the two ways to count, in runs that have both; 1 where they agree."""


@dataclass(frozen=True)
class ExposureFile:
    """The content of exposure.json."""

    selection: str
    setup: str
    datasets: Mapping[str, DatasetExposure]

    def electrons(self, *, dataset: str | None = None, period: str | None = None) -> Measurement:
        """Electrons on target of a dataset, by default the only one, in one period or altogether.

        Raises
        ------
        InferenceError
            If there is no such dataset or period, or several datasets and none was named.
        """
        if dataset is None and len(self.datasets) == 1:
            dataset = next(iter(self.datasets))
        if dataset is None or dataset not in self.datasets:
            names = ", ".join(map(repr, self.datasets)) or "none"
            msg = f"The exposure of {names} is known; which is wanted? Asked for {dataset!r}."
            raise InferenceError(msg)
        found = self.datasets[dataset]
        if period is None:
            return found.electrons
        if period not in found.periods:
            msg = f"There is no exposure of the period {period!r}. " + did_you_mean(
                period, found.periods
            )
            raise InferenceError(msg)
        return found.periods[period].electrons

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        datasets: dict[str, Any] = {}
        for name, found in self.datasets.items():
            content = asdict(found)
            del content["name"]
            content["runs"] = {
                str(run): {k: v for k, v in value.items() if k != "run"}
                for run, value in content["runs"].items()
            }
            datasets[name] = content
        return {
            "format": 1,
            "selection": self.selection,
            "setup": self.setup,
            "datasets": datasets,
        }


def load_exposure(path: Path | str) -> ExposureFile:
    """Read exposure.json, of an output folder or by its own path.

    Raises
    ------
    InferenceError
        If it is not there, or not what `na64reco exposure` writes.
    """
    path = Path(path)
    path = path / EXPOSURE if path.is_dir() or path.suffix != ".json" else path
    content = read_json(path, command="exposure")
    try:
        datasets = {n: _dataset(n, c) for n, c in content["datasets"].items()}
        return ExposureFile(content["selection"], content["setup"], datasets)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} is not what `na64reco exposure` writes: {error!r}. Make it anew."
        raise InferenceError(msg) from None


_M = Measurement.from_json


def _maybe(content: Mapping[str, Any] | None) -> Measurement | None:
    return None if content is None else _M(content)


def _dataset(name: str, content: Mapping[str, Any]) -> DatasetExposure:
    return DatasetExposure(
        name=name,
        particles=_M(content["particles"]),
        electrons=_M(content["electrons"]),
        contamination=_M(content["contamination"]),
        periods={
            n: PeriodExposure(_M(c["particles"]), _M(c["electrons"]))
            for n, c in content["periods"].items()
        },
        runs={
            int(run): RunExposure(
                run=int(run),
                particles=_M(c["particles"]),
                source=c["source"],
                scaler=_maybe(c["scaler"]),
                beam=_maybe(c["beam"]),
                live_fraction=c["live_fraction"],
                good_spills=c["good_spills"],
                bad_spills=c["bad_spills"],
            )
            for run, c in content["runs"].items()
        },
        scaler_to_beam=_maybe(content["scaler_to_beam"]),
    )
