"""Bremsstrahlung of a dark vector by electrons, positrons and muons on nuclei: cross sections.

All functions are pure and take arrays. Electrons and positrons radiate alike (Born approximation);
whatever couples like a photon with a coupling of epsilon e to the lepton: put epsilon = g / e.

`cross_section`, `spectrum` and `angular_spectrum` know three approximations: "exact" (tree level,
`na64reco.darksector.strahlung_exact`), "ww" and "iww"
(`na64reco.darksector.strahlung_approximate`). For muons "ww" is within 3 % of "exact"; for
electrons neither is good, hence `k_factor`. Tabulated: `na64reco.darksector.strahlung_tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from na64reco.constants import ALPHA, ELECTRON_MASS, MUON_MASS
from na64reco.darksector import strahlung_arrays as arrays
from na64reco.darksector import strahlung_exact as exact
from na64reco.darksector.form_factors import LEAD, Nucleus, photon_flux
from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ENERGIES",
    "LEPTONS",
    "MASSES",
    "PICOBARN",
    "Approximation",
    "angular_spectrum",
    "cross_section",
    "dsigma_dx",
    "k_factor",
    "leading_log",
    "spectrum",
    "x_limits",
    "x_range",
]

Approximation = Literal["exact", "ww", "iww"]

PICOBARN: Final = 0.3893793721e9
"""(hbar c)^2, pb GeV^2."""

LEPTONS: Final = {"electron": ELECTRON_MASS, "positron": ELECTRON_MASS, "muon": MUON_MASS}
"""Masses in GeV."""

MASSES: Final = (1e-6, 3.0)
"""Of the vector, GeV: where the integrals have been checked."""

ENERGIES: Final = (1.0, 1000.0)
"""Of the lepton, GeV: likewise."""

LEAD_MASS = 207.2 * 0.93149410242 - 82 * ELECTRON_MASS
"""GeV, of a lead nucleus (mean of the natural isotopes)."""

SOFTEST_X = 0.01
"""Lower end of the spectrum for electrons (arXiv:1712.05706). It matters below 1 MeV, where the
spectrum rises like 1/x; above 2 MeV what is left out is below 1e-4."""


def x_limits(mass: float, energy: float, *, nucleus: float = LEAD_MASS) -> tuple[float, float]:
    """Range of x = E_dark / E_0.

    Parameters
    ----------
    mass
        Of the dark particle, GeV.
    energy
        Of the electron, GeV.
    nucleus
        Mass of the nucleus, GeV.

    Returns
    -------
    low, high
        low = max(m / E_0, 0.01); high = 1 - m_e / E_0 - m^4 / (8 E_0^3 M).

    Raises
    ------
    ValueError
        If mass or energy are not positive, or the electron cannot make such a mass.
    """
    if not mass > 0 or not energy > 0:
        msg = f"mass and energy must be positive (GeV), found mass={mass}, energy={energy}"
        raise ValueError(msg)
    low = max(mass / energy, SOFTEST_X)
    high = 1 - ELECTRON_MASS / energy - mass**4 / (8 * energy**3 * nucleus)
    if low >= high:
        msg = (
            f"an electron of {energy} GeV cannot radiate a mass of {mass} GeV on a nucleus of "
            f"{nucleus:.6g} GeV; choose a smaller mass (masses here are in GeV)"
        )
        raise ValueError(msg)
    return low, high


def dsigma_dx(x: NDArray[np.float64], mass: float, energy: float) -> NDArray[np.float64]:
    """Shape of the IWW spectrum of electrons in x = E_dark / E_0, not normalised.

    p (m_e^2 x (x^2 + 2x - 2) - 2 u (3 - 3x + x^2)) / (3 x u^2) with p = sqrt(x^2 E_0^2 - m^2) and
    u = -m^2 (1 - x) / x - m_e^2 x: eq. 8 of arXiv:1712.05706 in the form of arXiv:2101.12192.

    Parameters
    ----------
    x
        Any shape; values outside `x_limits` give 0.
    mass
        Of the dark particle, GeV.
    energy
        Of the electron, GeV.

    Returns
    -------
    array
        Same shape as x.
    """
    low, high = x_limits(mass, energy)
    x = np.asarray(x, dtype=np.float64)
    inside = (x >= low) & (x <= high)
    safe = np.where(inside, x, 0.5 * (low + high))
    momentum = np.sqrt(np.maximum(safe**2 * energy**2 - mass**2, 0.0))
    u = -(mass**2) * (1 - safe) / safe - ELECTRON_MASS**2 * safe
    numerator = ELECTRON_MASS**2 * safe * (safe**2 + 2 * safe - 2) - 2 * u * (
        3 - 3 * safe + safe**2
    )
    return np.where(inside, momentum * numerator / (3 * safe * u**2), 0.0)


def _check_range(what: str, values: NDArray[np.float64], bounds: tuple[float, float]) -> None:
    low, high = bounds
    # Written so that a NaN is refused.
    wrong = ~((values >= low) & (values <= high))
    if np.any(wrong):
        msg = (
            f"{what} must be between {low:g} and {high:g} GeV, found {values[wrong].flat[0]:g}; "
            "there is no extrapolation"
        )
        raise ModelError(msg)


def _lepton_mass(lepton: str) -> float:
    if lepton not in LEPTONS:
        msg = f"There is no lepton {lepton!r}. {did_you_mean(lepton, LEPTONS)}"
        raise ModelError(msg)
    return LEPTONS[lepton]


def _code(approximation: str) -> int:
    if approximation not in arrays.CODES:
        known = did_you_mean(approximation, arrays.CODES)
        msg = f"There is no approximation {approximation!r}. {known}"
        raise ModelError(msg)
    return arrays.CODES[approximation]


def _factor(epsilon: float) -> float:
    if not 0 < epsilon < np.inf:
        msg = f"epsilon must be positive and finite, found {epsilon}"
        raise ModelError(msg)
    return ALPHA**3 * epsilon**2 * PICOBARN


def x_range(
    mass: ArrayLike,
    energy: ArrayLike,
    *,
    nucleus: Nucleus = LEAD,
    lepton: str = "electron",
    x_min: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Range of x = E_dark / E_0 over which `cross_section` integrates.

    Parameters
    ----------
    mass, energy
        Of the dark vector and of the lepton, GeV; broadcast against each other.
    lepton
        One of `LEPTONS`.
    x_min
        Lower end wherever it is above m / E_0; left out: 0.01 for electrons and positrons, 0 for
        muons.

    Returns
    -------
    low, high
        high is the kinematic limit on this nucleus.

    Raises
    ------
    ModelError
        For masses outside `MASSES`, energies outside `ENERGIES`, or below threshold.
    """
    m, e = np.broadcast_arrays(
        np.asarray(mass, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    )
    _check_range("the dark vector's mass", m, MASSES)
    _check_range("the lepton's energy", e, ENERGIES)
    lepton_mass = _lepton_mass(lepton)
    if x_min is None:
        x_min = 0.0 if lepton == "muon" else SOFTEST_X
    if not 0 <= x_min < 1:
        msg = f"x_min must be at least 0 and below 1, found {x_min}"
        raise ModelError(msg)
    low = np.maximum(m / e, x_min)
    limits = [
        exact.highest_x(b, a, lepton_mass, nucleus.mass)
        for a, b in zip(m.flat, e.flat, strict=True)
    ]
    high = np.array(limits, dtype=np.float64).reshape(m.shape)
    wrong = ~(high > low)
    if np.any(wrong):
        index = int(np.flatnonzero(wrong)[0])
        msg = (
            f"a {lepton} of {e.flat[index]:g} GeV cannot radiate a mass of {m.flat[index]:g} GeV "
            f"on a nucleus of {nucleus.mass:.6g} GeV with x above {low.flat[index]:g}: the "
            f"kinematic limit is x = {high.flat[index]:g}; masses here are in GeV"
        )
        raise ModelError(msg)
    return low, high


def cross_section(
    mass: ArrayLike,
    energy: ArrayLike,
    *,
    nucleus: Nucleus = LEAD,
    lepton: str = "electron",
    approximation: Approximation = "exact",
    epsilon: float = 1.0,
    inelastic: bool = False,
    x_min: float | None = None,
) -> NDArray[np.float64]:
    """Total cross section per nucleus, pb.

    Parameters
    ----------
    mass, energy
        GeV; broadcast against each other.
    inelastic
        Add the break-up of the nucleus (form factor only: the recoil stays the nucleus').
    x_min
        As in `x_range`.

    Raises
    ------
    ModelError
        As `x_range`, and for an unknown lepton or approximation.
    """
    code = _code(approximation)
    low, high = x_range(mass, energy, nucleus=nucleus, lepton=lepton, x_min=x_min)
    m = np.broadcast_to(np.asarray(mass, dtype=np.float64), low.shape)
    e = np.broadcast_to(np.asarray(energy, dtype=np.float64), low.shape)
    found = arrays.totals(
        code,
        low.ravel(),
        high.ravel(),
        m.ravel(),
        e.ravel(),
        _lepton_mass(lepton),
        nucleus.parameters(inelastic=inelastic),
    )
    return np.asarray(_factor(epsilon) * found.reshape(low.shape))


def spectrum(
    x: ArrayLike,
    mass: ArrayLike,
    energy: ArrayLike,
    *,
    nucleus: Nucleus = LEAD,
    lepton: str = "electron",
    approximation: Approximation = "exact",
    epsilon: float = 1.0,
    inelastic: bool = False,
    x_min: float | None = None,
) -> NDArray[np.float64]:
    """Cross section per x = E_dark / E_0, pb; its integral over `x_range` is `cross_section`.

    Parameters and errors as there; x, mass, energy are broadcast; 0 outside `x_range`.
    """
    code = _code(approximation)
    found, m, e = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (x, mass, energy))
    )
    low, high = x_range(mass, energy, nucleus=nucleus, lepton=lepton, x_min=x_min)
    values = arrays.spectra(
        code,
        found.ravel(),
        np.broadcast_to(low, found.shape).ravel(),
        np.broadcast_to(high, found.shape).ravel(),
        m.ravel(),
        e.ravel(),
        _lepton_mass(lepton),
        nucleus.parameters(inelastic=inelastic),
    )
    return np.asarray(_factor(epsilon) * values.reshape(found.shape))


def angular_spectrum(
    x: ArrayLike,
    theta: ArrayLike,
    mass: ArrayLike,
    energy: ArrayLike,
    *,
    nucleus: Nucleus = LEAD,
    lepton: str = "electron",
    approximation: Approximation = "exact",
    epsilon: float = 1.0,
    inelastic: bool = False,
    x_min: float | None = None,
) -> NDArray[np.float64]:
    """Cross section per x and per angle of the dark vector, pb / rad.

    Parameters and errors as in `spectrum`; theta in rad, between 0 and pi.

    Raises
    ------
    ModelError
        Also for an angle outside [0, pi].
    """
    code = _code(approximation)
    found, angle, m, e = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (x, theta, mass, energy))
    )
    if not np.all((angle >= 0) & (angle <= np.pi)):
        msg = f"theta must be between 0 and pi rad, found {angle.min():g} to {angle.max():g}"
        raise ModelError(msg)
    low, high = x_range(mass, energy, nucleus=nucleus, lepton=lepton, x_min=x_min)
    values = arrays.angular(
        code,
        found.ravel(),
        angle.ravel(),
        np.broadcast_to(low, found.shape).ravel(),
        np.broadcast_to(high, found.shape).ravel(),
        m.ravel(),
        e.ravel(),
        _lepton_mass(lepton),
        nucleus.parameters(inelastic=inelastic),
    )
    return np.asarray(_factor(epsilon) * values.reshape(found.shape))


def leading_log(
    mass: ArrayLike, energy: ArrayLike, *, nucleus: Nucleus = LEAD, epsilon: float = 1.0
) -> NDArray[np.float64]:
    """IWW cross section of electrons in closed form, pb: what K factors are relative to.

    (4/3) alpha^3 epsilon^2 chi beta ln(1 / delta^2) / m^2, delta = max(m_e / m, m / E_0), beta =
    sqrt(1 - m^2 / E_0^2), chi from m^4 / (4 E_0^2) to m^2 (arXiv:2101.12192).

    Raises
    ------
    ModelError
        For mass <= m_e or >= energy, where the logarithm has no sense.
    """
    m, e = np.broadcast_arrays(
        np.asarray(mass, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    )
    if not np.all((m > ELECTRON_MASS) & (m < e)):
        msg = (
            f"this formula holds between m_e = {ELECTRON_MASS:g} GeV and the electron's energy, "
            f"found masses from {m.min():g} to {m.max():g} GeV"
        )
        raise ModelError(msg)
    delta = np.maximum(ELECTRON_MASS / m, m / e)
    flux = photon_flux(m**4 / (4 * e**2), m**2, nucleus)
    value = 4 / 3 * flux * np.sqrt(1 - (m / e) ** 2) * np.log(1 / delta**2) / m**2
    return np.asarray(_factor(epsilon) * value)


def k_factor(mass: ArrayLike, energy: ArrayLike, *, nucleus: Nucleus = LEAD) -> NDArray[np.float64]:
    """K = `leading_log` over the exact `cross_section`, electrons; errors as there."""
    return np.asarray(
        leading_log(mass, energy, nucleus=nucleus) / cross_section(mass, energy, nucleus=nucleus)
    )
