"""Fundamental frequency of a single note.

Conventions:
    Waveforms are float `[time]`. Pitches are fractional MIDI numbers, 69.0 = 440 Hz.

References:
    A. de Cheveigne, H. Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111(4), 2002,
    equations 6 to 8 and the parabolic interpolation of section D.
"""

import math
from collections.abc import Sequence

import numpy as np

_THRESHOLD = 0.15
_LARGEST_MULTIPLE = 16
_MIN_CONFIDENT_FRAMES = 2


def midi_from_hz(frequency_hz: float) -> float:
    """Fractional MIDI pitch of a frequency."""
    return 69.0 + 12.0 * math.log2(frequency_hz / 440.0)


def hz_from_midi(pitch: float) -> float:
    """Frequency in Hz of a fractional MIDI pitch."""
    return 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)


def normalized_difference(frame: np.ndarray, max_lag: int) -> np.ndarray:
    """YIN's cumulative mean normalized difference (equation 8).

    Args:
        frame: float `[time]`, longer than `max_lag`.
        max_lag: longest lag in samples.

    Returns:
        float64 `[max_lag + 1]`: near 0 at the period and its multiples; 1.0 at lag 0.
    """
    frame = frame.astype(np.float64)
    window = frame[: len(frame) - max_lag]
    size = 1 << (len(frame) + len(window) - 1).bit_length()
    spectrum = np.fft.rfft(frame, size) * np.conj(np.fft.rfft(window, size))
    correlation = np.fft.irfft(spectrum, size)[: max_lag + 1]
    power = np.concatenate([[0.0], np.cumsum(frame**2)])
    energy = power[len(window) : len(window) + max_lag + 1] - power[: max_lag + 1]
    difference = np.maximum(energy[0] + energy - 2.0 * correlation, 0.0)
    running_mean = np.cumsum(difference[1:]) / np.arange(1, max_lag + 1)
    normalized = np.ones(max_lag + 1)
    normalized[1:] = difference[1:] / np.maximum(running_mean, 1e-12)
    return normalized


def _frame_hz(frame: np.ndarray, sample_rate_hz: int, min_hz: float, max_hz: float) -> float | None:
    """Fundamental of one frame or None, measured over several periods because those of high notes are few samples."""
    max_lag = int(sample_rate_hz / min_hz) + 1
    min_lag = max(2, int(sample_rate_hz / max_hz))
    curve = normalized_difference(frame, max_lag)
    below = np.flatnonzero(curve[min_lag:max_lag] < _THRESHOLD)
    if not below.size:
        return None
    lag = int(below[0]) + min_lag
    while lag + 1 < max_lag and curve[lag + 1] < curve[lag]:
        lag += 1
    period = _dip(curve, lag)
    multiple = 2
    while multiple <= _LARGEST_MULTIPLE and multiple * period + 2 < max_lag:
        near = round(multiple * period)
        period = _dip(curve, near - 1 + int(np.argmin(curve[near - 1 : near + 2]))) / multiple
        multiple *= 2
    return sample_rate_hz / period


def _dip(curve: np.ndarray, lag: int) -> float:
    """Where the parabola through a lag and its neighbours is lowest, in samples."""
    left, middle, right = curve[lag - 1 : lag + 2]
    bend = left - 2.0 * middle + right
    offset = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return lag + float(np.clip(offset, -0.5, 0.5))


def frame_pitches(
    waveform: np.ndarray, sample_rate_hz: int, min_hz: float = 27.0, max_hz: float = 2500.0, num_frames: int = 7
) -> list[float]:
    """MIDI pitches of those frames of a note that are periodic, in order; arguments as for `estimate_pitch`."""
    length = int(sample_rate_hz / min_hz) + max(int(0.05 * sample_rate_hz), int(sample_rate_hz / min_hz))
    if len(waveform) < length:
        return []
    starts = np.linspace(0.1, 0.7, num_frames) * (len(waveform) - length)
    found = [_frame_hz(waveform[int(s) : int(s) + length], sample_rate_hz, min_hz, max_hz) for s in starts]
    return [midi_from_hz(hz) for hz in found if hz is not None]


def typical_pitch(pitches: Sequence[float]) -> float | None:
    """The median of the frames' pitches; None where too few frames are periodic."""
    return float(np.median(pitches)) if len(pitches) >= _MIN_CONFIDENT_FRAMES else None


def estimate_pitch(
    waveform: np.ndarray, sample_rate_hz: int, min_hz: float = 27.0, max_hz: float = 2500.0, num_frames: int = 7
) -> float | None:
    """MIDI pitch of a note: the median of YIN over frames spread across its sounding part.

    Args:
        waveform: float `[time]`, one note.
        sample_rate_hz: its rate.
        min_hz: lowest fundamental considered.
        max_hz: highest fundamental considered.
        num_frames: frames looked at.

    Returns:
        Fractional MIDI pitch, or None where too few frames are periodic (noise, or too short a note).
    """
    return typical_pitch(frame_pitches(waveform, sample_rate_hz, min_hz, max_hz, num_frames))
