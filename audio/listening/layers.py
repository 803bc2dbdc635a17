"""What a listening network begins with: from a waveform to its mel spectrogram.

Conventions: waveforms are `[batch, time]`, one channel; spectrograms `[batch, stft_frames, num_mels, 1]` in [0, 1],
float32 whatever the network computes in.
"""

import keras
import numpy as np
from keras import ops

from audio.listening.mel import mel_filters
from audio.stft import num_stft_frames, stft

# What is further below the loudest band of a window is masked by it, or is the recording's noise.
RANGE_DB = 80.0
SMALLEST_POWER = 1e-12


@keras.saving.register_keras_serializable(package="av_sep")
class LogMelSpectrogram(keras.layers.Layer):
    """Mel spectrum in decibels below the window's loudest point.

    `[batch, time]` -> `[batch, stft_frames, num_mels, 1]`.

    1 is the loudest point of the window, 0 is 80 dB below it or less, so the spectrogram of a recording is the same at
    any level; silence is all 0. Frames are those of `audio.stft`, windowed by Hann.

    Args:
        sample_rate_hz: of the waveform.
        frame_length: samples in an STFT frame.
        hop_length: samples from one frame to the next.
        num_mels: bands; see `audio.listening.mel`.
        low_hz: where the lowest band begins; the highest ends at half the sample rate.

    Raises:
        ParameterError: as `mel_filters`.
    """

    def __init__(self, sample_rate_hz=16000, frame_length=2048, hop_length=1024, num_mels=96, low_hz=30.0, **kwargs):
        super().__init__(**kwargs)
        self.sample_rate_hz = sample_rate_hz
        self.frame_length = frame_length
        self.hop_length = hop_length
        self.num_mels = num_mels
        self.low_hz = low_hz
        self._filters = mel_filters(num_mels, frame_length, sample_rate_hz, low_hz, sample_rate_hz / 2)

    def call(self, waveform):
        real, imaginary = stft(waveform[..., None], self.frame_length, self.hop_length)
        power = ops.matmul((ops.square(real) + ops.square(imaginary))[..., 0], self._filters)
        loudest = ops.max(power, axis=(1, 2), keepdims=True)
        # Silence has nothing to be compared with; its power stays 0 and so does its spectrogram.
        relative = power / ops.maximum(loudest, SMALLEST_POWER)
        decibels = ops.log(ops.maximum(relative, 10.0 ** (-RANGE_DB / 10.0))) * (10.0 / np.log(10.0))
        return (1.0 + decibels / RANGE_DB)[..., None]

    def compute_output_shape(self, input_shape):
        batch, time = input_shape
        num_frames = None if time is None else num_stft_frames(time, self.frame_length, self.hop_length)
        return (batch, num_frames, self.num_mels, 1)

    def get_config(self):
        names = ("sample_rate_hz", "frame_length", "hop_length", "num_mels", "low_hz")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
