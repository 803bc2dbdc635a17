"""Fundamental frequency of a rendered part over time, measured around the notes that are known to be played.

The notes say where to look: the lag at which the sound repeats itself best is sought within a semitone of the known
period only, so that octave errors cannot happen, and whatever vibrato the recorded notes bring along is found.

Conventions:
    Waveforms are float `[time]`, dry. Frames are 10 ms apart, as URMP's.
"""

from collections.abc import Sequence

import numpy as np
import soxr

from av_sep.datasets.synthetic.performance import PlayedNote

HOP_SECONDS = 0.01
_RATE_HZ = 16000
_HALF_WINDOW_SECONDS = 0.012
_LARGEST_DEVIATION = 2.0 ** (0.8 / 12.0)
_SHORTEST_LAG_SECONDS = 0.004
_CLEAR = 0.6
_MARGIN_SECONDS = 0.2


def f0_track(waveform: np.ndarray, sample_rate_hz: int, notes: Sequence[PlayedNote]) -> np.ndarray:
    """Times and frequencies of a part, float64 `[num_frames, 2]`; 0 Hz where no note is held.

    Frames in which the sound is not periodic (attacks) hold the note's own frequency.

    Args:
        waveform: the part, no room.
        sample_rate_hz: its rate.
        notes: what is played, at their exact times.
    """
    times = np.arange(0.0, len(waveform) / sample_rate_hz, HOP_SECONDS)
    track = np.stack([times, np.zeros(len(times))], axis=1)
    sound = soxr.resample(waveform, sample_rate_hz, _RATE_HZ).astype(np.float64)
    for played in notes:
        start, end = played.note.start_seconds, played.note.start_seconds + played.note.duration_seconds
        first, last = np.searchsorted(times, [start, end])
        if last > first:
            # What lies further away than the longest lag and half a window does not matter.
            begin = max(0, int((start - _MARGIN_SECONDS) * _RATE_HZ))
            piece = sound[begin : int((end + _MARGIN_SECONDS) * _RATE_HZ)]
            offset = begin / _RATE_HZ
            track[first:last, 1] = _note_track(piece, times[first:last] - offset, start - offset, played.frequency_hz)
    return track


def _note_track(sound: np.ndarray, times: np.ndarray, start: float, frequency_hz: float) -> np.ndarray:
    """Frequencies of one note's frames, float64 `[num_frames]`."""
    # Several periods of a high note are measured at once, because a single one is few samples long.
    num_periods = max(1, round(_SHORTEST_LAG_SECONDS * frequency_hz))
    centre = num_periods * _RATE_HZ / frequency_hz
    # Several periods repeat at every other period too: look no further than half of one to either side.
    reach = max(3, round(min(centre * (_LARGEST_DEVIATION - 1.0), 0.5 * centre / num_periods)))
    lags = np.arange(max(2, round(centre) - reach - 1), round(centre) + reach + 2)
    half = int(max(_HALF_WINDOW_SECONDS * _RATE_HZ, centre / 2.0))
    # Before its onset a note has not sounded: its first frames look ahead.
    middles = np.round(np.maximum(times, start + half / _RATE_HZ) * _RATE_HZ).astype(int)
    similarity = _similarity(sound, middles, half, lags)
    best = np.argmax(similarity[:, 1:-1], axis=1) + 1
    rows = np.arange(len(best))
    left, peak, right = (similarity[rows, best + shift] for shift in (-1, 0, 1))
    bend = np.minimum(left - 2.0 * peak + right, -1e-12)
    lag = lags[best] + np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return np.where(peak > _CLEAR, num_periods * _RATE_HZ / lag, frequency_hz)


def _similarity(sound: np.ndarray, middles: np.ndarray, half: int, lags: np.ndarray) -> np.ndarray:
    """Normalized correlation of windows around `middles` with the sound later by each lag, `[num_frames, num_lags]`."""
    longest = int(lags[-1])
    padded = np.pad(sound, (half + longest, half + longest))
    # Each pair of windows lies symmetrically around its frame.
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)
    power = np.concatenate([[0.0], np.cumsum(padded**2)])
    result = np.empty((len(middles), len(lags)))
    for column, lag in enumerate(lags):
        first = np.clip(middles + longest - int(lag) // 2, 0, len(windows) - 1 - int(lag))
        second = first + int(lag)
        energy = [power[at + 2 * half] - power[at] for at in (first, second)]
        product = np.einsum("ft,ft->f", windows[first], windows[second])
        result[:, column] = product / np.sqrt(np.maximum(energy[0] * energy[1], 1e-12))
    return result
