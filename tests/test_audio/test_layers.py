"""Resampling and cropping layers against NumPy; eager, traced and compiled by XLA."""

import keras
import numpy as np
import pytest
from scipy.interpolate import interp1d

from audio.layers import AppendDifference, CenterCropLike, Decimate, StackSources, Upsample
from av_sep.errors import ParameterError

LENGTHS = (1, 2, 9, 10)


def features(rng, time, channels=3, batch=2):
    return rng.normal(size=(batch, time, channels)).astype(np.float32)


def run_with_unknown_length(layer, *arrays):
    """Builds the layer symbolically with time `None`, then runs it on the arrays."""
    inputs = [keras.Input((*(None if axis == 0 else n for axis, n in enumerate(a.shape[1:])),)) for a in arrays]
    model = keras.Model(inputs, layer(*inputs))
    return model.output_shape, model.predict_on_batch(list(arrays))


@pytest.mark.parametrize("time", LENGTHS)
def test_decimate_keeps_the_even_steps(rng, assert_everywhere, time):
    given = features(rng, time)
    assert_everywhere(Decimate(), [given], given[:, np.arange(0, time, 2)], atol=0)


@pytest.mark.parametrize("time", (2, 3, 10))
@pytest.mark.parametrize("context", (True, False))
def test_linear_upsampling_is_linear_interpolation(rng, assert_everywhere, time, context):
    given = features(rng, time)
    # Without context the last step is held, which is interpolation towards a copy of it.
    held = given if context else np.concatenate([given, given[:, -1:]], axis=1)
    grid = np.arange(2 * time - 1 if context else 2 * time) / 2
    expected = interp1d(np.arange(held.shape[1]), held, axis=1)(grid)
    assert_everywhere(Upsample("linear", context=context), [given], expected)


@pytest.mark.parametrize("context", (True, False))
def test_learned_upsampling_weighs_left_and_right_per_channel(rng, assert_everywhere, context):
    given = features(rng, 6)
    layer = Upsample("learned", context=context)
    layer.build(given.shape)
    logits = np.array([-2.0, 0.5, 3.0], np.float32)
    layer.set_weights([logits])
    weight = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = np.zeros((2, 12, 3))
    for step in range(6):
        right = min(step + 1, 5)
        expected[:, 2 * step] = given[:, step]
        expected[:, 2 * step + 1] = weight * given[:, step] + (1 - weight) * given[:, right]
    assert_everywhere(layer, [given], expected[:, :11] if context else expected)


def test_learned_upsampling_starts_as_linear(rng):
    given = features(rng, 7)
    np.testing.assert_allclose(Upsample("learned")(given), Upsample("linear")(given), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("time", "target"), ((9, 9), (9, 7), (10, 2), (9, 1)))
def test_crop_takes_the_middle(rng, assert_everywhere, time, target):
    given, reference = features(rng, time), features(rng, target, channels=5)
    cut = (time - target) // 2
    expected = np.stack([given[:, cut + step] for step in range(target)], axis=1)
    assert_everywhere(CenterCropLike(), [given, reference], expected, atol=0)


def test_stacked_sources_keep_time_and_channels_apart(rng, assert_everywhere):
    given = features(rng, 5, channels=6)
    expected = np.zeros((2, 3, 5, 2), np.float32)
    for source in range(3):
        for channel in range(2):
            expected[:, source, :, channel] = given[:, :, 2 * source + channel]
    assert_everywhere(StackSources(3), [given], expected, atol=0)


def test_appended_difference_is_what_the_others_leave(rng, assert_everywhere):
    estimates = rng.normal(size=(2, 3, 5, 2)).astype(np.float32)
    mixture = features(rng, 5, channels=2)
    rest = mixture - estimates[:, 0] - estimates[:, 1] - estimates[:, 2]
    expected = np.concatenate([estimates, rest[:, None]], axis=1)
    assert_everywhere(AppendDifference(), [estimates, mixture], expected)


@pytest.mark.parametrize("layer", (Decimate(), Upsample(), Upsample("learned", context=False)), ids=lambda x: x.name)
@pytest.mark.parametrize("time", (6, 11))
def test_unknown_length_at_build_time_gives_the_same_numbers(rng, layer, time):
    given = features(rng, time)
    shape, output = run_with_unknown_length(layer, given)
    assert shape == (None, None, 3)
    assert layer.compute_output_shape(given.shape) == output.shape
    np.testing.assert_allclose(output, layer(given), rtol=0, atol=1e-7)


def test_crop_and_difference_accept_unknown_lengths(rng):
    given, reference = features(rng, 11), features(rng, 5, channels=2)
    shape, output = run_with_unknown_length(CenterCropLike(), given, reference)
    assert shape == (None, None, 3)
    np.testing.assert_array_equal(output, given[:, 3:8])
    assert CenterCropLike().compute_output_shape(given.shape, reference.shape) == (2, 5, 3)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    ((StackSources(3), [(2, 5, 6)]), (AppendDifference(), [(2, 3, 5, 2), (2, 5, 2)])),
    ids=("stack", "difference"),
)
def test_declared_output_shapes_are_the_real_ones(layer, shapes):
    output = layer(*(np.ones(shape, np.float32) for shape in shapes))
    assert layer.compute_output_shape(*shapes) == tuple(output.shape)


def test_unknown_upsampling_is_refused():
    with pytest.raises(ParameterError, match=r"method to be one of \('linear', 'learned'\)\. Received: method='cubic'"):
        Upsample("cubic")
