"""Every oracle: against loops in NumPy, what they promise of masks and sums, and the order of their scores."""

import numpy as np
import pytest
from scipy.signal import istft, stft

from audio.baselines.oracle import ORACLES, ideal_binary_mask, ideal_ratio_mask, multichannel_wiener
from audio.metrics import sdr
from av_sep.errors import ParameterError

RATE = 16000
EVERY_ORACLE = pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES)


def spectrum(waveform):
    """`[..., time, channels]` to `[..., channels, bins, stft_frames]`, with the conventions the module states."""
    return stft(np.moveaxis(waveform, -1, -2), nperseg=2048, noverlap=1024, window="hann")[2]


def waveform(spectra, num_samples):
    return np.moveaxis(istft(spectra, nperseg=2048, noverlap=1024, window="hann")[1], -1, -2)[..., :num_samples, :]


def masked(gain_of, mixture, references):
    """Estimates by a function from the values of all sources in one bin `[num_sources]` to gains `[num_sources]`."""
    mixture_spectrum, reference_spectra = spectrum(mixture), spectrum(references)
    estimates = np.zeros_like(reference_spectra)
    for place in np.ndindex(mixture_spectrum.shape):
        estimates[(slice(None), *place)] = gain_of(reference_spectra[(slice(None), *place)]) * mixture_spectrum[place]
    return waveform(estimates, len(mixture))


def loudest_takes_all(values):
    gains = np.zeros(len(values))
    gains[np.argmax(np.abs(values))] = 1
    return gains


@pytest.fixture
def lines(rng):
    """Three melodies `[3, time]` of eight decaying partials, two seconds; each at its own pitches and moments."""

    def line(lowest_hz, note_samples):
        notes = [lowest_hz * 2 ** (step / 12) for step in rng.integers(0, 12, 2 * RATE // note_samples + 1)]
        phase = 2 * np.pi * np.cumsum(np.repeat(notes, note_samples)[: 2 * RATE]) / RATE
        envelope = np.exp(-(np.arange(2 * RATE) % note_samples) / 3000)
        return envelope * sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 9))

    return np.stack([line(150, 5000), line(290, 6700), line(520, 4100)])


@pytest.fixture
def panned(lines):
    """The melodies in stereo at three places, `[3, time, 2]`."""
    return lines[:, :, None] * np.array([[1, 0.3], [0.7, 0.7], [0.2, 1]])[:, None, :]


def mean_sdr(references, estimates):
    return np.mean([sdr(reference, estimate) for reference, estimate in zip(references, estimates, strict=True)])


@pytest.mark.parametrize("num_channels", (1, 2))
@pytest.mark.parametrize(
    ("oracle", "gain_of"),
    (
        (ideal_binary_mask, loudest_takes_all),
        (ideal_ratio_mask, lambda values: np.abs(values) / np.abs(values).sum()),
    ),
    ids=("binary", "ratio"),
)
def test_masks_equal_loops_over_bins(rng, oracle, gain_of, num_channels):
    references = rng.normal(size=(3, 5000, num_channels)) * np.array([1, 3, 0.5])[:, None, None]
    mixture = references.sum(axis=0) + 0.1 * rng.normal(size=(5000, num_channels))
    np.testing.assert_allclose(oracle(mixture, references), masked(gain_of, mixture, references), rtol=0, atol=1e-10)


def test_wiener_filter_of_one_channel_is_the_ratio_mask_of_powers(rng):
    references = rng.normal(size=(3, 5000, 1)) * np.array([1, 3, 0.5])[:, None, None]
    mixture = references.sum(axis=0) + 0.1 * rng.normal(size=(5000, 1))
    expected = masked(lambda values: np.abs(values) ** 2 / np.sum(np.abs(values) ** 2), mixture, references)
    np.testing.assert_allclose(multichannel_wiener(mixture, references), expected, rtol=0, atol=1e-8)


def wiener_by_loops(mixture, references):
    """The posterior mean of Duong et al. bin by bin; a 2 x 2 matrix inverted by its adjugate."""
    x, s = spectrum(mixture), spectrum(references)
    estimates = np.zeros_like(s)
    num_sources, _, num_bins, num_frames = s.shape
    for f in range(num_bins):
        power = [[np.mean(np.abs(s[j, :, f, n]) ** 2) for n in range(num_frames)] for j in range(num_sources)]
        place = [
            sum(np.outer(s[j, :, f, n], s[j, :, f, n].conj()) for n in range(num_frames)) / sum(power[j])
            for j in range(num_sources)
        ]
        for n in range(num_frames):
            total = sum(power[j][n] * place[j] for j in range(num_sources))
            adjugate = np.array([[total[1, 1], -total[0, 1]], [-total[1, 0], total[0, 0]]])
            inverse = adjugate / (total[0, 0] * total[1, 1] - total[0, 1] * total[1, 0])
            for j in range(num_sources):
                estimates[j, :, f, n] = power[j][n] * place[j] @ inverse @ x[:, f, n]
    return waveform(estimates, len(mixture))


def test_wiener_filter_of_two_channels_equals_loops_over_bins(rng):
    mixing = rng.normal(size=(2, 2, 40)) * np.exp(-np.arange(40) / 8)
    dry = rng.normal(size=(2, 5000)) * np.array([1, 2])[:, None]
    references = np.stack([np.stack([np.convolve(d, h)[:5000] for h in hs], axis=1) for d, hs in zip(dry, mixing)])
    mixture = references.sum(axis=0) + 0.1 * rng.normal(size=(5000, 2))
    expected = wiener_by_loops(mixture, references)
    np.testing.assert_allclose(multichannel_wiener(mixture, references), expected, rtol=0, atol=1e-7)


@EVERY_ORACLE
@pytest.mark.parametrize("num_samples", (1, 2047, 5000))
@pytest.mark.parametrize("num_channels", (1, 2, 3))
def test_estimates_add_up_to_the_sum_of_the_references(rng, oracle, num_samples, num_channels):
    references = rng.normal(size=(3, num_samples, num_channels))
    estimates = oracle(references.sum(axis=0), references)
    assert estimates.shape == references.shape
    np.testing.assert_allclose(estimates.sum(axis=0), references.sum(axis=0), rtol=0, atol=1e-7)


@EVERY_ORACLE
def test_gains_over_the_mixture_and_tells_the_sources_apart(panned, oracle):
    mixture = panned.sum(axis=0)
    estimates = oracle(mixture, panned)
    assert mean_sdr(panned, estimates) > mean_sdr(panned, [mixture] * 3) + 10
    for i, reference in enumerate(panned):
        assert sdr(reference, estimates[i]) > sdr(reference, estimates[i - 1]) + 6
        assert sdr(reference, estimates[i]) > sdr(reference, np.roll(estimates[i], 40, axis=0)) + 6


def test_filter_uses_the_places_that_masks_cannot_use(panned):
    mixture = panned.sum(axis=0)
    filtered, masked_ones = multichannel_wiener(mixture, panned), ideal_ratio_mask(mixture, panned)
    assert mean_sdr(panned, filtered) > mean_sdr(panned, masked_ones) + 5


def test_filter_inverts_a_mixture_of_as_many_places_as_channels(panned):
    """Two sources at two places: the spatial covariances alone undo the mixture, whatever the powers."""
    references = panned[[0, 2]]
    estimates = multichannel_wiener(references.sum(axis=0), references)
    assert all(sdr(reference, estimate) > 40 for reference, estimate in zip(references, estimates, strict=True))


@EVERY_ORACLE
def test_silent_reference_gets_silence_and_the_others_all_the_rest(rng, oracle):
    references = rng.normal(size=(3, 6000, 2))
    references[1] = 0
    # Digital silence in the middle, longer than a window, leaves bins where no reference sounds.
    references[:, 1000:5500] = 0
    estimates = oracle(references.sum(axis=0), references)
    np.testing.assert_array_equal(estimates[1], 0)
    np.testing.assert_allclose(estimates[[0, 2]].sum(axis=0), references.sum(axis=0), rtol=0, atol=1e-7)


@EVERY_ORACLE
def test_nothing_is_given_where_no_reference_sounds(rng, oracle):
    np.testing.assert_array_equal(oracle(rng.normal(size=(5000, 2)), np.zeros((2, 5000, 2))), 0)


@EVERY_ORACLE
def test_channels_that_are_alike_are_separated_alike(lines, oracle):
    one = oracle(lines.sum(axis=0)[:, None], lines[..., None])
    two = oracle(np.tile(lines.sum(axis=0)[:, None], 2), np.tile(lines[..., None], 2))
    np.testing.assert_allclose(two, np.tile(one, 2), rtol=0, atol=1e-6)


def test_binary_mask_gives_all_of_a_foreign_mixture_to_who_plays(rng):
    """Two sources play in turns; whatever the mixture is, all of it goes to the one whose turn it is."""
    references, mixture = rng.normal(size=(3, 1024 * 8, 1)), rng.normal(size=(1024 * 8, 1))
    references[0, 4096:] = references[1, :4096] = references[2] = 0
    estimates = ideal_binary_mask(mixture, references)
    np.testing.assert_allclose(estimates[0, :3000], mixture[:3000], rtol=0, atol=1e-10)
    np.testing.assert_allclose(estimates[1, -3000:], mixture[-3000:], rtol=0, atol=1e-10)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(estimates[2], 0)


def test_equals_are_given_to_the_first(rng):
    reference = rng.normal(size=(5000, 1))
    estimates = ideal_binary_mask(2 * reference, np.stack([reference, reference]))
    np.testing.assert_allclose(estimates, np.stack([2 * reference, 0 * reference]), rtol=0, atol=1e-10)


@EVERY_ORACLE
@pytest.mark.parametrize(
    ("mixture", "references", "message"),
    (
        (np.ones((9, 2)), np.ones((3, 9, 1)), r"\[num_sources, time, channels\].*Received: \(9, 2\) and \(3, 9, 1\)"),
        (np.ones(9), np.ones((3, 9)), r"mixture \[time, channels\].*Received: \(9,\)"),
        (np.ones((0, 1)), np.ones((3, 0, 1)), r"with sound.*Received: \(0, 1\)"),
        (np.full((9, 1), np.nan), np.ones((3, 9, 1)), "finite samples"),
        (np.ones((9, 1)), np.full((3, 9, 1), np.inf), "finite samples"),
    ),
    ids=("channels", "no channels", "no samples", "nan", "inf"),
)
def test_errors(oracle, mixture, references, message):
    with pytest.raises(ParameterError, match=message):
        oracle(mixture, references)
