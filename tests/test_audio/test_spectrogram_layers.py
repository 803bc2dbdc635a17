"""Layers of the spectrogram U-Net against NumPy and scipy; eager, traced and compiled by XLA."""

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from audio.spectrogram_layers import MagnitudeSpectrogram, MaskedWaveforms, SigmoidMasks, SoftmaxMasks, Spectrum
from audio.stft import stft
from av_sep.errors import ParameterError

FRAME, HOP = 64, 16
LABELS = np.array([[1, 0, 0.2], [0, 0, 0], [0, 1, 0], [1, 1, 1]], np.float32)


@pytest.fixture
def mixture(rng):
    return (0.3 * rng.normal(size=(4, 333, 2))).astype(np.float32)


@pytest.fixture
def spectrum(mixture):
    return np.stack(stft(mixture, FRAME, HOP), axis=-1)


@pytest.fixture
def logits(rng, spectrum):
    return (3 * rng.normal(size=(4, spectrum.shape[1] + 2, 32, 6))).astype(np.float32)


def test_spectrum_is_the_transform_with_its_parts_last(mixture, spectrum, assert_everywhere):
    assert_everywhere(Spectrum(FRAME, HOP), [mixture], spectrum, atol=1e-5)


def test_full_scale_sine_has_magnitude_one(make_sine):
    sine = make_sine(2000, 1600, 16000, amplitude=1.0)[None, :, None]
    spectrogram = np.asarray(MagnitudeSpectrogram("log")(Spectrum(FRAME, HOP)(sine)))[0, 10:-10, :, 0]
    assert spectrogram.shape[1] == 32
    np.testing.assert_allclose(spectrogram.max(axis=1), 1, rtol=0, atol=0.01)
    assert np.all(spectrogram.argmax(axis=1) == 8)


@pytest.mark.parametrize(
    ("compression", "expected"),
    (
        ("log", lambda magnitude: np.log1p(1000 * magnitude) / np.log(1001)),
        ("power", lambda magnitude: (magnitude**2 + 1e-8) ** 0.15 - 1e-8**0.15),
    ),
)
@pytest.mark.parametrize(("multiple", "num_frames"), ((1, 24), (8, 24), (16, 32)))
def test_magnitudes_are_compressed(spectrum, assert_everywhere, compression, expected, multiple, num_frames):
    magnitude = np.hypot(spectrum[..., 0], spectrum[..., 1])[:, :, :-1] / 16
    spectrogram = np.zeros((4, num_frames, 32, 2))
    spectrogram[:, : magnitude.shape[1]] = expected(magnitude.astype(np.float64))
    assert_everywhere(MagnitudeSpectrogram(compression, multiple), [spectrum], spectrogram, atol=1e-5)


@pytest.mark.parametrize("compression", ("log", "power"))
def test_silence_is_zero_with_a_finite_gradient(compression):
    silence = tf.zeros((1, 100, 1))
    with tf.GradientTape() as tape:
        tape.watch(silence)
        spectrogram = MagnitudeSpectrogram(compression, 4)(Spectrum(FRAME, HOP)(silence))
        total = tf.reduce_sum(spectrogram)
    np.testing.assert_allclose(spectrogram, 0, atol=1e-6)
    assert np.all(np.isfinite(tape.gradient(total, silence)))


def split(logits):
    return logits.reshape(*logits.shape[:-1], 3, 2).astype(np.float64)


def test_sigmoid_masks_keep_sources_and_channels_apart(logits, assert_everywhere):
    assert_everywhere(SigmoidMasks(3), [logits], 1 / (1 + np.exp(-split(logits))), atol=1e-6)


def softmax(values):
    exponentials = np.exp(values)
    return exponentials / exponentials.sum(axis=-2, keepdims=True)


def test_softmax_masks_share_among_the_labelled(logits, assert_everywhere):
    expected = np.zeros(split(logits).shape)
    for item, labels in enumerate(LABELS):
        active = np.flatnonzero(labels > 0)
        if len(active):
            expected[item][..., active, :] = softmax(split(logits)[item][..., active, :])
    assert_everywhere(SoftmaxMasks(3), [logits, LABELS], expected, atol=1e-6)
    masks = np.asarray(SoftmaxMasks(3)(logits, LABELS))
    np.testing.assert_array_equal(np.moveaxis(masks, -2, 1)[LABELS == 0], 0)


def test_softmax_masks_without_labels_share_among_all(logits, assert_everywhere):
    assert_everywhere(SoftmaxMasks(3), [logits], softmax(split(logits)), atol=1e-6)


def test_softmax_masks_survive_logits_of_any_size(logits):
    # The absent source has by far the largest logit: it must not push the others' exponentials to zero.
    huge = 1000 * logits
    huge[..., 2:4] = 1e6
    labels = tf.constant([[1.0, 0, 1]] * 4)
    with tf.GradientTape() as tape:
        given = tf.constant(huge)
        tape.watch(given)
        masks = SoftmaxMasks(3)(given, labels)
        loss = tf.reduce_sum(masks**2)
    np.testing.assert_allclose(tf.reduce_sum(masks, axis=3), 1, atol=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, given)))


def test_gradient_of_softmax_masks_is_finite_where_nobody_plays(logits):
    with tf.GradientTape() as tape:
        given = tf.constant(logits)
        tape.watch(given)
        loss = tf.reduce_sum(SoftmaxMasks(3)(given, LABELS) ** 2)
    gradient = tape.gradient(loss, given).numpy()
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(gradient[1], 0)
    assert np.any(gradient[0]) and np.any(gradient[3])


def test_constant_masks_scale_the_mixture(mixture, spectrum, assert_everywhere):
    gains = np.array([[0.5, 1.0], [0.0, 0.25], [1.0, 0.75]], np.float32)
    masks = np.broadcast_to(gains, (4, spectrum.shape[1] + 3, 32, 3, 2)).copy()
    expected = (mixture[:, :, None, :] * gains).reshape(4, 333, 6)
    assert_everywhere(MaskedWaveforms(FRAME, HOP), [masks, spectrum, mixture], expected, atol=1e-6)


# scipy looks at the padding as well, where frames do not overlap fully.
@pytest.mark.filterwarnings("ignore:NOLA condition failed")
def test_masked_waveforms_are_scipy_s(rng, mixture, spectrum):
    masks = rng.uniform(size=(4, spectrum.shape[1], 32, 3, 2)).astype(np.float32)
    waveforms = np.asarray(MaskedWaveforms(FRAME, HOP)(masks, spectrum, mixture)).reshape(4, 333, 3, 2)
    whole = np.concatenate([masks, masks[:, :, -1:]], axis=2)
    for source in range(3):
        masked = whole[..., source, :] * (spectrum[..., 0] + 1j * spectrum[..., 1])
        scaled = masked / scipy.signal.get_window("hann", FRAME).sum()
        _, expected = scipy.signal.istft(
            scaled.transpose(0, 3, 2, 1), nperseg=FRAME, noverlap=FRAME - HOP, boundary=False
        )
        start = FRAME - HOP
        np.testing.assert_allclose(
            waveforms[:, :, source], expected.transpose(0, 2, 1)[:, start : start + 333], rtol=0, atol=2e-6
        )


@pytest.mark.parametrize(
    ("layer", "shapes"),
    (
        (Spectrum(FRAME, HOP), [(2, 333, 2)]),
        (MagnitudeSpectrogram("log", 8), [(2, 21, 33, 2, 2)]),
        (SigmoidMasks(3), [(2, 24, 32, 6)]),
        (SoftmaxMasks(3), [(2, 24, 32, 6), (2, 3)]),
        (MaskedWaveforms(FRAME, HOP), [(2, 24, 32, 3, 2), (2, 24, 33, 2, 2), (2, 333, 2)]),
    ),
    ids=lambda case: case.name if isinstance(case, keras.layers.Layer) else "",
)
def test_declared_output_shapes_are_the_real_ones(layer, shapes):
    output = layer(*(np.ones(shape, np.float32) for shape in shapes))
    assert layer.compute_output_shape(*shapes) == tuple(output.shape)
    unknown = [(2, None, *shape[2:]) if len(shape) > 2 else shape for shape in shapes]
    assert layer.compute_output_shape(*unknown) == (2, None, *output.shape[2:])


def test_unknown_compression_is_refused():
    with pytest.raises(ParameterError, match=r"compression to be one of \('log', 'power'\)\. Received: 'mel'"):
        MagnitudeSpectrogram("mel")
