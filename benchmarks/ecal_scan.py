"""ECAL scales from 20 000 electrons on every cell, against the simulated truth.

    python -m benchmarks.ecal_scan [ELECTRONS PER CELL]

The calorimeter moves under the beam, as on its table. Two minutes for 20 000.
"""

from __future__ import annotations

import sys

import numpy as np

from na64reco.calibrate.ecal import SHARE_UNCERTAINTY, uniformity
from na64reco.calibrate.ecal_scales import Share, fit_scales
from na64reco.calibrate.electrons import contained, electron_energy, expected_share
from na64reco.calibration import load_conditions
from na64reco.calorimeters import ShowerProfile
from na64reco.events import concatenate
from na64reco.setup import load_setup
from na64reco.simulation.detector import load_detector
from na64reco.simulation.generate import simulate


def main(electrons: int) -> None:
    setup = load_setup("2022-electron")
    ecal, detector = setup.ecal, load_detector(setup)
    profile = ShowerProfile.from_conditions(load_conditions(setup, 6100).shower_profile)
    rng = np.random.default_rng(5)
    true = 1 / detector.ecal.gain.ravel()
    start = true * (1 + 0.2 * np.clip(rng.standard_normal(true.size), -2, 2))
    amplitudes, energies, impacts = [], [], []
    lit, unlit = np.zeros(true.size), np.zeros(true.size)
    for number, (ix, iy) in enumerate(np.ndindex(ecal.nx, ecal.ny)):
        x0 = ecal.x + (ecal.beam_cell[0] - ix) * ecal.cell_x
        y0 = ecal.y + (ecal.beam_cell[1] - iy) * ecal.cell_y
        moved = setup.model_copy(update={"ecal": ecal.model_copy(update={"x": x0, "y": y0})})
        options = {"seed": 101 + number, "trigger": "beam"}
        batch = concatenate(list(simulate(moved, "electron", electrons, **options)))
        hits = batch.collections["ECAL"]
        cell = tuple(hits[axis] for axis in ("section", "ix", "iy"))
        late = np.abs(hits["time"] - detector.ecal.time_offset[cell])
        in_time = late < 3 * detector.ecal.time_resolution[cell]
        flat = np.ravel_multi_index(cell, ecal.shape)
        amplitude = np.zeros((len(hits), true.size), np.float32)
        np.add.at(
            amplitude, (hits.event_index()[in_time], flat[in_time]), hits["amplitude"][in_time]
        )
        # As tracks measure them: 0.3 mm, 1 %.
        x = batch.scalars["MC_x"] - x0 + 0.3 * rng.standard_normal(len(hits))
        y = batch.scalars["MC_y"] - y0 + 0.3 * rng.standard_normal(len(hits))
        p = batch.scalars["MC_momentum"] * (1 + 0.01 * rng.standard_normal(len(hits)))
        good = (np.abs(x) < ecal.nx * ecal.cell_x / 2) & (np.abs(y) < ecal.ny * ecal.cell_y / 2)
        good &= np.abs(p / setup.beam.momentum - 1) < 0.05
        x, y, p, amplitude = x[good], y[good], p[good], amplitude[good]
        u, v = x / ecal.cell_x + ecal.nx / 2, y / ecal.cell_y + ecal.ny / 2
        i, j = np.floor(u).astype(int), np.floor(v).astype(int)
        impact = np.stack([u - i - 0.5, v - j - 0.5], axis=1)
        amplitudes.append(amplitude)
        energies.append(electron_energy(setup, p) * contained(profile, ecal, x, y, 100.0))
        impacts.append(impact)
        # Light collection multiplies the energy in the cell that is hit.
        light = np.ones((len(x), ecal.nx, ecal.ny))
        waves = np.cos(2 * np.pi * impact).prod(axis=1)
        light[np.arange(len(x)), i, j] += detector.ecal_nonuniformity[i, j] * waves
        energy = amplitude * true
        lit += (energy * np.tile(light.reshape(len(x), -1), 2)).sum(axis=0)
        unlit += energy.sum(axis=0)
    value = expected_share(profile, setup.beam.momentum)
    fit = fit_scales(
        np.concatenate(amplitudes),
        np.concatenate(energies),
        start,
        ecal.shape,
        impact=np.concatenate(impacts),
        share=Share(value, SHARE_UNCERTAINTY * value, uniformity(ecal)),
    )
    off = 100 * (fit.scale / true * lit / unlit - 1).reshape(ecal.shape)
    error = 100 * (fit.error / fit.scale).reshape(ecal.shape)
    np.set_printoptions(precision=2, suppress=True, linewidth=120)
    inside = off[:, 1:-1, 1:-1]
    for number, name in enumerate(ecal.sections):
        print(f"{name}: found / true - 1 [%]\n{off[number]}")
        print(f"its error, of the events alone [%]\n{error[number]}")
        part = inside[number]
        print(f"inside: mean {part.mean():+.2f} %, rms {part.std():.2f} %", end="")
        print(f", largest {np.abs(part).max():.2f} %")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
