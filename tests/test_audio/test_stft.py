"""STFT against scipy, and its inverse against the identity; eager, traced and compiled by XLA."""

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from audio.stft import inverse_stft, num_stft_frames, overlap_add, stft
from av_sep.errors import ParameterError

LENGTHS = (1, 7, 16, 63, 64, 65, 1000)
# (frame_length, hop_length) that can be inverted.
SIZES = ((64, 16), (64, 32), (48, 16), (2, 1))


def waveform(rng, num_samples, batch=2, channels=2):
    return rng.normal(size=(batch, num_samples, channels)).astype(np.float32)


def scipy_stft(channel, frame_length, hop_length, fft_length, window):
    """Unscaled spectra `[stft_frames, num_bins]` of one channel, padded as the module says."""
    before = frame_length - hop_length
    num_frames = -(-(len(channel) + before) // hop_length)
    padded = np.zeros((num_frames - 1) * hop_length + frame_length)
    padded[before : before + len(channel)] = channel
    _, _, spectrum = scipy.signal.stft(
        padded,
        window=window,
        nperseg=frame_length,
        noverlap=before,
        nfft=fft_length,
        boundary=None,
        padded=False,
    )
    return spectrum.T * scipy.signal.get_window(window, frame_length).sum()


@pytest.mark.parametrize("num_samples", LENGTHS)
@pytest.mark.parametrize(
    ("frame_length", "hop_length", "fft_length", "window"),
    ((64, 16, None, "hann"), (64, 16, 128, "hamming"), (24, 10, 32, "hann"), (30, 30, 31, "boxcar")),
    ids=str,
)
def test_spectra_are_scipy_s(rng, num_samples, frame_length, hop_length, fft_length, window):
    given = waveform(rng, num_samples)
    real, imaginary = stft(given, frame_length, hop_length, fft_length=fft_length, window=window)
    num_bins = (fft_length or frame_length) // 2 + 1
    assert real.shape == (2, num_stft_frames(num_samples, frame_length, hop_length), num_bins, 2)
    for item in range(2):
        for channel in range(2):
            expected = scipy_stft(given[item, :, channel], frame_length, hop_length, fft_length, window)
            np.testing.assert_allclose(real[item, :, :, channel], expected.real, rtol=0, atol=1e-4)
            np.testing.assert_allclose(imaginary[item, :, :, channel], expected.imag, rtol=0, atol=1e-4)


@pytest.mark.parametrize("num_samples", LENGTHS)
@pytest.mark.parametrize(("frame_length", "hop_length"), SIZES)
def test_inverse_gives_the_waveform_back_to_both_ends(rng, num_samples, frame_length, hop_length):
    given = waveform(rng, num_samples)
    spectrum = stft(given, frame_length, hop_length)
    back = np.asarray(inverse_stft(spectrum, num_samples, frame_length, hop_length))
    assert back.shape == given.shape and back.dtype == np.float32
    np.testing.assert_allclose(back, given, rtol=0, atol=1e-6 * np.abs(given).max())


def bins_last(spectrum):
    return [np.asarray(part).transpose(0, 3, 1, 2) for part in spectrum]


@pytest.mark.parametrize("num_samples", LENGTHS)
def test_overlap_add_gives_the_waveform_back_with_time_last(rng, num_samples):
    given = waveform(rng, num_samples, channels=3)
    back = np.asarray(overlap_add(bins_last(stft(given, 64, 16)), num_samples, 64, 16))
    assert back.shape == (2, 3, num_samples) and back.dtype == np.float32
    np.testing.assert_allclose(back, given.transpose(0, 2, 1), rtol=0, atol=1e-6 * np.abs(given).max())


# scipy looks at the padding as well, where frames do not overlap fully.
@pytest.mark.filterwarnings("ignore:NOLA condition failed")
@pytest.mark.parametrize(("size", "window"), (((64, 16), "hann"), ((48, 16), "hamming"), ((64, 32), "hann")), ids=str)
def test_overlap_add_of_any_spectrum_is_scipy_s(rng, size, window):
    frame_length, hop_length = size
    parts = rng.normal(size=(2, 2, 3, num_stft_frames(200, *size), frame_length // 2 + 1))
    # The first and the last bin of a real signal are real.
    parts[1][..., [0, -1]] = 0
    actual = np.asarray(overlap_add(tuple(parts.astype(np.float32)), 200, *size, window=window))
    scale = scipy.signal.get_window(window, frame_length).sum()
    spectrum = (parts[0] + 1j * parts[1]).swapaxes(-1, -2) / scale
    overlap = frame_length - hop_length
    _, expected = scipy.signal.istft(spectrum, nperseg=frame_length, noverlap=overlap, window=window, boundary=False)
    np.testing.assert_allclose(actual, expected[..., overlap : overlap + 200], rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", ((1024, 256), (2048, 512), (1000, 250)), ids=str)
def test_usual_sizes_are_inverted_to_the_last_bits(rng, size):
    given = waveform(rng, 5001, batch=1)
    back = np.asarray(inverse_stft(stft(given, *size), 5001, *size))
    np.testing.assert_allclose(back, given, rtol=0, atol=1e-6 * np.abs(given).max())


def test_changed_spectrum_gives_the_waveform_with_the_nearest_one(rng):
    """The derivative of the distance vanishes at the inverse, whichever sample is moved (Griffin and Lim)."""
    target = [np.asarray(part) + rng.normal(size=part.shape) for part in stft(waveform(rng, 50, 1, 1), 32, 8)]

    def distance(given):
        # Bins between 0 and half the rate stand for two of the whole spectrum.
        twice = np.array([1.0, *[2.0] * 15, 1.0])[None, None, :, None]
        pairs = zip(stft(given, 32, 8), target, strict=True)
        return sum(float(np.sum(twice * (np.asarray(ours, np.float64) - theirs) ** 2)) for ours, theirs in pairs)

    # The imaginary part of a real signal's first and last bin is zero; nothing can be near to another.
    target[1][:, :, [0, -1]] = 0
    nearest = np.asarray(inverse_stft([part.astype(np.float32) for part in target], 50, 32, 8))
    smallest = distance(nearest)
    for sample in (0, 1, 20, 48, 49):
        moved = nearest.copy()
        moved[0, sample] += 0.1
        up = distance(moved)
        moved[0, sample] -= 0.2
        assert up - smallest == pytest.approx(distance(moved) - smallest, rel=0.01)
        assert up > smallest + 0.01


def test_sine_stands_in_its_bin_and_frame(make_sine):
    given = np.zeros((1, 4096, 1), np.float32)
    given[0, 2048:, 0] = make_sine(1000, 2048, 16000)
    power = sum(np.square(part) for part in stft(given, 512, 128))[0, :, :, 0]
    assert np.all(np.argmax(power[20:32], axis=1) == 1000 * 512 // 16000)
    # The frame that ends with sample 2048 is number 15.
    np.testing.assert_array_equal(power[:16], 0)
    assert np.all(power[16:32].sum(axis=1) > 0)


@pytest.mark.parametrize("jit_compile", (False, True))
@pytest.mark.parametrize("known", (True, False))
def test_traced_and_compiled_are_the_same(rng, jit_compile, known):
    given = waveform(rng, 333)
    signature = [tf.TensorSpec((None, 333 if known else None, 2), tf.float32)]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def both(given):
        spectrum = stft(given, 64, 16)
        return (*spectrum, inverse_stft(spectrum, tf.shape(given)[1], 64, 16))

    real, imaginary, back = both(given)
    expected = stft(given, 64, 16)
    np.testing.assert_allclose(real, expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(imaginary, expected[1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(back, given, rtol=0, atol=1e-5)


def test_shapes_are_static_where_the_length_is_known():
    traced = tf.function(lambda given: stft(given, 64, 16)[0]).get_concrete_function(
        tf.TensorSpec((3, 1000, 2), tf.float32)
    )
    assert traced.output_shapes == (3, 66, 33, 2)


def test_gradient_of_the_round_trip_is_the_identity(rng):
    given, direction = waveform(rng, 100), waveform(rng, 100)
    with tf.GradientTape() as tape:
        given = tf.constant(given)
        tape.watch(given)
        loss = tf.reduce_sum(direction * inverse_stft(stft(given, 64, 16), 100, 64, 16))
    np.testing.assert_allclose(tape.gradient(loss, given), direction, rtol=0, atol=1e-5)


def test_half_precision_waveforms_are_transformed_in_full(rng):
    given = tf.cast(waveform(rng, 100), "bfloat16")
    real, _ = stft(given, 64, 16)
    assert real.dtype == tf.float32
    np.testing.assert_array_equal(real, stft(tf.cast(given, "float32"), 64, 16)[0])


@pytest.mark.parametrize(("num_samples", "num_frames"), ((1, 4), (16, 4), (17, 5), (32, 5)))
def test_number_of_frames(num_samples, num_frames):
    assert num_stft_frames(num_samples, 64, 16) == num_frames


@pytest.mark.parametrize(
    ("sizes", "message"),
    (
        ((64, 0, None), "hop_length <= frame_length <= fft_length. Received: hop_length=0, frame_length=64"),
        ((64, 65, None), "hop_length=65, frame_length=64"),
        ((64, 16, 63), "frame_length=64, fft_length=63"),
    ),
)
def test_lengths_that_cannot_be_used_are_refused(sizes, message):
    with pytest.raises(ParameterError, match=message):
        stft(np.zeros((1, 100, 1)), *sizes[:2], fft_length=sizes[2])


def test_unknown_window_is_refused():
    with pytest.raises(ParameterError, match="a window that scipy knows. Received: window='hanning-ish'"):
        stft(np.zeros((1, 100, 1)), 64, 16, window="hanning-ish")


@pytest.mark.parametrize(
    ("size", "message"),
    (((24, 10), "multiple of hop_length.*frame_length=24, hop_length=10"), ((64, 64), "overlap everywhere.*'hann'")),
)
def test_spectra_that_cannot_be_inverted_are_refused(size, message):
    spectrum = stft(np.ones((1, 100, 1)), *size)
    with pytest.raises(ParameterError, match=message):
        inverse_stft(spectrum, 100, *size)
    with pytest.raises(ParameterError, match=message):
        overlap_add(bins_last(spectrum), 100, *size)


def test_backend_of_these_tests_is_tensorflow():
    assert keras.backend.backend() == "tensorflow"
