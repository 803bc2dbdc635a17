"""Parts played by a soundfont, each note heard exactly when it is due and as high as it is meant to be.

A soundfont's instruments take up to 70 ms to speak and are up to 20 cents out of tune, differently from key to key. So
each instrument is listened to once, note by note, and then played early and retuned by what was heard. Intonation and
vibrato are pitch bends, so that they are known; the soundfont's own vibrato is left off.

Conventions:
    Waveforms are float32 `[time]`, mono, not leveled. Programs are General MIDI, counted from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from av_sep.datasets.note_samples import onset_sample, wobble_cents
from av_sep.datasets.pitch import frame_pitches, typical_pitch
from av_sep.datasets.soundfonts import TICKS_PER_SECOND, Event, bend_event, run_fluidsynth
from av_sep.datasets.synthetic.performance import PlayedNote, PlayedPart, vibrato_contour
from av_sep.datasets.synthetic.sample_player import OWN_VIBRATO_CENTS, RenderedPart

_LISTENING_RATE_HZ = 16000
_SLOT_SECONDS = 0.9
_NOTE_SECONDS = 0.65
_LISTENING_VELOCITY = 88
_LARGEST_MISTUNING_CENTS = 60.0
_TAIL_SECONDS = 1.2
_VIBRATO_STEP_SECONDS = 0.012
_SLUR_OVERLAP_SECONDS = 0.02


@dataclass(frozen=True)
class HeardKey:
    """What one key of a soundfont's instrument was heard to do.

    Attributes:
        delay_seconds: from the key's being struck to the sound.
        cents: how far it sounds from its name.
        wobble_cents: how far its pitch moves by itself.
    """

    delay_seconds: float
    cents: float
    wobble_cents: float


@lru_cache(maxsize=256)
def listen(soundfont: Path, program: int, low: int, high: int) -> tuple[HeardKey, ...]:
    """Every key of an instrument from `low` to `high`, heard one by one; kept for the life of the process.

    Raises:
        MediaError: as `run_fluidsynth`.
    """
    events: list[Event] = [(0, 0, bytes([0xC0, program])), (0, 0, bytes([0xB0, 7, 110]))]
    for i, pitch in enumerate(range(low, high + 1)):
        start, end = (round((i * _SLOT_SECONDS + at) * TICKS_PER_SECOND) for at in (0.0, _NOTE_SECONDS))
        events += [(start, 1, bytes([0x90, pitch, _LISTENING_VELOCITY])), (end, 0, bytes([0x80, pitch, 0]))]
    waveform = run_fluidsynth(events, soundfont, _LISTENING_RATE_HZ)
    keys = []
    for i, pitch in enumerate(range(low, high + 1)):
        start = int(i * _SLOT_SECONDS * _LISTENING_RATE_HZ)
        keys.append(_heard(waveform[start : start + int(_NOTE_SECONDS * _LISTENING_RATE_HZ)], pitch))
    return tuple(keys)


def _heard(waveform: np.ndarray, pitch: int) -> HeardKey:
    pitches = frame_pitches(waveform, _LISTENING_RATE_HZ)
    sounding = typical_pitch(pitches)
    cents = 0.0 if sounding is None else 100.0 * (sounding - pitch)
    # Further off than that, the ear has taken an overtone for the note.
    trusted = sounding is not None and abs(cents) < _LARGEST_MISTUNING_CENTS
    delay_seconds = onset_sample(waveform, _LISTENING_RATE_HZ) / _LISTENING_RATE_HZ
    return HeardKey(delay_seconds, cents if trusted else 0.0, wobble_cents(pitches) if trusted else 0.0)


def _note_events(played: PlayedNote, key: HeardKey, offset_seconds: float) -> list[Event]:
    """Bend, key down, vibrato, key up; struck early by the key's delay."""
    note = played.note
    struck = offset_seconds + note.start_seconds - key.delay_seconds
    start = max(0, round(struck * TICKS_PER_SECOND))
    overlap = _SLUR_OVERLAP_SECONDS if note.legato else 0.0
    end = max(start + 20, round((struck + note.duration_seconds + overlap) * TICKS_PER_SECOND))
    velocity = int(np.clip(88.0 * 10.0 ** (note.level_db / 40.0), 30, 124))
    cents = played.cents - key.cents
    events = [
        bend_event(start, cents),
        (start, 3, bytes([0x90, note.pitch, velocity])),
        (end, 1, bytes([0x80, note.pitch, 0])),
    ]
    if played.vibrato_cents:
        times = np.arange(0.0, note.duration_seconds, _VIBRATO_STEP_SECONDS)
        ticks = np.round((struck + key.delay_seconds + times) * TICKS_PER_SECOND).astype(int)
        contour = cents + vibrato_contour(times, played)
        events += [bend_event(int(tick), float(value)) for tick, value in zip(ticks, contour) if start < tick < end]
    return events


def play_soundfont(
    parts: Sequence[PlayedPart], soundfont: Path, num_samples: int, sample_rate_hz: int
) -> list[RenderedPart]:
    """Parts played by one soundfont in a single run of fluidsynth, each in a time slot of its own.

    Args:
        parts: what to play.
        soundfont: .sf2 or .sf3 file.
        num_samples: length of each result; what sounds longer is cut.
        sample_rate_hz: rate of the results.

    Raises:
        MediaError: as `run_fluidsynth`.
    """
    events: list[Event] = []
    slots, offset, sounded = [], 0.2, []
    for part in parts:
        tick = max(0, round((offset - 0.15) * TICKS_PER_SECOND))
        events += [(tick, 0, bytes([0xC0, part.voice.program])), (tick, 0, bytes([0xB0, 7, 110]))]
        notes = []
        for played, key in _keyed(part, soundfont):
            played = played if key.wobble_cents <= OWN_VIBRATO_CENTS else replace(played, vibrato_cents=0.0)
            events += _note_events(played, key, offset)
            notes.append(played)
        slots.append(offset)
        sounded.append(tuple(notes))
        ends = [played.note.start_seconds + played.note.duration_seconds for played in part.notes]
        offset += max(ends, default=0.0) + _TAIL_SECONDS
    waveform = run_fluidsynth(events, soundfont, sample_rate_hz)
    return [
        RenderedPart(_cut(waveform, start, end, num_samples, sample_rate_hz), notes)
        for start, end, notes in zip(slots, [*slots[1:], offset], sounded)
    ]


def _keyed(part: PlayedPart, soundfont: Path) -> list[tuple[PlayedNote, HeardKey]]:
    if not part.notes:
        return []
    low, high = part.voice.full
    keys = listen(soundfont, part.voice.program, low, high)
    return [(played, keys[played.note.pitch - low]) for played in part.notes]


def _cut(waveform: np.ndarray, start: float, end: float, num_samples: int, sample_rate_hz: int) -> np.ndarray:
    """A slot of the render at the length wanted; the next slot's first 0.15 s may already hold its early attacks."""
    piece = waveform[int(start * sample_rate_hz) : int((end - 0.15) * sample_rate_hz)][:num_samples]
    return np.pad(piece, (0, num_samples - len(piece))).astype(np.float32)
