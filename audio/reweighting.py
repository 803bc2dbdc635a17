"""Shares estimates out anew by prior weights that change over time; what one loses the others get.

Of estimates S_j in a bin of the short-time spectrum, with shares m_j = |S_j| / sum |S| and weights w_j:

    S'_j = w_j / (sum_k w_k m_k) S_j  +  (w_j m_j / sum_k w_k m_k) (sum_k S_k - sum_k S'_k of the first term)

Estimates made by soft masks are in phase: then the second term is 0 and the new masks are `w_j m_j / sum w_k m_k`,
Bayes' rule with the weights as prior odds. In every case the sum of the estimates stays what it is, equal weights
change nothing, and an estimate whose weight goes to 0 goes silent.

Conventions: estimates are float32 `[num_active, time, channels]`; channels are shared out one by one, by the same
weights. STFT frames are windowed by the root of a Hann window before and after.
"""

from collections.abc import Callable

import numpy as np
import scipy.fft

from audio.root_hann_stft import STFT_FRAMES_PER_GROUP, RootHannStft

_SMALLEST = 1e-12  # keeps the share of silence finite

Weights = Callable[[np.ndarray], np.ndarray]  # of times in seconds [num_times]: [num_active, num_times]


class Reweighter:
    """Shares out a stream of estimates, in memory that does not grow with it; how it is cut does not matter.

    Args:
        weights: of the estimates at given times, not below 0, one of them above it at any time.
        sample_rate_hz: of the estimates.
    """

    def __init__(self, weights: Weights, sample_rate_hz: float):
        self._stft = RootHannStft(sample_rate_hz)
        self.frame_length, self.hop_length = self._stft.frame_length, self._stft.hop_length
        self._margin = self.frame_length - self.hop_length
        self._weights, self._rate_hz = weights, sample_rate_hz
        # Both `[num_active, channels, time]`: what no STFT frame has taken, and what later ones add to.
        self._waiting: np.ndarray | None = None
        self._ringing: np.ndarray | None = None
        self._num_stft_frames = 0

    def push(self, estimates: np.ndarray) -> np.ndarray:
        """Takes a block and returns the stretch that is ready, `[num_active, time, channels]`; it may be empty."""
        block = estimates.swapaxes(1, 2)
        if self._waiting is None or self._ringing is None:
            # As many STFT frames cover the first sample as any other.
            self._waiting = np.zeros((*block.shape[:2], self._margin), np.float32)
            self._ringing = self._waiting
        self._waiting = np.concatenate([self._waiting, block], axis=2)
        ready = [block[:, :, :0].astype(np.float32)]
        while num_new := min(self._num_complete, STFT_FRAMES_PER_GROUP):
            before_start = max(self._margin - self._num_stft_frames * self.hop_length, 0)
            ready.append(self._next_hops(num_new)[:, :, before_start:])
            self._waiting = self._waiting[:, :, num_new * self.hop_length :]
            self._num_stft_frames += num_new
        return np.ascontiguousarray(np.concatenate(ready, axis=2).swapaxes(1, 2))

    def finish(self) -> np.ndarray:
        """What is still to come after the last block; no estimates where there was none."""
        if self._waiting is None:
            return np.zeros((0, 0, 0), np.float32)
        num_active, num_channels, num_waiting = self._waiting.shape
        missing = num_waiting - max(self._margin - self._num_stft_frames * self.hop_length, 0)
        # Until the last STFT frame that covers a sample has come.
        silence = np.zeros((num_active, self.frame_length + self.hop_length, num_channels), np.float32)
        return self.push(silence)[:, :missing]

    @property
    def _num_complete(self) -> int:
        assert self._waiting is not None
        return max((self._waiting.shape[2] - self.frame_length) // self.hop_length + 1, 0)

    def _next_hops(self, num_new: int) -> np.ndarray:
        """As many hops as new STFT frames, shared out, to which no later frame adds, `[num_active, channels, time]`."""
        assert self._waiting is not None and self._ringing is not None
        length = num_new * self.hop_length
        frames = self._stft.frames(self._waiting[:, :, : length + self._margin])
        starts = np.arange(self._num_stft_frames, self._num_stft_frames + num_new) * self.hop_length - self._margin
        weights = self._weights((starts + self.frame_length / 2) / self._rate_hz)[:, None, :, None].astype(np.float32)
        # Mostly nobody rests, and equal weights change nothing.
        if np.any(weights != weights[:1]):
            shared = share_by_weight(scipy.fft.rfft(frames), weights)
            frames = scipy.fft.irfft(shared, self.frame_length)
        added = self._stft.overlap_add(frames)
        added[:, :, : self._margin] += self._ringing
        self._ringing = added[:, :, length:]
        return added[:, :, :length]


def share_by_weight(spectra: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spectra shared out by weights; the module says how.

    Args:
        spectra: of the estimates, complex64 `[num_active, ...]`.
        weights: float32 `[num_active, ...]`, broadcast to them; not below 0, one of them above it at any place.

    Returns:
        As many spectra of the same sum, complex64.
    """
    magnitudes = np.abs(spectra) + np.float32(_SMALLEST)
    weighed = weights * (magnitudes / magnitudes.sum(axis=0))
    total = weighed.sum(axis=0)
    shared = (weights / total) * spectra
    return shared + (weighed / total) * (spectra - shared).sum(axis=0)


def share_difference(estimates: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Shares the mixture minus the estimates' sum equally among the estimates (Wisdom et al., ICASSP 2019, equation 5).

    The NumPy twin of `audio.consistency.MixtureConsistency` for one example whose instruments are all active.

    Args:
        estimates: `[num_active, time, channels]`.
        mixture: `[time, channels]`.

    Returns:
        Estimates that add up to the mixture, `[num_active, time, channels]`; none stay none.
    """
    if not len(estimates):
        return estimates
    return estimates + (mixture - estimates.sum(axis=0)) / len(estimates)
