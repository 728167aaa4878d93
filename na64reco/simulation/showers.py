"""Electromagnetic showers in the ECAL: cell energies with fluctuations and correlations.

How deep a shower is comes from :mod:`na64reco.simulation.shower_splitting`, how wide each section
of it is and how the cells fluctuate from :mod:`na64reco.simulation.shower_lateral`; both were
fitted to showers that EGSnrc makes in this calorimeter.

On top of a shower's own fluctuations (7.65 % / sqrt(E)) come those of the readout: what is missing
to the setup's sampling term, independent in every cell, and the constant term: one common factor
per shower (gain drift, high voltage) and the light collection that varies across a cell.
The scale is that of an electron at the centre of the beam cell.

Left out: angles of incidence (the axis is parallel to the calorimeter's), saturation.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from na64reco.simulation.shower_lateral import (
    MODES,
    QUANTUM,
    TERMS,
    cell_shares,
    fluctuate,
    lateral_terms,
)
from na64reco.simulation.shower_splitting import longitudinal_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter
    from na64reco.simulation.detector import Detector

__all__ = ["SAMPLING", "common_factor", "shower_energies"]

SAMPLING: Final = 0.0765
"""sigma/E times sqrt(E / GeV) of the showers alone: EGSnrc, 10 to 100 GeV, 7.5-8.2 %."""

_REFERENCE: Final = (100.0, 0.0518)
"""Energy (GeV) and preshower's share of the shower that gives the scale."""


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
    radii, weights = np.empty((2, TERMS))
    for s in range(len(containment)):
        lateral_terms(min(s, 1), *_REFERENCE, 0.0, 0.0, radii, weights)
        cells = np.zeros((ecal.nx, ecal.ny))
        x, y = ecal.x_centres[ix], ecal.y_centres[iy]
        cell_shares(x, y, (0.0, 0.0, 0.0), 1.0, radii, weights, ecal.cell_x, ecal.cell_y, cells)
        containment[s] = cells.sum()
    return _Geometry(layers * per_layer, containment)


@numba.njit(cache=True, nogil=True)
def _deposit(
    rng: Any,
    energy: NDArray[np.float64],
    shares: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    factor: NDArray[np.float64],
    containment: NDArray[np.float64],
    nonuniformity: NDArray[np.float64],
    sizes: NDArray[np.float64],
    quanta: NDArray[np.float64],
    stochastic: float,
    cell_x: float,
    cell_y: float,
    cells: NDArray[np.float64],
) -> None:
    nx, ny = nonuniformity.shape
    radii, weights = np.empty(TERMS), np.empty(TERMS)
    # What the readout adds to the shower's own fluctuations.
    readout = max(stochastic * stochastic - SAMPLING * SAMPLING, 0.0)
    for row in range(len(energy)):
        if energy[row] <= 0:
            continue
        i = int(np.floor(x[row] / cell_x + nx / 2))
        j = int(np.floor(y[row] / cell_y + ny / 2))
        inside = 0 <= i < nx and 0 <= j < ny
        light = 1.0
        if inside:
            u = x[row] / cell_x + nx / 2 - i - 0.5
            v = y[row] / cell_y + ny / 2 - j - 0.5
            light += nonuniformity[i, j] * np.cos(2 * np.pi * u) * np.cos(2 * np.pi * v)
        contained = shares[row].sum()
        for s in range(shares.shape[1]):
            visible = energy[row] * shares[row, s]
            if visible <= 0:
                continue
            part = min(s, 1)
            # Half of a GeV and less: a poor shower is as wide as the mean one says.
            root = np.sqrt(max(visible, 0.5))
            shift = (
                sizes[part, 0] / root * rng.standard_normal(),
                sizes[part, 0] / root * rng.standard_normal(),
                sizes[part, 2] / root * rng.standard_normal(),
            )
            wider = sizes[part, 1] / root * rng.standard_normal()
            narrow = rng.standard_normal()
            share, narrower = shares[row, 0] / contained, sizes[part, 3] / root * narrow
            lateral_terms(part, energy[row], share, wider, narrower, radii, weights)
            one = cells[row, s]
            cell_shares(x[row], y[row], shift, sizes[part, 4], radii, weights, cell_x, cell_y, one)
            # Wide showers are seen a little better.
            seen = 1 - sizes[part, 5] * SAMPLING / root * narrow
            one *= visible * seen * factor[row] / containment[s]
            if inside:
                one[i, j] *= light
            own = SAMPLING * SAMPLING * (1 - sizes[part, 5] ** 2)
            quantum = (quanta[part, 0], quanta[part, 1], quanta[part, 2])
            fluctuate(rng, quantum, readout, own + readout, one)


def common_factor(
    rng: np.random.Generator, ecal: Calorimeter, detector: Detector, rows: int
) -> NDArray[np.float64]:
    """One factor per shower on its visible energy: the constant term without the light collection.

    The simulation draws it before the shower: most electrons need none for the trigger's decision.
    """
    # Light collection is a part of the constant term: cos * cos has the rms 1/2.
    light = 0.5 * np.sqrt(np.mean(detector.ecal_nonuniformity**2))
    common = np.sqrt(max(ecal.constant**2 - light**2, 0.0))
    factor: NDArray[np.float64] = np.maximum(0.0, 1 + common * rng.standard_normal(rows))
    return factor


def shower_energies(
    rng: np.random.Generator,
    ecal: Calorimeter,
    detector: Detector,
    energy: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    factor: NDArray[np.float64] | None = None,
    photon: NDArray[np.bool_] | None = None,
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
    photon
        Which rows are photons, shape (rows,); all are electrons if not given.

    Returns
    -------
    array
        GeV, electromagnetic scale, shape (rows, sections, nx, ny).
    """
    rows = len(energy)
    geometry = _geometry(ecal)
    cells = np.zeros((rows, *ecal.shape))
    shares = longitudinal_shares(rng, energy, geometry.depths, photon=photon)
    drawn = common_factor(rng, ecal, detector, rows)
    factor = drawn if factor is None else np.where(np.isnan(factor), drawn, factor)
    _deposit(
        rng,
        energy,
        shares,
        x,
        y,
        factor,
        geometry.containment,
        detector.ecal_nonuniformity,
        MODES,
        QUANTUM,
        ecal.stochastic,
        ecal.cell_x,
        ecal.cell_y,
        cells,
    )
    return cells
