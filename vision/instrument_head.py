"""The trained part of the instrument classifier, as a Keras layer (importing this module imports Keras)."""

from typing import Any

import keras
from keras import ops

from av_sep.errors import ParameterError


@keras.saving.register_keras_serializable(package="av_sep")
class InstrumentHead(keras.layers.Layer):
    """Features to one logit per instrument and a last one for `other`.

    `other` is what looks like any of several things that are no instrument of ours (harp, guitar, drum, …), each with
    a linear score of its own, so its logit is their log-sum-exp: one direction in feature space could not hold them.

    Args:
        num_instruments: how many instruments have a logit of their own.
        num_other: how many scores `other` is made of, at least 1.
        temperature: all logits are divided by it; calibrated on photos that were not trained on.
    """

    def __init__(self, num_instruments: int, num_other: int = 1, temperature: float = 1.0, **kwargs: Any):
        if num_instruments < 1 or num_other < 1 or temperature <= 0:
            raise ParameterError(
                "Expected at least one instrument, one score for 'other' and a positive temperature. Received:"
                f" num_instruments={num_instruments}, num_other={num_other}, temperature={temperature}"
            )
        super().__init__(**kwargs)
        self.num_instruments = num_instruments
        self.num_other = num_other
        self.temperature = temperature

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel `[num_features, num_instruments + num_other]` and the bias."""
        num_scores = self.num_instruments + self.num_other
        self.kernel = self.add_weight(shape=(input_shape[-1], num_scores), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(num_scores,), initializer="zeros", name="bias")

    def call(self, features: Any) -> Any:
        """Logits `[batch, num_instruments + 1]` of features `[batch, num_features]`; softmax makes probabilities."""
        scores = ops.matmul(features, self.kernel) + self.bias
        other = ops.logsumexp(scores[:, self.num_instruments :], axis=-1, keepdims=True)
        return ops.concatenate([scores[:, : self.num_instruments], other], axis=-1) / self.temperature

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`[batch, num_features]` to `[batch, num_instruments + 1]`."""
        return (input_shape[0], self.num_instruments + 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_instruments": self.num_instruments,
            "num_other": self.num_other,
            "temperature": self.temperature,
        }
