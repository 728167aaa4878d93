"""Rates, losses and transfers of muons in the materials of a stack, for the kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.cascade.muon_radiation import (
    PROCESS_LIMITS,
    PROCESSES,
    largest_knock_on,
    restricted_ionisation,
    spectrum,
)
from na64reco.constants import MUON_MASS, PROTON_MASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.cascade.stack import Stack
    from na64reco.materials import Material

__all__ = ["MuonTables", "largest_transfer", "make_muon_tables", "soft_radiation"]

_PER_E_FOLD: Final = 5
_BINS: Final = 80
_SUB: Final = 4


class MuonTables(NamedTuple):
    """Per material (first axis) and kinetic energy (logarithmic grid)."""

    log_first: float
    per_log: float
    rate: NDArray[np.float64]
    """Transfers above the cut, 1/cm; shape (materials, processes, energies)."""
    low: NDArray[np.float64]
    """ln of the smallest transfer, GeV; shape (processes,)."""
    high: NDArray[np.float64]
    """ln of the largest, shape of `rate`."""
    running: NDArray[np.float64]
    """Share of the transfers below low + b (high - low) / bins; shape (materials, processes,
    energies, bins + 1)."""
    loss: NDArray[np.float64]
    """All below the cut, GeV/cm; shape (materials, energies)."""
    radiation_length: NDArray[np.float64]
    """cm."""


def largest_transfer(process: str, energy: float, material: Material) -> float:
    """Largest transfer, GeV, of a muon of the total ``energy``."""
    if process == "knock-on":
        return largest_knock_on(energy)
    if process == "brems":
        return energy - MUON_MASS
    if process == "nuclear":
        return energy - 0.5 * PROTON_MASS
    lightest = float(min(element.z for element, _ in material.composition))
    return float(energy - 0.75 * math.sqrt(math.e) * MUON_MASS * lightest ** (1 / 3))


def soft_radiation(energy: float, cut: float, material: Material) -> float:
    """Mean loss to radiation of less than ``cut`` GeV each, GeV cm^2/g."""
    total = 0.0
    for process in ("brems", "pair", "nuclear"):
        low = max(PROCESS_LIMITS[process] * (1 + 1e-9), 1e-9 * energy)
        high = min(cut, largest_transfer(process, energy, material))
        if high > low:
            log = np.linspace(math.log(low), math.log(high), 200)
            nu = np.exp(log)
            total += float(np.trapezoid(nu * nu * spectrum(process, energy, nu, material), log))
    return total


def make_muon_tables(stack: Stack, *, cut: float, most: float) -> MuonTables:
    """Tables of the materials of ``stack``.

    Parameters
    ----------
    cut
        Smallest transfer that is made one by one, GeV.
    most
        Largest kinetic energy, GeV.
    """
    log_first = math.log(min(cut, 0.01))
    points = math.ceil((math.log(most * 1.01) - log_first) * _PER_E_FOLD) + 2
    grid = np.exp(log_first + np.arange(points) / _PER_E_FOLD) + MUON_MASS
    materials = stack.materials
    shape = (len(materials), len(PROCESSES), points)
    rate, high = np.zeros(shape), np.zeros(shape)
    running, loss = np.zeros((*shape, _BINS + 1)), np.zeros((len(materials), points))
    low = np.array([math.log(max(cut, PROCESS_LIMITS[name] * (1 + 1e-9))) for name in PROCESSES])
    high[:] = low[:, None]
    steps = np.linspace(0, 1, _BINS * _SUB + 1)
    lengths = np.empty(len(materials))
    for m, layer in enumerate(materials):
        material = layer.material
        density = layer.rho
        lengths[m] = material.radiation_length / density
        for i, energy in enumerate(grid):
            soft = restricted_ionisation(energy, cut, material)
            loss[m, i] = density * (soft + soft_radiation(energy, cut, material))
            for p, process in enumerate(PROCESSES):
                end = largest_transfer(process, energy, material)
                if end <= math.exp(low[p]) * (1 + 1e-6):
                    continue
                high[m, p, i] = math.log(end)
                log = low[p] + (high[m, p, i] - low[p]) * steps
                nu = np.exp(log)
                density_of_log = nu * spectrum(process, energy, nu, material)
                middle = 0.5 * (density_of_log[1:] + density_of_log[:-1]) * np.diff(log)
                total = np.concatenate(([0.0], np.cumsum(middle)))
                if total[-1] > 0:
                    rate[m, p, i] = density * total[-1]
                    running[m, p, i] = total[::_SUB] / total[-1]
    return MuonTables(
        log_first=log_first,
        per_log=float(_PER_E_FOLD),
        rate=rate,
        low=low,
        high=high,
        running=running,
        loss=loss,
        radiation_length=lengths,
    )
