"""The tagger's layer: from moments to the whole window."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="av_sep")
class AttentionPooling(keras.layers.Layer):
    """Mean over time by weights that the layer hears by itself, for every output its own: `[batch, time, features]` ->
    `[batch, units]`.

    An instrument that plays for one second of three is told by that second. The outputs are logits.

    Args:
        units: number of outputs.

    References:
        Q. Kong, Y. Xu, W. Wang, M. Plumbley, "Audio set classification with attention model: a probabilistic
        perspective", ICASSP 2018, equations 8 and 9 (here of logits instead of probabilities).
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.evidence = keras.layers.Dense(units, name="evidence")
        self.attention = keras.layers.Dense(units, name="attention")

    def build(self, input_shape):
        self.evidence.build(input_shape)
        self.attention.build(input_shape)
        super().build(input_shape)

    def call(self, features):
        weights = ops.softmax(self.attention(features), axis=1)
        return ops.sum(weights * self.evidence(features), axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
