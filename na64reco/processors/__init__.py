"""The main job: hit files in; cutflow, histograms and selected events out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from na64reco.processors.collect import DatasetReport
from na64reco.processors.file_catalogue import CatalogueEntry, catalogue, write_catalogue
from na64reco.processors.fileset import Fileset, FilesetError, InputFile, resolve_inputs
from na64reco.processors.job import RunReport, needed_branches, run
from na64reco.processors.ledger import ChunkOutcome, FileOutcome, Ledger, LedgerError
from na64reco.processors.pools import EXECUTORS, WorkerError
from na64reco.processors.processor import Result, SkimBlocks

if TYPE_CHECKING:
    from na64reco.processors.processor import SelectionProcessor

__all__ = [
    "EXECUTORS",
    "CatalogueEntry",
    "ChunkOutcome",
    "DatasetReport",
    "FileOutcome",
    "Fileset",
    "FilesetError",
    "InputFile",
    "Ledger",
    "LedgerError",
    "Result",
    "RunReport",
    "SelectionProcessor",
    "SkimBlocks",
    "WorkerError",
    "catalogue",
    "needed_branches",
    "resolve_inputs",
    "run",
    "write_catalogue",
]


def __getattr__(name: str) -> Any:
    if name == "SelectionProcessor":
        # Whoever takes it from here may give it to coffea's Runner.
        from na64reco.processors import processor

        processor.register_with_coffea()
        return processor.SelectionProcessor
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
