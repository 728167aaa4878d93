"""What a track crosses in a spectrometer: planes, material and magnets in the order along z."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from na64reco.constants import BEND_PER_TESLA_MM
from na64reco.errors import SetupError
from na64reco.tracking.field import Dipoles, Field, dipoles, magnet_field
from na64reco.tracking.material import layer_loss
from na64reco.tracking.planes import TECHNOLOGIES, Planes, choose_spectrometer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup import Setup
    from na64reco.setup.model import Calorimeter

__all__ = [
    "MAGNET",
    "PLANE",
    "SCATTERER",
    "STOP",
    "Layout",
    "Stereo",
    "View",
    "calorimeter_behind",
    "highland",
    "make_layout",
]

PLANE: Final = 0
SCATTERER: Final = 1
MAGNET: Final = 2
STOP: Final = 3

_SLOPE_OF_BEAM: Final = 0.01  # largest before the magnets; analyses cut at 3 mrad
_SLOPE_OF_OTHERS: Final = 0.1  # a particle behind the target may go anywhere the magnets let it
_NEARLY: Final = 0.1  # sine of the largest angle at which a plane still belongs to a view


class View(NamedTuple):
    """The planes of a spectrometer that measure x (or y), upstream ones first."""

    column: NDArray[np.int64]
    """Index among the spectrometer's planes, shape (n,)."""
    plane: NDArray[np.int64]
    """Index among all strip planes, shape (n,)."""
    z: NDArray[np.float64]
    origin: NDArray[np.float64]
    """x = (cluster position + origin) * scale."""
    scale: NDArray[np.float64]
    sigma: NDArray[np.float64]
    """Resolution in x, mm."""
    upstream: int
    """How many of the planes stand before the magnets."""


class Stereo(NamedTuple):
    """The planes of a spectrometer between x and y, upstream ones first."""

    column: NDArray[np.int64]
    """Index among the spectrometer's planes, shape (n,)."""
    plane: NDArray[np.int64]
    """Index among all strip planes."""
    z: NDArray[np.float64]
    cos: NDArray[np.float64]
    sin: NDArray[np.float64]
    origin: NDArray[np.float64]
    """x cos + y sin = cluster position + origin."""
    sigma: NDArray[np.float64]
    """Resolution, mm."""
    upstream: int
    """How many of the planes stand before the magnets."""


class Layout(NamedTuple):
    """A spectrometer for the track finder and the fit."""

    planes: NDArray[np.int64]
    """Its planes (columns of a track's hits) as indices among all strip planes."""
    kind: NDArray[np.int64]
    """Of each element along the beam: PLANE, SCATTERER, MAGNET, STOP."""
    number: NDArray[np.int64]
    """Column of a plane, number of a magnet, -1 of the rest."""
    z: NDArray[np.float64]
    """Of a magnet: its entrance."""
    scatter: NDArray[np.float64]
    """Rms scattering angle per projection times momentum, rad GeV/c."""
    loss: NDArray[np.float64]
    """Mean energy lost to ionisation (GeV) by the beam's particle, and its variance (GeV^2), at
    the beam's momentum; shape (elements, 2)."""
    last_plane: int
    """Element number of the last plane."""
    dipoles: Dipoles
    x: View
    y: View
    stereo: Stereo
    """The planes that belong to neither view."""
    bend: float
    """sin(angle) gained in the magnets times p in the x-z plane, for charge +1, GeV/c."""
    field_centre: float
    """z of the centre of gravity of the field, mm."""
    kink: float
    """Scattering between first and last plane, as in ``scatter``."""
    beam_momentum: float
    """GeV/c."""
    max_slope_in: float
    """Largest slope, in x and in y, that is looked for before the magnets."""
    beam_slope: float
    """dx/dz of the nominal beam at the first plane."""
    field: Field | None = None
    """What the fit follows instead of ``dipoles``, where a magnet has a map or linear edges; cut
    at planes and material."""


def highland(thickness: float) -> float:
    """Rms multiple-scattering angle per projection times momentum, rad GeV/c, for beta = 1.

    ``thickness`` in radiation lengths. Particle Data Group 2024, passage of particles through
    matter, eq. 34.16.
    """
    if thickness <= 0:
        return 0.0
    return max(0.0, 0.0136 * math.sqrt(thickness) * (1 + 0.038 * math.log(thickness)))


def _view(
    planes: Planes,
    chosen: NDArray[np.int64],
    component: NDArray[np.float64],
    centres: NDArray[np.float64],
    middle: float,
) -> View:
    columns = np.array(
        [c for c, p in enumerate(chosen) if abs(component[p]) > math.sqrt(1 - _NEARLY**2)]
    )
    columns = columns.astype(np.int64)
    index = chosen[columns]
    scale = 1 / component[index]
    return View(
        column=columns,
        plane=index,
        z=planes.z[index],
        # Not `Planes.origin`: where a plane is turned, that has a share of the other coordinate,
        # which is large behind the magnets, while a track is always near the station's centre.
        origin=centres[columns] * component[index],
        scale=scale,
        sigma=planes.resolution[index] * np.abs(scale),
        upstream=int(np.count_nonzero(planes.z[index] < middle)),
    )


def _stereo(planes: Planes, chosen: NDArray[np.int64], in_views: set[int], middle: float) -> Stereo:
    columns = np.array([c for c in range(len(chosen)) if c not in in_views], np.int64)
    index = chosen[columns]
    return Stereo(
        column=columns,
        plane=index,
        z=planes.z[index],
        cos=planes.cos[index],
        sin=planes.sin[index],
        origin=planes.origin[index],
        sigma=planes.resolution[index],
        upstream=int(np.count_nonzero(planes.z[index] < middle)),
    )


def calorimeter_behind(setup: Setup, z: float) -> Calorimeter:
    """The calorimeter to which tracks are extrapolated: the ECAL, or the HCAL behind the target.

    Raises
    ------
    SetupError
        Where z, the last plane's, lies behind both.
    """
    for calorimeter in (setup.ecal, setup.hcal):
        if z < calorimeter.z:
            return calorimeter
    msg = (
        f"setup {setup.name}: a tracking plane at z = {z} mm stands behind the front faces of "
        f"ECAL ({setup.ecal.z} mm) and HCAL ({setup.hcal.z} mm); tracks are followed up to one "
        "of them"
    )
    raise SetupError(msg)


def make_layout(setup: Setup, planes: Planes, *, spectrometer: str = "main") -> Layout:
    """Collect planes, magnets and material of a spectrometer, up to the calorimeter behind it.

    Material is that of all stations, of the passive parts, and of the counters without a hole.

    Raises
    ------
    SetupError
        Where the spectrometer has too few planes, or no field, to measure a momentum, or no
        calorimeter behind it.
    """
    chosen = choose_spectrometer(setup, spectrometer)
    magnets = dipoles((setup.magnets[m] for m in chosen.magnets), particle=setup.beam.particle)
    where = f"spectrometer {spectrometer!r} of setup {setup.name}"
    strengths = magnets.field * (magnets.end - magnets.start)
    if not strengths.sum():
        msg = f"{where}: its magnets have no field integral; a momentum needs one"
        raise SetupError(msg)
    centre = float((strengths * (magnets.start + magnets.end) / 2).sum() / strengths.sum())

    names = (*TECHNOLOGIES, "straw")  # straws only where `straw_points` added their planes
    stations = {
        (names.index(s.technology), s.number): s
        for s in (setup.stations[n] for n in (*chosen.upstream, *chosen.downstream))
        if s.technology in names
    }
    keys = [(int(t), int(n)) for t, n in zip(planes.technology, planes.station, strict=True)]
    columns = np.array([i for i, key in enumerate(keys) if key in stations], np.int64)
    centres = np.array([(stations[keys[i]].x, stations[keys[i]].y) for i in columns])
    centres = centres.reshape(-1, 2)
    x = _view(planes, columns, planes.cos, centres[:, 0], centre)
    y = _view(planes, columns, planes.sin, centres[:, 1], centre)
    for view, name, need_up, need_down in ((x, "x", 1, 2), (y, "y", 1, 2)):
        down = len(view.z) - view.upstream
        if view.upstream < need_up or down < need_down or len(view.z) < 4 - (name == "y"):
            msg = (
                f"{where}: {view.upstream} planes before and {down} planes behind the magnets "
                f"measure {name}; at least {need_up} and {need_down} are needed, and "
                f"{4 if name == 'x' else 3} in all (strip stations: MM, GEM)"
            )
            raise SetupError(msg)

    z_stop = calorimeter_behind(setup, float(planes.z[columns].max(initial=-np.inf))).z
    first = float(planes.z[columns].min()) if len(columns) else 0.0
    entries: list[tuple[float, int, int, float]] = [
        (float(planes.z[p]), PLANE, c, 0.0) for c, p in enumerate(columns)
    ]  # z, kind, number, radiation lengths
    entries += [(float(s), MAGNET, m, 0.0) for m, s in enumerate(magnets.start)]
    material = [(s.z, s.thickness_x0) for s in setup.stations.values()]
    material += [(p.z, p.thickness_x0) for p in setup.passive.values()]
    material += [(c.z, c.thickness_x0) for c in setup.counters.values() if c.hole == 0]
    entries += [(z, SCATTERER, -1, t) for z, t in material if t > 0 and first < z < z_stop]
    entries = sorted(e for e in entries if e[0] < z_stop)
    entries.append((z_stop, STOP, -1, 0.0))
    for z, kind, _, _ in entries:
        inside = (magnets.start < z) & (z < magnets.end)
        if kind != MAGNET and inside.any():
            msg = f"{where}: something at z = {z} mm stands inside a magnet; that cannot be fitted"
            raise SetupError(msg)
    field = None
    if any(setup.magnets[m].map or setup.magnets[m].ramp for m in chosen.magnets):
        field = magnet_field(
            (setup.magnets[m] for m in chosen.magnets),
            particle=setup.beam.particle,
            cuts=[z for z, kind, _, _ in entries if kind != MAGNET],
        )
        last_z = max(z for z, kind, _, _ in entries if kind == PLANE)
        if field.end[-1] > last_z:
            msg = (
                f"{where}: the field reaches to z = {field.end[-1]:g} mm, behind the last plane at "
                f"{last_z:g} mm; shorten the map (or ramp): tracks are straight from there on"
            )
            raise SetupError(msg)
    kinds = np.array([e[1] for e in entries], np.int64)
    scatter = np.array([highland(e[3]) for e in entries])
    losses = [layer_loss(e[3], setup.beam.momentum, setup.beam.particle) for e in entries]
    last = int(np.flatnonzero(kinds == PLANE)[-1])
    in_views = set(x.column.tolist()) | set(y.column.tolist())
    return Layout(
        planes=columns,
        kind=kinds,
        number=np.array([e[2] for e in entries], np.int64),
        z=np.array([e[0] for e in entries]),
        scatter=scatter,
        loss=np.array([(loss.mean, loss.sigma**2) for loss in losses]),
        last_plane=last,
        dipoles=magnets,
        x=x,
        y=y,
        stereo=_stereo(planes, columns, in_views, centre),
        bend=float(-BEND_PER_TESLA_MM * strengths.sum()),
        field_centre=centre,
        kink=float(np.sqrt((scatter[:last] ** 2).sum())),
        beam_momentum=setup.beam.momentum,
        max_slope_in=_SLOPE_OF_BEAM if z_stop == setup.ecal.z else _SLOPE_OF_OTHERS,
        beam_slope=setup.beam_slope(first),
        field=field,
    )
