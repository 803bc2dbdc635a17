"""A track's mixture and references in memory, at the rate and channels that everything is scored at."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from av_sep.datasets.track import Track
from av_sep.errors import MediaError, shown
from pipelines.track_audio import TrackAudio

# Decoders of lossy formats add or take some samples at the end; a longer difference is another recording.
_LARGEST_DIFFERENCE_SECONDS = 0.1
# Mastering and effects leave less; another recording, or a stem too many, leaves more.
_LARGEST_REST_DB = -1.0


@dataclass(frozen=True, eq=False)
class TrackSound:
    """What is scored against.

    Attributes:
        name: of the track.
        mixture: `[time, channels]`.
        references: instrument -> `[time, channels]`.
        sample_rate_hz: of all of them.
        remarks: what is odd about the files, one line each.
    """

    name: str
    mixture: np.ndarray
    references: dict[str, np.ndarray]
    sample_rate_hz: int
    remarks: tuple[str, ...] = ()

    @property
    def sounding(self) -> tuple[str, ...]:
        """Instruments whose reference is not silent throughout: only they can be scored."""
        return tuple(name for name, reference in self.references.items() if np.any(reference))


def read_sound(
    track: Track, instruments: Sequence[str], sample_rate_hz: int, num_channels: int, max_seconds: float | None
) -> TrackSound:
    """Reads a track; parts of one instrument are summed, a missing mixture is the stems' sum.

    Raises:
        MediaError: where a file cannot be read, or nothing sounds.
    """
    audio = TrackAudio(track, instruments, sample_rate_hz=sample_rate_hz, num_channels=num_channels)
    sound = _read(audio, max_seconds)
    if not sound.sounding:
        raise MediaError(f"Expected sound in at least one stem. Received: {track.name}, all silent")
    rest = sound.mixture - sum(sound.references.values())
    rest_db = 10 * math.log10(max(float(np.sum(rest**2)), 1e-30) / max(float(np.sum(sound.mixture**2)), 1e-30))
    if rest_db > _LARGEST_REST_DB:
        raise MediaError(
            "Expected a mixture that holds its stems: without them hardly less would be left of it"
            f" ({rest_db:+.1f} dB). Received: {track.name}"
        )
    return sound


def _read(audio: TrackAudio, max_seconds: float | None) -> TrackSound:
    limit = math.inf if max_seconds is None else round(max_seconds * audio.sample_rate_hz)
    mixtures, stems, num_samples = [], [], 0
    for mixture, parts in audio.blocks():
        mixtures.append(mixture)
        stems.append(parts)
        num_samples += len(mixture)
        # Stopping early leaves the lengths unknown, which only costs the remarks about them.
        if num_samples >= limit:
            break
    end = int(min(limit, num_samples))
    references = {name: _joined((part[name] for part in stems), end) for name in audio.instruments}
    return TrackSound(audio.track.name, _joined(mixtures, end), references, audio.sample_rate_hz, tuple(audio.remarks))


def read_estimates(track: Track, sound: TrackSound, max_seconds: float | None) -> dict[str, np.ndarray]:
    """Somebody's stems of a track, brought to its rate, channels and length.

    Args:
        track: the stems as parts, by the references' names.
        sound: what they shall be scored against.
        max_seconds: how much of the references was read.

    Raises:
        MediaError: where a file cannot be read, or is not as long as the references.
    """
    # A mixture beside the stems is nobody's estimate, and would hide stems that are too short.
    stems = replace(track, mixture=None)
    rate, num_channels = sound.sample_rate_hz, sound.mixture.shape[1]
    audio = TrackAudio(stems, tuple(track.stems), sample_rate_hz=rate, num_channels=num_channels)
    read = _read(audio, max_seconds)
    for part, length in zip(track.parts, audio.lengths):
        difference = (min(length, len(read.mixture)) - len(sound.mixture)) / rate
        if abs(difference) > _LARGEST_DIFFERENCE_SECONDS:
            longer = "longer" if difference > 0 else "shorter"
            raise MediaError(
                f"Expected estimates as long as the references. Received: {track.name}/{shown(part.sound.path.name)},"
                f" {abs(difference):.2f} s {longer}"
            )
    return {name: _of_length(stem, len(sound.mixture)) for name, stem in read.references.items()}


def _joined(blocks: Iterable[np.ndarray], end: int) -> np.ndarray:
    return np.concatenate(list(blocks))[:end]


def _of_length(waveform: np.ndarray, num_samples: int) -> np.ndarray:
    missing = max(num_samples - len(waveform), 0)
    return np.pad(waveform, ((0, missing), (0, 0)))[:num_samples]
