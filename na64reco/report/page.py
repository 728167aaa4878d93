"""`na64reco report`: an output folder as one page that needs nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from na64reco.errors import InferenceError, OutputExistsError, did_you_mean
from na64reco.report.page_cutflow import cutflow_picture
from na64reco.report.page_figures import report_style
from na64reco.report.page_histograms import GROUPS, histogram_pictures, plane_pictures
from na64reco.report.page_html import GENERATOR, Html, Section, figure_html, note, page_html
from na64reco.report.page_input import RunFolder, read_run_folder
from na64reco.report.page_missing import missing_blocks
from na64reco.report.page_results import (
    background_pictures,
    compare_folders,
    comparison_pictures,
    efficiency_picture,
    other_pictures,
)
from na64reco.report.page_runs import runs_picture
from na64reco.report.page_srd import srd_picture
from na64reco.report.page_stability import stability_picture
from na64reco.report.page_tables import (
    background_blocks,
    comparison_blocks,
    cutflow_blocks,
    efficiency_blocks,
    exposure_blocks,
    input_blocks,
    limit_blocks,
    overview_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from na64reco.report.limits import Overlay
    from na64reco.report.page_figures import Picture

__all__ = ["REPORT", "WrittenReport", "write_report"]

REPORT = "report.html"
"""Name of the page in an output folder."""


@dataclass(frozen=True)
class WrittenReport:
    """The page that was written."""

    path: Path
    figures: tuple[str, ...]
    """Names of the figures, in the order of the page."""


class _Page:
    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self.sections: list[Section] = []
        self.figures: list[str] = []
        self._progress = progress
        self._expected = 1

    def expect(self, number: int) -> None:
        """So many figures, for the progress bar."""
        self._expected = number

    def add(
        self,
        name: str,
        title: str,
        blocks: Iterable[Html] = (),
        pictures: Iterable[Picture | None] = (),
    ) -> None:
        """A section; nothing if there is nothing in it."""
        shown: list[Html] = []
        for picture in pictures:
            if picture is None:
                continue
            shown.append(figure_html(picture))
            self.figures.append(picture.name)
            if self._progress is not None:
                self._progress(len(self.figures), max(self._expected, len(self.figures)))
        everything = list(blocks)
        if shown:
            everything.append(Html('<div class="figures">'))
            everything += [*shown, Html("</div>")]
        if everything:
            self.sections.append(Section(name, title, tuple(everything)))


def write_report(
    out: Path | str,
    *,
    to: Path | str | None = None,
    other: Path | str | None = None,
    hadrons: Sequence[str] = (),
    overlays: Sequence[Overlay] = (),
    progress: Callable[[int, int], None] | None = None,
) -> WrittenReport:
    """Write the report of an output folder.

    Parameters
    ----------
    to
        File; default: report.html in the folder. An earlier report is replaced, nothing else is.
    other
        A second output folder to compare with.
    hadrons
        Datasets of hadrons; default: those whose names say so.
    overlays
        Lines of others for the figures of limits.
    progress
        Called with the numbers of figures drawn and of all figures.

    Raises
    ------
    InferenceError
        If a folder is no output of `na64reco run`, if there is no such dataset, or if the two
        folders have none in common.
    OutputExistsError
        If the file exists and is no report.
    """
    folder = read_run_folder(out)
    names = [d.name for d in folder.datasets]
    for name in hadrons:
        if name not in names:
            msg = f"{out} has no dataset {name!r}. {did_you_mean(name, names)}"
            raise InferenceError(msg)
    path = Path(out) / REPORT if to is None else Path(to)
    _check(path)
    second = None if other is None else read_run_folder(other)
    page = _Page(progress)
    with report_style():
        _fill(page, folder, hadrons, overlays)
        if second is not None:
            _fill_comparison(page, folder, second)
    page.add("missing", "What is not here", missing_blocks(folder, hadrons))
    page.add("inputs", "Files, conditions, versions", input_blocks(folder))
    title = folder.selection.title or folder.selection.name
    text = page_html(title, _subtitle(folder), page.sections)
    _write(path, text)
    return WrittenReport(path, tuple(page.figures))


def _fill(
    page: _Page, folder: RunFolder, hadrons: Sequence[str], overlays: Sequence[Overlay]
) -> None:
    page.expect(len(folder.selection.histograms) + len(folder.datasets) + 2)
    page.add("overview", "What ran", overview_blocks(folder))
    page.add(
        "cutflow",
        "Cutflow",
        cutflow_blocks(folder),
        [cutflow_picture(folder), runs_picture(folder)],
    )
    page.add("plane", "Signal box and sidebands", _blinding(folder), plane_pictures(folder))
    grouped: dict[str, list[Picture]] = {group: [] for group in GROUPS}
    if (srd := srd_picture(folder, hadrons)) is not None:
        grouped["srd"].append(srd)
    for group, picture in histogram_pictures(folder):
        grouped[group].append(picture)
    for group, title in GROUPS.items():
        page.add(group, title, pictures=grouped[group])
    page.add("efficiency", "Efficiency", efficiency_blocks(folder), [efficiency_picture(folder)])
    page.add("exposure", "Exposure", exposure_blocks(folder))
    page.add("background", "Background", background_blocks(folder), background_pictures(folder))
    if folder.limits:
        # It takes the models along, and what they need.
        from na64reco.report.page_limits import limit_pictures

        page.add("limit", "Limits", limit_blocks(folder), limit_pictures(folder, overlays))
    page.add("stability", "Stability", pictures=[stability_picture(folder)])
    page.add("tracking", "Tracking quality", pictures=other_pictures(folder))


def _fill_comparison(page: _Page, folder: RunFolder, second: RunFolder) -> None:
    compared = compare_folders(folder, second)
    pictures = (p for i, c in enumerate(compared) for p in comparison_pictures(c, i))
    blocks = comparison_blocks(folder, second, compared)
    page.add("comparison", "Comparison of two folders", blocks, pictures)


def _subtitle(folder: RunFolder) -> str:
    record: Any = folder.record
    return (
        f"{folder.selection.name} on {folder.selection.setup}, na64reco {record['na64reco']}, "
        f"{record['finished']}"
    )


def _blinding(folder: RunFolder) -> list[Html]:
    if folder.selection.blind is None:
        return []
    hidden = [d.name for d in folder.datasets if d.blinded is not None]
    if hidden:
        return [
            note(
                f"Blinded: no event of {', '.join(hidden)} in the region "
                f"{folder.selection.blind!r} is counted or shown anywhere on this page."
            )
        ]
    blinding: Any = folder.record["blinding"]
    if blinding["unblinded"]:
        file = blinding["frozen_box"]["file"]
        return [note(f"Unblinded: {folder.selection.blind!r} is shown, by the frozen box {file}.")]
    return [note("Simulated events alone: nothing is blinded.")]


def _check(path: Path) -> None:
    if not path.exists():
        return
    start = b""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(2000)
    if f'content="{GENERATOR}"'.encode() not in start:
        msg = f"{path} exists and is no report; it is not replaced. Choose another name (-o)."
        raise OutputExistsError(msg)


def _write(path: Path, text: str) -> None:
    """The page is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
