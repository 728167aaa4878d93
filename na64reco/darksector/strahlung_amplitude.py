r"""Squared amplitude of lepton + nucleus -> lepton + nucleus + dark vector at tree level.

p + q = p' + k, with q = P_i - P_f from the nucleus, t = -q^2; s = (p' + k)^2 - m_l^2 and
u = (p - k)^2 - m_l^2 are the two propagators, P = P_i + P_f, and

.. math::
   X = -\tfrac12 g_{\nu\nu'} \mathrm{Tr}[(\not p' + m_l)\,\Gamma^\nu\,(\not p + m_l)\,
       \bar\Gamma^{\nu'}], \quad
   \Gamma^\nu = \gamma^\nu \frac{\not p + \not q + m_l}{s}\not P
              + \not P\,\frac{\not p' - \not q + m_l}{u}\gamma^\nu .

Sum over polarisations, mean over the lepton's first spin; the current is conserved, so that the
longitudinal term of the vector's polarisation sum adds nothing. With P.q = 0 the trace is

.. math::
   X = \frac{2 P^2 (s^2 + u^2)}{s u}
     - \frac{8 t}{s u}\Big[(Pp)^2 + (Pp')^2 - \tfrac12 P^2 (s + u + t - 2 m^2)\Big]
     - \frac{2 (m^2 + 2 m_l^2)}{s^2 u^2}\Big[4 (u\,Pp + s\,Pp')^2 - P^2 t (s + u)^2\Big]

(as in arXiv:1604.08432, arXiv:1705.01633). At high energies that is a difference of large numbers;
`squared_amplitude` is the same written so that each term vanishes with q by itself, and takes
u Pp + s Pp' from the caller, who knows how to get it from q.
The test multiplies explicit gamma matrices.
"""

from __future__ import annotations

from numba import njit

__all__ = ["squared_amplitude"]


@njit(cache=True, nogil=True, error_model="numpy")
def squared_amplitude(  # noqa: PLR0917 - compiled
    s: float,
    u: float,
    t: float,
    before: float,
    after: float,
    mixed: float,
    total2: float,
    mass2: float,
    lepton2: float,
) -> float:
    """X as above, GeV^2.

    Parameters
    ----------
    s, u, t
        GeV^2; s, t > 0, u < 0.
    before, after
        P.p and P.p', GeV^2.
    mixed
        u P.p + s P.p', GeV^4.
    total2
        P^2 = 4 M^2 + t.
    mass2, lepton2
        Of the vector and of the lepton.
    """
    both = s * u
    ratio = mixed / both
    leptons = lepton2 + 0.5 * (t + s + u - mass2)  # p.p'
    single = (
        8 * t * before * after
        + 2 * total2 * (s + t) * (u + t)
        + 4 * t * total2 * (2 * lepton2 - leptons)
    )
    return (
        -8 * ratio * ratio * (mass2 + 2 * lepton2 - t)
        - 8 * ratio * t * (before + after) * (s + u) / both
        + (1 / (s * s) + 1 / (u * u)) * single
        + 8 * total2 * t * leptons / both
    )
