r"""Delta electrons that charged particles knock out of counters, tracker planes and calorimeters.

Per g/cm^2, a particle of the energy E and velocity beta gives an electron the kinetic energy T in

    dN/dT = K/2 Z/A 1/(beta T)^2 (1 - beta^2 T / T_max + [T^2 / 2 E^2]),  K = 0.307075 MeV cm^2/g

(B. Rossi, High-Energy Particles, 1952, section 2.3; PDG 2024, section 34.2.5; the bracket for spin
1/2), at the angle cos theta = (T/p)(p_max/T_max) of elastic scattering. An electron made at some
depth crosses the rest of its layer, x, with the mean loss of Rossi's approximation B,

    T' = (T + epsilon) exp(-x / X0) - epsilon,

epsilon = 1.5 MeV cm^2/g X0, and is scattered after Highland. Out of a calorimeter come the
electrons of its last radiation length: those from farther inside have become a shower.

`assumed`: tracker planes are matter like silicon (glass, aluminium), straws mylar, passive layers
air. Left out: photons that electrons radiate within their layer, electrons from electrons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.constants import ELECTRON_MASS
from na64reco.errors import SetupError, did_you_mean
from na64reco.materials import find_material
from na64reco.simulation.tracks import ELECTRON, MASSES, MUON, PHOTON, PROTON, Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from na64reco.materials import Material
    from na64reco.setup.model import Setup
    from na64reco.simulation.transport import Beamline, Paths

__all__ = ["delta_electrons", "delta_surfaces", "knock_on_number", "largest_transfer"]

_K: Final = 0.307075e-3
"""GeV cm^2/g."""
_LOSS: Final = 1.5e-3
"""Of electrons by ionisation, GeV cm^2/g."""
_PLASTIC_PER_MIP: Final = 2.0e-3
"""Most probable loss in a thick scintillator, GeV/cm (the setups' rule)."""
_BEHIND: Final = 1e-3
"""mm behind its surface, where an electron starts."""
_STEEPEST: Final = 5.0
"""dx/dz; farther aside electrons hit nothing."""

_MATERIALS: Final = {
    "mm": "silicon",
    "gem": "silicon",
    "straw": "mylar",
    "bms": "polystyrene",
    "Pb": "lead",
    "Fe": "iron",
    "Cu": "copper",
}


def largest_transfer(
    momentum: NDArray[np.float64], mass: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Largest kinetic energy of a knocked-on electron, GeV (PDG 2024, eq. 34.4)."""
    gamma = np.sqrt(1 + (momentum / mass) ** 2)
    ratio = ELECTRON_MASS / mass
    return np.asarray(
        2 * ELECTRON_MASS * (momentum / mass) ** 2 / (1 + 2 * gamma * ratio + ratio**2)
    )


def knock_on_number(
    momentum: NDArray[np.float64],
    mass: NDArray[np.float64],
    least: float,
    z_over_a: float,
    *,
    spin: bool | NDArray[np.bool_] = True,
) -> NDArray[np.float64]:
    """Electrons above a kinetic energy per g/cm^2, the integral of Rossi's formula.

    Parameters
    ----------
    momentum, mass
        Of the particles, GeV, shape (rows,).
    least
        GeV.
    spin
        Whether they have spin 1/2.
    """
    energy2 = momentum**2 + mass**2
    beta2 = momentum**2 / energy2
    most = np.maximum(largest_transfer(momentum, mass), least)
    number = 1 / least - 1 / most - beta2 / most * np.log(most / least)
    number += np.where(spin, (most - least) / (2 * energy2), 0.0)
    return np.asarray(0.5 * _K * z_over_a / beta2 * np.maximum(number, 0.0))


def _layers(setup: Setup) -> dict[str, tuple[Material, float, float | None]]:
    """Material, g/cm^2 and, where it is not the surface of that name, z in mm, by name."""
    found: dict[str, tuple[Material, float, float | None]] = {}

    def add(name: str, kind: str, thickness_x0: float) -> None:
        material = find_material(kind)
        found[name] = (material, thickness_x0 * material.radiation_length, None)

    for name, layer in setup.passive.items():
        add(name, "air", layer.thickness_x0)
    for name, station in setup.stations.items():
        add(name, _MATERIALS[station.technology], station.thickness_x0)
    for name, counter in setup.counters.items():
        add(name, "polystyrene", counter.thickness_x0)
    plastic = find_material("polystyrene")
    if setup.veto:
        found["veto"] = (plastic, setup.veto.mip / _PLASTIC_PER_MIP * plastic.density, None)
    for prefix, part in (("ecal", setup.ecal), ("vhcal", setup.vhcal), ("hcal", setup.hcal)):
        if part is None:
            continue
        pitch = part.sampling.absorber_thickness + part.sampling.scintillator_thickness
        absorber = find_material(_MATERIALS[part.sampling.absorber])
        whole = sum(section.layers for section in part.sections.values())
        sections = part.sections if prefix == "hcal" else {"": next(iter(part.sections.values()))}
        for name, section in sections.items():
            layers = section.layers if prefix == "hcal" else whole
            z = part.z if prefix != "hcal" or section.z is None else section.z
            key = f"hcal.{name}" if name else prefix
            found[key] = (absorber, absorber.radiation_length, z + layers * pitch)
    return found


def delta_surfaces(setup: Setup) -> tuple[str, ...]:
    """Names of what `delta_electrons` can take electrons from.

    Stations, counters and passive layers by their names, ``veto``, and the ends of calorimeters:
    ``ecal``, ``vhcal``, ``hcal.module0`` and so on.
    """
    return tuple(_layers(setup))


def delta_electrons(
    rng: np.random.Generator,
    setup: Setup,
    line: Beamline,
    tracks: Tracks,
    paths: Paths,
    *,
    surfaces: Sequence[str],
    least: float = 0.005,
) -> Tracks:
    """Electrons that muons and hadrons knock out of layers, to be followed further.

    Parameters
    ----------
    tracks, paths
        The particles and where they cross what (`transport.Paths`); neutral ones, electrons
        and those that do not come to a layer knock out nothing. Calorimeters take a particle that
        crosses the last surface before their end to go on straight.
    surfaces
        Names out of `delta_surfaces`.
    least
        Smallest kinetic energy behind the layer, GeV.

    Returns
    -------
    Tracks
        Electrons with the event and time of their parent, in the order of events, that start
        behind the layers.

    Raises
    ------
    SetupError
        For an unknown name of a layer.
    """
    layers = _layers(setup)
    for name in surfaces:
        if name not in layers:
            msg = f"no layer {name!r} in setup {setup.name!r} to knock electrons out of"
            msg += did_you_mean(name, layers)
            raise SetupError(msg)
    heavy = np.flatnonzero(
        (tracks.charge != 0) & (tracks.kind != ELECTRON) & (tracks.kind != PHOTON)
    )
    found = [Tracks.make(0, event=0, momentum=0.0, z_start=0.0)]
    for name in surfaces:
        material, grams, z_end = layers[name]
        if z_end is None:
            surface = line.surface(name)
            z_end = float(line.z[surface])
        else:
            surface = int(np.flatnonzero(line.z <= z_end)[-1])
        rows = heavy[~np.isnan(paths.x[heavy, surface])]
        rows = rows[_hits(setup, name, rows, paths, surface)]
        drift = z_end - float(line.z[surface])
        found.append(
            _from_layer(rng, tracks, paths, rows, surface, z_end, drift, material, grams, least)
        )
    return Tracks.join(found)


def _hits(
    setup: Setup, name: str, rows: NDArray[np.int64], paths: Paths, surface: int
) -> NDArray[np.bool_]:
    """Whether particles cross the matter of a station or counter, which are finite."""
    x, y = paths.x[rows, surface], paths.y[rows, surface]
    if name in setup.stations:
        station = setup.stations[name]
        half = station.half_width
        return np.asarray((np.abs(x - station.x) < half) & (np.abs(y - station.y) < half))
    if name in setup.counters:
        counter = setup.counters[name]
        dx, dy = x - counter.x, y - counter.y
        inside = (np.abs(dx) < counter.width / 2) & (np.abs(dy) < counter.height / 2)
        return np.asarray(inside & (np.hypot(dx, dy) >= counter.hole / 2))
    return np.ones(len(rows), dtype=np.bool_)


def _from_layer(  # noqa: PLR0917
    rng: np.random.Generator,
    tracks: Tracks,
    paths: Paths,
    rows: NDArray[np.int64],
    surface: int,
    z: float,
    drift: float,
    material: Material,
    grams: float,
    least: float,
) -> Tracks:
    """Electrons behind a layer that ends at ``z``, ``drift`` behind the surface, mm."""
    momentum = paths.momentum[rows]
    mass = np.array(MASSES)[tracks.kind[rows]]
    spin = (tracks.kind[rows] == MUON) | (tracks.kind[rows] == PROTON)
    number = grams * knock_on_number(momentum, mass, least, material.z_over_a, spin=spin)
    of = np.repeat(np.arange(len(rows)), rng.poisson(number))
    kinetic, cosine = _collisions(rng, momentum[of], mass[of], spin[of], least)

    rest = grams * rng.random(len(of))
    epsilon = _LOSS * material.radiation_length
    lengths = rest / material.radiation_length
    left = (kinetic + epsilon) * np.exp(-lengths) - epsilon
    alive = (left > least) & (cosine > 1 / np.hypot(1, _STEEPEST))
    of, left, lengths, cosine = of[alive], left[alive], lengths[alive], cosine[alive]
    tangent = np.sqrt(1 / cosine**2 - 1)
    after = np.sqrt(left * (left + 2 * ELECTRON_MASS))
    phi = rng.uniform(0, 2 * np.pi, len(of))
    logarithm = 1 + 0.038 * np.log(np.maximum(lengths, 1e-6))
    scatter = 0.0136 / after * np.sqrt(lengths) * np.maximum(logarithm, 0.4)
    scatter = np.minimum(scatter, 1.0) * rng.standard_normal((2, len(of)))
    row = rows[of]
    tx, ty = paths.tx[row, surface], paths.ty[row, surface]
    slope_x, slope_y = tx + tangent * np.cos(phi) + scatter[0], ty + tangent * np.sin(phi)
    slope_y = slope_y + scatter[1]
    return Tracks.make(
        len(of),
        event=tracks.event[row],
        time=tracks.time[row],
        kind=ELECTRON,
        charge=-1,
        momentum=after,
        x=paths.x[row, surface] + drift * tx,
        y=paths.y[row, surface] + drift * ty,
        tx=np.clip(slope_x, -_STEEPEST, _STEEPEST),
        ty=np.clip(slope_y, -_STEEPEST, _STEEPEST),
        z_start=z + _BEHIND,
    )


def _collisions(
    rng: np.random.Generator,
    momentum: NDArray[np.float64],
    mass: NDArray[np.float64],
    spin: NDArray[np.bool_],
    least: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kinetic energies (GeV) of electrons above ``least`` and cosines of their angles."""
    most = np.maximum(largest_transfer(momentum, mass), least)
    energy2 = momentum**2 + mass**2
    beta2 = momentum**2 / energy2
    kinetic = np.empty(len(momentum))
    missing = np.arange(len(momentum))
    while len(missing):
        top = most[missing]
        t = 1 / (1 / least - rng.random(len(missing)) * (1 / least - 1 / top))
        weight = 1 - beta2[missing] * t / top
        weight += np.where(spin[missing], 0.5 * t * t / energy2[missing], 0.0)
        kinetic[missing] = t
        missing = missing[rng.random(len(missing)) > weight]

    def over_momentum(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(t / (t + 2 * ELECTRON_MASS))

    return kinetic, np.minimum(over_momentum(kinetic) / over_momentum(most), 1.0)
