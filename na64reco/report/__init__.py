"""Pictures and tables of what it is handed."""

from __future__ import annotations

from na64reco.report.cutflow_table import cutflow_table, region_table
from na64reco.report.page_figures import COLOURS, use_style
from na64reco.report.plane import draw_plane, find_planes, save_plane

__all__ = [
    "COLOURS",
    "cutflow_table",
    "draw_plane",
    "find_planes",
    "region_table",
    "save_plane",
    "use_style",
]
