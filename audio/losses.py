"""Separation losses on sources `[batch, num_sources, time, channels]`, reference before estimate.

Silence is handled by definition: both the reference's and the error's energy are measured above a floor that is a
fixed part of the mixture's energy, so a silent reference asks for an estimate below that floor and an absent,
exactly silent pair costs nothing.
"""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="av_sep")
class NegativeSNR(keras.losses.Loss):
    """Negative signal-to-noise ratio per source in dB, summed over sources and divided by the number of non-silent
    ones.

    For each source `-10 log10((|s|^2 + floor) / (|s - e|^2 + floor))`, `floor = 10^(floor_db / 10) * sum of |s|^2`;
    after N. Kavalerov et al., "Universal sound separation", WASPAA 2019, equation 2, with a soft threshold of
    `-floor_db` dB.

    Args:
        floor_db: error level, relative to the mixture, below which nothing more is gained.
    """

    def __init__(self, floor_db=-30.0, name="negative_snr", **kwargs):
        super().__init__(name=name, **kwargs)
        self.floor_db = floor_db

    def call(self, y_true, y_pred):
        reference = ops.cast(y_true, "float32")
        error = reference - ops.cast(y_pred, "float32")
        reference_energy = ops.sum(ops.square(reference), axis=(2, 3))
        error_energy = ops.sum(ops.square(error), axis=(2, 3))
        total = ops.sum(reference_energy, axis=1, keepdims=True)
        # 1e-8 keeps an all-silent example finite; it is -80 dB of one full-scale sample.
        floor = 10 ** (self.floor_db / 10) * total + 1e-8
        ratio_db = (10 / math.log(10)) * (ops.log(error_energy + floor) - ops.log(reference_energy + floor))
        num_present = ops.sum(ops.cast(reference_energy > 0, "float32"), axis=1)
        return ops.sum(ratio_db, axis=1) / ops.maximum(num_present, 1)

    def get_config(self):
        return {"name": self.name, "reduction": self.reduction, "floor_db": self.floor_db}
