"""Layers of the log-frequency network against NumPy and scipy; eager, traced and compiled by XLA."""

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from audio.log_frequency_layers import (
    BandBias,
    BandMaskedWaveforms,
    HarmonicStack,
    LogFrequencySpectrogram,
    SlotMasks,
    analysis_matrix,
    band_centres_hz,
    synthesis_matrix,
)
from audio.slots import ActiveSlots
from audio.spectrogram_layers import Spectrum
from audio.stft import stft

FRAME, HOP, RATE, NUM_BINS = 64, 16, 16000, 33
BINS_HZ = 250 * np.arange(NUM_BINS)
# From finer than the bins of 250 Hz to coarser; 500, 1000, 2000 and 4000 Hz are the centre of a bin and of a band.
COARSE = {"sample_rate_hz": RATE, "num_bands": 12, "bands_per_octave": 3, "lowest_hz": 500.0}
# Everywhere finer than the bins.
FINE = {"sample_rate_hz": RATE, "num_bands": 37, "bands_per_octave": 12, "lowest_hz": 500.0}
EVERY_BANDS = pytest.mark.parametrize("bands", (COARSE, FINE), ids=("coarse", "fine"))
LABELS = np.array([[1, 0, 0.2, 0.7], [0, 0, 0, 0], [0, 1, 0, 0], [0.3, 0.5, 0.4, 0.1], [1, 1, 0, 1]], np.float32)


@pytest.fixture
def mixture(rng):
    return (0.3 * rng.normal(size=(5, 333, 2))).astype(np.float32)


@pytest.fixture
def spectrum(mixture):
    return np.stack(stft(mixture, FRAME, HOP), axis=-1)


def centres_of(bands):
    return np.array([bands["lowest_hz"] * 2 ** (k / bands["bands_per_octave"]) for k in range(bands["num_bands"])])


def triangles(bands):
    """The analysis matrix, entry by entry."""
    centres, matrix = centres_of(bands), np.zeros((NUM_BINS, bands["num_bands"]))
    for k, centre in enumerate(centres):
        to_next_band = centre * 2 ** (1 / bands["bands_per_octave"]) - centre
        for i, hz in enumerate(BINS_HZ):
            matrix[i, k] = max(0, 1 - abs(hz - centre) / max(to_next_band, 250))
    return matrix


# --- bins to bands and back ------------------------------------------------------------------------------------------


def test_bands_are_evenly_spaced_in_octaves():
    centres = band_centres_hz(288, 36, 32.7)
    assert centres.shape == (288,) and centres[0] == 32.7
    np.testing.assert_allclose(centres[36:] / centres[:-36], 2, rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.log2(centres)), 1 / 36, rtol=1e-9)


@EVERY_BANDS
def test_every_band_is_a_triangle_over_the_bins(bands):
    matrix = analysis_matrix(NUM_BINS, **bands)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, triangles(bands), rtol=0, atol=1e-6)
    for octave in range(4):
        np.testing.assert_allclose(matrix[2 * 2**octave, octave * bands["bands_per_octave"]], 1, rtol=0, atol=1e-6)


def test_bands_finer_than_the_bins_are_read_between_them(rng):
    power = rng.uniform(size=NUM_BINS)
    expected = np.interp(centres_of(FINE), BINS_HZ, power)
    np.testing.assert_allclose(power @ analysis_matrix(NUM_BINS, **FINE), expected, rtol=0, atol=1e-6)


def test_bands_coarser_than_the_bins_add_them_up():
    """A band twice as wide as the bins are apart has the bins around it at half height."""
    bands = {"sample_rate_hz": RATE, "num_bands": 4, "bands_per_octave": 1, "lowest_hz": 500.0}
    for k, half_width in enumerate((2, 4, 8, 16)):
        column = analysis_matrix(NUM_BINS, **bands)[:, k]
        np.testing.assert_array_equal(np.flatnonzero(column), half_width + np.arange(1 - half_width, half_width))
        assert column.sum() == pytest.approx(half_width)


def test_no_band_of_the_default_network_is_deaf():
    matrix = analysis_matrix(2049, 22050, 288, 36, 32.7)
    assert matrix.shape == (2049, 288) and matrix.sum(axis=0).min() > 0.99 and matrix.max() <= 1


@EVERY_BANDS
def test_bins_are_interpolated_between_bands_in_octaves(rng, bands):
    matrix = synthesis_matrix(NUM_BINS, **bands)
    assert matrix.shape == (bands["num_bands"], NUM_BINS) and matrix.dtype == np.float32
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=0, atol=1e-6)
    masks = rng.uniform(size=bands["num_bands"])
    # 0 Hz lies infinitely many octaves below.
    octaves = np.log2(np.maximum(BINS_HZ, 1e-9))
    expected = np.interp(octaves, np.log2(centres_of(bands)), masks)
    np.testing.assert_allclose(masks @ matrix, expected, rtol=0, atol=1e-6)
    assert expected[0] == expected[1] == masks[0] and expected[-1] == masks[-1]


@EVERY_BANDS
def test_a_band_upon_a_bin_is_that_bin_s(bands):
    matrix = synthesis_matrix(NUM_BINS, **bands)
    for octave in range(4):
        expected = np.zeros(bands["num_bands"])
        expected[octave * bands["bands_per_octave"]] = 1
        np.testing.assert_allclose(matrix[:, 2 * 2**octave], expected, rtol=0, atol=1e-6)


# --- the spectrogram -------------------------------------------------------------------------------------------------


@EVERY_BANDS
def test_picture_is_numpy_s(spectrum, assert_everywhere, bands):
    power = np.sum(spectrum.astype(np.float64) ** 2, axis=-1).mean(axis=-1) / 16**2
    magnitude = np.sqrt(power @ triangles(bands))
    expected = np.log(1 + 10000 * magnitude) / np.log(10001)
    assert expected.min() < 0.6 < 0.7 < expected.max()
    assert_everywhere(LogFrequencySpectrogram(**bands), [spectrum], expected[..., None], atol=1e-5)


@pytest.mark.parametrize(("hz", "band"), ((500, 0), (1000, 12), (2000, 24), (4000, 36)))
def test_full_scale_sine_is_one_in_its_band(make_sine, hz, band):
    sine = make_sine(hz, 1600, RATE, amplitude=1.0)[None, :, None]
    spectrogram = np.asarray(LogFrequencySpectrogram(**FINE)(Spectrum(FRAME, HOP)(sine)))[0, 10:-10, :, 0]
    np.testing.assert_allclose(spectrogram.max(axis=1), 1, rtol=0, atol=1e-3)
    assert np.all(spectrogram.argmax(axis=1) == band)


def test_one_of_two_channels_has_half_the_power(make_sine):
    sine = make_sine(2000, 1600, RATE, amplitude=1.0)
    both = np.stack([sine, np.zeros_like(sine)], axis=-1)[None]
    spectrogram = np.asarray(LogFrequencySpectrogram(**FINE)(Spectrum(FRAME, HOP)(both)))
    expected = np.log1p(1e4 * 0.5**0.5) / np.log1p(1e4)
    np.testing.assert_allclose(spectrogram[0, 10:-10, 24, 0], expected, rtol=0, atol=1e-3)


def test_silence_is_zero_with_a_finite_gradient():
    silence = tf.zeros((1, 100, 1))
    with tf.GradientTape() as tape:
        tape.watch(silence)
        spectrogram = LogFrequencySpectrogram(**COARSE)(Spectrum(FRAME, HOP)(silence))
        total = tf.reduce_sum(spectrogram)
    np.testing.assert_allclose(spectrogram, 0, atol=1e-6)
    assert np.all(np.isfinite(tape.gradient(total, silence)))


# --- harmonics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offsets", ((-5, 0, 3, 40), (2,), (-1, -12), (0, 7, 7)), ids=str)
def test_harmonics_are_the_bands_above_and_zeros_beyond_the_edges(rng, assert_everywhere, offsets):
    spectrogram = rng.normal(size=(2, 7, 12, 1)).astype(np.float32)
    expected = np.zeros((2, 7, 12, len(offsets)), np.float32)
    for band in range(12):
        for filter_, offset in enumerate(offsets):
            if 0 <= band + offset < 12:
                expected[:, :, band, filter_] = spectrogram[:, :, band + offset, 0]
    assert_everywhere(HarmonicStack(offsets), [spectrogram], expected, atol=0)


@pytest.mark.parametrize("f0_hz", (500, 750))
def test_partials_of_a_note_meet_in_its_band(make_sine, f0_hz):
    bands = {"sample_rate_hz": RATE, "num_bands": 60, "bands_per_octave": 12, "lowest_hz": 250.0}
    note = sum(make_sine(f0_hz * n, 4000, RATE, amplitude=0.2, phase=n) for n in range(1, 6))[None, :, None]
    spectrogram = LogFrequencySpectrogram(**bands)(Spectrum(512, 128)(note))
    offsets = [round(12 * np.log2(n)) for n in range(1, 6)]
    together = np.asarray(HarmonicStack(offsets)(spectrogram))[0, 10, :, :].min(axis=-1)
    assert together.argmax() == round(12 * np.log2(f0_hz / 250))
    assert together.max() > 0.75 and np.sort(together)[-4] < 0.6


# --- a number for every band -----------------------------------------------------------------------------------------


def test_band_bias_is_added_and_starts_at_zero(rng, assert_everywhere):
    features = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    layer = BandBias()
    np.testing.assert_array_equal(layer(features), features)
    bias = rng.normal(size=(6, 3)).astype(np.float32)
    layer.set_weights([bias])
    expected = np.stack([[frame + bias for frame in item] for item in features])
    assert_everywhere(layer, [features], expected, atol=0)


def test_band_bias_keeps_half_precision():
    layer = BandBias(dtype="mixed_bfloat16")
    assert layer(np.ones((1, 2, 3, 4), np.float32)).dtype == tf.bfloat16
    assert layer.bias.dtype == "float32"


# --- shares of slots -------------------------------------------------------------------------------------------------


@pytest.fixture
def logits(rng):
    return (3 * rng.normal(size=(5, 7, 6, 4))).astype(np.float32)


def shares(logits, slots):
    """Softmax over the occupied slots of each item, float64."""
    masks = np.zeros((*logits.shape[:-1], slots.shape[1]))
    for item, rows in enumerate(slots):
        occupied = np.flatnonzero(rows.any(axis=1))
        if len(occupied):
            chosen = logits[item][..., rows[occupied].argmax(axis=1)].astype(np.float64)
            exponentials = np.exp(chosen - chosen.max(axis=-1, keepdims=True))
            masks[item][..., occupied] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return masks


@pytest.mark.parametrize("num_slots", (1, 2, 4))
def test_occupied_slots_share_every_band(logits, assert_everywhere, num_slots):
    slots = np.asarray(ActiveSlots(num_slots)(LABELS))
    assert_everywhere(SlotMasks(), [logits, slots], shares(logits, slots), atol=1e-6)
    masks = np.asarray(SlotMasks()(logits, slots))
    np.testing.assert_array_equal(np.moveaxis(masks, -1, 1)[~slots.any(axis=2)], 0)


def test_shares_survive_logits_of_any_size(logits):
    # The absent source has by far the largest logit: it must not push the others' exponentials to zero.
    huge = 1000 * logits
    huge[..., 2] = 1e6
    slots = np.asarray(ActiveSlots(3)(np.array([[1, 0.5, 0, 0]] * 5, np.float32)))
    masks, gradient = masks_and_gradient(huge, slots, np.ones(3, np.float32))
    np.testing.assert_allclose(masks, shares(huge, slots), rtol=0, atol=1e-6)
    assert np.all(np.isfinite(gradient))


def masks_and_gradient(logits, slots, weights):
    with tf.GradientTape() as tape:
        given = tf.constant(logits)
        tape.watch(given)
        masks = SlotMasks()(given, slots)
        loss = tf.reduce_sum(weights * masks)
    return masks.numpy(), tape.gradient(loss, given).numpy()


def test_gradient_of_the_shares_is_the_softmax_s_and_zero_where_nobody_plays(logits):
    weights, slots = np.array([1, -2, 3], np.float32), np.asarray(ActiveSlots(3)(LABELS))
    masks, gradient = masks_and_gradient(logits, slots, weights)
    # d/dx_j of sum w m is m_j (w_j - sum w m).
    by_slot = masks * (weights - np.sum(weights * masks, axis=-1, keepdims=True))
    np.testing.assert_allclose(gradient, np.einsum("bfnk,bks->bfns", by_slot, slots), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(gradient[1], 0)
    assert np.abs(gradient[[0, 3, 4]]).max() > 0.1


# --- back to sound ---------------------------------------------------------------------------------------------------


def band_masks(rng, spectrum, bands, num_masks=3):
    return rng.uniform(size=(*spectrum.shape[:2], bands["num_bands"], num_masks)).astype(np.float32)


@EVERY_BANDS
def test_constant_masks_scale_the_mixture(mixture, spectrum, assert_everywhere, bands):
    gains = np.array([1, 0, 0.25], np.float32)
    masks = np.broadcast_to(gains, (*spectrum.shape[:2], bands["num_bands"], 3)).copy()
    expected = gains[None, :, None, None] * mixture[:, None]
    assert_everywhere(BandMaskedWaveforms(FRAME, HOP, **bands), [masks, spectrum, mixture], expected, atol=1e-6)


# scipy looks at the padding as well, where frames do not overlap fully.
@pytest.mark.filterwarnings("ignore:NOLA condition failed")
@EVERY_BANDS
def test_masked_waveforms_are_scipy_s(rng, mixture, spectrum, bands):
    masks = band_masks(rng, spectrum, bands)
    waveforms = np.asarray(BandMaskedWaveforms(FRAME, HOP, **bands)(masks, spectrum, mixture))
    octaves, centres = np.log2(np.maximum(BINS_HZ, 1e-9)), np.log2(centres_of(bands))
    start = FRAME - HOP
    for item in range(5):
        for mask in range(3):
            by_bin = np.stack([np.interp(octaves, centres, frame) for frame in masks[item, :, :, mask]])
            for channel in range(2):
                masked = by_bin * (spectrum[item, :, :, channel] @ [1, 1j])
                scaled = masked.T / scipy.signal.get_window("hann", FRAME).sum()
                _, expected = scipy.signal.istft(scaled, nperseg=FRAME, noverlap=FRAME - HOP, boundary=False)
                np.testing.assert_allclose(
                    waveforms[item, mask, :, channel], expected[start : start + 333], rtol=0, atol=2e-6
                )


def test_shares_add_up_to_the_mixture(rng, mixture, spectrum):
    masks = band_masks(rng, spectrum, FINE)
    masks /= masks.sum(axis=-1, keepdims=True)
    waveforms = np.asarray(BandMaskedWaveforms(FRAME, HOP, **FINE)(masks, spectrum, mixture))
    np.testing.assert_allclose(waveforms.sum(axis=1), mixture, rtol=0, atol=2e-6)
    assert np.abs(waveforms[:, 0] - waveforms[:, 1]).max() > 0.01


@pytest.mark.parametrize(
    ("layer", "shapes"),
    (
        (LogFrequencySpectrogram(**COARSE), lambda time, frames: [(2, frames, 33, 2, 2)]),
        (HarmonicStack((-1, 0, 3)), lambda time, frames: [(2, frames, 12, 1)]),
        (BandBias(), lambda time, frames: [(2, frames, 12, 6)]),
        (SlotMasks(), lambda time, frames: [(2, frames, 12, 4), (2, 3, 4)]),
        (
            BandMaskedWaveforms(FRAME, HOP, **COARSE),
            lambda time, frames: [(2, frames, 12, 3), (2, frames, 33, 2, 2), (2, time, 2)],
        ),
    ),
    ids=lambda case: case.name if isinstance(case, keras.layers.Layer) else "",
)
def test_declared_output_shapes_are_the_real_ones(layer, shapes):
    output = layer(*(np.ones(shape, np.float32) for shape in shapes(333, 24)))
    assert layer.compute_output_shape(*shapes(333, 24)) == tuple(output.shape)
    unknown = tuple(None if size in (333, 24) else size for size in output.shape)
    assert layer.compute_output_shape(*shapes(None, None)) == unknown
