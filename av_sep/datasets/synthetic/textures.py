"""How several voices share a passage: chorale, accompanied melody, round, unison, dialogue.

Conventions:
    A texture takes a passage and returns one voice for each window, in the same order (highest first). Voices may be
    empty: not everybody always plays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from av_sep.datasets.synthetic.voice_lines import Tone, bar_rhythm, bass, chord_figure, melody, moved, passing_tones
from av_sep.datasets.synthetic.harmony import Chord, Window, shift_into, voice_lead


@dataclass(frozen=True)
class Passage:
    """What a texture has to fill.

    Attributes:
        chords: one for each bar.
        beats_per_bar: metre.
        windows: pitches of each voice, highest voice first; at least one, each at least an octave wide.
        final: whether the piece ends here.
        theme: a given tune for the leading voice, which lies in no particular octave; None to invent one.
        round_bars: distance at which the theme works as a round; 0 where it does not.
    """

    chords: tuple[Chord, ...]
    beats_per_bar: int
    windows: tuple[Window, ...]
    final: bool = False
    theme: tuple[Tone, ...] | None = None
    round_bars: int = 0


def place(voice: Sequence[Tone], window: Window) -> list[Tone]:
    """A line moved by octaves into a window; pitches beyond it by more than a fourth are folded back."""
    if not voice:
        return []
    limits = (window[0] - 5, window[1] + 5)
    pitches = shift_into([tone.pitch for tone in voice], window, limits)
    return [Tone(tone.beat, tone.beats, pitch, tone.slurred) for tone, pitch in zip(voice, pitches)]


def _theme(passage: Passage, window: Window, rng: np.random.Generator) -> list[Tone]:
    if passage.theme is not None:
        return place(passage.theme, window)
    return melody(passage.chords, passage.beats_per_bar, window, rng, passage.final)


def _led_voices(passage: Passage, windows: Sequence[Window], rng: np.random.Generator) -> list[list[int]]:
    """One chord tone for each voice and bar by voice leading, `[num_voices][num_bars]`."""
    pitches = [round(sum(window) / 2.0) for window in windows]
    bars = []
    for chord in passage.chords:
        pitches = voice_lead(chord, windows, pitches, rng)
        bars.append(pitches)
    return [list(voice) for voice in zip(*bars)]


def chorale(passage: Passage, rng: np.random.Generator) -> list[list[Tone]]:
    """All voices in one rhythm, led smoothly, some thirds filled by passing tones."""
    rhythm = [length for length in bar_rhythm(passage.beats_per_bar, rng) if length >= 1.0]
    rhythm = rhythm if sum(rhythm) == passage.beats_per_bar else [float(passage.beats_per_bar)]
    pitches = [round(sum(window) / 2.0) for window in passage.windows]
    voices: list[list[Tone]] = [[] for _ in passage.windows]
    for bar, chord in enumerate(passage.chords):
        beat = float(bar * passage.beats_per_bar)
        last = passage.final and bar == len(passage.chords) - 1
        for length in [float(passage.beats_per_bar)] if last else rhythm:
            pitches = voice_lead(chord, passage.windows, pitches, rng)
            for voice, pitch in zip(voices, pitches):
                voice.append(Tone(beat, length, pitch, True))
            beat += length
    return [passing_tones(voice, passage.chords, passage.beats_per_bar, rng) for voice in voices]


def accompanied(passage: Passage, rng: np.random.Generator) -> list[list[Tone]]:
    """One voice leads, the lowest has the bass, the others fill in with a figure."""
    num_voices = len(passage.windows)
    leader = 0 if rng.random() < 0.6 else int(rng.integers(num_voices))
    kind = int(rng.integers(4))
    led = _led_voices(passage, passage.windows, rng)
    voices: list[list[Tone]] = []
    for i, window in enumerate(passage.windows):
        if i == leader:
            voices.append(_theme(passage, window, rng))
        elif i == num_voices - 1:
            voices.append(bass(passage.chords, passage.beats_per_bar, window, rng))
        else:
            voices.append(chord_figure(passage.chords, led[i], passage.beats_per_bar, window, kind))
    return voices


def _round_lines(passage: Passage, rng: np.random.Generator) -> tuple[list[list[Tone]], int]:
    """Lines that go together because they stand on the same chords, and the bars that each covers."""
    bars = passage.beats_per_bar * passage.round_bars
    if passage.theme is not None and passage.round_bars:
        count = int(max(tone.beat for tone in passage.theme) // bars) + 1
        stretches = [
            [tone for tone in passage.theme if i * bars <= tone.beat < (i + 1) * bars] for i in range(count)
        ]
        return [moved(line, -float(i * bars)) for i, line in enumerate(stretches)], passage.round_bars
    loop = 2 if len(passage.chords) >= 4 else 1
    ground = passage.chords[:loop]
    lines = [melody(ground, passage.beats_per_bar, passage.windows[0], rng) for _ in passage.windows]
    return lines, loop


def imitation(passage: Passage, rng: np.random.Generator) -> list[list[Tone]]:
    """A round: each voice enters later with what the first began with, an octave or two away where it must be."""
    lines, loop_bars = _round_lines(passage, rng)
    num_loops = len(passage.chords) // loop_bars
    order = rng.permutation(len(passage.windows)) if rng.random() < 0.5 else np.arange(len(passage.windows))
    # Where there are more voices than times to enter, some enter together.
    order = order % max(1, num_loops)
    voices: list[list[Tone]] = []
    for i, window in enumerate(passage.windows):
        voice: list[Tone] = []
        for loop in range(int(order[i]), num_loops):
            line = lines[(loop - int(order[i])) % len(lines)]
            voice += moved(line, float(loop * loop_bars * passage.beats_per_bar))
        voices.append(place(voice, window))
    return voices


def unison(passage: Passage, rng: np.random.Generator) -> list[list[Tone]]:
    """Everybody plays the tune, each in an octave of its own."""
    theme = _theme(passage, passage.windows[0], rng)
    return [place(theme, window) for window in passage.windows]


def dialogue(passage: Passage, rng: np.random.Generator) -> list[list[Tone]]:
    """The tune passes from voice to voice, bar by bar or in twos, over the lowest voice; the others rest."""
    theme = _theme(passage, passage.windows[0], rng)
    stretch = passage.beats_per_bar * int(rng.integers(1, 3))
    upper = max(1, len(passage.windows) - 1)
    voices = [
        place([tone for tone in theme if int(tone.beat // stretch) % upper == i], window)
        for i, window in enumerate(passage.windows[:upper])
    ]
    if len(passage.windows) > 1:
        voices.append(bass(passage.chords, passage.beats_per_bar, passage.windows[-1], rng))
    return voices


Texture = Callable[[Passage, np.random.Generator], list[list[Tone]]]
TEXTURES: tuple[tuple[float, Texture], ...] = (
    (0.25, chorale),
    (0.38, accompanied),
    (0.15, imitation),
    (0.08, unison),
    (0.14, dialogue),
)
