"""What every calibration is given, and what it gives back."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from na64reco.errors import OutputExistsError
from na64reco.resources import shipped_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from na64reco.events import Mapping as BranchMapping
    from na64reco.setup import Setup

    Update = Callable[[int, int], None]

__all__ = ["AlignmentOptions", "Result", "Table", "Task"]


def _no_progress(text: str, unit: str) -> AbstractContextManager[Update | None]:
    del text, unit
    return nullcontext()


@dataclass(frozen=True)
class AlignmentOptions:
    """Of the calibration `alignment`."""

    straight: tuple[str, ...] = ()
    """Files with the magnets off."""
    tolerance: float = 1.0
    """How far planes may be off, mm."""
    beam_momentum: bool = False
    """Take tracks to have the beam's momentum, within its spread."""


@dataclass(frozen=True)
class Task:
    """What to calibrate from; the same for all calibrations of one command."""

    setup: Setup
    files: tuple[str, ...]
    out: Path
    """Folder of the new conditions."""
    calib: Path | None = None
    """Folder of the conditions to start from; None for the shipped ones."""
    runs: tuple[int, int] | None = None
    """For which the constants are valid; None: from the first run of the files to the setup's
    last."""
    max_events: int | None = None
    mapping: BranchMapping | None = None
    overwrite: bool = False
    spectrometer: str | None = None
    """Whose tracks; None for the setup's first."""
    alignment: AlignmentOptions = field(default_factory=AlignmentOptions)
    efficiency: float = 0.95
    """Share of electrons that cuts on the shower's shape are to keep: the published practice."""
    progress: Callable[[str, str], AbstractContextManager[Update | None]] = _no_progress
    """``with task.progress("ECAL", "events") as update: update(done, total)``; update may be
    None."""

    @cached_property
    def source(self) -> Path:
        """Folder of the conditions to start from."""
        return shipped_folder("calib") / self.setup.name if self.calib is None else self.calib

    @property
    def tracker(self) -> str:
        """Name of the spectrometer whose tracks are used."""
        return self.spectrometer or next(iter(self.setup.spectrometers))

    def check_target(self, name: str) -> Path:
        """Where a conditions file is going to be; to be asked before the work begins.

        A file that is no other than that of the starting folder may be replaced: nothing that has
        been found is lost.

        Raises
        ------
        OutputExistsError
            If there is another one that is not to be overwritten.
        """
        target = self.out / name
        if self.overwrite or not target.exists():
            return target
        start = self.source / name
        if not start.exists() or start.read_bytes() != target.read_bytes():
            msg = f"{target} exists already. Choose another folder, or ask to overwrite it."
            raise OutputExistsError(msg)
        return target


@dataclass(frozen=True)
class Table:
    """For people; the first column is text, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """Printed below."""


@dataclass(frozen=True)
class Result:
    """What a calibration did."""

    runs: tuple[int, int]
    """For which the constants are valid."""
    written: tuple[Path, ...]
    """The conditions files, those with constants first; copied ones too."""
    summary: Mapping[str, Any]
    """For JSON: finite numbers, lists, text. Goes into calibration.json."""
    tables: tuple[Table, ...] = ()
    warnings: tuple[str, ...] = ()
    detail: Any = None
    """What its pictures are drawn from."""
    pictures: Mapping[str, Any] = field(default_factory=dict)
    """Name of a file without its suffix -> matplotlib figure."""
