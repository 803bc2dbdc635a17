"""Folded networks against the networks they were made of, with normalisations that do something."""

import keras
import numpy as np
import pytest

from vision.folding import fold_normalisations

RNG = np.random.default_rng(8)


def build_network():
    """Every kind of neighbour that a normalisation can have, with random constants in each."""
    pictures = keras.Input((9, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="plain")(pictures)
    x = keras.layers.BatchNormalization(name="folded", epsilon=0.1)(x)
    x = keras.layers.ReLU(6.0)(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, depth_multiplier=2, name="depthwise")(x)
    x = given = keras.layers.BatchNormalization(name="folded_too")(x)
    x = keras.layers.Conv2D(8, 1, use_bias=False, activation="relu", name="bent")(x)
    x = keras.layers.BatchNormalization(name="kept")(x)
    model = keras.Model(pictures, keras.layers.Add()([x, given]))
    for layer in model.layers:
        layer.set_weights([RNG.uniform(0.5, 2.0, weight.shape) for weight in layer.get_weights()])
    return model


def test_answers_stay_the_same_without_the_layers():
    model = build_network()
    folded = fold_normalisations(model)
    pictures = RNG.normal(size=(5, 9, 8, 3)).astype(np.float32)
    expected = np.asarray(model(pictures))
    np.testing.assert_allclose(np.asarray(folded(pictures)), expected, rtol=1e-4)
    assert np.std(expected) > 1 and np.asarray(folded(pictures[::-1]))[0].flat[0] == pytest.approx(expected[-1].flat[0])
    left = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert left == ["kept"]  # behind an activation nothing can be folded


def test_the_given_model_is_left_alone():
    model = build_network()
    before = [weight.copy() for weight in model.get_weights()]
    fold_normalisations(model)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
