"""Electromagnetic showers in the ECAL: longitudinal and lateral profiles with fluctuations.

Longitudinally each shower is a gamma distribution (E. Longo, I. Sestili, NIM 128 (1975) 283) whose
mean depth and variance fluctuate and are correlated, as in G. Grindhammer, S. Peters,
hep-ex/0001020. Laterally each section has the sum of three Grindhammer-Peters profiles with radii
and weights of its own: a narrow core in the preshower, wider ones behind; their common scale
fluctuates from shower to shower. The numbers were adjusted to showers simulated with EGSnrc in this
calorimeter (150 x (1.5 mm Pb + 1.5 mm Sc), 10-100 GeV; a preshower share of 5.6 +- 2.0 % at
100 GeV, 97.0 % in 3x3 cells).

The resolution is a sampling term, independent in every cell, and a constant term: one common factor
per shower (gain drift, high voltage) and the light collection that varies across a cell.
The scale is that of an electron at the centre of the beam cell.

Left out: correlations between cells beyond those of the common profile, showers that begin late in
an inclined direction (the axis is a straight line), saturation.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy.special import gammainc

from na64reco.simulation.lateral import share_out, smear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter
    from na64reco.simulation.detector import Detector

__all__ = ["common_factor", "longitudinal_shares", "shower_energies"]

# Radii in mm and weights of the three components, at 100 GeV and their change per e-fold of energy.
_RADII = np.array([[0.96, 5.2, 43.0], [1.57, 6.63, 24.6]])
_RADII_SLOPE = np.array([[-0.04, -0.06, 1.5], [-0.05, 0.0, 0.3]])
_WEIGHTS = np.array([[0.57, 0.35, 0.08], [0.25, 0.51, 0.24]])
_WEIGHTS_SLOPE = np.array([[0.018, -0.026, 0.008], [0.017, -0.002, -0.015]])

_SCALE_SPREAD = 0.022
"""Relative rms of the lateral scale from shower to shower at 100 GeV, falling as 1 / sqrt(E):
so that the central cell's share fluctuates as in the EGSnrc showers (0.7 % where it is 80-90 %)."""


def longitudinal_shares(
    rng: np.random.Generator, energy: NDArray[np.float64], boundaries: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of each shower's energy between the depths ``boundaries``.

    Parameters
    ----------
    energy
        GeV, shape (rows,).
    boundaries
        Radiation lengths, ascending, shape (sections + 1,).

    Returns
    -------
    array
        Shape (rows, sections).
    """
    log = np.log(np.maximum(energy, 0.3) / 100)
    rows = len(energy)
    # Skewed: a shower can begin late, but not before the calorimeter.
    late = (rng.standard_gamma(2.0, rows) - 2) / np.sqrt(2)
    mean = 10.40 + log + 0.864 * late
    width = 0.137 - 0.0235 * log
    variance = np.exp(
        3.002
        + 0.0916 * log
        + width * (0.7 * np.minimum(late, 3) + np.sqrt(0.51) * rng.standard_normal(rows))
    )
    mean = np.maximum(mean, 1.0)
    beta = mean / variance
    contained = gammainc((mean * beta)[:, None], beta[:, None] * boundaries)
    shares: NDArray[np.float64] = np.diff(contained, axis=1)
    return shares


@dataclass(frozen=True, eq=False)
class _Geometry:
    depths: NDArray[np.float64]
    """Section boundaries, radiation lengths."""
    containment: NDArray[np.float64]
    """Share of a 100 GeV shower at the centre of the beam cell inside, by section."""


def _geometry(ecal: Calorimeter) -> _Geometry:
    layers = np.cumsum([0] + [s.layers for s in ecal.sections.values()])
    per_layer = ecal.radiation_lengths / layers[-1]
    ix, iy = ecal.beam_cell or (ecal.nx // 2, ecal.ny // 2)
    containment = np.empty(len(ecal.sections))
    for s in range(len(containment)):
        cells = np.zeros((ecal.nx, ecal.ny))
        share_out(
            1.0,
            ecal.x_centres[ix],
            ecal.y_centres[iy],
            _RADII[s],
            _WEIGHTS[s],
            ecal.cell_x,
            ecal.cell_y,
            cells,
        )
        containment[s] = cells.sum()
    return _Geometry(layers * per_layer, containment)


@numba.njit(cache=True, nogil=True)
def _deposit(
    rng: Any,
    energy: NDArray[np.float64],
    shares: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    scale: NDArray[np.float64],
    factor: NDArray[np.float64],
    containment: NDArray[np.float64],
    nonuniformity: NDArray[np.float64],
    constants: NDArray[np.float64],
    stochastic: float,
    cell_x: float,
    cell_y: float,
    cells: NDArray[np.float64],
) -> None:
    nx, ny = nonuniformity.shape
    for row in range(len(energy)):
        log = np.log(max(energy[row], 1.0) / 100)
        i = int(np.floor(x[row] / cell_x + nx / 2))
        j = int(np.floor(y[row] / cell_y + ny / 2))
        light = 1.0
        if 0 <= i < nx and 0 <= j < ny:
            u = x[row] / cell_x + nx / 2 - i - 0.5
            v = y[row] / cell_y + ny / 2 - j - 0.5
            light += nonuniformity[i, j] * np.cos(2 * np.pi * u) * np.cos(2 * np.pi * v)
        for s in range(shares.shape[1]):
            radii = (constants[0, s] + log * constants[1, s]) * scale[row]
            weights = constants[2, s] + log * constants[3, s]
            amount = energy[row] * shares[row, s] * factor[row] / containment[s]
            one = np.zeros((nx, ny))
            share_out(amount, x[row], y[row], radii, weights, cell_x, cell_y, one)
            if 0 <= i < nx and 0 <= j < ny:
                one[i, j] *= light
            smear(rng, stochastic, one)
            cells[row, s] += one


def common_factor(
    rng: np.random.Generator, ecal: Calorimeter, detector: Detector, rows: int
) -> NDArray[np.float64]:
    """One factor per shower on its visible energy: the constant term without the light collection.

    The simulation draws it before the shower: most electrons need none for the trigger's decision.
    """
    # Light collection is a part of the constant term: cos * cos has the rms 1/2.
    light = 0.5 * np.sqrt(np.mean(detector.ecal_nonuniformity**2))
    common = np.sqrt(max(ecal.constant**2 - light**2, 0.0))
    return np.maximum(0.0, 1 + common * rng.standard_normal(rows))


def shower_energies(
    rng: np.random.Generator,
    ecal: Calorimeter,
    detector: Detector,
    energy: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    factor: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Visible energies of electrons and photons that enter the ECAL.

    Parameters
    ----------
    energy
        GeV, shape (rows,).
    x, y
        Impact point in the ECAL's own frame, mm, shape (rows,).
    factor
        What `common_factor` gave for these showers; drawn here where it is None or NaN.

    Returns
    -------
    array
        GeV, electromagnetic scale, shape (rows, sections, nx, ny).
    """
    rows = len(energy)
    geometry = _geometry(ecal)
    cells = np.zeros((rows, *ecal.shape))
    shares = longitudinal_shares(rng, energy, geometry.depths)
    drawn = common_factor(rng, ecal, detector, rows)
    factor = drawn if factor is None else np.where(np.isnan(factor), drawn, factor)
    scale = np.exp(
        _SCALE_SPREAD * np.sqrt(100 / np.maximum(energy, 1.0)) * rng.standard_normal(rows)
    )
    _deposit(
        rng,
        energy,
        shares,
        x,
        y,
        scale,
        factor,
        geometry.containment,
        detector.ecal_nonuniformity,
        np.stack((_RADII, _RADII_SLOPE, _WEIGHTS, _WEIGHTS_SLOPE)),
        ecal.stochastic,
        ecal.cell_x,
        ecal.cell_y,
        cells,
    )
    return cells
