"""What an output folder holds, read back for the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import InferenceError
from na64reco.inference.background_record import BACKGROUND, read_background
from na64reco.inference.efficiency_results import EFFICIENCY, load_efficiency
from na64reco.inference.exposure_results import EXPOSURE, load_exposure
from na64reco.processors import DatasetReport
from na64reco.processors.outputs import COUNTS, HISTOGRAMS, RUN
from na64reco.report.pictures import IN_REPORT
from na64reco.selection import Counts, Cutflow, Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    import hist

    from na64reco.inference.efficiency_results import EfficiencyFile
    from na64reco.inference.exposure_results import ExposureFile

__all__ = ["RunFolder", "read_run_folder"]


@dataclass(frozen=True)
class RunFolder:
    """An output folder of `na64reco run`, with what later commands added to it."""

    path: Path
    record: Mapping[str, Any]
    """run.json."""
    selection: Selection
    datasets: tuple[DatasetReport, ...]
    efficiency: EfficiencyFile | None
    exposure: ExposureFile | None
    background: Mapping[str, Any] | None
    limits: Mapping[str, Mapping[str, Any]]
    """File: what `na64reco limit --json` printed."""
    pictures: Mapping[str, tuple[bytes, bytes | None]]
    """Name: PNG, and PDF if there is one."""

    @property
    def blinded(self) -> str | None:
        """The region that is hidden in any dataset."""
        return next((d.blinded for d in self.datasets if d.blinded is not None), None)


def read_run_folder(path: Path | str) -> RunFolder:
    """Read an output folder.

    Raises
    ------
    InferenceError
        If it is not the output of `na64reco run`, or a file in it cannot be read.
    """
    path = Path(path)
    try:
        record = json.loads((path / RUN).read_text(encoding="utf-8"))
        selection = Selection.model_validate(record["selection"]["content"])
        names = tuple(record["datasets"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} is not an output folder of `na64reco run` ({RUN}: {error}). Give the folder "
            "that was named with -o."
        )
        raise InferenceError(msg) from None
    try:
        counts = json.loads((path / COUNTS).read_text(encoding="utf-8"))
        histograms = {name: _histograms(path / HISTOGRAMS, name) for name in names}
        datasets = tuple(
            _dataset(name, record["datasets"][name], counts.get(name), histograms[name])
            for name in names
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is incomplete ({error}); run `na64reco run` again with --overwrite."
        raise InferenceError(msg) from None
    return RunFolder(
        path,
        record,
        selection,
        datasets,
        load_efficiency(path) if (path / EFFICIENCY).is_file() else None,
        load_exposure(path) if (path / EXPOSURE).is_file() else None,
        read_background(path) if (path / BACKGROUND).is_file() else None,
        _limits(path),
        _pictures(path / "pictures"),
    )


def _dataset(
    name: str,
    record: Mapping[str, Any],
    counts: Mapping[str, Any] | None,
    histograms: Mapping[str, hist.Hist[Any]],
) -> DatasetReport:
    return DatasetReport(
        name=name,
        events=record["events"],
        simulated=record["simulated"],
        blinded=record["blinded"],
        cutflow=Cutflow.from_json(record["cutflow"]),
        counts=Counts() if counts is None else Counts.from_json(counts),
        histograms=histograms,
        selected=record["selected"],
    )


def _histograms(path: Path, dataset: str) -> dict[str, hist.Hist[Any]]:
    import uproot

    with uproot.open(path) as file:
        prefix = f"{dataset}/"
        keys = [k for k in file.keys(cycle=False) if k.startswith(prefix)]
        return {key.removeprefix(prefix): file[key].to_hist() for key in keys}


def _limits(path: Path) -> dict[str, Mapping[str, Any]]:
    """Every JSON file that has the form of `na64reco limit --json`."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in sorted(path.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and {"points", "model", "search", "strength"} <= set(content):
            found[file.name] = content
    return found


def _pictures(folder: Path) -> dict[str, tuple[bytes, bytes | None]]:
    found: dict[str, tuple[bytes, bytes | None]] = {}
    for file in sorted(folder.glob("*.png")) if folder.is_dir() else ():
        if any(file.stem == name or file.stem.startswith(f"{name}_") for name in IN_REPORT):
            vectors = file.with_suffix(".pdf")
            pdf = vectors.read_bytes() if vectors.is_file() else None
            found[file.stem] = file.read_bytes(), pdf
    return found
