"""Constants of nature (Particle Data Group 2024, https://pdg.lbl.gov), in the units of na64reco."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALPHA",
    "BEND_PER_TESLA_MM",
    "ELECTRON_MASS",
    "KAON_MASS",
    "MUON_MASS",
    "PION_MASS",
    "PROTON_MASS",
    "SPEED_OF_LIGHT",
    "TAU_MASS",
]

ELECTRON_MASS: Final = 0.51099895069e-3
"""GeV."""
MUON_MASS: Final = 0.1056583755
"""GeV."""
TAU_MASS: Final = 1.77693
"""GeV."""
PION_MASS: Final = 0.13957039
"""GeV."""
KAON_MASS: Final = 0.493677
"""GeV."""
PROTON_MASS: Final = 0.93827208943
"""GeV."""

ALPHA: Final = 1.0 / 137.035999178
"""Fine-structure constant at zero momentum transfer."""

SPEED_OF_LIGHT: Final = 299.792458
"""mm/ns."""

BEND_PER_TESLA_MM: Final = 0.299792458e-3
"""GeV/c of transverse momentum per T mm, for unit charge."""
