"""Hadrons in ECAL and HCAL.

A hadron is minimum-ionising up to the point where it interacts, which is exponentially distributed
in interaction lengths. Behind it, the shower's longitudinal profile is that of R. K. Bock, T.
Hansl-Kofahl, L. P. S. Shah, NIM 186 (1981) 533: an electromagnetic part, gamma-distributed in
radiation lengths, and a hadronic part, gamma-distributed in interaction lengths, with

    alpha = 0.62 + 0.32 ln E, beta = 0.22 per X0, gamma = 0.91 - 0.02 ln E per lambda.

The electromagnetic share fluctuates around 1 - (E / 1 GeV)^-0.18 (T. A. Gabriel et al., NIM A 338
(1994) 336) with an rms of 0.15; that makes the constant term, as the two parts are seen with
different responses. Laterally both parts have Grindhammer-Peters profiles. Response and resolution
of the HCAL are the setup's (right for a shower in its middle); the ECAL sees 0.8 of the hadronic
part.

`assumed`: radii, responses, cross sections relative to the pion's. Left out: charge exchange as a
process of its own (its place is the tail of the electromagnetic share), back-scattered particles,
energy that leaks into gaps, late muons from decays.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy.special import gammainc

from na64reco.simulation.geometry import Frame, Line, section_frame
from na64reco.simulation.ionisation import mean_one
from na64reco.simulation.lateral import share_out, smear
from na64reco.simulation.tracks import KAON, PION, PROTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["HadronDeposits", "Stack", "hadron_energies", "stack_of"]

# Interaction lengths of a kind over those of the setup (protons); kaons interact least.
_LONGER = {PION: 1.1, KAON: 1.2, PROTON: 1.0}

_ECAL_RADII, _HCAL_RADII = np.array([8.0, 45.0]), np.array([25.0, 90.0])
"""mm, electromagnetic and hadronic part."""

_ECAL_RESPONSE = np.array([1.0, 0.8])


@dataclass(frozen=True, eq=False)
class Stack:
    """What lies along the beam: ECAL sections, then HCAL modules."""

    frames: tuple[Frame, ...]
    ecal_sections: int
    interaction: NDArray[np.float64]
    """Interaction lengths, shape (parts,)."""
    radiation: NDArray[np.float64]
    """Radiation lengths, shape (parts,)."""
    mip: NDArray[np.float64]
    """Mean energy of a minimum-ionising particle, GeV, shape (parts,)."""

    def crossed(self, line: Line) -> NDArray[np.bool_]:
        """Parts that each track hits, shape (rows, parts)."""
        return np.column_stack([frame.inside(line) for frame in self.frames])


def stack_of(setup: Setup) -> Stack:
    """The calorimeters of a setup in the order in which the beam meets them."""
    ecal, hcal = setup.ecal, setup.hcal
    share = np.array([s.layers for s in ecal.sections.values()], dtype=np.float64)
    share /= share.sum()
    modules = len(hcal.sections)
    front = section_frame(ecal)
    return Stack(
        frames=(front,) * len(share) + tuple(section_frame(hcal, name) for name in hcal.sections),
        ecal_sections=len(share),
        interaction=np.concatenate(
            (share * ecal.interaction_lengths, np.full(modules, hcal.interaction_lengths))
        ),
        radiation=np.concatenate(
            (share * ecal.radiation_lengths, np.full(modules, hcal.radiation_lengths))
        ),
        mip=np.concatenate((share * ecal.mip, np.full(modules, hcal.mip))),
    )


@dataclass(frozen=True, eq=False)
class HadronDeposits:
    """What hadrons leave; first axis: rows."""

    ecal: NDArray[np.float64]
    """GeV, shape (rows, sections, nx, ny)."""
    hcal: NDArray[np.float64]
    """GeV, shape (rows, modules, nx, ny)."""
    charged_behind_ecal: NDArray[np.float64]
    """Mean number of charged particles that reach the VETO, shape (rows,)."""


@numba.njit(cache=True, nogil=True)
def _spread(
    rng: Any,
    parts: NDArray[np.float64],
    ionisation: NDArray[np.float64],
    local: NDArray[np.float64],
    radii: NDArray[np.float64],
    stochastic: float,
    cell_x: float,
    cell_y: float,
    cells: NDArray[np.float64],
) -> None:
    """Energies (rows, sections, [em, had]) and MIPs (rows, sections) into cells."""
    rows, sections, nx, ny = cells.shape
    one = np.ones(1)
    for row in range(rows):
        for s in range(sections):
            x, y = local[row, s, 0], local[row, s, 1]
            if np.isnan(x):
                continue
            for c in range(2):
                energy = parts[row, s, c]
                if energy > 1e-4:
                    share_out(energy, x, y, radii[c : c + 1], one, cell_x, cell_y, cells[row, s])
            smear(rng, stochastic, cells[row, s])
            i, j = int(np.floor(x / cell_x + nx / 2)), int(np.floor(y / cell_y + ny / 2))
            if 0 <= i < nx and 0 <= j < ny:
                cells[row, s, i, j] += ionisation[row, s]


def _containment(setup: Setup) -> NDArray[np.float64]:
    """Share of showers in the middle of an HCAL module that does not leak aside, for both parts."""
    part = setup.hcal
    found = np.empty(len(_HCAL_RADII))
    for c in range(len(found)):
        cells = np.zeros((part.nx, part.ny))
        one = np.ones(1)
        share_out(1.0, 0.0, 0.0, _HCAL_RADII[c : c + 1], one, part.cell_x, part.cell_y, cells)
        found[c] = cells.sum()
    return found


def hadron_energies(
    rng: np.random.Generator,
    setup: Setup,
    line: Line,
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    charge: NDArray[np.int8],
    start: NDArray[np.float64],
) -> HadronDeposits:
    """Energies that hadrons leave in ECAL and HCAL.

    Parameters
    ----------
    line
        The hadrons in front of the ECAL.
    energy
        GeV, shape (rows,).
    kind, charge
        Shape (rows,). Neutral hadrons do not ionise.
    start
        Share of the ECAL's depth at which it begins (0 = before), shape (rows,).
    """
    stack, rows = stack_of(setup), len(energy)
    crossed = stack.crossed(line)
    lengths = np.where(crossed, stack.interaction, 0.0)
    radiation = np.where(crossed, stack.radiation, 0.0)
    inner = slice(None, stack.ecal_sections)
    end = np.cumsum(lengths, axis=1)
    end_x0 = np.cumsum(radiation, axis=1)
    begin = end - lengths

    longer = np.array([_LONGER.get(k, 1.0) for k in range(8)])[kind]
    begins = start * lengths[:, inner].sum(axis=1)
    point = begins + longer * rng.exponential(1.0, rows)

    # Share of every part that lies before the interaction (and behind the start).
    with np.errstate(invalid="ignore", divide="ignore"):
        before = np.clip((point[:, None] - begin) / lengths, 0, 1)
        unborn = np.clip((begins[:, None] - begin) / lengths, 0, 1)
    before, unborn = np.where(crossed, before, 0.0), np.where(crossed, unborn, 0.0)
    ionisation = (before - unborn) * stack.mip * (charge != 0)[:, None]
    ionisation *= mean_one(rng, ionisation.shape, 0.08)
    left = np.maximum(0.0, energy - ionisation.sum(axis=1))
    point_x0 = (before * radiation).sum(axis=1)

    log = np.log(np.maximum(energy, 2.0))
    alpha = (0.62 + 0.32 * log)[:, None]
    depth_x0 = np.maximum(0.0, end_x0 - point_x0[:, None])
    depth = np.maximum(0.0, end - point[:, None])
    electromagnetic = gammainc(alpha, 0.22 * depth_x0)
    hadronic = gammainc(alpha, (0.91 - 0.02 * log)[:, None] * depth)
    zero = np.zeros((rows, 1))
    mean_share = np.clip(1 - np.maximum(energy, 1.5) ** -0.18, 0.05, 0.9)
    share = np.clip(mean_share + 0.15 * rng.standard_normal(rows), 0.02, 0.98)
    parts = np.stack(
        (
            (left * share)[:, None] * np.diff(electromagnetic, axis=1, prepend=zero),
            (left * (1 - share))[:, None] * np.diff(hadronic, axis=1, prepend=zero),
        ),
        axis=-1,
    )
    escaping = left - parts[:, inner].sum(axis=(1, 2))

    # The HCAL is on the hadronic scale: right on average, different for the two parts.
    contrast = setup.hcal.constant / 0.15
    contained = _containment(setup)
    h_em = (1 + contrast * (1 - mean_share)) / contained[0]
    h_had = (1 - contrast * mean_share) / contained[1]
    response = np.stack((h_em, h_had), axis=-1)[:, None, :]
    local = np.full((rows, len(stack.frames), 2), np.nan)
    for number, frame in enumerate(stack.frames):
        hit = crossed[:, number]
        x, y = frame.local(line)
        local[hit, number, 0], local[hit, number, 1] = x[hit], y[hit]

    ecal = np.zeros((rows, *setup.ecal.shape))
    hcal = np.zeros((rows, *setup.hcal.shape))
    n = stack.ecal_sections
    _spread(
        rng,
        parts[:, :n] * _ECAL_RESPONSE,
        ionisation[:, :n],
        local[:, :n],
        _ECAL_RADII,
        2 * setup.ecal.stochastic,
        setup.ecal.cell_x,
        setup.ecal.cell_y,
        ecal,
    )
    _spread(
        rng,
        parts[:, n:] * response,
        ionisation[:, n:],
        local[:, n:],
        _HCAL_RADII,
        setup.hcal.stochastic,
        setup.hcal.cell_x,
        setup.hcal.cell_y,
        hcal,
    )
    interacted = point < end[:, n - 1]
    charged = np.where(interacted, 0.15 * escaping, (charge != 0) * 1.0)
    return HadronDeposits(ecal, hcal, charged)
