"""The kernel: one shower after the other, particle by particle, step by step."""

# ruff: noqa: PLR0917 - kernels take flat arrays

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from na64reco.cascade.sampling import (
    sample_annihilation,
    sample_bhabha,
    sample_brems,
    sample_compton,
    sample_moller,
    sample_pair,
    turn,
    typical_angle,
)
from na64reco.constants import ELECTRON_MASS

__all__ = ["ELECTRON", "PHOTON", "POSITRON", "deposit", "follow_showers"]

ELECTRON: Final = 0
POSITRON: Final = 1
PHOTON: Final = 2

_ROOM: Final = 4096
_KIND: Final = 0
_ENERGY: Final = 1
_X: Final = 2
_Y: Final = 3
_Z: Final = 4
_U: Final = 5
_V: Final = 6
_W: Final = 7
_LAYER: Final = 8
_M: Final = ELECTRON_MASS
_HIGHLAND: Final = 0.0136
_LOSS_PER_STEP: Final = 0.03
"""Largest share of its energy that a particle loses in small portions within a step."""


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _place(tables, energy):  # type: ignore[no-untyped-def]
    """Grid point below, and the distance to it, of an energy."""
    t = max((math.log(energy) - tables.log_first) * tables.per_log, 0.0)
    i = min(int(t), tables.brems.shape[1] - 2)
    return i, min(t - i, 1.0)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _at(table, m, i, f):  # type: ignore[no-untyped-def]
    return table[m, i] * (1.0 - f) + table[m, i + 1] * f


@njit(cache=True, nogil=True, error_model="numpy")
def _element(rng, share, m, i):  # type: ignore[no-untyped-def]
    r = rng.random()
    k = 0
    while k < share.shape[1] - 1 and r > share[m, k, i]:
        k += 1
    return k


@njit(cache=True, nogil=True, error_model="numpy")
def _push_two(stack, n, first, second):  # type: ignore[no-untyped-def]
    """The more energetic one first, so that the pile stays low."""
    a, b = (first, second) if first[_ENERGY] > second[_ENERGY] else (second, first)
    stack[n, :] = a
    stack[n + 1, :] = b
    return n + 2


@njit(cache=True, nogil=True, error_model="numpy")
def _interact_charged(rng, tables, kind, kinetic, m, i, f, row, other):  # type: ignore[no-untyped-def]
    """One hard interaction; ``row`` and ``other`` become what comes out of it.

    Returns how many particles that is: 1 where nothing happened.
    """
    brems = _at(tables.brems, m, i, f)
    hard = _at(tables.bhabha if kind == POSITRON else tables.moller, m, i, f)
    gone = _at(tables.annihilation, m, i, f) if kind == POSITRON else 0.0
    u, v, w = row[_U], row[_V], row[_W]
    r = rng.random() * (brems + hard + gone)
    azimuth = 2.0 * math.pi * rng.random()
    other[:] = row
    if r < brems:
        if kinetic <= tables.cut:
            return 1
        k = _element(rng, tables.brems_share, m, i)
        photon = sample_brems(
            rng, kinetic, tables.cut, tables.z[m, k], tables.coulomb[m, k], tables.lpm[m]
        )
        if photon == 0.0:
            return 1
        angle = typical_angle(rng, kinetic + _M)
        row[_ENERGY] = kinetic - photon
        other[_KIND], other[_ENERGY] = PHOTON, photon
        other[_U], other[_V], other[_W] = turn(u, v, w, math.cos(angle), azimuth)
        return 2
    if r < brems + hard:
        if kind == POSITRON:
            if kinetic <= tables.cut:
                return 1
            knock = sample_bhabha(rng, kinetic, tables.cut)
        else:
            if kinetic <= 2.0 * tables.cut:
                return 1
            knock = sample_moller(rng, kinetic, tables.cut)
        left = kinetic - knock
        c = math.sqrt(knock * (kinetic + 2.0 * _M) / (kinetic * (knock + 2.0 * _M)))
        d = math.sqrt(left * (kinetic + 2.0 * _M) / (kinetic * (left + 2.0 * _M)))
        row[_ENERGY] = left
        row[_U], row[_V], row[_W] = turn(u, v, w, d, azimuth + math.pi)
        other[_KIND], other[_ENERGY] = ELECTRON, knock
        other[_U], other[_V], other[_W] = turn(u, v, w, c, azimuth)
        return 2
    if kind != POSITRON:
        return 1  # within the step it fell below all cuts
    total = kinetic + 2.0 * _M
    first = sample_annihilation(rng, kinetic)
    second = total - first
    p = math.sqrt(kinetic * (kinetic + 2.0 * _M))
    c = (p * p + first * first - second * second) / (2.0 * p * first)
    d = (p * p + second * second - first * first) / (2.0 * p * second)
    row[_KIND], row[_ENERGY] = PHOTON, first
    row[_U], row[_V], row[_W] = turn(u, v, w, c, azimuth)
    other[_KIND], other[_ENERGY] = PHOTON, second
    other[_U], other[_V], other[_W] = turn(u, v, w, d, azimuth + math.pi)
    return 2


@njit(cache=True, nogil=True, error_model="numpy")
def _interact_photon(rng, tables, energy, m, i, f, row, other):  # type: ignore[no-untyped-def]
    pair, compton = _at(tables.pair, m, i, f), _at(tables.compton, m, i, f)
    photo = _at(tables.photo, m, i, f)
    u, v, w = row[_U], row[_V], row[_W]
    azimuth = 2.0 * math.pi * rng.random()
    other[:] = row
    r = rng.random() * (pair + compton + photo)
    if r >= pair + compton:
        row[_KIND] = ELECTRON  # along the photon's direction, with its whole energy
        return 1
    if r < pair:
        if energy <= 2.2 * _M:
            return 1
        k = _element(rng, tables.pair_share, m, i)
        plus = sample_pair(rng, energy, tables.z[m, k], tables.coulomb[m, k], tables.lpm[m])
        if plus == 0.0:
            return 1
        minus = energy - plus
        row[_KIND], row[_ENERGY] = POSITRON, plus - _M
        other[_KIND], other[_ENERGY] = ELECTRON, minus - _M
        angle = typical_angle(rng, plus)
        row[_U], row[_V], row[_W] = turn(u, v, w, math.cos(angle), azimuth)
        angle = typical_angle(rng, minus)
        other[_U], other[_V], other[_W] = turn(u, v, w, math.cos(angle), azimuth + math.pi)
        return 2
    left = sample_compton(rng, energy)
    kinetic = energy - left
    p = math.sqrt(kinetic * (kinetic + 2.0 * _M))
    c = 1.0 - _M * (1.0 / left - 1.0 / energy)
    d = (energy - left * c) / p if p > 0.0 else 1.0
    row[_ENERGY] = left
    row[_U], row[_V], row[_W] = turn(u, v, w, c, azimuth)
    other[_KIND], other[_ENERGY] = ELECTRON, kinetic
    other[_U], other[_V], other[_W] = turn(u, v, w, d, azimuth + math.pi)
    return 2


@njit(cache=True, nogil=True, error_model="numpy")
def deposit(layers, cells, section, active, layer, x, y, energy, pitch):  # type: ignore[no-untyped-def]
    """Add energy to a layer, and to the cell at x and y where it is seen."""
    layers[layer] += energy
    s = section[layer]
    if s >= 0 and active[layer]:
        nx, ny = cells.shape[1], cells.shape[2]
        ix = math.floor(x / pitch + 0.5 * nx)
        iy = math.floor(y / pitch + 0.5 * ny)
        if 0 <= ix < nx and 0 <= iy < ny:
            cells[s, ix, iy] += energy


@njit(cache=True, nogil=True, error_model="numpy")
def follow_showers(  # type: ignore[no-untyped-def]
    rng, tables, boundaries, index, groups, half_width, starts, offsets, follow_above,
    edges, section, active, pitch, track, squares, layers, cells, leaks,
):  # fmt: skip
    """Follow showers and add up what they leave.

    Parameters
    ----------
    boundaries, index
        z of the layers' faces, cm, and each layer's material.
    groups
        Of each layer: its row in ``track``.
    starts, offsets
        The particles that start them, shape (rows, 9): kind, kinetic energy in GeV (a photon's
        energy), x, y, z in cm, direction (3), layer. Shower i begins with the rows from
        ``offsets[i]`` to ``offsets[i + 1]``; shape (showers + 1,).
    follow_above
        Kinetic energy below which a particle is stopped where it is, GeV.
    edges
        Kinetic energies between the bins of ``track``, GeV.
    section, active
        Of each layer: section of ``cells`` (-1: none), and whether its energy counts there.
    track, squares
        Added to: path length in cm, shape (groups, 3, bins), of e-, e+ and photons, and the sum
        of its squares by shower.
    layers, cells, leaks
        Added to: GeV, shapes (showers, layers), (showers, sections, nx, ny), (showers,).
    """
    stack = np.empty((_ROOM, 9))
    row, other = np.empty(9), np.empty(9)
    own = np.zeros_like(track)
    count = len(index)
    bins = len(edges) - 1
    for shower in range(len(offsets) - 1):
        own[:] = 0.0
        first, last = offsets[shower], offsets[shower + 1]
        n = last - first
        if n > _ROOM:
            return shower
        stack[:n] = starts[first:last]
        while n > 0:
            n -= 1
            row[:] = stack[n]
            while True:
                kind, energy = int(row[_KIND]), row[_ENERGY]
                layer = int(row[_LAYER])
                m = index[layer]
                rest = 2.0 * _M if kind == POSITRON else 0.0
                if energy < follow_above:
                    deposit(
                        layers[shower], cells[shower], section, active, layer, row[_X], row[_Y],
                        energy + rest, pitch,
                    )  # fmt: skip
                    break
                i, f = _place(tables, energy)
                w = row[_W]
                edge = boundaries[layer + 1] if w > 0.0 else boundaries[layer]
                to_edge = (edge - row[_Z]) / w if w != 0.0 else 1e9
                loss = 0.0
                if kind == PHOTON:
                    rate = _at(tables.pair, m, i, f) + _at(tables.compton, m, i, f)
                    rate += _at(tables.photo, m, i, f)
                    longest = 1e9
                else:
                    rate = _at(tables.brems, m, i, f)
                    if kind == POSITRON:
                        rate += _at(tables.bhabha, m, i, f) + _at(tables.annihilation, m, i, f)
                        loss = _at(tables.loss_plus, m, i, f)
                    else:
                        rate += _at(tables.moller, m, i, f)
                        loss = _at(tables.loss_minus, m, i, f)
                    longest = max(_LOSS_PER_STEP * energy, 2e-4) / loss
                    longest = min(longest, 0.5 * tables.radiation_length[m])
                to_next = -math.log(1.0 - rng.random()) / rate
                step = min(to_edge, to_next, longest)
                step = max(step, 0.0)
                crosses, interacts = step == to_edge, step == to_next
                spent = min(loss * step, energy)
                if spent == energy:
                    step, crosses, interacts = energy / loss, False, False
                middle = energy - 0.5 * spent
                if middle >= edges[0]:
                    low, high = 0, bins
                    while high - low > 1:
                        half = (low + high) // 2
                        if middle >= edges[half]:
                            low = half
                        else:
                            high = half
                    if middle < edges[bins]:
                        own[groups[layer], kind, low] += step
                if kind != PHOTON:
                    deposit(
                        layers[shower], cells[shower], section, active, layer,
                        row[_X] + 0.5 * step * row[_U], row[_Y] + 0.5 * step * row[_V],
                        spent, pitch,
                    )  # fmt: skip
                    energy -= spent
                    row[_ENERGY] = energy
                row[_X] += step * row[_U]
                row[_Y] += step * row[_V]
                row[_Z] += step * w
                if kind != PHOTON and energy > 0.0 and step > 0.0:
                    thick = step / tables.radiation_length[m]
                    whole = (boundaries[layer + 1] - boundaries[layer]) / tables.radiation_length[m]
                    whole = min(max(whole, 1e-3), 1.0)
                    p_beta = energy * (energy + 2.0 * _M) / (energy + _M)
                    theta = _HIGHLAND / p_beta * math.sqrt(thick) * (1.0 + 0.038 * math.log(whole))
                    theta *= math.sqrt(-2.0 * math.log(1.0 - rng.random()))
                    row[_U], row[_V], row[_W] = turn(
                        row[_U], row[_V], w, math.cos(min(theta, math.pi)),
                        2.0 * math.pi * rng.random(),
                    )  # fmt: skip
                if abs(row[_X]) > half_width or abs(row[_Y]) > half_width:
                    leaks[shower] += energy + rest
                    break
                if crosses:
                    row[_Z] = edge
                    layer += 1 if w > 0.0 else -1
                    if layer < 0 or layer >= count:
                        leaks[shower] += energy + rest
                        break
                    row[_LAYER] = layer
                    # Scattered back at the very face: the particle is already in the next layer.
                    if w * row[_W] < 0.0:
                        row[_W] = -row[_W]
                    continue
                if not interacts:
                    continue
                i, f = _place(tables, max(energy, 1e-9))
                if kind == PHOTON:
                    made = _interact_photon(rng, tables, energy, m, i, f, row, other)
                else:
                    made = _interact_charged(rng, tables, kind, energy, m, i, f, row, other)
                if made == 2:
                    if n + 2 > _ROOM:
                        return shower
                    n = _push_two(stack, n, row, other)
                    break
        for g in range(track.shape[0]):
            for kind in range(3):
                for b in range(bins):
                    value = own[g, kind, b]
                    track[g, kind, b] += value
                    squares[g, kind, b] += value * value
    return -1
