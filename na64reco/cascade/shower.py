"""Showers in a stack of layers: track lengths, energies by layer and cell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.cascade.muon_tables import make_muon_tables
from na64reco.cascade.muon_transport import MUON, follow_muons
from na64reco.cascade.tables import make_tables
from na64reco.cascade.transport import ELECTRON, PHOTON, POSITRON, follow_showers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from na64reco.cascade.muon_tables import MuonTables
    from na64reco.cascade.stack import Stack
    from na64reco.cascade.tables import Tables

__all__ = ["PARTICLES", "CascadeResult", "Cells", "default_production_cut", "simulate_cascade"]

PARTICLES: Final = {"electron": ELECTRON, "positron": POSITRON, "photon": PHOTON, "muon": MUON}
_BLOCK: Final = 50
"""Showers with one stream of random numbers."""
_SMALLEST_CUT: Final = 2e-4


@dataclass(frozen=True)
class Cells:
    """How energy is summed in a calorimeter: sections along, square cells across the beam."""

    section: NDArray[np.int64]
    """Of each layer; -1 for layers in none."""
    active: NDArray[np.bool_]
    """Of each layer: whether its energy is seen."""
    pitch: float
    """cm."""
    nx: int
    ny: int


@dataclass(frozen=True)
class CascadeResult:
    """What showers left behind."""

    showers: int
    energy: float
    """Of the particles that started them, GeV (kinetic)."""
    edges: NDArray[np.float64]
    """Kinetic energies between bins, GeV, shape (bins + 1,)."""
    materials: tuple[str, ...]
    track_length: NDArray[np.float64]
    """dT/dE: path of e- and e+ per shower, cm/GeV, shape (materials, 2, bins); or by group."""
    track_length_error: NDArray[np.float64]
    """Its statistical error, from the spread between showers."""
    photon_length: NDArray[np.float64]
    """dT/dk: path of photons per shower, cm/GeV, shape (materials, bins)."""
    photon_length_error: NDArray[np.float64]
    layers: NDArray[np.float64]
    """Energy in each layer, GeV, shape (showers, layers)."""
    cells: NDArray[np.float64]
    """Energy seen in each cell, GeV, shape (showers, sections, nx, ny)."""
    leaked: NDArray[np.float64]
    """Energy that left the stack (kinetic, of muons), GeV, shape (showers,)."""
    hadronic: NDArray[np.float64]
    """Energy that muons gave to nuclei; its hadrons are not followed. GeV, shape (showers,)."""


def default_production_cut(cut: float) -> float:
    """Energy below which losses are continuous, GeV, for particles that are followed to ``cut``."""
    return max(cut / 10, _SMALLEST_CUT)


def simulate_cascade(
    stack: Stack,
    energy: float,
    showers: int,
    *,
    particle: str = "electron",
    seed: int = 0,
    cut: float = 0.1,
    production_cut: float | None = None,
    edges: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    points: NDArray[np.float64] | None = None,
    cells: Cells | None = None,
    lpm: bool = True,
    workers: int = 1,
) -> CascadeResult:
    """Simulate showers of particles that enter the stack at its face along z.

    The result does not depend on ``workers``.

    Parameters
    ----------
    energy
        Kinetic energy (a photon's energy), GeV.
    cut
        Particles are followed down to this kinetic energy, GeV, and stopped where they fall
        below; at least 0.2 MeV. What they had left stays there.
    production_cut
        Photons and knock-on electrons below it are a continuous loss, GeV; a tenth of ``cut`` by
        default, at least 0.2 MeV.
    edges
        Of the track lengths' bins, GeV; 60 logarithmic bins from ``cut`` to ``energy`` by default.
    groups
        Of each layer, from 0: which track length its path is added to; by default one for each
        material.
    points
        Where particles enter, cm, shape (showers, 2); (0, 0) by default.
    lpm
        Suppress radiation after Landau, Pomeranchuk and Migdal.

    Raises
    ------
    ValueError
        For an unknown particle, a cut below 0.2 MeV or not below the energy, or groups that are
        not one for each layer.
    """
    if particle not in PARTICLES:
        msg = f"particle {particle!r}: expected one of {', '.join(PARTICLES)}"
        raise ValueError(msg)
    if not _SMALLEST_CUT <= cut < energy:
        msg = f"cut of {cut} GeV: expected at least {_SMALLEST_CUT} and below the energy, {energy}"
        raise ValueError(msg)
    made_above = default_production_cut(cut) if production_cut is None else production_cut
    tables = make_tables(stack, cut=made_above, most=energy, lpm=lpm)
    muons = make_muon_tables(stack, cut=made_above, most=energy) if particle == "muon" else None
    bins = np.geomspace(cut, energy, 61) if edges is None else np.asarray(edges, np.float64)
    where = np.zeros((showers, 2)) if points is None else np.asarray(points, np.float64)
    grid = cells or Cells(
        np.full(len(stack.layers), -1), np.zeros(len(stack.layers), np.bool_), 1.0, 1, 1
    )
    rows = stack.index if groups is None else np.asarray(groups, np.int64)
    if rows.shape != stack.index.shape or rows.min() < 0:
        msg = (
            f"groups: expected one number from 0 for each of the {len(stack.layers)} layers, found "
            f"{rows.size} from {rows.min()}"
        )
        raise ValueError(msg)
    starts = range(0, showers, _BLOCK)
    seeds = np.random.SeedSequence(seed).spawn(len(starts))

    def block(k: int) -> tuple[NDArray[np.float64], ...]:
        chosen = slice(starts[k], min(starts[k] + _BLOCK, showers))
        return _block(
            stack,
            tables,
            muons,
            PARTICLES[particle],
            energy,
            cut,
            bins,
            rows,
            where[chosen],
            grid,
            seeds[k],
        )

    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(block, range(len(starts))))
    else:
        parts = [block(k) for k in range(len(starts))]
    track, squares = (sum(part[i] for part in parts) for i in range(2))
    mean = track / showers
    variance = np.maximum(squares / showers - mean**2, 0.0)
    width = np.diff(bins)
    length = mean / width
    error = np.sqrt(variance / max(showers - 1, 1)) / width
    return CascadeResult(
        showers=showers,
        energy=energy,
        edges=bins,
        materials=tuple(layer.material.name for layer in stack.materials),
        track_length=length[:, :2],
        track_length_error=error[:, :2],
        photon_length=length[:, 2],
        photon_length_error=error[:, 2],
        layers=np.concatenate([part[2] for part in parts]),
        cells=np.concatenate([part[3] for part in parts]),
        leaked=np.concatenate([part[4] for part in parts]),
        hadronic=np.concatenate([part[5] for part in parts]),
    )


def _block(  # noqa: PLR0917 - one call
    stack: Stack,
    tables: Tables,
    muons: MuonTables | None,
    kind: int,
    energy: float,
    cut: float,
    edges: NDArray[np.float64],
    groups: NDArray[np.int64],
    points: NDArray[np.float64],
    grid: Cells,
    seed: np.random.SeedSequence,
) -> tuple[NDArray[np.float64], ...]:
    n = len(points)
    sections = int(grid.section.max()) + 1
    shape = (int(groups.max()) + 1, 3, len(edges) - 1)
    track, squares = np.zeros(shape), np.zeros(shape)
    layers = np.zeros((n, len(stack.layers)))
    cells = np.zeros((n, max(sections, 1), grid.nx, grid.ny))
    leaks, hadronic = np.zeros(n), np.zeros(n)
    rng = np.random.Generator(np.random.PCG64(seed))
    section, active = np.asarray(grid.section, np.int64), np.asarray(grid.active, np.bool_)
    if muons is None:
        starts, offsets = np.zeros((n, 9)), np.arange(n + 1)
        starts[:, 0], starts[:, 1], starts[:, 7] = kind, energy, 1.0
        starts[:, 2:4] = points
    else:
        starts, offsets = follow_muons(
            rng,
            muons,
            stack.boundaries,
            stack.index,
            stack.half_width,
            float(energy),
            np.ascontiguousarray(points),
            cut,
            section,
            active,
            grid.pitch,
            layers,
            cells,
            leaks,
            hadronic,
        )
    full = follow_showers(
        rng,
        tables,
        stack.boundaries,
        stack.index,
        groups,
        stack.half_width,
        starts,
        offsets,
        cut,
        edges,
        section,
        active,
        grid.pitch,
        track,
        squares,
        layers,
        cells,
        leaks,
    )
    if full >= 0:
        msg = (
            f"shower {full}: more particles wait than there is room for; raise the cut ({cut} GeV)"
        )
        raise RuntimeError(msg)
    return track, squares, layers, cells, leaks, hadronic
