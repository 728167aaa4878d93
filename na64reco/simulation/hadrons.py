"""Hadrons in ECAL and HCAL.

A hadron ionises up to the point where it interacts, which is exponentially distributed in its own
interaction lengths (see `interactions`), or up to the end of its range. Behind that point, the
shower's longitudinal profile is that of R. K. Bock, T. Hansl-Kofahl, L. P. S. Shah, NIM 186 (1981)
533: an electromagnetic part, gamma-distributed in radiation lengths, and a hadronic part,
gamma-distributed in nuclear interaction lengths, with

    alpha = 0.62 + 0.32 ln E, beta = 0.22 per X0, gamma = 0.91 - 0.02 ln E per lambda,

each stretched by a factor of its own that fluctuates by 20 % (assumed). The electromagnetic share
fluctuates as in `interactions`. The HCAL sees the two parts with different responses e and h; their
ratio makes its constant term, 1.4 for the setups' 5 %. It is calibrated with pions of the beam's
momentum; at other energies it is not linear. Stochastic fluctuations are the setup's. Laterally
both parts have Grindhammer-Peters profiles. The ECAL sees 0.8 of the hadronic part.

For rare events the interaction can be drawn later than it happens, with a weight (`stretch`).

`assumed`: radii, responses. Left out: elastic and quasi-elastic scattering, back-scattered
particles, energy that leaks into gaps, late muons from decays, change of interaction lengths with
energy.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy.special import gammainc

from na64reco.simulation.geometry import Frame, Line, section_frame
from na64reco.simulation.interactions import (
    SHARE_RMS,
    available_energy,
    electromagnetic_share,
    interacting_less,
    share_fluctuation,
)
from na64reco.simulation.ionisation import mean_one
from na64reco.simulation.lateral import share_out, smear
from na64reco.simulation.tracks import PION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["HadronDeposits", "Stack", "hadron_energies", "stack_of"]

_ECAL_RADII, _HCAL_RADII = np.array([8.0, 45.0]), np.array([25.0, 90.0])
"""mm, electromagnetic and hadronic part."""

_ECAL_RESPONSE = np.array([1.0, 0.8])

_STRETCH_RMS = 0.2
"""Of the logarithm of the two parts' lengths."""


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
    deposited: NDArray[np.float64]
    """True energy in every part of the `Stack`, before response and leakage aside, GeV."""
    leaked: NDArray[np.float64]
    """Energy behind the last part, GeV, shape (rows,)."""
    weight: NDArray[np.float64]
    """Of the rows; 1 unless interactions were stretched."""


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


@dataclass(frozen=True, eq=False)
class _Development:
    """Showers along the stack; the last axis but for `parts` is the part."""

    parts: NDArray[np.float64]
    """GeV, electromagnetic and hadronic, shape (rows, parts, 2)."""
    ionisation: NDArray[np.float64]
    """GeV, shape (rows, parts)."""
    interacts_in: NDArray[np.int64]
    """Part of the interaction; the number of parts if there is none. Shape (rows,)."""
    available: NDArray[np.float64]
    """GeV, shape (rows,)."""
    weight: NDArray[np.float64]


def _develop(
    rng: np.random.Generator,
    setup: Setup,
    stack: Stack,
    crossed: NDArray[np.bool_],
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    charge: NDArray[np.int8],
    start: NDArray[np.float64],
    stretch: float,
) -> _Development:
    """Ionisation, interaction and shower."""
    rows, n, total = len(energy), stack.ecal_sections, len(stack.frames)
    longer = np.column_stack(
        [interacting_less(setup.ecal.sampling)] * n
        + [interacting_less(setup.hcal.sampling)] * (total - n)
    )
    depths = np.where(crossed, stack.interaction, 0.0)
    radiation = np.where(crossed, stack.radiation, 0.0)
    lengths = depths / longer[kind]
    end = np.cumsum(lengths, axis=1)
    begin = end - lengths
    begins = start * lengths[:, :n].sum(axis=1)
    drawn = rng.exponential(1.0, rows)
    point = begins + stretch * drawn
    weight = stretch * np.exp(-drawn * (stretch - 1))
    interacts_in = np.sum(end <= point[:, None], axis=1)

    # Share of every part that lies before the interaction (and behind the start).
    with np.errstate(invalid="ignore", divide="ignore"):
        before = np.clip((point[:, None] - begin) / lengths, 0, 1)
        unborn = np.clip((begins[:, None] - begin) / lengths, 0, 1)
    before, unborn = np.where(crossed, before, 0.0), np.where(crossed, unborn, 0.0)
    available = available_energy(energy, kind, charge)
    ionisation = (before - unborn) * stack.mip * (charge != 0)[:, None]
    ionisation *= mean_one(rng, ionisation.shape, 0.08)
    # At the end of its range a particle has nothing left.
    spent = np.minimum(np.cumsum(ionisation, axis=1), available[:, None])
    zero = np.zeros((rows, 1))
    ionisation = np.diff(spent, axis=1, prepend=zero)
    left = available - spent[:, -1]

    log = np.log(np.maximum(energy, 2.0))
    alpha = (0.62 + 0.32 * log)[:, None]
    x0 = np.cumsum(radiation, axis=1) - (before * radiation).sum(axis=1)[:, None]
    nuclear = np.cumsum(depths, axis=1) - (before * depths).sum(axis=1)[:, None]
    scale = np.exp(-_STRETCH_RMS * rng.standard_normal((2, rows, 1)))
    electromagnetic = gammainc(alpha, 0.22 * np.maximum(0.0, x0) * scale[0])
    slope = (0.91 - 0.02 * log)[:, None]
    hadronic = gammainc(alpha, slope * np.maximum(0.0, nuclear) * scale[1])
    mean = np.where(
        interacts_in < n,
        electromagnetic_share(energy, kind, setup.ecal.sampling.absorber),
        electromagnetic_share(energy, kind, setup.hcal.sampling.absorber),
    )
    share = share_fluctuation(rng, mean)
    parts = np.stack(
        (
            (left * share)[:, None] * np.diff(electromagnetic, axis=1, prepend=zero),
            (left * (1 - share))[:, None] * np.diff(hadronic, axis=1, prepend=zero),
        ),
        axis=-1,
    )
    return _Development(parts, ionisation, interacts_in, available, weight)


def _hcal_response(setup: Setup) -> NDArray[np.float64]:
    """For the electromagnetic and hadronic part: right on average for pions of the beam."""
    momentum, pion = np.array([setup.beam.momentum]), np.array([PION], dtype=np.int8)
    share = float(electromagnetic_share(momentum, pion, setup.hcal.sampling.absorber)[0])
    contrast = setup.hcal.constant / SHARE_RMS
    response = np.array([1 + contrast * (1 - share), 1 - contrast * share])
    return np.asarray(response / _containment(setup))


def hadron_energies(
    rng: np.random.Generator,
    setup: Setup,
    line: Line,
    energy: NDArray[np.float64],
    kind: NDArray[np.int8],
    charge: NDArray[np.int8],
    start: NDArray[np.float64],
    *,
    stretch: float = 1.0,
) -> HadronDeposits:
    """Energies that hadrons leave in ECAL and HCAL.

    Parameters
    ----------
    line
        The hadrons in front of the ECAL.
    energy
        Total energy, GeV, shape (rows,).
    kind, charge
        Shape (rows,). Neutral hadrons (neutrons are protons, KL kaons without charge) do not
        ionise.
    start
        Share of the ECAL's depth at which it begins (0 = before), shape (rows,).
    stretch
        Interactions are drawn as if the interaction lengths were that much longer, at least 1, and
        the rows weighted: importance sampling of punch-through.

    Raises
    ------
    ValueError
        For a stretch below 1.
    """
    if stretch < 1:
        msg = f"interactions can only be drawn later (stretch >= 1), found stretch={stretch}"
        raise ValueError(msg)
    stack = stack_of(setup)
    crossed = stack.crossed(line)
    shower = _develop(rng, setup, stack, crossed, energy, kind, charge, start, stretch)
    parts, ionisation = shower.parts, shower.ionisation
    local = np.full((len(energy), len(stack.frames), 2), np.nan)
    for number, frame in enumerate(stack.frames):
        hit = crossed[:, number]
        x, y = frame.local(line)
        local[hit, number, 0], local[hit, number, 1] = x[hit], y[hit]

    ecal = np.zeros((len(energy), *setup.ecal.shape))
    hcal = np.zeros((len(energy), *setup.hcal.shape))
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
        parts[:, n:] * _hcal_response(setup),
        ionisation[:, n:],
        local[:, n:],
        _HCAL_RADII,
        setup.hcal.stochastic,
        setup.hcal.cell_x,
        setup.hcal.cell_y,
        hcal,
    )
    deposited = parts.sum(axis=2) + ionisation
    leaked = np.maximum(0.0, shower.available - deposited.sum(axis=1))
    behind = shower.available - deposited[:, :n].sum(axis=1)
    ranges_out = behind < 1e-6
    charged = np.where(shower.interacts_in < n, 0.15 * behind, ((charge != 0) & ~ranges_out) * 1.0)
    return HadronDeposits(ecal, hcal, charged, deposited, leaked, shower.weight)
