"""Estimates shared out by who plays: what Bayes' rule says of masks, and what must never change."""

import tracemalloc

import numpy as np
import pytest

from audio.reweighting import Reweighter

RATE_HZ = 8000
NUM_SAMPLES = 24_000


def weigh(estimates, weights, cuts=(), rate_hz=RATE_HZ):
    reweighter = Reweighter(weights, rate_hz)
    parts = [reweighter.push(block) for block in np.split(estimates, cuts, axis=1)]
    return np.concatenate([*parts, reweighter.finish()], axis=1)


def constant(*values):
    return lambda seconds: np.tile(np.array(values)[:, None], (1, len(seconds)))


def wandering(seconds):
    return np.stack([np.exp(-3 * np.sin(3 * seconds) ** 2), np.exp(-9.0 * (seconds > 1.5)), np.ones_like(seconds)])


@pytest.fixture
def estimates(rng):
    return rng.normal(size=(3, NUM_SAMPLES, 2)).astype(np.float32)


@pytest.mark.parametrize("num_samples", (0, 1, 300, 1024, NUM_SAMPLES))
def test_equal_weights_change_nothing(estimates, num_samples):
    estimates = estimates[:, :num_samples]
    for value in (1.0, 1e-6):
        weighed = weigh(estimates, constant(value, value, value))
        assert weighed.shape == estimates.shape and weighed.dtype == np.float32
        np.testing.assert_allclose(weighed, estimates, atol=3e-6)


def test_sum_of_the_estimates_stays_what_it_is(estimates):
    weighed = weigh(estimates, wandering)
    assert np.abs(weighed - estimates).max() > 1
    np.testing.assert_allclose(weighed.sum(axis=0), estimates.sum(axis=0), atol=1e-5)


def test_cutting_the_stream_does_not_change_the_estimates(estimates, rng):
    cuts = np.sort(rng.integers(0, NUM_SAMPLES, 60))
    np.testing.assert_allclose(weigh(estimates, wandering, cuts), weigh(estimates, wandering), atol=3e-6)


def test_shares_of_a_tone_become_what_bayes_rule_says(make_sine):
    tone = make_sine(440, NUM_SAMPLES, RATE_HZ, 0.5)[:, None]
    estimates = np.stack([0.7 * tone, 0.3 * tone]).astype(np.float32)
    weighed = weigh(estimates, constant(1.0, 0.2))
    np.testing.assert_allclose(weighed[0], 0.7 / (0.7 + 0.06) * tone, atol=1e-5)
    np.testing.assert_allclose(weighed[1], 0.06 / (0.7 + 0.06) * tone, atol=1e-5)


def test_bins_are_shared_out_one_by_one(make_sine):
    """A tone that a stem has alone stays with it, however little it weighs."""
    own, shared = (make_sine(hz, NUM_SAMPLES, RATE_HZ, 0.5)[:, None] for hz in (500, 2000))
    estimates = np.stack([own + 0.5 * shared, 0.5 * shared]).astype(np.float32)
    weighed = weigh(estimates, constant(0.01, 1.0))
    middle = slice(4000, 20_000)  # at its ends a tone is not one
    np.testing.assert_allclose(weighed[0, middle], (own + 0.005 / 0.505 * shared)[middle], atol=0.01)


def test_who_rests_is_silent_from_then_on_and_the_other_has_it_all(make_sine):
    tone = make_sine(440, NUM_SAMPLES, RATE_HZ, 0.5)[:, None]
    estimates = np.stack([0.7 * tone, 0.3 * tone]).astype(np.float32)
    rest_seconds = 1.5
    rests = lambda seconds: np.stack([np.ones_like(seconds), np.exp(-30.0 * (seconds > rest_seconds))])  # noqa: E731
    weighed = weigh(estimates, rests)
    reweighter = Reweighter(constant(1, 1), RATE_HZ)
    frame = reweighter.frame_length
    begins = int(rest_seconds * RATE_HZ)
    np.testing.assert_allclose(weighed[:, : begins - frame], estimates[:, : begins - frame], atol=1e-5)
    assert np.abs(weighed[1, begins + frame :]).max() < 1e-6
    np.testing.assert_allclose(weighed[0, begins + frame :], tone[begins + frame :], atol=1e-5)
    # The middle of the change is where it was asked for.
    half = np.flatnonzero(np.abs(weighed[1, :, 0]) > 0.075)[-1]
    assert abs(half - begins) < reweighter.hop_length / 2


def test_quiet_estimates_are_shared_out_as_loud_ones_are(estimates):
    np.testing.assert_allclose(1000 * weigh(1e-3 * estimates, wandering), weigh(estimates, wandering), atol=1e-4)


def test_a_silent_stem_may_be_the_only_one_that_plays(estimates):
    estimates[0] = 0
    weighed = weigh(estimates[:2], constant(1.0, 0.0))
    np.testing.assert_allclose(weighed[0], estimates[1], atol=1e-5)
    assert not weighed[1].any()


def test_silence_stays_silent():
    silence = np.zeros((2, 5000, 1), np.float32)
    np.testing.assert_array_equal(weigh(silence, constant(1.0, 1e-20)), silence)


def test_frames_are_about_as_long_at_any_rate():
    lengths = {rate: Reweighter(constant(1), rate).frame_length for rate in (8000, 22050, 44100, 48000)}
    assert lengths == {8000: 2048, 22050: 4096, 44100: 8192, 48000: 8192}


def test_memory_does_not_grow_with_the_stream(estimates):
    weigher = Reweighter(wandering, RATE_HZ)
    for _ in range(20):
        weigher.push(estimates[:, :1000])
        assert weigher._waiting.shape[2] < weigher.frame_length + 1000


def test_memory_is_bounded_by_the_block_however_much_is_transformed(estimates):
    block = np.tile(estimates[:, :, :1], (1, 20, 1))
    reweighter = Reweighter(wandering, RATE_HZ)
    tracemalloc.start()
    ready = reweighter.push(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Waiting and ready samples and little else; the spectra of the whole block would be eight times as much.
    assert ready.nbytes > 0.95 * block.nbytes and peak < 5 * block.nbytes
