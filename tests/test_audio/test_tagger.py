"""The tagger's pooling and its network; what it hears is tested in `test_listening_mel.py`."""

import keras
import numpy as np
import pytest

from audio.tagger.layers import AttentionPooling
from audio.tagger.network import InstrumentTagger
from av_sep.errors import ParameterError

RATE_HZ = 16000


@pytest.fixture
def tiny():
    keras.utils.set_random_seed(3)
    options = {"window_samples": 4096, "frame_length": 256, "hop_length": 128, "num_mels": 24}
    return InstrumentTagger(("violin", "flute", "tuba"), filters=(4, 6), dense_units=8, **options)


def told(waveforms, candidates=(1, 1, 1)):
    """What the network takes: waveforms and the same candidates for all, or each its own."""
    candidates = np.broadcast_to(np.asarray(candidates, np.float32), (len(waveforms), 3))
    return {"waveform": waveforms, "candidates": candidates}


def test_attention_pooling_equals_numpy_s(rng, assert_everywhere):
    layer = AttentionPooling(3)
    features = rng.normal(size=(2, 7, 5)).astype("f")
    layer.build(features.shape)
    layer.set_weights([rng.normal(size=w.shape).astype("f") for w in layer.get_weights()])
    evidence_kernel, evidence_bias, attention_kernel, attention_bias = layer.get_weights()
    attention = np.exp(features @ attention_kernel + attention_bias)
    weights = attention / attention.sum(axis=1, keepdims=True)
    expected = (weights * (features @ evidence_kernel + evidence_bias)).sum(axis=1)
    assert_everywhere(layer, [features], expected, atol=1e-5)


def test_network_gives_one_logit_per_instrument_at_any_level(tiny, rng):
    waveforms = np.stack([np.sin(0.26 * np.arange(4096)), rng.normal(size=4096)]).astype("f")
    logits = tiny.predict_on_batch(told(waveforms))
    assert logits.shape == (2, 3) and np.abs(logits[0] - logits[1]).max() > 1e-4
    np.testing.assert_allclose(tiny.predict_on_batch(told(0.01 * waveforms)), logits, atol=1e-4)


def test_permuting_the_batch_permutes_the_logits(tiny, rng):
    waveforms = rng.normal(size=(3, 4096)).astype("f")
    order = [2, 0, 1]
    logits = tiny.predict_on_batch(told(waveforms))
    np.testing.assert_allclose(tiny.predict_on_batch(told(waveforms[order])), logits[order], atol=1e-5)


def test_network_survives_a_keras_file(tiny, rng, tmp_path):
    tiny.save(tmp_path / "tagger.keras")
    loaded = keras.saving.load_model(tmp_path / "tagger.keras")
    assert type(loaded) is InstrumentTagger and loaded.options == tiny.options
    waveforms = rng.normal(size=(2, 4096)).astype("f")
    np.testing.assert_array_equal(loaded.predict_on_batch(told(waveforms)), tiny.predict_on_batch(told(waveforms)))


@pytest.mark.parametrize(
    ("options", "message"),
    (
        # STFT frames of 2,048 samples every 1,024: 7 of them hold a sample of 6,144.
        ({"window_samples": 6144}, "Expected at least 8 STFT frames .* 7 frames of window_samples=6144"),
        ({"window_samples": 4096, "num_mels": 15}, "and 16 bands for 4 blocks.*num_mels=15"),
    ),
)
def test_network_refuses_what_its_blocks_cannot_halve(options, message):
    with pytest.raises(ParameterError, match=message):
        InstrumentTagger(("violin",), **options)


def test_network_hears_the_shortest_window_that_its_blocks_can_halve(rng):
    network = InstrumentTagger(("violin", "cello"), window_samples=6145, num_mels=16, filters=(2, 2, 2, 2))
    inputs = {"waveform": rng.normal(size=(1, 6145)).astype("f"), "candidates": np.ones((1, 2), "f")}
    assert np.all(np.isfinite(network.predict_on_batch(inputs)))


def test_network_learns_high_from_low(tiny, rng):
    """A network that ignored its input would stay at log 2."""
    high = rng.integers(0, 2, 64)
    hz = np.where(high, 1500, 300) * rng.uniform(0.9, 1.1, 64)
    waveforms = np.sin(2 * np.pi * hz[:, None] * np.arange(4096) / RATE_HZ).astype("f")
    labels = np.stack([high, 1 - high, np.zeros(64)], axis=1).astype("f")
    tiny.compile(keras.optimizers.Adam(5e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    losses = [float(tiny.train_on_batch(told(waveforms), labels)) for _ in range(25)]
    assert losses[-1] < 0.3 < losses[0]


def test_untrained_network_does_not_care_about_candidates(tiny, rng):
    """Steering starts as the identity: weights from before there were candidates can be gone on with."""
    waveforms = rng.normal(size=(2, 4096)).astype("f")
    everybody, one = (tiny.predict_on_batch(told(waveforms, names)) for names in ((1, 1, 1), (0, 1, 0)))
    np.testing.assert_array_equal(everybody, one)


def test_network_learns_what_only_candidates_tell(tiny, rng):
    """The same tone is a violin for whoever knows that it is no flute, and the other way round."""
    waveforms = np.sin(2 * np.pi * 440 * rng.uniform(0.9, 1.1, (64, 1)) * np.arange(4096) / RATE_HZ).astype("f")
    is_violin = rng.integers(0, 2, 64)
    labels = np.stack([is_violin, 1 - is_violin, np.zeros(64)], axis=1).astype("f")
    tiny.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
    losses = [float(tiny.train_on_batch(told(waveforms, labels), labels)) for _ in range(40)]
    # Without candidates nobody can do better than log 2 for two of the three.
    assert losses[-1] < 0.15 < 2 / 3 * np.log(2) < losses[0] + 0.1


def test_the_picture_is_drawn_in_full_precision(rng):
    waveform = (0.1 * rng.normal(size=(1, 8192))).astype(np.float32)
    options = {"window_samples": 8192, "filters": (4, 4), "dense_units": 4}
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = InstrumentTagger(("violin", "tuba"), **options)
    finally:
        keras.config.set_dtype_policy(before)
    full = InstrumentTagger(("violin", "tuba"), **options)
    spectrograms = [np.asarray(network.get_layer("spectrogram")(waveform)) for network in (half, full)]
    assert spectrograms[0].dtype == np.float32
    np.testing.assert_array_equal(*spectrograms)
