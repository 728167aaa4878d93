"""What a file or folder that is not there may have been meant to be."""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["near_files"]

_MOST = 5000
"""Names of a folder that are looked at."""


def near_files(message: str, arguments: Sequence[str]) -> str:
    """Complete an error message about a missing file that an argument names.

    Parameters
    ----------
    arguments
        Words of the command line; NAME=FILE and OUT:DATASET count by their parts.

    Returns
    -------
    The message, with the nearest of the names that stand where the first missing one should
    """
    if "Did you mean" in message:
        return message
    for argument in arguments:
        if "://" in argument:
            continue  # on another machine
        for word in dict.fromkeys((argument, *re.split("[=:]", argument))):
            if _is_named(word, message) and (near := _near(Path(word))):
                stop = "" if message.endswith(".") else "."
                return f"{message}{stop} Did you mean '{near}'?"
    return message


def _is_named(word: str, message: str) -> bool:
    if not word or word.startswith("-"):
        return False
    return re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", message) is not None


def _near(path: Path) -> Path | None:
    try:
        if path.exists():
            return None
        for missing in (path, *path.parents):
            if missing.parent.is_dir():
                names = [p.name for p in islice(missing.parent.iterdir(), _MOST)]
                close = get_close_matches(missing.name, names, n=1, cutoff=0.6)
                return missing.parent / close[0] if close else None
    except OSError:  # a folder that may not be read, a name that is too long
        return None
    return None
