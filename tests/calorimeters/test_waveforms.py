from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit

from na64reco.calorimeters import cell_energies, fit_waveforms, pulses_from_waveforms
from na64reco.calorimeters.waveforms import (
    AT_EXPECTED_TIME,
    OUTSIDE,
    OVERLAPPING,
    POOR,
    SATURATED,
)
from na64reco.errors import ConditionsError, DataError
from na64reco.events import Hits

from .toy_pulses import (
    DIGITIZER,
    NOISE,
    PEDESTALS,
    TIMES,
    as_hits,
    pulse,
    sampled,
    toy_cells,
    toy_waveform,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20221)


def fit(samples, **options):
    return fit_waveforms(as_hits(samples), toy_cells(), toy_waveform(), DIGITIZER, **options)


def of_number(result, number):
    """Columns of the pulses in channels with this many, shape (channels, number); which."""
    chosen = result.hits.counts == number
    first = result.hits.offsets[:-1][chosen]
    at = first[:, None] + np.arange(number)
    return {name: column[at] for name, column in result.hits.columns.items()}, chosen


# The error of a standard deviation of n pulls is 1 / sqrt(2 n): 1.1 % for 4000.
@pytest.mark.parametrize("height", [20.0, 100.0, 1000.0, 3500.0])
def test_one_pulse_at_any_phase_without_bias_and_with_honest_errors(rng, height):
    time = rng.uniform(-20, 40, 4000)
    found, one = of_number(fit(sampled(rng, (height, time))), 1)
    assert one.mean() > 0.999
    amplitude, late = found["amplitude"][:, 0] - height, found["time"][:, 0] - time[one]
    error = found["amplitude_error"].mean()
    assert abs(amplitude.mean()) < 4 * error / np.sqrt(4000) + 2e-5 * height
    assert abs(late.mean()) < 4 * found["time_error"].mean() / np.sqrt(4000) + 1e-3
    assert (amplitude / found["amplitude_error"][:, 0]).std() == pytest.approx(1, abs=0.05)
    assert (late / found["time_error"][:, 0]).std() == pytest.approx(1, abs=0.06)
    assert found["chi2"].mean() == pytest.approx(1, abs=0.03)
    # At every sampling phase
    phase = np.digitize(time[one] % 12.5, np.linspace(0, 12.5, 9)[1:-1])
    for k in range(8):
        mine = phase == k
        assert abs(late[mine].mean()) < 4.5 * late.std() / np.sqrt(mine.sum()) + 2e-3


def test_the_same_as_curve_fit_of_the_closed_form(rng):
    time = rng.uniform(-10, 10, 40)
    height = rng.uniform(15, 2000, 40)
    samples = sampled(rng, (height, time))
    found, one = of_number(fit(samples), 1)
    assert one.all()
    sigma = np.sqrt(NOISE**2 + 1 / 12)
    for row in range(40):
        y = samples[row] - np.where(np.arange(32) % 2 == 0, *PEDESTALS)
        best, covariance = curve_fit(
            lambda x, a, t: a * pulse(x - t),
            TIMES,
            y,
            p0=(height[row], time[row]),
            sigma=np.full(32, sigma),
            absolute_sigma=True,
        )
        errors = np.sqrt(np.diag(covariance))
        assert found["amplitude"][row, 0] == pytest.approx(best[0], abs=0.02 * errors[0])
        assert found["time"][row, 0] == pytest.approx(best[1], abs=0.02 * errors[1])
        assert found["amplitude_error"][row, 0] == pytest.approx(errors[0], rel=0.01)
        assert found["time_error"][row, 0] == pytest.approx(errors[1], rel=0.03)


def test_two_pulses_the_same_as_curve_fit(rng):
    time = rng.uniform(-6, 6, 30)
    heights = rng.uniform(100, 1000, (2, 30))
    samples = sampled(rng, (heights[0], time), (heights[1], time + 30))
    found, two = of_number(fit(samples), 2)
    assert two.all()
    for row in range(30):
        y = samples[row] - np.where(np.arange(32) % 2 == 0, *PEDESTALS)
        best, covariance = curve_fit(
            lambda x, a, t, b, s: a * pulse(x - t) + b * pulse(x - s),
            TIMES,
            y,
            p0=(heights[0, row], time[row], heights[1, row], time[row] + 30),
            sigma=np.full(32, np.sqrt(NOISE**2 + 1 / 12)),
            absolute_sigma=True,
        )
        errors = np.sqrt(np.diag(covariance))
        for j in range(2):
            mine = [found[name][row, j] for name in ("amplitude", "time")]
            assert mine == pytest.approx(
                best[2 * j : 2 * j + 2], abs=0.1 * errors[2 * j : 2 * j + 2].max()
            )
            assert found["amplitude_error"][row, j] == pytest.approx(errors[2 * j], rel=0.05)


@pytest.mark.parametrize(
    ("first", "second"),
    [(1000, 1000), (1000, 100), (100, 1000), (300, 30), (30, 300), (3000, 300), (300, 3000)],
)
def test_two_pulses_25_ns_apart_are_separated(rng, first, second):
    time = rng.uniform(-6.25, 6.25, 2000)
    result = fit(sampled(rng, (first, time), (second, time + 25)))
    found, two = of_number(result, 2)
    assert two.mean() > 0.99
    for j, (height, at) in enumerate(((first, time[two]), (second, time[two] + 25))):
        amplitude, late = found["amplitude"][:, j] - height, found["time"][:, j] - at
        assert abs(amplitude.mean()) < 0.02 * height
        assert (amplitude / found["amplitude_error"][:, j]).std() == pytest.approx(1, abs=0.1)
        assert (late / found["time_error"][:, j]).std() == pytest.approx(1, abs=0.1)
    assert (found["flags"] == OVERLAPPING).mean() > 0.999


def test_three_pulses(rng):
    time = rng.uniform(-6, 6, 1000)
    result = fit(sampled(rng, (400, time - 45), (250, time), (600, time + 70)))
    found, three = of_number(result, 3)
    assert three.mean() > 0.99
    for j, (height, shift) in enumerate(((400, -45), (250, 0), (600, 70))):
        assert found["amplitude"][:, j].mean() == pytest.approx(height, rel=0.005)
        assert found["time"][:, j] - time[three] - shift == pytest.approx(0, abs=2.5)
        pulls = (found["amplitude"][:, j] - height) / found["amplitude_error"][:, j]
        assert pulls.std() == pytest.approx(1, abs=0.1)


def test_one_pulse_is_not_taken_for_two(rng):
    time = rng.uniform(-6, 6, 20_000)
    result = fit(sampled(rng, (rng.exponential(300, 20_000) + 20, time)))
    assert (result.hits.counts > 1).mean() < 2e-4


@pytest.mark.parametrize("height", [4500.0, 6000.0, 15000.0])
def test_a_clipped_pulse_is_recovered_from_what_is_left(rng, height):
    time = rng.uniform(-6, 6, 3000)
    samples = sampled(rng, (height, time))
    assert (samples == 4095).any(axis=1).all()
    found, one = of_number(fit(samples), 1)
    assert one.mean() > 0.999
    pulls = (found["amplitude"][:, 0] - height) / found["amplitude_error"][:, 0]
    assert found["amplitude"].mean() == pytest.approx(height, rel=1e-3)
    assert pulls.std() == pytest.approx(1, abs=0.1)
    assert (found["flags"] & SATURATED).all()


def test_clipped_with_a_later_pulse_on_its_tail(rng):
    time = rng.uniform(-6, 6, 1000)
    found, two = of_number(fit(sampled(rng, (8000, time), (300, time + 90))), 2)
    assert two.mean() > 0.99
    assert found["amplitude"][:, 0].mean() == pytest.approx(8000, rel=2e-3)
    assert found["amplitude"][:, 1].mean() == pytest.approx(300, rel=2e-2)


def test_pulses_from_before_the_window_are_not_in_time(rng):
    time = rng.uniform(-6, 6, 2000)
    result = fit(sampled(rng, (800, time - 165)))
    found, one = of_number(result, 1)
    assert one.mean() > 0.99
    assert (found["flags"] & OUTSIDE).all()
    assert (found["time"] < -140).all()


@pytest.mark.parametrize("height", [1000.0, 100.0])
@pytest.mark.parametrize("before", [165.0, 100.0, 60.0])
def test_a_pulse_on_the_tail_of_an_earlier_one(rng, height, before):
    time = rng.uniform(-6, 6, 2000)
    result = fit(sampled(rng, (height, time - before), (100, time)))
    last = result.hits.offsets[1:] - 1
    amplitude = result.hits["amplitude"][last] - 100
    # An almost gone tail below the noise is left in the pulse; it is worth less than 1 %.
    assert abs(amplitude.mean()) < 1.0
    assert (amplitude / result.hits["amplitude_error"][last]).std() == pytest.approx(1, abs=0.1)
    assert result.hits["time"][last] - time == pytest.approx(0, abs=3)


def test_small_pulses_are_measured_at_the_expected_time(rng):
    time = np.full(4000, 3.0)
    hits = as_hits(sampled(rng, (2.0, time)))
    result = fit_waveforms(hits, toy_cells(time=3.0), toy_waveform(), DIGITIZER)
    small = (result.hits["flags"] & AT_EXPECTED_TIME) > 0
    assert small.mean() > 0.5
    assert result.hits["time"][small] == pytest.approx(3.0, abs=1e-4)
    assert np.isinf(result.hits["time_error"][small]).all()
    # Closed form: 1 / sqrt(sum T^2) of the noise
    error = np.sqrt(NOISE**2 + 1 / 12) / np.sqrt((pulse(TIMES - 3.0) ** 2).sum())
    assert result.hits["amplitude_error"][small] == pytest.approx(error, rel=1e-3)
    assert result.hits["amplitude"][small].min() > 2.49 * error


@pytest.mark.parametrize("second", [0.0, 300.0])
def test_vague_times_are_held_where_the_trigger_expects_them(rng, second):
    """The posterior of a normal prior and a normal measurement; amplitudes come along."""
    width, height, n = 1.5, 12.0, 4000
    time = rng.normal(0, width, n)
    samples = sampled(rng, (height, time), (second, time + 60))
    number = 2 if second else 1
    free = of_number(fit(samples), number)[0]
    held, found = of_number(
        fit_waveforms(as_hits(samples), toy_cells(width=width), toy_waveform(), DIGITIZER), number
    )
    assert found.mean() > 0.99
    flagged = (held["flags"][:, 0] & AT_EXPECTED_TIME) > 0
    assert flagged.mean() > 0.99
    late = free["time_error"][:, 0]
    assert late.mean() > width
    both = late * width / np.hypot(late, width)
    assert held["time_error"][flagged, 0] == pytest.approx(both[flagged], rel=1e-3)
    assert (abs(held["time"][flagged, 0]) < 3 * width).all()
    pulls = (held["time"][:, 0] - time[found]) / held["time_error"][:, 0]
    assert pulls.std() == pytest.approx(1, abs=0.06)
    pulls = (held["amplitude"][:, 0] - height) / held["amplitude_error"][:, 0]
    assert pulls.mean() == pytest.approx(0, abs=0.1)
    assert pulls.std() == pytest.approx(1, abs=0.06)
    if second:  # the tail of the first lies below it: their errors are correlated
        gained = held["amplitude_error"][flagged, 0] < free["amplitude_error"][flagged, 0]
        assert gained.all()
        assert (held["flags"][:, 1] & AT_EXPECTED_TIME == 0).all()


def test_small_pulses_at_other_times_are_not_held(rng):
    time = rng.uniform(60, 80, 2000)
    result = fit_waveforms(
        as_hits(sampled(rng, (20.0, time))), toy_cells(width=1.5), toy_waveform(), DIGITIZER
    )
    assert (result.hits["flags"] == 0).all()
    assert (result.hits["time"] - time).std() == pytest.approx(1.04, abs=0.06)


def test_times_are_relative_to_the_trigger_of_each_event(rng):
    trigger, time = rng.normal(0, 3, 500), rng.uniform(-6, 6, 500)
    samples = sampled(rng, (200.0, time + trigger))
    hits = fit(samples, trigger=trigger).hits
    assert (hits["time"] - time).std() < 0.2
    # Small ones are looked for where the event has them.
    small = sampled(rng, (4.0, trigger))
    hits = fit(small, trigger=trigger).hits
    assert hits["time"][hits["flags"] == AT_EXPECTED_TIME] == pytest.approx(0, abs=1e-4)


def test_noise_alone_is_no_pulse(rng):
    result = fit(sampled(rng, (0.0, np.zeros(20_000))))
    # One-sided tail of the normal distribution above 2.5 sigma: 0.62 %
    assert result.hits.size / 20_000 == pytest.approx(0.0062, abs=0.002)
    assert result.without_pulse == 20_000 - result.hits.size


@pytest.mark.parametrize("value", [0, 50, 4095])
def test_stuck_channels_are_counted(value):
    result = fit(np.full((5, 32), value, dtype=np.uint16))
    assert (result.channels, result.unreadable, result.hits.size) == (5, 5, 0)


def test_not_finite_samples(rng):
    samples = sampled(rng, (500.0, np.zeros(3))).astype(np.float64)
    samples[0] = np.nan
    samples[1, 20] = np.inf
    result = fit(samples)
    assert result.unreadable == 2
    assert result.hits.counts.tolist() == [0, 0, 1]
    assert result.hits["amplitude"] == pytest.approx(500, abs=6)


def test_clipped_throughout_gives_a_lower_limit():
    samples = np.full((1, 32), 4095, dtype=np.uint16)
    samples[0, :3] = 60, 58, 70
    result = fit(samples)
    assert result.blind == 1
    assert result.hits["amplitude"].tolist() == [4045.0]
    assert np.isinf(result.hits["amplitude_error"]).all()
    assert (result.hits["flags"] == SATURATED | POOR).all()


def test_what_is_no_pulse_is_flagged(rng):
    samples = sampled(rng, (0.0, np.zeros(50)))
    samples += (300 * (np.arange(32) % 4 == 0)).astype(np.uint16)
    result = fit(samples)
    assert result.hits.size > 0
    assert (result.hits["flags"] & POOR).all()


def test_pedestals_that_moved_are_followed_where_it_is_quiet(rng):
    time = rng.uniform(-6, 6, 3000)
    samples = sampled(rng, (200.0, time)) + np.uint16(4)
    # A shift of three times the noise in all samples would otherwise pass for further pulses.
    assert (fit(samples).hits.counts > 1).mean() > 0.9
    followed, one = of_number(fit(samples, follow=True), 1)
    assert one.mean() > 0.99
    assert followed["amplitude"].mean() == pytest.approx(200, abs=0.15)
    early = sampled(rng, (300.0, time - 120), (200.0, time))
    result = fit(early, follow=True)
    # The tail in the first samples is not taken for a pedestal.
    assert result.hits["amplitude"][result.hits.offsets[1:] - 1].mean() == pytest.approx(
        200, abs=0.2
    )


def test_how_well_the_shape_is_known_is_in_the_errors(rng):
    time = rng.uniform(-6, 6, 2000)
    wrong = replace(toy_waveform(), pulse=pulse(np.arange(-5, 350, 1.25), tau=14.15))
    samples = as_hits(sampled(rng, (3000.0, time)))
    strict = fit_waveforms(samples, toy_cells(), wrong, DIGITIZER)
    tolerant = fit_waveforms(samples, toy_cells(), replace(wrong, shape_error=0.01), DIGITIZER)
    assert (strict.hits["flags"] > 0).all()
    assert (tolerant.hits["flags"] == 0).mean() > 0.999
    assert tolerant.hits["amplitude_error"].mean() > 5 * strict.hits["amplitude_error"].mean()


def test_index_columns_are_repeated_and_energies_are_in_and_out_of_time(rng):
    time = np.zeros(2)
    samples = sampled(rng, ([400.0, 0.0], time), ([200.0, 300.0], time + 60))
    hits = Hits(
        np.array([0, 0, 2]),
        {
            "section": np.array([0, 1], dtype=np.uint8),
            "ix": np.array([1, 0], dtype=np.uint8),
            "iy": np.array([0, 1], dtype=np.uint8),
            "samples": samples,
        },
    )
    shape = (2, 2, 2)
    cells = toy_cells(shape, width=2.0)
    pulses = pulses_from_waveforms(hits, cells, toy_waveform(shape), DIGITIZER)
    assert pulses.counts.tolist() == [0, 3]
    assert pulses["section"].tolist() == [0, 0, 1]
    assert pulses["ix"].tolist() == [1, 1, 0]
    energies = cell_energies(pulses, cells, shape)
    assert energies.in_time[1, 0, 1, 0] == pytest.approx(4.0, abs=0.1)
    assert energies.out_of_time[1, 0, 1, 0] == pytest.approx(2.0, abs=0.1)
    assert energies.out_of_time[1, 1, 0, 1] == pytest.approx(3.0, abs=0.1)
    assert energies.in_time[1].sum() == pytest.approx(4.0, abs=0.1)


def test_no_waveforms_at_all():
    result = fit(np.zeros((0, 32), dtype=np.uint16))
    assert (len(result.hits), result.hits.size, result.channels) == (0, 0, 0)


def test_errors_say_what_is_expected(rng):
    hits = as_hits(np.zeros((1, 16), dtype=np.uint16))
    with pytest.raises(
        DataError, match=r"ECAL has samples of the shape \(1, 16\), but waveforms of 32"
    ):
        fit_waveforms(hits, toy_cells(), toy_waveform(), DIGITIZER, name="ECAL")
    hits = as_hits(np.zeros((1, 32), dtype=np.uint16))
    hits.columns["ix"][0] = 3
    with pytest.raises(DataError, match="SRD: ix 3 is outside the detector, which has 1"):
        fit_waveforms(hits, toy_cells(), toy_waveform(), DIGITIZER, name="SRD")
    with pytest.raises(DataError, match="channels are named by"):
        fit_waveforms(hits, toy_cells((2, 2, 2)), toy_waveform((2, 2, 2)), DIGITIZER)
    flat = replace(toy_waveform(), pulse=np.zeros(50))
    with pytest.raises(ConditionsError, match="height 0 is no template"):
        fit_waveforms(as_hits(sampled(rng, (1.0, np.zeros(1)))), toy_cells(), flat, DIGITIZER)
