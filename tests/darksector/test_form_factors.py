from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from na64reco.constants import ELECTRON_MASS, PROTON_MASS
from na64reco.darksector.form_factors import CARBON, LEAD, Nucleus, form_factor, photon_flux
from na64reco.errors import ModelError


def elastic(t, nucleus):
    # arXiv:0906.0580, A18, with a and d as printed.
    a = 111 * nucleus.z ** (-1 / 3) / ELECTRON_MASS
    d = 0.164 * nucleus.a ** (-2 / 3)
    return (a**2 * t / (1 + a**2 * t)) ** 2 / (1 + t / d) ** 2 * nucleus.z**2


def inelastic(t, nucleus):
    a = 773 * nucleus.z ** (-2 / 3) / ELECTRON_MASS
    proton = (1 + t / (4 * PROTON_MASS**2) * (2.792847**2 - 1)) / (1 + t / 0.71) ** 4
    return (a**2 * t / (1 + a**2 * t)) ** 2 * proton * nucleus.z


@pytest.mark.parametrize("nucleus", [LEAD, CARBON])
@pytest.mark.parametrize("low", [1e-14, 1e-9, 1e-5, 3e-3, 0.1, 20.0])
@pytest.mark.parametrize("both", [False, True])
def test_flux_against_quadrature(nucleus, low, both):
    high = 3e3 * low
    assert form_factor(low, nucleus.parameters(inelastic=both)) == pytest.approx(
        elastic(low, nucleus) + both * inelastic(low, nucleus), rel=1e-12
    )

    def integrand(z):
        t = np.exp(z)
        return (t - low) / t * (elastic(t, nucleus) + both * inelastic(t, nucleus))

    expected, _ = quad(integrand, np.log(low), np.log(high), epsabs=0, epsrel=1e-10, limit=200)
    assert photon_flux(low, high, nucleus, inelastic=both) == pytest.approx(expected, rel=1e-7)


def test_wrong_numbers():
    with pytest.raises(ModelError, match=r"1 <= Z <= A < 300, found Z=5, A=4"):
        Nucleus(5, 4)
    with pytest.raises(ModelError, match=r"t_min must be positive, found 0\.0"):
        photon_flux(0.0, 1.0, LEAD)
