"""What a dataset is to this program: an index of tracks, made without opening a single sound file.

Conventions:
    A track is one performance. Its parts are recordings of single players in the dataset's own order (URMP: left to
    right on stage); parts of the same instrument are one stem, their sum. Waveforms are float32 `[time, channels]`,
    full scale is 1.0. Split names are "train", "validation" and "test".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from av_sep.errors import ParameterError
from av_sep.instruments import Taxonomy
from av_sep.media import probe

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Sound:
    """A sound stream of a media file: the file, and which of its sound streams (MUSDB18 keeps five in one file)."""

    path: Path
    stream_index: int = 0


@dataclass(frozen=True)
class Part:
    """One player's recording.

    Attributes:
        instrument: long name of the dataset's taxonomy.
        sound: the recording.
        notes: note annotations of this part, if there are any.
        f0s: fundamental frequency annotations of this part, likewise.
        annotation_row: which row of the annotation files is this part's, where several parts share them (Bach10).
    """

    instrument: str
    sound: Sound
    notes: Path | None = None
    f0s: Path | None = None
    annotation_row: int = 0


@dataclass(frozen=True)
class Track:
    """One performance of a dataset. Nothing is read before it is asked for.

    Attributes:
        name: unique within the dataset, printable, usable as a file name.
        composition: what is performed; tracks of one composition belong on one side of every split.
        parts: the recordings of single players, in the dataset's order; at least one.
        mixture: the recording of all together; None where there is none and the stems' sum stands for it.
        video: the film of the performance.
        boxes: CSV of known player boxes (`time_seconds, player, instrument, x1, y1, x2, y2`), where they are known.
        remarks: what is odd about this track's files and how it was understood, one line each.
    """

    name: str
    composition: str
    parts: tuple[Part, ...]
    mixture: Sound | None = None
    video: Path | None = None
    boxes: Path | None = None
    remarks: tuple[str, ...] = ()

    @property
    def stems(self) -> dict[str, tuple[Sound, ...]]:
        """Instrument -> the recordings whose sum is its stem, instruments in the order of their first part."""
        instruments = dict.fromkeys(part.instrument for part in self.parts)
        return {name: tuple(part.sound for part in self.parts if part.instrument == name) for name in instruments}

    @cached_property
    def duration_seconds(self) -> float:
        """Length of the longest part, as the files' headers tell.

        Raises:
            MediaError: where a file cannot be opened.
        """
        return max(probe(path).duration_seconds for path in {part.sound.path for part in self.parts})

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that belongs to the track, each once."""
        sounds = [part.sound for part in self.parts] + ([self.mixture] if self.mixture else [])
        annotations = [path for part in self.parts for path in (part.notes, part.f0s)]
        paths = [*(sound.path for sound in sounds), *annotations, self.video, self.boxes]
        return tuple(dict.fromkeys(path for path in paths if path is not None))


Split = Callable[[Sequence[Track]], Mapping[str, tuple[Track, ...]]]


def is_about(problem: str, track: str) -> bool:
    """Whether a line about what is wrong is about this track: it begins with the name, which may hold colons."""
    return problem.startswith(f"{track}:")


@dataclass(frozen=True)
class Dataset:
    """An indexed dataset.

    Attributes:
        name: of the kind of dataset, e.g. "urmp".
        root: its folder.
        taxonomy: which instruments its parts are named by.
        tracks: ordered by name.
        splits: split name -> function from tracks to {"train": …, "validation": …, "test": …}; the first is the
            default.
        problems: what is missing or cannot be used, one line each, with the track and the path: tracks that this
            concerns are not among `tracks`.
        remarks: what is odd about the folder as a whole and costs no track, one line each.
    """

    name: str
    root: Path
    taxonomy: Taxonomy
    tracks: tuple[Track, ...]
    splits: Mapping[str, Split] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def knows(self, name: str) -> bool:
        """Whether this is the name of a track, be it one that cannot be used."""
        return any(track.name == name for track in self.tracks) or any(is_about(line, name) for line in self.problems)

    def problems_besides(self, left_out: Iterable[str]) -> list[str]:
        """What is wrong with others than the tracks of these names."""
        names = tuple(left_out)
        return [line for line in self.problems if not any(is_about(line, name) for name in names)]

    def instruments(self, track: Track) -> tuple[str, ...]:
        """Instruments of a track in the taxonomy's order, no repeats."""
        playing = {part.instrument for part in track.parts}
        return tuple(name for name in self.taxonomy.names if name in playing)

    def split(self, name: str | None = None) -> dict[str, tuple[Track, ...]]:
        """Tracks by side of a split; sides without tracks are empty, and tracks that a split leaves out are nowhere.

        Args:
            name: one of `splits`; the first where None.

        Raises:
            ParameterError: for an unknown split.
        """
        name = next(iter(self.splits)) if name is None else name
        if name not in self.splits:
            raise ParameterError(f"Expected a split among {', '.join(self.splits)}. Received: {name!r}")
        sides = self.splits[name](self.tracks)
        return {side: tuple(sides.get(side, ())) for side in SPLITS}
