"""Muons in ECAL and HCAL: ionisation, knock-on electrons, radiation.

What a muon loses in portions of less than 30 MeV is about the setup's energy of a minimum-ionising
particle, with Landau-like fluctuations (see `ionisation`), in the cells that its track crosses.
Portions above - knock-on electrons, bremsstrahlung, pairs, nuclear interactions - are drawn one by
one from the cross sections of `na64reco.cascade.muon_radiation` in the calorimeter's plates, at the
energy that the muon has there. The sum of those of one part is a shower that starts at a random
depth in it: what lies behind the part's end (E. Longo, I. Sestili, NIM 128 (1975) 283) goes to the
next one; laterally it has a profile of Grindhammer and Peters; its energy fluctuates as the
calorimeter's resolution says. Nuclear interactions count as 0.8 of their energy in the ECAL
(assumed, as hadrons do).

Left out: multiple scattering in the calorimeters, decays, hadrons' length and width.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from scipy.special import gammainc

from na64reco.cascade.muon_tables import MuonTables, make_muon_tables
from na64reco.cascade.muon_transport import sample_transfer
from na64reco.cascade.stack import Stack as Plates
from na64reco.constants import MUON_MASS
from na64reco.simulation.hadrons import stack_of
from na64reco.simulation.ionisation import mean_one
from na64reco.simulation.lateral import share_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup.model import Calorimeter, Setup
    from na64reco.simulation.geometry import Line

__all__ = ["lengthen", "muon_energies", "put_in_cells"]

_WIDTH: Final = 0.05
"""Of the Landau-like fluctuations, relative to the mean energy: 1.12 xi of the scintillator, 4.6 %
in the ECAL, 4.3 % in the HCAL (Moyal's full width at half maximum is 3.59 of its widths, Landau's
4.02 xi), and light."""

_SMALL: Final = (1.0, 0.97)
"""Mean of what is lost in small portions, in ECAL and in a module of the HCAL, over the setup's
most probable energy: chosen such that the peak of everything is there at 100 GeV."""

_PORTION: Final = 0.03
"""GeV."""
_MOST: Final = 300.0
"""Largest energy of the tables, GeV."""

_NAMES: Final = {"Pb": "lead", "Fe": "iron", "Cu": "copper"}
_ECAL_RADIUS, _HCAL_RADIUS = 8.0, 25.0
"""mm, of electromagnetic showers, as in `hadrons`."""
_NUCLEAR_IN_ECAL: Final = 0.8
_CRITICAL: Final = (0.010, 0.020)
"""GeV, of the ECAL's and the HCAL's sandwich: sets the length of showers."""


@lru_cache(maxsize=4)
def _tables(absorber: str) -> MuonTables:
    plates = Plates.sandwich([(_NAMES[absorber], 1.0), ("polystyrene", 1.0)])
    return make_muon_tables(plates, cut=_PORTION, most=_MOST)


def _thickness(part: Calorimeter, layers: int) -> tuple[float, float]:
    """Absorber and scintillator, cm."""
    of = part.sampling
    return layers * of.absorber_thickness / 10, layers * of.scintillator_thickness / 10


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _lose(rng, tables, which, thickness, seen, ionised, energy, nuclear_seen, radiated):  # type: ignore[no-untyped-def]
    """Follow muons from part to part; ``ionised`` is cut where they stop.

    Parameters
    ----------
    tables, which
        Of ECAL and HCAL; the place of each part's.
    thickness
        cm of absorber and scintillator, shape (parts, 2).
    seen
        Share of the part that the muon crosses, shape (rows, parts).
    ionised, radiated
        GeV, shape (rows, parts).
    nuclear_seen
        Share of the energy of nuclear interactions that is seen, shape (parts,).
    """
    rows, parts = seen.shape
    for row in range(rows):
        kinetic = max(energy[row] - MUON_MASS, 0.0)
        for part in range(parts):
            if seen[row, part] <= 0.0:
                continue
            ionised[row, part] = min(ionised[row, part], kinetic)
            kinetic -= ionised[row, part]
            of = tables[which[part]]
            last = of.rate.shape[2] - 2
            for m in range(2):
                for p in range(4):
                    if kinetic <= _PORTION:
                        break
                    t = max((np.log(kinetic) - of.log_first) * of.per_log, 0.0)
                    i = min(int(t), last)
                    f = min(t - i, 1.0)
                    rate = of.rate[m, p, i] * (1.0 - f) + of.rate[m, p, i + 1] * f
                    number = rng.poisson(rate * thickness[part, m] * seen[row, part])
                    for _ in range(number):
                        nu = sample_transfer(rng, of, m, p, i, f, kinetic)
                        kinetic -= nu
                        radiated[row, part] += nu * (nuclear_seen[part] if p == 3 else 1.0)
    return radiated


@numba.njit(cache=True, nogil=True, error_model="numpy")
def put_in_cells(
    x: Any, y: Any, ionised: Any, shower: Any, radius: Any, cell_x: Any, cell_y: Any, cells: Any
) -> None:
    """Energies of one part into its cells, shape (rows, nx, ny); NaN in x: not crossed."""
    one, radii = np.ones(1), np.full(1, radius)
    nx, ny = cells.shape[1], cells.shape[2]
    for row in range(len(x)):
        if np.isnan(x[row]):
            continue
        i = int(np.floor(x[row] / cell_x + nx / 2))
        j = int(np.floor(y[row] / cell_y + ny / 2))
        if 0 <= i < nx and 0 <= j < ny:
            cells[row, i, j] += ionised[row]
        if shower[row] > 0.0:
            share_out(shower[row], x[row], y[row], radii, one, cell_x, cell_y, cells[row])


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
    ecal, hcal = np.zeros((rows, *setup.ecal.shape)), np.zeros((rows, *setup.hcal.shape))
    if not rows:
        return ecal, hcal
    n, parts = stack.ecal_sections, len(stack.frames)
    crossed = stack.crossed(line)
    share = stack.interaction[:n] / stack.interaction[:n].sum()
    first = np.cumsum(share) - share
    seen = crossed * 1.0
    seen[:, :n] *= 1 - np.clip((start[:, None] - first) / share, 0, 1)
    behind = np.arange(parts) >= n
    small = np.where(behind, _SMALL[1], _SMALL[0])
    ionised = seen * stack.mip * small * mean_one(rng, seen.shape, _WIDTH)
    # A stream of their own: how many numbers the portions take must not shift anything else's.
    own = np.random.default_rng((rng.random((2, *seen.shape)) * 2**32).astype(np.uint32).ravel())

    sections = [*setup.ecal.sections.values(), *setup.hcal.sections.values()]
    of = [setup.ecal] * n + [setup.hcal] * (parts - n)
    radiated = _lose(
        own,
        (_tables(setup.ecal.sampling.absorber), _tables(setup.hcal.sampling.absorber)),
        behind.astype(np.int64),
        np.array(
            [_thickness(part, section.layers) for part, section in zip(of, sections, strict=True)]
        ),
        seen,
        ionised,
        np.asarray(energy, np.float64),
        np.where(behind, 1.0, _NUCLEAR_IN_ECAL),
        np.zeros_like(seen),
    )
    shower = lengthen(own, radiated, seen * stack.radiation, behind)
    for number, frame in enumerate(stack.frames):
        part, cells = (setup.ecal, ecal) if number < n else (setup.hcal, hcal)
        hit = crossed[:, number]
        x, y = frame.local(line)
        spread = part.stochastic * np.sqrt(shower[:, number]) * own.standard_normal(rows)
        put_in_cells(
            np.where(hit, x, np.nan),
            y,
            ionised[:, number],
            np.maximum(shower[:, number] + spread, 0.0),
            _HCAL_RADIUS if behind[number] else _ECAL_RADIUS,
            part.cell_x,
            part.cell_y,
            cells[:, number if number < n else number - n],
        )
    return ecal, hcal


def lengthen(
    rng: np.random.Generator,
    radiated: NDArray[np.float64],
    depth: NDArray[np.float64],
    behind: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Showers of each part, GeV, with what they leave behind its end in the next one.

    Parameters
    ----------
    radiated
        GeV, shape (rows, parts).
    depth
        Radiation lengths of each part that the muon crosses, same shape.
    behind
        Whether the part is of the HCAL, shape (parts,).
    """
    found = np.zeros_like(radiated)
    for part in range(radiated.shape[1]):
        rows = np.flatnonzero(radiated[:, part])
        energy = radiated[rows, part]
        left = rng.random(len(rows)) * depth[rows, part]
        # Density (b t)^(a-1) e^(-b t), b = 0.5, largest at ln(E / critical) - 0.5.
        a = 1 + 0.5 * np.maximum(np.log(energy / _CRITICAL[int(behind[part])]) - 0.5, 0.1)
        inside = gammainc(a, 0.5 * left)
        found[rows, part] += energy * inside
        if part + 1 < radiated.shape[1]:
            found[rows, part + 1] += energy * (1 - inside)
    return found
