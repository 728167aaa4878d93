r"""Neutrino tridents, nu_mu N -> nu_mu N mu+ mu-, with a heavy boson of L_mu - L_tau.

.. math:: \frac{\sigma}{\sigma_\mathrm{SM}} = \frac{1 + (1 + 4 s_W^2 + 2 v^2 g^2/m^2)^2}
                                               {1 + (1 + 4 s_W^2)^2}

(W. Altmannshofer et al., arXiv:1406.2332). CCFR measured 0.82 +- 0.28 for it (S. R. Mishra et al.,
Phys. Rev. Lett. 66 (1991) 3117).

It holds for masses well above the momentum that the boson carries, of some GeV at CCFR. Below, the
formula promises more than there is: the limit ends up flat in the mass. What is drawn in papers for
lighter bosons is a numerical integration over CCFR's beam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.darksector.models import check_positive
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CCFR", "LIGHTEST", "trident_limit", "trident_ratio"]

CCFR: Final = (0.82, 0.28)
"""Cross section over that of the Standard Model, and its error."""
LIGHTEST: Final = 10.0
"""GeV, to which the formula is taken."""

_WEAK_ANGLE: Final = 0.2312
"""sin^2 (Particle Data Group 2024)."""
_VACUUM: Final = 246.22
"""GeV."""
_ALONE: Final = 1 + 4 * _WEAK_ANGLE


def _check(mass: ArrayLike) -> NDArray[np.float64]:
    masses = np.asarray(mass, dtype=np.float64)
    check_positive(mass=masses)
    if np.any(masses < LIGHTEST):
        msg = (
            f"the formula for tridents is that of a heavy boson: masses from {LIGHTEST:g} GeV on, "
            f"found {masses.min():g} GeV; lighter ones need an integration over the neutrino beam"
        )
        raise ModelError(msg)
    return masses


def trident_ratio(mass: ArrayLike, coupling: ArrayLike) -> NDArray[np.float64]:
    """Cross section over that of the Standard Model.

    Parameters
    ----------
    mass
        GeV, at least `LIGHTEST`.
    coupling
        g to muons and muon neutrinos; L_mu - L_tau.

    Raises
    ------
    ModelError
        For lighter bosons.
    """
    more = 2 * (_VACUUM * np.asarray(coupling) / _check(mass)) ** 2
    return np.asarray((1 + (_ALONE + more) ** 2) / (1 + _ALONE**2))


def trident_limit(
    mass: ArrayLike, *, measured: tuple[float, float] = CCFR, sigmas: float = 1.96
) -> NDArray[np.float64]:
    """Coupling at which the cross section is `sigmas` above the measured one; errors as above.

    Raises
    ------
    ModelError
        Also if so much is less than the Standard Model alone makes.
    """
    masses = _check(mass)
    most = measured[0] + sigmas * measured[1]
    if most <= 1:
        msg = f"the Standard Model itself is above {most:g} times its cross section"
        raise ModelError(msg)
    more = np.sqrt(most * (1 + _ALONE**2) - 1) - _ALONE
    return np.asarray(np.sqrt(more / 2) * masses / _VACUUM)
