"""Limits of counting models: closed forms, integrals by scipy, pyhf, coverage."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from na64reco.errors import InferenceError
from na64reco.inference.counting_model import CountingModel
from na64reco.inference.poisson import classical_limit, cls_limit
from na64reco.inference.poisson import significance as closed_significance
from na64reco.inference.pyhf_limits import workspace
from na64reco.inference.upper_limits import expected_limits, significance, upper_limit


def model(n, b, *, error=0.0, signal=1.0, yield_error=0.0, covariance=None):
    b = np.atleast_1d(np.asarray(b, dtype=float))
    names = tuple(f"period {i}" for i in range(len(b)))
    if covariance is None and error:
        covariance = np.diag(np.full(len(b), error**2))
    return CountingModel(
        names,
        np.broadcast_to(np.asarray(signal, dtype=float), b.shape),
        b,
        covariance,
        {"yield": np.full(len(b), yield_error)} if yield_error else {},
        None if n is None else np.atleast_1d(n).astype(np.int64),
    )


@pytest.mark.parametrize(("n", "b"), [(0, 0.0), (0, 0.5), (3, 1.2), (10, 4.0)])
def test_without_uncertainties_they_are_the_closed_forms(n, b):
    one = model(n, b, signal=2.0)
    assert upper_limit(one) == pytest.approx(classical_limit(n, b) / 2, rel=1e-5)
    assert upper_limit(one, method="cls") == pytest.approx(cls_limit(n, b) / 2, rel=1e-5)
    # Flat prior and CLs are one formula (PDG 2024, 40.4.1.4); here by integration.
    assert upper_limit(one, method="bayes") == pytest.approx(cls_limit(n, b) / 2, rel=1e-4)


def test_channels_without_background_add_up():
    assert upper_limit(model([0, 0, 0], [0, 0, 0], signal=[1, 2, 3])) == pytest.approx(
        math.log(10) / 6, rel=1e-5
    )


def test_nuisance_parameters_are_averaged_over():
    error, kappa = 0.3, math.sqrt(math.log(1.09))
    b_kappa = math.sqrt(math.log(1.25))

    def p(s):
        def chance(z, y):
            mean = s * math.exp(kappa * z) + 0.4 * math.exp(b_kappa * y)
            return stats.norm.pdf(z) * stats.norm.pdf(y) * stats.poisson.cdf(1, mean)

        return integrate.dblquad(chance, -6, 6, -6, 6, epsabs=1e-6)[0]

    limit = upper_limit(model(1, 0.4, error=0.2, yield_error=error))
    assert p(limit) == pytest.approx(0.1, abs=3e-4)


def test_fifteen_percent_on_the_yield_cost_two_percent():
    with_error = upper_limit(model(0, 0.0, yield_error=0.15))
    kappa = math.sqrt(math.log(1 + 0.15**2))

    def p(s):
        return integrate.quad(
            lambda z: stats.norm.pdf(z) * math.exp(-s * math.exp(kappa * z)), -8, 8
        )[0]

    assert p(with_error) == pytest.approx(0.1, abs=2e-4)
    assert 1.01 < with_error / math.log(10) < 1.04


def test_one_background_shared_by_two_channels_is_less_known_than_two():
    full = np.array([[0.04, 0.04], [0.04, 0.04]])
    shared = model([0, 0], [0.4, 0.4], covariance=full)
    np.testing.assert_allclose(shared.background_modes @ shared.background_modes.T, np.log1p(0.25))
    means = shared._points[1]
    assert np.corrcoef(means.T)[0, 1] == pytest.approx(1.0)
    alone = model([0, 0], [0.4, 0.4], error=0.2)
    assert abs(np.corrcoef(alone._points[1].T)[0, 1]) < 0.05


@pytest.mark.parametrize("kind", ["profile", "cls"])
def test_many_counts_as_pyhf_with_the_asymptotic_distribution(kind):
    many = model([62, 81], [60.0, 75.0], error=4.0, signal=[1.0, 1.5], yield_error=0.1)
    exact = upper_limit(many, method=kind)
    # Counts are whole numbers and profiling is not averaging: a few percent.
    assert upper_limit(many, method=f"{kind}-asymptotic") == pytest.approx(exact, rel=0.05)


def test_pyhf_with_toys_is_exact_where_asymptotics_are_not():
    nothing = model(0, 0.0)
    assert upper_limit(nothing, method="profile-asymptotic") == pytest.approx(
        stats.norm.isf(0.1) ** 2 / 2, rel=1e-3
    )
    few = model(2, 1.0)
    toys = upper_limit(few, method="profile-toys", toys=100)
    # A tenth of 100 toys is known to 30 %, the limit then to 9 %.
    assert toys == pytest.approx(classical_limit(2, 1.0), rel=0.2)


@pytest.mark.parametrize("strength", [0.5, 2.4, 7.7])
def test_few_events_are_covered_at_least(strength):
    n = np.arange(60)
    chance = stats.poisson.pmf(n, strength + 1.3)
    limits = np.array([classical_limit(int(k), 1.3) for k in n])
    exact = np.array([upper_limit(model(int(k), 1.3)) for k in n[:4]])
    np.testing.assert_allclose(exact, limits[:4], atol=1e-4)
    assert chance[limits >= strength].sum() >= 0.9


def test_many_events_are_covered_in_90_percent_of_toys():
    rng = np.random.default_rng(7)
    truth = 12.0
    counts = np.stack((rng.poisson(truth + 30, 5000), rng.poisson(0.5 * truth + 20, 5000)), axis=1)
    two = model(None, [30.0, 20.0], signal=[1.0, 0.5])
    from na64reco.inference.upper_limits import _limits

    distinct, where = np.unique(counts, axis=0, return_inverse=True)
    limits = _limits(two, distinct, 0.9, cls=False)[where.ravel()]
    assert np.mean(limits >= truth) == pytest.approx(0.9, abs=0.01)


def test_expected_limits_are_quantiles_of_the_limits_of_counts():
    found = expected_limits(model(None, 2.0), method="cls")
    below = stats.norm.cdf([-2, -1, 0, 1, 2])
    expected = [cls_limit(int(stats.poisson.ppf(q, 2.0)), 2.0) for q in below]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    # Without background there is only one thing that can be seen.
    np.testing.assert_allclose(expected_limits(model(None, 0.0)), math.log(10), rtol=1e-3)


def test_two_channels_are_expected_to_be_at_least_as_good_as_each():
    both = model(None, [0.4, 0.7], signal=[1.0, 0.3], error=0.1)
    first = model(None, 0.4, signal=1.0, error=0.1)
    assert expected_limits(both)[2] <= expected_limits(first)[2] * 1.001


def test_significance_of_one_channel_is_the_closed_form():
    assert significance(model(8, 2.0)) == pytest.approx(closed_significance(8, 2.0), rel=1e-6)
    assert significance(model(0, 2.0)) == 0
    # An uncertain background makes an excess less remarkable.
    assert significance(model(8, 2.0, error=1.0)) < significance(model(8, 2.0))


def test_workspaces_fulfil_pyhfs_schema_and_hold_the_model():
    import pyhf

    content = workspace(model([0, 1], [0.4, 0.3], error=0.2, yield_error=0.15))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pyhf's own use of jsonschema
        pyhf_model = pyhf.Workspace(content).model(
            modifier_settings={"normsys": {"interpcode": "code1"}}
        )
    assert pyhf_model.config.poi_name == "mu"
    parameters = pyhf_model.config.suggested_init()
    parameters[pyhf_model.config.poi_index] = 3.0
    parameters[pyhf_model.config.par_slice("signal yield").start] = 1.0
    up = math.exp(math.sqrt(math.log(1 + 0.15**2)))
    rates = pyhf_model.expected_actualdata(parameters)
    np.testing.assert_allclose(rates, [0.4 + 3 * up, 0.3 + 3 * up])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model(0, -0.1), "background of the channels period 0 must be >= 0"),
        (lambda: model(0, math.nan), "finite numbers of the shape"),
        (lambda: model([0, 1, 2], [0.4, 0.3]), "observed must be finite numbers of the shape"),
        (lambda: model(0, 0.0, error=0.1), "is 0 with an uncertainty"),
        (
            lambda: model([0, 0], [1, 1], covariance=np.array([[0.1, 0.5], [0.5, 0.1]])),
            "negative eigenvalue",
        ),
        (lambda: CountingModel((), np.empty(0), np.empty(0)), "at least one channel"),
        (lambda: upper_limit(model(None, 0.1)), "blinded"),
        (lambda: workspace(model(None, 0.1)), "blinded"),
        (lambda: significance(model(None, 0.1)), "blinded"),
        (lambda: upper_limit(model(0, 0.1), method="clss"), "Did you mean 'cls'"),
        (lambda: upper_limit(model(0, 0.1), cl=90), "give 0.9"),
        (lambda: upper_limit(model([0, 0], [1, 1]), method="feldman-cousins"), "one channel"),
        (lambda: upper_limit(model([5000, 5000], [5e3, 5e3])), "asymptotic"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(InferenceError, match=message):
        make()


def test_no_signal_no_limit():
    assert upper_limit(model(0, 0.3, signal=0.0)) == math.inf
    assert np.all(np.isinf(expected_limits(model(None, 0.3, signal=0.0))))


@pytest.mark.parametrize("cls", [False, True])
@pytest.mark.parametrize("observed", [(0, 1, 0), (2, 0, 1)])
def test_three_channels_against_all_counts_one_by_one(observed, cls):
    """Order of counts by scipy's minimisation, probabilities by scipy's Poisson."""
    s, b = np.array([0.6, 0.3, 0.1]), np.array([0.5, 0.2, 0.8])
    # More than nine events are never farther from the signal than three.
    counts = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    counts = counts[counts.sum(axis=1) < 10]
    method = "cls" if cls else "profile"
    limit = upper_limit(model(observed, b, signal=s), method=method)

    def q(n, strength):
        def cost(mu):
            return -stats.poisson.logpmf(n, mu * s + b).sum()

        best = optimize.minimize_scalar(cost, bounds=(0, strength), method="bounded").x
        best = min((0.0, best, strength), key=cost)
        return 2 * (cost(strength) - cost(best))

    def p(strength):
        threshold = q(np.array(observed), strength)
        far = np.array([q(n, strength) >= threshold - 1e-6 for n in counts])
        there, alone = (stats.poisson.pmf(counts, m * s + b).prod(axis=1) for m in (strength, 0.0))
        return there[far].sum() / (alone[far].sum() if cls else 1.0)

    # The p-value falls, in steps where the order changes: on either side of 10 %.
    assert p(1.002 * limit) < 0.1 + 1e-4
    assert p(0.98 * limit) > 0.1
