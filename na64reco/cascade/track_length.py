"""Differential track lengths of electrons, positrons and photons in a dump, tabulated and kept.

dT/dE is the path that all electrons (positrons) of a kinetic energy together cover per beam
particle: with it, a process of cross section sigma(E) happens n * integral of sigma dT times, n
being the density of targets (arXiv:2206.03101, section IV A).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from platformdirs import user_cache_path

from na64reco.cascade.shower import default_production_cut, simulate_cascade

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.cascade.shower import CascadeResult
    from na64reco.cascade.stack import Stack

__all__ = ["DepthLengths", "TrackLengths", "depth_lengths", "track_lengths"]

_PHYSICS: Final = 2
"""Raise it where results change: tables made before are then not read again."""
_BINS_PER_DECADE: Final = 20
_SPLIT: Final = 0.1
"""Above this share of the energy showers are repeated, with a high cut, `_MORE` times as often:
there are few particles, and they are made early."""
_MORE: Final = 20


@dataclass(frozen=True)
class TrackLengths:
    """dT/dE by material, for e- (index 0) and e+ (index 1), and dT/dk of photons."""

    particle: str
    energy: float
    """Of the beam, GeV (kinetic)."""
    edges: NDArray[np.float64]
    """Kinetic energies, GeV, shape (bins + 1,)."""
    materials: tuple[str, ...]
    density: NDArray[np.float64]
    """cm/GeV per beam particle, shape (materials, 2, bins)."""
    error: NDArray[np.float64]
    """Statistical, same shape."""
    photon: NDArray[np.float64]
    """dT/dk of photons, cm/GeV per beam particle, shape (materials, bins)."""
    photon_error: NDArray[np.float64]

    def above(self, energy: float, material: str, charge: int) -> float:
        """Track length of e- (``charge`` -1) or e+ (1) above a bin's edge, cm."""
        m = self.materials.index(material)
        inside = self.edges[:-1] >= energy * (1 - 1e-9)
        widths = np.diff(self.edges)
        return float(np.sum((self.density[m, int(charge > 0)] * widths)[inside]))


def track_lengths(
    stack: Stack,
    energy: float,
    *,
    particle: str = "electron",
    lowest: float = 0.1,
    showers: int = 2000,
    seed: int = 0,
    lpm: bool = True,
    workers: int = 1,
    cache: Path | None = None,
) -> TrackLengths:
    """Track lengths of one beam particle in a stack, from the cache or simulated.

    Parameters
    ----------
    energy
        Of the beam, kinetic, GeV.
    particle
        electron, positron, photon or muon.
    lowest
        Kinetic energy down to which particles are followed, GeV.
    showers
        How many; 20 times as many above a tenth of the energy.
    cache
        Folder of the tables; by default the user's cache folder, or NA64RECO_CACHE.

    Raises
    ------
    ValueError
        As `simulate_cascade`.
    """
    decades = np.log10(energy / lowest)
    edges = np.geomspace(lowest, energy, max(round(_BINS_PER_DECADE * decades), 1) + 1)
    key = {
        "physics": _PHYSICS,
        "layers": [[layer.material.name, layer.thickness, layer.density] for layer in stack.layers],
        "half_width": stack.half_width,
        "particle": particle,
        "energy": energy,
        "lowest": lowest,
        "showers": showers,
        "seed": seed,
        "lpm": lpm,
    }
    path = _folder(cache) / f"track_length_{_digest(key)}.npz"
    found = _read(path)
    if found is None:
        found = _simulate(stack, energy, particle, edges, showers, seed, lpm, workers)
        _write(path, found)
    materials = tuple(layer.material.name for layer in stack.materials)
    return TrackLengths(
        particle,
        energy,
        edges,
        materials,
        density=found.density[:, :2],
        error=found.error[:, :2],
        photon=found.density[:, 2],
        photon_error=found.error[:, 2],
    )


@dataclass(frozen=True)
class DepthLengths:
    """dT/dE of e- (index 0) and e+ (index 1) by group of layers."""

    edges: NDArray[np.float64]
    """Kinetic energies, GeV, shape (bins + 1,)."""
    density: NDArray[np.float64]
    """cm/GeV per beam particle, shape (groups, 2, bins)."""
    error: NDArray[np.float64]
    """Statistical, same shape."""


def depth_lengths(
    stack: Stack,
    energy: float,
    *,
    particle: str,
    edges: NDArray[np.float64],
    groups: NDArray[np.int64],
    showers: int,
    production_cut: float | None = None,
    seed: int = 0,
    workers: int = 1,
    shipped: Path | None = None,
    cache: Path | None = None,
) -> DepthLengths:
    """Track lengths by depth: shipped, from the cache, or simulated.

    Parameters
    ----------
    edges, groups, showers, production_cut
        See `simulate_cascade`; particles are followed down to the first edge.
    shipped
        Folder of tables that come with the package; looked at first.
    """
    key = {
        "physics": _PHYSICS,
        "layers": [[layer.material.name, layer.thickness, layer.density] for layer in stack.layers],
        "half_width": stack.half_width,
        "particle": particle,
        "energy": energy,
        "edges": list(edges),
        "groups": groups.tolist(),
        "showers": showers,
        "production_cut": production_cut,
        "seed": seed,
    }
    name = f"track_length_{_digest(key)}.npz"
    path = _folder(cache) / name
    found = None if shipped is None else _read(shipped / name)
    if found is None:
        found = _read(path)
    if found is None:
        result = simulate_cascade(
            stack,
            energy,
            showers,
            particle=particle,
            seed=seed,
            cut=edges[0],
            production_cut=production_cut,
            edges=edges,
            groups=groups,
            workers=workers,
        )
        # Digits that mean nothing would only fill the file.
        rounded = [
            values.astype(np.float32).astype(np.float64)
            for values in (result.track_length, result.track_length_error)
        ]
        found = _Lengths(*rounded)
        _write(path, found)
    return DepthLengths(edges, found.density, found.error)


def _digest(key: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]


class _Lengths(NamedTuple):
    """Of e-, e+ and photons, shapes (materials, 3, bins); by depth without photons."""

    density: NDArray[np.float64]
    error: NDArray[np.float64]


def _lengths(result: CascadeResult) -> _Lengths:
    return _Lengths(
        np.concatenate((result.track_length, result.photon_length[:, None]), axis=1),
        np.concatenate((result.track_length_error, result.photon_length_error[:, None]), axis=1),
    )


def _simulate(  # noqa: PLR0917 - one call
    stack: Stack,
    energy: float,
    particle: str,
    edges: NDArray[np.float64],
    showers: int,
    seed: int,
    lpm: bool,
    workers: int,
) -> _Lengths:
    complete = simulate_cascade(
        stack,
        energy,
        showers,
        particle=particle,
        seed=seed,
        cut=edges[0],
        edges=edges,
        lpm=lpm,
        workers=workers,
    )
    lengths = _lengths(complete)
    first = int(np.searchsorted(edges, _SPLIT * energy))
    if 0 < first < len(edges) - 1:
        hard = simulate_cascade(
            stack,
            energy,
            _MORE * showers,
            particle=particle,
            seed=seed + 1,
            cut=edges[first],
            production_cut=default_production_cut(edges[0]),
            edges=edges[first:],
            lpm=lpm,
            workers=workers,
        )
        above = _lengths(hard)
        lengths.density[..., first:], lengths.error[..., first:] = above.density, above.error
    return lengths


def _folder(cache: Path | None) -> Path:
    if cache is not None:
        return cache
    named = os.environ.get("NA64RECO_CACHE")
    return Path(named) if named else user_cache_path("na64reco")


def _read(path: Path) -> _Lengths | None:
    try:
        with np.load(path) as stored:
            return _Lengths(stored["density"], stored["error"])
    except (OSError, ValueError, KeyError):
        return None  # not there, or not whole: it is made again


def _write(path: Path, found: _Lengths) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez_compressed(file, density=found.density, error=found.error)
        Path(file.name).replace(path)
    except OSError:
        return  # a cache that cannot be written costs time only
