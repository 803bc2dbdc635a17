"""The spectrogram U-Net rewritten in NumPy, float64, from spectrogram to logits."""

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

LABELS = np.array([[1, 0, 0.3], [0, 0.6, 0.9]], np.float32)


def kernel_of(layer):
    return np.asarray(layer.get_weights()[0], np.float64)


def convolve(features, layer):
    """"Same" convolution: at even lengths and stride 2 one step more is padded behind than before."""
    kernel, strides = kernel_of(layer), layer.strides
    padding = [((k - s) // 2, k - s - (k - s) // 2) for k, s in zip(kernel.shape, strides)]
    padded = np.pad(features, [(0, 0), *padding, (0, 0)])
    windows = sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))[:, :: strides[0], :: strides[1]]
    return np.einsum("btfchw,hwcn->btfn", windows, kernel)


def convolve_transposed(features, layer):
    """Every step spreads a kernel; the kernel's axes are (frames, bins, out, in)."""
    kernel, strides = kernel_of(layer), layer.strides
    size, (batch, frames, bins, _) = kernel.shape[0], features.shape
    whole = np.zeros((batch, frames * strides[0] + size, bins * strides[1] + size, kernel.shape[2]))
    for t in range(frames):
        for f in range(bins):
            spread = np.einsum("bc,hwnc->bhwn", features[:, t, f], kernel)
            start = (t * strides[0], f * strides[1])
            whole[:, start[0] : start[0] + size, start[1] : start[1] + size] += spread
    before = [(size - s) // 2 for s in strides]
    return whole[:, before[0] : before[0] + frames * strides[0], before[1] : before[1] + bins * strides[1]]


def normalize(features, layer):
    gamma, beta = layer.get_weights()[:2]
    if isinstance(layer, keras.layers.BatchNormalization):
        mean, variance = layer.get_weights()[2:]
        return (features - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta
    mean = features.mean(axis=(2, 3), keepdims=True)
    variance = features.var(axis=(2, 3), keepdims=True)
    return (features - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def run_gru(sequence, weights):
    """Cho et al. 2014 in the form of Keras: the reset gate acts behind the recurrent product."""
    kernel, recurrent, (bias, recurrent_bias) = (np.asarray(w, np.float64) for w in weights)
    state, units, outputs = np.zeros((len(sequence), recurrent.shape[0])), recurrent.shape[0], []
    for step in range(sequence.shape[1]):
        x, h = sequence[:, step] @ kernel + bias, state @ recurrent + recurrent_bias
        update = sigmoid(x[:, :units] + h[:, :units])
        reset = sigmoid(x[:, units : 2 * units] + h[:, units : 2 * units])
        state = update * state + (1 - update) * np.tanh(x[:, 2 * units :] + reset * h[:, 2 * units :])
        outputs.append(state)
    return np.stack(outputs, axis=1)


def remember(features, network):
    flat = features.reshape(*features.shape[:2], -1)
    weights = network.get_layer("bottleneck_recurrent").get_weights()
    forward, backward = run_gru(flat, weights[:3]), run_gru(flat[:, ::-1], weights[3:])[:, ::-1]
    kernel, bias = network.get_layer("bottleneck_projection").get_weights()
    return features + (np.concatenate([forward, backward], axis=-1) @ kernel + bias).reshape(features.shape)


def numpy_logits(network, spectrogram, labels):
    features, skips = spectrogram.astype(np.float64), []
    num_levels = network.options["num_levels"]
    for level in range(num_levels):
        features = convolve(features, network.get_layer(f"down_{level}"))
        features = normalize(features, network.get_layer(f"down_{level}_normalization"))
        features = np.where(features > 0, features, 0.2 * features)
        skips.append(features)
    if network.options["bottleneck"] == "gru":
        features = remember(features, network)
    scale, shift = network.get_layer("conditioning_bottleneck").get_weights()
    features = (1 + (labels @ scale)[:, None, None]) * features + (labels @ shift)[:, None, None]
    for level in reversed(range(num_levels)):
        features = convolve_transposed(features, network.get_layer(f"up_{level}"))
        features = np.maximum(normalize(features, network.get_layer(f"up_{level}_normalization")), 0)
        if level:
            features = np.concatenate([skips[level - 1], features], axis=-1)
    kernel, bias = network.get_layer("masks_logits").get_weights()
    return features @ kernel[0, 0] + bias


@pytest.mark.parametrize(
    "options",
    (
        {},
        {"normalization": "batch"},
        {"num_levels": 3, "num_time_levels": 1},
        {"kernel_size": 3, "num_time_levels": 0},
        {"bottleneck": "gru", "num_time_levels": 1},
    ),
    ids=str,
)
def test_network_equals_its_numpy_rewrite(make_spectrogram_network, rng, options):
    network = make_spectrogram_network(conditioning="film", **options)
    if options.get("normalization") == "batch":
        # Stored variances are positive, and gains of a tenth would leave no signal.
        network.set_weights([np.abs(10 * w) if w.ndim == 1 else w for w in network.get_weights()])
    mixture = (0.3 * rng.normal(size=(2, 200, 1))).astype(np.float32)
    logits, spectrogram = network.get_layer("masks_logits"), network.get_layer("spectrogram")
    inside = keras.Model(network.inputs, [spectrogram.output, logits.output])
    spectrogram, actual = inside.predict_on_batch({"mixture": mixture, "label_vector": LABELS})
    assert spectrogram.shape[1] == 16 and spectrogram.shape[2] == 32
    expected = numpy_logits(network, spectrogram, LABELS)
    assert np.abs(expected).max(axis=(1, 2)).min() > 0.5
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
