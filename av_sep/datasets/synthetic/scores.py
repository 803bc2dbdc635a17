"""Scores: what an ensemble plays, and a source of them that needs nothing but this package.

`compose` writes chamber music by rule: functional harmony in a random key and metre, voices led over it, textures that
change every few bars, and in some pieces a public-domain tune as the theme.

Conventions:
    Times are seconds at a steady tempo from the start of the piece. Parts are in stage order, left to right. All chance
    comes from the generator passed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from av_sep.datasets.instrument_ranges import Voice
from av_sep.datasets.melodies import Note
from av_sep.datasets.soundfonts import midi_file
from av_sep.datasets.synthetic.ensembles import Player, voice_windows
from av_sep.datasets.synthetic.voice_lines import Tone, moved, within
from av_sep.datasets.synthetic.harmony import Key, Window, make_chord, progression, random_key
from av_sep.datasets.synthetic.textures import TEXTURES, Passage, Texture, accompanied, chorale, imitation
from av_sep.datasets.synthetic.tunes import TUNES, Tune
from av_sep.errors import ParameterError

MIN_SECONDS = 4.0
_TUNE_SHARE = 0.35
_FORMS = ("Serenade", "Divertimento", "Fantasia", "Notturno", "Capriccio", "Intermezzo", "Sonatina", "Aria")
_BEATS_PER_BAR = (2, 3, 3, 4, 4, 4)
_BARS_PER_PASSAGE = (2, 4, 4, 8)
_TICKS_PER_QUARTER = 480


@dataclass(frozen=True)
class ScorePart:
    """What one player plays.

    Attributes:
        instrument: long name.
        voice: member of the instrument's family: program and range.
        notes: by onset, one at a time; levels are 0 dB.
    """

    instrument: str
    voice: Voice
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Score:
    """A score.

    Attributes:
        title: letters and digits only, fit for file names.
        seconds: length at the score's tempo.
        tempo_bpm: beats a minute.
        parts: in stage order.
    """

    title: str
    seconds: float
    tempo_bpm: float
    parts: tuple[ScorePart, ...]


def compose(players: Sequence[Player], seconds: float, rng: np.random.Generator) -> Score:
    """A piece for an ensemble.

    Args:
        players: in stage order; at least one.
        seconds: wanted length; the last note ends less than a bar before or after.
        rng: all chance.

    Raises:
        ParameterError: for nobody, and for pieces shorter than 4 s.
    """
    if not players or seconds < MIN_SECONDS:
        raise ParameterError(
            f"Expected players and at least {MIN_SECONDS:g} s. Received: {len(players)} players, {seconds:g} s"
        )
    tune = TUNES[int(rng.integers(len(TUNES)))] if rng.random() < _TUNE_SHARE else None
    key = replace(random_key(rng), minor=tune.minor) if tune else random_key(rng)
    beats_per_bar = tune.beats_per_bar if tune else int(rng.choice(_BEATS_PER_BAR))
    tempo_bpm = float(np.round(rng.uniform(66.0, 132.0) * (1.5 if beats_per_bar == 6 else 1.0)))
    num_bars = max(2, round(seconds * tempo_bpm / 60.0 / beats_per_bar))
    order, windows = voice_windows(players, rng)
    written = _write(key, beats_per_bar, num_bars, windows, tune, rng)
    title = tune.title if tune else f"{_FORMS[int(rng.integers(len(_FORMS)))]}{key.name}{rng.integers(100, 1000)}"
    parts: dict[int, ScorePart] = {}
    for position, tones in zip(order, written):
        player = players[position]
        notes = tone_notes(within(tones, player.voice.full), 60.0 / tempo_bpm)
        parts[position] = ScorePart(player.instrument, player.voice, notes)
    length = num_bars * beats_per_bar * 60.0 / tempo_bpm
    return Score(title, length, tempo_bpm, tuple(parts[position] for position in range(len(players))))


def _write(
    key: Key, beats_per_bar: int, num_bars: int, windows: Sequence[Window], tune: Tune | None, rng: np.random.Generator
) -> list[list[Tone]]:
    """All voices of the piece, highest first: passages in a row."""
    voices: list[list[Tone]] = [[] for _ in windows]
    rested = [False] * len(windows)
    bar = 0
    while bar < num_bars:
        size = min(len(tune.chords) if tune else int(rng.choice(_BARS_PER_PASSAGE)), num_bars - bar)
        # A single bar left over has no room for a cadence of its own.
        size += num_bars - bar - size == 1
        final = bar + size >= num_bars
        playing = list(range(len(windows))) if bar == 0 or final else _playing(rested, rng)
        passage, texture = _passage(key, beats_per_bar, size, final, [windows[i] for i in playing], tune, rng)
        if final and not all(voices):
            # Whoever has only rested so far plays at last; a chorale leaves nobody out.
            texture = chorale
        rested = [True] * len(windows)
        for i, tones in zip(playing, texture(passage, rng)):
            voices[i] += moved(tones, float(bar * beats_per_bar))
            rested[i] = not tones
        bar += size
    return voices


def _playing(rested: Sequence[bool], rng: np.random.Generator) -> list[int]:
    """Who plays in a passage: mostly all; always somebody, and whoever has rested in the one before."""
    if len(rested) < 2 or rng.random() < 0.55:
        return list(range(len(rested)))
    count = int(rng.integers(1, len(rested)))
    chosen = {int(i) for i in rng.permutation(len(rested))[:count]}
    return [i for i, idle in enumerate(rested) if idle or i in chosen]


def _passage(
    key: Key, beats_per_bar: int, num_bars: int, final: bool, windows: Sequence[Window], tune: Tune | None,
    rng: np.random.Generator,
) -> tuple[Passage, Texture]:  # fmt: skip
    """A passage and how it is set: the tune, where there is one, or something new."""
    if tune is None:
        chords = progression(key, num_bars, final, rng)
        weights = np.array([weight for weight, _ in TEXTURES])
        texture = TEXTURES[int(rng.choice(len(TEXTURES), p=weights / weights.sum()))][1]
        return Passage(chords, beats_per_bar, tuple(windows), final), texture
    chords = tuple(make_chord(key, degree) for degree in (tune.chords * 2)[:num_bars])
    theme = _theme(tune, key, num_bars)
    passage = Passage(chords, beats_per_bar, tuple(windows), final, theme, tune.round_bars)
    if tune.round_bars and rng.random() < 0.6:
        return passage, imitation
    return passage, accompanied if rng.random() < 0.75 else chorale


def _theme(tune: Tune, key: Key, num_bars: int) -> tuple[Tone, ...]:
    """The tune's first bars in the key, near middle C; the last note is cut where the bars end."""
    tones, beat = [], 0.0
    limit = float(num_bars * tune.beats_per_bar)
    while beat < limit:
        for pitch, beats in tune.notes:
            if beat < limit:
                tones.append(Tone(beat, min(beats, limit - beat), 60 + key.tonic + pitch, beats <= 1.0))
            beat += beats
    return tuple(tones)


def tone_notes(tones: Sequence[Tone], beat_seconds: float) -> tuple[Note, ...]:
    """A voice in seconds, by onset; a slur counts only where the next note follows at once and is another."""
    ordered = sorted(tones, key=lambda tone: tone.beat)
    notes = []
    for tone, following in zip(ordered, [*ordered[1:], None]):
        end = tone.beat + tone.beats
        joined = following is not None and abs(following.beat - end) < 1e-6 and following.pitch != tone.pitch
        beats = min(tone.beats, following.beat - tone.beat) if following is not None else tone.beats
        if beats > 0:
            start = tone.beat * beat_seconds
            notes.append(Note(start, beats * beat_seconds, tone.pitch, 0.0, tone.slurred and joined))
    return tuple(notes)


def score_midi(score: Score) -> bytes:
    """The score as a MIDI file at its own steady tempo, one channel a part; bars and beats fall on the ticks."""
    per_second = score.tempo_bpm / 60.0 * _TICKS_PER_QUARTER
    tempo = round(60e6 / score.tempo_bpm).to_bytes(3, "big")
    events = [(0, 0, b"\xff\x51\x03" + tempo)]
    for i, part in enumerate(score.parts):
        channel = i + (i >= 9)  # the tenth channel of General MIDI is for drums
        events.append((0, 1, bytes([0xC0 | channel, part.voice.program])))
        for note in part.notes:
            start = round(note.start_seconds * per_second)
            end = max(start + 1, round((note.start_seconds + note.duration_seconds) * per_second))
            events.append((start, 3, bytes([0x90 | channel, note.pitch, 80])))
            events.append((end, 2, bytes([0x80 | channel, note.pitch, 0])))
    return midi_file(events)
