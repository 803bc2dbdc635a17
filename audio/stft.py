"""Short-time Fourier transform and its inverse, as pure functions of tensors, on every Keras backend.

Conventions:
    Waveforms are `[batch, time, channels]`; spectra are pairs (real, imaginary) of `[batch, stft_frames, num_bins,
    channels]`, unscaled as in `numpy.fft.rfft`. Everything is computed in float32: bfloat16 has 8 significant bits.

Padding: frame m covers the samples `m * hop_length - (frame_length - hop_length)` to `frame_length` later, with zeros
before the first and after the last sample. So the first frame ends with the first hop of the waveform, the last begins
within its last hop, and each sample lies in as many frames as every other. That is what makes the inverse exact up to
both ends, for any length.

References:
    D. Griffin, J. Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984,
    equation 6: the inverse whose transform is nearest to a changed spectrum.
"""

import functools
import math

import numpy as np
from keras import ops
from scipy.signal import get_window

from av_sep.errors import ParameterError


def num_stft_frames(num_samples, frame_length: int, hop_length: int):
    """How many frames `stft` gives for a length, an integer or a tensor."""
    return -(-(num_samples + frame_length - hop_length) // hop_length)


def stft(waveform, frame_length: int, hop_length: int, *, fft_length: int | None = None, window: str = "hann"):
    """Spectra of overlapping stretches.

    Args:
        waveform: `[batch, time, channels]`, time may be unknown while a graph is traced.
        frame_length: samples in a frame.
        hop_length: samples from one frame to the next, at most `frame_length`.
        fft_length: frames are padded with zeros to this length; None for `frame_length`.
        window: name of a periodic window, as `scipy.signal.get_window` takes it.

    Returns:
        (real, imaginary), float32 `[batch, num_stft_frames(time), fft_length // 2 + 1, channels]`.

    Raises:
        ParameterError: for lengths and windows that cannot be used.
    """
    _validate(frame_length, hop_length, fft_length)
    framed = frame(ops.transpose(ops.cast(waveform, "float32"), (0, 2, 1)), frame_length, hop_length)
    spectrum = ops.rfft(framed * analysis_window(window, frame_length), fft_length or frame_length)
    return tuple(ops.transpose(part, (0, 2, 3, 1)) for part in spectrum)


def inverse_stft(spectrum, num_samples, frame_length: int, hop_length: int, *, window: str = "hann"):
    """Waveform of a spectrum; gives back what `stft` was given, and of a changed spectrum the nearest waveform.

    Args:
        spectrum: (real, imaginary), each `[batch, stft_frames, frame_length // 2 + 1, channels]`.
        num_samples: length of the waveform, an integer or a tensor.
        frame_length: samples in a frame, a multiple of `hop_length`.
        hop_length: samples from one frame to the next.
        window: of the analysis.

    Returns:
        float32 `[batch, num_samples, channels]`.

    Raises:
        ParameterError: for lengths that cannot be used, and where the windows leave samples uncovered.
    """
    parts = tuple(ops.transpose(part, (0, 3, 1, 2)) for part in spectrum)
    return ops.transpose(overlap_add(parts, num_samples, frame_length, hop_length, window=window), (0, 2, 1))


def overlap_add(spectrum, num_samples, frame_length: int, hop_length: int, *, window: str = "hann"):
    """`inverse_stft` for spectra that have their bins last, without moving what is large.

    Args:
        spectrum: (real, imaginary), each `[batch, channels, stft_frames, frame_length // 2 + 1]`.
        num_samples: length of the waveform, an integer or a tensor.
        frame_length: samples in a frame, a multiple of `hop_length`.
        hop_length: samples from one frame to the next.
        window: of the analysis.

    Returns:
        float32 `[batch, channels, num_samples]`.

    Raises:
        ParameterError: as `inverse_stft`.
    """
    _validate(frame_length, hop_length)
    overlap = _overlap(frame_length, hop_length)
    parts = tuple(ops.cast(part, "float32") for part in spectrum)
    framed = ops.irfft(parts, frame_length) * _synthesis_window(window, frame_length, hop_length)
    blocks = ops.reshape(framed, (-1, framed.shape[1], ops.shape(framed)[2], overlap, hop_length))
    # Block j of frame m sounds together with block j - 1 of frame m + 1, so every diagonal adds up to one hop.
    total = sum(
        ops.pad(block, ((0, 0), (0, 0), (j, overlap - 1 - j), (0, 0)))
        for j, block in enumerate(ops.unstack(blocks, overlap, axis=3))
    )
    waveform = ops.reshape(total, (-1, framed.shape[1], ops.shape(total)[2] * hop_length))
    start = frame_length - hop_length
    return waveform[:, :, start : start + num_samples]


def frame(signal, frame_length: int, hop_length: int):
    """Cuts `[batch, channels, time]` into overlapping stretches `[batch, channels, stft_frames, frame_length]`."""
    num_frames = num_stft_frames(ops.shape(signal)[2], frame_length, hop_length)
    before = frame_length - hop_length
    # The longest padding that a length can need, then a cut: what is padded must not depend on an unknown length.
    signal = ops.pad(signal, ((0, 0), (0, 0), (before, before + hop_length)))
    # Slices of blocks of the common divisor need no index tensor, and their gradient no scatter.
    block = math.gcd(frame_length, hop_length)
    num_blocks = ((num_frames - 1) * hop_length + frame_length) // block
    blocks = ops.reshape(signal[:, :, : num_blocks * block], (-1, signal.shape[1], num_blocks, block))
    stride = hop_length // block
    length = stride * (num_frames - 1) + 1
    return ops.concatenate([blocks[:, :, j : j + length : stride] for j in range(frame_length // block)], axis=-1)


@functools.lru_cache(maxsize=32)
def analysis_window(window: str, frame_length: int) -> np.ndarray:
    """A periodic window `[frame_length]`, float32.

    Raises:
        ParameterError: for an unknown name.
    """
    try:
        return get_window(window, frame_length).astype(np.float32)
    except ValueError as error:
        raise ParameterError(f"Expected a window that scipy knows. Received: window={window!r}") from error


@functools.lru_cache(maxsize=32)
def _synthesis_window(window: str, frame_length: int, hop_length: int) -> np.ndarray:
    """Window over the sum of its squares at each place of a hop: products with the analysis window add up to 1."""
    shape = analysis_window(window, frame_length).astype(np.float64)
    power = np.sum(shape.reshape(-1, hop_length) ** 2, axis=0)
    if power.min() < 1e-3 * power.max():
        raise ParameterError(
            "Expected windows that overlap everywhere, for the spectrum says nothing about samples under zeros."
            f" Received: window={window!r}, frame_length={frame_length}, hop_length={hop_length}"
        )
    return (shape / np.tile(power, frame_length // hop_length)).astype(np.float32)


def _overlap(frame_length: int, hop_length: int) -> int:
    if frame_length % hop_length:
        raise ParameterError(
            "Expected frame_length to be a multiple of hop_length, to be inverted."
            f" Received: frame_length={frame_length}, hop_length={hop_length}"
        )
    return frame_length // hop_length


def _validate(frame_length: int, hop_length: int, fft_length: int | None = None) -> None:
    if not 1 <= hop_length <= frame_length or (fft_length is not None and fft_length < frame_length):
        raise ParameterError(
            "Expected 1 <= hop_length <= frame_length <= fft_length."
            f" Received: hop_length={hop_length}, frame_length={frame_length}, fft_length={fft_length}"
        )
