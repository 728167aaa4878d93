"""Text on terminals and in files whose encoding lacks some of its signs."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper
from typing import Final

__all__ = ["write_anywhere"]

_PLAIN: Final = {
    "±": "+-",
    "…": "...",
    "–": "-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "²": "2",
    "σ": "sigma",
    "κ": "kappa",
    "χ": "chi",
    "ε": "epsilon",
    "µ": "u",
    "μ": "u",
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in text), error.end


def write_anywhere() -> None:
    """Let standard output and error spell out what their encoding does not have."""
    codecs.register_error("na64reco.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="na64reco.plain")
