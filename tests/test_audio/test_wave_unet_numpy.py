"""The whole Wave-U-Net rewritten in NumPy, float64, and the relation between its valid and zero-padded forms."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from audio.framing import output_length, valid_lengths

LEVELS, FILTERS = 3, 4


def convolve(features, layer):
    kernel, bias = (np.asarray(w, np.float64) for w in layer.get_weights())
    windows = sliding_window_view(features, len(kernel), axis=1)
    return np.einsum("btck,kcf->btf", windows, kernel) + bias


def leaky_relu(features):
    return np.where(features > 0, features, 0.2 * features)


def crop(features, length):
    cut = (features.shape[1] - length) // 2
    return features[:, cut : cut + length]


def upsample(features, layer):
    weight = 0.5
    if layer.get_weights():
        weight = 1 / (1 + np.exp(-layer.get_weights()[0].astype(np.float64)))
    out = np.empty((features.shape[0], 2 * features.shape[1] - 1, features.shape[2]))
    out[:, ::2] = features
    out[:, 1::2] = weight * features[:, :-1] + (1 - weight) * features[:, 1:]
    return out


def numpy_forward(network, mixture, labels=None):
    """Figure 1 of Stoller et al. 2018 with valid convolutions; labels multiply the bottleneck as an outer product."""
    features, skips = mixture.astype(np.float64), []
    for level in range(LEVELS):
        features = leaky_relu(convolve(features, network.get_layer(f"down_{level}")))
        skips.append(features)
        features = features[:, 0::2]
    features = leaky_relu(convolve(features, network.get_layer("bottleneck")))
    if labels is not None:
        features = np.einsum("btf,bi->btfi", features, labels).reshape(*features.shape[:2], -1)
    for level in reversed(range(LEVELS)):
        features = upsample(features, network.get_layer(f"upsample_{level}"))
        features = np.concatenate([crop(skips[level], features.shape[1]), features], axis=-1)
        features = leaky_relu(convolve(features, network.get_layer(f"up_{level}")))
    features = np.concatenate([features, crop(mixture, features.shape[1])], axis=-1)
    return np.tanh(convolve(features, network.get_layer("sources"))).transpose(0, 2, 1)[..., None]


@pytest.fixture
def mixture(rng):
    return rng.normal(size=(2, valid_lengths(50, num_levels=LEVELS).num_input_samples, 1)).astype(np.float32)


@pytest.mark.parametrize("options", ({}, {"upsampling": "learned"}, {"output_kernel_size": 5}), ids=str)
def test_network_equals_its_numpy_rewrite(make_network, mixture, options):
    network = make_network(**options)
    expected = numpy_forward(network, mixture)
    assert np.abs(expected).max(axis=(0, 2, 3)).min() > 0.5
    np.testing.assert_allclose(network({"mixture": mixture}), expected, rtol=0, atol=1e-5)


def test_conditioned_network_equals_its_numpy_rewrite(conditioned_network, mixture):
    labels = np.array([[1, 0, 0.3], [0, 0.6, 0.9]], np.float32)
    expected = numpy_forward(conditioned_network, mixture, labels)
    assert np.abs(expected[0] - numpy_forward(conditioned_network, mixture, labels[::-1])[0]).max() > 0.1
    estimates = conditioned_network({"mixture": mixture, "label_vector": labels})
    np.testing.assert_allclose(estimates, expected, rtol=0, atol=1e-5)


def grid_start(num_levels, kernel_size, at_least):
    """First input sample >= `at_least` from which valid convolutions keep the samples that zero-padded ones keep.

    Every valid convolution moves the first step by half a kernel, 2**level input samples each; the sum must be a
    multiple of the grid, hence start = kernel_size // 2 modulo 2**num_levels.
    """
    grid = 2**num_levels
    return at_least + (kernel_size // 2 - at_least) % grid


@pytest.mark.parametrize("num_levels", (3, 4))
@pytest.mark.parametrize("upsampling", ("linear", "learned"))
def test_zero_padded_twin_agrees_away_from_the_borders(make_network, rng, num_levels, upsampling):
    padded = make_network(context=False, num_levels=num_levels, upsampling=upsampling)
    valid = padded.with_context(True)
    lengths = valid_lengths(60, num_levels=num_levels)
    start = grid_start(num_levels, 15, at_least=40)
    num_samples = -(-(start + lengths.num_input_samples + 40) // 2**num_levels) * 2**num_levels
    mixture = rng.normal(size=(1, num_samples, 1)).astype(np.float32)
    everywhere = np.asarray(padded({"mixture": mixture}))
    assert everywhere.shape[2] == num_samples
    inside = np.asarray(valid({"mixture": mixture[:, start : start + lengths.num_input_samples]}))
    first = start + lengths.context_samples
    np.testing.assert_allclose(inside, everywhere[:, :, first : first + inside.shape[2]], rtol=0, atol=1e-6)
    shifted = everywhere[:, :, first + 1 : first + 1 + inside.shape[2]]
    assert np.abs(inside - shifted).max() > 0.1


def test_network_is_shift_equivariant_on_its_grid_only(make_network, rng):
    network = make_network()
    length = valid_lengths(60, num_levels=LEVELS).num_input_samples
    mixture = rng.normal(size=(1, length + 8, 1)).astype(np.float32)
    here = np.asarray(network({"mixture": mixture[:, :length]}))
    on_grid = np.asarray(network({"mixture": mixture[:, 8:]}))
    np.testing.assert_allclose(on_grid[:, :, :-8], here[:, :, 8:], rtol=0, atol=1e-6)
    off_grid = np.asarray(network({"mixture": mixture[:, 4 : 4 + length]}))
    assert np.abs(off_grid[:, :, :-4] - here[:, :, 4:]).max() > 0.01


def test_unpadded_output_depends_on_nothing_outside_its_context(make_network, rng):
    network = make_network()
    lengths = valid_lengths(50, num_levels=LEVELS)
    mixture = rng.normal(size=(1, lengths.num_input_samples, 1)).astype(np.float32)
    before = np.asarray(network({"mixture": mixture}))
    mixture[0, -1] += 10
    after = np.asarray(network({"mixture": mixture}))
    assert output_length(mixture.shape[1], num_levels=LEVELS) == before.shape[2]
    np.testing.assert_array_equal(after[:, :, 0], before[:, :, 0])
    assert np.abs(after[:, :, -1] - before[:, :, -1]).max() > 0
