"""Resampling, cropping and output layers of the Wave-U-Net.

Conventions: features are `[batch, time, channels]`; every layer accepts an unknown time length when the graph is
built and uses static lengths when it is traced, so that XLA compiles one shape once.

References: D. Stoller, S. Ewert, S. Dixon, "Wave-U-Net", ISMIR 2018, sections 3.1 and 3.2.
"""

import keras
from keras import ops

from av_sep.errors import ParameterError

UPSAMPLING = ("linear", "learned")


@keras.saving.register_keras_serializable(package="av_sep")
class Decimate(keras.layers.Layer):
    """Keeps every second time step, the first included: `[batch, n, channels]` -> `[batch, ceil(n / 2), channels]`."""

    def call(self, features):
        return features[:, ::2, :]

    def compute_output_shape(self, input_shape):
        batch, time, channels = input_shape
        return (batch, None if time is None else (time + 1) // 2, channels)


@keras.saving.register_keras_serializable(package="av_sep")
class Upsample(keras.layers.Layer):
    """Doubles the time resolution, keeping the given steps and putting one new step between neighbours.

    `[batch, n, channels]` -> `[batch, 2n - 1, channels]` with `context=True`, where nothing is invented beyond the
    last step, or `[batch, 2n, channels]` otherwise, where the last step is repeated.

    Args:
        method: "linear" puts the mean of both neighbours between them; "learned" a convex combination whose weight is
            learned per channel ("Learned upsampling" there, `sigmoid(w) * left + (1 - sigmoid(w)) * right`).
        context: whether the output ends on the last given step.

    Raises:
        ParameterError: for an unknown method.
    """

    def __init__(self, method="linear", context=True, **kwargs):
        super().__init__(**kwargs)
        if method not in UPSAMPLING:
            raise ParameterError(f"Expected method to be one of {UPSAMPLING}. Received: method={method!r}")
        self.method = method
        self.context = context

    def build(self, input_shape):
        if self.method == "learned":
            self.interpolation = self.add_weight(
                shape=(input_shape[-1],), initializer="zeros", name="interpolation", dtype=self.variable_dtype
            )

    def call(self, features):
        following = ops.concatenate([features[:, 1:, :], features[:, -1:, :]], axis=1)
        if self.method == "learned":
            weight = ops.cast(ops.sigmoid(self.interpolation), features.dtype)
            between = weight * features + (1 - weight) * following
        else:
            between = 0.5 * (features + following)
        time, channels = ops.shape(features)[1], features.shape[-1]
        interleaved = ops.reshape(ops.stack([features, between], axis=2), (-1, 2 * time, channels))
        return interleaved[:, :-1, :] if self.context else interleaved

    def compute_output_shape(self, input_shape):
        batch, time, channels = input_shape
        return (batch, None if time is None else 2 * time - int(self.context), channels)

    def get_config(self):
        return {**super().get_config(), "method": self.method, "context": self.context}


@keras.saving.register_keras_serializable(package="av_sep")
class CenterCropLike(keras.layers.Layer):
    """Crops the first input to the time length of the second, the same number of steps on both sides.

    `([batch, n, channels], [batch, m, any])` -> `[batch, m, channels]`, n >= m and n - m even.
    """

    def call(self, features, reference):
        target = ops.shape(reference)[1]
        start = (ops.shape(features)[1] - target) // 2
        if isinstance(target, int) and isinstance(start, int):
            return features[:, start : start + target, :]
        batch, channels = ops.shape(features)[0], features.shape[-1]
        return ops.slice(features, (0, start, 0), (batch, target, channels))

    def compute_output_shape(self, features_shape, reference_shape):
        return (features_shape[0], reference_shape[1], features_shape[2])


@keras.saving.register_keras_serializable(package="av_sep")
class StackSources(keras.layers.Layer):
    """Splits `[batch, time, num_sources * channels]` into `[batch, num_sources, time, channels]`."""

    def __init__(self, num_sources, **kwargs):
        super().__init__(**kwargs)
        self.num_sources = num_sources

    def call(self, features):
        channels = features.shape[-1] // self.num_sources
        split = ops.reshape(features, (-1, ops.shape(features)[1], self.num_sources, channels))
        return ops.transpose(split, (0, 2, 1, 3))

    def compute_output_shape(self, input_shape):
        batch, time, channels = input_shape
        return (batch, self.num_sources, time, channels // self.num_sources)

    def get_config(self):
        return {**super().get_config(), "num_sources": self.num_sources}


@keras.saving.register_keras_serializable(package="av_sep")
class AppendDifference(keras.layers.Layer):
    """Appends the mixture minus the sum of the given sources as the last source (difference output, section 3.2.1)."""

    def call(self, estimates, mixture):
        rest = ops.cast(mixture, estimates.dtype)[:, None] - ops.sum(estimates, axis=1, keepdims=True)
        return ops.concatenate([estimates, rest], axis=1)

    def compute_output_shape(self, estimates_shape, mixture_shape):
        return (estimates_shape[0], estimates_shape[1] + 1, *estimates_shape[2:])
