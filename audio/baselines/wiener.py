"""Static Wiener filters: no learning beyond each instrument's average spectrum.

The power spectrum P_i(f) of every instrument is averaged over many recordings. For the active instruments the filter
`P_i / sum over active j of P_j` is the linear minimum-mean-square-error estimator of a stationary source in a sum of
independent ones (N. Wiener, 1949), all equally loud. It does not change over time, hence one FIR filter per
instrument; because the filters of the active instruments add up to the identity, so do the estimates to the mixture.

Conventions: spectra are `[num_instruments, num_bins]`, power per bin, each summing to 1.
"""

from collections.abc import Sequence

import numpy as np
from scipy.signal import oaconvolve, welch

from audio.framing import ChunkPlan
from av_sep.errors import ParameterError


class StaticWiener:
    """Separates by fixed filters.

    Args:
        source_names: instruments in order.
        power_spectra: `[num_sources, num_bins]`, bins from 0 to half the sample rate.
        sample_rate_hz: that the spectra were measured at.

    Raises:
        ParameterError: if names and spectra do not match.
    """

    def __init__(self, source_names: Sequence[str], power_spectra: np.ndarray, sample_rate_hz: int):
        if power_spectra.ndim != 2 or len(power_spectra) != len(source_names):
            raise ParameterError(
                f"Expected one spectrum for each of {len(source_names)} sources. Received: shape {power_spectra.shape}"
            )
        self.source_names = tuple(source_names)
        self.power_spectra = np.asarray(power_spectra, np.float64)
        self.sample_rate_hz = sample_rate_hz
        self.num_taps = 2 * (power_spectra.shape[1] - 1) + 1

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """Any hop will do; the context is half a filter."""
        return ChunkPlan(chunk_samples + self.num_taps - 1, chunk_samples, self.num_taps // 2)

    def filters(self, label_vector: np.ndarray) -> np.ndarray:
        """Zero-phase filters `[num_sources, num_taps]`, centred; zero for absent instruments."""
        weights = self.power_spectra * (np.asarray(label_vector) > 0)[:, None]
        gains = weights / np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
        responses = np.fft.fftshift(np.fft.irfft(gains, axis=1), axes=1)
        # One period of an even length has its Nyquist-lag tap once; a centred odd filter wants half of it at each end.
        responses = np.concatenate([responses, responses[:, :1]], axis=1)
        responses[:, [0, -1]] *= 0.5
        return responses

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """`[num_input_samples]` to `[num_sources, num_input_samples - num_taps + 1]`, float32."""
        estimates = np.zeros((len(self.source_names), len(chunk) - self.num_taps + 1), np.float32)
        responses = self.filters(label_vector)
        for i in np.flatnonzero(np.asarray(label_vector) > 0):
            estimates[i] = oaconvolve(chunk.astype(np.float64), responses[i], mode="valid")
        return estimates


def average_power_spectrum(waveforms: Sequence[np.ndarray], sample_rate_hz: int, num_bins: int = 513) -> np.ndarray:
    """Average power spectrum `[num_bins]` over waveforms `[time]`, each counted alike, summing to 1 (Welch).

    Args:
        waveforms: of any lengths, at least one; short ones are followed by silence.
        sample_rate_hz: of all of them.
        num_bins: from 0 to half the sample rate.

    Raises:
        ParameterError: for a silent waveform, which has no spectrum to count.
    """
    spectra = []
    for waveform in waveforms:
        if not np.any(waveform):
            raise ParameterError("Expected waveforms that are not silent. Received: all samples 0")
        padded = np.pad(waveform, (0, max(0, 2 * (num_bins - 1) - len(waveform))))
        _, power = welch(padded, sample_rate_hz, window="hann", nperseg=2 * (num_bins - 1), detrend=False)
        spectra.append(power / power.sum())
    return np.mean(spectra, axis=0)
