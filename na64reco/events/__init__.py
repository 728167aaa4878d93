"""The hit-file format: schema, reading, writing, checking, mapping of foreign names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from na64reco.events.check import check_branches, check_events, event_problems, find_duplicates
from na64reco.events.columns import EventBatch, Hits, concatenate
from na64reco.events.files import (
    HitFile,
    LostServerError,
    PassingError,
    open_file,
    touching,
)
from na64reco.events.inspect import (
    BranchReport,
    FileReport,
    WaveformReport,
    file_metadata,
    inspect_file,
)
from na64reco.events.mapping import Mapping, Source, load_mapping
from na64reco.events.read import (
    has_collection,
    has_field,
    has_scalar,
    open_entries,
    open_events,
    read_batch,
    read_hits,
    read_scalar,
    source_of,
)
from na64reco.events.schema import (
    COLLECTIONS,
    PROCESSES,
    REQUIRED_SCALARS,
    SCALARS,
    TRIGGER_BITS,
    Column,
)
from na64reco.events.write import EventWriter

if TYPE_CHECKING:
    from na64reco.events.nano import HitSchema

__all__ = [
    "COLLECTIONS",
    "PROCESSES",
    "REQUIRED_SCALARS",
    "SCALARS",
    "TRIGGER_BITS",
    "BranchReport",
    "Column",
    "EventBatch",
    "EventWriter",
    "FileReport",
    "HitFile",
    "HitSchema",
    "Hits",
    "LostServerError",
    "Mapping",
    "PassingError",
    "Source",
    "WaveformReport",
    "check_branches",
    "check_events",
    "concatenate",
    "event_problems",
    "file_metadata",
    "find_duplicates",
    "has_collection",
    "has_field",
    "has_scalar",
    "inspect_file",
    "load_mapping",
    "open_entries",
    "open_events",
    "open_file",
    "read_batch",
    "read_hits",
    "read_scalar",
    "source_of",
    "touching",
]


def __getattr__(name: str) -> Any:
    if name == "HitSchema":
        # It needs coffea, which takes a quarter of a second to load.
        from na64reco.events.nano import HitSchema

        return HitSchema
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
