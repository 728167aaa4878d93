"""The units of na64reco and how to write others in them.

Energies GeV, momenta GeV/c, lengths mm, times ns, angles mrad, fields T, amplitudes ADC counts.
Multiply to go in (``3 * MeV``), divide to come out (``energy / MeV``).
"""

from __future__ import annotations

from typing import Final

__all__ = ["GeV", "MeV", "T", "cm", "keV", "m", "mm", "mrad", "ns", "rad", "s", "us"]

GeV: Final = 1.0
MeV: Final = 1e-3
keV: Final = 1e-6

mm: Final = 1.0
cm: Final = 10.0
m: Final = 1000.0

ns: Final = 1.0
us: Final = 1e3
s: Final = 1e9

mrad: Final = 1.0
rad: Final = 1000.0

T: Final = 1.0
