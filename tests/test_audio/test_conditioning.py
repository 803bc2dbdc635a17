"""Every conditioning mechanism against its equation in NumPy."""

import keras
import numpy as np
import pytest

from audio.conditioning import MECHANISMS, Conditioning
from av_sep.errors import ParameterError

CHANNELS, INSTRUMENTS = 4, 3


def example(rng, batch=3, time=5):
    features = rng.normal(size=(batch, time, CHANNELS)).astype(np.float32)
    labels = rng.uniform(size=(batch, INSTRUMENTS)).astype(np.float32)
    labels[0, 1] = 0
    return features, labels


def built(mechanism, rng):
    layer = Conditioning(mechanism)
    layer.build((None, None, CHANNELS), (None, INSTRUMENTS))
    layer.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
    return layer


def expected_output(mechanism, features, labels, weights):
    """The equations of the papers, example by example and step by step."""
    batch, time, _ = features.shape
    outputs = []
    for item in range(batch):
        rows = []
        for step in range(time):
            x, z = features[item, step], labels[item]
            if mechanism == "concat":
                rows.append([*x, *z])
            elif mechanism == "multiplicative":
                rows.append([value * label for value in x for label in z])
            elif mechanism == "additive":
                rows.append(x + z @ weights[0])
            else:
                rows.append((1 + z @ weights[0]) * x + z @ weights[1])
        outputs.append(rows)
    return np.array(outputs)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_mechanism_follows_its_equation(rng, assert_everywhere, mechanism):
    features, labels = example(rng)
    layer = built(mechanism, rng)
    expected = expected_output(mechanism, features, labels, layer.get_weights())
    assert_everywhere(layer, [features, labels], expected, atol=2e-6)


def test_multiplicative_is_the_outer_product(rng):
    features, labels = example(rng)
    expected = np.einsum("btf,bi->btfi", features, labels).reshape(3, 5, -1)
    np.testing.assert_allclose(Conditioning()(features, labels), expected, rtol=0, atol=1e-7)


def test_film_starts_as_the_identity(rng):
    features, labels = example(rng)
    np.testing.assert_array_equal(Conditioning("film")(features, labels), features)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_unknown_length_at_build_time_gives_the_same_numbers(rng, mechanism):
    layer = built(mechanism, rng)
    inputs = [keras.Input((None, CHANNELS)), keras.Input((INSTRUMENTS,))]
    model = keras.Model(inputs, layer(*inputs))
    for time in (4, 7):
        features, labels = example(rng, time=time)
        output = model.predict_on_batch([features, labels])
        assert layer.compute_output_shape(features.shape, labels.shape) == output.shape
        np.testing.assert_allclose(
            output, expected_output(mechanism, features, labels, layer.get_weights()), rtol=0, atol=2e-6
        )
    assert model.output_shape[:2] == (None, None)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_half_precision_features_stay_half_precision(rng, mechanism):
    layer = Conditioning(mechanism, dtype="mixed_bfloat16")
    features, labels = example(rng)
    output = layer(features, labels)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"


def test_unknown_mechanism_is_refused():
    with pytest.raises(ParameterError, match="mechanism to be one of .*'film'.*Received: mechanism='attention'"):
        Conditioning("attention")
