"""Layers of a network that hears on a logarithmic frequency axis, where a change of pitch is a shift.

Conventions: waveforms are `[batch, time, channels]`; spectra `[batch, stft_frames, num_bins, channels, 2]`;
spectrograms and features `[batch, stft_frames, num_bands, filters]`, bands evenly spaced in octaves from `lowest_hz`
upwards; label vectors `[batch, num_sources]`. What is computed from spectra stays float32 whatever the network computes
in; but sums over bins and bands are products of matrices, whose factors some accelerators round (a TPU to 8 bits) by
default.
"""

import functools

import keras
import numpy as np
from keras import ops

from audio.spectrogram_layers import shares_of_active
from audio.stft import overlap_add

# Of a full-scale sine's magnitude: -80 dB is where the spectrogram turns from linear to logarithmic.
LOG_GAIN = 1e4


def band_centres_hz(num_bands: int, bands_per_octave: int, lowest_hz: float) -> np.ndarray:
    """Centre frequencies of the bands, Hz `[num_bands]`."""
    return lowest_hz * 2.0 ** (np.arange(num_bands) / bands_per_octave)


@functools.lru_cache(maxsize=8)
def analysis_matrix(
    num_bins: int, sample_rate_hz: int, num_bands: int, bands_per_octave: int, lowest_hz: float
) -> np.ndarray:
    """What each band takes of each bin's power, float32 `[num_bins, num_bands]`.

    Triangles of height 1, as wide on either side as bins or bands are apart, whichever is more: where bands are finer
    than bins this interpolates between neighbouring bins, where they are coarser it adds up, so that a steady partial
    is about equally high in every band (within 3 dB: a band much wider than a bin takes all of a window's lobe).
    """
    bins_hz = np.linspace(0, sample_rate_hz / 2, num_bins)
    centres_hz = band_centres_hz(num_bands, bands_per_octave, lowest_hz)
    width_hz = np.maximum(centres_hz * (2 ** (1 / bands_per_octave) - 1), bins_hz[1])
    distance = np.abs(bins_hz[:, None] - centres_hz) / width_hz
    return np.maximum(1 - distance, 0).astype(np.float32)


@functools.lru_cache(maxsize=8)
def synthesis_matrix(
    num_bins: int, sample_rate_hz: int, num_bands: int, bands_per_octave: int, lowest_hz: float
) -> np.ndarray:
    """How a bin's value is interpolated from the bands' around it, float32 `[num_bands, num_bins]`, columns sum to 1.

    Linear in octaves; below the lowest band and above the highest one the nearest holds.
    """
    bins_hz = np.linspace(0, sample_rate_hz / 2, num_bins)
    position = bands_per_octave * np.log2(np.maximum(bins_hz, 1e-3) / lowest_hz)
    position = np.clip(position, 0, num_bands - 1)
    left = np.minimum(position.astype(int), num_bands - 2)
    matrix = np.zeros((num_bands, num_bins), np.float32)
    matrix[left, np.arange(num_bins)] = 1 - (position - left)
    matrix[left + 1, np.arange(num_bins)] = position - left
    return matrix


class _BandLayer(keras.layers.Layer):
    """What the two directions between bins and bands share: the bands.

    Args:
        sample_rate_hz: of the sound.
        num_bands: how many, 2 or more.
        bands_per_octave: how close.
        lowest_hz: centre of the first band.
    """

    def __init__(self, sample_rate_hz, num_bands, bands_per_octave, lowest_hz, **kwargs):
        super().__init__(**kwargs)
        self.sample_rate_hz = sample_rate_hz
        self.num_bands = num_bands
        self.bands_per_octave = bands_per_octave
        self.lowest_hz = lowest_hz

    def _matrix(self, make, num_bins):
        return make(num_bins, self.sample_rate_hz, self.num_bands, self.bands_per_octave, self.lowest_hz)

    def get_config(self):
        return {
            **super().get_config(),
            "sample_rate_hz": self.sample_rate_hz,
            "num_bands": self.num_bands,
            "bands_per_octave": self.bands_per_octave,
            "lowest_hz": self.lowest_hz,
        }


@keras.saving.register_keras_serializable(package="av_sep")
class LogFrequencySpectrogram(_BandLayer):
    """Compressed magnitudes: `[batch, stft_frames, num_bins, channels, 2]` -> `[batch, stft_frames, num_bands, 1]`.

    `log(1 + 10^4 m) / log(1 + 10^4)` of the root m of the bands' power (see `analysis_matrix`), the mean of all
    channels; a full-scale sine has m = 1 where bands are finer than bins and up to 1.2 elsewhere, silence gives 0.
    """

    def call(self, spectrum):
        num_bins = spectrum.shape[2]
        # A Hann window adds up to half a frame, and half of that stands in the bin of a sine.
        full_scale = (num_bins - 1) / 2
        power = ops.mean(ops.sum(ops.square(spectrum / full_scale), axis=-1), axis=-1)
        bands = ops.matmul(power, self._matrix(analysis_matrix, num_bins))
        # 1e-20 makes the root's slope finite at silence.
        spectrogram = ops.log1p(LOG_GAIN * ops.sqrt(bands + 1e-20)) / np.float32(np.log1p(LOG_GAIN))
        return spectrogram[..., None]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.num_bands, 1)


@keras.saving.register_keras_serializable(package="av_sep")
class BandMaskedWaveforms(_BandLayer):
    """Waveforms of a spectrum masked by bands, with the mixture's phase: `[batch, num_masks, time, channels]`.

    Takes masks `[batch, stft_frames, num_bands, num_masks]`, the same for every channel, the mixture's spectrum
    and, for its length, the mixture `[batch, time, channels]`. A bin's mask is interpolated from the bands around it
    (see `synthesis_matrix`).

    Args:
        frame_length: of the spectrum.
        hop_length: of the spectrum.
        **kwargs: the bands, see `LogFrequencySpectrogram`.
    """

    def __init__(self, frame_length, hop_length, **kwargs):
        super().__init__(**kwargs)
        self.frame_length = frame_length
        self.hop_length = hop_length

    def call(self, masks, spectrum, mixture):
        num_bins, channels = spectrum.shape[2:4]
        masks = ops.matmul(ops.transpose(masks, (0, 3, 1, 2)), self._matrix(synthesis_matrix, num_bins))
        num_samples = ops.shape(mixture)[1]
        waveforms = []
        for channel in range(channels):
            parts = [masks * spectrum[:, None, :, :, channel, part] for part in (0, 1)]
            waveforms.append(overlap_add(parts, num_samples, self.frame_length, self.hop_length))
        return ops.stack(waveforms, axis=-1)

    def compute_output_shape(self, masks_shape, spectrum_shape, mixture_shape):
        return (masks_shape[0], masks_shape[3], *mixture_shape[1:])

    def get_config(self):
        return {**super().get_config(), "frame_length": self.frame_length, "hop_length": self.hop_length}


@keras.saving.register_keras_serializable(package="av_sep")
class HarmonicStack(keras.layers.Layer):
    """Lays a spectrogram's harmonics on top of each other: filter j of a band is the band `offsets[j]` above it.

    `[batch, stft_frames, num_bands, 1]` -> `[batch, stft_frames, num_bands, len(offsets)]`, zeros beyond the edges. So
    a small kernel sees a note's partials together, wherever on the axis the note lies.

    Args:
        offsets: in bands, negative for subharmonics.

    References:
        R. Bittner, B. McFee, J. Salamon, P. Li, J. P. Bello, "Deep salience representations for F0 estimation in
        polyphonic music", ISMIR 2017, section 2.1 (the harmonic CQT).
    """

    def __init__(self, offsets, **kwargs):
        super().__init__(**kwargs)
        self.offsets = tuple(offsets)

    def call(self, spectrogram):
        num_bands = spectrogram.shape[2]
        below, above = max(0, -min(self.offsets)), max(0, *self.offsets)
        padded = ops.pad(spectrogram, ((0, 0), (0, 0), (below, above), (0, 0)))
        return ops.concatenate([padded[:, :, below + j : below + j + num_bands] for j in self.offsets], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], len(self.offsets) * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "offsets": list(self.offsets)}


@keras.saving.register_keras_serializable(package="av_sep")
class BandBias(keras.layers.Layer):
    """Adds a learned number to every filter of every band: what makes a high band different from a low one."""

    def build(self, input_shape):
        self.bias = self.add_weight(shape=tuple(input_shape[2:]), initializer="zeros", name="bias")

    def call(self, features):
        return features + ops.cast(self.bias, features.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="av_sep")
class SlotMasks(keras.layers.Layer):
    """Shares of the slots in each band, from logits of all sources.

    `([batch, stft_frames, num_bands, num_sources], slots [batch, num_slots, num_sources])` -> `[batch, stft_frames,
    num_bands, num_slots]`: adding up to 1 over the occupied slots, exactly 0 for the others.
    """

    def call(self, logits, slots):
        # Not a product of matrices: accelerators round its factors to 8 or 11 bits.
        chosen = ops.take_along_axis(logits, ops.argmax(slots, axis=2)[:, None, None, :], axis=-1)
        occupied = ops.cast(ops.max(slots, axis=2), logits.dtype)[:, None, None, :]
        return shares_of_active(chosen, occupied)

    def compute_output_shape(self, logits_shape, slots_shape):
        return (*logits_shape[:-1], slots_shape[1])
