"""Particles that lose energy on their way: photons and knock-on electrons one by one.

Nothing of the package's tracking: synchrotron photons are drawn from their spectrum along a
Runge-Kutta way, ionisation is a steady loss and single knock-on electrons, bremsstrahlung photons
have the spectrum of complete screening (Particle Data Group 2024, eq. 34.29).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import cumulative_trapezoid
from scipy.special import kv

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASS = {"electron": 0.51099895e-3, "muon": 0.1056583755}
GRAMS = 40.0  # g/cm^2 in a radiation length of mylar
PLATEAU = 2.5e-3  # GeV cm^2/g: mean loss of fast particles in it
KNOCK_ON = 0.307075e-3 / 2 * 0.52  # GeV cm^2/g: dN/dT of knock-on electrons times T^2
LEAST = 1e-4  # GeV: the softest one that is drawn
SOFTEST = 1e-4  # share of the energy of the softest bremsstrahlung photon
SLOWEST = 3.0  # GeV
STEPS = 40  # per magnet


@cache
def synchrotron_spectrum() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies in units of the critical one, and the share of photons below."""
    x = np.geomspace(1e-9, 40, 4000)
    # number of photons: the integral of K_5/3 from x on
    tail = -cumulative_trapezoid((kv(5 / 3, x) * x)[::-1], np.log(x)[::-1], initial=0)[::-1]
    below = cumulative_trapezoid(tail * x, np.log(x), initial=0)
    return x, below / below[-1]


def lose(s, energy):
    """States after each has lost so much; slower ones would turn back in a magnet."""
    s = s.copy()
    p = 1 / np.abs(s[:, 4])
    s[:, 4] *= p / np.maximum(p - energy, SLOWEST)
    return s


def ionise(s, thickness, mass, random):
    p = 1 / np.abs(s[:, 4])
    energy = np.hypot(p, mass)
    ratio = 0.51099895e-3 / mass
    most = 2 * 0.51099895e-3 * (p / mass) ** 2 / (1 + 2 * energy / mass * ratio + ratio**2)
    most = energy / 2 if mass < 1e-3 else most  # electrons cannot be told apart
    grams = GRAMS * thickness
    number = random.poisson(KNOCK_ON * grams * (1 / LEAST - 1 / most))
    owner = np.repeat(np.arange(len(s)), number)
    share = random.random(len(owner))
    knocked = 1 / (1 / LEAST - share * (1 / LEAST - 1 / most[owner]))
    steady = grams * (PLATEAU - KNOCK_ON * np.log(most / LEAST))
    return lose(s, steady + np.bincount(owner, knocked, len(s)))


def radiate(s, thickness, random):
    """Bremsstrahlung of electrons."""
    number = random.poisson(thickness * 4 / 3 * np.log(1 / SOFTEST), len(s))
    owner = np.repeat(np.arange(len(s)), number)
    y = SOFTEST ** random.random(len(owner))
    y[random.random(len(y)) > 1 - y + 0.75 * y * y] = 0.0
    kept = np.exp(np.bincount(owner, np.log1p(-np.minimum(y, 1 - 1e-9)), len(s)))
    return lose(s, (1 - kept) / np.abs(s[:, 4]))


def bend(tools, s, magnet, mass, random):
    """Through a magnet with photons on the way."""
    x, below = synchrotron_spectrum()
    step = magnet.length / STEPS
    for _ in range(STEPS):
        s = tools.runge_kutta(s, step, magnet.field, steps=1)
        p = 1 / np.abs(s[:, 4])
        angle = 0.299792458e-3 * abs(magnet.field) * step / p
        gamma = p / mass
        number = random.poisson(5 / (2 * np.sqrt(3)) / 137.036 * gamma * angle)
        owner = np.repeat(np.arange(len(s)), number)
        # 3/2 hbar c gamma^3 / rho
        critical = 1.5 * 0.1973269804e-12 * gamma**3 * angle / step
        photons = critical[owner] * np.interp(random.random(len(owner)), below, x)
        s = lose(s, np.bincount(owner, photons, len(s)))
    return s


def walk(tools, toy, s, particle, *, bremsstrahlung=False):
    """As `Toy.track`, with losses."""
    setup, random, mass = toy.setup, toy.random, MASS[particle]
    things = [(z, 0, (st, key, angle)) for st, key, z, angle in toy.planes()]
    things += [(m.start, 1, m) for m in setup.magnets.values()]
    first = min(t[0] for t in things)
    parts = [*setup.stations.values(), *setup.passive.values()]
    parts += [c for c in setup.counters.values() if not c.hole]
    things += [(p.z, 2, p.thickness_x0) for p in parts if first < p.z < setup.ecal.z]
    u, z = {}, first
    for where, kind, what in sorted(things, key=lambda t: t[:2]):
        s = s.copy()
        s[:, :2] += s[:, 2:4] * (where - z)
        z = where
        if kind == 0:
            station, key, angle = what
            u[key] = (s[:, 0] - station.x) * np.cos(angle) + (s[:, 1] - station.y) * np.sin(angle)
        elif kind == 1:
            s, z = bend(tools, s, what, mass, random), what.end
        else:
            s[:, 2:4] += tools.theta0(what) * np.abs(s[:, 4:]) * random.normal(size=(len(s), 2))
            s = ionise(s, what, mass, random)
            if bremsstrahlung:
                s = radiate(s, what, random)
    s = s.copy()
    s[:, :2] += s[:, 2:4] * (setup.ecal.z - z)
    return u, s
