r"""The shower that an electron is expected to make in the ECAL, as conditions.

Mean. The lateral density of a section (preshower or main) is a sum of four round Gaussians,

.. math:: \rho(r) = \sum_k \frac{w_k}{2 \pi s_k^2} e^{-r^2 / 2 s_k^2},
   \qquad s_k = \sigma_k (E / 100\,\mathrm{GeV})^g,

the weight of the narrowest being multiplied by :math:`e^{d q}`: q, the preshower's share of the
energy relative to the expected one minus 1 (kept within -1 and 2), tells how early the shower
began. The integral over a cell is a product of differences of the normal distribution function; a
cell's share f of its section's energy S is that integral over the one of all cells together.

Fluctuations. The cells' energies have the covariance :math:`D + \sum_a U_a \lambda_a U_a^T`. D is
diagonal,

.. math:: D = (q S + u^2) f + (c S f)^2 + n^2

- q: energy per independently fluctuating quantum of the shower, `quantum` (GeV)
- u: single particles that a poor shower consists of, `single` (GeV)
- c: relative calibration error, `calibration_error`
- n: noise and lone particles far from the axis, the larger of `noise` (GeV) and half of the
  channel's threshold

and the modes U are what moves many cells at once:

- S f, of any size: the section's energy itself is not judged, the share of the preshower is
- S df/dx and S df/dy with :math:`\lambda = m^2 / S + t^2`: the axis wanders by m, `wander`
  (mm GeV^1/2), and the impact point is known to t, `track_error` or `shower_error` (mm)
- S df/d ln s with :math:`\lambda = w^2 / S`: the shower is wider or narrower, `width` (GeV^1/2)

The logarithm of the preshower's share of the energy is `share_log` + `share_slope` ln(E/100 GeV) on
average, with the rms `share_width`. What is judged is the pull with the widths `share_early` of
showers that begin earlier and `share_late` of those that begin later; the latter is wide enough for
photons, which first have to convert.

The parameters are the keys ``profile.NAME=`` of ecal.txt; calib/shower_profile.txt says where its
values are from, :func:`na64reco.calibrate.profile.fit_profile` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from na64reco.errors import ConditionsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEPTH_RANGE", "PROFILE_NAMES", "REFERENCE_ENERGY", "ShowerProfile"]

REFERENCE_ENERGY: Final = 100.0
"""Energy at which widths and scales are given, GeV."""
DEPTH_RANGE: Final = (-1.0, 2.0)
"""Within which q, that tells how early a shower began, changes its width."""

_SECTIONS: Final = ("prs", "main")
_TERMS: Final = 4
_SINGLE: Final = (
    "share_log",
    "share_slope",
    "share_width",
    "share_early",
    "share_late",
    "level",
    "level_slope",
    "level_curve",
    "power",
    "track_error",
    "shower_error",
    "calibration_error",
    "noise",
    "lone",
)
_POSITIVE: Final = ("lone", "share_width", "share_early", "share_late", "power", "noise")
_PER_SECTION: Final = ("growth", "depth", "quantum", "single", "wander", "width")

PROFILE_NAMES: Final = (
    *(
        f"{section}_{kind}{term}"
        for section in _SECTIONS
        for kind in ("weight", "sigma")
        for term in range(1, _TERMS + 1)
    ),
    *(f"{section}_{name}" for section in _SECTIONS for name in _PER_SECTION),
    *_SINGLE,
)
"""Names of all parameters."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShowerProfile:
    """Parameters of the expected shower; arrays have one row per section (preshower, main)."""

    weight: Array
    """Of the Gaussians, sum 1, shape (2, 4)."""
    sigma: Array
    """Of the Gaussians at 100 GeV, mm, shape (2, 4)."""
    growth: Array
    """g, shape (2,)."""
    depth: Array
    """d, shape (2,)."""
    quantum: Array
    """q, GeV, shape (2,)."""
    single: Array
    """u, GeV, shape (2,)."""
    wander: Array
    """m, mm GeV^1/2, shape (2,)."""
    width: Array
    """w, GeV^1/2, shape (2,)."""
    share_log: float
    """Mean of the logarithm of the preshower's share at 100 GeV."""
    share_slope: float
    """Its change with ln E."""
    share_width: float
    """Its rms: the mean share is exp(share_log + share_width**2 / 2)."""
    share_early: float
    share_late: float
    level: float
    """Where the published cut lies, see :mod:`na64reco.calorimeters.shape`."""
    level_slope: float
    level_curve: float
    power: float
    track_error: float
    """t of an impact point from the track, mm."""
    shower_error: float
    """t of one from the shower's own position at 100 GeV, mm; it goes as 1/sqrt(E)."""
    calibration_error: float
    """c."""
    noise: float
    """n, GeV."""
    lone: float
    """Mean energy that a particle far from the axis leaves in a cell, GeV."""

    @classmethod
    def from_conditions(cls, parameters: Mapping[str, float]) -> ShowerProfile:
        """Profile from the `profile.NAME=` keys of the conditions.

        Raises
        ------
        ConditionsError
            If a parameter is missing, unknown or impossible.
        """
        missing = [name for name in PROFILE_NAMES if name not in parameters]
        if missing:
            shown = ", ".join(f"profile.{name}=" for name in missing[:4])
            msg = (
                f"ecal.txt lacks {len(missing)} of the {len(PROFILE_NAMES)} keys of the shower "
                f"profile: {shown}{', ...' if len(missing) > 4 else ''}. Copy the lines of "
                "calib/shower_profile.txt into it."
            )
            raise ConditionsError(msg)
        for name in parameters:
            if name not in PROFILE_NAMES:
                msg = (
                    f"ecal.txt has an unknown key profile.{name}=. "
                    f"{did_you_mean(name, PROFILE_NAMES)}"
                )
                raise ConditionsError(msg)
        positive = [n for n in PROFILE_NAMES if "_sigma" in n or n in _POSITIVE]
        for name in positive:
            if not parameters[name] > 0:
                msg = (
                    f"ecal.txt has profile.{name}={parameters[name]}: "
                    "this parameter must be above 0."
                )
                raise ConditionsError(msg)

        def terms(kind: str) -> Array:
            return np.array(
                [[parameters[f"{s}_{kind}{k + 1}"] for k in range(_TERMS)] for s in _SECTIONS],
                dtype=np.float64,
            )

        def rows(name: str) -> Array:
            return np.array([parameters[f"{s}_{name}"] for s in _SECTIONS], dtype=np.float64)

        weight = terms("weight")
        total = weight.sum(axis=1, keepdims=True)
        if not np.all(total > 0):
            msg = "ecal.txt: the weights of the shower profile must have a sum above 0."
            raise ConditionsError(msg)
        return cls(
            weight=weight / total,
            sigma=terms("sigma"),
            growth=rows("growth"),
            depth=rows("depth"),
            quantum=rows("quantum"),
            single=rows("single"),
            wander=rows("wander"),
            width=rows("width"),
            **{name: float(parameters[name]) for name in _SINGLE},
        )

    def column_shares(
        self, section: int, position: Array, *, cell: float, cells: int, height: float = np.inf
    ) -> Array:
        """Shares of the columns of an unlimited calorimeter around the one that is hit.

        Parameters
        ----------
        section
            0 = preshower, 1 = main.
        position
            Distance from the middle of the column that is hit, mm, shape (n,).
        cell
            Width, mm.
        cells
            Columns on either side to give.
        height
            Only of rows within this distance from the shower's own, mm.

        Returns
        -------
        shape (n, 2 * cells + 1)
        """
        edges = (np.arange(2 * cells + 2) - cells - 0.5) * cell
        t = (edges[None, :, None] - position[:, None, None]) / self.sigma[section]
        inside = 2 * ndtr(height / self.sigma[section]) - 1
        shares: Array = np.diff(ndtr(t), axis=1) @ (self.weight[section] * inside)
        return shares

    def parameters(self) -> dict[str, float]:
        """The reverse of `from_conditions`: values by their names."""
        found: dict[str, float] = {}
        for row, section in enumerate(_SECTIONS):
            for kind in ("weight", "sigma"):
                values = getattr(self, kind)[row]
                found |= {f"{section}_{kind}{k + 1}": float(v) for k, v in enumerate(values)}
            found |= {f"{section}_{n}": float(getattr(self, n)[row]) for n in _PER_SECTION}
        found |= {name: float(getattr(self, name)) for name in _SINGLE}
        return {name: found[name] for name in PROFILE_NAMES}
