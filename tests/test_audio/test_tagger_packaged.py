"""The tagger that comes with the package: what its files promise, and that it hears registers."""

import json
from pathlib import Path

import numpy as np
import pytest

from audio.tagger import load_tagger
from audio.tagger.network import InstrumentTagger
from audio.tagger.packaged import WEIGHTS_DIR, save_tagger
from av_sep.instruments import URMP_13
from av_sep.media import read_audio

RATE_HZ = 22050
LOW = ("double_bass", "tuba", "bassoon", "cello", "trombone")
HIGH = ("flute", "violin", "oboe", "trumpet", "clarinet")
DEMO = Path(__file__).parents[2] / "examples" / "demo" / "stems"


@pytest.fixture(scope="module")
def tagger():
    return load_tagger()


def note(hz, num_harmonics, seconds=4.0):
    """A swelling harmonic tone with vibrato and a little noise, `[time, 1]`."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * hz * (time + 0.0004 * np.sin(2 * np.pi * 5.5 * time))
    sound = sum(np.sin(k * phase) / k for k in range(1, num_harmonics + 1))
    noise = np.random.default_rng(1).normal(size=len(time))
    return ((0.1 * sound + 0.001 * noise) * np.minimum(time / 0.1, 1)).astype(np.float32)[:, None]


def test_files_are_small_and_say_where_they_come_from():
    assert sum(path.stat().st_size for path in WEIGHTS_DIR.iterdir()) < 2_000_000
    config = json.loads((WEIGHTS_DIR / "config.json").read_text())
    assert config["temperature"] > 0 and len(config["bias"]) == 13 and config["training"]["steps"] > 0
    assert (WEIGHTS_DIR / "README.md").is_file()


def test_packaged_tagger_knows_the_project_s_instruments(tagger):
    assert tagger.instruments == URMP_13.names


@pytest.mark.parametrize("instrument", ("violin", "cello", "trumpet"))
def test_packaged_tagger_knows_a_soloist(tagger, instrument):
    waveform, rate = read_audio(DEMO / f"{instrument}.flac")
    confidences = dict(zip(tagger.instruments, tagger.tag(waveform, rate).confidences))
    assert confidences.pop(instrument) > 0.9 and max(confidences.values()) < 0.5


def test_packaged_tagger_hears_registers(tagger):
    low, high = (tagger.tag(note(hz, count), RATE_HZ).confidences for hz, count in ((58, 20), (1400, 4)))
    assert URMP_13.names[low.argmax()] in LOW and URMP_13.names[high.argmax()] in HIGH
    difference = dict(zip(URMP_13.names, low - high))
    assert all(difference[name] > 0 for name in ("double_bass", "tuba"))


def test_packaged_tagger_does_not_care_about_level_rate_and_channels(tagger):
    sound = note(220, 10)
    expected = tagger.tag(sound, RATE_HZ).confidences
    assert expected.max() > 0.1
    np.testing.assert_allclose(tagger.tag(np.repeat(0.01 * sound, 2, axis=1), RATE_HZ).confidences, expected, atol=0.01)


def test_packaged_tagger_says_nothing_of_silence(tagger):
    assert not tagger.tag(np.zeros((5 * RATE_HZ, 2), np.float32), RATE_HZ).confidences.any()


def test_saved_tagger_comes_back(tmp_path, rng):
    network = InstrumentTagger(
        ("violin", "flute"), window_samples=4096, frame_length=256, hop_length=128, num_mels=24, filters=(4,),
        dense_units=5,
    )  # fmt: skip
    # What float16 holds exactly comes back exactly.
    network.set_weights([rng.uniform(0.1, 1, w.shape).astype(np.float16) for w in network.get_weights()])
    save_tagger(network, tmp_path / "tiny", 1.5, [0.25, -0.5], training={"steps": 3})
    loaded = load_tagger(tmp_path / "tiny")
    assert loaded.network.options == network.options
    assert loaded.temperature == 1.5 and loaded.bias.tolist() == [0.25, -0.5]
    windows = rng.normal(size=(3, 4096)).astype(np.float32)
    inputs = {"waveform": windows, "candidates": np.array([[1, 1], [1, 0], [0, 1]], np.float32)}
    expected = network.predict_on_batch(inputs)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_array_equal(loaded.network.predict_on_batch(inputs), expected)
