"""Muons in ECAL and HCAL: ionisation, and now and then a hard radiative loss.

Each part that a muon crosses gets the setup's mean energy of a minimum-ionising particle with
Landau-like fluctuations (see `ionisation`), all in the cells that its track crosses. Hard losses
(bremsstrahlung, pairs, nuclear) above 1 GeV have a spectrum 1/E up to half of the muon's energy and
a chance of 0.5 % per 20 radiation lengths (assumed, of the size of D. E. Groom et al., ADNDT 78
(2001) 183, at 100 GeV). Left out: multiple scattering in the calorimeters, decays, delta rays that
reach the neighbouring cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from na64reco.simulation.hadrons import stack_of
from na64reco.simulation.ionisation import mean_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup
    from na64reco.simulation.geometry import Line

__all__ = ["muon_energies"]

_WIDTH = 0.07
"""Of the Landau-like fluctuations, relative to the mean energy."""

_HARD_PER_X0 = 0.005 / 20


def muon_energies(
    rng: np.random.Generator,
    setup: Setup,
    line: Line,
    energy: NDArray[np.float64],
    start: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies of muons in ECAL and HCAL.

    Parameters
    ----------
    line
        The muons in front of the ECAL.
    energy
        GeV, shape (rows,).
    start
        Share of the ECAL's depth at which it begins (0 = before), shape (rows,).

    Returns
    -------
    ecal, hcal
        GeV, shapes (rows, sections, nx, ny) and (rows, modules, nx, ny).
    """
    stack, rows = stack_of(setup), len(energy)
    n = stack.ecal_sections
    crossed = stack.crossed(line)
    share = stack.interaction[:n] / stack.interaction[:n].sum()
    first = np.cumsum(share) - share
    seen = crossed * 1.0
    seen[:, :n] *= 1 - np.clip((start[:, None] - first) / share, 0, 1)
    deposit = seen * stack.mip * mean_one(rng, seen.shape, _WIDTH)
    hard = rng.random(seen.shape) < _HARD_PER_X0 * stack.radiation * seen
    loss = np.maximum(0.5 * energy, 1.0)[:, None] ** rng.random(seen.shape)
    deposit += np.where(hard, loss, 0.0)
    # Never more than the muon has: the last part that it reaches gets the rest.
    total = np.cumsum(deposit, axis=1)
    deposit = np.diff(np.minimum(total, energy[:, None]), axis=1, prepend=np.zeros((rows, 1)))

    ecal = np.zeros((rows, *setup.ecal.shape))
    hcal = np.zeros((rows, *setup.hcal.shape))
    for number, frame in enumerate(stack.frames):
        part, cells = (setup.ecal, ecal) if number < n else (setup.hcal, hcal)
        hit = np.flatnonzero(crossed[:, number])
        x, y = frame.local(line)
        ix = np.floor(x[hit] / part.cell_x + part.nx / 2).astype(np.int64)
        iy = np.floor(y[hit] / part.cell_y + part.ny / 2).astype(np.int64)
        section = number if number < n else number - n
        cells[hit, section, ix, iy] += deposit[hit, number]
    return ecal, hcal
