"""The same tracks for ACTS' Kalman fitter: a telescope of planes about one dipole.

ACTS (pyacts) is handed the measurements and the first guesses of tracks, not its own simulation,
so each track can be compared with what our fit makes of it. Our (z, x, y) is its (x, y, z): its
(phi, theta) are singular along its z axis. Its adaptive stepper would jump over a magnet with sharp
edges: the field rises over `RAMP`, and empty surfaces make the stepper stop before and behind.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from na64reco.calibration import CellConditions, Conditions, StripConditions
from na64reco.setup import load_setup
from na64reco.setup.model import Magnet, Passive, Setup, Spectrometer, Station
from na64reco.tracking.layout import Layout, make_layout
from na64reco.tracking.planes import Planes, strip_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEFORE = (-7000.0, -6000.0, -5000.0, -4000.0, -3000.0)
BEHIND = (3000.0, 4500.0, 6000.0, 8000.0, 10000.0)
LENGTH, FIELD = 4000.0, 1.75  # mm, T: 7 T m
RAMP, RAMP_STEPS = 50.0, 40
RESOLUTION = 0.1  # mm
SILICON = 0.3  # mm in every plane, ACTS' own material of a telescope
SILICON_X0 = 93.70  # mm, Particle Data Group 2024
# Where the stepper has to stop: these carry the same silicon, in both programs.
EDGES = tuple(side * (LENGTH / 2 + RAMP / 2 + 1) for side in (-1, 1))
START = BEFORE[0] - 10.0  # where ACTS' tracks begin and end, mm
BATCH = 500  # tracks in one event of ACTS
# Variances, mm^2 and rad^2, and rms of q/p relative to itself: they add nothing to what is
# measured (0.1 mm over metres), but ACTS loses its numerical precision with much larger ones.
FIRST_GUESS = (1e2, 1e2, 1e-4, 1e-4)
FIRST_MOMENTUM = 1.0


@dataclass(frozen=True)
class Telescope:
    """Our description of it."""

    setup: Setup
    planes: Planes
    layout: Layout
    both: bool
    """Every plane measures x and y; otherwise they take turns, x first."""
    silicon: float = SILICON
    """Of every plane, mm."""


@dataclass(frozen=True)
class ActsFits:
    """What ACTS' fitter returns, in the order of the tracks."""

    states: NDArray[np.float64]
    """(x, y, tx, ty, q/p) at the first plane, shape (tracks, 5), mm and c/GeV."""
    qp_error: NDArray[np.float64]
    chi2: NDArray[np.float64]
    measurements: NDArray[np.int64]
    """Planes used."""
    cpu_seconds: NDArray[np.float64]
    """Of the fitting algorithm alone, per batch."""


def make_telescope(*, both: bool, silicon: float = SILICON) -> Telescope:
    """Ten planes about 7 T m, as a setup: through the same door as any other."""
    angles = {"X": 0.0, "Y": 90.0}
    x0 = silicon / SILICON_X0
    stations = {}
    for i, z in enumerate((*BEFORE, *BEHIND)):
        measured = angles if both else {p: angles[p] for p in "XY"[i % 2]}
        stations[f"T{i}"] = Station(
            technology="mm", number=i, z=z, angles=measured, channels=20000, pitch=0.25,
            thickness_x0=x0,
        )  # fmt: skip
    base = load_setup("2022-electron")
    names = list(stations)
    setup = base.model_copy(
        update={
            "beam": base.beam.model_copy(update={"particle": "muon"}),
            "magnets": {"M": Magnet(z=0.0, length=LENGTH, field=FIELD, gap_x=500.0, gap_y=500.0)},
            "stations": stations,
            "spectrometers": {
                "main": Spectrometer(
                    upstream=tuple(names[: len(BEFORE)]),
                    magnets=("M",),
                    downstream=tuple(names[len(BEFORE) :]),
                )
            },
            "passive": {
                f"E{i}": Passive(z=z, thickness_x0=x0, interaction_lengths=0.0)
                for i, z in enumerate(EDGES)
            },
            "counters": {},
            "ecal": base.ecal.model_copy(update={"z": BEHIND[-1] + 100.0}),
        }
    )
    nothing = CellConditions(*(np.zeros(1) for _ in range(4)))
    strip = StripConditions(min_charge=1.0, time=0.0, time_width=8.0, resolution=RESOLUTION)
    conditions = Conditions(
        setup=setup.name, runs=setup.runs, ecal=nothing, hcal=nothing, srd=nothing, veto=nothing,
        counters=nothing, mm={(s.number, "XY".index(p)): strip for s in stations.values()
        for p in s.angles}, gem={}, straw={}, alignment={}, bad_runs=frozenset(),
        bad_spills=frozenset(), shower_profile={}, digest="",
    )  # fmt: skip
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    # It would take the silicon for mylar; who wants losses says so to both fits.
    layout = layout._replace(loss=0 * layout.loss)
    return Telescope(setup, planes, layout, both, silicon)


def make_tracks(
    telescope: Telescope, toy, n: int, momentum: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """True states at the first plane, measurements (n, columns), and first guesses.

    ``toy`` makes the tracks: an object like the `Toy` of the tests, for the telescope's setup.
    """
    truth = toy.track(toy.states(n, momentum))
    p, chosen = telescope.planes, telescope.layout.planes
    names = [("mm", int(p.station[i]), int(p.projection[i])) for i in chosen]
    measured = np.stack([truth.u[name] for name in names], axis=1)
    measured += RESOLUTION * toy.random.normal(size=measured.shape)
    guesses = truth.first.copy()
    guesses[:, 4] *= 1 + 0.02 * toy.random.normal(size=n)
    return truth.first, measured, guesses


def _geometry(acts, examples, silicon):
    """Tracking geometry and its surfaces by their x."""
    positions = sorted((*BEFORE, *BEHIND, *EDGES))
    detector = examples.TelescopeDetector(
        positions=positions, stereos=[0.0] * len(positions), offsets=[0.0, 0.0],
        bounds=[2000.0, 2000.0], thickness=silicon, surfaceType=0, rotDirection=0,
    )  # fmt: skip
    geometry = detector.trackingGeometry()
    context = acts.GeometryContext.dangerouslyDefaultConstruct()
    surfaces = {}
    geometry.visitSurfaces(lambda s: surfaces.__setitem__(s.center(context)[0], s))
    # local axes: l0 is -z and l1 is y of ACTS, which are our -y and x
    one = next(iter(surfaces.values()))
    far = [
        one.localToGlobal(context, acts.Vector2(*a), acts.Vector3(1, 0, 0))
        for a in ((1, 0), (0, 1))
    ]
    assert [list(p)[1:] for p in far] == [[0.0, -1.0], [1.0, 0.0]]
    return detector, geometry, surfaces


def _field(acts):
    wide = (-1e5, 1e5)
    full = FIELD * acts.UnitConstants.T
    inner = LENGTH / 2 - RAMP / 2
    parts = [((-1e5, 1e5), 0.0), ((-inner, inner), full)]
    for k in range(RAMP_STEPS):
        a, b = inner + k * RAMP / RAMP_STEPS, inner + (k + 1) * RAMP / RAMP_STEPS
        value = full * (1 - (k + 0.5) / RAMP_STEPS)
        parts += [((a, b), value), ((-b, -a), value)]
    return acts.MultiRangeBField(
        [(acts.RangeXDDim3(x, wide, wide), acts.Vector3(0, 0, b)) for x, b in parts]
    )


def _write_guesses(folder: Path, seeds: NDArray[np.float64]) -> None:
    """First guesses at the line (perigee) through the first plane's centre, a file per event."""
    names = ("d0", "z0", "phi", "theta", "qop")
    variances = [f"var_{n}" for n in names]
    covariances = [f"cov_{a}{b}" for a in names for b in names if a != b]
    header = ",".join(("trackId", *names, *variances, *covariances))
    x, y, tx, ty, qp = seeds.T
    x, y = x + tx * (START - BEFORE[0]), y + ty * (START - BEFORE[0])
    values = np.zeros((len(seeds), 11 + len(covariances)))
    values[:, 0] = np.arange(len(seeds)) % BATCH
    phi = np.arctan(tx)
    # nearest to the line: x cos(phi), signed as in ACTS: (position x direction) along the line
    values[:, 1] = x * np.cos(phi)
    values[:, 2] = y - x * np.sin(phi) * ty * np.cos(phi)
    values[:, 3] = phi
    values[:, 4] = np.arctan2(np.hypot(1, tx), ty)
    values[:, 5] = qp
    values[:, 6:10] = FIRST_GUESS
    values[:, 10] = (FIRST_MOMENTUM * qp) ** 2
    for event, start in enumerate(range(0, len(seeds), BATCH)):
        np.savetxt(
            folder / f"event{event:09d}-guesses.csv", values[start : start + BATCH], fmt="%.17g",
            delimiter=",", header=header, comments="",
        )  # fmt: skip


def acts_fit(
    telescope: Telescope,
    measured: NDArray[np.float64],
    seeds: NDArray[np.float64],
    *,
    energy_loss: bool = False,
) -> ActsFits:
    """Fit with ACTS' Kalman fitter what `na64reco.tracking.fit.fit_tracks` is handed.

    With ``energy_loss`` its q/p is that in front of the first plane's silicon.
    """
    import acts
    import acts.examples as examples

    detector, geometry, surfaces = _geometry(acts, examples, telescope.silicon)
    field = _field(acts)
    columns = [float(z) for z in telescope.planes.z[telescope.layout.planes]]
    along_y = telescope.planes.sin[telescope.layout.planes] > 0.5
    variance = RESOLUTION**2
    clock, out = [], []

    class Feed(examples.IAlgorithm):
        def __init__(self):
            super().__init__("Feed", acts.logging.WARNING)
            self.measurements = examples.WriteDataHandle(
                self, examples.MeasurementContainer, "measurements"
            )
            self.measurements.initialize("measurements")
            self.tracks = examples.WriteDataHandle(
                self, examples.ProtoTrackContainer, "prototracks"
            )
            self.tracks.initialize("prototracks")

        def execute(self, context):
            start = context.eventNumber * BATCH
            container, tracks = examples.MeasurementContainer(), examples.ProtoTrackContainer()
            for row in measured[start : start + BATCH]:
                track = examples.ProtoTrack()
                planes = {}
                for c, value in enumerate(row):
                    planes.setdefault(columns[c], {})[int(not along_y[c])] = (
                        -value if along_y[c] else value
                    )
                for z, values in planes.items():
                    indices = sorted(values)
                    track.append(len(container))
                    container.emplaceMeasurement(
                        surfaces[z].geometryId,
                        indices,
                        [values[i] for i in indices],
                        [variance] * len(indices),
                    )
                tracks.append(track)
            self.measurements(context, container)
            self.tracks(context, tracks)
            return examples.ProcessCode.SUCCESS

    class Clock(examples.IAlgorithm):
        def execute(self, context):
            clock.append(time.process_time())
            return examples.ProcessCode.SUCCESS

    class Collect(examples.IAlgorithm):
        def __init__(self):
            super().__init__("Collect", acts.logging.WARNING)
            self.tracks = examples.ReadDataHandle(self, examples.ConstTrackContainer, "tracks")
            self.tracks.initialize("tracks")

        def execute(self, context):
            t = self.tracks(context.eventStore)
            out.append(
                tuple(np.array(v) for v in (t.parameters, t.covariance, t.chi2, t.nMeasurements))
            )
            return examples.ProcessCode.SUCCESS

    with tempfile.TemporaryDirectory() as name:
        _write_guesses(Path(name), seeds)
        sequence = examples.Sequencer(
            events=-(-len(seeds) // BATCH), numThreads=1, logLevel=acts.logging.ERROR,
            trackFpes=False,
        )  # fmt: skip
        sequence.addReader(
            examples.CsvTrackParameterReader(
                level=acts.logging.WARNING,
                inputDir=name,
                inputStem="guesses",
                outputTrackParameters="guesses",
                beamspot=[START, 0.0, 0.0],
            )
        )
        sequence.addAlgorithm(Feed())
        sequence.addAlgorithm(Clock("Start", acts.logging.WARNING))
        sequence.addAlgorithm(
            examples.TrackFittingAlgorithm(
                level=acts.logging.FATAL,
                inputMeasurements="measurements",
                inputProtoTracks="prototracks",
                inputInitialTrackParameters="guesses",
                inputClusters="",
                outputTracks="tracks",
                pickTrack=-1,
                linkForward=False,
                referenceSurface=detector.getReferenceSurface(
                    acts.Vector3(START, 0, 0), 2000.0, 2000.0
                ),
                fit=examples.makeKalmanFitterFunction(
                    trackingGeometry=geometry, magneticField=field, level=acts.logging.FATAL,
                    multipleScattering=True, energyLoss=energy_loss, reverseFilteringMomThreshold=0.0,
                    reverseFilteringCovarianceScaling=100.0, chi2Cut=float("inf"),
                    freeToBoundCorrection=examples.FreeToBoundCorrection(False),
                    useJosephFormulation=False,
                ),
                calibrator=examples.makePassThroughCalibrator(),
            )
        )  # fmt: skip
        sequence.addAlgorithm(Clock("Stop", acts.logging.WARNING))
        sequence.addAlgorithm(Collect())
        sequence.run()
    parameters, covariance, chi2, used = (np.concatenate(v) for v in zip(*out, strict=True))
    if len(chi2) != len(seeds):
        msg = f"ACTS returned {len(chi2)} tracks of {len(seeds)}"
        raise RuntimeError(msg)
    tx, ty = np.tan(parameters[:, 2]), 1 / (np.tan(parameters[:, 3]) * np.cos(parameters[:, 2]))
    back = BEFORE[0] - START
    x, y = parameters[:, 1] + back * tx, -parameters[:, 0] + back * ty
    return ActsFits(
        np.stack((x, y, tx, ty, parameters[:, 4]), axis=1),
        np.sqrt(covariance[:, 4, 4]),
        chi2,
        used.astype(np.int64),
        np.diff(np.reshape(clock, (-1, 2)), axis=1)[:, 0],
    )
