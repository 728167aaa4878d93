"""Names that the shell completes, found without loading what they name.

Where none fits, the shell goes on to files: every such name can also be a YAML file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MODEL_NAMES",
    "columns",
    "last_of_list",
    "models",
    "searches",
    "selections",
    "setups",
]

_PACKAGE: Final = Path(__file__).resolve().parents[1]

MODEL_NAMES: Final = (
    "b-l",
    "dark-photon",
    "dark-photon-visible",
    "lmutau-dark",
    "lmutau-vanilla",
)
"""Models that are no YAML files; to ask the models themselves takes a second and a half."""


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def setups(incomplete: str) -> list[str]:
    """Setups that begin so."""
    return _starting(incomplete, _stems(_PACKAGE / "setup" / "data"))


def selections(incomplete: str) -> list[str]:
    """Selections that begin so."""
    from na64reco.resources import shipped_folder

    return _starting(incomplete, _stems(shipped_folder("selections")))


def searches(incomplete: str) -> list[str]:
    """Searches that begin so."""
    return _starting(incomplete, _stems(_PACKAGE / "inference" / "data" / "searches"))


def models(incomplete: str) -> list[str]:
    """Models that begin so."""
    return _starting(incomplete, sorted([*MODEL_NAMES, *_stems(_PACKAGE / "darksector" / "data")]))


def columns(incomplete: str) -> list[str]:
    """Columns of NAME,NAME,... whose last name begins so."""
    from na64reco.reconstruction.columns import COLUMNS

    return last_of_list(incomplete, COLUMNS)


def _starting(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def last_of_list(incomplete: str, names: Iterable[str]) -> list[str]:
    """NAME,NAME,... with each name that its last one can become."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _starting(last, list(names))]
