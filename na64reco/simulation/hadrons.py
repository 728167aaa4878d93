"""Hadrons in ECAL and HCAL.

How far hadrons fly and how their showers develop along the beam is in `development`. The
electromagnetic share fluctuates as in `interactions`. The HCAL sees the two parts with different
responses e and h; their ratio makes its constant term, 1.4 for the setups' 5 %. It is calibrated
with pions of the beam's momentum; at other energies it is not linear. Stochastic fluctuations are
the setup's. Laterally both parts have Grindhammer-Peters profiles. The ECAL sees 0.8 of the
hadronic part.

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

from na64reco.simulation.development import develop
from na64reco.simulation.geometry import Frame, Line, section_frame
from na64reco.simulation.interactions import (
    SHARE_RMS,
    electromagnetic_share,
    interacting_less,
)
from na64reco.simulation.lateral import share_out, smear
from na64reco.simulation.tracks import PION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Setup

__all__ = ["HadronDeposits", "Stack", "hadron_energies", "hcal_response", "stack_of"]

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
    longer: NDArray[np.float64]
    """`interacting_less` of each part, shape (kinds, parts)."""

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
        longer=np.column_stack(
            [interacting_less(ecal.sampling)] * len(share)
            + [interacting_less(hcal.sampling)] * modules
        ),
    )


@dataclass(frozen=True, eq=False)
class HadronDeposits:
    """What hadrons leave; first axis: rows."""

    ecal: NDArray[np.float64]
    """GeV, shape (rows, sections, nx, ny)."""
    hcal: NDArray[np.float64]
    """GeV, shape (rows, modules, nx, ny)."""
    charged_behind_ecal: NDArray[np.int64]
    """Charged particles that reach the VETO, shape (rows,)."""
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


def hcal_response(setup: Setup) -> NDArray[np.float64]:
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
    shower = develop(rng, setup, stack, crossed, energy, kind, charge, start, stretch)
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
        parts[:, n:] * hcal_response(setup),
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
    charged = shower.charged_behind_ecal
    return HadronDeposits(ecal, hcal, charged, deposited, leaked, shower.weight)
