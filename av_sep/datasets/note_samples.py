"""Folders of recorded notes: what each file is, and the notes themselves ready to be sequenced.

The layout is `<root>/<library>/<instrument>/*.ogg` (also .wav and .flac), instruments by the taxonomy's long names. The
index reads names only; sound is decoded when a `SampleSet` is loaded. Libraries disagree about octave numbers (middle C
is C3, C4 or C5, and double basses are written an octave up), so names are trusted for the pitch class and the octave is
settled by ear: the median difference between named and measured pitch over the whole set, rounded to octaves.

Conventions:
    Waveforms are float32 `[time]`, mono. Pitches are MIDI numbers, 69 = A4 = 440 Hz. `dynamic` runs from 0.0 (softest
    marking) to 1.0 (loudest).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from av_sep.datasets.pitch import frame_pitches, typical_pitch
from av_sep.errors import MediaError, ParameterError

_SUFFIXES = {".ogg", ".wav", ".flac"}
_PITCH_CLASSES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_PITCH_NAME = re.compile(r"^([a-gA-G])(s|#|b)?(-?\d)$")
_DYNAMICS = {
    "molto-pianissimo": 0.0, "ppp": 0.0, "pp": 0.1, "pianissimo": 0.1, "p": 0.3, "piano": 0.3, "mp": 0.45,
    "mezzo-piano": 0.45, "mf": 0.6, "mezzo-forte": 0.6, "f": 0.8, "forte": 0.8, "ff": 0.95, "fortissimo": 0.95,
}  # fmt: skip
_UNWANTED = (
    "noise", "perc", "growl", "single_cycle", "col-legno", "slap", "snap", "stuk", "strum", "body", "breath", "woo",
    "_close", "_open",
)  # fmt: skip
_UNSTEADY = ("trill", "tremolo", "glissando", "flutter", "tongu", "harmonic")
_ARTICULATIONS = (
    ("phrase", ("_phrase",)),
    ("pizzicato", ("pizz",)),
    ("muted", ("con-sord", "_mute", "ponticello", "subtone")),
)
_ANALYSIS_RATE_HZ = 16000
_UNMARKED_DYNAMIC = 0.6
_MIXED_OCTAVES_SHARE = 0.15
_LARGEST_MISTUNING = 0.6


@dataclass(frozen=True)
class NoteSample:
    """One file of the index.

    Attributes:
        path: the sound file.
        library: folder of the library.
        instrument: long name of the taxonomy.
        pitch: MIDI pitch read from the name in the library's own octave count; None where the name holds none.
        articulation: "ordinary", "pizzicato", "muted", or "phrase" for several notes in one file.
        dynamic: loudness marking in the name, 0.0 to 1.0; None where there is none.
    """

    path: Path
    library: str
    instrument: str
    pitch: int | None
    articulation: str
    dynamic: float | None


def pitch_from_name(stem: str) -> int | None:
    """MIDI pitch of the first token of a file's stem that looks like a note name (A4, gb1, As3, C#2), or None."""
    for token in re.split(r"[_.\s]+", stem):
        match = _PITCH_NAME.match(token)
        if match:
            letter, accidental, octave = match.groups()
            shift = {"s": 1, "#": 1, "b": -1, None: 0}[accidental]
            return 12 * (int(octave) + 1) + _PITCH_CLASSES[letter.lower()] + shift
    return None


def dynamic_from_name(stem: str) -> float | None:
    """Loudness marking among the parts of a file's stem ("pp", "mezzo-forte", "f"), from 0.0 to 1.0, or None."""
    for token in re.split(r"[_.\s]+", stem.lower()):
        if token in _DYNAMICS:
            return _DYNAMICS[token]
    return None


def articulation_from_name(stem: str) -> str | None:
    """"ordinary", "pizzicato", "muted" or "phrase"; None for noises and for single notes that hold no steady pitch."""
    lower = stem.lower()
    if any(word in lower for word in _UNWANTED):
        return None
    named = [articulation for articulation, words in _ARTICULATIONS if any(word in lower for word in words)]
    if "phrase" not in named and any(word in lower for word in _UNSTEADY):
        return None
    return named[0] if named else "ordinary"


def index_note_samples(root: Path | str, instruments: Sequence[str] | None = None) -> tuple[NoteSample, ...]:
    """Every note and phrase below `root`, ordered by library, instrument and name; no sound is read.

    Args:
        root: folder of `<library>/<instrument>/<files>`.
        instruments: long names to keep; all where None.

    Raises:
        MediaError: where `root` is no folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise MediaError(f"Expected a folder of <library>/<instrument>/*.ogg note samples. Received: {root}")
    samples = []
    for path in sorted(root.glob("*/*/*")):
        instrument = path.parent.name
        if path.suffix.lower() not in _SUFFIXES or (instruments is not None and instrument not in instruments):
            continue
        articulation = articulation_from_name(path.stem)
        if articulation is not None:
            samples.append(
                NoteSample(
                    path, path.parent.parent.name, instrument, pitch_from_name(path.stem), articulation,
                    dynamic_from_name(path.stem),
                )  # fmt: skip
            )
    return tuple(samples)


def read_mono(path: Path, sample_rate_hz: int) -> np.ndarray:
    """A sound file as float32 `[time]` at the wanted rate, channels averaged.

    Raises:
        MediaError: where the file cannot be decoded.
    """
    try:
        waveform, rate_hz = sf.read(str(path), dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise MediaError(f"Cannot decode this sound file; is it complete? Received: {path} ({error})") from error
    mono = waveform.mean(axis=1)
    return mono if rate_hz == sample_rate_hz else soxr.resample(mono, rate_hz, sample_rate_hz)


def trim_silence(
    waveform: np.ndarray, sample_rate_hz: int, onset_db: float = -32.0, end_db: float = -42.0
) -> np.ndarray:
    """The part of a note that sounds: from 10 ms before its envelope rises to where it has died away.

    Args:
        waveform: float `[time]`.
        sample_rate_hz: its rate.
        onset_db: level that starts it, relative to the loudest 10 ms; above `end_db`, so that notes begin on time.
        end_db: level that ends it, likewise.
    """
    hop = max(1, int(0.01 * sample_rate_hz))
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    if not frames.size:
        return waveform[:0]
    level = np.sqrt(np.mean(frames**2, axis=1))
    if level.max() < 1e-5:
        return waveform[:0]
    first = int(np.argmax(level > level.max() * 10.0 ** (onset_db / 20.0)))
    last = int(np.flatnonzero(level > level.max() * 10.0 ** (end_db / 20.0))[-1])
    return waveform[max(0, first - 1) * hop : (last + 1) * hop]


def sustained_part(waveform: np.ndarray, sample_rate_hz: int, threshold_db: float = -10.0) -> tuple[int, int]:
    """First and last sample of the stretch in which a note is held: less than 10 dB below its loudest 20 ms."""
    hop = max(1, int(0.02 * sample_rate_hz))
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    if not frames.size:
        return 0, len(waveform)
    level = np.sqrt(np.mean(frames**2, axis=1))
    held = np.flatnonzero(level >= level.max() * 10.0 ** (threshold_db / 20.0))
    return int(held[0]) * hop, int(held[-1] + 1) * hop


def onset_sample(waveform: np.ndarray, sample_rate_hz: int, threshold_db: float = -15.0) -> int:
    """Where a note is first heard: the first 2 ms within 15 dB of the loudest of its first 0.3 s, in samples."""
    hop = max(1, int(0.002 * sample_rate_hz))
    start = waveform[: int(0.3 * sample_rate_hz)]
    frames = start[: len(start) // hop * hop].reshape(-1, hop)
    if not frames.size:
        return 0
    level = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    return int(np.argmax(level >= level.max() * 10.0 ** (threshold_db / 20.0))) * hop


def wobble_cents(pitches: Sequence[float]) -> float:
    """How far frames of a note lie from its pitch, typically: above 8 cents or so where it is played with vibrato."""
    return 100.0 * float(np.median(np.abs(np.array(pitches) - np.median(pitches)))) if len(pitches) else 0.0


@dataclass(frozen=True, eq=False)
class LoadedNote:
    """A note in memory.

    Attributes:
        waveform: float32 `[time]`, trimmed, loudest part at RMS 1.
        pitch: fractional MIDI pitch as it sounds.
        articulation: as in the index.
        dynamic: 0.0 to 1.0.
        held: first and last sample of the part that is held, release not counted.
        onset: sample at which it is first heard.
        wobble_cents: how far its pitch moves while it sounds; see `wobble_cents`.
    """

    waveform: np.ndarray
    pitch: float
    articulation: str
    dynamic: float
    held: tuple[int, int]
    onset: int = 0
    wobble_cents: float = 0.0


@dataclass(frozen=True, eq=False)
class SampleSet:
    """All notes of one instrument in one library, decoded once.

    Attributes:
        library: the library's folder.
        instrument: long name.
        sample_rate_hz: of every waveform.
        notes: the notes, by pitch.
        phrases: float32 `[time]` each, several notes in one breath.
    """

    library: str
    instrument: str
    sample_rate_hz: int
    notes: tuple[LoadedNote, ...]
    phrases: tuple[np.ndarray, ...] = ()

    @cached_property
    def _traits(self) -> np.ndarray:
        """Pitch, held seconds and dynamic of every note, float64 `[3, num_notes]`."""
        return np.array([(n.pitch, n.held[1] / self.sample_rate_hz, n.dynamic) for n in self.notes]).T

    def with_articulation(self, articulation: str) -> "SampleSet":
        """The same set reduced to one articulation."""
        return replace(self, notes=tuple(note for note in self.notes if note.articulation == articulation))

    def pitch_range(self) -> tuple[int, int]:
        """Lowest and highest MIDI pitch that is at most one semitone from a sample; (0, -1) for an empty set."""
        if not self.notes:
            return 0, -1
        pitches = [note.pitch for note in self.notes]
        return round(min(pitches)) - 1, round(max(pitches)) + 1

    def pick(self, pitch: float, seconds: float, dynamic: float, rng: np.random.Generator) -> LoadedNote:
        """A note near the wanted pitch, length and dynamic; chance decides among those that fit about equally well."""
        pitches, lengths, dynamics = self._traits
        too_short = np.maximum(0.0, seconds - lengths) / max(seconds, 0.1)
        too_long = np.maximum(0.0, np.log2(np.maximum(lengths, 0.05) / max(seconds, 0.05)) - 2.0)
        cost = np.abs(pitches - pitch) + 6.0 * too_short + 0.3 * too_long + 2.0 * np.abs(dynamics - dynamic)
        return self.notes[int(np.argmin(cost + rng.exponential(0.35, len(cost))))]


def _settle_pitches(named: Sequence[int | None], measured: Sequence[float | None]) -> list[float | None]:
    """Sounding pitch of each note of a set, from its name and from what is heard; None where the two disagree.

    The name says which note, the ear says the set's octave and each note's tuning. Where many names lie in a different
    octave than the rest (some libraries mix two conventions), the ear decides about the octave of each note as well;
    where few do, the ear is wrong: weak fundamentals are easily taken for their octave.
    """
    differences = [heard - name for name, heard in zip(named, measured) if name is not None and heard is not None]
    shift = 12 * round(float(np.median(differences)) / 12.0) if differences else 0
    stray = [round((difference - shift) / 12.0) != 0 for difference in differences]
    mixed = bool(stray) and float(np.mean(stray)) > _MIXED_OCTAVES_SHARE
    settled: list[float | None] = []
    for name, heard in zip(named, measured):
        if name is None or heard is None:
            settled.append(heard)
            continue
        octaves_off = round((heard - name - shift) / 12.0)
        tuning = heard - name - shift - 12 * octaves_off
        agreed = name + shift + tuning + (12 * octaves_off if mixed else 0)
        settled.append(agreed if abs(tuning) < _LARGEST_MISTUNING else None)
    return settled


def _unit_level(waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """The waveform scaled so that its loudest 100 ms has RMS 1; float32 `[time]`."""
    hop = max(1, min(len(waveform), int(0.1 * sample_rate_hz)))
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    return waveform / max(float(np.sqrt(np.mean(frames**2, axis=1)).max()), 1e-6)


def load_sample_set(samples: Sequence[NoteSample], sample_rate_hz: int = 48000, min_seconds: float = 0.12) -> SampleSet:
    """Decode, trim, level and tune all notes of one instrument and library.

    Args:
        samples: entries of the index with one library and one instrument.
        sample_rate_hz: rate to hold them at; sequencing shifts pitches by interpolation, so take a rate well above the
            final one.
        min_seconds: shorter sounds are left out.

    Returns:
        The set, ordered by pitch; sounds without a recognizable pitch are left out.

    Raises:
        ParameterError: where there are no samples, or they are of several instruments or libraries.
        MediaError: where a file cannot be decoded.
    """
    if len({(sample.library, sample.instrument) for sample in samples}) != 1:
        raise ParameterError(
            f"Expected samples of one library and one instrument. Received: {len(samples)} samples of "
            f"{sorted({f'{sample.library}/{sample.instrument}' for sample in samples})}"
        )
    phrases, kept = [], []
    for sample in samples:
        waveform = trim_silence(read_mono(sample.path, sample_rate_hz), sample_rate_hz)
        if len(waveform) < min_seconds * sample_rate_hz:
            continue
        if sample.articulation == "phrase":
            phrases.append(_unit_level(waveform, sample_rate_hz))
        else:
            kept.append((sample, _unit_level(waveform, sample_rate_hz)))
    heard = [
        frame_pitches(soxr.resample(waveform, sample_rate_hz, _ANALYSIS_RATE_HZ), _ANALYSIS_RATE_HZ)
        for _, waveform in kept
    ]
    settled = _settle_pitches([sample.pitch for sample, _ in kept], [typical_pitch(pitches) for pitches in heard])
    notes = []
    for (sample, waveform), pitches, pitch in zip(kept, heard, settled):
        if pitch is not None:
            dynamic = _UNMARKED_DYNAMIC if sample.dynamic is None else sample.dynamic
            held = sustained_part(waveform, sample_rate_hz)
            onset = onset_sample(waveform, sample_rate_hz)
            notes.append(
                LoadedNote(waveform, pitch, sample.articulation, dynamic, held, onset, wobble_cents(pitches))
            )
    notes.sort(key=lambda note: note.pitch)
    return SampleSet(samples[0].library, samples[0].instrument, sample_rate_hz, tuple(notes), tuple(phrases))
