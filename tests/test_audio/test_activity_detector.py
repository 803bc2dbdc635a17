"""The activity detector's layer against NumPy's numbers, and its network."""

import keras
import numpy as np
import pytest

from audio.activity_detector.layers import MomentContext
from audio.activity_detector.network import ActivityDetector
from av_sep.errors import ParameterError

RATE_HZ = 16000
OPTIONS = {"window_samples": 8192, "frame_length": 256, "hop_length": 128, "num_mels": 24, "filters": (4, 6, 6)}


@pytest.fixture
def tiny():
    keras.utils.set_random_seed(3)
    return ActivityDetector(("violin", "flute", "tuba"), dense_units=8, **OPTIONS)


def told(waveforms, candidates=(1, 1, 1)):
    """What the network takes."""
    candidates = np.broadcast_to(np.asarray(candidates, np.float32), (len(waveforms), 3))
    return {"waveform": waveforms, "candidates": candidates}


def test_context_equals_numpy_s(rng, assert_everywhere):
    layer = MomentContext(2)
    moments, known = rng.normal(size=(2, 7, 3)).astype("f"), rng.normal(size=(2, 4)).astype("f")
    layer.build(moments.shape, known.shape)
    layer.set_weights([rng.normal(size=w.shape).astype("f") for w in layer.get_weights()])
    weights = {w.path.removeprefix(layer.name + "/"): np.asarray(w, np.float64) for w in layer.weights}
    centred = moments - moments.mean(axis=2, keepdims=True)
    normed = centred / np.sqrt(np.mean(centred**2, axis=2, keepdims=True) + 1e-3)
    padded = np.pad(normed * weights["norm/gamma"] + weights["norm/beta"], ((0, 0), (2, 2), (0, 0)))
    kernel = weights["convolution/kernel"]
    heard = sum(padded[:, 2 * k : 2 * k + 7] @ kernel[k] for k in range(3)) + weights["convolution/bias"]
    scale, shift = (known @ weights[f"steer/{name}"] for name in ("scale", "shift"))
    heard = np.maximum((1 + scale[:, None]) * heard + shift[:, None], 0)
    of_all = [np.repeat(f(heard, axis=1, keepdims=True), 7, axis=1) for f in (np.max, np.mean)]
    added = np.concatenate([heard, *of_all], axis=2) @ weights["mix/kernel"] + weights["mix/bias"]
    assert_everywhere(layer, [moments, known], moments + added, atol=1e-4)


def test_context_starts_as_the_identity(rng):
    moments = rng.normal(size=(2, 5, 4)).astype("f")
    added = np.asarray(MomentContext()(moments, rng.normal(size=(2, 3)).astype("f"))) - moments
    np.testing.assert_array_equal(added, 0)


def test_network_gives_a_logit_per_moment_and_instrument(tiny, rng):
    # 8,192 samples are 64 hops and a frame more, halved once: three blocks, of which the last two keep the rate.
    waveforms = rng.normal(size=(2, 8192)).astype("f")
    assert tiny.moment_samples == 256
    assert tiny.predict_on_batch(told(waveforms)).shape == (2, 32, 3)


def test_a_moment_is_heard_where_it_is(tiny, rng):
    """A change of the sound changes the evidence of its own moment most, before any context is learnt."""
    tiny.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in tiny.get_weights()])
    for layer in tiny.layers:
        if isinstance(layer, MomentContext):
            layer.mix.set_weights([np.zeros_like(w) for w in layer.mix.get_weights()])
    quiet = (0.1 * rng.normal(size=(1, 8192))).astype("f")
    # The loudest point, to which all is relative, stays where it is.
    quiet[:, :512] *= 30
    burst = quiet.copy()
    burst[:, 20 * 256 : 21 * 256] *= 8
    difference = np.abs(tiny.predict_on_batch(told(burst)) - tiny.predict_on_batch(told(quiet)))[0].max(axis=1)
    assert abs(int(difference.argmax()) - 20) <= 1
    assert difference[:10].max() < 1e-3 * difference.max()


def test_network_survives_a_keras_file(tiny, rng, tmp_path):
    tiny.save(tmp_path / "detector.keras")
    loaded = keras.saving.load_model(tmp_path / "detector.keras")
    assert type(loaded) is ActivityDetector and loaded.options == tiny.options
    waveforms = rng.normal(size=(2, 8192)).astype("f")
    np.testing.assert_array_equal(loaded.predict_on_batch(told(waveforms)), tiny.predict_on_batch(told(waveforms)))


def test_network_refuses_what_its_blocks_cannot_halve():
    with pytest.raises(ParameterError, match="Expected at least 8 STFT frames .* 7 frames of window_samples=6144"):
        ActivityDetector(("violin",), window_samples=6144)


def test_network_learns_when_somebody_plays(tiny, rng):
    """High in one half of the window, low in the other: whoever said the same of all moments would stay at log 2."""
    first_is_high = rng.integers(0, 2, 32)
    time = np.arange(4096) / RATE_HZ
    hz = np.stack([np.where(first_is_high == half, 300, 1500) for half in (0, 1)], axis=1)
    tones = np.sin(2 * np.pi * hz[..., None] * rng.uniform(0.9, 1.1, (32, 2, 1)) * time)
    waveforms = tones.reshape(32, 8192).astype("f")
    is_high = np.repeat(hz == 1500, 16, axis=1)[..., None].astype("f")
    targets = np.concatenate([is_high, 1 - is_high, np.zeros_like(is_high)], axis=2)
    tiny.compile(keras.optimizers.Adam(5e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    losses = [float(tiny.train_on_batch(told(waveforms), targets)) for _ in range(40)]
    assert losses[-1] < 0.2 < losses[0]
