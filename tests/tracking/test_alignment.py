"""Planes put off at random are brought back; what tracks cannot see is named, and is not seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from na64reco.calibration import Alignment, load_conditions
from na64reco.errors import DataError
from na64reco.events import concatenate
from na64reco.setup import load_setup
from na64reco.simulation import simulate
from na64reco.simulation.detector import load_detector
from na64reco.tracking import reconstruct_tracks
from na64reco.tracking.alignment import AlignmentSample, align
from na64reco.tracking.alignment_normal import normal_equations
from na64reco.tracking.clusters import find_clusters
from na64reco.tracking.finding import find_candidates
from na64reco.tracking.fit import fit_tracks
from na64reco.tracking.layout import make_layout
from na64reco.tracking.planes import strip_planes
from na64reco.tracking.reconstruct import measurements

SHIFT, ROTATION = 0.5, 2.0  # mm, mrad: how far off
WANTED = np.array([0.02, 0.1])


def _misaligned(keys, seed, shift=SHIFT, rotation=ROTATION):
    random = np.random.default_rng(seed)
    return {k: Alignment(shift * random.normal(), rotation * random.normal()) for k in keys}


def _keys(toy):
    return [key for _, key, _, _ in toy.planes()]


def _hits(toy, states, true, inefficiency=0.02, noise=0.02, spoil=0.0):
    """Hits of tracks in a detector whose planes stand where ``true`` says."""
    truth = toy.track(states, {k: 1e-3 * a.rotation for k, a in true.items()})
    for key, a in true.items():
        truth.u[key] -= a.shift
    measured = toy.smear(truth, inefficiency)
    for u in measured.values():
        bad = toy.random.random(len(u)) < spoil
        u[bad] += toy.random.normal(size=bad.sum())
    return toy.hits(measured, noise=noise), truth


def _off(result, true, *, held_only=False):
    """Found less true, (planes, 2), in mm and mrad, without what the named modes are."""
    known = np.array([(true[k].shift, true[k].rotation) for k in result.keys])
    off = (np.column_stack((result.shift, result.rotation)) - known) / WANTED
    modes = [m for m in result.modes if m.held or not held_only]
    movements = [np.column_stack((m.shift, m.rotation)) / WANTED for m in modes]
    matrix = np.array(movements).reshape(len(modes), -1).T
    flat = off.ravel()
    flat = flat - matrix @ np.linalg.lstsq(matrix, flat, rcond=None)[0]
    return flat.reshape(-1, 2) * WANTED


def _sample(hits, **options):
    return AlignmentSample(hits["mm"], hits["gem"], **options)


def _chi2_of_pulls(result, true):
    """Of the deviation by the given covariance, and its degrees of freedom."""
    off = (_off(result, true, held_only=True) / WANTED).ravel()
    scale = np.tile(WANTED, len(result.keys))
    values, vectors = np.linalg.eigh(result.covariance / scale[:, None] / scale[None, :])
    good = values > 1e-9 * values[-1]
    assert good.sum() == len(off) - sum(m.held for m in result.modes)
    return float(((vectors.T @ off)[good] ** 2 / values[good]).sum()), int(good.sum())


@pytest.fixture(scope="module")
def run(tools, setup):
    """20,000 tracks of a broad beam through a toy with planes off by 0.5 mm and 2 mrad."""
    setup = tools.wide(setup)
    toy = tools.toy(setup, 21)
    true = _misaligned(_keys(toy), 22)
    states = toy.states(20_000, 100.0, spread=0.005)
    states[:, :2] *= 3
    hits, _ = _hits(toy, states, true)
    conditions = tools.conditions(setup)
    return setup, conditions, hits, true, align([_sample(hits)], setup, conditions)


def test_planes_are_brought_back(run):
    *_, true, result = run
    assert result.converged
    assert result.tracks > 19_000
    assert result.start_chi2 > 5
    assert result.chi2 == pytest.approx(0.9, abs=0.07)  # the median of chi2 / 7 is 0.907
    off = np.abs(_off(result, true))
    assert off[:, 0].max() < 0.02
    assert off[:, 1].max() < 0.1


def test_errors_are_those_of_the_deviations(run):
    *_, true, result = run
    chi2, ndf = _chi2_of_pulls(result, true)
    # Outside this with a probability of 2e-4 on either side for 16 degrees of freedom.
    assert 0.2 < chi2 / ndf < 2.8
    np.testing.assert_allclose(
        np.diag(result.covariance),
        np.column_stack((result.shift_error**2, result.rotation_error**2)).ravel(),
    )


def test_what_tracks_do_not_see_is_named(run):
    *_, result = run
    names = [m.name for m in result.modes]
    assert names[:5] == [
        "shift of the telescope in x",
        "shear in x: shift linear in z",
        "momentum scale: shift in x as by another field",
        "shift of the telescope in y",
        "shear in y: shift linear in z",
    ]
    assert all(m.held for m in result.modes[:5])
    assert "rotation of the x planes" in names
    assert not any("without a name" in n for n in names)
    x_shift = result.modes[0]
    is_x = np.array([n.endswith("X") for n in result.names])
    np.testing.assert_allclose(x_shift.shift, np.where(is_x, 0.02, 0), atol=1e-4)
    np.testing.assert_allclose(x_shift.rotation, 0, atol=1e-4)


@pytest.mark.parametrize("number", range(6))
def test_a_held_mode_changes_no_chi2_but_a_plane_alone_does(run, number):
    setup, conditions, hits, _, result = run
    few = _sample({t: h.slice(0, 3000) for t, h in hits.items()})
    mode = result.modes[number]
    assert mode.held
    amount = 0.4 / max(np.abs(mode.shift).max(), 0.2 * np.abs(mode.rotation).max())

    def chi2(shift, rotation):
        moved = {
            k: Alignment(float(s), float(r))
            for k, s, r in zip(
                result.keys, result.shift + shift, result.rotation + rotation, strict=True
            )
        }
        changed = dataclasses.replace(conditions, alignment=moved)
        return align([few], setup, changed, max_iterations=1).start_chi2

    assert chi2(amount * mode.shift, amount * mode.rotation) == pytest.approx(result.chi2, rel=0.02)
    if number == 0:
        alone = np.zeros(len(result.keys))
        alone[result.names.index("MM4 Y")] = 0.4
        assert chi2(alone, 0 * alone) > 1.5 * result.chi2


def test_matrix_is_that_of_the_whole_system(tools, setup, conditions):
    # Straight tracks, where everything is known in closed form: all tracks' parameters and all
    # planes' corrections in one large least-squares system, against the reduced one.
    planes = strip_planes(setup, conditions)
    layout = make_layout(setup, planes)
    chosen = layout.planes
    random = np.random.default_rng(3)
    n, m = 40, len(chosen)
    station = [
        next(
            s
            for s in setup.stations.values()
            if (s.technology, s.number) == (("mm", "gem")[planes.technology[p]], planes.station[p])
        )
        for p in chosen
    ]
    centres = np.array([(s.x, s.y) for s in station])
    z = planes.z[chosen] - layout.z[0]
    cos, sin = planes.cos[chosen], planes.sin[chosen]
    states = np.column_stack(
        (10 * random.normal(size=(n, 2)), 1e-3 * random.normal(size=(n, 2)), np.zeros(n))
    )
    x = states[:, :1] + states[:, 2:3] * z
    y = states[:, 1:2] + states[:, 3:4] * z
    residual = 0.3 * random.normal(size=(n, m))
    measured = x * cos + y * sin + residual
    measured[random.random((n, m)) < 0.1] = np.nan
    matrix, vector, chi2, ndf = normal_equations(
        measured, states, np.ones(n), planes, layout, centres, straight=True
    )
    layers = [
        (float(layout.z[e] - layout.z[0]), layout.scatter[e] / setup.beam.momentum)
        for e in np.flatnonzero(layout.scatter > 0)
    ]
    covariance = np.diag(planes.resolution[chosen] ** 2)
    for where, theta in layers:
        arm = np.clip(z - where, 0, None)
        same = np.outer(cos, cos) + np.outer(sin, sin)
        covariance += theta**2 * np.outer(arm, arm) * same
    size = 4 * n + 2 * m
    whole, right = np.zeros((size, size)), np.zeros(size)
    total = np.zeros(n)
    for t in range(n):
        hit = np.isfinite(measured[t])
        weight = np.linalg.inv(covariance[np.ix_(hit, hit)])
        design = np.zeros((hit.sum(), size))
        own = np.column_stack((cos, sin, z * cos, z * sin))[hit]
        design[:, 4 * t : 4 * t + 4] = -own
        lever = 1e-3 * ((x[t] - centres[:, 0]) * sin - (y[t] - centres[:, 1]) * cos)
        for row, plane in enumerate(np.flatnonzero(hit)):
            design[row, 4 * n + 2 * plane] = 1
            design[row, 4 * n + 2 * plane + 1] = lever[plane]
        whole += design.T @ weight @ design
        right -= design.T @ weight @ residual[t, hit]
        best = np.linalg.solve(own.T @ weight @ own, own.T @ weight @ residual[t, hit])
        left = residual[t, hit] - own @ best
        total[t] = left @ weight @ left
    a, b, c = whole[: 4 * n, : 4 * n], whole[: 4 * n, 4 * n :], whole[4 * n :, 4 * n :]
    reduced = c - b.T @ np.linalg.solve(a, b)
    np.testing.assert_allclose(matrix, reduced, rtol=1e-6, atol=1e-8 * np.abs(c).max())
    expected = right[4 * n :] - b.T @ np.linalg.solve(a, right[: 4 * n])
    np.testing.assert_allclose(vector, expected, rtol=1e-6, atol=1e-8 * np.abs(right).max())
    np.testing.assert_allclose(chi2, total, rtol=1e-6)
    assert np.array_equal(ndf, np.isfinite(measured).sum(axis=1) - 4)


@pytest.mark.parametrize("ramp", [0.0, 300.0])
def test_chi2_is_that_of_the_track_fit(tools, setup, conditions, ramp):
    # The fit is a Kalman filter, this a least-squares sum: they share only the detector. A ramp's
    # field is followed by integration.
    magnets = {n: m.model_copy(update={"ramp": ramp}) for n, m in setup.magnets.items()}
    other = setup.model_copy(update={"magnets": magnets})
    toy = tools.toy(setup, 35)
    states = toy.states(500, 100.0, spread=0.05)
    hits, _ = _hits(toy, states, {}, inefficiency=0.05)
    planes = strip_planes(other, conditions)
    layout = make_layout(other, planes)
    assert (layout.field is None) == (ramp == 0.0)
    clusters = find_clusters(hits["mm"], hits["gem"], planes)
    candidates = find_candidates(clusters, layout)
    measured = measurements(candidates, clusters, planes, layout)
    fits = fit_tracks(measured, candidates.seed, planes, layout)
    centres = np.zeros((len(layout.planes), 2))
    _, _, chi2, ndf = normal_equations(
        measured, fits.first, np.ones(len(measured)), planes, layout, centres
    )
    assert fits.ok.sum() > 450
    np.testing.assert_allclose(chi2[fits.ok], fits.chi2[fits.ok], rtol=1e-2, atol=1e-2)
    assert np.array_equal(ndf, fits.ndf)


@pytest.fixture(scope="module")
def weak_field(tools, setup):
    """Wide planes in a weak field: tracks with and without it hit the same."""
    magnets = {n: m.model_copy(update={"field": 0.3 * m.field}) for n, m in setup.magnets.items()}
    stations = {n: s.model_copy(update={"x": 0.3 * s.x}) for n, s in setup.stations.items()}
    return tools.wide(setup.model_copy(update={"magnets": magnets, "stations": stations}))


def _momentum_scale(hits, truth, setup, conditions):
    columns = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, conditions)
    found = columns["track.found"]
    qp = columns["track.charge"][found] / columns["track.momentum"][found]
    return np.median(qp / truth.first[found, 4])


def test_straight_tracks_show_the_momentum_scale(tools, weak_field):
    conditions = tools.conditions(weak_field)
    toy = tools.toy(weak_field, 31)
    true = _misaligned(_keys(toy), 32, shift=0.3, rotation=0.5)
    bent, truth = _hits(toy, toy.states(8000, 100.0, spread=0.005), true)
    off = {n: m.model_copy(update={"field": 0.0}) for n, m in weak_field.magnets.items()}
    field_off = tools.toy(weak_field.model_copy(update={"magnets": off}), 33)
    straight, _ = _hits(field_off, field_off.states(8000, 100.0), true)
    setup = weak_field
    without = align([_sample(bent)], setup, conditions)
    both = align([_sample(bent), _sample(straight, straight=True)], setup, conditions)
    assert any("momentum scale" in m.name and m.held for m in without.modes)
    assert not any("momentum scale" in m.name for m in both.modes)
    assert both.tracks > 15_000
    assert abs(_momentum_scale(bent, truth, setup, without.apply(conditions)) - 1) > 5e-3
    assert abs(_momentum_scale(bent, truth, setup, both.apply(conditions)) - 1) < 1e-3
    assert np.abs(_off(both, true)[:, 0]).max() < 0.02


def test_momentum_of_the_beam_gives_the_scale_too(run):
    setup, conditions, hits, true, _ = run
    result = align([_sample(hits)], setup, conditions, beam_momentum=True)
    assert not any("momentum scale" in m.name for m in result.modes)
    columns = reconstruct_tracks(hits["mm"], hits["gem"], None, setup, result.apply(conditions))
    assert np.median(columns["track.momentum"][columns["track.found"]]) == pytest.approx(
        100.0, rel=1e-3
    )
    off = np.abs(_off(result, true))
    assert off[:, 0].max() < 0.02
    assert off[:, 1].max() < 0.1


def test_wrong_hits_do_no_harm(tools, setup, conditions):
    toy = tools.toy(setup, 41)
    true = _misaligned(_keys(toy), 42)
    # 2 % of all hits off by about a millimetre: one track in five has one
    hits, _ = _hits(toy, toy.states(10_000, 100.0, spread=0.005), true, noise=0.1, spoil=0.02)
    result = align([_sample(hits)], setup, conditions)
    assert result.converged
    assert np.abs(_off(result, true)[:, 0]).max() < 0.02
    assert np.sqrt((_off(result, true)[:, 1] ** 2).mean()) < 0.15  # half as many tracks


def _rotation_limit(setup, conditions, tracks):
    """Cramer-Rao bound of the planes' rotations (mrad) without the modes that tracks do not see.

    Straight lines with a kink in the magnets' middle, no scattering: residuals in the x planes,
    after the fit of place, slope and kink, have the weight matrix M = W - W A (A^T W A)^-1 A^T W;
    a rotation adds y_i to that of plane i. Of N tracks the information on rotations is therefore
    N M_ij <y_i y_j>; for the y planes the same with x, whose spread behind the magnets is also
    that of the momentum, and no kink.
    """
    beam = setup.beam
    chosen = setup.spectrometers["main"]
    stations = [setup.stations[n] for n in (*chosen.upstream, *chosen.downstream)]
    middle = np.mean([m.z for m in setup.magnets.values()])
    limit = {}
    for axis in "XY":
        z = np.array([s.projection_z(axis) for s in stations])
        sigma = np.array(
            [
                getattr(conditions, s.technology)[s.number, "XY".index(axis)].resolution
                for s in stations
            ]
        )
        arm, kink = z - beam.z, np.clip(z - middle, 0, None)
        a = np.column_stack((np.ones(len(z)), z, kink)[: 3 if axis == "X" else 2])
        w = np.diag(1 / sigma**2)
        m = w - w @ a @ np.linalg.inv(a.T @ w @ a) @ a.T @ w
        spread = beam.spot_x**2 + (1e-3 * beam.divergence) ** 2 * np.outer(arm, arm)
        if axis == "Y":
            bend = setup.beam_slope(setup.ecal.z) * beam.momentum_spread / beam.momentum
            spread = spread + bend**2 * np.outer(kink, kink)
        information = tracks * m * spread * 1e-6  # rotations in mrad
        seen = np.linalg.svd(a)[0][:, a.shape[1] :]
        covariance = seen @ np.linalg.inv(seen.T @ information @ seen) @ seen.T
        limit |= {
            f"{n} {axis}": v for n, v in zip(_names(chosen), np.diag(covariance), strict=True)
        }
    order = sorted(limit, key=lambda name: setup.stations[name[:-2]].projection_z(name[-1]))
    return np.sqrt([limit[name] for name in order])


def _names(spectrometer):
    return (*spectrometer.upstream, *spectrometer.downstream)


def _rotation_errors(result):
    """By the covariance that was found, without the named modes, as `_off`; mrad."""
    movements = [np.column_stack((m.shift, m.rotation)) / WANTED for m in result.modes]
    named = np.linalg.qr(np.array(movements).reshape(len(movements), -1).T)[0]
    scale = np.tile(WANTED, len(result.keys))
    left = np.eye(len(scale)) - named @ named.T
    covariance = left @ (result.covariance / np.outer(scale, scale)) @ left
    return np.sqrt(np.diag(covariance)[1::2]) * WANTED[1]


def test_simulated_run_of_the_electron_setup():
    setup = load_setup("2022-electron")
    conditions = load_conditions(setup, 6100)
    batches = list(
        simulate(setup, "electron", 20_000, seed=51, trigger="beam", intensity=1e4, run=6100)
    )
    hits = concatenate(batches).collections
    true = {k: Alignment(p.shift, p.rotation) for k, p in load_detector(setup).strips.items()}
    moved = _misaligned(true, 52)
    wrong = {
        k: Alignment(a.shift + moved[k].shift, a.rotation + moved[k].rotation)
        for k, a in true.items()
    }
    start = dataclasses.replace(conditions, alignment={**conditions.alignment, **wrong})
    result = align([AlignmentSample(hits["MM"], hits["GEM"])], setup, start)
    assert result.converged
    assert result.start_chi2 > 5
    off = _off(result, true)
    assert np.abs(off[:, 0]).max() < 0.02
    # The information that so many tracks of such a beam have, and no more, is in the errors.
    limit = _rotation_limit(setup, conditions, result.tracks)
    errors = _rotation_errors(result)
    assert np.sqrt((errors**2).mean()) == pytest.approx(np.sqrt((limit**2).mean()), rel=0.08)
    assert np.sqrt((off[:, 1] ** 2).mean()) < 0.1
    assert np.abs(off[:, 1] / errors).max() < 4
    chi2, ndf = _chi2_of_pulls(result, true)
    assert 0.2 < chi2 / ndf < 2.8
    after = result.apply(start)
    assert set(after.alignment) == set(start.alignment)
    assert after.alignment["straw", 3, 0] == start.alignment["straw", 3, 0]


def test_stereo_planes_are_aligned_too(tools, setup):
    # Two chambers behind the magnets measure u and v, at 45 degrees and -45.
    turned = {
        name: setup.stations[name].model_copy(update={"angles": {"U": 45.0, "V": -45.0}})
        for name in ("MM3", "GEM1")
    }
    setup = setup.model_copy(update={"stations": {**setup.stations, **turned}})
    conditions = tools.conditions(setup)
    toy = tools.toy(setup, 91)
    true = _misaligned(_keys(toy), 92)
    states = toy.states(10_000, 100.0, spread=0.005)
    states[:, :2] *= 2
    hits, _ = _hits(toy, states, true)
    result = align([_sample(hits)], setup, conditions)
    assert result.converged
    assert [n for n in result.names if n[-1] in "UV"] == ["MM3 U", "MM3 V", "GEM1 U", "GEM1 V"]
    off = _off(result, true)
    assert np.abs(off[:, 0]).max() < 0.02
    assert np.abs(off[:, 1]).max() < 0.2
    chi2, ndf = _chi2_of_pulls(result, true)
    assert 0.2 < chi2 / ndf < 2.8
    # x and y are tied together: of the telescope, all planes turn at once.
    held = [m.name for m in result.modes if m.held]
    assert "rotation of the telescope about z" in held
    assert not {"rotation of the x planes", "rotation of the y planes"} & set(held)


def test_a_plane_without_hits_stays_and_is_named(tools, setup, conditions):
    toy = tools.toy(setup, 71)
    true = _misaligned(_keys(toy), 72)
    truth = toy.track(toy.states(3000, 100.0), {k: 1e-3 * a.rotation for k, a in true.items()})
    measured = toy.smear(truth)
    for key, a in true.items():
        measured[key] = measured[key] - a.shift
    measured["gem", 2, 1][:] = np.nan
    start = dataclasses.replace(conditions, alignment={("gem", 2, 1): Alignment(0.123, 0.4)})
    result = align([_sample(toy.hits(measured))], setup, start)
    assert result.converged
    names = [m.name for m in result.modes if m.held]
    assert names[:2] == [
        "shift of GEM2 Y, which has no hits",
        "rotation of GEM2 Y, which has no hits",
    ]
    assert not any("without a name" in n for n in names)
    dead = result.keys.index(("gem", 2, 1))
    assert result.shift[dead] == pytest.approx(0.123, abs=1e-9)
    assert result.rotation[dead] == pytest.approx(0.4, abs=1e-9)
    assert np.abs(_off(result, true)[:, 0]).max() < 0.02


def test_too_few_tracks(tools, setup, conditions):
    toy = tools.toy(setup, 61)
    hits, _ = _hits(toy, toy.states(150, 100.0), {})
    with pytest.raises(DataError, match=r"1\d\d tracks can be used of 150 events, at least 200"):
        align([_sample(hits)], setup, conditions)
    with pytest.raises(DataError, match="0 tracks can be used of 0 events"):
        align([], setup, conditions)
