"""Hits to one record per event.

The functions are loaded when first used: whoever only asks which columns there are, as checking a
selection does, need not load compiled kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from na64reco.reconstruction.columns import COLUMNS, Column, columns_of_group, group_of

if TYPE_CHECKING:
    from na64reco.reconstruction.events import (
        available_columns,
        reconstruct,
        reconstruct_columns,
    )

__all__ = [
    "COLUMNS",
    "Column",
    "available_columns",
    "columns_of_group",
    "group_of",
    "reconstruct",
    "reconstruct_columns",
]


def __getattr__(name: str) -> Any:
    if name in {"available_columns", "reconstruct", "reconstruct_columns"}:
        from na64reco.reconstruction import events

        return getattr(events, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
