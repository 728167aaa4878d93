"""What `na64reco background` does with a selection of the muon mode."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from na64reco.cli.common import describe, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from na64reco.inference.estimate import Control
    from na64reco.inference.muon_background import MuonEstimate

__all__ = ["Written", "muon_background"]


@dataclass(frozen=True, eq=False)
class Written:
    """What was found and where it is."""

    found: tuple[MuonEstimate, ...]
    record: dict[str, Any]
    paths: tuple[Path, ...]

    def print(self) -> None:
        """Tables for people."""
        from na64reco.report.muon_background import muon_table

        describe(*(muon_table(period) for period in self.found))
        written(self.paths)


def muon_background(
    folders: Sequence[Path],
    out: Path,
    *,
    data: Sequence[str],
    muons: float | None,
    kaons: Mapping[str, Sequence[float]],
    controls: Mapping[str, Control],
    top: float | None,
    seed: int,
    toys: int,
    picture: bool,
) -> Written:
    """Estimate, and write background.json and a picture.

    Raises
    ------
    typer.BadParameter
        If more than one dataset of kaons is named.
    """
    from na64reco.inference.background_record import BACKGROUND
    from na64reco.inference.muon_background import MuonOptions, estimate_muons
    from na64reco.processors.outputs import write_json

    if len(kaons) > 1:
        msg = f"--component: the muon mode takes one dataset, of kaons; found {', '.join(kaons)}"
        raise typer.BadParameter(msg)
    name, numbers = next(iter(kaons.items()), (None, (0.0,)))
    more: dict[str, Any] = {"contamination_error": numbers[1]} if len(numbers) > 1 else {}
    options = MuonOptions(
        data=tuple(data),
        muons=muons,
        kaon=name,
        kaons=numbers[0],
        controls=controls,
        top=top,
        seed=seed,
        toys=toys,
        **more,
    )
    found = estimate_muons(folders, options)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / BACKGROUND]
    record = {"format": 1, "folders": [str(f) for f in folders], "periods": _periods(found)}
    write_json(out / BACKGROUND, record)
    if picture:
        from na64reco.report.muon_background import draw_muon_background
        from na64reco.report.pictures import save_pictures

        paths += save_pictures(draw_muon_background(found), out)
    return Written(found, record, tuple(paths))


def _periods(found: Sequence[MuonEstimate]) -> dict[str, Any]:
    return {
        period.label: {
            "selection": period.selection,
            "box": {"p_out": period.box[0], "e_cal": period.box[1]},
            "muons": period.muons,
            "full_momentum": period.data_peak,
            "components": [asdict(c) for c in period.components],
            "total": dict(zip(("expected", "error"), period.total, strict=True)),
            "observed": period.observed,
        }
        for period in found
    }
