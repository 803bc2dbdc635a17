"""One instrument alone, by the minute: random lines played by recorded notes or by a soundfont, and real solos.

Separators are trained on sums of such lines, so what matters is that a line sounds like one player: onsets kept, notes
that run into each other, tuning and timing that are never quite exact, loudness that breathes.

Conventions:
    Waveforms are float32 `[time]`, mono. dBFS refers to a full scale of 1.0. All chance comes from the generator passed
    in, so the same seed renders the same samples.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.signal
import soxr

from av_sep.datasets.melodies import Note
from av_sep.datasets.note_samples import LoadedNote, SampleSet, read_mono

_FRAME_SECONDS = 0.05
_GATE_DB = -40.0
_PEAK_LIMIT = 0.95
_MIN_VIBRATO_SECONDS = 0.7


def frame_length(sample_rate_hz: int) -> int:
    """Samples in the 50 ms frames by which sounding and silence are told apart."""
    return max(1, int(_FRAME_SECONDS * sample_rate_hz))


def _frame_rms(waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """RMS of 50 ms frames, float `[num_frames]`; what is left at the end is dropped."""
    hop = frame_length(sample_rate_hz)
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    return np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))


def sounding_frames(waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Which 50 ms frames sound: those less than 40 dB below the loudest, bool `[num_frames]`."""
    level = _frame_rms(waveform, sample_rate_hz)
    return (level > 1e-6) & (level > level.max(initial=0.0) * 10.0 ** (_GATE_DB / 20.0))


def without_rumble(waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """The waveform without what lies below 20 Hz: constant offsets and handling noise; float32 `[time]`."""
    sections = scipy.signal.butter(2, 20.0, "highpass", fs=sample_rate_hz, output="sos")
    return scipy.signal.sosfilt(sections, waveform).astype(np.float32)


def normalize_loudness(waveform: np.ndarray, sample_rate_hz: int, target_dbfs: float = -20.0) -> np.ndarray:
    """The waveform at a wanted RMS over its sounding frames, turned down further where peaks would pass 0.95.

    Args:
        waveform: float `[time]`.
        sample_rate_hz: its rate.
        target_dbfs: RMS over the frames that sound.

    Returns:
        float32 `[time]`; silence stays silence.
    """
    sounding = sounding_frames(waveform, sample_rate_hz)
    if not sounding.any():
        return waveform.astype(np.float32)
    rms = float(np.sqrt(np.mean(_frame_rms(waveform, sample_rate_hz)[sounding] ** 2)))
    gain = 10.0 ** (target_dbfs / 20.0) / rms
    gain = min(gain, _PEAK_LIMIT / max(float(np.abs(waveform).max()), 1e-9))
    return (waveform * gain).astype(np.float32)


def shorten_pauses(waveform: np.ndarray, sample_rate_hz: int, longest_seconds: float = 0.3) -> np.ndarray:
    """The waveform with every pause cut down to a longest length, and none at its ends.

    Args:
        waveform: float `[time]`.
        sample_rate_hz: its rate.
        longest_seconds: what is kept of a longer pause, half of it from each of its sides.
    """
    hop = frame_length(sample_rate_hz)
    sounding = sounding_frames(waveform, sample_rate_hz)
    if not sounding.any():
        return waveform[:0]
    keep = sounding.copy()
    margin = max(1, round(longest_seconds / 2.0 / _FRAME_SECONDS))
    for shift in range(1, margin + 1):
        keep[shift:] |= sounding[:-shift]
        keep[:-shift] |= sounding[shift:]
    first, last = np.flatnonzero(sounding)[[0, -1]]
    keep[: max(0, first - 1)] = False
    keep[last + 2 :] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(int)))
    pieces = [_fade_ends(waveform[a * hop : b * hop], int(0.01 * sample_rate_hz)) for a, b in edges.reshape(-1, 2)]
    return np.concatenate(pieces)


def _fade_ends(piece: np.ndarray, length: int) -> np.ndarray:
    piece = piece.astype(np.float32).copy()
    length = min(length, len(piece) // 2)
    if length:
        ramp = np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / length).astype(np.float32) ** 2
        piece[:length] *= ramp
        piece[-length:] *= ramp[::-1]
    return piece


def join_lines(lines: Sequence[np.ndarray], sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Lines in a row, 0.1 to 0.3 s of silence between them, each line leveled to -20 dBFS, float32 `[time]`."""
    pieces: list[np.ndarray] = []
    for line in lines:
        trimmed = shorten_pauses(without_rumble(line, sample_rate_hz), sample_rate_hz)
        if len(trimmed):
            pieces.append(normalize_loudness(trimmed, sample_rate_hz))
            pieces.append(np.zeros(int(rng.uniform(0.1, 0.3) * sample_rate_hz), np.float32))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _read_positions(
    num_samples: int, ratio: float, sample_rate_hz: int, vibrato_cents: float, rng: np.random.Generator
) -> np.ndarray:
    """Where in the sample each output sample is read, float64 `[num_samples]`; vibrato sets in after the attack."""
    speed = np.full(num_samples, ratio)
    if vibrato_cents > 0.0:
        time = np.arange(num_samples) / sample_rate_hz
        depth = vibrato_cents * np.clip((time - 0.25) / 0.3, 0.0, 1.0)
        rate_hz = rng.uniform(4.8, 6.4)
        speed *= 2.0 ** (depth * np.sin(2.0 * np.pi * rate_hz * time) / 1200.0)
    return np.concatenate([[0.0], np.cumsum(speed[:-1])])


def prolong(sample: LoadedNote, num_samples: int, sample_rate_hz: int) -> np.ndarray:
    """A note's waveform made to hold for `num_samples` by repeating the middle of its held part, float32 `[time]`.

    The seams are 80 ms cross-fades, and the repeated stretch begins where it correlates best with its own end, so that
    the partials stay in phase. Notes too short for that come back as they are.
    """
    source, (first, last) = sample.waveform, sample.held
    start, end = first + int(0.3 * (last - first)), first + int(0.9 * (last - first))
    fade, search = int(0.08 * sample_rate_hz), int(0.03 * sample_rate_hz)
    if end - start < 3 * fade + search or num_samples <= last:
        return source
    tail = source[end - fade : end]
    start += int(np.argmax(scipy.signal.correlate(source[start : start + fade + search], tail, "valid")))
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    seam = tail * (1.0 - ramp) + source[start : start + fade] * ramp
    loop = np.concatenate([seam, source[start + fade : end - fade]])
    repeats = (num_samples - last) // len(loop) + 1
    return np.concatenate([source[: end - fade], *[loop] * repeats, source[end - fade :]])


def _play_note(
    note: Note, sample: LoadedNote, pitch: float, attack_seconds: float, release_seconds: float, sample_rate_hz: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """One note from one sample: shifted, cut to length, faded, at its level; float32 `[time]`."""
    ratio = 2.0 ** ((pitch - sample.pitch) / 12.0)
    wanted = int((note.duration_seconds + release_seconds) * sample_rate_hz)
    held = int(note.duration_seconds * ratio * sample_rate_hz)
    source = sample.waveform if sample.articulation == "pizzicato" else prolong(sample, held, sample_rate_hz)
    vibrato = 0.0
    if note.duration_seconds > _MIN_VIBRATO_SECONDS and rng.random() < 0.25:
        vibrato = rng.uniform(5.0, 25.0)
    length = max(1, min(wanted, int(len(source) / ratio) - 1))
    positions = _read_positions(length, ratio, sample_rate_hz, vibrato, rng)
    wave = np.interp(positions, np.arange(len(source)), source).astype(np.float32)
    release = min(length, max(1, int(release_seconds * sample_rate_hz)))
    wave[-release:] *= np.cos(0.5 * np.pi * np.arange(release) / release).astype(np.float32) ** 2
    attack = min(length, max(1, int(attack_seconds * sample_rate_hz)))
    wave[:attack] *= np.sin(0.5 * np.pi * np.arange(attack) / attack).astype(np.float32) ** 2
    return wave * np.float32(10.0 ** (note.level_db / 20.0))


def render_samples(
    notes: Sequence[Note], sample_set: SampleSet, sample_rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """A line played by recorded notes of one library.

    Args:
        notes: the line.
        sample_set: notes to play it with; its rate should be well above `sample_rate_hz`, as pitches are shifted by
            linear interpolation.
        sample_rate_hz: rate of the result.
        rng: chooses among fitting samples and draws tuning and overlap.

    Returns:
        float32 `[time]`, not leveled.
    """
    rate_hz = sample_set.sample_rate_hz
    line_cents = rng.normal(0.0, 7.0)
    end_seconds = max((note.start_seconds + note.duration_seconds for note in notes), default=0.0)
    mix = np.zeros(int((end_seconds + 1.0) * rate_hz), np.float32)
    slurred = False
    overlap = 0.0
    for note in notes:
        cents = line_cents + rng.normal(0.0, 5.0)
        dynamic = float(np.clip(0.55 + note.level_db / 16.0, 0.0, 1.0))
        sample = sample_set.pick(note.pitch, note.duration_seconds, dynamic, rng)
        attack = overlap if slurred else 0.003
        overlap = rng.uniform(0.01, 0.06)
        release = overlap if note.legato else rng.uniform(0.03, 0.12)
        wave = _play_note(note, sample, note.pitch + cents / 100.0, attack, release, rate_hz, rng)
        start = int(note.start_seconds * rate_hz)
        wave = wave[: len(mix) - start]
        mix[start : start + len(wave)] += wave
        slurred = note.legato
    return mix if rate_hz == sample_rate_hz else soxr.resample(mix, rate_hz, sample_rate_hz)


def real_solos(
    folder: Path | str, sample_rate_hz: int, max_seconds: float, piece_seconds: float = 20.0
) -> list[np.ndarray]:
    """Recordings of real solos (`<folder>/*.ogg`), cut into lines.

    Args:
        folder: sound files of one instrument alone.
        sample_rate_hz: rate of the result.
        max_seconds: stop after this much.
        piece_seconds: length of a line; each is leveled by itself later.

    Returns:
        float32 `[time]` each.
    """
    lines: list[np.ndarray] = []
    left = int(max_seconds * sample_rate_hz)
    piece = int(piece_seconds * sample_rate_hz)
    for path in sorted(Path(folder).glob("*.ogg")):
        waveform = read_mono(path, sample_rate_hz)[:left]
        left -= len(waveform)
        lines.extend(waveform[start : start + piece] for start in range(0, len(waveform), piece))
    return lines
