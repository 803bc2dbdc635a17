"""The short-time spectra in which finished estimates are shared out: NumPy, root of a Hann window before and after."""

import math
from collections.abc import Iterator

import numpy as np
import scipy.fft
from scipy.signal import get_window

FRAME_SECONDS = 0.19  # resolves the partials of two low notes a semitone apart; nearest power of two of samples
OVERLAP = 4
# Bounds the memory of what is transformed at a time.
STFT_FRAMES_PER_GROUP = 16


class RootHannStft:
    """Frames of `frame_length` samples every `hop_length`; what `spectra` gives, `waveforms` takes back.

    Args:
        sample_rate_hz: of the waveforms.
    """

    def __init__(self, sample_rate_hz: float):
        self.frame_length = 2 ** max(round(math.log2(FRAME_SECONDS * sample_rate_hz)), 3)
        self.hop_length = self.frame_length // OVERLAP
        # Its square adds up to OVERLAP / 2 over the STFT frames.
        self.window = np.sqrt(get_window("hann", self.frame_length)).astype(np.float32)
        self.inverse_window = self.window * np.float32(2 / OVERLAP)

    def frames(self, waveforms: np.ndarray) -> np.ndarray:
        """Windowed stretches `[..., stft_frames, frame_length]` of `[..., time]`, a frame or longer."""
        views = np.lib.stride_tricks.sliding_window_view(waveforms, self.frame_length, axis=-1)
        return views[..., :: self.hop_length, :] * self.window

    def overlap_add(self, frames: np.ndarray) -> np.ndarray:
        """What `frames` gave, windowed again and added up, `[..., time]`; at the ends fewer overlap."""
        *axes, num_frames, _ = frames.shape
        hops = (frames * self.inverse_window).reshape(*axes, num_frames, OVERLAP, self.hop_length)
        added = np.zeros((*axes, num_frames + OVERLAP - 1, self.hop_length), np.float32)
        for number in range(OVERLAP):
            added[..., number : number + num_frames, :] += hops[..., number, :]
        return added.reshape(*axes, -1)

    def spectra(self, waveforms: np.ndarray) -> np.ndarray:
        """float32 `[..., time]`, a frame or longer, to complex64 `[..., stft_frames, bins]`."""
        return scipy.fft.rfft(self.frames(waveforms))

    def waveforms(self, spectra: np.ndarray) -> np.ndarray:
        """The waveforms again, but for the ends, which fewer STFT frames overlap."""
        return self.overlap_add(scipy.fft.irfft(spectra, self.frame_length))

    def stretches(self, num_samples: int) -> Iterator[slice]:
        """Stretches of a waveform whose STFT frames, a group each, are all that it has, one after the other."""
        overlap = self.frame_length - self.hop_length
        hop = STFT_FRAMES_PER_GROUP * self.hop_length
        return (slice(start, start + hop + overlap) for start in range(0, num_samples - overlap, hop))
