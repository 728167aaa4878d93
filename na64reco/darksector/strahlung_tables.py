"""Tables of the exact cross section, for whoever needs it thousands of times.

`data/strahlung.npz` holds, for electrons and muons on several nuclei, the total cross section,
elastic and with the break-up of the nucleus, and on lead the (elastic) distribution of
x = E_dark / E_0. `python -m na64reco.darksector.strahlung_tables`
remakes it (ten minutes on one core).

Grid: masses and energies in even steps of their logarithms; between them polynomials of the
logarithm of the cross section. The distribution is kept at even steps of ln(x / (1 - x))
between the ends of the spectrum at that mass and energy, in units of 1 / 65535.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from na64reco.darksector import strahlung_exact as exact
from na64reco.darksector.form_factors import CARBON, COPPER, IRON, LEAD, TUNGSTEN, Nucleus
from na64reco.darksector.strahlung import LEPTONS, SOFTEST_X, cross_section
from na64reco.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["NUCLEI", "StrahlungTable", "load_table", "make"]

NUCLEI: Final = {
    "lead": LEAD,
    "tungsten": TUNGSTEN,
    "copper": COPPER,
    "iron": IRON,
    "carbon": CARBON,
}
"""By the names of `na64reco.materials`."""

_MASSES: Final = np.geomspace(1e-6, 3.0, 66)
_ENERGIES: Final = np.geomspace(15.0, 200.0, 10)
_STEPS: Final = 48
_POINTS: Final = 6
"""Of the interpolation in mass and in energy."""
_UNIT: Final = 65535
_FILE: Final = "strahlung.npz"


def _ends(
    mass: NDArray[np.float64], energy: NDArray[np.float64], lepton: str, nucleus: Nucleus
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the tabulated spectrum in ln(x / (1 - x)); smooth in mass and energy."""
    # Electrons: what the smooth lower end leaves out above max(m / E, 0.01) is below 1e-5.
    softest = 0.0 if lepton == "muon" else SOFTEST_X
    low = np.hypot(mass / energy, softest)
    own = LEPTONS[lepton]
    # 1 - x of the kinematic limit; the nucleus' recoil by its leading term. Neither cancels.
    rest = own / energy + mass**4 / (8 * energy**3 * nucleus.mass)
    rest = rest + own**2 / (2 * nucleus.mass * energy)
    return np.log(low / (1 - low)), np.log((1 - rest) / rest)


def _weights(
    position: NDArray[np.float64], size: int, points: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """First index and Lagrange weights of a polynomial through even steps; (n,), (n, points)."""
    first = np.clip(np.floor(position).astype(np.intp) - points // 2 + 1, 0, size - points)
    u = position - first
    weights = np.ones((position.size, points))
    for k in range(points):
        for other in range(points):
            if other != k:
                weights[:, k] *= (u - other) / (k - other)
    return first, weights


@dataclass(frozen=True)
class StrahlungTable:
    """Exact cross sections of one lepton on one nucleus."""

    lepton: str
    nucleus: Nucleus
    masses: NDArray[np.float64]
    """GeV, (masses,), geometric."""
    energies: NDArray[np.float64]
    """GeV, (energies,), geometric."""
    log_sigma: NDArray[np.float64]
    """ln of pb at epsilon = 1, (masses, energies)."""
    cumulative: NDArray[np.float64] | None
    """Share of the cross section below each step of x, (masses, energies, steps + 1)."""

    def _place(
        self, what: str, grid: NDArray[np.float64], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        wrong = ~((values >= grid[0] * (1 - 1e-12)) & (values <= grid[-1] * (1 + 1e-12)))
        if np.any(wrong):
            msg = (
                f"the table of {self.lepton}s on Z = {self.nucleus.z} holds {what} from "
                f"{grid[0]:g} to {grid[-1]:g} GeV, found {values[wrong].flat[0]:g}; there is no "
                "extrapolation, use na64reco.darksector.strahlung.cross_section"
            )
            raise ModelError(msg)
        step = np.log(grid[-1] / grid[0]) / (grid.size - 1)
        return _weights(np.log(values / grid[0]) / step, grid.size, _POINTS)

    def _interpolate(
        self, table: NDArray[np.float64], mass: NDArray[np.float64], energy: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Values at (n,) points: (n,) or (n, steps + 1)."""
        i, wi = self._place("masses", self.masses, mass)
        j, wj = self._place("energies", self.energies, energy)
        found = np.zeros((mass.size, *table.shape[2:]))
        for a in range(_POINTS):
            for b in range(_POINTS):
                weight = wi[:, a] * wj[:, b]
                found += weight.reshape(-1, *(1,) * (table.ndim - 2)) * table[i + a, j + b]
        return found

    def cross_section(
        self, mass: ArrayLike, energy: ArrayLike, *, epsilon: float = 1.0
    ) -> NDArray[np.float64]:
        """pb per nucleus; mass and energy (GeV) are broadcast.

        Raises
        ------
        ModelError
            Outside the table.
        """
        m, e = np.broadcast_arrays(
            np.asarray(mass, dtype=np.float64), np.asarray(energy, dtype=np.float64)
        )
        found = self._interpolate(self.log_sigma, m.ravel(), e.ravel())
        return np.asarray(epsilon**2 * np.exp(found).reshape(m.shape))

    def _distribution(self) -> NDArray[np.float64]:
        if self.cumulative is None:
            msg = (
                f"the spectrum of {self.lepton}s is tabulated on lead only, not on Z = "
                f"{self.nucleus.z}; use na64reco.darksector.strahlung.spectrum"
            )
            raise ModelError(msg)
        return self.cumulative

    def fraction_above(
        self, x: ArrayLike, mass: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """Share of the cross section with E_dark > x E_0; all are broadcast.

        Raises
        ------
        ModelError
            Outside the table, or where it has no spectra.
        """
        share, m, e = np.broadcast_arrays(
            *(np.asarray(value, dtype=np.float64) for value in (x, mass, energy))
        )
        return self.fractions_above(share[..., None], m, e)[..., 0]

    def fractions_above(
        self, x: ArrayLike, mass: ArrayLike, energy: ArrayLike
    ) -> NDArray[np.float64]:
        """The same for many x at each mass and energy; errors as there.

        Parameters
        ----------
        x
            Shape (..., values), that broadcasts against the masses' and energies' (..., 1).
        """
        cumulative = self._distribution()
        m, e = np.broadcast_arrays(
            np.asarray(mass, dtype=np.float64), np.asarray(energy, dtype=np.float64)
        )
        share = np.asarray(x, dtype=np.float64)
        share = np.broadcast_to(share, (*m.shape, share.shape[-1])).reshape(m.size, -1)
        shape, m, e = m.shape, m.ravel(), e.ravel()
        rows = self._interpolate(cumulative, m, e)
        low, high = (end[:, None] for end in _ends(m, e, self.lepton, self.nucleus))
        clipped = np.clip(share, 1e-12, 1 - 1e-12)
        place = (np.log(clipped / (1 - clipped)) - low) / (high - low)
        steps = cumulative.shape[2] - 1
        first, weights = _weights(np.clip(place, 0, 1).ravel() * steps, steps + 1, 4)
        below = np.zeros(share.size)
        index = np.repeat(np.arange(m.size), share.shape[1])
        for a in range(4):
            below += weights[:, a] * rows[index, first + a]
        return np.clip(1 - below, 0, 1).reshape(*shape, -1)

    def sample(
        self, rng: np.random.Generator, size: int, mass: float, energy: float
    ) -> NDArray[np.float64]:
        """Values of x = E_dark / E_0, distributed as the cross section; errors as above."""
        cumulative = self._distribution()
        m, e = np.array([mass], dtype=np.float64), np.array([energy], dtype=np.float64)
        row = np.maximum.accumulate(np.clip(self._interpolate(cumulative, m, e)[0], 0, 1))
        low, high = _ends(m, e, self.lepton, self.nucleus)
        # Cubic between the steps, as in fraction_above, on a grid fine enough for straight lines.
        fine = np.linspace(0, row.size - 1, 32 * (row.size - 1) + 1)
        first, weights = _weights(fine, row.size, 4)
        below = np.sum(weights * row[first[:, None] + np.arange(4)], axis=1)
        below = np.maximum.accumulate(np.clip(below, 0, 1))
        place = np.interp(rng.random(size) * below[-1], below, fine) / (row.size - 1)
        return np.asarray(1 / (1 + np.exp(-(low + (high - low) * place))))


@cache
def load_table(
    nucleus: str = "lead", lepton: str = "electron", *, inelastic: bool = False
) -> StrahlungTable:
    """The shipped table; positrons have the electrons'.

    Parameters
    ----------
    nucleus
        One of `NUCLEI`.
    lepton
        One of `na64reco.darksector.strahlung.LEPTONS`.
    inelastic
        Totals with the break-up of the nucleus; the distribution of x stays the elastic one.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if nucleus not in NUCLEI:
        msg = f"There is no table for the nucleus {nucleus!r}. {did_you_mean(nucleus, NUCLEI)}"
        raise ModelError(msg)
    if lepton not in LEPTONS:
        msg = f"There is no table for the lepton {lepton!r}. {did_you_mean(lepton, LEPTONS)}"
        raise ModelError(msg)
    own = "muon" if lepton == "muon" else "electron"
    source = files("na64reco.darksector") / "data" / _FILE
    with source.open("rb") as stream, np.load(stream) as stored:
        key = f"{own}_{nucleus}"
        shares = stored[f"{key}_x"] / _UNIT if f"{key}_x" in stored else None
        name = f"{key}_inelastic" if inelastic else key
        log_sigma = stored[name].astype(np.float64)
        return StrahlungTable(
            lepton, NUCLEI[nucleus], stored["masses"], stored["energies"], log_sigma, shares
        )


def _make_spectra(lepton: str, nucleus: Nucleus) -> NDArray[np.uint16]:
    nodes, weights = np.polynomial.legendre.leggauss(3)
    found = np.zeros((_MASSES.size, _ENERGIES.size, _STEPS + 1), dtype=np.uint16)
    parameters = nucleus.parameters()
    for i, mass in enumerate(_MASSES):
        for j, energy in enumerate(_ENERGIES):
            low, high = _ends(np.array([mass]), np.array([energy]), lepton, nucleus)
            edges = np.linspace(low[0], high[0], _STEPS + 1)
            parts = exact.x_panels(edges, nodes, weights, energy, mass, LEPTONS[lepton], parameters)
            sums = np.cumsum(parts)
            found[i, j, 1:] = np.round(_UNIT * sums / sums[-1])
    return found


def make(path: Path) -> None:
    """Integrate everything and write the file."""
    arrays: dict[str, NDArray[np.float64] | NDArray[np.float32] | NDArray[np.uint16]] = {
        "masses": _MASSES,
        "energies": _ENERGIES,
    }
    for lepton in ("electron", "muon"):
        for name, nucleus in NUCLEI.items():
            for ending in ("", "_inelastic"):
                sigma = cross_section(
                    _MASSES[:, None],
                    _ENERGIES[None, :],
                    nucleus=nucleus,
                    lepton=lepton,
                    inelastic=bool(ending),
                )
                arrays[f"{lepton}_{name}{ending}"] = np.log(sigma).astype(np.float32)
        arrays[f"{lepton}_lead_x"] = _make_spectra(lepton, LEAD)
    np.savez_compressed(path, allow_pickle=False, **arrays)


if __name__ == "__main__":
    make(Path(str(files("na64reco.darksector") / "data" / _FILE)))
