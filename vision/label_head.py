"""From one whole picture to a soft label vector that gradients pass through, for training it together with what hears.

Conventions:
    pictures are uint8 RGB `[batch, height, width, 3]`; a feature map is `[batch, height / 32, width / 32, 1280]`, one
    place for every 32 pixels, rounded up; scores are logits `[batch, num_instruments]`, of which the sigmoid is a label
    vector.

References:
    P. Pinheiro, R. Collobert, "From image-level to pixel-level labeling with convolutional networks", CVPR 2015,
    equation 6 (log-sum-exp pooling of scores over places).
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from av_sep.errors import ParameterError
from vision.efficientnet_lite0 import load_efficientnet_lite0
from vision.instrument_classifier import HeadWeights

_LAST_MAP = "bn1_relu6"
# The classifier was trained on averaged features of views; at places its scores are far too sure. These two numbers fit
# it to stages, drawn ones and cut-outs of photos: cross-entropy 0.48 before any training, 0.56 for equal chances.
_START_SCALE, _START_SHIFT = 0.2, -2.8


@keras.saving.register_keras_serializable(package="av_sep")
class LabelHead(keras.layers.Layer):
    """Feature maps to one score per instrument: a linear score at every place, then a smooth maximum over places.

    A picture of an ensemble shows each instrument somewhere, so features averaged over all of it would say little
    about each. The maximum is `log(mean(exp(sharpness * score))) / sharpness`: near the mean for a sharpness near 0,
    near the highest score for a large one; unlike that, every place gets a gradient.

    Args:
        num_instruments: how many scores.
        sharpness: see above, positive.

    Raises:
        ParameterError: for values that cannot be used.
    """

    def __init__(self, num_instruments: int, sharpness: float = 2.0, **kwargs: Any):
        if num_instruments < 1 or not sharpness > 0:
            raise ParameterError(
                "Expected at least one instrument and a positive sharpness."
                f" Received: num_instruments={num_instruments}, sharpness={sharpness}"
            )
        super().__init__(**kwargs)
        self.num_instruments = num_instruments
        self.sharpness = sharpness

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel `[num_features, num_instruments]` and the bias."""
        shape = (input_shape[-1], self.num_instruments)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.num_instruments,), initializer="zeros", name="bias")

    def call(self, feature_map: Any) -> Any:
        """Scores `[batch, num_instruments]` of a feature map `[batch, height, width, num_features]`."""
        num_places = feature_map.shape[1] * feature_map.shape[2]
        places = ops.reshape(feature_map, (-1, num_places, feature_map.shape[3]))
        scores = self.sharpness * (ops.matmul(places, self.kernel) + self.bias)
        return (ops.logsumexp(scores, axis=1) - math.log(num_places)) / self.sharpness

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`[batch, height, width, num_features]` to `[batch, num_instruments]`."""
        return (input_shape[0], self.num_instruments)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_instruments": self.num_instruments, "sharpness": self.sharpness}


def load_feature_map(height: int, width: int) -> keras.Model:
    """EfficientNet-Lite0 with ImageNet weights up to its last map: scaled pictures to feature maps."""
    backbone = load_efficientnet_lite0(height=height, width=width)
    return keras.Model(backbone.input, backbone.get_layer(_LAST_MAP).output, name="backbone")


def classifier_scores(instruments: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where a label head starts: the scores of the package's instrument classifier against its `other`.

    Args:
        instruments: names in the order wanted; those that the classifier does not know start from zeros.

    Returns:
        (kernel float32 `[1280, num_instruments]`, bias float32 `[num_instruments]`).
    """
    weights = HeadWeights.load()
    # `other` is the log-sum-exp of several scores; their mean is what is left of it in one linear score.
    own, other = (part / weights.temperature for part in _split(weights.kernel, weights))
    own_bias, other_bias = (part / weights.temperature for part in _split(weights.bias, weights))
    kernel = np.zeros((len(weights.kernel), len(instruments)), np.float32)
    bias = np.zeros(len(instruments), np.float32)
    for slot, name in enumerate(instruments):
        if name in weights.instruments:
            column = weights.instruments.index(name)
            kernel[:, slot] = _START_SCALE * (own[:, column] - other.mean(axis=1))
            bias[slot] = _START_SCALE * (own_bias[column] - other_bias.mean()) + _START_SHIFT
    return kernel, bias


def _split(values: np.ndarray, weights: HeadWeights) -> tuple[np.ndarray, np.ndarray]:
    num_own = len(weights.instruments)
    return values[..., :num_own], values[..., num_own:]
