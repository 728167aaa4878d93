"""na64reco: missing-energy searches, from hits in ROOT files to an upper limit."""

from __future__ import annotations

from na64reco.setup import list_setups, load_setup
from na64reco.version import __version__

__all__ = ["__version__", "list_setups", "load_setup"]
