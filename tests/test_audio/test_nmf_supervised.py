"""Supervised NMF: against scikit-learn frame by frame, cut in every way, and on a duet whose notes it never heard."""

import numpy as np
import pytest
from scipy.signal import stft
from sklearn.decomposition import non_negative_factorization
from threadpoolctl import threadpool_limits

from audio.nmf import factorize
from audio.baselines.supervised_nmf import SupervisedNMF
from audio.metrics import sdr, si_sdr
from audio.models import load_model
from audio.separator import Separator
from av_sep.errors import ParameterError

NAMES = ("violin", "flute", "tuba")
RATE = 16000
POWERS = {"frobenius": 1, "kl": 1, "itakura_saito": 2}
LOSSES = {"frobenius": "frobenius", "kl": "kullback-leibler", "itakura_saito": "itakura-saito"}
EVERY_DIVERGENCE = pytest.mark.parametrize("divergence", POWERS)
LABELS = (np.array([1, 0.4, 0.2]), np.array([0, 1, 0.1]), np.array([1, 0, 0]), np.array([0, 0, 0]))
EVERY_LABELLING = pytest.mark.parametrize("labels", LABELS, ids=str)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Products this small are slower with several threads, tens of times slower on busy cores."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def make_model(rng):
    """Function that makes a model of three sources, frames of 64 samples and four random templates each."""

    def make(**options):
        return SupervisedNMF(NAMES, rng.gamma(0.5, size=(3, 33, 4)), RATE, **options)

    return make


def masks_by_scikit_learn(model, magnitudes):
    """Masks of the first two sources: every frame factorized by itself, transposed as scikit-learn has it."""
    power = POWERS[model.divergence]
    templates = np.concatenate(model.templates[:2], axis=1).T ** power
    masks = []
    for frame in magnitudes.T**power:
        # Its start has the level sqrt(mean / num_components), ours the frame's; masks do not depend on a frame's level.
        frame = frame * frame.mean() / len(templates) * (templates.sum() / frame.sum()) ** 2
        activations, kept, _ = non_negative_factorization(
            frame[None],
            H=templates.copy(),
            n_components=len(templates),
            init="custom",
            update_H=False,
            solver="mu",
            beta_loss=LOSSES[model.divergence],
            max_iter=model.num_iterations,
            tol=1e-30,
        )
        np.testing.assert_array_equal(kept, templates)
        explained = [activations[0, i : i + 4] @ templates[i : i + 4] for i in (0, 4)]
        masks.append([part ** (model.mask_exponent / power) for part in explained])
    masks = np.transpose(masks, (1, 2, 0))
    return masks / masks.sum(axis=0)


@EVERY_DIVERGENCE
@pytest.mark.parametrize("mask_exponent", (0.7, 2))
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_masks_are_scikit_learn_s(make_model, rng, divergence, mask_exponent):
    model = make_model(divergence=divergence, num_iterations=9, mask_exponent=mask_exponent)
    magnitudes = rng.gamma(1, size=(33, 6)) * 10 ** rng.uniform(-3, 1, size=6)
    masks = model.masks(magnitudes, np.array([1, 0.5, 0]))
    np.testing.assert_allclose(masks[:2], masks_by_scikit_learn(model, magnitudes), rtol=0, atol=1e-6)


@EVERY_DIVERGENCE
def test_without_updates_masks_are_those_of_the_average_spectra(make_model, rng, divergence):
    """All activations alike: the templates' sum is the average spectrum, and exponent 2 makes Wiener's ratio of it."""
    model = make_model(divergence=divergence, num_iterations=0, mask_exponent=2)
    power = POWERS[divergence]
    averages = (model.templates**power).sum(axis=2) ** (1 / power)
    expected = averages[:2] ** 2 / np.sum(averages[:2] ** 2, axis=0)
    masks = model.masks(rng.gamma(1, size=(33, 5)), np.array([1, 1, 0]))
    for frame in range(5):
        np.testing.assert_allclose(masks[:2, :, frame], expected, rtol=0, atol=1e-6)


@EVERY_DIVERGENCE
@EVERY_LABELLING
def test_masks_of_the_active_sum_to_one(make_model, rng, divergence, labels):
    model = make_model(divergence=divergence)
    model.templates[:, 5:8] = 0
    magnitudes = rng.gamma(0.3, size=(33, 9)) * (rng.uniform(size=(33, 9)) < 0.5)
    magnitudes[:, 4] = 0
    masks = model.masks(magnitudes, labels)
    np.testing.assert_allclose(masks.sum(axis=0), float(labels.any()), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(masks[labels == 0], 0)
    assert masks.min() >= 0


@EVERY_DIVERGENCE
@EVERY_LABELLING
def test_estimates_sum_to_the_mixture_and_absent_ones_are_silent(make_model, rng, divergence, labels):
    separator = Separator(make_model(divergence=divergence), mixture_consistency=False, chunk_samples=500)
    mixture = rng.normal(size=(3001, 2)).astype(np.float32)
    estimates = separator.separate(mixture, labels, RATE)
    assert estimates.dtype == np.float32 and estimates.shape == (3, 3001, 2)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture * labels.any(), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(estimates[labels == 0], 0)
    if labels[0] and labels[1]:
        assert np.abs(estimates[0] - estimates[1]).max() > 0.1


@EVERY_DIVERGENCE
@pytest.mark.parametrize("rate", (16000, 22050))
def test_chunks_cannot_be_heard(make_model, rng, divergence, rate):
    model = make_model(divergence=divergence)
    mixture = rng.normal(size=(5000, 2)).astype(np.float32)
    # Loud, soft and silent stretches, so that a chunk alone looks unlike the whole.
    mixture *= np.repeat([1, 1e-3, 0, 0.3, 1e-5], 1000)[:, None].astype(np.float32)
    whole = Separator(model, chunk_samples=10_000).separate(mixture, np.array([1, 1, 0]), rate)
    assert np.abs(whole[0] - whole[1]).max() > 0.1
    for chunk_samples in (17, 100, 1024):
        cut = Separator(model, chunk_samples=chunk_samples).separate(mixture, np.array([1, 1, 0]), rate)
        np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-6)


@EVERY_DIVERGENCE
def test_silence_stays_silent(make_model, rng, divergence):
    mixture = rng.normal(size=(4000, 1)).astype(np.float32)
    mixture[1000:3000] = 0
    # Frames of 64 samples reach that far into the silence.
    model = make_model(divergence=divergence)
    for given in (mixture, np.zeros_like(mixture)):
        estimates = Separator(model, chunk_samples=1000).separate(given, np.array([1, 1, 0]), RATE)
        np.testing.assert_allclose(estimates[:, 1064:2936], 0, rtol=0, atol=1e-12)
        np.testing.assert_allclose(estimates.sum(axis=0), given, rtol=0, atol=1e-5)


@EVERY_DIVERGENCE
def test_level_scales_the_estimates(make_model, rng, divergence):
    separator = Separator(make_model(divergence=divergence), chunk_samples=1000)
    mixture = rng.normal(size=(2000, 1)).astype(np.float32)
    loud = separator.separate(mixture, np.array([1, 1, 0]), RATE)
    quiet = separator.separate(mixture / 1024, np.array([1, 1, 0]), RATE)
    np.testing.assert_allclose(1024 * quiet, loud, rtol=0, atol=1e-5)


@EVERY_DIVERGENCE
def test_sources_in_bands_of_their_own_are_separated(rng, make_band_noise, divergence):
    bands = ((3500, 7800), (100, 2500))
    templates = np.full((2, 257, 3), 1e-4)
    for i, (low, high) in enumerate(bands):
        templates[i, int(low / 31.25) : int(high / 31.25) + 1] = rng.uniform(0.5, 1, size=(1, 3))
    references = np.stack([make_band_noise(rng, RATE, 1, *band, RATE) for band in bands])
    mixture = references.sum(axis=0)
    model = SupervisedNMF(("high", "low"), templates, RATE, divergence, mask_exponent=2)
    separator = Separator(model, chunk_samples=8000)
    for reference, estimate in zip(references, separator.separate(mixture, np.ones(2), RATE), strict=True):
        assert sdr(reference, mixture) < 5
        assert sdr(reference, estimate) > 20
        assert sdr(reference, np.roll(estimate, 1, axis=0)) < 20


def line(rng, midi_notes, weights, num_seconds):
    """Notes of a quarter of a second `[time]` with partials of the given weights, vibrato and phases of their own."""
    notes = []
    for note in rng.choice(midi_notes, 4 * num_seconds):
        time = np.arange(RATE // 4) / RATE
        bend = 0.003 * np.sin(2 * np.pi * 5.5 * time + rng.uniform(0, 6))
        cycles = 440 * 2 ** ((note - 69) / 12) * np.cumsum(1 + bend) / RATE
        partials = [w * np.sin(2 * np.pi * n * cycles + rng.uniform(0, 6)) for n, w in enumerate(weights, 1)]
        notes.append(np.sum(partials, axis=0) * np.hanning(len(time)) ** 0.3)
    return 0.05 * np.concatenate(notes)


@EVERY_DIVERGENCE
def test_duet_is_separated_by_templates_of_other_notes(divergence):
    """A hollow low and a bright high voice; the solos have even, the duet has odd numbers of semitones."""
    rng = np.random.default_rng(5)
    voices = ((np.arange(43, 57), [1, 0, 0.6, 0, 0.4, 0, 0.2]), (np.arange(67, 81), [0.5, 1, 0.7, 0.5, 0.3]))
    templates = []
    for notes, weights in voices:
        _, _, spectrum = stft(line(rng, notes[::2], weights, 8), nperseg=1024, noverlap=768)
        learnt = factorize(np.abs(spectrum) ** POWERS[divergence], 14, divergence=divergence, num_iterations=60)
        templates.append((learnt.templates * learnt.activations.mean(axis=1)) ** (1 / POWERS[divergence]))
    separator = Separator(SupervisedNMF(("low", "high"), np.stack(templates), RATE, divergence), chunk_samples=16000)
    references = np.stack([line(rng, notes[1::2], weights, 4) for notes, weights in voices])[..., None]
    mixture = references.sum(axis=0)
    estimates = separator.separate(mixture, np.ones(2), RATE)
    for reference, other, estimate in zip(references, references[::-1], estimates, strict=True):
        # Half the mixture would gain some 3 dB of SDR and no SI-SDR.
        assert si_sdr(reference, estimate) > si_sdr(reference, mixture) + 2.5
        assert sdr(reference, estimate) > sdr(reference, mixture) + 3.5
        assert si_sdr(reference, estimate) > si_sdr(other, estimate) + 6


@pytest.mark.parametrize("name", ("nmf", "nmf_frobenius", "nmf_itakura_saito"))
def test_packaged_templates_tell_a_tuba_from_a_flute(name):
    """Held notes in the two registers; no template has been lost to the 16 bits that they are kept in."""
    model = load_model(name)
    np.testing.assert_allclose(model.templates.max(axis=(1, 2)), 1)
    assert np.all(model.templates.max(axis=1) > 1e-5)
    time = np.arange(RATE) / RATE
    notes = [sum(np.sin(2 * np.pi * f0 * n * time + n) / n**2 for n in range(1, 8)) for f0 in (880, 65)]
    references = 0.1 * np.stack(notes)[..., None].astype(np.float32)
    labels = np.isin(model.source_names, ("flute", "tuba"))
    estimates = Separator(model, chunk_samples=RATE).separate(references.sum(axis=0), labels, RATE)
    for instrument, reference in zip(("flute", "tuba"), references, strict=True):
        assert si_sdr(reference, estimates[model.source_names.index(instrument)]) > 10


@pytest.mark.parametrize("shape", ((2, 33, 4), (3, 33), (3, 32, 4)), ids=str)
def test_templates_that_do_not_fit_are_refused(shape):
    with pytest.raises(ParameterError, match=r"num_components\] for 3 sources, num_bins odd. Received: shape \("):
        SupervisedNMF(NAMES, np.ones(shape), RATE)


@pytest.mark.parametrize("value", (-1, 0, np.nan, np.inf))
def test_templates_that_are_no_magnitudes_are_refused(value):
    templates = np.ones((3, 33, 4))
    templates[1] = value
    with pytest.raises(ParameterError, match="without negative entries, some positive for every source. Received: min"):
        SupervisedNMF(NAMES, templates, RATE)


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"divergence": "beta"}, "one of frobenius, kl, itakura_saito. Received: 'beta'"),
        ({"num_iterations": -1}, "mask_exponent > 0. Received: num_iterations=-1, mask_exponent=0.7"),
        ({"mask_exponent": 0}, "Received: num_iterations=12, mask_exponent=0"),
    ),
)
def test_options_that_cannot_be_used_are_refused(make_model, options, message):
    with pytest.raises(ParameterError, match=message):
        make_model(**options)
