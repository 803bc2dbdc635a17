"""Scores from files, MusicXML and MIDI, read with partitura (the extra `scores`).

Instruments are given out anew: the score's highest part goes to the ensemble's highest player and so on, each moved by
octaves to where the player is at home. Chords and double stops become their highest note, grace notes are left out.

Conventions:
    Times in files are quarter notes; those of the result are seconds. Parts are in stage order.

References:
    C. Cancino-Chacon et al., "Partitura: a Python package for symbolic music processing", Music Encoding Conf., 2022.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from av_sep.datasets.synthetic.ensembles import Player, voice_windows
from av_sep.datasets.synthetic.harmony import fold, shift_into
from av_sep.datasets.synthetic.scores import Score, ScorePart, tone_notes
from av_sep.datasets.synthetic.voice_lines import Tone
from av_sep.errors import MediaError, ParameterError, shown

_MUSICXML_SUFFIXES = {".mxl", ".musicxml", ".xml"}
_MIDI_SUFFIXES = {".mid", ".midi"}
_SLOWEST_BPM, _FASTEST_BPM = 50.0, 150.0
_MIN_NOTES = 3


@dataclass(frozen=True)
class ScoreFile:
    """What a file holds.

    Attributes:
        title: letters and digits.
        parts: notes of each part, by beat, one at a time; highest part first.
        bars: beat of each bar line.
        tempos: (beat, quarter notes a minute) of each tempo mark.
    """

    title: str
    parts: tuple[tuple[Tone, ...], ...]
    bars: tuple[float, ...]
    tempos: tuple[tuple[float, float], ...]

    def tempo_bpm(self, beat: float, rng: np.random.Generator) -> float:
        """The tempo at a beat, or any where the file does not say; kept within what can be played."""
        marked = [bpm for at, bpm in self.tempos if at <= beat]
        bpm = marked[-1] if marked else rng.uniform(66.0, 126.0)
        return float(np.clip(bpm, _SLOWEST_BPM, _FASTEST_BPM))


def excerpt(folder: Path, players: Sequence[Player], seconds: float, rng: np.random.Generator) -> Score:
    """A stretch of one of a folder's scores, from a random bar on where most parts play.

    Args:
        folder: with .mxl, .musicxml, .xml or .mid files.
        players: who is to play it; with more players than parts, some double a part.
        seconds: wanted length; shorter where the score is.
        rng: chooses the score, the bar and the parts.

    Raises:
        ParameterError: where partitura is not installed.
        MediaError: for a folder without scores that can be read.
    """
    score = _any_score(score_paths(folder), rng)
    order, windows = voice_windows(players, rng)
    bpm = score.tempo_bpm(0.0, rng)
    first_beat = _starting_beat(score, seconds * bpm / 60.0, min(len(players), len(score.parts)), rng)
    bpm = score.tempo_bpm(first_beat, rng) if score.tempos else bpm
    num_beats = seconds * bpm / 60.0
    chosen = _chosen_parts(len(score.parts), len(players), rng)
    transposition = int(rng.integers(-5, 7))
    parts: dict[int, ScorePart] = {}
    for position, window, part in zip(order, windows, chosen):
        player = players[position]
        tones = _stretch(score.parts[part], first_beat, num_beats)
        pitches = shift_into([tone.pitch + transposition for tone in tones], window, player.voice.full) if tones else []
        fitted = [
            Tone(tone.beat, tone.beats, fold(pitch, player.voice.full), tone.slurred)
            for tone, pitch in zip(tones, pitches)
        ]
        parts[position] = ScorePart(player.instrument, player.voice, tone_notes(fitted, 60.0 / bpm))
    return Score(score.title, seconds, bpm, tuple(parts[position] for position in range(len(players))))


def _any_score(paths: Sequence[Path], rng: np.random.Generator) -> ScoreFile:
    """One of the scores; those that cannot be read are passed over, unless none can."""
    first_error: MediaError | None = None
    for position in rng.permutation(len(paths)):
        try:
            return read_score(paths[position])
        except MediaError as error:
            first_error = first_error or error
    assert first_error is not None
    raise first_error


def score_paths(folder: Path) -> list[Path]:
    """The folder's score files, sorted, those in subfolders included.

    Raises:
        MediaError: where there are none.
    """
    suffixes = _MUSICXML_SUFFIXES | _MIDI_SUFFIXES
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        raise MediaError(f"Expected a folder of .mxl, .musicxml or .mid scores. Received: {shown(folder)}")
    return paths


@lru_cache(maxsize=64)
def read_score(path: Path) -> ScoreFile:
    """Reads a score; kept for the life of the process, as large ones take seconds.

    Raises:
        ParameterError: where partitura is not installed.
        MediaError: for a file that cannot be understood or holds no notes.
    """
    partitura = _partitura()
    try:
        with warnings.catch_warnings():
            # About ornaments and layout that nobody plays.
            warnings.simplefilter("ignore")
            if path.suffix.lower() in _MIDI_SUFFIXES:
                # Mode 5: a part for each track and channel.
                found = partitura.load_score_midi(path, part_voice_assign_mode=5, estimate_voice_info=False)
            else:
                found = partitura.load_musicxml(io.BytesIO(played_musicxml(path)), quiet=True)
            parts = [_tones(part, partitura.score) for part in found.parts]
            bars, tempos = _bars_and_tempos(found.parts[0], partitura.score) if parts else ((), ())
    except MemoryError:
        raise
    except Exception as error:  # partitura raises whatever it trips over
        reason = " ".join(str(error).split())[:160]
        raise MediaError(f"Expected a score that partitura reads ({reason}). Received: {shown(path)}") from error
    parts = [part for part in parts if len(part) >= _MIN_NOTES]
    if not parts:
        raise MediaError(f"Expected a score with notes in it. Received: {shown(path)}")
    parts.sort(key=lambda part: -float(np.mean([tone.pitch for tone in part])))
    title = re.sub(r"[^A-Za-z0-9]", "", path.stem) or "Score"
    return ScoreFile(title, tuple(parts), bars, tempos)


def played_musicxml(path: Path) -> bytes:
    """A MusicXML file, packed or not, without what nobody plays: words, lines and other markings over the staves.

    They take time, and odd ones stop partitura. Tempos stay.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content = archive.read(_packed_score(archive.namelist()))
    else:
        content = path.read_bytes()
    root = ElementTree.fromstring(content)
    for measure in root.iter("measure"):
        for name in ("direction", "harmony", "print", "barline", "sound"):
            for element in measure.findall(name):
                sounds = [sound for sound in element.iter("sound") if sound.get("tempo")]
                _empty(element)
                if name == "direction" and sounds:
                    element.append(sounds[0])
                else:
                    measure.remove(element)
    return ElementTree.tostring(root)


def _empty(element: ElementTree.Element) -> None:
    for child in list(element):
        element.remove(child)


def _packed_score(names: Sequence[str]) -> str:
    """The score among a packed file's members."""
    scores = [name for name in names if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF")]
    if not scores:
        raise ValueError("no score in the archive")
    return scores[0]


def _partitura() -> Any:
    try:
        with warnings.catch_warnings():
            # A parser that partitura needs uses modules that Python is giving up.
            warnings.simplefilter("ignore")
            import partitura
    except ImportError as error:
        raise ParameterError(
            "Playing from scores needs partitura, which is not installed; in av-sep's checkout: pip install '.[scores]'"
        ) from error
    return partitura


def _tones(part: Any, score: Any) -> tuple[Tone, ...]:
    """A part's notes as they sound, one at a time, slurs from the score."""
    tones: dict[float, Tone] = {}
    depth = 0
    quarters = part.quarter_map  # made anew at each mention
    shifts = sorted((mark.start.t, mark.chromatic or 0) for mark in part.iter_all(score.Transposition))
    for note in sorted(part.notes_tied, key=lambda note: note.start.t):
        beat = float(quarters(note.start.t))
        beats = float(quarters(note.end_tied.t)) - beat
        depth = max(0, depth + len(note.slur_starts) - len(note.slur_stops))
        shift = next((semitones for at, semitones in reversed(shifts) if at <= note.start.t), 0)
        pitch = int(note.midi_pitch) + shift
        if beats > 0 and (beat not in tones or tones[beat].pitch < pitch):
            tones[beat] = Tone(beat, beats, pitch, depth > 0)
    ordered = [tones[beat] for beat in sorted(tones)]
    limits = [tone.beat for tone in ordered[1:]] + [np.inf]
    return tuple(
        Tone(tone.beat, min(tone.beats, limit - tone.beat), tone.pitch, tone.slurred)
        for tone, limit in zip(ordered, limits)
    )


def _bars_and_tempos(part: Any, score: Any) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    quarters = part.quarter_map
    bars = tuple(sorted(float(quarters(bar.start.t)) for bar in part.iter_all(score.Measure)))
    marks = sorted((float(quarters(mark.start.t)), float(mark.bpm)) for mark in part.iter_all(score.Tempo))
    return bars, tuple(mark for mark in marks if mark[1] > 0)


def _starting_beat(score: ScoreFile, num_beats: float, num_playing: int, rng: np.random.Generator) -> float:
    """A bar line after which most parts soon play and the score goes on for long enough; the first where none is."""
    end = max(part[-1].beat + part[-1].beats for part in score.parts)
    wanted = max(1, round(0.75 * num_playing))
    candidates = [bar for bar in score.bars if bar + num_beats <= end and _num_playing(score, bar) >= wanted]
    return candidates[int(rng.integers(len(candidates)))] if candidates else min(part[0].beat for part in score.parts)


def _num_playing(score: ScoreFile, beat: float, num_beats: float = 4.0) -> int:
    """How many parts have an onset in the beats after a bar line."""
    onsets = (np.array([tone.beat for tone in part]) for part in score.parts)
    return sum(bool(np.any((times >= beat) & (times < beat + num_beats))) for times in onsets)


def _chosen_parts(num_parts: int, num_players: int, rng: np.random.Generator) -> list[int]:
    """Which part each player takes, from the highest player to the lowest."""
    if num_players <= num_parts:
        return sorted(int(i) for i in rng.permutation(num_parts)[:num_players])
    doubled = rng.integers(0, num_parts, num_players - num_parts)
    return sorted([*range(num_parts), *map(int, doubled)])


def _stretch(part: Sequence[Tone], first_beat: float, num_beats: float) -> list[Tone]:
    """The notes of a part that begin within a stretch, counted from its beginning and cut at its end."""
    inside = [tone for tone in part if first_beat <= tone.beat < first_beat + num_beats - 1e-6]
    return [
        Tone(
            tone.beat - first_beat, min(tone.beats, first_beat + num_beats - tone.beat), tone.pitch, tone.slurred
        )
        for tone in inside
    ]  # fmt: skip
