from __future__ import annotations

import numpy as np
import pytest

from na64reco.errors import SetupError
from na64reco.setup import Digitizer
from na64reco.simulation import load_detector, simulate
from na64reco.simulation.sampling import pulse_height, sampled_channels
from na64reco.simulation.waveforms import sampling_window, waveforms

DIGITIZER = Digitizer()
CLOCK = (np.arange(32) - 8) * 12.5


def srd(rng, detector, times, energies, *, digitizer=DIGITIZER, phase=0.0):
    """Waveforms of the SRD for particles given by event: dense (events, modules, 32), and counts.

    `energies` in GeV, the same in all modules; shape (events, particles) as `times`.
    """
    events, particles = np.shape(times)
    channels = sampled_channels(np.random.default_rng(1), "SRD", detector.srd, digitizer)
    hits = waveforms(
        rng,
        channels,
        digitizer,
        np.arange(events + 1) * particles,
        np.ravel(times),
        np.repeat(np.ravel(energies), 3).reshape(-1, 3),
        {"ix": np.arange(3, dtype=np.uint8)},
        phase=np.full(events, phase),
        slow=np.zeros(events),
    )
    dense = np.zeros((events, 3, 32))
    dense[hits.event_index(), hits["ix"]] = hits["samples"]
    return channels, hits, dense


def pedestals(channels):
    """By module and sample, the slow movement at 0 included."""
    rows = np.tile(channels.pedestal, (16, 1)).T
    return rows + (channels.drift * np.sin(channels.phase))[:, None]


def test_pulse_is_log_normal_with_the_stated_rise_and_tail():
    # Closed form: height 0.1 and 0.9 at rise * exp(-+ width * sqrt(-2 ln height)).
    rise, width = 48.0, 0.45
    time = np.linspace(-47.9, 300, 200_001)
    height = pulse_height(time, rise, width)
    assert height.max() == pytest.approx(1)
    assert time[height.argmax()] == pytest.approx(0, abs=0.01)
    up, down = height[time < 0], height[time >= 0]
    times = {s: np.interp(s, up, time[time < 0]) for s in (0.1, 0.9)}
    # 2.146 and 0.459 are sqrt(-2 ln 0.1) and sqrt(-2 ln 0.9).
    at = rise * np.exp(width * np.array([-2.146, -0.459, 2.146]))
    assert times[0.9] - times[0.1] == pytest.approx(at[1] - at[0], abs=0.01)
    assert np.interp(-0.1, -down, time[time >= 0]) == pytest.approx(at[2] - rise, abs=0.02)


def test_mean_waveform_is_pedestal_and_pulse(rng, detector):
    events, energy = 4000, 0.05
    channels, _, dense = srd(rng, detector, np.zeros((events, 1)), energy * np.ones((events, 1)))
    # Averaged over the resolution by quadrature of the normal distribution.
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    for module in range(3):
        spread = channels.time_resolution[module] * nodes
        shape = pulse_height(
            CLOCK[:, None] - channels.time_offset[module] - spread,
            channels.rise[module],
            channels.width[module],
        )
        expected = shape @ weights / weights.sum() * energy * channels.gain[module]
        expected += pedestals(channels)[module]
        error = np.hypot(dense[:, module].std(axis=0) / np.sqrt(events), 0.02)
        assert np.abs((dense[:, module].mean(axis=0) - expected) / error).max() < 4.5


def test_noise_of_a_fitted_pulse_is_that_of_amplitudes(rng, detector):
    events = 8000
    channels, _, dense = srd(rng, detector, np.zeros((events, 1)), 0.02 * np.ones((events, 1)))
    # Without the time spread: the straight sum with the pulse as weight is the best fit. The
    # derivative's direction is projected out, so the spread of times does not matter.
    for module in range(3):
        rise, width = channels.rise[module], channels.width[module]
        at = CLOCK - channels.time_offset[module]
        pulse = pulse_height(at, rise, width)
        slope = (pulse_height(at + 0.5, rise, width) - pulse_height(at - 0.5, rise, width)) / 1.0
        design = np.stack((pulse, slope), axis=1)
        y = dense[:, module] - pedestals(channels)[module]
        # Only pulses whose time is near, where the expansion holds.
        fit = np.linalg.lstsq(design, y.T, rcond=None)[0]
        near = np.abs(fit[1] / fit[0]) < 1.0
        seen = fit[0, near].std()
        noise = detector.srd.noise[module] * detector.srd.gain[module]
        assert seen == pytest.approx(noise, rel=0.10)


def test_what_began_before_the_first_sample_leaves_its_tail(rng, detector):
    begin, end = sampling_window(DIGITIZER)
    assert begin == -400
    assert end > CLOCK[-1]
    channels, _, dense = srd(rng, detector, np.full((500, 1), -180.0), np.full((500, 1), 0.1))
    rise, width = channels.rise[0], channels.width[0]
    tail = pulse_height(CLOCK[0] + 180 - channels.time_offset[0], rise, width)
    height = (dense[:, 0, 0] - pedestals(channels)[0, 0]).mean() / (0.1 * channels.gain[0])
    assert tail > 0.03
    assert height == pytest.approx(tail, rel=0.03)
    assert (np.diff(dense[:, 0, :10].mean(axis=0)[::2]) < 0).all()


def test_overlapping_pulses_add_up_and_the_phase_moves_all(rng, detector):
    times, energies = np.array([[0.0, 50.0]]), np.array([[0.08, 0.04]])
    for phase in (0.0, 6.0):
        channels, _, dense = srd(
            rng, detector, np.tile(times, (2000, 1)), np.tile(energies, (2000, 1)), phase=phase
        )
        expected = sum(
            e * pulse_height(CLOCK - t - phase - channels.time_offset[1], channels.rise[1], w)
            for t, e, w in zip(times[0], energies[0], [channels.width[1]] * 2, strict=True)
        )
        seen = (dense[:, 1].mean(axis=0) - pedestals(channels)[1]) / channels.gain[1]
        # The spread of times rounds the curve off by half its variance times the curvature.
        np.testing.assert_allclose(seen, expected, atol=0.003 * 0.08 + 0.0006)


def test_samples_are_clipped_at_the_range_of_the_digitiser(rng, detector):
    _, _, dense = srd(rng, detector, np.zeros((50, 1)), np.full((50, 1), 3.0))
    assert dense.max() == 2**14 - 1
    assert ((dense == 2**14 - 1).sum(axis=2) >= 2).all()
    twelve = Digitizer(bits=12)
    channels, _, dense = srd(
        rng, detector, np.zeros((50, 1)), np.full((50, 1), 3.0), digitizer=twelve
    )
    assert dense.max() == 4095
    np.testing.assert_array_equal(channels.gain, detector.srd.gain)


def test_twelve_bits_hold_most_showers_in_a_cell_of_the_ecal(setup):
    ecal = load_detector(setup.model_copy(update={"digitizer": Digitizer(bits=12)}))
    sampled = ecal.waveforms["ECAL"]
    main = sampled.gain.reshape(setup.ecal.shape)[1]
    np.testing.assert_allclose(sampled.gain * 4, ecal.ecal.gain.ravel())
    # 100 GeV, of which nine tenths are in one cell: above the pedestal, on average.
    assert 90 * main.mean() < 4095 - 240
    # A muon is seen.
    assert setup.ecal.mip * main.mean() > 3 * sampled.threshold.mean()


def test_pedestals_differ_between_even_and_odd_samples(detector):
    channels = detector.waveforms["ECAL"]
    difference = channels.pedestal[1] - channels.pedestal[0]
    # 60 channels: the rms is known to 9 %.
    assert difference.std() == pytest.approx(2, rel=0.3)
    assert all((c.drift < 0.5).all() for c in detector.waveforms.values())


def test_empty_channels_are_read_out_as_often_as_noise_says(rng, detector):
    events = 20_000
    channels, hits, dense = srd(rng, detector, np.zeros((events, 1)), np.zeros((events, 1)))
    # 3 sigma in any of 32 samples.
    chance = 1 - (1 - 0.00135) ** 32
    assert hits.size == pytest.approx(3 * events * chance, rel=0.10)
    above = dense - pedestals(channels)
    read = dense.any(axis=2)
    assert (above.max(axis=2)[read] > channels.threshold.min() - 1).all()


def test_same_events_with_waveforms_and_without(setup):
    options = {"seed": 11, "trigger": "beam"}
    plain = next(simulate(setup, "electron", 400, **options))
    sampled = next(simulate(setup, "electron", 400, waveforms=True, **options))
    for name, values in plain.scalars.items():
        np.testing.assert_array_equal(values, sampled.scalars[name])
    assert set(plain.collections) == set(sampled.collections)
    for name, hits in plain.collections.items():
        other = sampled.collections[name]
        if "amplitude" in hits.columns:
            assert set(other.columns) == set(hits.columns) - {"amplitude", "time"} | {"samples"}
            assert other["samples"].dtype == np.uint16
        else:
            for field in hits.columns:
                np.testing.assert_array_equal(hits[field], other[field])
    again = next(simulate(setup, "electron", 400, waveforms=True, **options))
    np.testing.assert_array_equal(
        again.collections["ECAL"]["samples"], sampled.collections["ECAL"]["samples"]
    )


def test_ecal_energy_is_in_the_samples(setup, detector, events):
    """The largest sample of the beam cell against the true energy."""
    batch = events("electron", 300, waveforms=True)
    hits = batch.collections["ECAL"]
    channel = np.ravel_multi_index((hits["section"], hits["ix"], hits["iy"]), setup.ecal.shape)
    channels = detector.waveforms["ECAL"]
    base = channels.pedestal.mean(axis=0)[channel]
    height = (hits["samples"].max(axis=1) - base) / channels.gain[channel]
    total = np.bincount(hits.event_index(), weights=height, minlength=len(batch))
    # The largest of the samples lies below the maximum by 1 % on average, noise lifts it.
    assert np.median(total / batch.scalars["MC_ecal_energy"]) == pytest.approx(1, abs=0.02)
    assert (hits["samples"] < 2**14 - 1).mean() > 0.999


def test_a_setup_without_digitiser_is_refused(setup):
    with pytest.raises(SetupError, match="no `digitizer`, so nothing can be sampled"):
        simulate(
            setup.model_copy(update={"digitizer": None}), "electron", 5, seed=1, waveforms=True
        )


def test_times_in_the_spill(events):
    batch = events("electron", 300)
    assert batch.scalars["spill_time"].dtype == np.float32
    np.testing.assert_array_equal(batch.scalars["spill"], 1)
