"""Keys, chords, progressions and voice leading: the grammar that the made scores are written in.

Conventions:
    Pitches are MIDI numbers, pitch classes 0 to 11 with C = 0, degrees 0 to 6 with the tonic = 0
    (and 7, see `SUBTONIC`). Voices are ordered
    from the highest to the lowest. A window is the stretch of pitches that a voice keeps to, both ends inclusive.

References:
    S. Kostka, D. Payne, "Tonal Harmony", 8th edition, 2017: the progressions of chapter 7, doubling and parallels of
    chapters 5 and 6.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)
_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
TONIC, SUPERTONIC, MEDIANT, SUBDOMINANT, DOMINANT, SUBMEDIANT, LEADING = range(7)
SUBTONIC = 7  # the chord on the natural seventh degree of a minor key, where the leading tone is not raised
_FOLLOWERS = {
    TONIC: ((SUBDOMINANT, 4), (DOMINANT, 4), (SUBMEDIANT, 3), (SUPERTONIC, 2), (MEDIANT, 1)),
    SUPERTONIC: ((DOMINANT, 5), (LEADING, 1)),
    MEDIANT: ((SUBMEDIANT, 3), (SUBDOMINANT, 2)),
    SUBDOMINANT: ((DOMINANT, 4), (TONIC, 3), (SUPERTONIC, 2)),
    DOMINANT: ((TONIC, 5), (SUBMEDIANT, 2)),
    SUBMEDIANT: ((SUPERTONIC, 3), (SUBDOMINANT, 3), (DOMINANT, 2)),
    LEADING: ((TONIC, 1),),
}
_CANDIDATES_PER_VOICE = 4

Window = tuple[int, int]


@dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        tonic: pitch class.
        minor: whether it is a minor key.
    """

    tonic: int
    minor: bool

    @property
    def name(self) -> str:
        """As musicians write it, without spaces: "Eb" or "Gm"."""
        return _NAMES[self.tonic] + ("m" if self.minor else "")

    def pitch_class(self, degree: int) -> int:
        """Pitch class of a degree of the (natural minor) scale."""
        return (self.tonic + (_MINOR if self.minor else _MAJOR)[degree % 7]) % 12


@dataclass(frozen=True)
class Chord:
    """A chord and the scale that goes with it.

    Attributes:
        tones: pitch classes, root first, then third, fifth and perhaps seventh.
        scale: pitch classes of the scale sounding with it, seven of them, ascending from the key's tonic.
    """

    tones: tuple[int, ...]
    scale: tuple[int, ...]

    @property
    def root(self) -> int:
        """Pitch class of the root."""
        return self.tones[0]


def make_chord(key: Key, degree: int, seventh: bool = False) -> Chord:
    """The chord on a degree; in minor, the dominant and the leading tone's chord take the raised seventh degree."""
    scale = [key.pitch_class(step) for step in range(7)]
    if key.minor and degree in (DOMINANT, LEADING):
        scale[6] = (key.tonic + 11) % 12
    steps = (0, 2, 4, 6) if seventh else (0, 2, 4)
    root = LEADING if degree == SUBTONIC else degree
    return Chord(tuple(scale[(root + step) % 7] for step in steps), tuple(scale))


def random_key(rng: np.random.Generator) -> Key:
    """Any of the 24 keys, major ones more often."""
    return Key(int(rng.integers(12)), bool(rng.random() < 0.4))


def progression(key: Key, num_chords: int, final: bool, rng: np.random.Generator) -> tuple[Chord, ...]:
    """A functional progression that begins on the tonic and ends in a cadence.

    Args:
        key: of all chords.
        num_chords: how many.
        final: whether it must end on the tonic; otherwise it may stop on the dominant or deceive.
        rng: chooses among the usual successions.
    """
    degrees = [TONIC]
    while len(degrees) < num_chords:
        followers, weights = zip(*_FOLLOWERS[degrees[-1]])
        degrees.append(int(rng.choice(followers, p=np.array(weights) / sum(weights))))
    cadence = (DOMINANT, TONIC) if final or rng.random() < 0.6 else (SUBDOMINANT, DOMINANT)
    if num_chords >= 3:
        degrees[-2:] = cadence
    return tuple(make_chord(key, degree, degree == DOMINANT and bool(rng.random() < 0.4)) for degree in degrees)


def ladder(pitch_classes: Sequence[int], window: Window) -> list[int]:
    """Pitches of some pitch classes inside a window, ascending; never empty for windows of an octave."""
    return [pitch for pitch in range(window[0], window[1] + 1) if pitch % 12 in pitch_classes]


def nearest(pitches: Sequence[int], pitch: float) -> int:
    """The pitch nearest to a wanted one; the lower of two equally near."""
    return min(pitches, key=lambda candidate: (abs(candidate - pitch), candidate))


def shift_into(pitches: Sequence[int], window: Window, limits: Window) -> list[int]:
    """A line moved by whole octaves to where its middle lies nearest to the window's.

    Single pitches that would still pass the limits are folded back by octaves.

    Args:
        pitches: the line.
        window: where it should lie.
        limits: what it may not pass, at least an octave wide.
    """
    middle = (min(pitches) + max(pitches)) / 2.0
    octaves = round(((window[0] + window[1]) / 2.0 - middle) / 12.0)
    return [fold(pitch + 12 * octaves, limits) for pitch in pitches]


def fold(pitch: int, limits: Window) -> int:
    """A pitch moved by octaves until it lies within limits that are at least an octave wide."""
    if pitch < limits[0]:
        return pitch + 12 * -(-(limits[0] - pitch) // 12)
    if pitch > limits[1]:
        return pitch - 12 * -(-(pitch - limits[1]) // 12)
    return pitch


def _cost(voicing: Sequence[int], previous: Sequence[int], chord: Chord) -> float:
    """How bad a voicing is, highest voice first: large leaps, crossed voices, missing thirds, doubled sevenths, fifths
    and octaves in parallel.
    """
    classes = [pitch % 12 for pitch in voicing]
    cost = float(sum(abs(now - before) + 2.0 * (abs(now - before) > 7) for now, before in zip(voicing, previous)))
    cost += sum(6.0 for upper, lower in itertools.pairwise(voicing) if upper < lower)
    cost += 8.0 * (len(voicing) > 1 and chord.tones[1] not in classes)
    cost += 6.0 * (classes.count(chord.scale[6]) > 1) + 3.0 * (len(voicing) - len(set(classes)))
    for i, j in itertools.combinations(range(len(voicing)), 2):
        interval = (voicing[i] - voicing[j]) % 12
        parallel = interval in (0, 7) and (previous[i] - previous[j]) % 12 == interval
        cost += 9.0 * (parallel and voicing[i] != previous[i])
    return cost


def voice_lead(
    chord: Chord, windows: Sequence[Window], previous: Sequence[int], rng: np.random.Generator
) -> list[int]:
    """One pitch for each voice: the smoothest voicing of a chord after the previous one.

    Args:
        chord: what to sound.
        windows: of each voice, highest first, each at least an octave wide.
        previous: pitches of the voices before; the middles of the windows at the beginning.
        rng: lets the bass take the third now and then.
    """
    bass_tone = chord.tones[1] if len(windows) > 2 and rng.random() < 0.15 else chord.root
    choices = []
    for i, (window, before) in enumerate(zip(windows, previous)):
        lowest = i == len(windows) - 1 and len(windows) > 1
        pitches = ladder((bass_tone,) if lowest else chord.tones, window)
        pitches.sort(key=lambda pitch: (abs(pitch - before), pitch))
        choices.append(pitches[:_CANDIDATES_PER_VOICE])
    voicings = map(list, itertools.product(*choices))
    return min(voicings, key=lambda voicing: _cost(voicing, previous, chord))
