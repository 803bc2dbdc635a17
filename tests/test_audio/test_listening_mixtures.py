"""How players are recorded in windows that listening networks are trained on: colours, rooms and noise."""

import numpy as np
import pytest

from audio.listening.mixtures import coloured_noise, random_eq, room_response

RATE_HZ, NUM_SAMPLES = 8000, 8192


def test_eq_has_the_wanted_spread_and_is_smooth(rng):
    curves_db = np.array([20 * np.log10(random_eq(NUM_SAMPLES, RATE_HZ, 4.0, rng)) for _ in range(300)])
    assert curves_db.shape[1] == NUM_SAMPLES // 2 + 1
    assert abs(curves_db.mean()) < 0.3 and curves_db[:, -1].std() == pytest.approx(4.0, rel=0.15)
    assert np.abs(np.diff(curves_db[:, 200:], axis=1)).max() < 1.0
    assert np.abs(curves_db[:, -1] - curves_db[:, 300]).mean() > 2.0


def test_room_rings_for_its_time_and_keeps_the_direct_path(rng):
    response = room_response(NUM_SAMPLES, RATE_HZ, (0.15, 0.9), rng)
    assert response.shape == (NUM_SAMPLES,) and response[0] > 0.7
    energy = np.add.reduceat(response[1:] ** 2, range(0, 1200, 200))
    assert np.all(np.diff(energy[:4]) < 0)


def test_rooms_differ_within_their_range(rng):
    responses = [room_response(NUM_SAMPLES, RATE_HZ, (0.1, 1.0), rng) for _ in range(60)]
    # A tail ends with its reverberation time.
    seconds = np.array([np.flatnonzero(response)[-1] / RATE_HZ for response in responses])
    assert 0.1 <= seconds.min() < 0.25 and 0.8 < seconds.max() <= 1.0


def test_noise_has_unit_power_and_falls_with_frequency(rng):
    noise = np.stack([coloured_noise(2000, rng) for _ in range(50)])
    power = np.abs(noise) ** 2
    np.testing.assert_allclose(power.mean(axis=1), 1, rtol=1e-4)
    assert power[:, 1:50].mean() > 3 * power[:, 1000:].mean()


def test_long_room_rings_longer_than_a_short_one(rng):
    def late_share(rt60_seconds):
        energy = room_response(NUM_SAMPLES, RATE_HZ, (rt60_seconds, rt60_seconds), rng)[1:] ** 2
        return energy[2000:].sum() / energy.sum()

    # Of a decay by 60 dB in T seconds, 10^(-6 t / T) of the energy comes after t.
    assert late_share(0.2) < 1e-6 and late_share(1.0) == pytest.approx(10 ** (-6 * 0.25), rel=0.3)
