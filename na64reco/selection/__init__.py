"""Declarative selections: cuts, cutflow, regions, histograms, blinding.

>>> from na64reco.selection import load_selection
>>> load_selection("electron-invisible-2022").blind
'signal'
"""

from __future__ import annotations

from na64reco.selection.apply import Outcome, apply, required_columns, skim
from na64reco.selection.blinding import FrozenBox, box_digest, check_frozen_box, freeze_box
from na64reco.selection.counts import Counts, count
from na64reco.selection.cutflow import Cutflow, clopper_pearson
from na64reco.selection.histograms import empty_histograms, fill_histograms, histogram_name
from na64reco.selection.load import list_selections, load_selection
from na64reco.selection.model import Selection
from na64reco.selection.sequential import CutSequence, sequence_of
from na64reco.selection.variables import known_variables, variable

__all__ = [
    "Counts",
    "CutSequence",
    "Cutflow",
    "FrozenBox",
    "Outcome",
    "Selection",
    "apply",
    "box_digest",
    "check_frozen_box",
    "clopper_pearson",
    "count",
    "empty_histograms",
    "fill_histograms",
    "freeze_box",
    "histogram_name",
    "known_variables",
    "list_selections",
    "load_selection",
    "required_columns",
    "sequence_of",
    "skim",
    "variable",
]
