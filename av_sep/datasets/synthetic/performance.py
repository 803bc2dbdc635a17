"""Expression: what players make of a score.

The ensemble shares a tempo that drifts and broadens at the end, and a dynamic that swells from phrase to phrase. Each
player adds a time of his own, an intonation, a vibrato, accents and an articulation.

Conventions:
    Times are seconds from the start of the piece. Cents are relative to equal temperament at A4 = 440 Hz. Levels are dB
    relative to the player's mean dynamic. All chance comes from the generator passed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.datasets.instrument_ranges import Voice
from av_sep.datasets.melodies import Note
from av_sep.datasets.pitch import hz_from_midi
from av_sep.datasets.synthetic.scores import Score
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

_SHORTEST_SECONDS = 0.07
_LARGEST_TIMING_SECONDS = 0.035
_MIN_VIBRATO_SECONDS = 0.35
_PHRASE_SECONDS = (2.0, 6.0)
# Horn and clarinet players hardly ever use it, violinists nearly always: shares of players by family.
_VIBRATO_SHARES = {"strings": 0.85, "woodwinds": 0.5, "brass": 0.25}
VIBRATO_DELAY_SECONDS = 0.15
VIBRATO_RISE_SECONDS = 0.25


@dataclass(frozen=True)
class PlayedNote:
    """A note as it is to sound.

    Attributes:
        note: onset, duration, pitch, level and whether it runs into the next, in performed time.
        cents: intonation.
        vibrato_cents: depth of the vibrato to either side; 0 for none.
        vibrato_hz: its rate.
    """

    note: Note
    cents: float
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.5

    @property
    def pitch(self) -> float:
        """Fractional MIDI pitch around which the note sounds."""
        return self.note.pitch + self.cents / 100.0

    @property
    def frequency_hz(self) -> float:
        """The same in Hz."""
        return hz_from_midi(self.pitch)


@dataclass(frozen=True)
class PlayedPart:
    """What one player plays.

    Attributes:
        instrument: long name.
        voice: member of the instrument's family; all notes lie in its full range.
        notes: by onset.
    """

    instrument: str
    voice: Voice
    notes: tuple[PlayedNote, ...]


def vibrato_contour(times: np.ndarray, played: PlayedNote) -> np.ndarray:
    """Deviation of the pitch by vibrato, cents `[num_times]`, for times in seconds after the note's onset.

    It sets in after the attack and reaches its depth a quarter of a second later.
    """
    depth = played.vibrato_cents * np.clip((times - VIBRATO_DELAY_SECONDS) / VIBRATO_RISE_SECONDS, 0.0, 1.0)
    return depth * np.sin(2.0 * np.pi * played.vibrato_hz * (times - VIBRATO_DELAY_SECONDS))


def perform(score: Score, start_seconds: float, end_seconds: float, rng: np.random.Generator) -> tuple[PlayedPart, ...]:
    """A performance of a score.

    Args:
        score: what to play.
        start_seconds: when the first bar begins.
        end_seconds: when all notes have ended; the tempo is chosen to get there.
        rng: all chance.

    Returns:
        One part for each of the score's, in order.

    Raises:
        ParameterError: where there is no time to play in.
    """
    if not 0.0 <= start_seconds < end_seconds:
        raise ParameterError(f"Expected 0 <= start < end. Received: {start_seconds:g} and {end_seconds:g} s")
    clock = _Clock(score.seconds, start_seconds, end_seconds, rng)
    swell = _Swell(score.seconds, rng)
    parts = []
    for part in score.parts:
        notes = _play_part(part.notes, part.instrument, clock, swell, rng)
        parts.append(PlayedPart(part.instrument, part.voice, notes))
    return tuple(parts)


class _Clock:
    """From score time to performed time: a tempo that wanders by a few percent and broadens at the end."""

    def __init__(self, score_seconds: float, start_seconds: float, end_seconds: float, rng: np.random.Generator):
        self._grid = np.linspace(0.0, score_seconds, 200)
        phases, depths = rng.uniform(0.0, 2.0 * np.pi, 4), rng.normal(0.0, 0.015, 4)
        position = self._grid / score_seconds
        slowness = 1.0 + sum(
            depth * np.sin(2.0 * np.pi * (k + 1) * position + phase)
            for k, (phase, depth) in enumerate(zip(phases, depths))
        )
        slowness += rng.uniform(0.0, 0.35) * np.clip((position - 0.94) / 0.06, 0.0, 1.0) ** 2
        elapsed = np.concatenate([[0.0], np.cumsum(0.5 * (slowness[1:] + slowness[:-1]))])
        # A hair of room at the end, so that late players end in time as well.
        span = end_seconds - start_seconds - 2.0 * _LARGEST_TIMING_SECONDS
        self._performed = start_seconds + elapsed / elapsed[-1] * span

    def __call__(self, score_seconds: float) -> float:
        return float(np.interp(score_seconds, self._grid, self._performed))


class _Swell:
    """The ensemble's dynamic over score time: a level for each phrase, gliding from one to the next."""

    def __init__(self, score_seconds: float, rng: np.random.Generator):
        self.borders = [0.0]
        while self.borders[-1] < score_seconds:
            self.borders.append(self.borders[-1] + rng.uniform(*_PHRASE_SECONDS))
        self._levels_db = rng.normal(0.0, 2.5, len(self.borders))

    def __call__(self, score_seconds: float) -> float:
        return float(np.interp(score_seconds, self.borders, self._levels_db))

    def phrase(self, score_seconds: float) -> int:
        """Number of the phrase that a time lies in."""
        return int(np.searchsorted(self.borders, score_seconds, side="right")) - 1


def _play_part(
    notes: Sequence[Note], instrument: str, clock: _Clock, swell: _Swell, rng: np.random.Generator
) -> tuple[PlayedNote, ...]:
    """One player's notes: onsets in order, nothing longer than until the next onset."""
    lean_seconds = rng.normal(0.0, 0.006)
    tuning_cents = rng.normal(0.0, 5.0)
    vibrato = rng.random() < _VIBRATO_SHARES.get(URMP_13.family(instrument), 0.5)
    usual_depth, usual_hz = rng.uniform(8.0, 28.0), rng.uniform(4.8, 6.4)
    gates = rng.uniform(0.55, 0.98, len(swell.borders))
    onsets = _onsets([clock(note.start_seconds) for note in notes], lean_seconds, rng)
    played = []
    for i, note in enumerate(notes):
        ending = clock(note.start_seconds + note.duration_seconds)
        sounding = (onsets[i + 1] if note.legato and i + 1 < len(notes) else ending) - onsets[i]
        gate = 1.0 if note.legato else gates[swell.phrase(note.start_seconds)]
        room = onsets[i + 1] - onsets[i] if i + 1 < len(notes) else np.inf
        duration = min(max(sounding * gate, _SHORTEST_SECONDS), room)
        level_db = swell(note.start_seconds) + note.level_db + rng.normal(0.0, 1.0)
        performed = Note(onsets[i], float(duration), note.pitch, float(np.clip(level_db, -9.0, 6.0)), note.legato)
        swings = vibrato and duration >= _MIN_VIBRATO_SECONDS and rng.random() < 0.85
        depth = usual_depth * rng.uniform(0.7, 1.3) if swings else 0.0
        cents = tuning_cents + rng.normal(0.0, 4.0)
        played.append(PlayedNote(performed, float(cents), float(depth), float(usual_hz * rng.uniform(0.95, 1.05))))
    return tuple(played)


def _onsets(exact: Sequence[float], lean_seconds: float, rng: np.random.Generator) -> list[float]:
    """Onsets as a player hits them: early or late by up to 35 ms, in order, half of the written distance kept."""
    hit: list[float] = []
    for i, time in enumerate(exact):
        off = lean_seconds + rng.normal(0.0, 0.008)
        onset = max(0.0, time + float(np.clip(off, -_LARGEST_TIMING_SECONDS, _LARGEST_TIMING_SECONDS)))
        if hit:
            onset = max(onset, hit[-1] + 0.5 * (time - exact[i - 1]))
        hit.append(onset)
    return hit
