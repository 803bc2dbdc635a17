"""Layers between a waveform and the spectrogram that a network sees, and back through masks.

Conventions: waveforms are `[batch, time, channels]`; spectra `[batch, stft_frames, num_bins, channels, 2]`, real and
imaginary part last, float32 whatever the network computes in; spectrograms `[batch, stft_frames, num_bins - 1,
channels]`, without the bin at half the sample rate, so that halving comes out even.
"""

import keras
from keras import ops

from audio.stft import inverse_stft, num_stft_frames, stft
from av_sep.errors import ParameterError

COMPRESSIONS = ("log", "power")
MASKS = ("sigmoid", "softmax")
# Of a full-scale sine's magnitude: -60 dB is where "log" turns from linear to logarithmic.
LOG_GAIN = 1000.0
# Of magnitudes; power-law compression as usual for speech and music spectra.
POWER = 0.3
SMALLEST_POWER = 1e-8


@keras.saving.register_keras_serializable(package="av_sep")
class Spectrum(keras.layers.Layer):
    """STFT: `[batch, time, channels]` -> `[batch, stft_frames, frame_length // 2 + 1, channels, 2]`; see `audio.stft`.

    Args:
        frame_length: samples in a frame.
        hop_length: samples from one frame to the next.
    """

    def __init__(self, frame_length, hop_length, **kwargs):
        super().__init__(**kwargs)
        self.frame_length = frame_length
        self.hop_length = hop_length

    def call(self, waveform):
        return ops.stack(stft(waveform, self.frame_length, self.hop_length), axis=-1)

    def compute_output_shape(self, input_shape):
        batch, time, channels = input_shape
        num_frames = None if time is None else num_stft_frames(time, self.frame_length, self.hop_length)
        return (batch, num_frames, self.frame_length // 2 + 1, channels, 2)

    def get_config(self):
        return {**super().get_config(), "frame_length": self.frame_length, "hop_length": self.hop_length}


@keras.saving.register_keras_serializable(package="av_sep")
class MagnitudeSpectrogram(keras.layers.Layer):
    """Compressed magnitudes of a spectrum, with frames of silence added up to a multiple that halves evenly.

    The magnitude m of a full-scale sine is 1 (half that of a Hann window's sum). Silence gives 0, which is what
    convolutions take to lie beyond the edges.

    Args:
        compression: "log", `log(1 + 1000 m) / log(1001)`, or "power", about `m^0.3`.
        frame_multiple: the number of frames is rounded up to a multiple of this.

    Raises:
        ParameterError: for an unknown compression.
    """

    def __init__(self, compression="log", frame_multiple=1, **kwargs):
        super().__init__(**kwargs)
        if compression not in COMPRESSIONS:
            raise ParameterError(f"Expected compression to be one of {COMPRESSIONS}. Received: {compression!r}")
        self.compression = compression
        self.frame_multiple = frame_multiple

    def call(self, spectrum):
        spectrum = spectrum[:, :, :-1]
        # A Hann window adds up to half a frame, and half of that stands in the bin of a sine.
        full_scale = spectrum.shape[2] / 2
        power = ops.sum(ops.square(spectrum / full_scale), axis=-1)
        if self.compression == "log":
            # 1e-20 makes the root's slope finite at silence.
            spectrogram = ops.log1p(LOG_GAIN * ops.sqrt(power + 1e-20)) / ops.log1p(ops.cast(LOG_GAIN, power.dtype))
        else:
            spectrogram = (power + SMALLEST_POWER) ** (POWER / 2) - SMALLEST_POWER ** (POWER / 2)
        num_frames = self._rounded_up(ops.shape(spectrogram)[1])
        return ops.pad(spectrogram, ((0, 0), (0, self.frame_multiple - 1), (0, 0), (0, 0)))[:, :num_frames]

    def _rounded_up(self, num_frames):
        return -(-num_frames // self.frame_multiple) * self.frame_multiple

    def compute_output_shape(self, input_shape):
        batch, num_frames, num_bins, channels, _ = input_shape
        return (batch, None if num_frames is None else self._rounded_up(num_frames), num_bins - 1, channels)

    def get_config(self):
        return {**super().get_config(), "compression": self.compression, "frame_multiple": self.frame_multiple}


@keras.saving.register_keras_serializable(package="av_sep")
class SigmoidMasks(keras.layers.Layer):
    """A mask in [0, 1] per source, each by itself: `[batch, stft_frames, num_bins, num_sources * channels]` logits ->
    `[batch, stft_frames, num_bins, num_sources, channels]`.

    Args:
        num_sources: how many sources the logits are for.
    """

    def __init__(self, num_sources, **kwargs):
        super().__init__(**kwargs)
        self.num_sources = num_sources

    def call(self, logits):
        return ops.sigmoid(split_sources(logits, self.num_sources))

    def compute_output_shape(self, logits_shape):
        return (*logits_shape[:-1], self.num_sources, logits_shape[-1] // self.num_sources)

    def get_config(self):
        return {**super().get_config(), "num_sources": self.num_sources}


@keras.saving.register_keras_serializable(package="av_sep")
class SoftmaxMasks(keras.layers.Layer):
    """Masks that add up to 1 over the sources whose label is above 0; the others' are exactly 0, all if there is none.

    `([batch, stft_frames, num_bins, num_sources * channels], [batch, num_sources])` ->
    `[batch, stft_frames, num_bins, num_sources, channels]`. Without labels every source counts.

    Args:
        num_sources: how many sources the logits are for.
    """

    def __init__(self, num_sources, **kwargs):
        super().__init__(**kwargs)
        self.num_sources = num_sources

    def call(self, logits, label_vector=None):
        logits = split_sources(logits, self.num_sources)
        if label_vector is None:
            return ops.softmax(logits, axis=3)
        active = ops.cast(label_vector > 0, logits.dtype)[:, None, None, :, None]
        return shares_of_active(logits, active)

    def compute_output_shape(self, logits_shape, label_vector_shape=None):
        return (*logits_shape[:-1], self.num_sources, logits_shape[-1] // self.num_sources)

    def get_config(self):
        return {**super().get_config(), "num_sources": self.num_sources}


@keras.saving.register_keras_serializable(package="av_sep")
class MaskedWaveforms(keras.layers.Layer):
    """Waveforms of a masked spectrum with the mixture's phase: `[batch, time, num_sources * channels]`.

    Takes masks `[batch, stft_frames or more, num_bins - 1, num_sources, channels]`, the mixture's spectrum and, for
    its length, the mixture `[batch, time, channels]`. The bin at half the sample rate has its neighbour's mask.

    Args:
        frame_length: of the spectrum.
        hop_length: of the spectrum.
    """

    def __init__(self, frame_length, hop_length, **kwargs):
        super().__init__(**kwargs)
        self.frame_length = frame_length
        self.hop_length = hop_length

    def call(self, masks, spectrum, mixture):
        masks = masks[:, : ops.shape(spectrum)[1]]
        masks = ops.concatenate([masks, masks[:, :, -1:]], axis=2)
        num_outputs = masks.shape[3] * masks.shape[4]
        shape = (-1, ops.shape(masks)[1], masks.shape[2], num_outputs)
        parts = [ops.reshape(masks * spectrum[:, :, :, None, :, part], shape) for part in (0, 1)]
        return inverse_stft(parts, ops.shape(mixture)[1], self.frame_length, self.hop_length)

    def compute_output_shape(self, masks_shape, spectrum_shape, mixture_shape):
        return (masks_shape[0], mixture_shape[1], masks_shape[3] * masks_shape[4])

    def get_config(self):
        return {**super().get_config(), "frame_length": self.frame_length, "hop_length": self.hop_length}


def shares_of_active(logits, active):
    """Softmax over the active sources: shares that add up to 1, exactly 0 for the others, all 0 if there is none.

    Args:
        logits: `[batch, stft_frames, num_bins, num_sources, ...]`.
        active: 1 for active sources, 0 for the others; of a shape that broadcasts to it.
    """
    # The largest of all, absent ones included, would let the exponentials of the active underflow together.
    largest = ops.max(logits - 1e9 * (1 - active), axis=3, keepdims=True)
    # Not a minimum with 0: JAX halves the gradient of what equals its bound, as the largest does.
    exponentials = active * ops.exp(active * (logits - ops.stop_gradient(largest)))
    nobody = 1 - ops.max(active, axis=3, keepdims=True)
    return exponentials / (ops.sum(exponentials, axis=3, keepdims=True) + nobody)


def split_sources(features, num_sources):
    """`[batch, stft_frames, num_bins, num_sources * channels]` -> `[…, num_sources, channels]`."""
    channels = features.shape[-1] // num_sources
    return ops.reshape(features, (-1, *ops.shape(features)[1:3], num_sources, channels))
