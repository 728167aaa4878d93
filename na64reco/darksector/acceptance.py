"""Which share of events with a given missing energy is kept: threshold, resolution, plateau."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr

from na64reco.darksector.models import check_positive
from na64reco.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Acceptance"]

_REACH: Final = 5.0
"""Standard deviations."""
_STEPS: Final = 30


@dataclass(frozen=True)
class Acceptance:
    """Probability to keep an event against the energy that the boson carries off.

    ``plateau`` times a threshold that the calorimeter's resolution smears with a Gaussian
    (arXiv:2206.03101, section IV B), times a table, linear between its points.
    """

    threshold: float
    """GeV of missing energy."""
    smearing: float = 0.0
    """rms, GeV."""
    plateau: float = 1.0
    table: tuple[tuple[float, float], ...] = ()
    """(energy in GeV, factor), ascending; constant beyond its ends."""

    def __post_init__(self) -> None:
        """Complain about what is no probability.

        Raises
        ------
        ModelError
            With the value found.
        """
        check_positive(threshold=self.threshold)
        if not 0 <= self.smearing < self.threshold:
            msg = (
                f"smearing of {self.smearing} GeV: expected at least 0 and less than the "
                f"threshold, {self.threshold} GeV"
            )
            raise ModelError(msg)
        factors = [self.plateau, *(factor for _, factor in self.table)]
        if not all(0 <= factor <= 1 for factor in factors):
            msg = f"an efficiency must be between 0 and 1, found {factors}"
            raise ModelError(msg)
        energies = [energy for energy, _ in self.table]
        if any(b <= a for a, b in pairwise(energies)):
            msg = f"an efficiency's energies must ascend, found {energies}"
            raise ModelError(msg)

    def __call__(self, energy: ArrayLike) -> NDArray[np.float64]:
        """Share that is kept at these missing energies, GeV, any shape."""
        energy = np.asarray(energy, dtype=np.float64)
        if self.smearing > 0:
            kept = ndtr((energy - self.threshold) / self.smearing)
        else:
            kept = (energy >= self.threshold).astype(np.float64)
        if self.table:
            kept = kept * np.interp(energy, *np.transpose(self.table))
        return np.asarray(self.plateau * kept)

    @property
    def lowest(self) -> float:
        """Below it nothing is kept, GeV."""
        return max(self.threshold - _REACH * self.smearing, 0.0)

    def steps(self, highest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same as a sum of steps: energies, and by how much it rises at each.

        The mean over a spectrum is then the sum of rises times the shares above the steps.

        Parameters
        ----------
        highest
            Energy beyond which it does not matter, GeV.
        """
        if self.smearing == 0 and not self.table:
            return np.array([self.threshold]), np.array([self.plateau])
        # The steps' places are between those where the function is taken.
        around = self.threshold + self.smearing * np.linspace(-_REACH, _REACH, _STEPS + 1)
        if self.smearing == 0:
            around = self.threshold + np.array([-1e-9, 1e-9]) * self.threshold
        points = np.array([energy for energy, _ in self.table])
        fine = np.arange(self.threshold, highest, 1.0) if self.table else np.empty(0)
        edges = np.unique(np.concatenate((around, points, fine)))
        edges = edges[(edges >= self.lowest * (1 - 2e-9)) & (edges <= max(highest, around[-1]))]
        values = self(edges)
        values[0] = 0.0
        return 0.5 * (edges[1:] + edges[:-1]), np.diff(values)
