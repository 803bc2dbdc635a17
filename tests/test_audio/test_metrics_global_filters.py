"""BSS Eval v4: museval's own numbers, and the rules where museval has none."""

import os
import subprocess
import sys

import numpy as np
import pytest

from audio.metrics import bss_eval_v4
from av_sep.errors import ParameterError
from av_sep.media import ensure_ffmpeg_on_path

RATE = 2000
RATIOS = ("sdr", "isr", "sir", "sar")


@pytest.fixture(scope="module")
def museval_metrics():
    ensure_ffmpeg_on_path()
    import museval.metrics

    return museval.metrics


@pytest.fixture
def museval_scores(museval_metrics):
    """Function that gives museval's `[4, num_sources, num_windows]`, by its own defaults but for the window."""

    def score(references, estimates, window=RATE, hop=RATE):
        return np.stack(museval_metrics.bss_eval(references, estimates, window=window, hop=hop)[:4])

    return score


def leaky(rng, num_sources=2, seconds=3.0, channels=1):
    """References and estimates with everything to measure: leakage, noise, a wrong gain and a filter."""
    references = rng.normal(size=(num_sources, int(seconds * RATE), channels))
    references += 0.9 * np.roll(references, 1, axis=1)
    estimates = 0.7 * references + 0.2 * references.sum(axis=0) + 0.1 * np.roll(references, 3, axis=1)
    return references, estimates + 0.1 * rng.normal(size=references.shape)


def ratios_of(scores):
    return np.stack([getattr(scores, name) for name in RATIOS])


@pytest.mark.parametrize(("num_sources", "channels"), ((2, 1), (3, 1), (2, 2)))
def test_equals_museval(rng, museval_scores, num_sources, channels):
    references, estimates = leaky(rng, num_sources, 2.7, channels)
    scores = bss_eval_v4(references, estimates, RATE)
    expected = museval_scores(references, estimates)
    assert expected.shape == (4, num_sources, 2) and np.all(np.isfinite(expected))
    np.testing.assert_allclose(ratios_of(scores), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scores.start_seconds, [0, 1])


def test_is_what_musevals_front_door_gives(rng, museval_metrics):
    import museval

    references, estimates = leaky(rng)
    expected = museval.evaluate(references, estimates, win=RATE, hop=RATE, mode="v4")
    np.testing.assert_allclose(ratios_of(bss_eval_v4(references, estimates, RATE)), expected, rtol=0, atol=1e-6)
    per_window = museval.evaluate(references, estimates, win=RATE, hop=RATE, mode="v3")
    assert np.max(np.abs(np.array(per_window) - expected)) > 0.1


@pytest.mark.parametrize(
    ("seconds", "window", "hop", "starts"),
    ((2.2, 1.0, 0.5, (0, 0.5, 1)), (1.0, 1.0, 1.0, (0,)), (0.7, 1.0, 1.0, (0,)), (2.0, 0.25, 1.0, (0, 1))),
)
def test_windows_lie_where_musevals_lie(rng, museval_scores, seconds, window, hop, starts):
    references, estimates = leaky(rng, seconds=seconds)
    scores = bss_eval_v4(references, estimates, RATE, window_seconds=window, hop_seconds=hop)
    expected = museval_scores(references, estimates, round(window * RATE), round(hop * RATE))
    np.testing.assert_allclose(ratios_of(scores), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.start_seconds, starts)


def test_silent_reference_is_no_source(rng, museval_scores):
    references, estimates = leaky(rng, 3)
    references[1] = 0
    scores = ratios_of(bss_eval_v4(references, estimates, RATE))
    assert np.all(np.isnan(scores[:, 1]))
    np.testing.assert_array_equal(scores[:, [0, 2]], museval_scores(references[[0, 2]], estimates[[0, 2]]))


@pytest.mark.parametrize("reference_sounds", (True, False))
def test_missed_stem_costs_the_others_nothing(rng, museval_scores, reference_sounds):
    references, estimates = leaky(rng, 3)
    expected = museval_scores(references, estimates)
    missed = estimates * np.array([1, 0, 1])[:, None, None]
    if not reference_sounds:
        references[1] = 0
        expected[:, [0, 2]] = museval_scores(references[[0, 2]], estimates[[0, 2]])
    scores = ratios_of(bss_eval_v4(references, missed, RATE))
    assert np.all(np.isnan(scores[:, 1]))
    np.testing.assert_array_equal(scores[:, [0, 2]], expected[:, [0, 2]])


@pytest.mark.parametrize("which", ("references", "estimates"))
def test_window_with_a_silent_signal_has_no_scores(rng, museval_scores, which):
    references, estimates = leaky(rng)
    paused = {"references": references, "estimates": estimates}[which]
    paused[0, RATE : 2 * RATE] = 0
    scores = ratios_of(bss_eval_v4(references, estimates, RATE))
    assert np.all(np.isnan(scores[..., 1])) and np.all(np.isfinite(scores[..., [0, 2]]))
    np.testing.assert_array_equal(scores, museval_scores(references, estimates))


def test_missed_stem_does_not_hide_the_others_pauses(rng, museval_scores):
    """Where the missed stem's reference pauses, the window is undefined with any estimate."""
    references, estimates = leaky(rng)
    references[1, :RATE] = 0
    estimates[1] = 0
    scores = ratios_of(bss_eval_v4(references, estimates, RATE))
    np.testing.assert_array_equal(np.isnan(scores[:, 0]), [[True, False, False]] * 4)


def test_only_source_has_no_interference(rng, museval_scores):
    references, estimates = leaky(rng)
    references[1] = 0
    scores = ratios_of(bss_eval_v4(references, estimates, RATE))
    expected = museval_scores(references[:1], estimates[:1])
    np.testing.assert_array_equal(scores[[0, 1, 3], :1], expected[[0, 1, 3]])
    assert np.all(np.isnan(scores[2])) and np.all(expected[2] > 200)


@pytest.mark.parametrize("silent", ("references", "estimates", "both"))
def test_silence_alone_has_no_scores(silent):
    sound, silence = np.ones((2, 2 * RATE, 1)), np.zeros((2, 2 * RATE, 1))
    references = sound if silent == "estimates" else silence
    estimates = sound if silent == "references" else silence
    scores = bss_eval_v4(references, estimates, RATE)
    assert ratios_of(scores).shape == (4, 2, 2) and np.all(np.isnan(ratios_of(scores)))
    np.testing.assert_array_equal(scores.median_over_segments()["sdr"], [np.nan, np.nan])


def test_reference_against_itself_is_perfect(rng):
    references, _ = leaky(rng)
    assert np.min(ratios_of(bss_eval_v4(references, references, RATE))) > 100


def test_gain_common_to_everything_changes_nothing(rng):
    references, estimates = leaky(rng)
    expected = ratios_of(bss_eval_v4(references, estimates, RATE))
    for gain in (0.003, -40):
        scores = ratios_of(bss_eval_v4(gain * references, gain * estimates, RATE))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_wrong_gain_is_a_distortion_of_the_image_alone(rng):
    references, _ = leaky(rng)
    sdr, isr, sir, sar = ratios_of(bss_eval_v4(references, 0.5 * references, RATE))
    np.testing.assert_allclose([sdr, isr], 20 * np.log10(2), rtol=0, atol=1e-6)
    assert min(np.min(sir), np.min(sar)) > 100


def test_delay_within_the_filter_spares_the_artifacts_and_a_longer_one_does_not(rng):
    references = rng.normal(size=(2, 3 * RATE, 1))

    def delayed(num_samples):
        return bss_eval_v4(references, np.roll(references, num_samples, axis=1), RATE, window_seconds=3)

    assert np.all(delayed(0).sdr > 100)
    assert np.all(delayed(100).sdr < -2) and np.all(delayed(100).sar > 10)
    assert np.all(delayed(600).sdr < -2) and np.all(delayed(600).sar < -3)


def test_references_that_are_one_are_refused():
    if np.lib.NumpyVersion(np.__version__) < "2.4.0":
        pytest.skip("museval can still fall back on least squares")
    click = np.zeros((2, 1200, 1))
    click[:, 0] = 2
    with pytest.raises(ParameterError, match="filtered copy of others.*leave one out. Received: 2 references"):
        bss_eval_v4(click, click, RATE)


def test_museval_is_asked_once(rng, museval_metrics, monkeypatch):
    calls = []
    original = museval_metrics.bss_eval
    monkeypatch.setattr(museval_metrics, "bss_eval", lambda *a, **k: calls.append(len(a[0])) or original(*a, **k))
    references, estimates = leaky(rng, 3)
    references[0], estimates[1] = 0, 0
    bss_eval_v4(references, estimates, RATE)
    assert calls == [2]


def test_needs_no_ffmpeg_on_the_path_and_no_museval_until_called(tmp_path):
    program = """
import shutil, sys
import numpy as np
from audio.metrics import bss_eval_v4
assert not {"museval", "musdb", "stempeg"} & set(sys.modules)
assert shutil.which("ffmpeg") is None and shutil.which("ffprobe") is None
references = np.random.default_rng(0).normal(size=(2, 2000, 1))
print(bss_eval_v4(references, 0.5 * references, 1000).sdr.round(3).tolist())
"""
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[6.021, 6.021], [6.021, 6.021]]"
