"""Wiener filter of estimates' own spectra: what a waveform network says becomes shares of the mixture.

In a bin of the short-time spectrum, S_j being the estimates and X the mixture:

    S'_j = |S_j|^2 / (sum_k |S_k|^2) X

A network that gives waveforms errs in their phase too, and shares equally what it is not sure of; squares give a bin to
the stronger. The filtered estimates have the mixture's phase and add up to the mixture.

References:
    A. Liutkus, R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP 2015, equation 4
    with exponent 2.
    A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source separation with deep neural networks", IEEE/ACM
    TASLP 24(9), 2016 (filters made of what networks estimate; here channel by channel and without iterations).
"""

import keras
from keras import ops

from audio.stft import inverse_stft, stft
from av_sep.errors import ParameterError

OVERLAP = 4
# Powers below this are silence, which nobody gets; a full-scale sine has (frame_length / 4)**2.
SILENCE = 1e-9
# What estimates of ten times the mixture's power add to a loss: one, of losses that are some dB.
LEVEL_COST = 0.1
# To a mixture's mean square, so that what a network gives of silence costs nothing.
QUIET = 1e-4


@keras.saving.register_keras_serializable(package="av_sep")
class WienerFilter(keras.layers.Layer):
    """Shares a mixture out by the powers of estimates of its sources.

    `([batch, num_sources, time, channels], [batch, time, channels])` -> the first shape. Sources that are silent stay
    exactly silent; where all are, in a bin, the mixture is left out.

    As nothing but ratios count behind it, nothing tells a network whose estimates grow to stop, and within hundreds of
    steps they may be 10^7 times as loud. So in training their power, in parts of the mixture's, costs a little.

    Args:
        frame_length: samples of an STFT frame, a multiple of 4, which is also how many overlap; 8 or more.

    Raises:
        ParameterError: for any other length.
    """

    def __init__(self, frame_length, **kwargs):
        super().__init__(**kwargs)
        if frame_length < 2 * OVERLAP or frame_length % OVERLAP:
            raise ParameterError(
                f"Expected frame_length to be a multiple of {OVERLAP}, {2 * OVERLAP} or more."
                f" Received: frame_length={frame_length}"
            )
        self.frame_length = frame_length

    def call(self, estimates, mixture, training=False):
        if training:
            self.add_loss(LEVEL_COST * ops.mean(_relative_power(estimates, mixture)))
        sizes = {"frame_length": self.frame_length, "hop_length": self.frame_length // OVERLAP}
        num_sources, channels = estimates.shape[1], estimates.shape[3]
        num_samples = ops.shape(mixture)[1]
        real, imaginary = stft(ops.reshape(estimates, (-1, num_samples, channels)), **sizes)
        powers = ops.square(real) + ops.square(imaginary)
        by_source = (-1, num_sources, *ops.shape(powers)[1:])
        powers = ops.reshape(powers, by_source)
        shares = powers / (ops.sum(powers, axis=1, keepdims=True) + SILENCE)
        shared = [ops.reshape(shares * part[:, None], (-1, *by_source[2:])) for part in stft(mixture, **sizes)]
        return ops.reshape(inverse_stft(shared, num_samples, **sizes), (-1, num_sources, num_samples, channels))

    def compute_output_shape(self, estimates_shape, mixture_shape):
        return estimates_shape

    def get_config(self):
        return {**super().get_config(), "frame_length": self.frame_length}


def _relative_power(estimates, mixture):
    """Mean squares of the estimates, added up, in parts of the mixture's, `[batch]`."""
    of_estimates, of_mixture = (ops.mean(ops.square(sound), axis=(-2, -1)) for sound in (estimates, mixture))
    return ops.sum(of_estimates, axis=1) / (of_mixture + QUIET)
