"""What a report could show and does not, and which command makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from na64reco.report.page_html import Html, definitions, paragraph
from na64reco.report.page_srd import srd_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from na64reco.report.page_input import RunFolder

__all__ = ["missing_blocks"]


def missing_blocks(folder: RunFolder, hadrons: Sequence[str] = ()) -> list[Html]:
    """A list of what is not on the page; nothing if all is."""
    missing = list(_missing(folder, hadrons))
    if not missing:
        return []
    text = "What else this page shows once it is there; then write the report again."
    return [paragraph(text), definitions(missing)]


def _missing(folder: RunFolder, hadrons: Sequence[str]) -> Iterator[tuple[str, str]]:
    out, setup = str(folder.path), folder.selection.setup
    if (srd := srd_missing(folder, hadrons)) is not None:
        yield "SRD, electrons against hadrons", srd
    if folder.efficiency is None:
        yield "Efficiency by cut and run", f"na64reco efficiency {out}"
    if folder.exposure is None:
        yield "Particles on target", f"na64reco exposure {out}"
    if folder.background is None:
        yield "Background with its fit", f"na64reco background {out}"
    if not folder.limits:
        yield (
            "Limits",
            f"na64reco limit {out}/counting.json --model MODEL --json > {out}/limit.json",
        )
    if not any(name.startswith("tracking_quality") for name in folder.pictures):
        yield (
            "Tracking, plane by plane",
            f"na64reco calibrate {setup} FILE -o {out} --only tracking",
        )
