"""Scores of places pooled into scores of a picture, and where a new head starts."""

import keras
import numpy as np
import pytest
from keras import ops

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13
from av_sep.types import Detection
from vision.instrument_classifier import HeadWeights
from vision.label_head import LabelHead, classifier_scores, load_feature_map
from vision.labels import pool_detections


@pytest.fixture
def head():
    head = LabelHead(4, sharpness=3.0)
    head.build((None, 2, 3, 5))
    rng = np.random.default_rng(4)
    head.set_weights([rng.normal(size=shape) for shape in ((5, 4), (4,))])
    return head


def test_scores_are_the_log_mean_exp_of_places(head):
    features = np.random.default_rng(5).normal(size=(6, 2, 3, 5))
    kernel, bias = (weights.astype(np.float64) for weights in head.get_weights())
    scores = np.einsum("bhwf,fi->bhwi", features, kernel) + bias
    expected = np.log(np.exp(3.0 * scores).mean(axis=(1, 2))) / 3.0
    np.testing.assert_allclose(ops.convert_to_numpy(head(features.astype(np.float32))), expected, rtol=1e-4, atol=1e-4)


def test_sharpness_goes_from_the_mean_to_the_highest():
    features = np.random.default_rng(6).normal(size=(2, 3, 3, 5)).astype(np.float32)
    pooled = {}
    for sharpness in (1e-3, 200.0):
        head = LabelHead(5, sharpness)
        head.build((None, 3, 3, 5))
        head.set_weights([np.eye(5), np.zeros(5)])
        pooled[sharpness] = ops.convert_to_numpy(head(features))
    np.testing.assert_allclose(pooled[1e-3], features.mean(axis=(1, 2)), atol=2e-3)
    np.testing.assert_allclose(pooled[200.0], features.max(axis=(1, 2)), atol=0.02)


def test_where_in_the_picture_does_not_matter(head):
    features = np.random.default_rng(7).normal(size=(1, 2, 3, 5)).astype(np.float32)
    moved = features[:, ::-1, ::-1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(head(features)), ops.convert_to_numpy(head(moved.copy())), atol=1e-5
    )


def test_config_is_the_constructor_s_and_a_file_brings_it_back(tmp_path):
    inputs = keras.Input((2, 3, 5))
    model = keras.Model(inputs, LabelHead(num_instruments=4, sharpness=3.5)(inputs))
    model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    assert {"num_instruments": 4, "sharpness": 3.5}.items() <= loaded.layers[-1].get_config().items()
    assert keras.saving.get_registered_name(LabelHead) == "av_sep>LabelHead"
    features = np.random.default_rng(8).normal(size=(2, 2, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict_on_batch(features), model.predict_on_batch(features))


def test_a_new_head_ranks_instruments_as_the_classifier_does():
    weights = HeadWeights.load()
    order = ("tuba", "vocals", "violin")
    kernel, bias = classifier_scores(order)
    assert kernel.shape == (1280, 3) and kernel.dtype == bias.dtype == np.float32
    assert not kernel[:, 1].any() and bias[1] == 0
    features = np.abs(np.random.default_rng(9).normal(size=(50, 1280)))
    scores = features @ weights.kernel + weights.bias
    expected = scores[:, weights.instruments.index("tuba")] - scores[:, weights.instruments.index("violin")]
    received = (features @ kernel + bias)[:, 0] - (features @ kernel + bias)[:, 2]
    np.testing.assert_allclose(received, expected * (received @ expected) / (expected @ expected), atol=1e-3)
    assert received @ expected > 0


def test_feature_maps_have_a_place_for_every_32_pixels_and_average_to_the_features():
    from vision.efficientnet_lite0 import load_efficientnet_lite0

    pictures = np.random.default_rng(10).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    feature_map = load_feature_map(64, 96).predict_on_batch(pictures)
    assert feature_map.shape == (1, 2, 3, 1280)
    features = load_efficientnet_lite0(height=64, width=96).predict_on_batch(pictures)["features"]
    np.testing.assert_allclose(feature_map.mean(axis=(1, 2)), features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arguments", [(0, 1.0), (3, 0.0), (3, float("nan"))])
def test_values_that_cannot_be(arguments):
    with pytest.raises(ParameterError, match="Received: num_instruments="):
        LabelHead(*arguments)


def test_a_detector_that_confuses_nothing_gets_a_stem_for_each():
    confidences = tuple(float(name in ("violin", "viola")) * 0.9 for name in URMP_13.names)
    seen = [Detection(float(t), (0, 0, 9, 9), "violin", 0.9, confidences, whole_frame=True) for t in range(4)]
    assert pool_detections(seen).instruments == ("violin",)
    assert pool_detections(seen, lookalikes=()).instruments == ("violin", "viola")
