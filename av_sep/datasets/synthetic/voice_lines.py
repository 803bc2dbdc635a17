"""Single voices over given chords: melodies, basses and the figures of an accompaniment.

Conventions:
    Beats count from the beginning of the passage. A melody or figure covers whole bars, one chord each. Windows are at
    least an octave wide.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.datasets.synthetic.harmony import Chord, Window, fold, ladder, nearest

_CELLS: dict[int, tuple[tuple[float, ...], ...]] = {
    1: ((1.0,), (0.5, 0.5), (0.75, 0.25), (0.25, 0.25, 0.5), (0.5, 0.25, 0.25)),
    2: ((2.0,), (1.5, 0.5), (0.5, 1.0, 0.5), (1.0, 0.5, 0.5), (0.5, 0.5, 1.0), (1.0, 0.75, 0.25)),
    3: ((3.0,), (2.0, 1.0), (1.0, 2.0), (1.5, 0.5, 1.0), (1.0, 1.0, 0.5, 0.5)),
}


@dataclass(frozen=True)
class Tone:
    """One written note.

    Attributes:
        beat: where it begins.
        beats: written length.
        pitch: MIDI number.
        slurred: whether it is slurred to the next note of its voice.
    """

    beat: float
    beats: float
    pitch: int
    slurred: bool = False


def moved(voice: Sequence[Tone], beats: float) -> list[Tone]:
    """The same notes, later by some beats."""
    return [Tone(tone.beat + beats, tone.beats, tone.pitch, tone.slurred) for tone in voice]


def within(voice: Sequence[Tone], limits: Window) -> list[Tone]:
    """The voice with every pitch folded by octaves into an instrument's range."""
    return [Tone(tone.beat, tone.beats, fold(tone.pitch, limits), tone.slurred) for tone in voice]


def bar_rhythm(beats_per_bar: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Note lengths that fill a bar, put together from cells of one to three beats."""
    rhythm: list[float] = []
    left = beats_per_bar
    while left:
        size = int(rng.integers(1, min(3, left) + 1))
        rhythm.extend(_CELLS[size][int(rng.integers(len(_CELLS[size])))])
        left -= size
    return tuple(rhythm)


def _melody_pitch(previous: int, strong: bool, chord: Chord, window: Window, rng: np.random.Generator) -> int:
    """The next pitch of a melody: a chord tone on strong beats, a step of the scale elsewhere."""
    pitches = np.array(ladder(chord.tones if strong else chord.scale, window))
    distances = np.abs(pitches - previous)
    weights = np.exp(-distances / (3.0 if strong else 1.5)) * np.where(distances == 0, 0.3, 1.0)
    # Leans back to the middle, so that a line does not get stuck at an end of its window.
    weights = weights * np.exp(-np.abs(pitches - sum(window) / 2.0) / 12.0)
    return int(rng.choice(pitches, p=weights / weights.sum()))


def melody(
    chords: Sequence[Chord], beats_per_bar: int, window: Window, rng: np.random.Generator, final: bool = False
) -> list[Tone]:
    """A tune over chords: two rhythmic motifs that alternate, chord tones where it counts, steps between.

    Args:
        chords: one for each bar.
        beats_per_bar: metre.
        window: pitches to keep to.
        rng: all chance.
        final: whether the last bar is one long root.
    """
    motifs = [bar_rhythm(beats_per_bar, rng) for _ in range(2)]
    slur_share = 0.7 if rng.random() < 0.6 else 0.0
    pitch = round(sum(window) / 2.0)
    voice: list[Tone] = []
    for bar, chord in enumerate(chords):
        if final and bar == len(chords) - 1:
            pitch = nearest(ladder((chord.root,), window), pitch)
            voice.append(Tone(float(bar * beats_per_bar), float(beats_per_bar), pitch))
            break
        beat = 0.0
        for length in motifs[int(rng.random() < 0.35)]:
            strong = beat == 0.0 or (length >= 1.0 and beat == int(beat))
            pitch = _melody_pitch(pitch, strong, chord, window, rng)
            voice.append(Tone(bar * beats_per_bar + beat, length, pitch, bool(rng.random() < slur_share)))
            beat += length
    return voice


def bass(chords: Sequence[Chord], beats_per_bar: int, window: Window, rng: np.random.Generator) -> list[Tone]:
    """A bass line: roots, in one manner for the whole passage (long, root and fifth, walking, one beat a bar)."""
    manner = int(rng.integers(4))
    voice: list[Tone] = []
    pitch = round(sum(window) / 2.0)
    for bar, chord in enumerate(chords):
        pitch = nearest(ladder((chord.root,), window), pitch)
        fifth = nearest(ladder((chord.tones[2],), window), pitch)
        following = chords[min(bar + 1, len(chords) - 1)]
        target = nearest(ladder((following.root,), window), pitch)
        for beat, beats, sounding in _bass_bar(manner, beats_per_bar, (pitch, fifth, target), chord, window):
            voice.append(Tone(bar * beats_per_bar + beat, beats, sounding, manner == 2))
    return voice


def _bass_bar(
    manner: int, beats_per_bar: int, pitches: tuple[int, int, int], chord: Chord, window: Window
) -> list[tuple[float, float, int]]:
    """(beat, beats, pitch) of one bar, given root, fifth and the next bar's root."""
    root, fifth, target = pitches
    half = (beats_per_bar + 1) // 2
    if manner == 0 or beats_per_bar == 1:
        return [(0.0, float(beats_per_bar), root)]
    if manner == 1:
        return [(0.0, float(half), root), (float(half), float(beats_per_bar - half), fifth)]
    if manner == 2:
        scale = ladder(chord.scale, window)
        at, goal = scale.index(nearest(scale, root)), scale.index(nearest(scale, target))
        way = np.linspace(at, goal, beats_per_bar, endpoint=False)
        return [(float(beat), 1.0, scale[round(float(step))]) for beat, step in enumerate(way)]
    return [(0.0, 1.0, root)]


def chord_figure(
    chords: Sequence[Chord], pitches: Sequence[int], beats_per_bar: int, window: Window, kind: int
) -> list[Tone]:
    """An accompanying voice that circles a pitch in each bar.

    Args:
        chords: one for each bar.
        pitches: one for each bar, the chord tone this voice was led to.
        beats_per_bar: metre.
        window: pitches to keep to.
        kind: 0 holds, 1 repeats in eighths, 2 plays after the beat, 3 breaks the chord in eighths.
    """
    voice: list[Tone] = []
    for bar, (chord, pitch) in enumerate(zip(chords, pitches)):
        start = float(bar * beats_per_bar)
        if kind == 0:
            voice.append(Tone(start, float(beats_per_bar), pitch, True))
        elif kind == 1:
            voice.extend(Tone(start + 0.5 * i, 0.5, pitch) for i in range(2 * beats_per_bar))
        elif kind == 2:
            voice.extend(Tone(start + i, 1.0, pitch) for i in range(1, beats_per_bar))
        else:
            voice.extend(_broken(chord, pitch, start, beats_per_bar, window))
    return voice


def _broken(chord: Chord, pitch: int, start: float, beats_per_bar: int, window: Window) -> list[Tone]:
    """Eighths up and down the chord's tones around a pitch."""
    tones = ladder(chord.tones, window)
    at = min(bisect.bisect_left(tones, pitch), max(0, len(tones) - 3))
    pattern = [tones[min(step, len(tones) - 1)] for step in (at, at + 1, at + 2, at + 1)]
    return [Tone(start + 0.5 * i, 0.5, pattern[i % 4], i % 4 < 3) for i in range(2 * beats_per_bar)]


def passing_tones(
    voice: Sequence[Tone], chords: Sequence[Chord], beats_per_bar: int, rng: np.random.Generator
) -> list[Tone]:
    """The voice with some of its thirds filled: the first note's second half goes to the scale tone between."""
    filled: list[Tone] = []
    for tone, following in zip(voice, [*voice[1:], None]):
        between = _between(tone, following, chords[int(tone.beat // beats_per_bar)])
        if between is not None and rng.random() < 0.6:
            half = tone.beats / 2.0
            filled += [Tone(tone.beat, half, tone.pitch, True), Tone(tone.beat + half, half, between, tone.slurred)]
        else:
            filled.append(tone)
    return filled


def _between(tone: Tone, following: Tone | None, chord: Chord) -> int | None:
    """The scale tone between two notes a third apart; None where there is none or the first is short."""
    if following is None or tone.beats < 1.0 or abs(following.pitch - tone.pitch) not in (3, 4):
        return None
    low, high = sorted((tone.pitch, following.pitch))
    inside = ladder(chord.scale, (low + 1, high - 1))
    return inside[0] if inside else None
