"""The expected background in the signal box of one run period.

Three kinds of components, each with statistical and systematic error or, where nothing can be
measured, an upper limit:

- what is extrapolated from data in one variable: from sideband A in E_ECAL (electrons that lost
  energy upstream; arXiv:2404.06982, section 4), from sideband C in E_HCAL (hadrons that punch
  through);
- what is taken from simulation: sum of weights in the box, scaled by the exposure;
- what a control sample gives times a transfer factor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import gammaincinv

from na64reco.errors import InferenceError
from na64reco.inference.shapes import ECAL_SHAPES, HCAL_SHAPES, NOMINAL
from na64reco.inference.sideband_fit import extrapolate, fit_sideband
from na64reco.inference.toys import goodness_of_fit, sampled_error, toy_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from na64reco.inference.selected import Events, PeriodData
    from na64reco.inference.shapes import Shape
    from na64reco.inference.sideband_fit import Extrapolation, SidebandFit
    from na64reco.inference.toys import Goodness

    Array: TypeAlias = NDArray[np.float64]

__all__ = [
    "CL",
    "Component",
    "Sideband",
    "component_of",
    "from_control",
    "from_simulation",
    "measure_sideband",
    "punch_through",
    "upstream",
    "weights_of_shapes",
]

CL = 0.9
"""Confidence level of upper limits."""
IMPLAUSIBLE = 6.0
"""Difference in AIC: less than a twentieth as likely as the best."""
HCAL_RANGE = 20.0
"""GeV: sideband C is fitted from the box's edge over this range; the tail of showers that are
contained lies above."""


@dataclass(frozen=True)
class Component:
    """One background in the box, events."""

    name: str
    value: float | None
    """None if only a limit is known."""
    statistical: float | None
    systematic: float | None
    upper: float
    """Upper limit, one-sided, at `CL`."""
    source: str
    """Where the number is from; why there is only a limit."""
    correlated: bool = False
    """The systematic error is one and the same in all periods."""

    @property
    def limit_only(self) -> bool:
        """Nothing was measured, only a limit is known."""
        return self.value is None

    @property
    def expected(self) -> float:
        """The value; for a limit the mean of the exponential distribution with that quantile.

        That is what no event observed means with a flat prior.
        """
        return self.upper / -np.log1p(-CL) if self.value is None else self.value

    @property
    def log_statistical(self) -> float:
        """Standard deviation of the logarithm; of a limit, as an error of 100 % gives it."""
        if self.value is None or self.statistical is None:
            return float(np.sqrt(np.log(2.0)))
        return self.statistical / self.value if self.value else 0.0

    @property
    def log_systematic(self) -> float:
        """Standard deviation of the logarithm."""
        if not self.value or self.systematic is None:
            return 0.0
        return float(np.sqrt(np.log1p((self.systematic / self.value) ** 2)))


@dataclass(frozen=True, eq=False)
class Sideband:
    """One sideband, fitted with all shapes, and what they expect in the box."""

    variable: str
    """ecal or hcal."""
    window: tuple[float, float]
    """GeV, fitted."""
    box: tuple[float, float]
    """GeV, extrapolated into."""
    x: Array
    """GeV, the events in the range."""
    weights: Array
    fits: dict[str, SidebandFit]
    results: dict[str, Extrapolation]
    goodness: dict[str, Goodness]
    shape_weights: dict[str, float]
    """Akaike weights."""
    sampled: float
    """Error of ln b of the nominal shape by varying parameters within their covariance."""
    toys: float
    """The same by pseudo-experiments."""
    ranges: dict[str, float | None] = field(default_factory=dict)
    """Nominal estimate with other upper ends of the range, None where there is only a limit."""

    @property
    def fit(self) -> SidebandFit:
        """Of the nominal shape."""
        return self.fits[NOMINAL]

    @property
    def nominal(self) -> Extrapolation:
        """By the nominal shape."""
        return self.results[NOMINAL]

    @property
    def model_error(self) -> float:
        """Root mean square difference of the shapes from the nominal, by Akaike weight."""
        return _spread(self.results, self.shape_weights)

    def predict(self, box: tuple[float, float]) -> tuple[Extrapolation, float]:
        """Estimate and model error for another box, from the same fits."""
        results = {name: extrapolate(fit, box, cl=CL) for name, fit in self.fits.items()}
        return results[NOMINAL], _spread(results, self.shape_weights)


def _spread(results: dict[str, Extrapolation], weights: dict[str, float]) -> float:
    centre = results[NOMINAL].value
    return float(np.sqrt(sum(weights[n] * (r.value - centre) ** 2 for n, r in results.items())))


def weights_of_shapes(fits: dict[str, SidebandFit]) -> dict[str, float]:
    """Akaike weights, exp(-AIC / 2) normalised (K. Burnham, D. Anderson, Model Selection, 2002).

    How plausible each shape is by the data, extra parameters paid for. A shape with a parameter at
    its end is another, simpler shape and counts nothing, nor does one that is worse than the best
    by `IMPLAUSIBLE`; the nominal one always counts.
    """
    usable = {n: f.aic for n, f in fits.items() if n == NOMINAL or not f.at_limit}
    best = min(usable.values())
    weights = {
        n: float(np.exp(-0.5 * (aic - best)))
        for n, aic in usable.items()
        if n == NOMINAL or aic - best < IMPLAUSIBLE
    }
    total = sum(weights.values())
    return {n: weights.get(n, 0.0) / total for n in fits}


def measure_sideband(
    x: Array,
    weights: Array,
    window: tuple[float, float],
    box: tuple[float, float],
    *,
    variable: str,
    scale: float,
    rng: np.random.Generator,
    shapes: tuple[Shape, ...] | None = None,
    toys: int = 2000,
) -> Sideband:
    """Fit a sideband with every shape and continue each into the box.

    Parameters
    ----------
    x, weights
        GeV, shape (events,).
    window, box
        Ranges of x in GeV: fitted, and extrapolated into.
    variable
        ``ecal`` or ``hcal``.
    scale
        Energy of the beam, GeV.
    toys
        Pseudo-experiments for the error; goodness of fit takes a fifth of it.

    Raises
    ------
    InferenceError
        As `fit_sideband`.
    """
    shapes = shapes or (ECAL_SHAPES if variable == "ecal" else HCAL_SHAPES)
    inside = (x >= window[0]) & (x < window[1])
    x, weights = x[inside], weights[inside]
    fits = {s.name: fit_sideband(x, s, window, scale=scale, weights=weights) for s in shapes}
    results = {name: extrapolate(fit, box, cl=CL) for name, fit in fits.items()}
    goodness = {
        name: goodness_of_fit(fit, x, rng, weights=weights, toys=max(toys // 5, 10))
        for name, fit in fits.items()
        if len(fit.theta) == 1
    }
    measured = not results[NOMINAL].limit_only
    ranges: dict[str, float | None] = {}
    for less in (0.1, 0.2):
        end = window[1] - less * (window[1] - window[0])
        other = fit_sideband(x, fits[NOMINAL].shape, (window[0], end), scale=scale, weights=weights)
        found = extrapolate(other, box, cl=CL)
        ranges[f"{end:g}"] = None if found.limit_only else found.value
    nominal = fits[NOMINAL]
    return Sideband(
        variable,
        window,
        box,
        x,
        weights,
        fits,
        results,
        goodness,
        weights_of_shapes(fits),
        sampled_error(nominal, box, rng) if measured else float("nan"),
        toy_error(nominal, box, rng, toys=toys) if measured else float("nan"),
        ranges,
    )


def component_of(
    name: str, found: Sideband, *, box: tuple[float, float] | None = None
) -> Component:
    """The number in the box (by default the sideband's own) as a component of the background."""
    if box is None:
        nominal, model = found.nominal, found.model_error
        results = found.results
    else:
        nominal, model = found.predict(box)
        results = {n: extrapolate(f, box, cl=CL) for n, f in found.fits.items()}
    if nominal.limit_only:
        # The shape is not known: the largest limit of those that the data do not disfavour.
        heaviest = max(found.shape_weights.values())
        likely = [n for n, w in found.shape_weights.items() if w > 0.1 * heaviest]
        upper = max(results[n].upper for n in likely)
        return Component(name, None, None, None, upper, nominal.reason, correlated=True)
    total = np.sqrt(nominal.log_error**2 + np.log1p((model / nominal.value) ** 2))
    upper = nominal.value * float(np.exp(1.2815515655446004 * total))
    source = f"{found.fit.events} events in sideband, {found.fit.shape.name}"
    return Component(name, nominal.value, nominal.error, model, upper, source, correlated=True)


def upstream(
    period: PeriodData, rng: np.random.Generator, *, top: float | None = None, toys: int = 2000
) -> Sideband:
    """Sideband A: empty HCAL, E_ECAL from the box to E0, continued down to zero.

    Parameters
    ----------
    top
        Another upper end of the fit, GeV; default: the sideband's.
    """
    box, data = period.box, period.data
    chosen = data.take(data.hcal < box.hcal)
    return measure_sideband(
        chosen.ecal,
        chosen.weight,
        (box.ecal, box.top if top is None else min(top, box.top)),
        (0.0, box.ecal),
        variable="ecal",
        scale=period.beam,
        rng=rng,
        toys=toys,
    )


def punch_through(period: PeriodData, rng: np.random.Generator, *, toys: int = 2000) -> Sideband:
    """Sideband C: E_ECAL as in the box, E_HCAL above it, continued down to zero."""
    box, data = period.box, period.data
    chosen = data.take(data.ecal < box.ecal)
    return measure_sideband(
        chosen.hcal,
        chosen.weight,
        (box.hcal, box.hcal + HCAL_RANGE),
        (0.0, box.hcal),
        variable="hcal",
        scale=period.beam,
        rng=rng,
        toys=toys,
    )


def from_simulation(
    name: str,
    events: Events,
    box: tuple[float, float],
    *,
    simulated: float,
    exposure: float,
    relative: float = 0.0,
    correlated: bool = True,
) -> Component:
    """Events of a simulated sample in the box, per electron on target times the exposure.

    Parameters
    ----------
    box
        Upper limits of E_ECAL and E_HCAL, GeV.
    simulated, exposure
        Electrons on target that the sample stands for, and of the data.
    relative
        Systematic error of the rate, relative.

    Raises
    ------
    InferenceError
        For an exposure that is not positive.
    """
    if not (simulated > 0 and exposure > 0):
        msg = (
            f"Electrons on target must be positive: the simulation of {name!r} stands for "
            f"{simulated:g}, the data for {exposure:g}."
        )
        raise InferenceError(msg)
    scale = exposure / simulated
    weight = events.weight[(events.ecal < box[0]) & (events.hcal < box[1])]
    total, squares = float(weight.sum()), float((weight**2).sum())
    source = f"{len(weight)} simulated events of {simulated:.3g} electrons on target"
    if total == 0:
        # One event more would have had a typical weight of the sample; 1 if it is empty.
        unit = float((events.weight**2).sum() / events.weight.sum()) if len(events) else 1.0
        upper = float(gammaincinv(1.0, CL)) * unit * scale * (1 + relative)
        return Component(name, None, None, None, upper, source, correlated)
    effective = total**2 / squares
    upper = squares / total * float(gammaincinv(effective + 1, CL)) * scale * (1 + relative)
    value = total * scale
    statistical = float(np.sqrt(squares)) * scale
    return Component(name, value, statistical, relative * value, upper, source, correlated)


def from_control(
    name: str,
    count: int,
    transfer: float,
    transfer_error: float,
    *,
    correlated: bool = True,
) -> Component:
    """A control sample's number of events times a transfer factor.

    Raises
    ------
    InferenceError
        For a negative count, factor or error.
    """
    if count < 0 or transfer < 0 or transfer_error < 0:
        msg = (
            f"The control sample of {name!r} needs a count, a transfer factor and an error >= 0; "
            f"found {count}, {transfer:g}, {transfer_error:g}."
        )
        raise InferenceError(msg)
    source = f"{count} control events, transfer factor {transfer:.3g} +- {transfer_error:.2g}"
    upper = float(gammaincinv(count + 1, CL)) * (transfer + 1.2816 * transfer_error)
    if count == 0 or transfer == 0:
        return Component(name, None, None, None, upper, source, correlated)
    return Component(
        name,
        count * transfer,
        float(np.sqrt(count)) * transfer,
        count * transfer_error,
        upper,
        source,
        correlated,
    )
