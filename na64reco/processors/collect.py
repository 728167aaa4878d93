"""Adding the results of files up, and writing their selected events as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from na64reco.processors.execute import add_results
from na64reco.processors.probe import FileFacts
from na64reco.reconstruction import COLUMNS
from na64reco.selection import Counts, Cutflow, empty_histograms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import hist
    from numpy.typing import NDArray

    from na64reco.processors.chunks import BadFile
    from na64reco.processors.ledger import Ledger
    from na64reco.processors.processor import Result, SelectionProcessor
    from na64reco.processors.skim import SkimWriter

__all__ = ["Collector", "DatasetReport", "skim_columns"]


@dataclass(frozen=True)
class DatasetReport:
    """What came out of one dataset."""

    name: str
    events: int
    """Events read, hidden ones included."""
    simulated: bool | None
    """None if all of its files were skipped."""
    blinded: str | None
    """The region that is hidden."""
    cutflow: Cutflow
    counts: Counts
    """By run, spill and energy."""
    histograms: Mapping[str, hist.Hist[Any]]
    selected: int
    """Events written to selected.root."""


class Collector:
    """Takes accepted files in order.

    Parameters
    ----------
    writer
        Gets the selected events of each file, which are not kept.
    """

    def __init__(self, processor: SelectionProcessor, writer: SkimWriter) -> None:
        self._processor = processor
        self._writer = writer
        self._results: dict[str, Result] = {}
        self._selected: dict[str, int] = {}
        self.conditions: set[tuple[int, str]] = set()
        """(run, digest of the conditions in use)."""
        self.events: dict[str, int] = {}
        """Events in the results, by dataset."""

    def accept(
        self, dataset: str, result: Result, selected: Iterable[dict[str, NDArray[Any]]]
    ) -> None:
        """The result of one file, and blocks of its selected events."""
        before = self._writer.events
        for block in selected:
            self._writer.add(dataset, block)
        new = self._writer.events - before
        self._selected[dataset] = self._selected.get(dataset, 0) + new
        self.conditions |= result["conditions"]
        result["seen"] = {}
        self.events[dataset] = self.events.get(dataset, 0) + result["events"]
        known = self._results.get(dataset)
        self._results[dataset] = result if known is None else add_results(known, result)

    def report(self, dataset: str, ledger: Ledger) -> DatasetReport:
        """What came out of a dataset; all zero if its files were skipped."""
        selection = self._processor.selection
        result = self._results.get(dataset)
        simulated = None if result is None else result["kind"].simulated
        hidden = simulated is not True and self._processor.unblind is None
        zero = (0,) * len(selection.cuts)
        blinded = selection.blind if hidden else None
        regions = tuple((name, None if name == blinded else 0) for name in selection.regions)
        every = () if self._processor.sequential else zero
        empty = Cutflow(selection.cut_names, 0, zero, every, every, regions)
        return DatasetReport(
            name=dataset,
            events=sum(f.events_read for f in ledger.files if f.dataset == dataset),
            simulated=simulated,
            blinded=blinded,
            cutflow=empty if result is None else result["cutflow"],
            counts=Counts() if result is None else result["counts"],
            histograms=empty_histograms(selection) if result is None else result["histograms"],
            selected=self._selected.get(dataset, 0),
        )


def skim_columns(
    processor: SelectionProcessor,
    facts: Sequence[FileFacts | BadFile],
) -> tuple[str, ...]:
    """Columns of selected.root: all that any of the files can give, and the regions."""
    good = [f for f in facts if isinstance(f, FileFacts)]
    names: set[str] = set()
    for found in good:
        needed = processor.needed_columns(found.scalars)
        names |= set(needed if needed is not None else COLUMNS)
    if not any(found.simulated for found in good):
        names = {name for name in names if not name.startswith("mc.")}
    hidden = processor.selection.blind if processor.unblind is None else None
    if any(found.simulated for found in good):
        hidden = None
    regions = tuple(f"region.{name}" for name in processor.selection.regions if name != hidden)
    return (*(name for name in COLUMNS if name in names), *regions)
