"""Random but musical single lines: what is played, before anybody plays it.

A line is a chain of phrases. Each phrase has one figure (a tune, a scale, an arpeggio, long notes, repeated notes,
broken chords, a fast passage, a trill), its own rhythm, loudness contour and articulation, and lives on a ladder: the
pitches of one key inside one stretch of the instrument's range.

Conventions:
    Times are seconds from the line's start. Pitches are integer MIDI numbers. Levels are dB relative to the line's mean
    dynamic. Everything is drawn from the generator that is passed in: the same seed gives the same line.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError

_SCALES = (
    (0, 2, 4, 5, 7, 9, 11), (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 8, 11),
    (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 7, 9), tuple(range(12)),
)  # fmt: skip
_RHYTHMS = (
    (1.0, 1.0, 1.0, 1.0), (1.0, 0.5, 0.5, 1.0, 1.0), (1.5, 0.5, 1.0, 1.0), (2.0, 1.0, 1.0), (2.0, 2.0), (3.0, 1.0),
    (0.5,) * 8, (0.75, 0.25, 1.0, 0.75, 0.25, 1.0), (1 / 3,) * 6 + (1.0, 1.0), (0.5, 0.25, 0.25) * 2 + (1.0, 1.0),
    (1.0, 2.0, 1.0), (4.0,), (0.5, 1.0, 0.5, 1.0, 1.0), (0.25,) * 4 + (0.5, 0.5, 1.0, 1.0),
)  # fmt: skip
_SHORTEST_SECONDS = 0.08
_LONGEST_SECONDS = 6.0
_MIN_SPAN = 7


@dataclass(frozen=True)
class Note:
    """One note of a line.

    Attributes:
        start_seconds: onset.
        duration_seconds: how long it sounds, release not counted.
        pitch: MIDI number.
        level_db: loudness relative to the line's mean dynamic.
        legato: whether it runs into the next note without a gap.
    """

    start_seconds: float
    duration_seconds: float
    pitch: int
    level_db: float
    legato: bool


@dataclass(frozen=True)
class _Phrase:
    """A figure in the making: steps on the ladder and their lengths in beats."""

    steps: list[int]
    beats: list[float]
    gate: float
    legato: bool


def _ladder(low: int, high: int, rng: np.random.Generator) -> np.ndarray:
    """Pitches of a random key between two pitches, ascending, int `[num_steps]`."""
    scale = _SCALES[int(rng.integers(len(_SCALES)))]
    tonic = int(rng.integers(12))
    pitches = np.array([pitch for pitch in range(low, high + 1) if (pitch - tonic) % 12 in scale])
    return pitches if len(pitches) >= 3 else np.arange(low, high + 1)


def _reflect(step: int, num_steps: int) -> int:
    """A step folded back into the ladder at its ends."""
    period = max(1, 2 * (num_steps - 1))
    step %= period
    return step if step < num_steps else period - step


def _rhythm(num_beats: float, rng: np.random.Generator) -> list[float]:
    beats: list[float] = []
    while sum(beats) < num_beats:
        beats.extend(_RHYTHMS[int(rng.integers(len(_RHYTHMS)))])
    return beats


def _tune(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    beats = _rhythm(num_beats, rng)
    moves = rng.choice([-4, -3, -2, -1, -1, -1, 0, 1, 1, 1, 2, 3, 4, 7], len(beats))
    return _Phrase(list(start + np.cumsum(moves)), beats, rng.uniform(0.8, 1.0), bool(rng.random() < 0.6))


def _scale(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    unit = float(rng.choice([0.25, 1 / 3, 0.5, 1.0]))
    count = max(3, round(num_beats / unit))
    steps = start + int(rng.choice([-1, 1])) * np.arange(count)
    beats = [unit] * (count - 1) + [max(1.0, unit)]
    return _Phrase(list(steps), beats, rng.uniform(0.6, 1.0), bool(rng.random() < 0.6))


def _arpeggio(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    unit = float(rng.choice([0.25, 1 / 3, 0.5, 1.0]))
    count = max(3, round(num_beats / unit))
    steps = start + int(rng.choice([-1, 1])) * np.array([0, 2, 4, 7, 9, 11, 9, 7, 4, 2])[np.arange(count) % 10]
    return _Phrase(list(steps), [unit] * count, rng.uniform(0.5, 1.0), bool(rng.random() < 0.5))


def _sustained(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    beats: list[float] = []
    while sum(beats) < num_beats:
        beats.append(float(rng.choice([2.0, 3.0, 4.0, 6.0])))
    moves = rng.choice([-3, -2, -1, 1, 2, 3], len(beats))
    return _Phrase(list(start + np.cumsum(moves)), beats, rng.uniform(0.9, 1.0), bool(rng.random() < 0.7))


def _repeated(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    unit = float(rng.choice([0.25, 0.5, 0.5, 1.0]))
    count = max(4, round(num_beats / unit))
    group = int(rng.choice([4, 8]))
    moves = rng.choice([-2, -1, 0, 1, 2, 4], count // group + 1)
    steps = start + np.repeat(np.cumsum(moves), group)[:count]
    return _Phrase(list(steps), [unit] * count, rng.uniform(0.45, 0.9), False)


def _broken_chords(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    unit = float(rng.choice([0.25, 0.5, 0.5, 1 / 3]))
    pattern = np.array(((0, 4, 2, 4), (0, 2, 4, 2), (0, 2, 4), (0, 4, 7, 4), (0, 7))[int(rng.integers(5))])
    count = max(len(pattern), round(num_beats / unit))
    roots = start + np.cumsum(rng.choice([-3, -2, 0, 1, 3, 4], count // len(pattern) + 1))
    steps = (roots[:, None] + pattern[None, :]).reshape(-1)[:count]
    return _Phrase(list(steps), [unit] * count, rng.uniform(0.6, 1.0), bool(rng.random() < 0.4))


def _fast_passage(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    count = max(6, round(num_beats / 0.25))
    moves = rng.choice([-1, 1], count // 4 + 1).repeat(4)[:count]
    return _Phrase(list(start + np.cumsum(moves)), [0.25] * count, rng.uniform(0.7, 1.0), bool(rng.random() < 0.6))


def _trill(start: int, num_beats: float, rng: np.random.Generator) -> _Phrase:
    count = max(6, round(min(num_beats, 4.0) / 0.125))
    steps = start + np.arange(count) % 2
    return _Phrase([*steps, start], [0.125] * count + [2.0], 1.0, True)


_FIGURES: tuple[tuple[float, Callable[[int, float, np.random.Generator], _Phrase]], ...] = (
    (0.36, _tune),
    (0.10, _scale),
    (0.09, _arpeggio),
    (0.18, _sustained),
    (0.10, _repeated),
    (0.08, _broken_chords),
    (0.07, _fast_passage),
    (0.02, _trill),
)


def _window(low: int, high: int, usual: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """A stretch of 10 to 20 semitones whose centre mostly lies in the usual range."""
    inside = max(low, usual[0]), min(high, usual[1])
    if inside[0] > inside[1] or rng.random() < 0.2:
        inside = low, high
    centre = rng.uniform(*inside)
    half = rng.uniform(5.0, 10.0)
    bottom, top = max(low, round(centre - half)), min(high, round(centre + half))
    if top - bottom < _MIN_SPAN:
        bottom, top = max(low, min(bottom, high - _MIN_SPAN)), min(high, max(top, low + _MIN_SPAN))
    return bottom, top


def _contour_db(num_notes: int, rng: np.random.Generator) -> np.ndarray:
    """Loudness of a phrase's notes: a base, an arch or a slope, accents and a little chance, dB `[num_notes]`."""
    position = np.linspace(0.0, 1.0, num_notes)
    arch = rng.uniform(-2.0, 5.0) * np.sin(np.pi * position)
    slope = rng.uniform(-3.0, 3.0) * (position - 0.5)
    accent = np.where(np.arange(num_notes) % int(rng.choice([2, 3, 4])) == 0, rng.uniform(0.0, 2.5), 0.0)
    return rng.normal(0.0, 3.5) + arch + slope + accent + rng.normal(0.0, 0.8, num_notes)


def _phrase_notes(
    phrase: _Phrase, ladder: np.ndarray, start_seconds: float, beat_seconds: float, rng: np.random.Generator
) -> tuple[list[Note], float]:
    """The phrase's notes, and when it ends in seconds."""
    levels_db = _contour_db(len(phrase.steps), rng)
    notes, time = [], start_seconds
    for i, (step, beats) in enumerate(zip(phrase.steps, phrase.beats)):
        seconds = float(np.clip(beats * beat_seconds, _SHORTEST_SECONDS, _LONGEST_SECONDS))
        legato = phrase.legato and i + 1 < len(phrase.steps)
        sounding = seconds if legato else max(seconds * phrase.gate, 0.6 * _SHORTEST_SECONDS)
        jitter = abs(rng.normal(0.0, 0.006)) if time > 0 else 0.0
        pitch = int(ladder[_reflect(int(step), len(ladder))])
        notes.append(Note(time + jitter, sounding, pitch, float(levels_db[i]), legato))
        time += seconds
    return notes, time


def random_line(
    seconds: float, low: int, high: int, usual: tuple[int, int], rng: np.random.Generator
) -> tuple[Note, ...]:
    """A random line of about the given length.

    Args:
        seconds: wanted length; the last phrase ends a little before or after.
        low: lowest MIDI pitch allowed.
        high: highest MIDI pitch allowed.
        usual: where most lines should lie.
        rng: source of all chance.

    Returns:
        Notes ordered by onset, the first at 0.0; every pitch is between `low` and `high`.

    Raises:
        ParameterError: where there are no pitches to play or no time to play them in.
    """
    if high < low or seconds <= 0:
        raise ParameterError(
            f"Expected low <= high and a positive length. Received: low={low}, high={high}, seconds={seconds}"
        )
    ladder = _ladder(*_window(low, high, usual, rng), rng)
    beat_seconds = 60.0 / rng.uniform(50.0, 150.0)
    weights = np.array([weight for weight, _ in _FIGURES])
    notes: list[Note] = []
    time, step = 0.0, int(rng.integers(len(ladder)))
    while time < seconds:
        figure = _FIGURES[int(rng.choice(len(_FIGURES), p=weights / weights.sum()))][1]
        num_beats = max(2.0, min(float(rng.choice([4.0, 6.0, 8.0])), (seconds - time) / beat_seconds))
        added, time = _phrase_notes(figure(step, num_beats, rng), ladder, time, beat_seconds, rng)
        notes.extend(added)
        step = int(np.argmin(np.abs(ladder - notes[-1].pitch)))
        if rng.random() < 0.4:
            time += rng.uniform(0.1, 0.5)
    return tuple(notes)
