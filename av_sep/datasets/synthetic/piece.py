"""One piece in URMP's layout: sound, film and annotations of a performance.

    0001_OdeToJoy_vn_vc/
        AuMix_0001_OdeToJoy_vn_vc.wav   the mixture: the exact sum of the parts, integer by integer
        AuSep_1_vn_0001_OdeToJoy.wav    part 1 alone, with its microphone's noise; parts from left to right
        Notes_1_vn_0001_OdeToJoy.txt    onset in seconds, frequency in Hz, duration in seconds
        F0s_1_vn_0001_OdeToJoy.txt      frequency every 10 ms, 0 where nothing is played
        Sco_0001_OdeToJoy_vn_vc.mid     the score, at its own steady tempo
        Vid_0001_OdeToJoy_vn_vc.mp4     the film
        Boxes_0001_OdeToJoy_vn_vc.csv   where the players are in it

Conventions:
    Waveforms are float32 `[time, channels]`, full scale is 1.0. Sound files are 24-bit WAV.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from av_sep.datasets.pitch import hz_from_midi
from av_sep.datasets.solo_lines import frame_length, sounding_frames, without_rumble
from av_sep.datasets.synthetic.acoustics import draw_room, impulse_response, in_room, noise_floor, pans
from av_sep.datasets.synthetic.config import SyntheticConfig
from av_sep.datasets.synthetic.f0_track import f0_track
from av_sep.datasets.synthetic.performance import PlayedNote
from av_sep.datasets.synthetic.sample_player import RenderedPart
from av_sep.datasets.synthetic.scores import Score, score_midi
from av_sep.datasets.synthetic.stage import StagePlayer, open_pictures, write_boxes, write_film
from av_sep.instruments import URMP_13
from av_sep.media import write_audio

_FULL_SCALE = 2**23
_HIGHEST_PEAK = 0.97
_PART_DBFS, _PART_SPREAD_DB = -21.0, 2.0
_NOISE_DBFS = (-84.0, -64.0)
_FADE_SECONDS = 0.05


@dataclass(frozen=True)
class PieceNames:
    """The names of a piece's files.

    Attributes:
        number: counted from 1.
        title: letters and digits.
        instruments: long names, in stage order.
    """

    number: int
    title: str
    instruments: tuple[str, ...]

    @property
    def stem(self) -> str:
        """Number and title."""
        return f"{self.number:04d}_{self.title}"

    @property
    def folder(self) -> str:
        """Number, title and the players' instruments."""
        return "_".join([self.stem, *map(_abbreviation, self.instruments)])

    def part_file(self, kind: str, position: int, suffix: str) -> str:
        """File of one part, which is counted from 0 here and from 1 in the name."""
        return f"{kind}_{position + 1}_{_abbreviation(self.instruments[position])}_{self.stem}{suffix}"

    def piece_file(self, kind: str, suffix: str) -> str:
        """File of the whole piece."""
        return f"{kind}_{self.folder}{suffix}"


def _abbreviation(instrument: str) -> str:
    return URMP_13.instruments[URMP_13.index(instrument)].abbreviation


def leveled(sound: np.ndarray, sample_rate_hz: int, level_dbfs: float) -> np.ndarray:
    """A player's sound `[time, channels]` at a level: RMS of all channels together, while it sounds; silence stays."""
    magnitude = np.sqrt(np.sum(sound.astype(np.float64) ** 2, axis=1))
    sounding = np.repeat(sounding_frames(magnitude, sample_rate_hz), frame_length(sample_rate_hz))
    if not sounding.any():
        return sound
    rms = float(np.sqrt(np.mean(magnitude[: len(sounding)][sounding] ** 2)))
    return sound * np.float32(10.0 ** (level_dbfs / 20.0) / rms)


def microphone_sounds(
    parts: Sequence[RenderedPart], config: SyntheticConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """Each part as its microphones hear it: leveled, in the room, in its place, over a noise floor.

    Returns:
        Float32 `[time, channels]` each, so loud that their sum stays below full scale.
    """
    rate_hz = config.sample_rate_hz
    room = draw_room(rng)
    noise_dbfs = rng.uniform(*_NOISE_DBFS)
    fade = np.ones(len(parts[0].waveform), np.float32)
    fade[len(fade) - int(_FADE_SECONDS * rate_hz) :] = np.linspace(1.0, 0.0, int(_FADE_SECONDS * rate_hz))
    sounds = []
    for part, pan in zip(parts, pans(len(parts))):
        level_dbfs = float(rng.normal(_PART_DBFS, _PART_SPREAD_DB))
        response = impulse_response(room, float(pan), rate_hz, config.num_channels, rng)
        sound = in_room(without_rumble(part.waveform, rate_hz), response)
        noise = noise_floor(len(sound), config.num_channels, rate_hz, noise_dbfs + rng.normal(0.0, 2.0), rng)
        sounds.append(leveled(sound, rate_hz, level_dbfs) * fade[:, None] + noise)
    peak = max(float(np.abs(sum(sounds)).max()), *(float(np.abs(sound).max()) for sound in sounds))
    gain = np.float32(min(1.0, _HIGHEST_PEAK / max(peak, 1e-9)))
    return [sound * gain for sound in sounds]


def write_sounds(folder: Path, names: PieceNames, sounds: Sequence[np.ndarray], sample_rate_hz: int) -> Path:
    """Writes stems and mixture; returns the mixture's path.

    The stems are rounded to 24 bits first and then added as integers, so that they add up to the mixture exactly.

    Raises:
        MediaError: where a file cannot be written.
    """
    total = np.zeros(sounds[0].shape, np.int64)
    for position, sound in enumerate(sounds):
        integers = np.rint(sound.astype(np.float64) * _FULL_SCALE).astype(np.int64)
        total += integers
        path = folder / names.part_file("AuSep", position, ".wav")
        write_audio(path, integers / _FULL_SCALE, sample_rate_hz, bit_depth=24)
    mixture = folder / names.piece_file("AuMix", ".wav")
    write_audio(mixture, total / _FULL_SCALE, sample_rate_hz, bit_depth=24)
    return mixture


def write_annotations(
    folder: Path, names: PieceNames, score: Score, parts: Sequence[RenderedPart], sample_rate_hz: int
) -> None:
    """Writes the score, and notes and fundamental frequencies of every part."""
    (folder / names.piece_file("Sco", ".mid")).write_bytes(score_midi(score))
    for position, part in enumerate(parts):
        notes = "".join(map(_note_line, part.notes))
        _write_text(folder / names.part_file("Notes", position, ".txt"), notes)
        track = f0_track(part.waveform, sample_rate_hz, part.notes)
        _write_text(
            folder / names.part_file("F0s", position, ".txt"),
            "".join(f"{time:.3f}\t{hz:.3f}\n" for time, hz in track),
        )


def _note_line(played: PlayedNote) -> str:
    note = played.note
    return f"{note.start_seconds:.4f}\t{hz_from_midi(played.pitch):.4f}\t{note.duration_seconds:.4f}\n"


def _write_text(path: Path, text: str) -> None:
    # Bytes, so that lines end alike on every system.
    path.write_bytes(text.encode("ascii"))


def write_video(
    folder: Path, names: PieceNames, parts: Sequence[RenderedPart], mixture: Path, config: SyntheticConfig,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Writes the film and the players' boxes.

    Raises:
        MediaError: for pictures that cannot be read and a film that cannot be written.
        ParameterError: for a size or rate that a film cannot have.
    """
    players = [
        StagePlayer(instrument, [played.note for played in part.notes])
        for instrument, part in zip(names.instruments, parts)
    ]
    boxes = write_film(
        folder / names.piece_file("Vid", ".mp4"), players, mixture, seconds=config.seconds, rng=rng,
        pictures=open_pictures(config.pictures), width=config.width, height=config.height, fps=config.fps,
    )  # fmt: skip
    write_boxes(folder / names.piece_file("Boxes", ".csv"), boxes)
