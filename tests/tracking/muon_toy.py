"""The muon spectrometers in a beam: several muons in an event, straws, strips read out in groups.

Knows nothing of the package's tracking. Muons are stepped through the field by Runge-Kutta and
scattered by Highland's formula (`conftest`); every plane that measures is smeared by its
resolution; straws give drift times, Micromegas the channels of the printed rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from na64reco.events import Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup import Setup

PROJECTIONS = "XYUV"
RESOLUTION = {"mm": 0.25 / 12**0.5, "gem": 0.08, "straw": 0.2, "bms": 5 / 12**0.5}
T0, T_MAX, RADIUS = 10.0, 60.0, 3.0
"""Drift times of `conftest.make_conditions`."""
WIDTH = 8.0
"""Of the strips' times, ns."""
WINDOW = 120.0
"""Muons up to this far from the trigger are in the readout, ns."""
HALO = 0.2
"""Halo muons within 15 cm per beam muon: 16 % in COMPASS' beam (Nucl. Instrum. Meth. A 577 (2007)
455, from memory), rounded up."""


@dataclass(frozen=True)
class Muons:
    """All muons of ``events`` events; the first of each event triggered."""

    events: int
    event: NDArray[np.int64]
    time: NDArray[np.float64]
    """After the trigger, ns."""
    first: NDArray[np.float64]
    """States at the first plane."""
    face: NDArray[np.float64]
    """States at the z of the calorimeter behind."""
    u: dict[tuple[str, int, int, int], NDArray[np.float64]]
    """By (technology, station, projection, layer) in the station's frame, mm."""


def beam(setup: Setup, spectrometer: str, n: int, random, momentum: float = 160.0, charge=-1):
    """z and states before the first plane: the beam, or what the target made of it."""
    if spectrometer == "MS1":
        z, slope, spot, spread = -8440.0, 0.0, (5.6, 10.0), 1e-4
    else:
        # 40 X0 of lead scatter 160 GeV by 0.6 mrad; the beam there is 9 mm wide
        z, slope, spot, spread = 13898.0, setup.ecal.slope_x, (9.0, 12.0), 6e-4
    x = 337.36 + 0.0281167 * (z - 12000) if spectrometer == "MS2" else 0.0
    return z, np.stack(
        [
            x + spot[0] * random.normal(size=n),
            spot[1] * random.normal(size=n),
            slope + spread * random.normal(size=n),
            spread * random.normal(size=n),
            np.full(n, charge / momentum),
        ],
        axis=1,
    )


def layers_of(setup: Setup, spectrometer: str):
    """(station, (technology, station, projection, layer), z, angle) of what measures."""
    chosen = setup.spectrometers[spectrometer]
    for name in (*chosen.upstream, *chosen.downstream):
        s = setup.stations[name]
        for p, angle in s.angles.items():
            for layer in range(s.layers):
                z = s.projection_z(p) + (layer - (s.layers - 1) / 2) * s.layer_spacing
                key = (s.technology, s.number, PROJECTIONS.index(p), layer)
                yield s, key, z, np.radians(angle)


def walk(tools, setup: Setup, spectrometer: str, z: float, s, random, face: float):
    """States at the first plane and at ``face``, and u at every plane."""
    things: list[tuple[float, int, Any]] = [
        (at, 0, (st, key, angle)) for st, key, at, angle in layers_of(setup, spectrometer)
    ]
    magnets = setup.spectrometers[spectrometer].magnets
    things += [(setup.magnets[m].start, 1, setup.magnets[m]) for m in magnets]
    parts = [*setup.stations.values(), *setup.passive.values()]
    parts += [c for c in setup.counters.values() if not c.hole]
    things += [(p.z, 2, p.thickness_x0) for p in parts if z < p.z < face]
    things.sort(key=lambda t: t[:2])
    first, u = None, {}
    for where, kind, what in things:
        s = s.copy()
        s[:, :2] += s[:, 2:4] * (where - z)
        z = where
        if kind == 0:
            station, key, angle = what
            u[key] = (s[:, 0] - station.x) * np.cos(angle) + (s[:, 1] - station.y) * np.sin(angle)
            first = s.copy() if first is None else first
        elif kind == 1:
            s = tools.runge_kutta(s, what.length, what.field, 40)
            z = what.end
        else:
            s[:, 2:4] += tools.theta0(what) * np.abs(s[:, 4:]) * random.normal(size=(len(s), 2))
    s = s.copy()
    s[:, :2] += s[:, 2:4] * (face - z)
    return first, s, u


def muons(
    tools, setup, spectrometer, n, random, *, rate=0.0, momentum=160.0, charge=-1, extra=0
) -> Muons:
    """``n`` events, each with its muon, ``extra`` more at the same time, and pile-up.

    ``rate``: beam muons per ns, with their halo on top.
    """
    more = random.poisson(2 * WINDOW * rate, n)
    halo = random.poisson(2 * WINDOW * rate * HALO, n)
    every = np.arange(n)
    event = np.concatenate([*[every] * (1 + extra), np.repeat(every, more), np.repeat(every, halo)])
    z, states = beam(setup, spectrometer, len(event), random, momentum, charge)
    time = random.uniform(-WINDOW, WINDOW, len(event))
    time[: n * (1 + extra)] = 0.0
    late = int(halo.sum())
    if late:  # anywhere within 15 cm of the beam, not quite along it
        middle = setup.ecal.slope_x if spectrometer == "MS2" else 0.0
        centre = 337.36 + 0.0281167 * (z - 12000) if spectrometer == "MS2" else 0.0
        states[-late:, 0] = centre + random.uniform(-150, 150, late)
        states[-late:, 1] = random.uniform(-150, 150, late)
        states[-late:, 2:4] = 1e-3 * random.normal(size=(late, 2))
        states[-late:, 2] += middle
        states[-late:, 4] = -1 / random.uniform(100, 180, late)
    order = np.argsort(event, kind="stable")  # so the muon that triggered is the first
    face = (setup.ecal if spectrometer == "MS1" else setup.hcal).z
    first, last, u = walk(tools, setup, spectrometer, z, states[order], random, face)
    return Muons(n, event[order], time[order], first, last, u)


def rule(strip, channels: int, step: int):
    """Channel of a strip, as printed."""
    return strip * (strip // channels * step + 1) % channels


def strip_hits(setup, spectrometer, made: Muons, random, *, inefficiency=0.0, noise=0.0):
    """{"mm": Hits, "gem": Hits}: clusters of four strips, noise of two, in readout channels."""
    rows: dict[str, list[tuple[Any, ...]]] = {"mm": [], "gem": []}
    size = len(made.event)
    # the ionisation in a station's gas, of which both projections see about a half
    gas = {(k[0], k[1]): np.exp(0.4 * random.normal(size=size)) for k in made.u}
    for s, key, _, _ in layers_of(setup, spectrometer):
        if key[0] == "straw":
            continue
        seen = random.random(size) >= inefficiency
        measured = made.u[key] + RESOLUTION[key[0]] * random.normal(size=size)
        at = measured / s.pitch + (s.channels - 1) / 2
        seen &= (at > 2) & (at < s.channels - 3)
        k = np.floor(np.where(seen, at, 0)).astype(int)
        f = np.where(seen, at, 0) - k
        time = made.time + WIDTH * random.normal(size=size)
        total = 1000 * gas[key[:2]] * np.exp(0.1 * random.normal(size=size))
        shares = [0.2 * (1 - f), 0.6 * (1 - f) + 0.2 * f, 0.2 * (1 - f) + 0.6 * f, 0.2 * f]
        parts = [
            (made.event[seen], (k + i - 1)[seen], (total * share)[seen], time[seen])
            for i, share in enumerate(shares)
        ]
        false = np.repeat(np.arange(made.events), random.poisson(noise, made.events))
        strip = random.integers(0, s.channels - 1, len(false))
        when = random.uniform(-36, 36, len(false))  # the whole window for strips
        parts += [(false, strip + i, np.full(len(false), 300.0), when) for i in (0, 1)]
        event, strip, charge, time = (np.concatenate(c) for c in zip(*parts, strict=True))
        channels = s.channels // s.multiplexing
        if s.multiplexing > 1:
            strip = rule(strip, channels, s.multiplexing_step)
        # what comes to one channel is one hit
        unique, inverse = np.unique(event * 65536 + strip, return_inverse=True)
        total = np.bincount(inverse, charge)
        time = np.bincount(inverse, charge * time) / total
        one = np.ones(len(unique), int)
        rows[key[0]].append(
            (unique // 65536, key[1] * one, key[2] * one, unique % 65536, total, time)
        )
    names = ("station", "projection", "strip", "charge", "time")
    types = (np.uint8, np.uint8, np.uint16, np.float32, np.float32)
    return {t: flat(parts, names, types, made.events) for t, parts in rows.items()}


def straw_hits(setup, spectrometer, made: Muons, random, *, inefficiency=0.0, noise=0.0) -> Hits:
    """Drift times; of two muons in one tube the earlier one is seen."""
    rows = []
    for s, key, _, _ in layers_of(setup, spectrometer):
        if key[0] != "straw":
            continue
        u = made.u[key]
        middle = (s.channels - 1) / 2 - key[3] / 2
        wire = np.rint(u / s.pitch + middle).astype(int)
        seen = (wire >= 0) & (wire < s.channels) & (random.random(len(u)) >= inefficiency)
        r = np.abs(u - (wire - middle) * s.pitch) + RESOLUTION["straw"] * random.normal(size=len(u))
        time = T0 + T_MAX * r / RADIUS + made.time
        false = np.repeat(np.arange(made.events), random.poisson(noise, made.events))
        event = np.concatenate([made.event[seen], false])
        wire = np.concatenate([wire[seen], random.integers(0, s.channels, len(false))])
        time = np.concatenate([time[seen], random.uniform(0, 80, len(false))])
        order = np.lexsort((time, wire, event))
        event, wire, time = event[order], wire[order], time[order]
        alone = np.ones(len(event), bool)
        alone[1:] = (np.diff(event) != 0) | (np.diff(wire) != 0)
        one = np.ones(alone.sum(), int)
        rows.append(
            (event[alone], key[1] * one, key[2] * one, key[3] * one, wire[alone], time[alone])
        )
    names = ("station", "projection", "layer", "wire", "time")
    types = (np.uint8, np.uint8, np.uint8, np.uint16, np.float32)
    return flat(rows, names, types, made.events)


def flat(parts, names, types, events: int) -> Hits:
    parts = parts or [tuple(np.empty(0, int) for _ in range(len(names) + 1))]
    event, *columns = (np.concatenate(c) for c in zip(*parts, strict=True))
    order = np.argsort(event, kind="stable")
    offsets = np.zeros(events + 1, np.int64)
    np.cumsum(np.bincount(event, minlength=events), out=offsets[1:])
    return Hits(
        offsets,
        {n: c[order].astype(t) for n, c, t in zip(names, columns, types, strict=True)},
    )


def closed_form(setup: Setup, spectrometer: str, names, sigma, momentum: float) -> float:
    """Relative error of 1/p: generalised least squares of a line with a kink in each magnet's
    middle through all planes of stations ``names`` that measure x (or nearly, U and V)."""
    planes = [
        (s.projection_z(p) + (layer - (s.layers - 1) / 2) * s.layer_spacing, sigma[s.technology])
        for s in (setup.stations[n] for n in names)
        for p in s.angles
        if p != "Y"
        for layer in range(s.layers)
    ]
    z, error = np.array(planes).T
    magnets = [setup.magnets[m] for m in setup.spectrometers[spectrometer].magnets]
    kink = sum(
        0.299792458e-3 * m.field * m.length / momentum * np.maximum(z - m.z, 0) for m in magnets
    )
    a = np.stack([np.ones_like(z), (z - z.mean()) / 1e3, kink], axis=1)
    v = np.diag(error**2)
    parts = [*setup.stations.values(), *setup.passive.values()]
    parts += [c for c in setup.counters.values() if not c.hole]
    for part in parts:
        if z.min() < part.z < z.max():
            x0 = part.thickness_x0
            angle = 0.0136 / momentum * np.sqrt(x0) * (1 + 0.038 * np.log(x0))
            arm = angle * np.maximum(z - part.z, 0)
            v += np.outer(arm, arm)
    return float(np.sqrt(np.linalg.inv(a.T @ np.linalg.inv(v) @ a)[2, 2]))
