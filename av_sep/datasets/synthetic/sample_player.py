"""A part played by recorded notes, each heard exactly when it is due.

A recorded note is seldom heard at its first sample: bows and reeds take up to a tenth of a second to speak. So a note
is started early by what it takes, and slurred notes are cross-faded around the moment where one turns into the next.

Conventions:
    Waveforms are float32 `[time]`, mono, at the rate of the sample set, not leveled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from av_sep.datasets.note_samples import LoadedNote, SampleSet
from av_sep.datasets.solo_lines import prolong
from av_sep.datasets.synthetic.performance import PlayedNote, vibrato_contour

OWN_VIBRATO_CENTS = 5.0
_LONGEST_LEAD_SECONDS = 0.06
_SHORTEST_FADE_SECONDS = 0.003
_SLUR_SECONDS = (0.015, 0.05)
_RELEASE_SECONDS = (0.03, 0.1)


@dataclass(frozen=True, eq=False)
class RenderedPart:
    """A part as it sounds.

    Attributes:
        waveform: float32 `[time]`.
        notes: what is really heard: notes that end early because no recording lasts longer, vibrato only where added.
    """

    waveform: np.ndarray
    notes: tuple[PlayedNote, ...]


def interpolate(source: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values of a waveform between its samples by cubic Hermite (Catmull-Rom) interpolation, float32 `[num_positions]`.

    Args:
        source: float32 `[time]`.
        positions: ascending, in samples, from 0 to `len(source) - 1`.
    """
    padded = np.concatenate([source[:1], source, source[-1:], source[-1:]])
    index = positions.astype(np.int64)
    part = (positions - index).astype(np.float32)
    before, left, right, after = padded[index], padded[index + 1], padded[index + 2], padded[index + 3]
    slope = 0.5 * (right - before)
    square = before - 2.5 * left + 2.0 * right - 0.5 * after
    cube = 0.5 * (after - before) + 1.5 * (left - right)
    return left + part * (slope + part * (square + part * cube))


def _read_positions(
    start: float, num_samples: int, ratio: float, lead: int, rate_hz: int, played: PlayedNote
) -> np.ndarray:
    """Where in the recording each sample is read, float64 `[num_samples]`; the first `lead` come before the onset."""
    if not played.vibrato_cents:
        return start + ratio * np.arange(num_samples)
    times = (np.arange(num_samples) - lead) / rate_hz
    speed = ratio * 2.0 ** (vibrato_contour(times, played) / 1200.0)
    return start + np.concatenate([[0.0], np.cumsum(speed[:-1])])


def _fade(waveform: np.ndarray, rise: int, fall: int) -> None:
    """Raised cosines at both ends, in place; two that overlap by their whole length add up to 1."""
    rise, fall = min(rise, len(waveform)), min(fall, len(waveform))
    waveform[:rise] *= (np.sin(0.5 * np.pi * (np.arange(rise) + 0.5) / max(1, rise)) ** 2).astype(np.float32)
    waveform[len(waveform) - fall :] *= (
        np.cos(0.5 * np.pi * (np.arange(fall) + 0.5) / max(1, fall)) ** 2
    ).astype(np.float32)


def _play(
    played: PlayedNote, sample: LoadedNote, slur_before: float, slur_after: float, release_seconds: float, rate_hz: int
) -> tuple[np.ndarray, int, PlayedNote]:
    """One note: waveform, how many samples of it come before the onset, and the note as it sounds."""
    duration = played.note.duration_seconds
    ratio = 2.0 ** ((played.pitch - sample.pitch) / 12.0)
    lead_seconds = slur_before / 2.0 if slur_before else min(sample.onset / ratio / rate_hz, _LONGEST_LEAD_SECONDS)
    lead = int(lead_seconds * rate_hz)
    start = max(0.0, sample.onset - lead * ratio)
    release_seconds = slur_after or release_seconds
    # A slur's cross-fade lies half before and half after the end of the note.
    after_seconds = release_seconds / 2.0 if slur_after else release_seconds
    wanted = lead + int((duration + after_seconds) * rate_hz)
    source = sample.waveform
    if sample.articulation != "pizzicato":
        source = prolong(sample, int(start + wanted * ratio), rate_hz)
    available = int((len(source) - 2 - start) / (ratio * 2.0 ** (played.vibrato_cents / 1200.0)))
    length = max(1, min(wanted, available))
    waveform = interpolate(source, _read_positions(start, length, ratio, lead, rate_hz, played))
    rise = slur_before or min(lead_seconds, 0.01)
    _fade(waveform, int(max(rise, _SHORTEST_FADE_SECONDS) * rate_hz), max(1, int(release_seconds * rate_hz)))
    heard = min(duration, (length - lead) / rate_hz)
    note = replace(played.note, duration_seconds=heard, legato=played.note.legato and heard == duration)
    return waveform * np.float32(10.0 ** (note.level_db / 20.0)), lead, replace(played, note=note)


def play_samples(
    notes: Sequence[PlayedNote], sample_set: SampleSet, num_samples: int, rng: np.random.Generator
) -> RenderedPart:
    """A part played by one library.

    Args:
        notes: the part, by onset.
        sample_set: recordings to play it with, at the rate of the result.
        num_samples: length of the result; what sounds longer is cut.
        rng: chooses among fitting recordings and draws how notes end.
    """
    rate_hz = sample_set.sample_rate_hz
    waveform = np.zeros(num_samples, np.float32)
    sounded: list[PlayedNote] = []
    slur_before = 0.0
    for played in notes:
        dynamic = float(np.clip(0.55 + played.note.level_db / 16.0, 0.0, 1.0))
        sample = sample_set.pick(played.pitch, played.note.duration_seconds, dynamic, rng)
        if sample.wobble_cents > OWN_VIBRATO_CENTS or sample.articulation == "pizzicato":
            played = replace(played, vibrato_cents=0.0)
        slur = min(rng.uniform(*_SLUR_SECONDS), 0.5 * played.note.duration_seconds)
        release = rng.uniform(*_RELEASE_SECONDS)
        note, lead, heard = _play(
            played, sample, slur_before, slur if played.note.legato else 0.0, release, rate_hz
        )
        _add(waveform, note, int(round(played.note.start_seconds * rate_hz)) - lead)
        sounded.append(heard)
        slur_before = slur if heard.note.legato else 0.0
    return RenderedPart(waveform, tuple(sounded))


def _add(waveform: np.ndarray, note: np.ndarray, start: int) -> None:
    """Adds a note at a sample, cut where it passes either end."""
    note = note[max(0, -start) :]
    start = max(0, start)
    note = note[: max(0, len(waveform) - start)]
    waveform[start : start + len(note)] += note
