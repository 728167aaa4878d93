"""Hits to one record per event."""

from __future__ import annotations

from na64reco.reconstruction.columns import COLUMNS, Column

__all__ = ["COLUMNS", "Column"]
