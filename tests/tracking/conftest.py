"""A toy detector that knows nothing of the package's tracking: it steps through the field itself.

Tracks are stepped with a classical Runge-Kutta method; scattering, resolution and strips are
drawn from textbook formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import moyal

from na64reco.calibration import (
    CellConditions,
    Conditions,
    StrawConditions,
    StripConditions,
)
from na64reco.events import Hits
from na64reco.setup import Setup, load_setup

if TYPE_CHECKING:
    from numpy.typing import NDArray

C = 0.299792458e-3  # GeV/c per T mm
PROJECTIONS = "XYUV"
RESOLUTION = {"mm": 0.072, "gem": 0.08}


def _derivative(s: NDArray[np.float64], b: float, k: float) -> NDArray[np.float64]:
    tx, ty, qp = s[:, 2], s[:, 3], s[:, 4]
    root = np.sqrt(1 + tx**2 + ty**2)
    bend = -C * qp * root * b
    loss = np.sign(qp) * k * b**2 * root  # dE/ds = -k E^2 B^2
    return np.stack([tx, ty, bend * (1 + tx**2), bend * tx * ty, loss], axis=1)


def runge_kutta(s: NDArray[np.float64], length: float, b: float, steps: int = 200, k: float = 0.0):
    """Through a uniform field By = b over ``length`` mm."""
    h = length / steps
    for _ in range(steps):
        k1 = _derivative(s, b, k)
        k2 = _derivative(s + h / 2 * k1, b, k)
        k3 = _derivative(s + h / 2 * k2, b, k)
        k4 = _derivative(s + h * k3, b, k)
        s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return s


def theta0(x0: float) -> float:
    """Highland's formula at 1 GeV/c."""
    return 0.0136 * np.sqrt(x0) * (1 + 0.038 * np.log(x0))


@dataclass
class Truth:
    """States of all tracks at the planes that measure, in a dictionary by plane."""

    first: NDArray[np.float64]
    ecal: NDArray[np.float64]
    u: dict[tuple[str, int, int], NDArray[np.float64]] = field(default_factory=dict)


class Toy:
    def __init__(
        self, setup: Setup, seed: int = 1, material: bool = True, loss: float = 0.0
    ) -> None:
        self.setup = setup
        self.random = np.random.default_rng(seed)
        self.material = material
        self.loss = loss

    def states(self, n: int, momentum: float, charge: int = -1, spread: float = 0.0):
        """Beam particles at the first plane."""
        r = self.random
        p = momentum * (1 + spread * r.normal(size=n))
        return np.stack(
            [
                6.0 * r.normal(size=n),
                6.0 * r.normal(size=n),
                2e-4 * r.normal(size=n),
                2e-4 * r.normal(size=n),
                charge / p,
            ],
            axis=1,
        )

    def planes(self):
        for s in self.setup.stations.values():
            if s.technology in RESOLUTION:
                for p, angle in s.angles.items():
                    yield (
                        s,
                        (s.technology, s.number, PROJECTIONS.index(p)),
                        s.projection_z(p),
                        (np.radians(angle)),
                    )

    def track(self, s: NDArray[np.float64], rotate: dict | None = None) -> Truth:
        """Send states at the first plane through the setup; u in the station frame."""
        setup = self.setup
        things = [(z, 0, (st, key, angle)) for st, key, z, angle in self.planes()]
        things += [(m.start, 1, m) for m in setup.magnets.values()]
        if self.material:
            first = min(t[0] for t in things)
            layers = [(x.z, x.thickness_x0) for x in setup.stations.values()]
            layers += [(x.z, x.thickness_x0) for x in setup.passive.values()]
            layers += [(x.z, x.thickness_x0) for x in setup.counters.values() if not x.hole]
            things += [(z, 2, t) for z, t in layers if first < z < setup.ecal.z]
        things.sort(key=lambda t: t[:2])
        truth = Truth(s.copy(), s)
        z = things[0][0]
        for where, kind, what in things:
            s = s.copy()
            s[:, :2] += s[:, 2:4] * (where - z)
            z = where
            if kind == 0:
                station, key, angle = what
                angle = angle + (rotate or {}).get(key, 0.0)
                truth.u[key] = (s[:, 0] - station.x) * np.cos(angle) + (
                    s[:, 1] - station.y
                ) * np.sin(angle)
            elif kind == 1:
                s = runge_kutta(s, what.length, what.field, k=self.loss)
                z = what.end
            else:
                s[:, 2:4] += theta0(what) * np.abs(s[:, 4:]) * self.random.normal(size=(len(s), 2))
        s = s.copy()
        s[:, :2] += s[:, 2:4] * (setup.ecal.z - z)
        truth.ecal = s
        return truth

    def smear(self, truth: Truth, inefficiency: float = 0.0):
        """Measured u by plane, NaN where the plane was blind."""
        measured = {}
        for key, u in truth.u.items():
            v = u + RESOLUTION[key[0]] * self.random.normal(size=len(u))
            v[self.random.random(len(u)) < inefficiency] = np.nan
            measured[key] = v
        return measured

    def hits(self, measured, *, events=None, n=None, noise=0.0, time=0.0, width=8.0, sharing=None):
        """Strips of all measurements: {"mm": Hits, "gem": Hits}.

        Each measurement becomes four strips whose centroid is the measured position. ``events``
        says which event a track belongs to (default: one each); ``noise``: mean number of noise
        clusters (one or two strips anywhere) per plane. With ``sharing`` the charges follow
        Moyal's distribution, one draw per chamber; x and y differ by ``sharing`` (rms).
        """
        size = len(next(iter(measured.values())))
        events = np.arange(size) if events is None else events
        n = size if n is None else n
        rows = {"mm": [], "gem": []}
        r = self.random
        ionisation = {}
        for station, key, _, _ in self.planes():
            u = measured[key]
            charge = np.full(size, 1000.0)
            if sharing is not None:
                if key[:2] not in ionisation:
                    drawn = 1 + 0.25 * moyal.rvs(size=size, random_state=r)
                    ionisation[key[:2]] = np.maximum(drawn, 0.1)
                charge *= ionisation[key[:2]] * (1 + sharing * r.normal(size=size) / np.sqrt(2))
            position = u / station.pitch + (station.channels - 1) / 2
            inside = np.isfinite(position) & (position > 2) & (position < station.channels - 3)
            k = np.floor(np.where(inside, position, 0)).astype(int)
            f = np.where(inside, position, 0) - k
            t0 = time + width * r.normal(size=size)
            shares = [0.2 * (1 - f), 0.6 * (1 - f) + 0.2 * f, 0.2 * (1 - f) + 0.6 * f, 0.2 * f]
            for i, share in enumerate(shares):
                good = inside & (share > 1e-9)
                rows[key[0]].append(
                    (events, key[1:], k + i - 1, charge * share, t0, good),
                )
            for e in np.repeat(np.arange(n), r.poisson(noise, n)):
                s = r.integers(0, station.channels)
                rows[key[0]].append(
                    (
                        np.array([e]),
                        key[1:],
                        np.array([s]),
                        np.array([300.0]),
                        np.array([width * r.normal()]),
                        np.array([True]),
                    )
                )
        return {t: pack(parts, n, self.random) for t, parts in rows.items()}


def pack(parts, n: int, random) -> Hits:
    event = np.concatenate([p[0][p[5]] for p in parts])
    station = np.concatenate([np.full(p[5].sum(), p[1][0]) for p in parts])
    projection = np.concatenate([np.full(p[5].sum(), p[1][1]) for p in parts])
    strip = np.concatenate([p[2][p[5]] for p in parts])
    charge = np.concatenate([p[3][p[5]] for p in parts])
    time = np.concatenate([p[4][p[5]] for p in parts])
    order = np.lexsort((random.random(len(event)), event))  # unsorted within the event
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(event, minlength=n), out=offsets[1:])
    return Hits(
        offsets,
        {
            "station": station[order].astype(np.uint8),
            "projection": projection[order].astype(np.uint8),
            "strip": strip[order].astype(np.uint16),
            "charge": charge[order].astype(np.float32),
            "time": time[order].astype(np.float32),
        },
    )


def make_conditions(setup: Setup, **changes) -> Conditions:
    nothing = CellConditions(*(np.zeros(1) for _ in range(4)))
    strips: dict[str, dict] = {"mm": {}, "gem": {}}
    straws = {}
    for s in setup.stations.values():
        for p in s.angles:
            number = PROJECTIONS.index(p)
            if s.technology in strips:
                strips[s.technology][s.number, number] = StripConditions(
                    min_charge=0.001, time=0.0, time_width=8.0, resolution=RESOLUTION[s.technology]
                )
            elif s.technology == "straw":
                for layer in range(s.layers):
                    straws[s.number, number, layer] = StrawConditions(
                        t0=10.0, time_max=60.0, rt=(0.0, 3.0), resolution=0.2
                    )
    values = {
        "setup": setup.name,
        "runs": setup.runs,
        "ecal": nothing,
        "hcal": nothing,
        "srd": nothing,
        "veto": nothing,
        "counters": nothing,
        "mm": strips["mm"],
        "gem": strips["gem"],
        "straw": straws,
        "alignment": {},
        "bad_runs": frozenset(),
        "bad_spills": frozenset(),
        "shower_profile": {},
        "digest": "",
    }
    return Conditions(**{**values, **changes})


def particle(setup: Setup, name: str) -> Setup:
    """The same setup for another beam particle: a muon does not radiate in the magnets."""
    return setup.model_copy(update={"beam": setup.beam.model_copy(update={"particle": name})})


def wide(setup: Setup) -> Setup:
    """Planes wide enough for every momentum above 3 GeV/c."""
    stations = {
        n: s.model_copy(update={"channels": 60000} if s.technology in RESOLUTION else {})
        for n, s in setup.stations.items()
    }
    return setup.model_copy(update={"stations": stations})


@dataclass(frozen=True)
class Tools:
    toy: type[Toy] = Toy
    conditions: object = staticmethod(make_conditions)
    particle: object = staticmethod(particle)
    wide: object = staticmethod(wide)
    pack: object = staticmethod(pack)
    runge_kutta: object = staticmethod(runge_kutta)
    theta0: object = staticmethod(theta0)
    resolution: object = field(default_factory=lambda: RESOLUTION)


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()


@pytest.fixture(scope="session")
def setup() -> Setup:
    """2022-electron with a beam that does not radiate, as the toy."""
    return particle(load_setup("2022-electron"), "muon")


@pytest.fixture(scope="session")
def conditions(setup) -> Conditions:
    return make_conditions(setup)
