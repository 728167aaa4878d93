"""What events and hits can do: behaviors of the records in a hit file's NanoEvents."""

from __future__ import annotations

from typing import Any

import awkward as ak
from coffea.nanoevents.methods import base

from na64reco.events.schema import PROCESSES, PROJECTIONS, TRIGGER_BITS

__all__ = ["RECORD_NAMES", "behavior"]

RECORD_NAMES = {
    "Counter": "CounterHit",
    "ECAL": "EcalHit",
    "HCAL": "HcalHit",
    "VHCAL": "VhcalHit",
    "SRD": "SrdHit",
    "VETO": "VetoHit",
    "MM": "MicromegasHit",
    "GEM": "GemHit",
    "ST": "StrawHit",
    "BMS": "BmsHit",
}
"""Name of the record, hence the behavior, of each collection's hits."""

behavior: dict[Any, Any] = dict(base.behavior)


@ak.mixin_class(behavior)
class HitEvent(base.NanoEvents):  # type: ignore[misc]
    """An event of a hit file."""

    def has_trigger(self, name: str) -> Any:
        """Whether the event was taken by the trigger ``physics``, ``beam`` or ``random``."""
        return (self.trigger & TRIGGER_BITS[name]) != 0

    @property
    def is_simulated(self) -> bool:
        """Whether there is truth beside the hits."""
        return any(field.startswith("MC_") for field in self.fields)

    def from_process(self, name: str) -> Any:
        """Whether the event was simulated as this process (see `schema.PROCESSES`)."""
        return self.MC_process == PROCESSES.index(name)


@ak.mixin_class(behavior)
class PulseHit(base.NanoCollection):  # type: ignore[misc]
    """A pulse of a detector that is read out by flash ADCs."""

    def within(self, mean: float, width: float) -> Any:
        """Whether the pulse's time is within mean +- width, ns."""
        return abs(self.time - mean) <= width


@ak.mixin_class(behavior)
class CounterHit(PulseHit):
    """A pulse of a trigger or veto counter."""


@ak.mixin_class(behavior)
class EcalHit(PulseHit):
    """A pulse of an ECAL cell."""

    @property
    def is_preshower(self) -> Any:
        """Whether the cell is one of the preshower."""
        return self.section == 0


@ak.mixin_class(behavior)
class HcalHit(PulseHit):
    """A pulse of an HCAL cell."""


@ak.mixin_class(behavior)
class VhcalHit(PulseHit):
    """A pulse of a cell of the veto HCAL."""


@ak.mixin_class(behavior)
class SrdHit(PulseHit):
    """A pulse of a module of the synchrotron-radiation detector."""


@ak.mixin_class(behavior)
class VetoHit(PulseHit):
    """A pulse of a photomultiplier of the veto."""

    @property
    def bar(self) -> Any:
        """Bar that the photomultiplier reads: photomultipliers 2 b and 2 b + 1 read bar b."""
        return self.ix // 2


@ak.mixin_class(behavior)
class PlaneHit(base.NanoCollection):  # type: ignore[misc]
    """A hit in a tracking plane."""

    def measures(self, projection: str) -> Any:
        """Whether the hit is in a plane of the projection ``X``, ``Y``, ``U`` or ``V``."""
        return self.projection == PROJECTIONS.index(projection)


@ak.mixin_class(behavior)
class MicromegasHit(PlaneHit):
    """A strip of a Micromegas."""


@ak.mixin_class(behavior)
class GemHit(PlaneHit):
    """A strip of a GEM."""


@ak.mixin_class(behavior)
class StrawHit(PlaneHit):
    """A wire of a straw chamber."""


@ak.mixin_class(behavior)
class BmsHit(base.NanoCollection):  # type: ignore[misc]
    """A channel of a beam momentum station."""
