"""Muons through a stack: what they lose by the way, and the particles that they set free.

Left out: decays, the muon's deflection where it radiates (multiple scattering is there), and the
hadrons of nuclear interactions, whose energy is only counted.
"""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from na64reco.cascade.sampling import turn, typical_angle
from na64reco.cascade.transport import ELECTRON, PHOTON, POSITRON, deposit
from na64reco.constants import ELECTRON_MASS, MUON_MASS

__all__ = ["MUON", "follow_muons", "sample_transfer"]

MUON: Final = 3

_BREMS: Final = 0
_PAIR: Final = 1
_KNOCK_ON: Final = 2
_M: Final = ELECTRON_MASS
_MU: Final = MUON_MASS
_HIGHLAND: Final = 0.0136
_LOSS_PER_STEP: Final = 0.03


@njit(cache=True, nogil=True, error_model="numpy")
def sample_transfer(rng, tables, m, p, i, f, kinetic):  # type: ignore[no-untyped-def]
    """Energy that the process ``p`` takes, GeV; 0 where it is not possible."""
    k = i + 1 if rng.random() < f else i
    running = tables.running[m, p, k]
    bins = len(running) - 1
    if running[bins] <= 0.0:
        return 0.0
    r = rng.random()
    low, high = 0, bins
    while high - low > 1:
        half = (low + high) // 2
        if r >= running[half]:
            low = half
        else:
            high = half
    inside = running[low + 1] - running[low]
    t = (low + ((r - running[low]) / inside if inside > 0.0 else 0.5)) / bins
    end = tables.high[m, p, i] * (1.0 - f) + tables.high[m, p, i + 1] * f
    nu = math.exp(tables.low[p] + t * (end - tables.low[p]))
    return nu if nu < kinetic else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _add(rows, n, kind, energy, place, direction, layer):  # type: ignore[no-untyped-def]
    if n == len(rows):
        more = np.empty((2 * n, 9))
        more[:n] = rows
        rows = more
    row = rows[n]
    row[0], row[1] = kind, energy
    row[2], row[3], row[4] = place
    row[5], row[6], row[7] = direction
    row[8] = layer
    return rows


@njit(cache=True, nogil=True, error_model="numpy")
def _knock_on_cosine(nu, total):  # type: ignore[no-untyped-def]
    """Cosine of the angle of a knock-on electron."""
    p = math.sqrt(total * total - _MU * _MU)
    return nu * (total + _M) / (p * math.sqrt(nu * (nu + 2.0 * _M)))


@njit(cache=True, nogil=True, error_model="numpy")
def follow_muons(  # type: ignore[no-untyped-def]
    rng, tables, boundaries, index, half_width, energy, points, follow_above,
    section, active, pitch, layers, cells, leaks, hadronic,
):  # fmt: skip
    """Follow muons that enter at z = 0, and list what they set free.

    Parameters
    ----------
    energy
        Kinetic, GeV.
    points
        cm, shape (muons, 2); other parameters as in `transport.follow_showers`.
    hadronic
        Added to: energy given to nuclei, GeV, shape (muons,).

    Returns
    -------
    starts, offsets
        Electrons, positrons and photons, as `transport.follow_showers` takes them.
    """
    muons = len(points)
    rows = np.empty((256, 9))
    offsets = np.zeros(muons + 1, np.int64)
    n = 0
    last = tables.rate.shape[2] - 2
    for muon in range(muons):
        kinetic = energy
        x, y, z = points[muon, 0], points[muon, 1], 0.0
        direction = (0.0, 0.0, 1.0)
        layer = 0
        while True:
            m = index[layer]
            if kinetic < follow_above:
                deposit(layers[muon], cells[muon], section, active, layer, x, y, kinetic, pitch)
                break
            t = max((math.log(kinetic) - tables.log_first) * tables.per_log, 0.0)
            i = min(int(t), last)
            f = min(t - i, 1.0)
            u, v, w = direction
            edge = boundaries[layer + 1] if w > 0.0 else boundaries[layer]
            to_edge = (edge - z) / w if w != 0.0 else 1e9
            rate = 0.0
            for p in range(4):
                rate += tables.rate[m, p, i] * (1.0 - f) + tables.rate[m, p, i + 1] * f
            loss = tables.loss[m, i] * (1.0 - f) + tables.loss[m, i + 1] * f
            to_next = -math.log(1.0 - rng.random()) / rate if rate > 0.0 else 1e9
            longest = max(_LOSS_PER_STEP * kinetic, 1e-3) / loss
            step = max(min(to_edge, to_next, longest), 0.0)
            crosses, interacts = step == to_edge, step == to_next
            spent = loss * step
            if spent >= kinetic:
                spent, step = kinetic, kinetic / loss
                crosses, interacts = False, False
            deposit(
                layers[muon], cells[muon], section, active, layer,
                x + 0.5 * step * u, y + 0.5 * step * v, spent, pitch,
            )  # fmt: skip
            kinetic -= spent
            x, y, z = x + step * u, y + step * v, z + step * w
            if kinetic > 0.0 and step > 0.0:
                thick = step / tables.radiation_length[m]
                total = kinetic + _MU
                p_beta = kinetic * (kinetic + 2.0 * _MU) / total
                # The logarithm is that of the whole layer, not of the step.
                whole = (boundaries[layer + 1] - boundaries[layer]) / tables.radiation_length[m]
                theta = 1.0 + 0.038 * math.log(min(max(whole, 1e-3), 1.0))
                theta *= _HIGHLAND / p_beta * math.sqrt(thick)
                theta *= math.sqrt(-2.0 * math.log(1.0 - rng.random()))
                azimuth = 2.0 * math.pi * rng.random()
                direction = turn(u, v, w, math.cos(min(theta, math.pi)), azimuth)
            if abs(x) > half_width or abs(y) > half_width:
                leaks[muon] += kinetic
                break
            if crosses:
                z = edge
                layer += 1 if w > 0.0 else -1
                if layer < 0 or layer >= len(index):
                    leaks[muon] += kinetic
                    break
                if w * direction[2] < 0.0:
                    direction = (direction[0], direction[1], -direction[2])
                continue
            if not interacts:
                continue
            r = rng.random() * rate
            p = 0
            while p < 3:
                r -= tables.rate[m, p, i] * (1.0 - f) + tables.rate[m, p, i + 1] * f
                if r < 0.0:
                    break
                p += 1
            nu = sample_transfer(rng, tables, m, p, i, f, kinetic)
            if nu == 0.0:
                continue
            total = kinetic + _MU
            azimuth = 2.0 * math.pi * rng.random()
            u, v, w = direction
            place = (x, y, z)
            if p == _BREMS:
                # Angles as of dsigma/du = u / (1 + u^2)^2, u = E theta / mu.
                most = (total / _MU * min(1.0, total / nu - 1.0)) ** 2
                share = rng.random() * most / (1.0 + most)
                theta = _MU / total * math.sqrt(share / (1.0 - share))
                way = turn(u, v, w, math.cos(min(theta, math.pi)), azimuth)
                rows = _add(rows, n, PHOTON, nu, place, way, layer)
                n += 1
            elif p == _PAIR:
                # The asymmetry is flat between its limits, as in Geant4 up to version 10.
                most = 1.0 - 6.0 * _MU * _MU / (total * (total - nu))
                most = max(most, 0.0) * math.sqrt(max(1.0 - 4.0 * _M / nu, 0.0))
                plus = 0.5 * nu * (1.0 + most * (2.0 * rng.random() - 1.0))
                way = turn(u, v, w, math.cos(typical_angle(rng, plus)), azimuth)
                rows = _add(rows, n, POSITRON, max(plus - _M, 0.0), place, way, layer)
                n += 1
                minus = nu - plus
                way = turn(u, v, w, math.cos(typical_angle(rng, minus)), azimuth + math.pi)
                rows = _add(rows, n, ELECTRON, max(minus - _M, 0.0), place, way, layer)
                n += 1
            elif p == _KNOCK_ON:
                way = turn(u, v, w, _knock_on_cosine(nu, total), azimuth)
                rows = _add(rows, n, ELECTRON, nu, place, way, layer)
                n += 1
            else:
                hadronic[muon] += nu
            kinetic -= nu
        offsets[muon + 1] = n
    return rows[:n].copy(), offsets
