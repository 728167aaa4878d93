"""One event as the reconstruction sees it: clusters, tracks, cells, channels, times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from na64reco.calibration import load_conditions
from na64reco.calorimeters import cell_energies
from na64reco.calorimeters.cells import apply_drift
from na64reco.constants import BEND_PER_TESLA_MM
from na64reco.counters import channel_energies
from na64reco.events import TRIGGER_BITS, has_collection, has_scalar, read_hits, read_scalar
from na64reco.reconstruction import reconstruct_columns
from na64reco.reconstruction.needs import FIELDS
from na64reco.reconstruction.samples import fit_samples, read_pulses, within_window
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import drop_wrong_hits, fit_tracks
from na64reco.tracking.layout import calorimeter_behind, make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.reconstruct import measurements
from na64reco.tracking.straw_points import add_straw_planes, add_straw_points, straw_stations
from na64reco.tracking.straw_sides import fit_with_sides
from na64reco.tracking.straws import straw_hits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from na64reco.calibration import Conditions
    from na64reco.events import Hits
    from na64reco.setup import Setup
    from na64reco.setup.spectrometer import Projection

    Array = NDArray[Any]

__all__ = ["Channels", "EventView", "Points", "Track", "follow", "view_event"]

PROJECTIONS: Final[tuple[Projection, ...]] = ("X", "Y", "U", "V")
_STEP: Final = 20.0
"""mm, of a track's path."""


@dataclass(frozen=True, eq=False)
class Points:
    """Measurements of planes, each array of shape (points,)."""

    z: Array
    u: Array
    """Along the measured direction, global, mm: x cos + y sin."""
    cos: Array
    sin: Array
    in_time: Array
    used: Array
    """On a track."""


@dataclass(frozen=True, eq=False)
class Track:
    """A reconstructed track and its path."""

    spectrometer: str
    momentum: float
    """GeV/c."""
    momentum_error: float
    charge: int
    chi2: float
    ndf: int
    z: Array
    """Of the path, mm."""
    x: Array
    y: Array


@dataclass(frozen=True, eq=False)
class Channels:
    """Energies of a detector's channels."""

    names: tuple[str, ...]
    in_time: Array
    """GeV."""
    out_of_time: Array
    scale: Array
    """What a minimum-ionising particle leaves, GeV; NaN where that is not known."""


@dataclass(frozen=True, eq=False)
class EventView:
    """Everything that is drawn of one event."""

    setup: Setup
    source: str
    columns: Mapping[str, Any]
    """Reconstructed columns."""
    triggers: tuple[str, ...]
    simulated: bool
    tracks: tuple[Track, ...]
    strips: Points
    """Clusters of Micromegas and GEMs, and beam momentum stations."""
    straws: Points
    cells: Mapping[str, tuple[Array, Array]]
    """Calorimeter: energies (sections, nx, ny) in time and out of time, GeV."""
    channels: Mapping[str, Channels]
    """SRD, VETO, counters."""
    times: Mapping[str, tuple[Array, Array]]
    """Detector: time of each hit less its expected time, ns, and amplitude over the largest."""

    @property
    def label(self) -> str:
        """``RUN:EVENT``."""
        return f"{int(self.columns['run'])}:{int(self.columns['event'])}"


def view_event(
    events: Any, setup: Setup, *, source: str, calib: Path | None = None, nearest: bool = False
) -> EventView:
    """Reconstruct what is to be drawn of one event.

    Parameters
    ----------
    events
        From `na64reco.events.open_events`, of exactly one event.
    source
        The file, for the caption.
    calib, nearest
        As of `na64reco.reconstruction.reconstruct_columns`.
    """
    run = int(read_scalar(events, "run")[0])
    conditions = load_conditions(setup, run, folder=calib, nearest=nearest)
    columns = reconstruct_columns(events, setup, conditions=conditions)
    hits = _hits(events, setup, conditions)
    tracks, strips = _tracks(hits, setup, conditions)
    bits = int(read_scalar(events, "trigger")[0]) if has_scalar(events, "trigger") else 0
    return EventView(
        setup=setup,
        source=source,
        columns={name: values[0] for name, values in columns.items()},
        triggers=tuple(name for name, bit in TRIGGER_BITS.items() if bits & bit),
        simulated=has_scalar(events, "MC_process"),
        tracks=tracks,
        strips=_joined([strips, *_hodoscopes(events, setup)]),
        straws=_straws(hits.get("ST"), setup, conditions),
        cells=dict(_cells(hits, setup, conditions)),
        channels=dict(_channels(hits, setup, conditions)),
        times=dict(_times(hits, conditions)),
    )


def _hits(events: Any, setup: Setup, conditions: Conditions) -> dict[str, Hits]:
    """As the reconstruction reads them: samples fitted, drift taken off."""
    found: dict[str, Hits] = {}
    scalars = {n: read_scalar(events, n) for n in ("run", "spill") if has_scalar(events, n)}
    master = read_scalar(events, "master_time") if has_scalar(events, "master_time") else None
    late = read_scalar(events, "spill_time") if has_scalar(events, "spill_time") else None
    for name, fields in FIELDS.items():
        if not has_collection(events, name):
            continue
        hits = fit_samples(name, read_pulses(events, name, fields), setup, conditions, master)
        if name in conditions.drift:
            factors = conditions.drift[name].factors(scalars["run"], scalars["spill"], late)
            hits = apply_drift(hits, factors)
        found[name] = within_window(hits)
    return found


def _tracks(
    hits: Mapping[str, Hits], setup: Setup, conditions: Conditions
) -> tuple[tuple[Track, ...], Points]:
    """Tracks of every spectrometer, by the steps of `reconstruct_tracks`, and all clusters."""
    mm, gem, straw = (hits.get(name) for name in ("MM", "GEM", "ST"))
    planes = strip_planes(setup, conditions)
    if mm is None and gem is None:
        return (), _joined([])
    if mm is not None:
        mm = unfold_hits(mm, setup, planes)
    plain = find_clusters(mm, gem, planes)
    used = np.zeros(len(plain.position), bool)
    tracks = []
    for name in setup.spectrometers:
        own, clusters, mirror = planes, plain, None
        if straw is not None and (listed := straw_stations(setup, name)):
            own, straw_planes = add_straw_planes(planes, setup, conditions, listed)
            clusters, mirror = add_straw_points(
                find_clusters(mm, gem, own), straw, setup, conditions, own, straw_planes
            )
        layout = make_layout(setup, own, spectrometer=name)
        candidates = find_candidates(clusters, layout._replace(field=None))
        measured = measurements(candidates, clusters, own, layout)
        if mirror is None:
            fits = fit_tracks(measured, candidates.seed, own, layout)
        else:
            other = measurements(candidates, replace(clusters, position=mirror), own, layout)
            fits, measured = fit_with_sides(measured, other, candidates.seed, own, layout)
        drop_wrong_hits(measured, fits, own, layout)
        good = np.flatnonzero(fits.ok)
        if not len(good):
            continue
        best = good[0]
        behind = calorimeter_behind(setup, float(layout.z[layout.last_plane]))
        first = fits.first[best]
        z, x, y = follow(first, float(own.z[layout.planes[0]]), behind.z, setup)
        tracks.append(
            Track(
                name,
                1 / abs(first[4]),
                float(np.sqrt(fits.first_covariance[best, 4, 4]) / first[4] ** 2),
                int(np.sign(first[4])),
                float(fits.chi2[best]),
                int(fits.ndf[best]),
                z,
                x,
                y,
            )
        )
        chosen = candidates.hits[best][fits.used[best] & (candidates.hits[best] >= 0)]
        # Positions find the clusters again, whose numbers differ where straws were added.
        used |= np.isin(plain.position, clusters.position[chosen])
    plane = np.repeat(np.arange(plain.planes), np.diff(plain.offsets))
    points = Points(
        planes.z[plane],
        plain.position + planes.origin[plane],
        planes.cos[plane],
        planes.sin[plane],
        plain.in_time,
        used,
    )
    return tuple(tracks), points


def follow(state: Array, start: float, end: float, setup: Setup) -> tuple[Array, Array, Array]:
    """Path of a track in the magnets' uniform fields: z, x, y, mm.

    Its slopes change by dtx/dz = -k q/p By n (1 + tx^2), dty/dz = -k q/p By n tx ty, with
    n = sqrt(1 + tx^2 + ty^2): the Lorentz force with By alone. Midpoint rule, for a picture.

    Parameters
    ----------
    state
        (x, y, tx, ty, q/p) at ``start``, mm and c/GeV.
    """
    magnets = tuple(setup.magnets.values())

    def bend(z: float, tx: float, ty: float) -> tuple[float, float]:
        field = sum(m.field for m in magnets if m.start <= z < m.end)
        k = -BEND_PER_TESLA_MM * state[4] * field * np.sqrt(1 + tx * tx + ty * ty)
        return k * (1 + tx * tx), k * tx * ty

    stops = {start, end, *(e for m in magnets for e in (m.start, m.end) if start < e < end)}
    x, y, tx, ty = (float(v) for v in state[:4])
    path = [(start, x, y)]
    ordered = sorted(stops)
    for here, there in pairwise(ordered):
        inside = any(m.start <= (here + there) / 2 < m.end for m in magnets)
        steps = max(1, round((there - here) / _STEP)) if inside else 1
        h = (there - here) / steps
        for i in range(steps):
            z = here + i * h
            ax, ay = bend(z, tx, ty)
            mx, my = tx + ax * h / 2, ty + ay * h / 2
            ax, ay = bend(z + h / 2, mx, my)
            x, y, tx, ty = x + mx * h, y + my * h, tx + ax * h, ty + ay * h
            path.append((z + h, x, y))
    z_, x_, y_ = np.array(path).T
    return z_, x_, y_


def _straws(hits: Hits | None, setup: Setup, conditions: Conditions) -> Points:
    if hits is None or not len(hits.columns["wire"]):
        return _joined([])
    found = straw_hits(hits, setup, conditions)
    stations = {s.number: s for s in setup.stations_of("straw").values()}
    parts = []
    for side in (-1.0, 1.0):
        rows = []
        for i in np.flatnonzero(np.isfinite(found.wire)):
            station = stations[int(hits.columns["station"][i])]
            projection = PROJECTIONS[int(hits.columns["projection"][i])]
            angle = np.radians(station.angles[projection])
            layer = int(hits.columns["layer"][i]) - (station.layers - 1) / 2
            cos, sin = np.cos(angle), np.sin(angle)
            u = found.wire[i] + side * found.distance[i] + station.x * cos + station.y * sin
            z = station.projection_z(projection) + layer * station.layer_spacing
            rows.append((z, u, cos, sin, found.in_time[i], False))
        if rows:
            parts.append(_points(rows))
    return _joined(parts)


def _hodoscopes(events: Any, setup: Setup) -> Iterator[Points]:
    """Slabs of beam momentum stations."""
    stations = {s.number: s for s in setup.stations_of("bms").values()}
    if not stations or not has_collection(events, "BMS"):
        return
    hits = read_hits(events, "BMS", ("station", "channel", "time"))
    rows = []
    for number, channel in zip(hits.columns["station"], hits.columns["channel"], strict=True):
        station = stations.get(int(number))
        if station is None:
            continue
        projection, angle = next(iter(station.angles.items()))
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        u = (int(channel) - (station.channels - 1) / 2) * station.pitch
        u += station.x * cos + station.y * sin
        rows.append((station.projection_z(projection), u, cos, sin, True, False))
    if rows:
        yield _points(rows)


def _points(rows: list[tuple[Any, ...]]) -> Points:
    z, u, cos, sin, in_time, used = zip(*rows, strict=True)
    a, b, c, d = (np.array(v, np.float64) for v in (z, u, cos, sin))
    return Points(a, b, c, d, np.array(in_time, bool), np.array(used, bool))


def _joined(parts: list[Points]) -> Points:
    names = ("z", "u", "cos", "sin", "in_time", "used")
    empty = {"in_time": np.zeros(0, bool), "used": np.zeros(0, bool)}
    columns = [
        np.concatenate([empty.get(n, np.zeros(0)), *(getattr(p, n) for p in parts)]) for n in names
    ]
    return Points(*columns)


def _cells(
    hits: Mapping[str, Hits], setup: Setup, conditions: Conditions
) -> Iterator[tuple[str, tuple[Array, Array]]]:
    for name in ("ecal", "vhcal", "hcal"):
        calorimeter, known = getattr(setup, name), getattr(conditions, name)
        if calorimeter is None or known is None or name.upper() not in hits:
            continue
        found = cell_energies(hits[name.upper()], known, calorimeter.shape)
        yield name, (found.in_time[0], found.out_of_time[0])


def _channels(
    hits: Mapping[str, Hits], setup: Setup, conditions: Conditions
) -> Iterator[tuple[str, Channels]]:
    if setup.srd is not None and conditions.srd is not None and "SRD" in hits:
        n = setup.srd.modules
        found = channel_energies(hits["SRD"], conditions.srd, n)
        names = tuple(f"module {i}" for i in range(n))
        yield "SRD", Channels(names, found.in_time[0], found.out_of_time[0], np.full(n, np.nan))
    if setup.veto is not None and conditions.veto is not None and "VETO" in hits:
        n = 2 * setup.veto.bars
        found = channel_energies(hits["VETO"], conditions.veto, n)
        names = tuple(f"bar {i // 2} {'-+'[i % 2]}x" for i in range(n))
        scale = np.full(n, setup.veto.mip)
        yield "VETO", Channels(names, found.in_time[0], found.out_of_time[0], scale)
    if setup.counters and "Counter" in hits:
        found = channel_energies(hits["Counter"], conditions.counters, 16, axis="id")
        ids = np.array([c.id for c in setup.counters.values()])
        yield (
            "counters",
            Channels(
                tuple(setup.counters),
                found.in_time[0, ids],
                found.out_of_time[0, ids],
                np.array([c.mip for c in setup.counters.values()]),
            ),
        )


def _times(
    hits: Mapping[str, Hits], conditions: Conditions
) -> Iterator[tuple[str, tuple[Array, Array]]]:
    """Of calorimeters and counters, whose hits have a time of their own."""
    for name, field, keys in (
        ("ECAL", "ecal", ("section", "ix", "iy")),
        ("HCAL", "hcal", ("module", "ix", "iy")),
        ("VHCAL", "vhcal", ("ix", "iy")),
        ("SRD", "srd", ("ix",)),
        ("VETO", "veto", ("ix",)),
        ("Counter", "counters", ("id",)),
    ):
        known = getattr(conditions, field)
        if name not in hits or known is None:
            continue
        columns = hits[name].columns
        index = tuple(columns[k].astype(np.int64) for k in keys)
        expected = known.time[(0, *index) if known.time.ndim > len(keys) else index]
        scale = known.scale[(0, *index) if known.time.ndim > len(keys) else index]
        energy = columns["amplitude"] * scale
        largest = max(float(energy.max(initial=0.0)), 1e-12)
        yield name, (columns["time"] - expected, np.clip(energy / largest, 0, 1))
