"""Hits of the trackers in all files at once, for fits that need all tracks together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from na64reco.calibrate.sample import (
    STRAW_FIELDS,
    STRIP_FIELDS,
    Part,
    Tally,
    read_parts,
    require_same,
)
from na64reco.errors import DataError
from na64reco.events import EventBatch, concatenate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from na64reco.calibrate.task import Task
    from na64reco.events import Hits

__all__ = ["read_trackers"]


def read_trackers(
    task: Task, files: Sequence[str], tally: Tally, *, first: Part | None = None, label: str = ""
) -> tuple[dict[str, Hits], Part | None]:
    """Hits by collection (MM, GEM, ST as far as there), and the first part.

    All parts have the tracking conditions of the first, which may be one of other files.

    Raises
    ------
    DataError
        If there are no hits of strip planes, or runs of several periods.
    """
    batches = []
    for part in read_parts(task, tally, files=files, label=label):
        hits = {name: part.hits(name, STRIP_FIELDS) for name in ("MM", "GEM") if part.has(name)}
        if not hits:
            msg = (
                f"{', '.join(files)}: neither MM nor GEM hits; tracks need those of strip planes. "
                "Give hit files with trackers, or a mapping that names their branches"
            )
            raise DataError(msg)
        if part.has("ST"):
            hits["ST"] = part.hits("ST", STRAW_FIELDS)
        first = first or part
        require_same(first, part, ("mm", "gem", "alignment"), task)
        batches.append(EventBatch({}, hits))
    return (concatenate(batches).collections if batches else {}), first
