r"""Dark-vector bremsstrahlung at tree level: the integrals, compiled.

With x = E_k / E_0, u = 2 p.k - m^2 > 0 in place of the vector's angle, t = -q^2, and the nucleus'
azimuth phi about V = p - k (arXiv:1604.08432, eq. 5; derived anew, all masses kept):

.. math::
   \frac{d\sigma}{dx\,du} = \frac{\alpha^3 \varepsilon^2 E_0}{16\,p^2 M^2 |V|}
   \int dt\,\frac{G_2(t)}{t^2}\,\frac{1}{2\pi}\int d\phi\,X

with X from `na64reco.darksector.strahlung_amplitude`. Where the integrand peaks:

- phi: the outgoing lepton's propagator is A + B cos(phi), and in the eccentric anomaly of a
  Kepler orbit of eccentricity B / A the integrand is all but a trigonometric polynomial;
- t: a peak where B / A is largest (vector and lepton collinear), of a width sqrt(8 (1 - B / A)) in
  ln t, taken out by a sinh about it; else panels in ln t;
- u: panels in ln u; x: panels in ln(x / (1 - x)), squared at both ends.

Bounds: t where the nucleus can take q, u up to 2 M (E_0 - E_k - m_l), both exact; tails below 1e-8
of the result are cut. The result is good to 1e-6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from na64reco.darksector.form_factors import form_factor
from na64reco.darksector.strahlung_amplitude import squared_amplitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["highest_x", "in_angle", "in_x", "start_of_u", "total", "x_panels"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_PEAK_NODES, _PEAK_WEIGHTS = np.polynomial.legendre.leggauss(14)
_ROUND: Final = np.cos((np.arange(6) + 0.5) * np.pi / 6)
_OVAL: Final = np.cos((np.arange(10) + 0.5) * np.pi / 10)
_ECCENTRIC: Final = np.cos((np.arange(16) + 0.5) * np.pi / 16)

_T_PANEL: Final = 3.5
_U_PANEL: Final = 2.5
_X_PANEL: Final = 2.5
_NEAR: Final = 2.0
"""Half width in ln t of the region of the sinh."""
_BELOW_SCREENING: Final = 1e-4
_ABOVE_SIZE: Final = 2e3
_ABOVE_START: Final = 1e6


@njit(cache=True, nogil=True, error_model="numpy")
def start_of_u(x: float, energy: float, mass: float, lepton: float) -> tuple[float, float]:
    """u in the forward direction, and p k; du = 2 p k d(1 - cos theta)."""
    m2 = mass * mass
    l2 = lepton * lepton
    ek = x * energy
    pk = np.sqrt((ek * ek - m2) * (energy * energy - l2))
    first = energy * energy * m2 + ek * ek * l2 - m2 * l2
    return 2 * first / (energy * ek + pk) - m2, pk


@njit(cache=True, nogil=True, error_model="numpy")
def highest_x(energy: float, mass: float, lepton: float, nucleus: float) -> float:
    """Kinematic limit: u in the forward direction = 2 M (E_0 - E_k - m_l); 0 if out of reach."""
    low = mass / energy
    high = 1 - lepton / energy
    if not 0 < low < high:
        return 0.0
    # What is left of the bound is concave in x: find its greatest value, then its zero above that.
    first, last = low, high
    for _ in range(80):
        left = first + (last - first) / 3
        right = last - (last - first) / 3
        u_left, _ = start_of_u(left, energy, mass, lepton)
        u_right, _ = start_of_u(right, energy, mass, lepton)
        if u_left + 2 * nucleus * energy * left < u_right + 2 * nucleus * energy * right:
            last = right
        else:
            first = left
    low = 0.5 * (first + last)
    u, _ = start_of_u(low, energy, mass, lepton)
    if u >= 2 * nucleus * (energy * (1 - low) - lepton):
        return 0.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        u, _ = start_of_u(middle, energy, mass, lepton)
        if u < 2 * nucleus * (energy * (1 - middle) - lepton):
            low = middle
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, error_model="numpy")
def _over_phi(  # noqa: PLR0917 - compiled
    t: float,
    u: float,
    base: float,
    swing: float,
    along: float,
    across: float,
    before: float,
    after: float,
    total2: float,
    m2: float,
    l2: float,
) -> float:
    """Mean of X over phi: s = base + swing cos, u P.p + s P.p' = along + across cos + ..."""
    ratio = swing / base
    result = 0.0
    if ratio < 0.6:
        cosines = _ROUND if ratio < 0.3 else _OVAL
        for cosine in cosines:
            s = base + swing * cosine
            mixed = along + across * cosine - 0.5 * t * (s - u)
            result += squared_amplitude(s, -u, t, before - 0.5 * s, after, mixed, total2, m2, l2)
        return float(result / cosines.size)
    square = (base - swing) * (base + swing)
    for anomaly in _ECCENTRIC:
        radius = base - swing * anomaly
        s = square / radius
        cosine = (base * anomaly - swing) / radius
        mixed = along + across * cosine - 0.5 * t * (s - u)
        result += s * squared_amplitude(s, -u, t, before - 0.5 * s, after, mixed, total2, m2, l2)
    return float(result / (_ECCENTRIC.size * np.sqrt(square)))


@njit(cache=True, nogil=True, error_model="numpy")
def _over_t(  # noqa: PLR0917 - compiled
    x: float,
    u: float,
    above: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> float:
    """Integral over t and mean over phi of X G_2 / t^2, over |V|; above = u - start of u."""
    m2 = mass * mass
    l2 = lepton * lepton
    target = nucleus[0]
    ek = x * energy
    v0 = energy - ek
    k = np.sqrt(ek * ek - m2)
    p = np.sqrt(energy * energy - l2)
    v2 = v0 * v0 - l2 + u
    v = np.sqrt(v2)
    # Transverse momentum of the nucleus about V: a t - b t^2 - d.
    boost = 1 + v0 / target
    b = (target * target + 2 * target * v0 + l2 - u) / (4 * target * target * v2)
    a = 1 - boost * u / (2 * v2)
    d = u * u / (4 * v2)
    root2 = a * a - 4 * b * d
    if root2 <= 0 or a <= 0:
        return 0.0
    root = np.sqrt(root2)
    t_min = 2 * d / (a + root)
    t_max = (a + root) / (2 * b)
    screening = nucleus[2]
    size = nucleus[3]
    if nucleus[4] > 0:
        screening = min(screening, nucleus[5])
        size = max(size, 0.07)
    low = np.log(max(t_min, _BELOW_SCREENING * screening))
    high = np.log(min(t_max, _ABOVE_SIZE * max(size, t_min)))
    if high <= low:
        return 0.0

    half = 0.5 * above
    k_across = np.sqrt(max(half * (2 * p * k - half), 0.0) / v2)
    k_along = (ek * v0 + 0.5 * (m2 - u)) / v
    # E_k p - E_0 k along V (across it: -V_0 k_across), by products that do not cancel.
    g_along = (-ek * l2 - energy * m2 + 0.5 * (ek + energy) * (m2 + u)) / v

    peak = 0.5 * (low + high)
    width = 1.0
    constant = u * (1 + k_along / v)
    slope = boost * k_along / v - ek / target
    if slope > 0:
        peak = np.log(constant / slope)
        mean2 = constant * slope
        mean = np.sqrt(mean2)
        gap = (mean2 - k_across * k_across) / (mean * (mean + k_across))
        width = np.sqrt(8 * max(gap, 1e-12))
        if peak < low:
            width = max(width, low - peak)
            peak = low
        if peak > high:
            width = max(width, peak - high)
            peak = high
    width = min(width, 1.5)

    result = 0.0
    for side in (-1.0, 1.0):
        span = peak - low if side < 0 else high - peak
        if span <= 0:
            continue
        near = min(span, _NEAR)
        last = np.arcsinh(near / width)
        panels = int(np.ceil((span - near) / _T_PANEL))
        for panel in range(panels + 1):
            nodes = _PEAK_NODES if panel == 0 else _NODES
            weights = _PEAK_WEIGHTS if panel == 0 else _WEIGHTS
            step = (span - near) / max(panels, 1)
            for i in range(nodes.size):
                if panel == 0:
                    w = 0.5 * last * (1 + nodes[i])
                    z = peak + side * width * np.sinh(w)
                    weight = 0.5 * last * weights[i] * width * np.cosh(w)
                else:
                    z = peak + side * (near + step * (panel - 1 + 0.5 * (1 + nodes[i])))
                    weight = 0.5 * step * weights[i]
                t = np.exp(z)
                across2 = b * (t - t_min) * (t_max - t)
                if across2 <= 0:
                    continue
                q_across = np.sqrt(across2)
                q_along = (t * boost + u) / (2 * v)
                mean_x = _over_phi(
                    t,
                    u,
                    u - t * ek / target + 2 * q_along * k_along,
                    2 * q_across * k_across,
                    2 * target * (ek * t - 2 * q_along * g_along),
                    4 * target * q_across * v0 * k_across,
                    2 * target * energy - 0.5 * t,
                    2 * target * v0 - t + 0.5 * (t - u),
                    4 * target * target + t,
                    m2,
                    l2,
                )
                result += weight * mean_x * form_factor(t, nucleus) / t
    return float(result / v)


@njit(cache=True, nogil=True, error_model="numpy")
def in_angle(  # noqa: PLR0917 - compiled
    x: float,
    theta: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> float:
    """d2 sigma / dx dtheta over alpha^3 epsilon^2, 1/GeV^2; 0 outside the kinematic limits."""
    if x * energy <= mass:
        return 0.0
    first, pk = start_of_u(x, energy, mass, lepton)
    above = 4 * pk * np.sin(0.5 * theta) ** 2
    u = first + above
    if u >= 2 * nucleus[0] * (energy * (1 - x) - lepton):
        return 0.0
    factor = energy / (16 * (energy * energy - lepton * lepton) * nucleus[0] ** 2)
    angle = 2 * pk * np.sin(theta)
    return float(angle * factor * _over_t(x, u, above, energy, mass, lepton, nucleus))


@njit(cache=True, nogil=True, error_model="numpy")
def in_x(
    x: float, energy: float, mass: float, lepton: float, nucleus: NDArray[np.float64]
) -> float:
    """d sigma / dx over alpha^3 epsilon^2, 1/GeV^2; 0 outside the kinematic limits."""
    if x * energy <= mass:
        return 0.0
    first, pk = start_of_u(x, energy, mass, lepton)
    last = min(2 * nucleus[0] * (energy * (1 - x) - lepton), first + 4 * pk)
    last = min(last, _ABOVE_START * max(first, x * nucleus[3]))
    if last <= first:
        return 0.0
    span = np.log(last / first)
    panels = int(np.ceil(span / _U_PANEL))
    step = span / panels
    result = 0.0
    for panel in range(panels):
        for node, weight in zip(_NODES, _WEIGHTS):  # noqa: B905 - numba
            above = first * np.expm1(step * (panel + 0.5 * (1 + node)))
            u = first + above
            inner = _over_t(x, u, above, energy, mass, lepton, nucleus)
            result += 0.5 * step * weight * u * inner
    return float(result * energy / (16 * (energy * energy - lepton * lepton) * nucleus[0] ** 2))


@njit(cache=True, nogil=True, error_model="numpy")
def x_panels(  # noqa: PLR0917 - compiled
    edges: NDArray[np.float64],
    nodes: NDArray[np.float64],
    weights: NDArray[np.float64],
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> NDArray[np.float64]:
    """d sigma / dx integrated between neighbouring edges, given in ln(x / (1 - x)).

    nodes, weights: Gauss-Legendre rule on [-1, 1] for each interval.
    """
    count = edges.size - 1
    found = np.zeros(count)
    for panel in range(count):
        width = edges[panel + 1] - edges[panel]
        for node, weight in zip(nodes, weights):  # noqa: B905 - numba
            share = 0.5 * (1 + node)
            factor = 0.5 * weight * width
            # The phase space opens like a root at either end.
            if panel == 0:
                factor *= 2 * share
                share = share * share
            elif panel == count - 1:
                factor *= 2 * (1 - share)
                share = 1 - (1 - share) ** 2
            rest = 1 / (1 + np.exp(edges[panel] + width * share))
            x = 1 - rest
            found[panel] += factor * x * rest * in_x(x, energy, mass, lepton, nucleus)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def total(  # noqa: PLR0917 - compiled
    low: float,
    high: float,
    energy: float,
    mass: float,
    lepton: float,
    nucleus: NDArray[np.float64],
) -> float:
    """sigma for low < x < high over alpha^3 epsilon^2, 1/GeV^2."""
    if high <= low:
        return 0.0
    first = np.log(low / (1 - low))
    last = np.log(high / (1 - high))
    panels = max(int(np.ceil((last - first) / _X_PANEL)), 2)
    edges = np.linspace(first, last, panels + 1)
    return float(np.sum(x_panels(edges, _NODES, _WEIGHTS, energy, mass, lepton, nucleus)))
