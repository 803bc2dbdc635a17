"""Scores: worked by hand, against museval, and by what each one must not notice."""

import math

import numpy as np
import pytest

from audio.metrics import level_below_mixture_db, sdr, sdr_improvement, si_sdr, si_sdr_improvement
from av_sep.errors import ParameterError
from av_sep.media import ensure_ffmpeg_on_path

EVERY_METRIC = pytest.mark.parametrize("metric", (sdr, si_sdr, level_below_mixture_db))
BOTH_RATIOS = pytest.mark.parametrize("metric", (sdr, si_sdr))
BOTH_IMPROVEMENTS = pytest.mark.parametrize(
    ("improvement", "metric"), ((sdr_improvement, sdr), (si_sdr_improvement, si_sdr))
)


def column(*samples):
    return np.array(samples, np.float32)[:, None]


def noisy_pair(rng, channels=1):
    reference = rng.normal(size=(4000, channels))
    return reference, 0.7 * reference + 0.2 * rng.normal(size=reference.shape)


@pytest.mark.parametrize(
    ("estimate", "expected_sdr", "expected_si_sdr"),
    (
        # |s|^2 = 25 throughout; the error of the first is (0, 1), the part of it along s has energy 0.64.
        (column(3, 5), 10 * math.log10(25 / 1), 10 * math.log10((29 / 25) ** 2 * 25 / (34 - 29**2 / 25))),
        (column(1.5, 2), 10 * math.log10(25 / 6.25), math.inf),
        (column(-3, -4), 10 * math.log10(25 / 100), math.inf),
        (column(4, -3), 10 * math.log10(25 / 50), -math.inf),
        (column(0, 0), 0.0, -math.inf),
        (column(3, 4), math.inf, math.inf),
    ),
)
def test_scores_worked_by_hand(estimate, expected_sdr, expected_si_sdr):
    assert sdr(column(3, 4), estimate) == pytest.approx(expected_sdr)
    assert si_sdr(column(3, 4), estimate) == pytest.approx(expected_si_sdr)


def test_level_below_the_mixture_worked_by_hand():
    assert level_below_mixture_db(column(3, 4), column(0.3, -0.4)) == pytest.approx(20)
    assert level_below_mixture_db(column(3, 4), column(6, 8)) == pytest.approx(20 * math.log10(1 / 2))
    assert level_below_mixture_db(column(3, 4), column(0, 0)) == math.inf


@pytest.mark.parametrize("channels", (1, 2))
def test_sdr_is_bss_eval_without_a_filter(rng, channels):
    """BSS Eval's image SDR with one tap is the plain ratio over all channels (museval, window over everything)."""
    reference, estimate = noisy_pair(rng, channels)
    expected = museval_sdr(reference, estimate, sources_version=False)
    assert sdr(reference, estimate) == pytest.approx(expected, abs=1e-6)


def test_si_sdr_is_bss_eval_with_a_filter_of_one_tap(rng):
    """BSS Eval's source SDR with one tap allows the reference one gain: Le Roux et al. 2019, section 3."""
    reference, estimate = noisy_pair(rng)
    expected = museval_sdr(reference, estimate, sources_version=True)
    assert si_sdr(reference, estimate) == pytest.approx(expected, abs=1e-6)


def museval_sdr(reference, estimate, sources_version):
    ensure_ffmpeg_on_path()
    from museval.metrics import bss_eval

    scores = bss_eval(
        reference[None],
        estimate[None],
        window=len(reference),
        hop=len(reference),
        compute_permutation=False,
        filters_len=1,
        framewise_filters=False,
        bsseval_sources_version=sources_version,
    )
    return float(scores[0][0, 0])


@pytest.mark.parametrize("gain", (0.01, 3.0, -1.0))
def test_gain_changes_sdr_but_not_si_sdr(rng, gain):
    reference, estimate = noisy_pair(rng)
    assert si_sdr(reference, gain * estimate) == pytest.approx(si_sdr(reference, estimate), abs=1e-9)
    assert abs(sdr(reference, gain * estimate) - sdr(reference, estimate)) > 1


@BOTH_RATIOS
def test_shifted_estimate_scores_worse(rng, metric):
    reference, estimate = noisy_pair(rng)
    assert metric(reference, np.roll(estimate, 1, axis=0)) < metric(reference, estimate) - 10


def test_sdr_tells_reference_from_estimate():
    reference, estimate = column(1, 0, 0), column(1, 2, 0)
    assert sdr(reference, estimate) == pytest.approx(10 * math.log10(1 / 4))
    assert sdr(estimate, reference) == pytest.approx(10 * math.log10(5 / 4))


@EVERY_METRIC
def test_silent_reference_is_refused(metric):
    with pytest.raises(ParameterError, match="silent reference makes the ratio undefined.*all samples 0"):
        metric(np.zeros((4, 1)), np.ones((4, 1)))


@EVERY_METRIC
@pytest.mark.parametrize("shapes", (((4, 1), (5, 1)), ((4, 2), (4, 1)), ((4,), (4,)), ((1, 4, 1), (1, 4, 1))), ids=str)
def test_shapes_that_do_not_fit_are_refused(metric, shapes):
    with pytest.raises(ParameterError, match=r"two \[time, channels\] arrays of one shape. Received: \(.*\) and \("):
        metric(np.ones(shapes[0]), np.ones(shapes[1]))


@EVERY_METRIC
@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_samples_that_are_no_numbers_are_refused(metric, value):
    with pytest.raises(ParameterError, match="finite samples. Received: NaN or infinity"):
        metric(np.ones((3, 1)), column(1, value, 0))
    with pytest.raises(ParameterError, match="finite samples"):
        metric(column(1, value, 0), np.ones((3, 1)))


def test_improvement_worked_by_hand():
    reference, mixture = column(3, 4), column(3, 14)
    # Errors (0, 1) and (0, 10); along (3, 4) they lie with 0.8 of their length, across it with 0.6.
    assert sdr_improvement(reference, column(3, 5), mixture) == pytest.approx(20)
    expected = 20 * math.log10((5.8 / 0.6) / (13 / 6))
    assert si_sdr_improvement(reference, column(3, 5), mixture) == pytest.approx(expected)


@BOTH_IMPROVEMENTS
def test_mixture_improves_on_itself_by_nothing(rng, improvement, metric):
    reference, mixture = noisy_pair(rng)
    assert improvement(reference, mixture, mixture) == 0
    assert improvement(reference, reference, reference) == 0
    better = 0.5 * (reference + mixture)
    assert improvement(reference, better, mixture) == metric(reference, better) - metric(reference, mixture) > 3


@BOTH_IMPROVEMENTS
def test_a_mixture_that_was_the_reference_can_only_be_spoilt(improvement, metric):
    reference = column(3, 4)
    assert improvement(reference, column(3, 5), reference) == -math.inf


def test_improvement_of_silence():
    """Silence is an error of 0 dB, which beats a mixture of -10 dB, but nothing of it is the reference."""
    reference, mixture, silence = column(3, 4), column(3 + 30, 4 + 40), column(0, 0)
    assert sdr_improvement(reference, silence, mixture) == pytest.approx(20)
    assert si_sdr_improvement(reference, silence, column(3, 5)) == -math.inf


@BOTH_IMPROVEMENTS
def test_improvement_refuses_what_its_metric_refuses(improvement, metric):
    sound, silence = np.ones((4, 1)), np.zeros((4, 1))
    with pytest.raises(ParameterError, match="silent reference makes the ratio undefined"):
        improvement(silence, sound, sound)
    for estimate, mixture in ((np.ones((5, 1)), sound), (sound, np.ones((5, 1)))):
        with pytest.raises(ParameterError, match=r"arrays of one shape. Received: \(4, 1\) and \(5, 1\)"):
            improvement(sound, estimate, mixture)
    for estimate, mixture in ((np.nan * sound, sound), (sound, np.nan * sound)):
        with pytest.raises(ParameterError, match="finite samples. Received: NaN or infinity"):
            improvement(sound, estimate, mixture)


@pytest.mark.parametrize("factor", (1e-170, 1e150))
def test_scores_do_not_depend_on_the_unit(rng, factor):
    reference = rng.normal(size=(500, 1))
    estimate = reference + 0.1 * rng.normal(size=(500, 1))
    for metric in (sdr, si_sdr):
        assert metric(factor * reference, factor * estimate) == pytest.approx(metric(reference, estimate), abs=1e-9)
