"""The Wiener filter of estimates' own spectra, by SciPy's STFT and by what it promises."""

import keras
import numpy as np
import pytest
from scipy.signal import istft, stft

from audio.wiener_filter import WienerFilter
from av_sep.errors import ParameterError

FRAME = 64


@pytest.fixture
def estimates(rng):
    return rng.normal(size=(2, 3, 205, 2)).astype(np.float32)


@pytest.fixture
def mixture(rng):
    return rng.normal(size=(2, 205, 2)).astype(np.float32)


def by_scipy(estimates, mixture):
    """The formula, in float64; a frame of silence on either side, so that all samples lie in as many frames."""
    sizes = {"window": "hann", "nperseg": FRAME, "noverlap": 3 * FRAME // 4}

    def spectra(sounds):
        around = [(0, 0)] * (sounds.ndim - 1) + [(FRAME, 2 * FRAME)]
        return stft(np.pad(sounds.astype(np.float64), around), **sizes)[2]

    powers = np.abs(spectra(np.moveaxis(estimates, 2, -1))) ** 2
    shares = powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-30)
    shared = shares * spectra(np.moveaxis(mixture, 1, -1))[:, None]
    sounds = istft(shared, **sizes)[1]
    return np.moveaxis(sounds[..., FRAME : FRAME + mixture.shape[1]], -1, 2)


def test_mixture_is_shared_out_by_the_squares_of_the_estimates(estimates, mixture, assert_everywhere):
    assert_everywhere(WienerFilter(FRAME), [estimates, mixture], by_scipy(estimates, mixture), atol=2e-6)


def test_three_times_as_loud_is_nine_parts_of_ten(mixture):
    estimates = np.stack([0.3 * mixture, -0.1 * mixture], axis=1)
    filtered = np.asarray(WienerFilter(FRAME)(estimates, mixture))
    for estimate, part in zip(filtered.transpose(1, 0, 2, 3), (0.9, 0.1)):
        np.testing.assert_allclose(estimate, part * mixture, rtol=0, atol=1e-6)


def test_sum_is_the_mixture_whatever_the_estimates_add_up_to(estimates, mixture):
    filtered = np.asarray(WienerFilter(FRAME)(estimates, mixture))
    assert np.abs(estimates.sum(axis=1) - mixture).max() > 1
    np.testing.assert_allclose(filtered.sum(axis=1), mixture, rtol=0, atol=2e-6)


def test_who_is_silent_stays_exactly_silent(estimates, mixture):
    estimates[:, 1] = 0
    filtered = np.asarray(WienerFilter(FRAME)(estimates, mixture))
    np.testing.assert_array_equal(filtered[:, 1], 0)
    np.testing.assert_allclose(filtered.sum(axis=1), mixture, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(WienerFilter(FRAME)(0 * estimates, mixture), 0)


def test_each_channel_is_shared_out_by_its_own_estimates(estimates, mixture):
    both = np.asarray(WienerFilter(FRAME)(estimates, mixture))
    left = np.asarray(WienerFilter(FRAME)(estimates[..., :1], mixture[..., :1]))
    np.testing.assert_allclose(both[..., :1], left, rtol=0, atol=1e-6)


def test_gradient_of_silence_is_finite(mixture):
    import tensorflow as tf

    estimates = tf.Variable(np.zeros((2, 3, 205, 2), np.float32))
    with tf.GradientTape() as tape:
        filtered = WienerFilter(FRAME)(estimates, tf.constant(mixture))
        error = tf.reduce_sum(tf.square(filtered - 0.5 * mixture[:, None]))
    assert np.all(np.isfinite(tape.gradient(error, estimates)))


def test_power_of_the_estimates_costs_something_in_training(estimates, mixture):
    layer = WienerFilter(FRAME)
    layer(estimates, mixture)
    assert not layer.losses
    layer(estimates, mixture, training=True)
    energy, of_mixture = (np.sum(sound.astype(np.float64) ** 2, axis=(-2, -1)) for sound in (estimates, mixture))
    np.testing.assert_allclose(layer.losses, [0.1 * np.mean(energy.sum(axis=1) / of_mixture)], rtol=1e-3)
    layer(estimates, 0 * mixture, training=True)
    assert layer.losses[0] < 1e4 * np.mean(estimates**2)


def test_unknown_length_at_build_time_gives_the_same_numbers(estimates, mixture):
    inputs = [keras.Input((3, None, 2)), keras.Input((None, 2))]
    model = keras.Model(inputs, WienerFilter(FRAME)(*inputs))
    assert model.output_shape == (None, 3, None, 2)
    output = model.predict_on_batch([estimates, mixture])
    np.testing.assert_allclose(output, by_scipy(estimates, mixture), rtol=0, atol=2e-6)


@pytest.mark.parametrize("frame_length", (0, 4, 30))
def test_frames_that_cannot_be_cut_in_four_are_refused(frame_length):
    with pytest.raises(ParameterError, match=rf"multiple of 4, 8 or more.*frame_length={frame_length}"):
        WienerFilter(frame_length)
