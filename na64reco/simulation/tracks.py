"""Particles on their way through the setup, as a structure of arrays.

One row is one particle that starts somewhere and is followed to its end: the beam particle of an
event, a pile-up particle, or a secondary. Rows of one event lie together, in event order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.constants import (
    ELECTRON_MASS,
    KAON_MASS,
    MUON_MASS,
    PION_MASS,
    PROTON_MASS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ELECTRON", "KAON", "KINDS", "MASSES", "MUON", "PHOTON", "PION", "PROTON", "Tracks"]

ELECTRON: Final = 0
PION: Final = 1
KAON: Final = 2
PROTON: Final = 3
MUON: Final = 4
PHOTON: Final = 5

KINDS: Final = {
    "electron": ELECTRON,
    "positron": ELECTRON,
    "pion": PION,
    "kaon": KAON,
    "proton": PROTON,
    "muon": MUON,
}
"""Kind of a beam particle by its name; the charge tells particle and antiparticle apart."""

MASSES: Final = (ELECTRON_MASS, PION_MASS, KAON_MASS, PROTON_MASS, MUON_MASS, 0.0)
"""GeV, by kind."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Particles; every array has the shape (rows,)."""

    event: NDArray[np.int64]
    """Index of the event in the batch, ascending."""
    time: NDArray[np.float64]
    """Relative to the trigger, ns."""
    kind: NDArray[np.int8]
    charge: NDArray[np.int8]
    momentum: NDArray[np.float64]
    """GeV/c at the start."""
    x: NDArray[np.float64]
    """mm, global, at the start."""
    y: NDArray[np.float64]
    tx: NDArray[np.float64]
    """dx/dz at the start."""
    ty: NDArray[np.float64]
    z_start: NDArray[np.float64]
    """mm."""
    z_end: NDArray[np.float64]
    """mm; it leaves nothing behind it."""
    share: NDArray[np.float64]
    """Share of the energy at the ECAL that showers there; the rest is carried away."""
    response: NDArray[np.float64]
    """Factor on the light of its shower in the ECAL, NaN where it is not drawn yet."""
    ecal_depth: NDArray[np.float64]
    """For particles that begin in the ECAL: at this share of its depth; else 0."""
    primary: NDArray[np.bool_]
    """The particle that the event is about, as opposed to pile-up and secondaries."""

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: NDArray[Any]) -> Tracks:
        """Rows by mask or index."""
        return Tracks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def with_(self, **changes: NDArray[Any]) -> Tracks:
        """The same with some columns replaced."""
        return replace(self, **changes)

    @staticmethod
    def make(rows: int, **columns: Any) -> Tracks:
        """Rows with defaults for what is not given; scalars are spread over all rows."""
        defaults: dict[str, Any] = {
            "time": 0.0,
            "kind": np.int8(0),
            "charge": np.int8(0),
            "x": 0.0,
            "y": 0.0,
            "tx": 0.0,
            "ty": 0.0,
            "z_end": np.inf,
            "share": 1.0,
            "response": np.nan,
            "ecal_depth": 0.0,
            "primary": False,
        }
        types = {"event": np.int64, "kind": np.int8, "charge": np.int8, "primary": np.bool_}
        content: dict[str, Any] = {
            f.name: np.array(
                np.broadcast_to((defaults | columns)[f.name], (rows,)),
                dtype=types.get(f.name, np.float64),
            )
            for f in fields(Tracks)
        }
        return Tracks(**content)

    @staticmethod
    def join(parts: Sequence[Tracks]) -> Tracks:
        """All rows, ordered by event; within an event in the order of the parts."""
        merged = Tracks(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Tracks)}
        )
        return merged.take(np.argsort(merged.event, kind="stable"))
