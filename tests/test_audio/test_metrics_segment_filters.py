"""BSS Eval v3 per segment: mir_eval's numbers, a projection spelt out, and the rules for who takes part."""

import time
import warnings

import numpy as np
import pytest
from scipy.linalg import convolution_matrix
from threadpoolctl import threadpool_limits

from audio.metrics import bss_eval_v3_segment
from audio.resampling import resample

RATE = 22050
SEGMENT = 16384


def leaky(rng, num_sources=2, num_samples=SEGMENT):
    """References `[num_sources, time, 1]` and estimates with leakage, noise, a wrong gain and a filter."""
    references = rng.normal(size=(num_sources, num_samples, 1))
    references += 0.9 * np.roll(references, 1, axis=1)
    estimates = 0.7 * references + 0.2 * references.sum(axis=0) + 0.1 * np.roll(references, 3, axis=1)
    return references, estimates + 0.1 * rng.normal(size=references.shape)


def ratios_of(scores):
    assert scores.isr is None
    return np.stack([scores.sdr, scores.sir, scores.sar])


def mir_eval_scores(references, estimates):
    """SDR, SIR and SAR `[3, num_sources]` of the whole signals."""
    with warnings.catch_warnings():
        # From 0.8 on every function of the module announces its removal in 0.9.
        warnings.filterwarnings("ignore", "mir_eval.separation", FutureWarning)
        from mir_eval.separation import bss_eval_sources

        return np.stack(bss_eval_sources(references[..., 0], estimates[..., 0], compute_permutation=False)[:3])


def projection_scores(references, estimates, num_taps):
    """The same by orthogonal bases of the delayed references themselves, which squares no condition number."""

    def projected(sources, signal):
        basis, sizes, _ = np.linalg.svd(
            np.hstack([convolution_matrix(source / np.linalg.norm(source), num_taps) for source in sources]),
            full_matrices=False,
        )
        basis = basis[:, sizes > 1e-14 * sizes[0]]
        return basis @ (basis.T @ signal)

    references = references[..., 0]
    scores = []
    for i, estimate in enumerate(np.pad(estimates[..., 0], ((0, 0), (0, num_taps - 1)))):
        own, everything = projected(references[i : i + 1], estimate), projected(references, estimate)
        pairs = [(own, estimate - own), (everything, estimate - everything)]
        if len(references) > 1:
            pairs.insert(1, (own, everything - own))
        scores.append([10 * np.log10(np.sum(signal**2) / np.sum(error**2)) for signal, error in pairs])
    return np.transpose(scores)


@pytest.mark.parametrize("num_sources", (1, 2, 3, 4))
def test_equals_mir_eval(rng, num_sources):
    references, estimates = leaky(rng, num_sources)
    scores = ratios_of(bss_eval_v3_segment(references, estimates, RATE))
    expected = mir_eval_scores(references, estimates)
    if num_sources == 1:
        # mir_eval divides rounding errors by each other.
        assert np.isnan(scores[1]) and expected[1] > 200
        expected[1] = np.nan
    np.testing.assert_allclose(scores, expected[..., None], rtol=0, atol=1e-6)


def test_equals_mir_eval_on_each_segment_by_itself(rng):
    references, estimates = leaky(rng, 2, 2 * SEGMENT + 5000)
    estimates[0, SEGMENT:] += 2 * references[1, SEGMENT:]
    scores = bss_eval_v3_segment(references, estimates, RATE)
    np.testing.assert_allclose(scores.start_seconds, [0, SEGMENT / RATE])
    for i in range(2):
        segment = slice(i * SEGMENT, (i + 1) * SEGMENT)
        expected = mir_eval_scores(references[:, segment], estimates[:, segment])
        np.testing.assert_allclose(ratios_of(scores)[..., i], expected, rtol=0, atol=1e-6)
    assert scores.sdr[0, 0] - scores.sdr[0, 1] > 10


def test_golden_scores():
    """Made by mir_eval 0.8.2, because 0.9 will not have them: chirps, so that no random generator need be kept."""
    time_axis = np.arange(8192) / 8192
    references = np.stack([np.sin(9000 * time_axis**2), np.sign(np.sin(700 * time_axis)), np.cos(5e4 * time_axis**3)])
    noise = np.sin(3e5 * time_axis**5)
    estimates = references + 0.3 * np.roll(references, 1, axis=0) + 0.2 * noise
    scores = bss_eval_v3_segment(references[..., None], estimates[..., None], 8192, segment_seconds=1)
    expected = (
        (9.555190695, 12.277950382, 6.931149846),
        (10.901967916, 13.518044097, 7.61550575),
        (15.635322902, 18.515565581, 15.987433526),
    )
    np.testing.assert_allclose(ratios_of(scores)[..., 0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_sources", (1, 2, 3))
@pytest.mark.parametrize("num_taps", (1, 2, 37))
def test_equals_projection_on_delayed_references(rng, num_sources, num_taps):
    references, estimates = leaky(rng, num_sources, 501)
    scores = ratios_of(bss_eval_v3_segment(references, estimates, 501, segment_seconds=1, filter_taps=num_taps))
    expected = projection_scores(references, estimates, num_taps)
    if num_sources == 1:
        expected = np.insert(expected, 1, np.nan, axis=0)
    np.testing.assert_allclose(scores[..., 0], expected, rtol=0, atol=1e-8)


def faded_resampled(rng, num_samples, dtype):
    """Noise below 0.36 of the highest frequency that fades in and out, so that the rest of the band is truly empty."""
    burst = rng.normal(size=(num_samples // 3, 2)) * np.hanning(num_samples // 3)[:, None]
    sound = resample(np.pad(burst, ((40, 40), (0, 0))), 8000, RATE).astype(dtype)
    return np.pad(sound, ((0, num_samples - len(sound)), (0, 0))).T[..., None].astype(np.float64)


def test_references_that_leave_a_band_empty(rng):
    """The matrix has no Cholesky factorization, but the projection exists: to a hundredth of a dB."""
    references = faded_resampled(rng, 3000, np.float32)
    leakage = references + 0.3 * references[::-1] + 0.1 * faded_resampled(rng, 3000, np.float64)
    scores = ratios_of(bss_eval_v3_segment(references, leakage, 3000, segment_seconds=1, filter_taps=128))[..., 0]
    np.testing.assert_allclose(scores, projection_scores(references, leakage, 128), rtol=0, atol=0.02)


def test_references_that_are_pure_fading_tones():
    """Some 40 independent columns among 1024; the leakage is known."""
    seconds = np.arange(SEGMENT)[:, None] / RATE
    fade = np.hanning(SEGMENT)[:, None]
    references = np.stack([fade * np.sin(2 * np.pi * 440 * seconds), fade * np.sin(2 * np.pi * 660 * seconds + 1)])
    estimates = references + 0.1 * references[::-1]
    np.testing.assert_allclose(bss_eval_v3_segment(references, estimates, RATE).sdr, 20, rtol=0, atol=1e-3)


def test_references_that_are_one(rng):
    """Then nothing interferes that is not the source itself, and the scores are those of each alone."""
    references, estimates = leaky(rng, 2, 2000)
    references[1] = references[0]
    options = {"segment_seconds": 1, "filter_taps": 64}
    both = bss_eval_v3_segment(references, estimates, 2000, **options)
    for i in range(2):
        alone = bss_eval_v3_segment(references[i : i + 1], estimates[i : i + 1], 2000, **options)
        np.testing.assert_allclose([both.sdr[i], both.sar[i]], [alone.sdr[0], alone.sar[0]], rtol=0, atol=1e-6)
    assert np.all(both.sir > 100)


@pytest.mark.parametrize(("level_db", "sounds"), ((-59, True), (-61, False), (-np.inf, False)))
def test_source_that_pauses_takes_no_part(rng, level_db, sounds):
    """Relative to its own loudest segment, whatever the levels of the others."""
    references, estimates = leaky(rng, 3, 3 * 2000)
    references *= np.array([1, 1e-4, 1e3])[:, None, None]
    references[1] *= np.sqrt(6000 / np.sum(references[1] ** 2))
    for i in range(3):
        segment = references[1, i * 2000 : (i + 1) * 2000]
        segment /= np.linalg.norm(segment)
    references[1, 2000:4000] *= 10 ** (level_db / 20)
    options = {"segment_seconds": 1, "filter_taps": 64}
    scores = ratios_of(bss_eval_v3_segment(references, estimates, 2000, **options))
    np.testing.assert_array_equal(np.isfinite(scores[:, 1]), [[True, sounds, True]] * 3)
    assert np.all(np.isfinite(scores[:, [0, 2]]))
    without = ratios_of(bss_eval_v3_segment(references[[0, 2]], estimates[[0, 2]], 2000, **options))
    agrees = np.all(np.abs(scores[:, [0, 2]] - without) < 1e-9, axis=(0, 1))
    np.testing.assert_array_equal(agrees, [False, not sounds, False])


def test_missed_stem_costs_the_others_nothing(rng):
    references, estimates = leaky(rng, 3, 2000)
    options = {"segment_seconds": 1, "filter_taps": 64}
    expected = ratios_of(bss_eval_v3_segment(references, estimates, 2000, **options))
    estimates[1] = 0
    scores = ratios_of(bss_eval_v3_segment(references, estimates, 2000, **options))
    assert np.all(np.isnan(scores[:, 1])) and np.all(np.isfinite(expected))
    np.testing.assert_allclose(scores[:, [0, 2]], expected[:, [0, 2]], rtol=0, atol=1e-9)


@pytest.mark.parametrize("silent", ("references", "estimates", "both"))
def test_silence_alone_has_no_scores(rng, silent):
    sound, silence = rng.normal(size=(2, 4000, 1)), np.zeros((2, 4000, 1))
    references = sound if silent == "estimates" else silence
    estimates = sound if silent == "references" else silence
    scores = bss_eval_v3_segment(references, estimates, 2000, segment_seconds=1, filter_taps=64)
    assert ratios_of(scores).shape == (3, 2, 2) and np.all(np.isnan(ratios_of(scores)))


def test_reference_against_itself_is_perfect(rng):
    references, _ = leaky(rng, 3)
    assert np.min(ratios_of(bss_eval_v3_segment(references, references, RATE))) > 100


@pytest.mark.parametrize("gain", (1e-200, -0.01, 1e200))
def test_gain_of_any_signal_changes_nothing(rng, gain):
    references, estimates = leaky(rng, 2, 4000)
    options = {"segment_seconds": 1, "filter_taps": 64}
    expected = ratios_of(bss_eval_v3_segment(references, estimates, 2000, **options))
    one = np.array([1, gain])[:, None, None]
    for of_references, of_estimates in ((gain, gain), (one, 1), (1, one)):
        scores = bss_eval_v3_segment(of_references * references, of_estimates * estimates, 2000, **options)
        np.testing.assert_allclose(ratios_of(scores), expected, rtol=0, atol=1e-6)


def test_delay_within_the_filter_is_forgiven_and_a_longer_one_is_not(rng):
    references = rng.normal(size=(2, SEGMENT, 1))
    within = bss_eval_v3_segment(references, np.roll(references, 100, axis=1), RATE)
    beyond = bss_eval_v3_segment(references, np.roll(references, 600, axis=1), RATE)
    assert np.all(within.sdr > 15) and np.all(beyond.sdr < -10)


def test_channels_are_averaged(rng):
    references, estimates = (np.repeat(sound, 2, axis=2) for sound in leaky(rng, 2, 2000))
    sway = rng.normal(size=(2, 2000, 1)) * np.array([1, -1])
    options = {"segment_seconds": 1, "filter_taps": 64}
    expected = ratios_of(bss_eval_v3_segment(references[..., :1], estimates[..., :1], 2000, **options))
    scores = ratios_of(bss_eval_v3_segment(references + sway, estimates - 3 * sway, 2000, **options))
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-8)


def test_signal_shorter_than_a_segment_has_no_segment(rng):
    references, estimates = leaky(rng, 2, SEGMENT - 1)
    scores = bss_eval_v3_segment(references, estimates, RATE)
    assert ratios_of(scores).shape == (3, 2, 0) and scores.start_seconds.shape == (0,)
    assert np.all(np.isnan(scores.median_over_segments()["sdr"]))


def test_costs_less_than_half_of_mir_eval(rng):
    """It is some ten times faster; on one thread, because threads that wait for a core cost time, too."""
    references, estimates = leaky(rng, 3)

    def seconds(score):
        started = time.process_time()
        score()
        return time.process_time() - started

    with threadpool_limits(1):
        theirs = seconds(lambda: mir_eval_scores(references, estimates))
        ours = min(seconds(lambda: bss_eval_v3_segment(references, estimates, RATE)) for _ in range(3))
    assert ours < 0.5 * theirs
