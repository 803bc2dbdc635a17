"""NMF against scikit-learn's multiplicative updates; scipy's divergences never rise."""

import numpy as np
import pytest
from scipy.signal import stft
from scipy.special import kl_div
from sklearn.decomposition import non_negative_factorization

from audio.nmf import FLOOR, factorize
from av_sep.errors import ParameterError

DIVERGENCES = {"frobenius": "frobenius", "kl": "kullback-leibler", "itakura_saito": "itakura-saito"}
EVERY_DIVERGENCE = pytest.mark.parametrize("divergence", DIVERGENCES)
RATE = 8000


def by_scipy(spectrogram, model, divergence):
    if divergence == "frobenius":
        return np.sum((spectrogram - model) ** 2) / 2
    if divergence == "kl":
        return np.sum(kl_div(spectrogram, model))
    return np.sum(kl_div(1, spectrogram / model))


def start(rng, shape, num_components=5):
    return rng.uniform(0.1, 1, (shape[0], num_components)), rng.uniform(0.1, 1, (num_components, shape[1]))


def music(rng, power=1):
    """Spectrogram of three notes with overtones, a rest of exact zeros between them and an empty band on top."""
    time = np.arange(RATE) / RATE
    notes = [sum(np.sin(2 * np.pi * f0 * n * time) / n for n in range(1, 5)) for f0 in (220, 330, 415)]
    gates = (np.arange(RATE) % 3000 < 2000, np.arange(RATE) < 4000, np.arange(RATE) % 2000 < 700)
    waveform = sum(note * gate for note, gate in zip(notes, gates, strict=True)) + 1e-4 * rng.normal(size=RATE)
    waveform[5000:6500] = 0
    spectrogram = np.abs(stft(waveform, nperseg=512)[2]) ** power
    spectrogram[200:] = 0
    return spectrogram


SPECTROGRAMS = {
    "random": lambda rng: rng.gamma(0.3, size=(40, 30)),
    "sparse": lambda rng: rng.gamma(0.3, size=(40, 30)) * (rng.uniform(size=(40, 30)) < 0.2),
    "wide range": lambda rng: 10 ** rng.uniform(-12, 3, size=(30, 40)),
    "magnitudes": music,
    "powers": lambda rng: music(rng, 2),
}


@EVERY_DIVERGENCE
@pytest.mark.parametrize("num_iterations", (1, 2, 50))
def test_factors_are_scikit_learn_s(rng, divergence, num_iterations):
    spectrogram = rng.gamma(1, size=(30, 41))
    templates, activations = start(rng, spectrogram.shape)
    ours = factorize(
        spectrogram,
        templates=templates,
        activations=activations,
        divergence=divergence,
        num_iterations=num_iterations,
    )
    with pytest.warns(UserWarning, match="Maximum number of iterations"):
        expected_templates, expected_activations, _ = non_negative_factorization(
            spectrogram,
            W=templates.copy(),
            H=activations.copy(),
            n_components=5,
            init="custom",
            solver="mu",
            beta_loss=DIVERGENCES[divergence],
            max_iter=num_iterations,
            tol=1e-30,
        )
    np.testing.assert_allclose(ours.templates, expected_templates, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(ours.activations, expected_activations, rtol=1e-5, atol=1e-9)


@EVERY_DIVERGENCE
@pytest.mark.parametrize("kind", SPECTROGRAMS)
@pytest.mark.parametrize("dtype", (np.float64, np.float32))
@pytest.mark.parametrize("fixed_templates", (False, True))
def test_divergence_never_rises(rng, divergence, kind, dtype, fixed_templates):
    spectrogram = SPECTROGRAMS[kind](rng).astype(dtype)
    templates, activations = (factor.astype(dtype) for factor in start(rng, spectrogram.shape, 6))
    floor = FLOOR * spectrogram.max()
    divergences = []
    for _ in range(120):
        model = (templates @ activations + floor).astype(np.float64)
        divergences.append(by_scipy((spectrogram + floor).astype(np.float64), model, divergence))
        factors = {"templates": templates, "activations": activations, "fixed_templates": fixed_templates}
        result = factorize(spectrogram, **factors, divergence=divergence, num_iterations=1)
        templates, activations = result.templates, result.activations
    assert templates.dtype == activations.dtype == dtype
    assert np.all(np.isfinite(divergences))
    # What rounding of the last place can do to a sum of that size.
    assert np.max(np.diff(divergences)) <= 20 * np.finfo(dtype).eps * divergences[0]
    assert divergences[-1] < (1 if fixed_templates else 0.7) * divergences[0]


@EVERY_DIVERGENCE
def test_factors_that_a_spectrogram_was_made_of_are_found(rng, divergence):
    """Each template has bins and each activation has frames of its own, so the factorization is unique."""
    templates = np.zeros((30, 3))
    for i in range(3):
        templates[10 * i : 10 * i + 10, i] = rng.uniform(0.2, 1, 10)
    activations = rng.uniform(0.2, 3, (3, 50))
    activations[:, :30] *= np.repeat(np.eye(3), 10, axis=1)
    result = factorize(templates @ activations, 3, divergence=divergence, num_iterations=2000, seed=3)
    found = result.templates / result.templates.sum(axis=0)
    order = [int(np.argmax(found[10 * i : 10 * i + 10].sum(axis=0))) for i in range(3)]
    np.testing.assert_allclose(found[:, order], templates / templates.sum(axis=0), rtol=0, atol=2e-3)
    np.testing.assert_allclose(result.templates @ result.activations, templates @ activations, rtol=0, atol=0.02)


@EVERY_DIVERGENCE
def test_fixed_templates_stay_and_frames_do_not_hear_each_other(rng, divergence):
    spectrogram = music(rng)
    templates, _ = start(rng, spectrogram.shape, 4)
    options = {"templates": templates, "fixed_templates": True, "divergence": divergence, "num_iterations": 30}
    whole = factorize(spectrogram, **options)
    np.testing.assert_array_equal(whole.templates, templates)
    loudest = int(np.argmax(spectrogram.max(axis=0)))
    # The floor is that of the loudest entry, so both must have it.
    part = factorize(spectrogram[:, loudest : loudest + 9], **options)
    np.testing.assert_allclose(part.activations, whole.activations[:, loudest : loudest + 9], rtol=1e-9)


def test_given_templates_start_equally_active_and_as_loud_as_the_frame(rng):
    spectrogram, (templates, _) = rng.gamma(1, size=(20, 7)), start(rng, (20, 7), 4)
    activations = factorize(spectrogram, templates=templates, num_iterations=0).activations
    np.testing.assert_allclose((templates @ activations).sum(axis=0), spectrogram.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(activations, np.tile(activations[:1], (4, 1)), rtol=1e-12)


@EVERY_DIVERGENCE
def test_zeros_stay_zero(rng, divergence):
    spectrogram = music(rng)
    templates, activations = start(rng, spectrogram.shape)
    templates[7:20, 1] = 0
    activations[2, 3:9] = 0
    result = factorize(
        spectrogram,
        templates=templates,
        activations=activations,
        divergence=divergence,
        num_iterations=20,
    )
    np.testing.assert_array_equal(result.templates[7:20, 1], 0)
    np.testing.assert_array_equal(result.activations[2, 3:9], 0)
    assert result.templates[7:20, [0, 2, 3, 4]].max() > 0


@EVERY_DIVERGENCE
def test_silence_is_factorized_into_silence(divergence):
    result = factorize(np.zeros((9, 5)), 2, divergence=divergence, num_iterations=50)
    np.testing.assert_allclose(result.templates @ result.activations, 0, atol=1e-6)


def test_seed_decides(rng):
    spectrogram = rng.gamma(1, size=(12, 10))
    first, again, other = (factorize(spectrogram, 3, seed=seed, num_iterations=5) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.templates, again.templates)
    np.testing.assert_array_equal(first.activations, again.activations)
    assert np.max(np.abs(first.templates - other.templates)) > 0.1


def test_no_iteration_gives_the_start(rng):
    spectrogram = rng.gamma(1, size=(12, 10))
    templates, activations = start(rng, spectrogram.shape)
    result = factorize(spectrogram, templates=templates, activations=activations, num_iterations=0)
    np.testing.assert_array_equal(result.templates, templates)
    np.testing.assert_array_equal(result.activations, activations)


GOOD, NEGATIVE, SPOILT = np.ones((4, 5)), -np.ones((4, 5)), np.full((4, 5), np.nan)


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ((NEGATIVE, {"num_components": 2}), "Expected spectrogram without negative and not finite entries. Received"),
        ((SPOILT, {"num_components": 2}), "Expected spectrogram without negative and not finite entries. Received"),
        ((GOOD[0], {"num_components": 2}), r"spectrogram to be a matrix with entries. Received: shape \(5,\)"),
        ((GOOD[:0], {"num_components": 2}), r"matrix with entries. Received: shape \(0, 5\)"),
        ((GOOD, {"templates": -GOOD}), "Expected templates without negative and not finite entries. Received"),
        ((GOOD, {"num_components": 0}), "at least one component. Received: num_components=0"),
        ((GOOD, {}), "either templates.*or a number of components. Received: num_components=None.* no templates"),
        ((GOOD, {"num_components": 5, "templates": GOOD}), "either templates.*Received: num_components=5.*given"),
        ((GOOD, {"num_components": 2, "fixed_templates": True}), "fixed_templates=True and no templates"),
        ((GOOD, {"templates": GOOD[:3]}), r"templates \[num_bins, num_comp.*\(4, 5\), templates \(3, 5\)"),
        ((GOOD, {"num_components": 3, "activations": GOOD}), r"activations\n? \[num_comp.*activations \(4, 5\)"),
        ((GOOD, {"num_components": 2, "divergence": "is"}), "frobenius, kl, itakura_saito. Received: 'is'"),
        ((GOOD, {"num_components": 2, "num_iterations": -1}), "of at least 0. Received: num_iterations=-1"),
    ),
)
def test_arguments_that_cannot_be_used_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        factorize(arguments[0], **arguments[1])
