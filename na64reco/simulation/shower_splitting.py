"""How deep electromagnetic showers deposit their energy: the first generations one by one.

Electrons radiate photons and photons make pairs with the spectra of complete screening (B. Rossi,
High-Energy Particles, 1952, approximation A), down to a fiftieth of the shower's energy. From there
on each electron is a small shower of the mean profile of its energy, that begins after an
exponential delay. What a shower fluctuates by comes from the first generations: how late it begins,
how long it is, how much the preshower gets, and that photons begin later than electrons.

The mean profile of a small shower is a gamma distribution (E. Longo, I. Sestili, NIM 128 (1975)
283) whose mean depth and variance grow with ln E, with an early component (its first particles)
and a late one (photons near the minimum of their attenuation). Its numbers were fitted to one half
of the showers that EGSnrc v2025a-3 makes in this calorimeter (150 x (1.5 mm Pb + 1.5 mm Sc)):
electrons of 10 to 100 GeV, photons of 50 GeV. Depths are in the setups' radiation lengths, of which
the calorimeter has 40.

Left out: the LPM effect, backscattering into the first four layers (they get 0.7 of their energy,
which is 0.1 % of a 100 GeV shower), photons and electrons at an angle.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from scipy.special import gammainc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["longitudinal_shares"]

_CUT: Final = 0.02
"""Of the shower's energy: electrons below are small showers."""
_LOWEST: Final = 0.05
"""GeV, at least."""
_UNIT: Final = 1.012
"""Length of a radiation length of the formulas in those of the setup."""
_IONISATION: Final = 0.0132
"""GeV per radiation length that an electron loses (a minimum-ionising particle: 0.5 GeV in 40)."""
_DELAY: Final = 0.539
"""Mean depth before a small shower begins, radiation lengths."""
_MEAN: Final = (5.78, 0.96)
"""Mean depth of a 1 GeV shower and its growth with ln E, radiation lengths."""
_VARIANCE: Final = (11.70, 1.22)
"""The same of the variance."""
_EARLY: Final = (0.052, 2.50, 1.48)
"""Share, mean depth and shape of the early component."""
_LATE: Final = (0.0265, 5.29, 14.0)
"""Share of the late component, by how much it is deeper, and its variance larger."""

_SMALLEST_LOG: Final = float(np.log(0.02))
_LOG_STEP: Final = 0.35
_LOGS: Final = 26
_DEPTH_STEP: Final = 0.05
_DEPTHS: Final = 1201
_STACK: Final = 512
"""More particles above the cut than fit a tree that halves its energy 50 times in a row."""


@lru_cache(maxsize=1)
def _table() -> NDArray[np.float64]:
    """Share of small showers before a depth, shape (energies, depths)."""
    depth = np.arange(_DEPTHS) * _DEPTH_STEP
    table = np.empty((_LOGS, _DEPTHS))
    early, early_mean, shape = _EARLY
    late, deeper, more_variance = _LATE
    for k in range(_LOGS):
        log = _SMALLEST_LOG + k * _LOG_STEP
        mean = max(_MEAN[0] - _DELAY + _MEAN[1] * log, 0.7)
        variance = max(_VARIANCE[0] + _VARIANCE[1] * log, 0.8)
        first = min(early_mean, 0.5 * mean)
        main = (mean - early * first - late * deeper) / (1 - early)
        rate = main / max(variance, 0.15 * main**2)
        late_mean = main + deeper
        late_rate = late_mean / (variance + more_variance)
        table[k] = (
            early * gammainc(shape, shape * depth / first)
            + (1 - early - late) * gammainc(main * rate, rate * depth)
            + late * gammainc(late_mean * late_rate, late_rate * depth)
        )
    return table


def longitudinal_shares(
    rng: np.random.Generator,
    energy: NDArray[np.float64],
    boundaries: NDArray[np.float64],
    *,
    photon: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Share of each shower's energy between the depths ``boundaries``.

    Parameters
    ----------
    energy
        GeV, shape (rows,).
    boundaries
        Radiation lengths, ascending, shape (sections + 1,).
    photon
        Which rows are photons, shape (rows,); none if not given.

    Returns
    -------
    array
        Shape (rows, sections); sums are below 1 by what is deposited elsewhere.
    """
    rows = len(energy)
    if photon is None:
        photon = np.zeros(rows, dtype=np.bool_)
    shares = np.zeros((rows, len(boundaries) - 1))
    _split(rng, energy, photon, boundaries, _table(), shares)
    return shares


@numba.njit(cache=True, nogil=True)
def _before(table: NDArray[np.float64], log: float, depth: float) -> float:
    """Share of a small shower before a depth behind its beginning."""
    if depth <= 0:
        return 0.0
    column = depth / _DEPTH_STEP
    if column >= _DEPTHS - 1.001:
        return 1.0
    row = min(max((log - _SMALLEST_LOG) / _LOG_STEP, 0.0), _LOGS - 1.001)
    i, j = int(row), int(column)
    u, v = row - i, column - j
    return float(
        (1 - u) * ((1 - v) * table[i, j] + v * table[i, j + 1])
        + u * ((1 - v) * table[i + 1, j] + v * table[i + 1, j + 1])
    )


@numba.njit(cache=True, nogil=True)
def _deposit(
    share: float,
    log: float,
    start: float,
    boundaries: NDArray[np.float64],
    table: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> None:
    """Add a small shower of a share of the whole energy."""
    last = 0.0
    for b in range(len(boundaries)):
        before = _before(table, log, boundaries[b] - start)
        if b > 0:
            shares[b - 1] += share * (before - last)
        last = before


@numba.njit(cache=True, nogil=True)
def _pair(rng: Any) -> float:
    """Share of a photon's energy that the electron of its pair takes."""
    while True:
        z = rng.random()
        if rng.random() < 1 - 4 / 3 * z * (1 - z):
            return float(z)


@numba.njit(cache=True, nogil=True)
def _radiated(rng: Any, log_range: float) -> float:
    """Share of an electron's energy that a photon takes, above exp(-log_range)."""
    while True:
        y = np.exp(-log_range * rng.random())
        if rng.random() * 4 / 3 < 4 / 3 - 4 / 3 * y + y * y:
            return float(y)


@numba.njit(cache=True, nogil=True)
def _split(
    rng: Any,
    energies: NDArray[np.float64],
    photon: NDArray[np.bool_],
    boundaries: NDArray[np.float64],
    table: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> None:
    energy_of = np.empty(_STACK)
    depth_of = np.empty(_STACK)
    is_photon = np.empty(_STACK, dtype=np.bool_)
    for row in range(len(energies)):
        whole = energies[row]
        if whole <= 0:
            continue
        cut = max(_CUT * whole, _LOWEST)
        energy_of[0], depth_of[0], is_photon[0] = whole, 0.0, photon[row]
        waiting = 1
        while waiting > 0:
            waiting -= 1
            e, t = energy_of[waiting], depth_of[waiting]
            if is_photon[waiting]:
                t += _UNIT * 9 / 7 * rng.standard_exponential()
                z = _pair(rng)
                for part in (z, 1 - z):
                    energy_of[waiting], depth_of[waiting] = e * part, t
                    is_photon[waiting] = False
                    waiting += 1
                continue
            while e > cut and waiting < _STACK - 2:
                # Photons below half of the cut are a continuous loss, each step's is one of them.
                y = 0.5 * min(cut / e, 0.5)
                log_range = -np.log(y)
                rate = 4 / 3 * log_range - 4 / 3 * (1 - y) + 0.5 * (1 - y * y)
                step = rng.standard_exponential() / rate
                soft = e * (1 - np.exp(-step * (4 / 3 * y - 2 / 3 * y * y + y**3 / 3)))
                ionisation = min(_IONISATION * step, e - soft)
                middle = t + _UNIT * step * rng.random()
                log = np.log(0.5 * y * e * (1 - rng.random()))
                start = middle + _UNIT * 9 / 7 * rng.standard_exponential()
                _deposit(soft / whole, log, start, boundaries, table, shares[row])
                for b in range(len(boundaries) - 1):
                    if boundaries[b] <= middle < boundaries[b + 1]:
                        shares[row, b] += ionisation / whole
                t += _UNIT * step
                e -= soft + ionisation
                if e <= cut:
                    break
                hard = e * _radiated(rng, log_range)
                energy_of[waiting], depth_of[waiting] = hard, t
                is_photon[waiting] = True
                waiting += 1
                e -= hard
            if e > 0:
                log = np.log(e)
                start = t + _DELAY * rng.standard_exponential()
                _deposit(e / whole, log, start, boundaries, table, shares[row])
