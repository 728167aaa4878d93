"""Final states: how an interaction shares the energy, and at which angles."""

# ruff: noqa: PLR0917 - kernels take plain numbers

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from na64reco.cascade.collisions import annihilation_shape, bhabha_shape, moller_shape
from na64reco.cascade.radiation import (
    brackets,
    brems_shape,
    coulomb_brems,
    coulomb_pair,
    lpm_brems,
    lpm_pair,
    pair_shape,
)
from na64reco.constants import ELECTRON_MASS

__all__ = [
    "sample_annihilation",
    "sample_bhabha",
    "sample_brems",
    "sample_compton",
    "sample_moller",
    "sample_pair",
    "turn",
    "typical_angle",
]

_TRIES: Final = 200


@njit(cache=True, nogil=True, error_model="numpy")
def sample_brems(rng, kinetic, cut, z, coulomb, lpm):  # type: ignore[no-untyped-def]
    """Energy of the photon, GeV; 0 where the LPM effect suppresses it."""
    total = kinetic + ELECTRON_MASS
    low, span = cut / total, math.log(kinetic / cut)
    b1, b2 = brackets(0.0, z, coulomb_brems(coulomb, total))
    most = 2.0 * b1 - 2.0 / 3.0 * b2
    while True:
        y = low * math.exp(span * rng.random())
        if rng.random() * most <= brems_shape(y, total, z, coulomb):
            break
    if np.isfinite(lpm) and rng.random() > lpm_brems(y, total, z, lpm):
        return 0.0
    return y * total


@njit(cache=True, nogil=True, error_model="numpy")
def sample_pair(rng, energy, z, coulomb, lpm):  # type: ignore[no-untyped-def]
    """Total energy of the positron, GeV; 0 where the LPM effect suppresses the pair.

    And next to the threshold, where screening leaves nothing of the cross section.
    """
    least = ELECTRON_MASS / energy
    b1, b2 = brackets(0.0, z, coulomb_pair(coulomb, energy))
    most = max(b1, 0.5 * b1 + b2 / 6.0)
    x = 0.0
    for _ in range(_TRIES):
        trial = least + (1.0 - 2.0 * least) * rng.random()
        if rng.random() * most <= pair_shape(trial, energy, z, coulomb):
            x = trial
            break
    if x == 0.0 or (np.isfinite(lpm) and rng.random() > lpm_pair(x, energy, z, lpm)):
        return 0.0
    return x * energy


@njit(cache=True, nogil=True, error_model="numpy")
def sample_moller(rng, kinetic, cut):  # type: ignore[no-untyped-def]
    """Kinetic energy of the slower electron, GeV."""
    low = cut / kinetic
    while True:
        epsilon = low / (1.0 - rng.random() * (1.0 - 2.0 * low))
        if rng.random() * 2.25 <= epsilon * epsilon * moller_shape(epsilon, kinetic):
            return epsilon * kinetic


@njit(cache=True, nogil=True, error_model="numpy")
def sample_bhabha(rng, kinetic, cut):  # type: ignore[no-untyped-def]
    """Kinetic energy of the electron that is hit, GeV."""
    low = cut / kinetic
    most = max(low * low * bhabha_shape(low, kinetic), bhabha_shape(1.0, kinetic))
    while True:
        epsilon = low / (1.0 - rng.random() * (1.0 - low))
        if rng.random() * most <= epsilon * epsilon * bhabha_shape(epsilon, kinetic):
            return epsilon * kinetic


@njit(cache=True, nogil=True, error_model="numpy")
def sample_annihilation(rng, kinetic):  # type: ignore[no-untyped-def]
    """Energy of one of the photons, GeV."""
    gamma = 1.0 + kinetic / ELECTRON_MASS
    root = math.sqrt((gamma - 1.0) / (gamma + 1.0))
    low, high = 0.5 * (1.0 - root), 0.5 * (1.0 + root)
    span = math.log(high / low)
    while True:
        epsilon = low * math.exp(span * rng.random())
        if rng.random() <= annihilation_shape(epsilon, kinetic):
            return epsilon * (kinetic + 2.0 * ELECTRON_MASS)


@njit(cache=True, nogil=True, error_model="numpy")
def sample_compton(rng, energy):  # type: ignore[no-untyped-def]
    """Energy of the scattered photon, GeV."""
    least = 1.0 / (1.0 + 2.0 * energy / ELECTRON_MASS)
    first, second = -math.log(least), 0.5 * (1.0 - least * least)
    while True:
        if rng.random() * (first + second) < first:
            epsilon = math.exp(-first * rng.random())
        else:
            epsilon = math.sqrt(least * least + (1.0 - least * least) * rng.random())
        t = (1.0 - epsilon) * ELECTRON_MASS / (energy * epsilon)
        sin2 = t * (2.0 - t)
        if rng.random() <= 1.0 - epsilon * sin2 / (1.0 + epsilon * epsilon):
            return epsilon * energy


@njit(cache=True, nogil=True, error_model="numpy")
def typical_angle(rng, energy):  # type: ignore[no-untyped-def]
    """Angle of a radiated photon or of a pair's member, rad: a few m_e / E.

    Sampled as in GEANT 3.21, PHYS 211 (Y.-S. Tsai's distribution with two exponentials);
    ``energy``: of the radiating electron, or of the member of the pair.
    """
    a = 0.625 if rng.random() < 0.25 else 0.625 / 3.0
    u = -math.log((1.0 - rng.random()) * (1.0 - rng.random())) / a
    return min(u * ELECTRON_MASS / energy, math.pi)


@njit(cache=True, nogil=True, error_model="numpy")
def turn(u, v, w, cosine, azimuth):  # type: ignore[no-untyped-def]
    """The direction (u, v, w) turned by a polar angle and an azimuth about itself."""
    cosine = min(max(cosine, -1.0), 1.0)
    sine = math.sqrt(1.0 - cosine * cosine)
    a, b = sine * math.cos(azimuth), sine * math.sin(azimuth)
    transverse = math.sqrt(u * u + v * v)
    if transverse < 1e-12:
        return a, b * (1.0 if w > 0 else -1.0), cosine * (1.0 if w > 0 else -1.0)
    x = u * cosine + (a * u * w - b * v) / transverse
    y = v * cosine + (a * v * w + b * u) / transverse
    z = w * cosine - a * transverse
    norm = 1.0 / math.sqrt(x * x + y * y + z * z)
    return x * norm, y * norm, z * norm
