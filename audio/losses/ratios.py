"""Losses in decibels: negative signal-to-noise ratios per source.

Silence is handled by definition. Energies are measured above a floor that is a fixed part of the references' total
energy, so a silent reference asks for an estimate below that floor, and an absent, exactly silent pair costs nothing.
The sum over sources is divided by the number of references that are not silent.
"""

import math

import keras
from keras import ops

DECIBELS_PER_NEPER = 10 / math.log(10)
# Keeps an all-silent example finite; it is -80 dB of one full-scale sample.
SMALLEST_FLOOR = 1e-8
# Of a reference that is not silent; the dust that converters leave in silence has less.
SMALLEST_ENERGY = 1e-12


@keras.saving.register_keras_serializable(package="av_sep")
class NegativeSNR(keras.losses.Loss):
    """Negative signal-to-noise ratio per source in dB, summed over sources and divided by the number of non-silent
    ones.

    For each source `-10 log10((|s|^2 + floor) / (|s - e|^2 + floor))`, `floor = 10^(floor_db / 10) * sum of |s|^2`:
    negative SNR (N. Kavalerov et al., "Universal sound separation", WASPAA 2019) with a soft threshold of `-floor_db`
    dB, as S. Wisdom et al., "Unsupervised sound separation using mixture invariant training", NeurIPS 2020, have it,
    relative to the mixture so that silent sources count, as in S. Wisdom et al., "What's all the FUSS about free
    universal sound separation data?", ICASSP 2021. A silent reference contributes `10 log10(1 + |e|^2 / floor)`: 0 dB
    for silence, 3 dB for a leak as strong as the floor, about `-floor_db` dB for one as strong as the mixture.

    Args:
        floor_db: error level, relative to the mixture, below which nothing more is gained.
    """

    def __init__(self, floor_db=-30.0, name="negative_snr", **kwargs):
        super().__init__(name=name, **kwargs)
        self.floor_db = floor_db

    def call(self, y_true, y_pred):
        reference = ops.cast(y_true, "float32")
        reference_energy = energy_of(reference)
        floor = _floor(reference_energy, self.floor_db)
        error_energy = energy_of(reference - ops.cast(y_pred, "float32"))
        losses = _ratio_db(error_energy + floor, reference_energy + floor)
        return _mean_over_present(losses, is_present(reference_energy))

    def get_config(self):
        return {"name": self.name, "reduction": self.reduction, "floor_db": self.floor_db}


@keras.saving.register_keras_serializable(package="av_sep")
class NegativeSISDR(keras.losses.Loss):
    """Negative scale-invariant signal-to-distortion ratio per source in dB, summed over sources and divided by the
    number of non-silent ones.

    With `c^2 = <s, e>^2 / (|s|^2 |e|^2)`, the ratio of J. Le Roux et al., "SDR - half-baked or well done?", ICASSP
    2019, equation 3, is `c^2 / (1 - c^2)`. A soft threshold `t = 10^(floor_db / 10)` bounds it on both sides:
    `-10 log10((c^2 + t) / (1 - c^2 + t))` runs from about `floor_db` (perfect) to `-floor_db` (orthogonal or silent).

    A silent reference, here one that lies 80 dB or more below the mixture, has no direction to compare with; it
    contributes what it does in `NegativeSNR`, `10 log10(1 + |e|^2 / floor)`. An estimate 100 dB or more below its
    reference counts as silent, and the gradient of exact silence is 0: a network whose outputs start at zero does not
    leave it by this loss. Because the scale is free, the stems need not add up to the mixture: use mixture consistency.

    Args:
        floor_db: of the distortion relative to the estimate, and of leaks relative to the mixture.
    """

    def __init__(self, floor_db=-30.0, name="negative_si_sdr", **kwargs):
        super().__init__(name=name, **kwargs)
        self.floor_db = floor_db

    def call(self, y_true, y_pred):
        reference, estimate = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        reference_energy, estimate_energy = energy_of(reference), energy_of(estimate)
        present = is_present(reference_energy)
        energy = ops.where(present, reference_energy, 1.0)
        # Both in units of the reference's size: a quotient of two tiny energies has a gradient that overflows.
        scale = ops.sqrt(energy)[:, :, None, None]
        direction, relative = reference / scale, estimate / scale
        aligned = ops.square(ops.sum(direction * relative, axis=(2, 3))) / (energy_of(relative) + 1e-10)
        threshold = 10 ** (self.floor_db / 10)
        # Rounding can make the squared cosine a little larger than 1.
        ratio_db = _ratio_db(ops.maximum(1 - aligned, 0) + threshold, aligned + threshold)
        floor = _floor(reference_energy, self.floor_db)
        leak_db = _ratio_db(estimate_energy + floor, floor)
        return _mean_over_present(ops.where(present, ratio_db, leak_db), present)

    def get_config(self):
        return {"name": self.name, "reduction": self.reduction, "floor_db": self.floor_db}


def energy_of(sources):
    """`[batch, num_sources, time, channels]` to `[batch, num_sources]`."""
    return ops.sum(ops.square(sources), axis=(2, 3))


def is_present(reference_energy):
    """Which references are not silent, by their energies `[batch, num_sources]`: less than 80 dB below all together."""
    return reference_energy > 1e-8 * ops.sum(reference_energy, axis=1, keepdims=True) + SMALLEST_ENERGY


def _floor(reference_energy, floor_db):
    return 10 ** (floor_db / 10) * ops.sum(reference_energy, axis=1, keepdims=True) + SMALLEST_FLOOR


def _ratio_db(numerator, denominator):
    return DECIBELS_PER_NEPER * (ops.log(numerator) - ops.log(denominator))


def _mean_over_present(losses, present):
    num_present = ops.sum(ops.cast(present, "float32"), axis=1)
    return ops.sum(losses, axis=1) / ops.maximum(num_present, 1)
