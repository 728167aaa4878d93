"""The ECAL of a setup as layers, for whoever follows showers in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from na64reco.cascade.stack import Stack

if TYPE_CHECKING:
    from na64reco.setup.model import Setup

__all__ = ["ecal_stack"]

_ABSORBERS: Final = {"Pb": "lead", "Fe": "iron", "Cu": "copper"}
_SCINTILLATOR: Final = "polystyrene"


def ecal_stack(setup: Setup) -> Stack:
    """Absorber and scintillator of all sections; as wide as need be."""
    sampling = setup.ecal.sampling
    layers = sum(section.layers for section in setup.ecal.sections.values())
    plates = (
        (_ABSORBERS[sampling.absorber], sampling.absorber_thickness / 10),
        (_SCINTILLATOR, sampling.scintillator_thickness / 10),
    )
    return Stack.sandwich(plates, layers)
