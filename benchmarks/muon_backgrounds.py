"""Backgrounds of the muon mode per muon on target: see `benchmarks.backgrounds`.

[22m] is arXiv:2110.15111, [24m] arXiv:2401.01708; the setup is that of 2022.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import erfc

from na64reco.cascade.muon_pairs import muon_pair_angles, muon_pair_total, sample_share
from na64reco.cascade.muon_radiation import spectrum
from na64reco.constants import ALPHA, ELECTRON_MASS, KAON_MASS, MUON_MASS
from na64reco.materials import find_material
from na64reco.setup import load_setup
from na64reco.simulation.decays import SPECIES, Particle, decay, decay_probability
from na64reco.simulation.delta import delta_electrons, delta_surfaces, knock_on_number
from na64reco.simulation.geometry import section_frame
from na64reco.simulation.interactions import interacting_less
from na64reco.simulation.nuclear import fragments, momentum_of, transverse_momenta
from na64reco.simulation.tracks import MUON, PHOTON, Tracks
from na64reco.simulation.transport import beamline

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEAM = 160.0  # GeV
LIMIT = 80.0  # GeV, largest momentum behind the target
SPOT = (9.0, 19.0)  # mm at the ECAL [24m]
KICK = 0.299792458 * 1.4  # GeV/c, MS2
INEFFICIENCY = 0.02  # of a Micromegas [22m]
TRIGGER = 4e-4  # muons that trigger, of those in the beam [24m]


def mean_and_error(values: NDArray[np.float64]) -> list[float]:
    """Mean and its statistical error."""
    return [float(values.mean()), float(values.std() / np.sqrt(len(values)))]


class Behind:
    """Geometry behind the target of the muon mode: hole, VETO, gap of MS2, HCAL, counters."""

    def __init__(self, *, yoke: bool = True, hole: float | None = None) -> None:
        self.setup = load_setup("2022-muon-152")
        self.yoke = yoke
        """Whether what misses the gap of MS2 is lost, without a trace."""
        vhcal = self.setup.vhcal
        assert vhcal is not None
        self.half, self.hole = 2 * vhcal.cell_x, vhcal.cell_x if hole is None else hole
        """Half the sizes of the VHCAL and of its hole, mm."""

    def zero(self, z: float) -> float:
        """x of the undeflected beam, mm."""
        return self.setup.ecal.x + self.setup.ecal.slope_x * (z - self.setup.ecal.z)

    def start(self, rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
        """x, y relative to the zero line at the ECAL, slopes relative to it, shape (4, rows)."""
        return np.vstack((*(s * rng.standard_normal(rows) for s in SPOT), np.zeros((2, rows))))

    def at(
        self, state: NDArray[np.float64], momentum: NDArray[np.float64],
        charge: NDArray[np.int8], z: float,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:  # fmt: skip
        """x and y relative to the zero line, and whether they fit through the gap of MS2."""
        x, y, tx, ty = state
        magnet, face = self.setup.magnets["MS2"], self.setup.ecal.z
        inside = np.ones(len(x), np.bool_)
        kick = np.zeros(len(x))
        if z > magnet.end:
            # A negative particle is sent to -x; the sagitta is centred.
            kick = charge * KICK / momentum
            for edge, part in ((magnet.start, 0.0), (magnet.end, 0.5)) if self.yoke else ():
                there = x + (edge - face) * tx + part * kick * magnet.length
                inside &= np.abs(there) < magnet.gap_x / 2
                inside &= np.abs(y + (edge - face) * ty) < magnet.gap_y / 2
        lever = max(z - magnet.z, 0.0)
        return x + (z - face) * tx + lever * kick, y + (z - face) * ty, inside

    def passing_hcal(
        self, state: NDArray[np.float64], momentum: NDArray[np.float64],
        kind: NDArray[np.int8], charge: NDArray[np.int8],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        """Chances that a hadron misses both HCAL modules, or goes through those that it hits."""
        longer = interacting_less(self.setup.hcal.sampling)[kind]
        lengths = np.zeros(len(kind))
        for name in self.setup.hcal.sections:
            frame = section_frame(self.setup.hcal, name)
            x, y, inside = self.at(state, momentum, charge, frame.z)
            hit = inside & (np.abs(x + self.zero(frame.z) - frame.x) < frame.half_x)
            hit &= np.abs(y) < frame.half_y
            lengths += np.where(hit, self.setup.hcal.interaction_lengths / longer, 0.0)
        missed = lengths == 0
        return missed * 1.0, np.where(missed, 0.0, np.exp(-lengths))

    def passing_target(
        self, state: NDArray[np.float64], depth: NDArray[np.float64], kind: NDArray[np.int8]
    ) -> NDArray[np.float64]:
        """Chance to leave the ECAL from a depth, and to miss or pass the VHCAL."""
        ecal, vhcal = self.setup.ecal, self.setup.vhcal
        assert vhcal is not None
        lengths = (1 - depth) * ecal.interaction_lengths / interacting_less(ecal.sampling)[kind]
        x, y = np.abs(state[:2] + (vhcal.z + 400 - ecal.z) * state[2:])
        hit = (np.maximum(x, y) < self.half) & (np.maximum(x, y) > self.hole)
        own = vhcal.interaction_lengths / interacting_less(vhcal.sampling)[kind]
        return np.exp(-lengths - np.where(hit, own, 0.0))


behind = cache(Behind)


def _target_grams() -> tuple[tuple[str, float], ...]:
    sampling = behind().setup.ecal.sampling
    return (
        ("lead", 0.1 * sampling.layers * sampling.absorber_thickness * 11.35),
        ("polystyrene", 0.1 * sampling.layers * sampling.scintillator_thickness * 1.06),
    )


def _losses(process: str, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transfers above ``least`` of 160 GeV muons in the ECAL: grid, number per GeV."""
    nu = np.linspace(least, BEAM - 1, 800)
    number = [grams * spectrum(process, BEAM, nu, find_material(m)) for m, grams in _target_grams()]
    return nu, np.sum(number, axis=0)


def _draw(rng: np.random.Generator, grid: Any, density: Any, rows: int) -> tuple[float, Any]:
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(grid)
    running = np.concatenate(([0.0], np.cumsum(steps)))
    return float(running[-1]), np.interp(rng.random(rows) * running[-1], running, grid)


def hermeticity(reactions: int = 1_000_000) -> dict[str, Any]:
    """Nuclear interactions of muons in the ECAL that leave them below 80 GeV, and lost hadrons.

    Each hadron of more energy than may be seen must be lost: out of the ECAL, past the VHCAL, and
    past the HCAL or through it. The chances of all of an event multiply; softer ones are drawn.
    Visible may be 12 GeV [24m] less 6.5 of the muon itself. A hadron that misses the gap of MS2 is
    lost in its yoke; other setups have no yoke, or a VHCAL with a hole of 80 mm.
    """
    return {
        "as assumed": _lost_hadrons(Behind(), 4 * reactions),
        "hole of 80 mm": _lost_hadrons(Behind(hole=40.0), reactions),
        "no yoke": _lost_hadrons(Behind(yoke=False), reactions),
    }


def _lost_hadrons(where: Behind, reactions: int) -> dict[str, Any]:
    """Rates per muon: past the HCAL, and through it, with and without the VETO."""
    rng, allowed = np.random.default_rng(3), 12.0 - 6.5
    grid, density = _losses("nuclear", LIMIT)
    rate, photon = _draw(rng, grid, density, reactions)
    reaction, kind, charge, taken = fragments(rng, photon)
    energy = taken * photon[reaction]
    momentum = np.maximum(momentum_of(kind, energy), 1e-3)
    pt, phi = transverse_momenta(rng, reaction, taken)
    angle = np.minimum(pt / momentum, 1.0)
    state = where.start(rng, reactions)[:, reaction]
    state[2:] = angle * np.cos(phi), angle * np.sin(phi)
    out = where.passing_target(state, rng.random(reactions)[reaction], kind)
    missed, through = where.passing_hcal(state, momentum, kind, charge)
    light = kind == PHOTON
    missed, through = (np.where(light, 0.0, out * p) for p in (missed, through))
    veto = where.setup.veto
    assert veto is not None
    drift = veto.z - where.setup.ecal.z
    at_veto = np.abs(state[:2] + drift * state[2:]).max(axis=0) < veto.bar_length / 2
    leading = np.zeros(reactions, np.bool_)
    leading[reaction[~light & (energy >= LIMIT)]] = True
    result: dict[str, Any] = {
        "interactions that take 80 GeV": rate,
        "leading hadron of 80 GeV": rate * float(leading.mean()),
    }
    hard = energy > allowed
    charged = (charge != 0) & at_veto
    for name, seen in (("any VETO", np.zeros_like(charged)), ("VETO of one particle", charged)):
        no = np.where(seen, 0.0, 1.0)
        soft_lost = rng.random(len(kind)) < (missed + through) * no
        # What the VETO has seen is out, however soft.
        flagged = seen & (rng.random(len(kind)) < out)
        visible = np.bincount(reaction, energy * (~hard & ~soft_lost), reactions)
        good = (visible < allowed) & (np.bincount(reaction, flagged, reactions) == 0)
        with np.errstate(divide="ignore"):
            logs = [np.where(hard, np.log(p * no), 0.0) for p in (missed, missed + through)]
        geometry, total = (np.exp(np.bincount(reaction, log, reactions)) for log in logs)
        result[name] = {
            "past the HCAL": [rate * v for v in mean_and_error(geometry * good)],
            "through the HCAL": [rate * v for v in mean_and_error((total - geometry) * good)],
        }
    return result


def dimuons(rows: int = 1_000_000) -> dict[str, Any]:
    """mu N -> mu N gamma, gamma -> mu mu: photons of 80 GeV, and two of the three muons lost.

    A photon flies 9/7 radiation lengths of lead before it would make an electron pair. Lost is what
    misses the first module of the HCAL; a magnet's yoke does not stop muons.
    """
    where, rng = behind(), np.random.default_rng(4)
    element = find_material("lead").composition[0][0]
    per_path = 6.02214076e23 / element.a * 9 / 7 * 6.37
    yields = {}
    for least in (10.0, LIMIT):
        grid, density = _losses("brems", least)
        density = density * muon_pair_total(grid, element) * per_path
        yields[least], photon = _draw(rng, grid, density, rows)
    share = sample_share(rng, photon, element)
    plus_x, plus_y, minus_x, minus_y = muon_pair_angles(rng, photon, share, element)
    start = where.start(rng, rows)
    lost, momenta = [], []
    zero = np.zeros(rows)
    for energy, charge, sx, sy in (
        (photon * share, 1, plus_x, plus_y),
        (photon * (1 - share), -1, minus_x, minus_y),
        (BEAM - photon, -1, zero, zero),
    ):
        p = np.sqrt(np.maximum(energy**2 - MUON_MASS**2, 1e-4))
        scatter = 0.0136 / p * np.sqrt(20) * (1 + 0.038 * np.log(20))
        state = start.copy()
        state[2] = np.clip(sx, -1, 1) + scatter * rng.standard_normal(rows)
        state[3] = np.clip(sy, -1, 1) + scatter * rng.standard_normal(rows)
        frame = section_frame(where.setup.hcal, "module0")
        x, y, _ = where.at(state, p, np.full(rows, charge, np.int8), frame.z)
        inside = np.abs(x + where.zero(frame.z) - frame.x) < frame.half_x
        inside &= np.abs(y) < frame.half_y
        lost.append(~inside)
        momenta.append(p)
    gone, p = np.array(lost), np.array(momenta)
    count = gone.sum(axis=0)
    one = (count == 2) & (np.where(gone, 0.0, p).max(axis=0) < LIMIT)
    return {
        "pairs from photons above 10 GeV": yields[10.0],
        "pairs from photons above 80 GeV": yields[LIMIT],
        "one of the three lost": yields[LIMIT] * float((count == 1).mean()),
        "two lost, the third below 80 GeV": yields[LIMIT] * float(one.mean()),
        "the same at 90 % confidence below": yields[LIMIT] * (one.sum() + 2.3) / rows,
    }


def _triggers(
    state: NDArray[np.float64], momentum: NDArray[np.float64], charge: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Whether muons hit S4 and Smu."""
    where, found = behind(), np.ones(len(momentum), np.bool_)
    for name in ("S4", "Smu"):
        counter = where.setup.counters[name]
        x, y, inside = where.at(state, momentum, charge, counter.z)
        found &= inside & (np.abs(x + where.zero(counter.z) - counter.x) < counter.width / 2)
        found &= np.abs(y - counter.y) < counter.height / 2
    return found


def _scattered(
    rng: np.random.Generator, state: NDArray[np.float64], momentum: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Directions behind the 40 radiation lengths of the ECAL (Highland)."""
    rms = 0.0136 / momentum * np.sqrt(40) * (1 + 0.038 * np.log(40))
    turned = state.copy()
    turned[2:] += rms * rng.standard_normal(state[2:].shape)
    return turned


def in_flight(rows: int = 1_000_000) -> dict[str, Any]:
    """Kaons of 160 GeV that decay to muons of less than 80 GeV between MS1 and the ECAL."""
    where, rng = behind(), np.random.default_rng(5)
    kaon, ratio = SPECIES["kaon"], 0.6356
    momentum = np.array([BEAM])
    low = BEAM * (MUON_MASS / KAON_MASS) ** 2  # the spectrum is flat from here on
    whole = float(decay_probability(kaon, momentum, 36e3)[0]) * ratio
    path = where.setup.ecal.z - max(s.z for s in where.setup.stations_of("bms").values())
    near = float(decay_probability(kaon, momentum, path)[0])
    parent = np.tile([np.hypot(BEAM, KAON_MASS), 0, 0, BEAM], (rows, 1))
    products = decay(rng, kaon, parent, np.full(rows, -1, np.int8))
    muons = products.particle == Particle.MUON
    four, of = products.momentum[muons], products.parent[muons]
    p = np.linalg.norm(four[:, 1:], axis=1)
    # The hadronic partners of a muon would be seen: mu nu alone.
    alone = np.bincount(products.parent[products.particle != Particle.NEUTRINO], minlength=rows)
    soft = (p < LIMIT) & (alone[of] == 1)
    p, four = p[soft], four[soft]
    state = where.start(rng, len(p))
    slopes = four[:, 1:3].T / four[:, 3]
    # Where it decays, it starts on the beam.
    state[:2] += rng.uniform(0, path, len(p)) * slopes
    state[2:] += slopes
    charge = np.full(len(p), -1, np.int8)
    accepted = _triggers(_scattered(rng, state, p), p, charge)
    chain = near * len(p) / rows
    return {
        "K -> mu nu over 36 m": whole,
        "the same below 100 GeV": whole * (100 - low) / (BEAM - low),
        "path behind MS1, m": path / 1000,
        "K -> mu nu there, below 80 GeV": chain,
        "and S4, Smu hit": chain * float(accepted.mean()),
        "per MOT, kaons 3e-8 [22m]": 3e-8 * chain,
        "per MOT with the trigger": 3e-8 * chain * float(accepted.mean()),
    }


def mismatch() -> dict[str, Any]:
    """160 GeV muons measured below 80 GeV in MS2, from closed forms.

    A kink in the air of the magnet looks like a bend: single scattering off protons, dN = 2 chi_c^2
    / (Z + 1) dtheta / theta^3 with the dipole form factor (chi_c as in `benchmarks.tails`), to the
    right side. A knock-on electron stands for a muon that all three Micromegas miss. Radiation of
    80 GeV before the magnet is no mismatch: the photon ends in the HCAL.
    """
    setup = behind().setup
    magnet = setup.magnets["MS2"]
    air = setup.passive["air_ms2"]
    length = air.thickness_x0 * min(magnet.length / 3000.0, 1.0)  # 3 m of air
    least = KICK / LIMIT - KICK / BEAM
    logarithm = np.log(183 * 7.2 ** (-1 / 3))
    chi2 = np.pi * ELECTRON_MASS**2 * length / (ALPHA * logarithm * BEAM**2)
    angle = np.geomspace(least, 1.0, 2000)
    form = (1 + (BEAM * angle) ** 2 / 0.71) ** -4
    # Angles in space whose projection is large enough, on one side.
    side = np.arccos(np.minimum(least / angle, 1.0)) / np.pi
    kinks = np.trapezoid(2 * chi2 / 8.2 / angle**3 * form * side, angle)

    thin: list[Any] = [*setup.stations.values(), *setup.passive.values()]
    grams = sum(25.0 * p.thickness_x0 for p in thin if setup.ecal.z < p.z < magnet.end)
    thick = grams + 6.37 + (5.3 if setup.veto else 0.0)
    momentum, mass = np.array([BEAM]), np.array([MUON_MASS])
    many = [
        thick * float(knock_on_number(momentum, mass, edge, 0.45)[0]) for edge in (1.0, 6.5, LIMIT)
    ]
    stations = sum(1 for s in setup.stations_of("mm").values() if s.z > magnet.end)
    missed = INEFFICIENCY**stations
    nu = np.linspace(LIMIT, BEAM - 1, 400)
    material = find_material("air")
    hard = sum(
        float(np.trapezoid(spectrum(process, BEAM, nu, material), nu))
        for process in ("brems", "pair", "knock-on", "nuclear")
    )
    # The true momentum of a muon that MS1 measures above 140 GeV and MS2 below 80.
    true = np.linspace(LIMIT, BEAM, 161)
    tails = [
        0.5 * erfc(np.maximum(away, 0.0) / np.sqrt(2))
        for away in ((1 - true / 140) / 0.038, (true / LIMIT - 1) / 0.044)
    ]
    return {
        "resolution of 4.4 %": float(tails[1][-1]),
        "resolutions, at the worst true momentum": float((tails[0] * tails[1]).max()),
        "kinks in the air of the magnet": kinks,
        "kinks, with the share that triggers": kinks * TRIGGER,
        "electrons of 1-80 GeV before the end of MS2": many[0] - many[2],
        "and no hit of the muon in MM5-7": (many[0] - many[2]) * missed,
        "and less than 6.5 GeV more in the HCAL": (many[0] - many[1]) * missed,
        "the same, with the share that triggers": (many[0] - many[1]) * missed * TRIGGER,
        "loses 80 GeV before the magnet's end (seen in the HCAL)": hard * grams,
    }


def false_triggers(rows: int = 300_000, least: float = 0.002) -> dict[str, Any]:
    """Undeflected muons whose delta electrons hit S4 and Smu."""
    where, rng = behind(), np.random.default_rng(6)
    setup, line = where.setup, beamline(where.setup)
    charge, p = np.full(rows, -1, np.int8), np.full(rows, BEAM)
    state = _scattered(rng, where.start(rng, rows), p)
    tracks = Tracks.make(
        rows, event=np.arange(rows), kind=MUON, charge=-1, momentum=BEAM, z_start=setup.ecal.z
    )
    shape = (rows, len(line.z))
    paths = SimpleNamespace(
        x=np.full(shape, np.nan), y=np.full(shape, np.nan), momentum=p,
        tx=np.tile(state[2, :, None] + setup.ecal.slope_x - KICK / BEAM, (1, len(line.z))),
        ty=np.tile(state[3, :, None], (1, len(line.z))),
    )  # fmt: skip
    behind_ms2 = np.flatnonzero(line.z > setup.magnets["MS2"].end)
    layers = [line.names[i] for i in behind_ms2 if line.z[i] < setup.counters["S4"].z]
    for surface in behind_ms2:
        z = float(line.z[surface])
        x, paths.y[:, surface], _ = where.at(state, p, charge, z)
        paths.x[:, surface] = x + where.zero(z)

    def fired(name: str, surfaces: list[str]) -> NDArray[np.bool_]:
        counter = setup.counters[name]
        electrons = delta_electrons(rng, setup, line, tracks, paths, surfaces=surfaces, least=least)  # type: ignore[arg-type]
        path = counter.z - electrons.z_start
        dx = electrons.x + path * electrons.tx - counter.x
        dy = electrons.y + path * electrons.ty - counter.y
        hit = (path > 0) & (np.abs(dx) < counter.width / 2) & (np.abs(dy) < counter.height / 2)
        found = np.zeros(rows, np.bool_)
        found[electrons.event[hit]] = True
        return found

    s4 = fired("S4", layers)
    smu = fired("Smu", [sorted(n for n in delta_surfaces(setup) if n.startswith("hcal."))[-1]])
    return {
        "S4 and Smu by the muon": float(_triggers(state, p, charge).mean()),
        "S4 by electrons": float(s4.mean()),
        "Smu by electrons": float(smu.mean()),
        "both": float(s4.mean() * smu.mean()),
    }
