"""na64reco: missing-energy searches, from hits in ROOT files to an upper limit.

What reads or computes is loaded when first used, so that ``import na64reco`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from na64reco.version import __version__

if TYPE_CHECKING:
    from na64reco.events import open_events
    from na64reco.processors.selected_events import read_selected
    from na64reco.reconstruction import reconstruct
    from na64reco.selection import load_selection
    from na64reco.setup import list_setups, load_setup

__all__ = [
    "__version__",
    "list_setups",
    "load_selection",
    "load_setup",
    "open_events",
    "read_selected",
    "reconstruct",
]

_LAZY = {
    "list_setups": "na64reco.setup",
    "load_setup": "na64reco.setup",
    "open_events": "na64reco.events",
    "read_selected": "na64reco.processors.selected_events",
    "reconstruct": "na64reco.reconstruction",
    "load_selection": "na64reco.selection",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
