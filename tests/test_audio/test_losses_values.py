"""Losses worked by hand and rewritten in NumPy, float64; what silence costs is part of both."""

import math

import numpy as np
import pytest
import scipy.signal

from audio.losses import MultiResolutionSTFT, NegativeSISDR, WaveformL1, WaveformMSE, WaveformSSE
from audio.losses.ratios import is_present
from audio.metrics import si_sdr
from av_sep.errors import ParameterError


def loss_of(loss, reference, estimate):
    """Loss of one example, given as one list of samples per source."""
    shape = (1, len(reference), -1, 1)
    return float(loss(np.reshape(reference, shape), np.reshape(estimate, shape)))


def batch(rng, num_samples=200):
    references = 0.3 * rng.normal(size=(4, 3, num_samples, 2))
    references[0, 1] = 0
    references[1, :2] = 0
    estimates = references + 0.1 * rng.normal(size=references.shape)
    estimates[3, 0] = 0
    return references.astype(np.float32), estimates.astype(np.float32)


def test_a_source_counts_down_to_80_db_below_all_together():
    energies = np.array([[1.0, 1e-7, 1e-9, 0.0], [1e-7, 1e-9, 1e-16, 0.0]], np.float32)
    np.testing.assert_array_equal(is_present(energies), [[True, True, False, False], [True, True, False, False]])


# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "expected"),
    # Errors 0, 1, -2, 0.5: two sources of two samples.
    ((WaveformMSE(), 5.25 / 4), (WaveformSSE(), 5.25), (WaveformL1(), 3.5 / 4)),
)
def test_errors_worked_by_hand(loss, expected):
    assert loss_of(loss, [[3.0, 4.0], [1.0, 0.0]], [[3.0, 3.0], [3.0, -0.5]]) == pytest.approx(expected)


@pytest.mark.parametrize(("loss", "expected"), ((WaveformMSE(), 1.25), (WaveformSSE(), 5), (WaveformL1(), 0.75)))
def test_silent_reference_contributes_what_its_estimate_is(loss, expected):
    assert loss_of(loss, [[3.0, 4.0], [0.0, 0.0]], [[3.0, 4.0], [1.0, -2.0]]) == pytest.approx(expected)


def test_errors_equal_their_numpy_rewrites(rng):
    references, estimates = (array.astype(np.float64) for array in batch(rng))
    error = references - estimates
    assert float(WaveformMSE()(references, estimates)) == pytest.approx(np.mean(error**2), rel=1e-5)
    assert float(WaveformSSE()(references, estimates)) == pytest.approx(np.sum(error**2) / 4, rel=1e-5)
    assert float(WaveformL1()(references, estimates)) == pytest.approx(np.mean(np.abs(error)), rel=1e-5)


# --- scale-invariant ratio -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "estimate", "expected"),
    (
        # Cosine 1 whatever the scale, and the threshold 0.001 bounds it.
        ([[3.0, 4.0]], [[3.0, 4.0]], -10 * math.log10(1.001 / 0.001)),
        ([[3.0, 4.0]], [[-30.0, -40.0]], -10 * math.log10(1.001 / 0.001)),
        # Orthogonal, silent: the worst.
        ([[3.0, 4.0]], [[4.0, -3.0]], 10 * math.log10(1.001 / 0.001)),
        ([[3.0, 4.0]], [[0.0, 0.0]], 10 * math.log10(1.001 / 0.001)),
        # Cosine 1 / sqrt(2).
        ([[1.0, 0.0]], [[2.0, 2.0]], 0.0),
        # Squared cosine 0.64 = 16 / 25.
        ([[4.0, 0.0]], [[4.0, 3.0]], -10 * math.log10(0.641 / 0.361)),
        # A silent companion leaks an energy of 4 where the floor is 0.016, and only one source counts.
        ([[4.0, 0.0], [0.0, 0.0]], [[4.0, 3.0], [2.0, 0.0]], 10 * math.log10(0.361 / 0.641 * 4.016 / 0.016)),
        # Two sources: their mean.
        ([[1.0, 0.0], [4.0, 0.0]], [[2.0, 2.0], [4.0, 3.0]], -5 * math.log10(0.641 / 0.361)),
        # Nobody plays.
        ([[0.0, 0.0]], [[0.0, 0.0]], 0.0),
    ),
)
def test_scale_invariant_ratio_worked_by_hand(reference, estimate, expected):
    assert loss_of(NegativeSISDR(), reference, estimate) == pytest.approx(expected, abs=2e-4)


def test_scale_invariant_ratio_equals_the_metric_where_the_threshold_is_far(rng):
    reference = rng.normal(size=(1, 1, 400, 2)).astype(np.float32)
    estimate = (0.3 * reference + 0.2 * rng.normal(size=reference.shape)).astype(np.float32)
    expected = -si_sdr(reference[0, 0], estimate[0, 0])
    assert float(NegativeSISDR(floor_db=-70.0)(reference, estimate)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("scale", (1e-3, 0.1, 7.0))
def test_scale_of_the_estimate_does_not_matter(rng, scale):
    references, estimates = batch(rng)
    references, estimates = references[2:3], estimates[2:3]
    expected = float(NegativeSISDR()(references, estimates))
    assert float(NegativeSISDR()(references, scale * estimates)) == pytest.approx(expected, abs=0.01)


def numpy_si_sdr(references, estimates, floor_db):
    threshold = 10 ** (floor_db / 10)
    losses = []
    for reference, estimate in zip(references.astype(np.float64), estimates.astype(np.float64)):
        floor, terms = threshold * np.sum(reference**2) + 1e-8, []
        for s, e in zip(reference, estimate):
            if not np.any(s):
                terms.append(10 * np.log10(1 + np.sum(e**2) / floor))
                continue
            cosine = np.sum(s * e) / np.sqrt(np.sum(s**2) * np.sum(e**2)) if np.any(e) else 0.0
            terms.append(-10 * np.log10((cosine**2 + threshold) / (1 - cosine**2 + threshold)))
        losses.append(sum(terms) / max(1, sum(np.any(s) for s in reference)))
    return np.mean(losses)


@pytest.mark.parametrize("floor_db", (-30.0, -10.0))
def test_scale_invariant_ratio_equals_its_numpy_rewrite(rng, floor_db):
    references, estimates = batch(rng)
    expected = numpy_si_sdr(references, estimates, floor_db)
    assert float(NegativeSISDR(floor_db)(references, estimates)) == pytest.approx(expected, abs=1e-3)


# --- spectra ---------------------------------------------------------------------------------------------------------

RESOLUTIONS = ((64, 40, 8), (32, 24, 10))


def numpy_power(waveform, fft_length, frame_length, hop_length):
    """Power spectra `[num_bins, stft_frames]` of one channel `[time]`, by scipy."""
    before = frame_length - hop_length
    num_frames = -(-(len(waveform) + before) // hop_length)
    padded = np.zeros((num_frames - 1) * hop_length + frame_length)
    padded[before : before + len(waveform)] = waveform
    overlap = frame_length - hop_length
    sizes = {"nperseg": frame_length, "noverlap": overlap, "nfft": fft_length, "boundary": None, "padded": False}
    _, _, spectrum = scipy.signal.stft(padded, window="hann", **sizes)
    return np.abs(spectrum * scipy.signal.get_window("hann", frame_length).sum()) ** 2


def numpy_spectral(references, estimates, floor_db):
    losses = []
    for reference, estimate in zip(references.astype(np.float64), estimates.astype(np.float64)):
        total = 0
        for sizes in RESOLUTIONS:
            powers = [np.stack([numpy_power(c, *sizes) for c in s.T]) for s in reference]
            others = [np.stack([numpy_power(c, *sizes) for c in e.T]) for e in estimate]
            floor = 10 ** (floor_db / 10) * sum(np.mean(p) for p in powers) + 1e-8
            for p, q in zip(powers, others):
                total += np.mean(np.abs(0.5 * np.log((p + floor) / (q + floor))))
                if np.any(p):
                    total += np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.linalg.norm(np.sqrt(p))
        losses.append(total / len(RESOLUTIONS) / max(1, sum(np.any(s) for s in reference)))
    return np.mean(losses)


@pytest.mark.parametrize("floor_db", (-60.0, -20.0))
def test_spectral_loss_equals_its_numpy_rewrite(rng, floor_db):
    references, estimates = batch(rng)
    expected = numpy_spectral(references, estimates, floor_db)
    loss = MultiResolutionSTFT(floor_db, RESOLUTIONS)
    assert float(loss(references, estimates)) == pytest.approx(expected, rel=1e-3)


def test_spectral_loss_of_a_louder_copy_worked_by_hand(rng):
    reference = rng.normal(size=(1, 1, 400, 1)).astype(np.float32)
    # Convergence 2 - 1; every bin's logarithm off by log 2, but for bins near the floor.
    loss = float(MultiResolutionSTFT(-100.0, RESOLUTIONS)(reference, 2 * reference))
    assert loss == pytest.approx(1 + math.log(2), rel=1e-3)
    assert float(MultiResolutionSTFT(-100.0, RESOLUTIONS)(reference, -reference)) == pytest.approx(0, abs=1e-3)


def test_leak_into_silence_costs_its_logarithms_alone(rng):
    references = rng.normal(size=(1, 2, 400, 1)).astype(np.float32)
    references[0, 1] = 0
    estimates = references.copy()
    estimates[0, 1] = references[0, 0]
    # As loud as the mixture in every bin: half the logarithm of the floor, but for bins that are weak themselves.
    expected = 0.5 * math.log(1e6)
    assert expected - 1 < float(MultiResolutionSTFT(-60.0, RESOLUTIONS)(references, estimates)) < expected
    estimates[0, 1] *= 1e-4
    assert float(MultiResolutionSTFT(-60.0, RESOLUTIONS)(references, estimates)) == pytest.approx(0, abs=0.01)


def test_published_resolutions_are_the_default(rng):
    assert MultiResolutionSTFT().resolutions == ((1024, 600, 120), (2048, 1200, 240), (512, 240, 50))
    references, estimates = batch(rng, num_samples=700)
    assert 0.1 < float(MultiResolutionSTFT()(references, estimates)) < 10


@pytest.mark.parametrize("resolutions", ((), ((64, 8),)), ids=str)
def test_resolutions_that_are_none_are_refused(resolutions):
    with pytest.raises(ParameterError, match=r"resolutions as \(fft_length, frame_length, hop_length\).*Received: "):
        MultiResolutionSTFT(resolutions=resolutions)
