"""The log-frequency network rewritten in NumPy, float64, from spectrogram to logits."""

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

LABELS = np.array([[1, 0, 0.3], [0, 0.6, 0.9]], np.float32)


class NumPyTwin:
    """Layers of a network by name, as functions of arrays."""

    def __init__(self, network, labels):
        self.weights = {
            layer.name: [np.asarray(w, np.float64) for w in layer.get_weights()] for layer in network.layers
        }
        self.labels = np.maximum(self.dense(labels.astype(np.float64), "labels"), 0)

    def dense(self, features, name):
        kernel, bias = self.weights[name]
        return features @ kernel + bias

    def normalize(self, features, name):
        gamma, beta = self.weights[f"{name}_normalization"]
        spread = np.sqrt(features.var(axis=-1, keepdims=True) + 1e-3)
        return (features - features.mean(axis=-1, keepdims=True)) / spread * gamma + beta

    def steer(self, features, name):
        scale, shift = (np.expand_dims(self.labels @ w, tuple(range(1, features.ndim - 1)))
                        for w in self.weights[f"{name}_labels"])  # fmt: skip
        return (1 + scale) * features + shift

    def convolve(self, features, name, dilation=(1, 1), stride=1):
        """Kernel element (i, j) meets frame t + (i - middle) * dilation, zeros beyond; stride along the bands."""
        kernel, bias = self.weights[name]
        sizes = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation)]
        padding = [(sizes[0] // 2, sizes[0] // 2), ((sizes[1] - stride) // 2, (sizes[1] - stride + 1) // 2)]
        padded = np.pad(features, [(0, 0), *padding, (0, 0)])
        windows = sliding_window_view(padded, sizes, axis=(1, 2))[:, :, ::stride, :, :: dilation[0], :: dilation[1]]
        return np.einsum("btfchw,hwcn->btfn", windows, kernel) + bias

    def convolve_in_time(self, features, name, dilation):
        kernel, bias = self.weights[name]
        padded = np.pad(features, [(0, 0), (dilation, dilation), (0, 0)])
        num_frames = features.shape[1]
        return bias + sum(padded[:, i * dilation : i * dilation + num_frames] @ kernel[i] for i in range(3))

    def block(self, features, index, dilation):
        name = f"block_{index}"
        hidden = self.steer(self.normalize(features, name), name)
        hidden = np.maximum(self.convolve(hidden, f"{name}_bands", (1, dilation)), 0)
        return features + self.convolve(hidden, f"{name}_time", (dilation, 1))

    def memory(self, features, index):
        name = f"memory_{index}"
        hidden = self.dense(self.normalize(features, name), f"{name}_squeeze")
        shape = hidden.shape
        hidden = self.steer(self.dense(hidden.reshape(*shape[:2], -1), f"{name}_in"), name)
        for dilation in (1, 2, 4, 8, 16):
            hidden = hidden + self.convolve_in_time(np.maximum(hidden, 0), f"{name}_dilated_{dilation}", dilation)
        hidden = np.maximum(self.dense(np.maximum(hidden, 0), f"{name}_out"), 0)
        return features + self.dense(hidden.reshape(shape), f"{name}_expand")

    def logits(self, spectrogram, num_blocks, bands_per_octave):
        num_bands, fine = spectrogram.shape[2], np.zeros((*spectrogram.shape[:3], 8))
        for i, ratio in enumerate((0.5, 1, 2, 3, 4, 5, 6, 7)):
            shift = round(bands_per_octave * np.log2(ratio))
            for band in range(max(0, -shift), min(num_bands, num_bands - shift)):
                fine[:, :, band, i] = spectrogram[:, :, band + shift, 0]
        for i in range(2):
            fine = np.maximum(self.convolve(fine, f"fine_{i}"), 0)
        features = self.convolve(fine, "coarse", stride=4) + self.weights["band_bias"][0]
        for index in range(num_blocks):
            features = self.block(features, index, 2 ** (index % 4))
            if f"memory_{index}_in" in self.weights:
                features = self.memory(features, index)
        refined = np.maximum(self.dense(self.normalize(features, "head"), "refine"), 0)
        refined = refined.reshape(*spectrogram.shape[:3], -1)
        head = np.maximum(self.convolve(np.concatenate([fine, refined], axis=-1), "head"), 0)
        return self.dense(head, "logits") + self.weights["logits_bias"][0]


@pytest.mark.parametrize("options", ({"num_blocks": 5}, {"num_blocks": 1, "memory_units": 0}), ids=str)
def test_network_equals_its_numpy_rewrite(make_log_frequency_network, rng, options):
    network = make_log_frequency_network(**options)
    mixture = (0.3 * rng.normal(size=(2, 700, 1))).astype(np.float32)
    outputs = [network.get_layer(name).output for name in ("spectrogram", "logits_bias")]
    spectrogram, actual = keras.Model(network.inputs, outputs)({"mixture": mixture, "label_vector": LABELS})
    expected = NumPyTwin(network, LABELS).logits(np.asarray(spectrogram, np.float64), options["num_blocks"], 4)
    memories = [layer.name for layer in network.layers if layer.name.endswith("_expand")]
    assert memories == ([] if "memory_units" in options else ["memory_2_expand", "memory_4_expand"])
    assert np.abs(expected).max(axis=(1, 2)).min() > 0.5
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
