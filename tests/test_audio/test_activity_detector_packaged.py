"""The activity detector that comes with the package: what its files promise, and that it hears rests."""

import json
from pathlib import Path

import numpy as np
import pytest

from audio.activity_detector import load_activity_detector
from audio.activity_detector.network import ActivityDetector
from audio.activity_detector.packaged import WEIGHTS_DIR, save_activity_detector
from av_sep.instruments import URMP_13
from av_sep.media import read_audio

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "stems"
NAMES = ("violin", "cello", "trumpet")


@pytest.fixture(scope="module")
def detector():
    return load_activity_detector()


@pytest.fixture(scope="module")
def players():
    """The demo's three players `[time]`, and their rate."""
    stems, rate = zip(*(read_audio(DEMO / f"{name}.flac") for name in NAMES))
    return np.stack([stem.mean(axis=1) for stem in stems]), rate[0]


def test_files_are_small_and_say_where_they_come_from():
    assert sum(path.stat().st_size for path in WEIGHTS_DIR.iterdir()) < 4_000_000
    config = json.loads((WEIGHTS_DIR / "config.json").read_text())
    assert config["training"]["steps"] > 0
    assert (WEIGHTS_DIR / "README.md").is_file()


def test_packaged_detector_knows_the_project_s_instruments(detector):
    assert detector.instruments == URMP_13.names


@pytest.mark.parametrize("silent", NAMES)
def test_packaged_detector_hears_who_never_plays(detector, players, silent):
    parts, rate = players
    mixture = sum(part for name, part in zip(NAMES, parts) if name != silent)
    activity = detector.track([mixture[:, None]], rate, NAMES)
    medians = dict(zip(activity.instruments, np.median(activity.log_odds, axis=0)))
    assert medians.pop(silent) < -1.5 and min(medians.values()) > 0.5


def test_packaged_detector_hears_who_rests(detector, players):
    """Each of the three rests for 3 s, one after the other."""
    parts, rate = players
    parts = parts.copy()
    for i, part in enumerate(parts):
        part[int((0.5 + 3 * i) * rate) : int((3.5 + 3 * i) * rate)] = 0
    activity = detector.track([parts.sum(axis=0)[:, None]], rate, NAMES)
    times = activity.times_seconds
    for i, name in enumerate(NAMES):
        log_odds = activity.log_odds[:, activity.instruments.index(name)]
        within = (times > 1 + 3 * i) & (times < 3 + 3 * i)
        others = ~((times > 3 * i) & (times < 4 + 3 * i)) & (times < 14)
        assert np.median(log_odds[within]) < np.median(log_odds[others]) - 1, name


def test_packaged_detector_does_not_care_about_level_and_channels(detector, players):
    parts, rate = players
    sound = parts.sum(axis=0)[:, None]
    expected = detector.track([sound], rate, NAMES).log_odds
    twice = detector.track([np.repeat(0.01 * sound, 2, axis=1)], rate, NAMES).log_odds
    np.testing.assert_allclose(twice, expected, atol=0.05)


def test_saved_detector_comes_back(tmp_path, rng):
    sizes = {"window_samples": 8192, "frame_length": 256, "hop_length": 128, "num_mels": 24, "filters": (4, 4, 4)}
    network = ActivityDetector(("violin", "flute"), dense_units=5, **sizes)
    # What float16 holds exactly comes back exactly.
    network.set_weights([rng.uniform(0.1, 1, w.shape).astype(np.float16) for w in network.get_weights()])
    save_activity_detector(network, tmp_path / "tiny", training={"steps": 3})
    loaded = load_activity_detector(tmp_path / "tiny").network
    assert loaded.options == network.options
    inputs = {"waveform": rng.normal(size=(2, 8192)).astype("f"), "candidates": np.array([[1, 1], [0, 1]], "f")}
    expected = network.predict_on_batch(inputs)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(loaded.predict_on_batch(inputs), expected)
