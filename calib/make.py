"""Remake calib/: what a calibration of the simulated detector would have measured.

    python calib/make.py [--setup 2022-electron ...] [--output FOLDER]

`--setup` takes a YAML file as well, for the simulated detector of a setup of one's own.

The simulation draws the true gains, times and positions of a setup's channels. A calibration finds
them with errors; here these are drawn with seeds of their own, a few per mil on a gain, 0.1 ns on a
time, 10 um on a position, so that reconstruction never sees the true table. What comes out depends
on nothing but the setup, the true detector and calib/shower_profile.txt: running it twice gives
the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from na64reco.calibration import PROJECTIONS, Block, SdcFormat, file_formats, read_sdc, write_sdc
from na64reco.errors import SetupError
from na64reco.setup import list_setups, load_setup
from na64reco.simulation.detector import load_detector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from na64reco.calibration.sdc import Value
    from na64reco.setup import Calorimeter, Setup
    from na64reco.simulation.detector import Channels, Detector, StrawPlane

__all__ = ["main", "make_setup"]

HERE = Path(__file__).resolve().parent

GAIN_ERROR = 0.003
"""Relative rms."""
TIME_ERROR = 0.1
"""rms, ns."""
WIDTH_ERROR = 0.03
"""Relative rms of a measured resolution."""
SHIFT_ERROR = 0.010
"""rms, mm."""
ROTATION_ERROR = 0.05
"""rms, mrad."""

# GeV; a cell's in-time energy below counts as 0. The HCAL's is the analyses' [pub].
THRESHOLDS = {"prs": 0.01, "ecal": 0.01, "hcal": 0.2, "vhcal": 0.2}
SRD_THRESHOLD = 0.0005
VETO_THRESHOLD = 0.001
COUNTER_THRESHOLD = 0.0001
STRIP_RESOLUTION = {"mm": 0.072, "gem": 0.070}
"""mm: as `na64reco calibrate --only strips` finds it in a simulated run."""

SECOND_PERIOD = 6150
"""2022: from this run on a second calibration of the central cells is valid."""

_Row = tuple["Value", ...]
_CHANNEL = ("scale", "time", "time_width", "threshold")


@dataclass(frozen=True)
class _Measured:
    """Errors of a calibration, drawn per file."""

    rng: np.random.Generator

    @classmethod
    def of(cls, setup: Setup, what: str) -> _Measured:
        digest = hashlib.sha256(f"calibration/{setup.name}/{what}".encode()).digest()
        return cls(np.random.default_rng(np.frombuffer(digest, dtype=np.uint32)))

    def scale(self, gain: float, relative: float = GAIN_ERROR) -> float:
        return _digits(self._error(relative) / gain, 6)

    def time(self, true: float) -> float:
        return round(true + self.rng.normal(0, TIME_ERROR), 2)

    def width(self, true: float) -> float:
        return _digits(true * self._error(WIDTH_ERROR), 3)

    def channel(self, true: Channels, index: tuple[int, ...], threshold: float) -> _Row:
        return (
            self.scale(float(true.gain[index])),
            self.time(float(true.time_offset[index])),
            self.width(float(true.time_resolution[index])),
            threshold,
        )

    def _error(self, relative: float) -> float:
        return 1 + relative * float(np.clip(self.rng.standard_normal(), -2, 2))


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _cells(
    setup: Setup, name: str, calorimeter: Calorimeter, true: Channels
) -> Iterator[tuple[_Row, _Row]]:
    measured = _Measured.of(setup, name)
    for number, section in enumerate(calorimeter.sections):
        threshold = THRESHOLDS.get(section, THRESHOLDS[name])
        for ix in range(calorimeter.nx):
            for iy in range(calorimeter.ny):
                if (ix, iy) not in calorimeter.hole:
                    yield (
                        (section, ix, iy),
                        measured.channel(true, (number, ix, iy), threshold),
                    )


def _table(setup: Setup, keys: tuple[str, ...], rows: Iterator[tuple[_Row, _Row]]) -> Block:
    return Block(
        runs=setup.runs,
        columns=(*keys, *_CHANNEL),
        rows=tuple((*key, *values) for key, values in rows),
    )


def _second_period(setup: Setup, detector: Detector) -> Block:
    """A later, better calibration of the cells that the beam can reach."""
    measured = _Measured.of(setup, "ecal, second period")
    assert setup.ecal.beam_cell is not None
    bx, by = setup.ecal.beam_cell
    rows = []
    # The preshower was taken as 2 per mil too low over all, which the factor mends.
    factor = 1.002
    for number, section in enumerate(setup.ecal.sections):
        for ix, iy in ((bx, by), (bx - 1, by), (bx + 1, by), (bx, by - 1), (bx, by + 1)):
            applied = factor if section == "prs" else 1.0
            gain = float(detector.ecal.gain[number, ix, iy])
            rows.append((section, ix, iy, measured.scale(gain * applied, GAIN_ERROR / 2)))
    return Block(
        runs=(SECOND_PERIOD, setup.runs[1]),
        metadata=(
            ("comment", "central cells calibrated again; the whole preshower 2 per mil up"),
            ("factor.ECAL.prs", factor),
        ),
        columns=("section", "ix", "iy", "scale"),
        rows=tuple(rows),
    )


def _shower_profile() -> tuple[tuple[str, str | float], ...]:
    """The keys of calib/shower_profile.txt, in its order."""
    path = HERE / "shower_profile.txt"
    if not path.exists():
        return ()
    file = read_sdc(path, SdcFormat((), (), numbers=("profile",)))
    return tuple(pair for block in file.blocks for pair in block.metadata)


def _planes(setup: Setup, technologies: tuple[str, ...]) -> Iterator[tuple[str, str, str, int]]:
    for technology in technologies:
        for name, station in setup.stations_of(technology).items():
            for projection in station.projections:
                yield technology, name, projection, station.number


def _strips(setup: Setup, technology: str, detector: Detector) -> Block:
    measured = _Measured.of(setup, technology)
    rows: list[_Row] = []
    for _, name, projection, number in _planes(setup, (technology,)):
        plane = detector.strips[technology, number, PROJECTIONS.index(projection)]
        # five times the noise that pedestal runs show
        charge = round(5 * measured.width(plane.noise), 1)
        time, width = measured.time(plane.time_offset), measured.width(plane.time_resolution)
        rows.append(
            (name, projection, charge, time, width, STRIP_RESOLUTION[technology], plane.dead)
        )
    columns = ("station", "projection", "min_charge", "time", "time_width", "resolution", "dead")
    return Block(runs=setup.runs, columns=columns, rows=tuple(rows))


def _distance(plane: StrawPlane, relative_time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the wire by inverting the true relation numerically, mm."""
    distance = np.linspace(0, plane.radius, 2001)
    times = (plane.drift_time(distance) - plane.t0) / plane.time_max
    return np.interp(relative_time, times, distance)


def _straws(setup: Setup, detector: Detector) -> Block:
    measured = _Measured.of(setup, "straw")
    grid = np.linspace(0, 1, 201)
    powers = np.stack([grid**k for k in range(1, 5)], axis=1)
    rows: list[_Row] = []
    for _, name, projection, number in _planes(setup, ("straw",)):
        for layer in range(setup.stations[name].layers):
            plane = detector.straws[number, PROJECTIONS.index(projection), layer]
            distance = _distance(plane, grid) + measured.rng.normal(0, 0.02, grid.size)
            rt = np.linalg.lstsq(powers, distance, rcond=None)[0]
            rows.append(
                (
                    name,
                    projection,
                    layer,
                    measured.time(plane.t0),
                    measured.time(plane.time_max),
                    (0.0, *(round(float(r), 3) for r in rt)),
                    measured.width(plane.time_resolution * plane.radius / plane.time_max),
                )
            )
    columns = ("station", "projection", "layer", "t0", "time_max", "rt", "resolution")
    return Block(runs=setup.runs, columns=columns, rows=tuple(rows))


def _alignment(setup: Setup, detector: Detector) -> Block:
    rng = _Measured.of(setup, "alignment").rng
    rows: list[_Row] = []
    for technology, name, projection, number in _planes(setup, ("mm", "gem", "straw")):
        index = PROJECTIONS.index(projection)
        # both layers of a straw plane move together
        plane = (
            detector.straws[number, index, 0]
            if technology == "straw"
            else detector.strips[technology, number, index]
        )
        shift = round(plane.shift + rng.normal(0, SHIFT_ERROR), 4)
        rotation = round(plane.rotation + rng.normal(0, ROTATION_ERROR), 3)
        rows.append((name, projection, shift, rotation))
    columns = ("station", "projection", "shift", "rotation")
    return Block(runs=setup.runs, columns=columns, rows=tuple(rows))


def _quality(setup: Setup) -> Block:
    # No simulated run is bad: these only show how it is said.
    rows: tuple[_Row, ...] = ()
    if setup.name == "2022-electron":
        rows = ((6966, "*", "example"), (6967, "3", "example"), (6967, "4", "example"))
    return Block(columns=("run", "spill", "reason"), rows=rows)


def make_setup(setup: Setup) -> Mapping[str, tuple[Block, ...]]:
    """Blocks of every file of a setup, by file name."""
    detector = load_detector(setup)
    cell = ("section", "ix", "iy")
    ecal = [_table(setup, cell, _cells(setup, "ecal", setup.ecal, detector.ecal))]
    profile = _shower_profile()
    if profile:
        ecal[0] = replace(ecal[0], metadata=profile)
    if setup.name == "2022-electron":
        ecal.append(_second_period(setup, detector))
    hcal = _table(setup, cell, _cells(setup, "hcal", setup.hcal, detector.hcal))
    files: dict[str, tuple[Block, ...]] = {"ecal.txt": tuple(ecal), "hcal.txt": (hcal,)}
    if setup.vhcal is not None and detector.vhcal is not None:
        rows = _cells(setup, "vhcal", setup.vhcal, detector.vhcal)
        files["vhcal.txt"] = (_table(setup, cell, rows),)
    for name, key, true, threshold in (
        ("srd", "module", detector.srd, SRD_THRESHOLD),
        ("veto", "photomultiplier", detector.veto, VETO_THRESHOLD),
    ):
        if true is not None:
            measured = _Measured.of(setup, name)
            lines = [((i,), measured.channel(true, (i,), threshold)) for i in range(true.gain.size)]
            files[f"{name}.txt"] = (_table(setup, (key,), iter(lines)),)
    measured = _Measured.of(setup, "counters")
    counters = [
        ((name,), measured.channel(detector.counters, (c.id,), COUNTER_THRESHOLD))
        for name, c in setup.counters.items()
    ]
    files["counters.txt"] = (_table(setup, ("counter",), iter(counters)),)
    for technology in ("mm", "gem"):
        if setup.stations_of(technology):
            files[f"{technology}.txt"] = (_strips(setup, technology, detector),)
    if setup.stations_of("straw"):
        files["straw.txt"] = (_straws(setup, detector),)
    files["alignment.txt"] = (_alignment(setup, detector),)
    files["quality.txt"] = (_quality(setup),)
    return files


_SUBJECTS = {
    "ecal": "ECAL cells; expected shower profile, as in calib/shower_profile.txt",
    "hcal": "HCAL cells",
    "vhcal": "VHCAL cells",
    "srd": "SRD modules",
    "veto": "VETO photomultipliers",
    "counters": "scintillator counters",
    "mm": "Micromegas planes",
    "gem": "GEM planes",
    "straw": "layers of straws",
    "alignment": "positions of the tracking planes",
    "quality": "bad runs and spills",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files of the setups asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--setup", action="append", help="name or YAML file; may be repeated; default all"
    )
    parser.add_argument("--output", type=Path, default=HERE, help="default: beside this script")
    chosen = parser.parse_args(arguments)
    for wanted in chosen.setup or list_setups():
        try:
            setup = load_setup(wanted)
        except SetupError as error:
            parser.error(str(error))
        name = setup.name
        formats = file_formats(setup)
        for file, blocks in make_setup(setup).items():
            header = (
                f"{setup.title}: {_SUBJECTS[Path(file).stem]}.\n"
                f"Conditions of the simulated detector, as a calibration with realistic errors\n"
                f"would find them; written by `python calib/make.py --setup {wanted}`."
            )
            label = (("setup", name),)
            labelled = (replace(blocks[0], metadata=(*label, *blocks[0].metadata)), *blocks[1:])
            path = chosen.output / name / file
            write_sdc(path, labelled, formats[file], header=header, overwrite=True)
            print(path)


if __name__ == "__main__":
    main()
