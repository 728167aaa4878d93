"""Against the trace of explicit gamma matrices and against the published form."""

from __future__ import annotations

import numpy as np
import pytest

from na64reco.darksector.strahlung_amplitude import squared_amplitude

METRIC = np.array([1.0, -1.0, -1.0, -1.0])


def gamma_matrices():
    one, none = np.eye(2), np.zeros((2, 2))
    sigma = [
        np.array([[0, 1], [1, 0]]),
        np.array([[0, -1j], [1j, 0]]),
        np.array([[1, 0], [0, -1]]),
    ]
    first = np.block([[one, none], [none, -one]]).astype(complex)
    return [first] + [np.block([[none, s], [-s, none]]).astype(complex) for s in sigma]


GAMMA = gamma_matrices()


def dot(a, b):
    return float(np.sum(METRIC * a * b))


def slash(a):
    return sum(METRIC[i] * a[i] * GAMMA[i] for i in range(4))


def event(rng, energy, mass, lepton, nucleus):
    """Momenta p, p', k, P_i, P_f of a physical point."""
    p = np.array([energy, 0, 0, np.sqrt(energy**2 - lepton**2)])
    while True:
        ek = rng.uniform(mass, energy)
        k = np.sqrt(ek**2 - mass**2)
        theta = rng.exponential(0.1)
        vector = np.array([ek, k * np.sin(theta), 0, k * np.cos(theta)])
        v = p - vector
        length = np.linalg.norm(v[1:])
        t = 10 ** rng.uniform(-5, 0.5)
        q = np.sqrt(t * (1 + t / (4 * nucleus**2)))
        cosine = (t * (1 + v[0] / nucleus) + lepton**2 - dot(v, v)) / (2 * length * q)
        if abs(cosine) < 1 and v[0] > t / (2 * nucleus) + lepton:
            break
    axis = v[1:] / length
    one = np.cross(axis, [0, 1, 0])
    one /= np.linalg.norm(one)
    other = np.cross(axis, one)
    phi = rng.uniform(0, 2 * np.pi)
    across = np.sqrt(1 - cosine**2) * (np.cos(phi) * one + np.sin(phi) * other)
    rest = np.array([nucleus, 0, 0, 0])
    recoil = np.concatenate(([nucleus + t / (2 * nucleus)], q * (cosine * axis + across)))
    return p, p + rest - vector - recoil, vector, rest, recoil


@pytest.mark.parametrize(
    ("lepton", "mass", "energy", "nucleus"),
    [(0.5e-3, 0.1, 10.0, 5.0), (0.1, 0.3, 3.0, 1.0), (0.1, 1.0, 5.0, 20.0), (0.3, 0.3, 4.0, 0.9)],
)
def test_trace_of_gamma_matrices(lepton, mass, energy, nucleus):
    rng = np.random.default_rng(7)
    for _ in range(5):
        p, after, k, rest, recoil = event(rng, energy, mass, lepton, nucleus)
        assert dot(after, after) == pytest.approx(lepton**2, abs=1e-9)
        total, q = rest + recoil, rest - recoil
        s = dot(after + k, after + k) - lepton**2
        u = dot(p - k, p - k) - lepton**2
        t = -dot(q, q)
        one = np.eye(4)
        trace = 0.0
        for nu in range(4):
            vertex = (
                GAMMA[nu] @ (slash(after + k) + lepton * one) @ slash(total) / s
                + slash(total) @ (slash(p - k) + lepton * one) @ GAMMA[nu] / u
            )
            barred = GAMMA[0] @ vertex.conj().T @ GAMMA[0]
            chain = (slash(after) + lepton * one) @ vertex @ (slash(p) + lepton * one) @ barred
            trace += -0.5 * METRIC[nu] * np.trace(chain).real
        pp, ppa, square = dot(total, p), dot(total, after), dot(total, total)
        found = squared_amplitude(s, u, t, pp, ppa, u * pp + s * ppa, square, mass**2, lepton**2)
        assert found == pytest.approx(trace, rel=1e-9)
        published = (
            2 * square * (s**2 + u**2) / (s * u)
            - 8 * t / (s * u) * (pp**2 + ppa**2 - 0.5 * square * (s + u + t - 2 * mass**2))
            - 2
            * (mass**2 + 2 * lepton**2)
            / (s * u) ** 2
            * (4 * (u * pp + s * ppa) ** 2 - square * t * (s + u) ** 2)
        )
        assert published == pytest.approx(trace, rel=1e-9)
