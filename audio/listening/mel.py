"""The mel scale of Slaney's Auditory Toolbox and a bank of triangular filters on it.

The scale is linear below 1 kHz, 3 mels per 200 Hz, and logarithmic above, 27 mels per factor of 6.4. Every filter has
unit area over frequency, so that white noise comes out flat.

References:
    M. Slaney, "Auditory Toolbox, version 2", Interval Research Corporation technical report 1998-010 (`mfcc.m`).
    librosa's default is the same bank (`librosa.filters.mel(htk=False, norm="slaney")`).
"""

import numpy as np

from av_sep.errors import ParameterError

HZ_PER_MEL = 200.0 / 3.0
LOG_START_HZ = 1000.0
LOG_START_MEL = LOG_START_HZ / HZ_PER_MEL
LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(frequency_hz) -> np.ndarray:
    """Mels of frequencies in Hz, any shape, float64."""
    frequency_hz = np.asarray(frequency_hz, np.float64)
    logarithmic = LOG_START_MEL + np.log(np.maximum(frequency_hz, LOG_START_HZ) / LOG_START_HZ) / LOG_STEP
    return np.where(frequency_hz < LOG_START_HZ, frequency_hz / HZ_PER_MEL, logarithmic)


def mel_to_hz(mels) -> np.ndarray:
    """Frequencies in Hz of mels, any shape, float64: the inverse of `hz_to_mel`."""
    mels = np.asarray(mels, np.float64)
    logarithmic = LOG_START_HZ * np.exp(LOG_STEP * (np.maximum(mels, LOG_START_MEL) - LOG_START_MEL))
    return np.where(mels < LOG_START_MEL, mels * HZ_PER_MEL, logarithmic)


def mel_filters(num_mels: int, fft_length: int, sample_rate_hz: float, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangular filters from bins of a spectrum to mel bands.

    Args:
        num_mels: number of bands, evenly spaced in mels.
        fft_length: samples that the spectrum was taken of.
        sample_rate_hz: their rate.
        low_hz: where the first filter begins.
        high_hz: where the last filter ends, at most half the sample rate.

    Returns:
        float32 `[fft_length // 2 + 1, num_mels]`; the unit is 1 / Hz.

    Raises:
        ParameterError: for edges out of order, and for so many bands that one of them holds no bin.
    """
    if not 0 <= low_hz < high_hz <= sample_rate_hz / 2:
        raise ParameterError(
            "Expected 0 <= low_hz < high_hz <= sample_rate_hz / 2."
            f" Received: low_hz={low_hz}, high_hz={high_hz}, sample_rate_hz={sample_rate_hz}"
        )
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), num_mels + 2))
    bins_hz = np.arange(fft_length // 2 + 1)[:, None] * sample_rate_hz / fft_length
    rising = (bins_hz - edges_hz[:-2]) / np.diff(edges_hz[:-1])
    falling = (edges_hz[2:] - bins_hz) / np.diff(edges_hz[1:])
    filters = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (edges_hz[2:] - edges_hz[:-2])
    if not filters.any(axis=0).all():
        raise ParameterError(
            "Expected bands that hold at least one bin each: fewer bands or a longer transform."
            f" Received: num_mels={num_mels}, fft_length={fft_length}"
        )
    return filters.astype(np.float32)
