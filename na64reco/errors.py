"""What can go wrong, by name; and the wording that all messages share.

A message says what was found, where, what was expected and how to mend it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConditionsError",
    "DataError",
    "FileFormatError",
    "InferenceError",
    "MappingError",
    "ModelError",
    "Na64recoError",
    "OutputExistsError",
    "SelectionError",
    "SetupError",
    "did_you_mean",
]


class Na64recoError(Exception):
    """Anything that na64reco itself finds wrong; the command line prints it without a traceback."""


class SetupError(Na64recoError):
    """A setup that is unknown or whose description is inconsistent."""


class FileFormatError(Na64recoError):
    """Not readable as a hit file: truncated, no `Events`, missing or wrong branches."""


class DataError(Na64recoError):
    """Readable, but impossible: cells outside the geometry, NaN, duplicate events."""


class MappingError(Na64recoError):
    """A foreign-branch mapping that is malformed or does not fit the file."""


class ModelError(Na64recoError):
    """A model of a new particle that is unknown, or asked for something unphysical."""


class InferenceError(Na64recoError):
    """Counts, uncertainties or a search from which no number can be inferred."""


class ConditionsError(Na64recoError):
    """Calibration conditions that are malformed or do not cover a run."""


class SelectionError(Na64recoError):
    """A selection file with an unknown key, variable or inconsistent value."""


class OutputExistsError(Na64recoError):
    """An output that is already there and was not to be overwritten."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Sentence for an error message: nearest known names, or all of them.

    >>> did_you_mean("ecal.enrgy", ["ecal.energy", "hcal.energy"])
    "Did you mean 'ecal.energy' or 'hcal.energy'?"
    >>> did_you_mean("x", ["b", "a"])
    "Known: 'a', 'b'."
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(repr(n) for n in near)}?"
    if not names:
        return "Nothing is known here."
    shown = ", ".join(repr(n) for n in names[:30])
    return f"Known: {shown}{', ...' if len(names) > 30 else ''}."
