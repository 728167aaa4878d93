"""Collisions out of which a hadron comes with most of its energy.

Interaction lengths of the Particle Data Group count particle production only, neither elastic nor
quasi-elastic scattering (sigma_I = sigma_total - sigma_elastic - sigma_quasielastic): in those the
hadron goes on, and a nucleon recoils with <T> = 1 / (2 m b) = 50 MeV, which ends in an absorber
plate nine times out of ten. They are left out. Of the collisions that count

- in 5 % the target dissociates and the projectile stays as it is: a Good-Walker state of the mass M
  with dN/dM^2 ~ 1/M^2 from (m_N + m_pi)^2 to 0.1 s (K. Goulianos, Phys. Rep. 101 (1983) 169), so
  that (M^2 - m_N^2) / (2 m_N) is lost. sigma_SD / sigma_el is about 3 mb / 7 mb for protons on
  protons on one side (the same), and on nuclei both happen in single collisions at the edge, where
  quasi-elastic scattering is 11 % of production (NA61/SHINE, p + C at 31 to 120 GeV/c,
  arXiv:1909.03351; recalled);
- in 9 % a hadron of the same kind takes 0.5 to 0.9 of the energy, evenly (assumed; D. S. Barton et
  al., PRD 27 (1983) 2580, found flat spectra of leading protons at 100 GeV, and a multiplicity that
  falls with A; recalled); a third of nucleons change their charge (assumed).

Projectiles that dissociate, and charge exchange of pions, are ordinary showers here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import PION_MASS, PROTON_MASS
from na64reco.simulation.tracks import PROTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DISSOCIATION", "LEADING", "SOFTEST", "leading_hadrons"]

DISSOCIATION: Final = 0.05
LEADING: Final = 0.09
"""Shares of collisions."""

SOFTEST: Final = 5.0
"""GeV; below, hadrons do not lead."""

_LEAST, _MOST = 0.5, 0.9
"""Share of the energy of those that lead without diffraction."""
_SWAP = 1 / 3
_OFTEN = 0.7
_LARGEST_XI = 0.1
"""Largest M^2 / s."""


def leading_hadrons(
    rng: np.random.Generator,
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    *,
    favoured: float = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """What share of its energy each colliding hadron keeps.

    Parameters
    ----------
    energy, kind
        Of the hadrons (GeV), shape (rows,).
    favoured
        Leading hadrons are drawn that many times as often, but in 70 % of collisions at most, and
        the rows weighted.

    Returns
    -------
    kept
        0 where there is no leading hadron, shape (rows,).
    swapped
        Whether a charged one becomes neutral and the other way round, shape (rows,).
    weight
        Shape (rows,).
    """
    rows = len(energy)
    share = DISSOCIATION + LEADING
    often = min(favoured, _OFTEN / share)
    which = rng.random(rows) / often
    drawn, swap = rng.random((2, rows))
    kept = np.zeros(rows)
    fast = energy > SOFTEST
    nucleon2 = PROTON_MASS**2
    low = (PROTON_MASS + PION_MASS) ** 2
    high = np.maximum(_LARGEST_XI * (2 * PROTON_MASS * energy + nucleon2), low)
    lost = (low * (high / low) ** drawn - nucleon2) / (2 * PROTON_MASS)
    target = fast & (which < DISSOCIATION)
    kept[target] = 1 - lost[target] / energy[target]
    other = fast & ~target & (which < DISSOCIATION + LEADING)
    kept[other] = _LEAST + (_MOST - _LEAST) * drawn[other]
    weight = np.where(kept > 0, 1 / often, (1 - share) / (1 - share * often))
    return kept, other & (kind == PROTON) & (swap < _SWAP), np.where(fast, weight, 1.0)
