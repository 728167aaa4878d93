"""How often a full-momentum muon is reconstructed at half its momentum or less in MS2, and why.

`python -m benchmarks.tails [TRACKS]`: 160 GeV muons through the second spectrometer of the muon
mode, in a fast simulation of their own (nothing is shared with the reconstruction but the setup):

- multiple scattering by Highland's formula, and single scattering off nuclei at more than five
  times its rms: dN = 2 chi_c^2 dtheta / theta^3 with the form factor of silicon, and beyond it off
  single protons (the dipole form factor). chi_c^2 = pi m_e^2 t / (alpha L p^2), t in radiation
  lengths, L = ln(183 Z^(-1/3)): from the definitions of chi_c (G. Moliere, Z. Naturforsch. 2a
  (1947) 133) and of the radiation length.
- delta electrons, dN = 0.0768 MeV cm2/g x dT / T^2, from all material and the last radiation
  length of the target. Above 20 MeV they fly on through planes and magnet, below they are a hit
  beside the muon's.
- planes that miss 2 % of the hits (arXiv:2110.15111), and noise.
"""

# ruff: noqa: PLR0917, NPY002 - kernels take flat arrays, and numba has numpy's old generator

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from na64reco.calibration import CellConditions, Conditions, StripConditions
from na64reco.events import Hits
from na64reco.setup import load_setup
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.layout import make_layout
from na64reco.tracking.multiplexing import unfold_hits
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.reconstruct import measurements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.setup import Setup

SETUP = "2022-muon-152"
SPECTROMETER = "MS2"
MOMENTUM = 160.0  # GeV/c
LIMIT = 80.0  # GeV/c, arXiv:2401.01708
TRACKS = 10_000_000
CHUNK = 100_000
INEFFICIENCY = 0.02  # arXiv:2110.15111
NOISE = 0.1  # clusters per plane, assumed
SIGMA = {"mm": 0.072, "gem": 0.080}  # mm
TIME_WIDTH = 8.0  # ns
HARD = 0.3e-3  # rad: a kink that shifts the momentum by more than 10 %
CUTS = ("all", "p-value > 0.01", "and one cluster at most in MM5-7", "and no plane blind")

# Kinds of elements along the beam, and origins of a hit.
PLANE, MATERIAL, MAGNET = 0, 1, 2
MUON, DELTA, RANDOM = 0, 1, 2
MAX_ELECTRONS = 16
MAX_HITS = 4096
ELECTRON_MASS = 0.511e-3
GRAMMAGE = 25.0  # g/cm2 of a radiation length: aluminium, silicon, glass


class Line(NamedTuple):
    """What stands along the beam, in order: arrays of shape (elements,) and (planes,)."""

    z: NDArray[np.float64]
    kind: NDArray[np.int64]
    number: NDArray[np.int64]
    """Of a plane."""
    size: NDArray[np.float64]
    """Radiation lengths of material; length of a magnet, mm."""
    field: NDArray[np.float64]
    """T."""
    cos: NDArray[np.float64]
    sin: NDArray[np.float64]
    origin: NDArray[np.float64]
    pitch: NDArray[np.float64]
    channels: NDArray[np.int64]
    sigma: NDArray[np.float64]
    technology: NDArray[np.int64]
    """0 Micromegas, 1 GEM."""
    station: NDArray[np.int64]
    projection: NDArray[np.int64]
    readout: NDArray[np.int64]
    """Readout channel of every strip, shape (planes, strips)."""


def make_line(setup: Setup) -> Line:
    chosen = setup.spectrometers[SPECTROMETER]
    planes: list[tuple[float, ...]] = []
    readout: list[NDArray[np.int64]] = []
    elements: list[tuple[float, int, int, float, float]] = []
    for name in (*chosen.upstream, *chosen.downstream):
        s = setup.stations[name]
        if s.technology == "straw":  # the strips alone
            continue
        for p, degrees in s.angles.items():
            a = math.radians(degrees)
            c, d = math.cos(a), math.sin(a)
            elements.append((s.projection_z(p), PLANE, len(planes), 0.0, 0.0))
            kind = ("mm", "gem").index(s.technology)
            readout.append(s.channel_of_strip)
            planes.append(
                (c, d, s.x * c + s.y * d, s.pitch, s.channels, SIGMA[s.technology], kind,
                 s.number, "XYUV".index(p))
            )  # fmt: skip
    first, last = min(e[0] for e in elements), max(e[0] for e in elements)
    parts = [*setup.stations.values(), *setup.passive.values()]
    elements += [(p.z, MATERIAL, -1, p.thickness_x0, 0.0) for p in parts if first < p.z < last]
    magnets = [setup.magnets[m] for m in chosen.magnets]
    elements += [(m.start, MAGNET, -1, m.length, m.field) for m in magnets]
    elements.sort()
    e, p = np.array(elements).T, np.array(planes).T
    number = e[2].astype(np.int64)
    table = np.full((len(readout), max(len(row) for row in readout)), -1)
    for row, channels in zip(table, readout, strict=True):
        row[: len(channels)] = channels
    return Line(
        e[0], e[1].astype(np.int64), number, e[3], e[4], *p[:4], p[4].astype(np.int64), p[5],
        *(row.astype(np.int64) for row in p[6:]), table,
    )  # fmt: skip


@njit(cache=True)
def _bend(state, p, field, length):  # type: ignore[no-untyped-def]
    """A particle of charge -1 on its circle; False where it does not come out."""
    sin_in = math.sin(math.atan(state[2]))
    sin_out = sin_in + 0.299792458e-3 * field * length / p
    if abs(sin_out) > 0.5:
        return False
    mean = math.tan(0.5 * (math.asin(sin_in) + math.asin(sin_out)))
    state[0] += length * mean
    state[1] += length * state[3]
    state[2] = math.tan(math.asin(sin_out))
    return True


@njit(cache=True)
def _hard_angle(t, p, least):  # type: ignore[no-untyped-def]
    """Angle in space of a single scattering above ``least``, 0 mostly."""
    z = 14.0
    chi2 = math.pi * ELECTRON_MASS**2 * 137.036 / math.log(183.0 * z ** (-1 / 3)) * t / (p * p)
    if np.random.random() > chi2 / (least * least):
        return 0.0
    theta = least / math.sqrt(np.random.random())
    q2 = (p * theta) ** 2  # GeV^2
    coherent = math.exp(-q2 * (3.1 / 0.19733) ** 2 / 3)  # rms radius of silicon, 3.1 fm
    proton = (1.0 + q2 / 0.71) ** -4
    keep = coherent + (1.0 - coherent) * proton / z
    return theta if np.random.random() < keep and theta < 0.2 else 0.0


@njit(cache=True)
def _walk(line, first, state, p, muon, u, born, electrons, source):  # type: ignore[no-untyped-def]
    """Follow a particle from element ``first``; u per plane, NaN where it does not come.

    Returns the number of delta electrons (rows of ``electrons``: state, energy, element) and the
    largest kink.
    """
    z = electrons[source, 5] if source >= 0 else line.z[0]
    kink = 0.0
    for e in range(first, len(line.z)):
        step = line.z[e] - z
        state[0] += step * state[2]
        state[1] += step * state[3]
        z = line.z[e]
        if line.kind[e] == PLANE:
            k = line.number[e]
            u[k] = state[0] * line.cos[k] + state[1] * line.sin[k] - line.origin[k]
        elif line.kind[e] == MAGNET:
            if not _bend(state, p, line.field[e], line.size[e]):
                break
            z += line.size[e]
        else:
            t = line.size[e]
            theta0 = 0.0136 / p * math.sqrt(t) * (1 + 0.038 * math.log(t))
            state[2] += theta0 * np.random.normal()
            state[3] += theta0 * np.random.normal()
            if muon:
                theta = _hard_angle(t, p, 5 * theta0)
                if theta > 0:
                    phi = 2 * math.pi * np.random.random()
                    state[2] += theta * math.cos(phi)
                    state[3] += theta * math.sin(phi)
                    kink = max(kink, theta)
                born = _electrons(t * GRAMMAGE, 1e-3, state, z, e + 1, electrons, born)
    return born, kink


@njit(cache=True)
def _electrons(grams, least, state, z, element, electrons, born):  # type: ignore[no-untyped-def]
    """Delta electrons above ``least`` GeV from so many g/cm2."""
    highest = 146.0  # GeV, of a muon of 160 GeV: 2 m gamma^2 / (1 + 2 gamma m / M + ...)
    for _ in range(np.random.poisson(0.0768e-3 * grams * (1 / least - 1 / highest))):
        energy = 1.0 / (1 / least - np.random.random() * (1 / least - 1 / highest))
        if born == MAX_ELECTRONS:
            break
        angle = math.sqrt(2 * ELECTRON_MASS / energy)
        phi = 2 * math.pi * np.random.random()
        electrons[born, :4] = state
        electrons[born, 2] += angle * math.cos(phi)
        electrons[born, 3] += angle * math.sin(phi)
        electrons[born, 4] = energy
        electrons[born, 5] = z
        electrons[born, 6] = element
        born += 1
    return born


@njit(cache=True)
def _strips(u, k, line, top, origin, out, floats, labels):  # type: ignore[no-untyped-def]
    """Four strips whose centroid is u."""
    position = u / line.pitch[k] + (line.channels[k] - 1) / 2
    if not 2 < position < line.channels[k] - 3:
        return top
    s = int(position)
    f = position - s
    moment = TIME_WIDTH * np.random.normal()
    for i in range(4):
        share = (0.2 * (1 - f), 0.6 * (1 - f) + 0.2 * f, 0.2 * (1 - f) + 0.6 * f, 0.2 * f)[i]
        if top < len(out):
            out[top, 0], out[top, 1] = line.station[k], line.projection[k]
            out[top, 2] = line.readout[k, s + i - 1]
            floats[top, 0], floats[top, 1] = 1000 * share, moment
            labels[top] = origin
            top += 1
    return top


@njit(cache=True)
def _generate(n, seed, line, x, slope, spot, spread, inefficiency, noise):  # type: ignore[no-untyped-def]
    """Hits of both technologies: offsets (2, n + 1), (station, projection, strip), (charge, time).

    Also the muon's true u (n, planes), its largest kink, and where each hit is from.
    """
    np.random.seed(seed)
    planes = len(line.cos)
    capacity = n * 80 + MAX_HITS
    offsets = np.zeros((2, n + 1), np.int64)
    out = np.empty((2, capacity, 3), np.uint16)
    floats = np.empty((2, capacity, 2), np.float32)
    labels = np.empty((2, capacity), np.uint8)
    truth, kinks = np.empty((n, planes), np.float32), np.empty(n, np.float32)
    electrons, u = np.empty((MAX_ELECTRONS, 7)), np.empty((MAX_ELECTRONS + 1, planes))
    state = np.empty(4)
    tops = np.zeros(2, np.int64)
    for event in range(n):
        state[0], state[1] = x + spot * np.random.normal(), spot * np.random.normal()
        state[2], state[3] = slope + spread * np.random.normal(), spread * np.random.normal()
        u[:, :] = np.nan
        # from the last radiation length of the target, 1.5 m before the first plane
        before = state.copy()
        before[0] -= 1500.0 * state[2]
        before[1] -= 1500.0 * state[3]
        born = _electrons(6.4, 0.02, before, line.z[0] - 1500.0, 0, electrons, 0)
        born, kinks[event] = _walk(line, 0, state, MOMENTUM, True, u[0], born, electrons, -1)
        truth[event] = u[0]
        for i in range(born):
            first, energy = int(electrons[i, 6]), electrons[i, 4]
            if energy > 0.02:
                state[:] = electrons[i, :4]
                _walk(line, first, state, energy, False, u[i + 1], 0, electrons, i)
            else:  # stops in this station
                for e in (first - 2, first):
                    if 0 <= e < len(line.z) and line.kind[e] == PLANE:
                        k = line.number[e]
                        far = np.random.exponential(5.0)
                        u[i + 1, k] = u[0, k] + (far if np.random.random() < 0.5 else -far)
        for k in range(planes):
            c = line.technology[k]
            for i in range(born + 1):
                if np.isfinite(u[i, k]) and np.random.random() >= inefficiency:
                    tops[c] = _strips(
                        u[i, k] + line.sigma[k] * np.random.normal(), k, line, tops[c],
                        MUON if i == 0 else DELTA, out[c], floats[c], labels[c],
                    )  # fmt: skip
            for _ in range(np.random.poisson(noise)):
                width = line.channels[k] * line.pitch[k]
                tops[c] = _strips(
                    width * (np.random.random() - 0.5), k, line, tops[c], RANDOM, out[c],
                    floats[c], labels[c],
                )  # fmt: skip
        offsets[0, event + 1], offsets[1, event + 1] = tops[0], tops[1]
    return offsets, out, floats, labels, truth, kinks


def make_conditions(setup: Setup) -> Conditions:
    nothing = CellConditions(*(np.zeros(1) for _ in range(4)))
    strips = {
        t: {
            (s.number, "XYUV".index(p)): StripConditions(0.001, 0.0, TIME_WIDTH, SIGMA[t])
            for s in setup.stations_of(t).values()
            for p in s.angles
        }
        for t in SIGMA
    }
    return Conditions(
        setup.name, setup.runs, nothing, nothing, nothing, nothing, nothing, strips["mm"],
        strips["gem"], {}, {}, frozenset(), frozenset(), {}, "",
    )  # fmt: skip


def _hits(offsets: Any, out: Any, floats: Any) -> Hits:
    n = offsets[-1]
    return Hits(
        offsets,
        {
            "station": out[:n, 0].astype(np.uint8),
            "projection": out[:n, 1].astype(np.uint8),
            "strip": np.ascontiguousarray(out[:n, 2]),
            "charge": np.ascontiguousarray(floats[:n, 0]),
            "time": np.ascontiguousarray(floats[:n, 1]),
        },
    )


def measure(
    tracks: int = TRACKS,
    *,
    seed: int = 1,
    inefficiency: float = INEFFICIENCY,
    noise: float = NOISE,
) -> dict[str, Any]:
    """Numbers of tracks found and below the limit, the latter by cause and by cut."""
    began = time.process_time()
    setup = load_setup(SETUP)
    line = make_line(setup)
    planes = strip_planes(setup, make_conditions(setup))
    layout = make_layout(setup, planes, spectrometer=SPECTROMETER)
    order = _columns(line, planes, layout)
    origin = planes.origin[layout.planes]
    zero_line = setup.ecal.x + setup.ecal.slope_x * (line.z[0] - setup.ecal.z)
    below = {cut: Counter[str]() for cut in CUTS}
    found = good = 0
    total = squares = 0.0
    for part, start in enumerate(range(0, tracks, CHUNK)):
        n = min(CHUNK, tracks - start)
        offsets, out, floats, labels, truth, kinks = _generate(
            n, 1000 * seed + part, line, zero_line, setup.ecal.slope_x, 9.0, 6e-4, inefficiency,
            noise,
        )  # fmt: skip
        mm, gem = (_hits(offsets[k], out[k], floats[k]) for k in range(2))
        clusters = find_clusters(unfold_hits(mm, setup, planes), gem, planes)
        candidates = find_candidates(clusters, layout)
        measured = measurements(candidates, clusters, planes, layout)
        fits = fit_tracks(measured, candidates.seed, planes, layout, max_dropped=1)
        owner = np.repeat(np.arange(n), np.diff(candidates.offsets))
        usable = np.flatnonzero(fits.ok)
        event, first = np.unique(owner[usable], return_index=True)
        best = usable[first]  # best first: the one that reconstruct_tracks returns
        p = 1 / np.abs(fits.first[best, 4])
        found += len(best)
        core = np.abs(MOMENTUM / p - 1) < 0.3
        good += int(core.sum())
        total += float((MOMENTUM / p - 1)[core].sum())
        squares += float(((MOMENTUM / p - 1)[core] ** 2).sum())
        for i in np.flatnonzero(p < LIMIT):
            track, e = best[i], event[i]
            # true positions, in the layout's columns, in the global frame as the measurements
            own = np.where(fits.used[track], measured[track], np.nan)
            away = own - (truth[e][order] + origin)
            cause = _cause(
                away, kinks[e], labels, offsets[:, e], offsets[:, e + 1], out, order, line
            )
            below[CUTS[0]][cause] += 1
            if fits.p_value[track] > 0.01:
                below[CUTS[1]][cause] += 1
                if _single(clusters, planes, e):
                    below[CUTS[2]][cause] += 1
                    below[CUTS[3]][cause] += bool(np.isfinite(own).all())
    mean = total / good
    return {
        "tracks": tracks,
        "found": found,
        "resolution": math.sqrt(squares / good - mean * mean),
        "below": {cut: dict(count.most_common()) for cut, count in below.items()},
        "probability": {cut: sum(count.values()) / tracks for cut, count in below.items()},
        "cpu_seconds": time.process_time() - began,
    }


def _columns(line: Line, planes: Any, layout: Any) -> NDArray[np.int64]:
    """Plane of the simulation for each column of the layout."""
    mine = list(zip(line.technology, line.station, line.projection, strict=True))
    theirs = zip(
        *(
            column[layout.planes]
            for column in (planes.technology, planes.station, planes.projection)
        ),
        strict=True,
    )
    return np.array([mine.index(key) for key in theirs])


def _single(clusters: Any, planes: Any, event: int) -> bool:
    """No plane of MM5-7 has more than one cluster in time."""
    n = clusters.planes
    for k in np.flatnonzero(planes.technology == 0):
        lo, hi = clusters.offsets[event * n + k], clusters.offsets[event * n + k + 1]
        if np.count_nonzero(clusters.in_time[lo:hi]) > 1:
            return False
    return True


def _cause(
    away: Any, kink: float, labels: Any, lo: Any, hi: Any, out: Any, order: Any, line: Line
) -> str:
    """Why a track is wrong: what its hits that are not the muon's are from."""
    used = np.isfinite(away)
    sigma = line.sigma[order]
    wrong = used & (np.abs(away) > 5 * sigma)
    if not wrong.any():
        if kink > HARD:
            return "muon's own hits, hard scattering"
        return f"muon's own hits, {int((~used).sum())} planes blind"
    electron = noise = False
    for column in np.flatnonzero(wrong):
        k = order[column]
        c = line.technology[k]
        rows = slice(lo[c], hi[c])
        mine = (out[c, rows, 0] == line.station[k]) & (out[c, rows, 1] == line.projection[k])
        from_electron = bool((labels[c, rows][mine] == DELTA).any())
        electron, noise = electron or from_electron, noise or not from_electron
    bending = wrong & (np.abs(line.cos[order]) > 0.5)
    behind = line.technology[order] == 0  # Micromegas
    sides = (bool((bending & ~behind).any()), bool((bending & behind).any()))
    where = ("in y only", "behind the magnet", "before the magnet", "on both sides")
    what = "electrons and noise" if electron and noise else "electrons" if electron else "noise"
    return f"hits of {what}, {where[2 * sides[0] + sides[1]]}"


def table(result: dict[str, Any]) -> str:
    """As Markdown: causes by cuts."""
    causes = sorted(result["below"][CUTS[0]], key=lambda c: -result["below"][CUTS[0]][c])
    lines = ["| cause | " + " | ".join(CUTS) + " |", "|---|" + "---|" * len(CUTS)]
    lines += [
        f"| {cause} | " + " | ".join(str(result["below"][cut].get(cause, 0)) for cut in CUTS) + " |"
        for cause in causes
    ]
    sums = " | ".join(f"{sum(result['below'][cut].values())}" for cut in CUTS)
    return "\n".join([*lines, f"| sum of {result['tracks']:.0e} muons | {sums} |"])


def main() -> None:
    tracks = int(float(sys.argv[1])) if len(sys.argv) > 1 else TRACKS
    result = measure(tracks)
    print(table(result))
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    # By its name: numba's cache holds the types of the module under the name that it has.
    import_module("benchmarks.tails").main()
