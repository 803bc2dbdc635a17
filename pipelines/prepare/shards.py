"""One shard: some tracks in, one TFRecord file out. The same function runs in a local process and under Beam."""

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audio.records import RecordSpec, track_records, write_shard
from av_sep.datasets.track import Sound, Track
from av_sep.errors import MediaError
from pipelines.prepare.pictures import PictureConfig, track_pictures
from pipelines.track_audio import TrackAudio
from pipelines.storage import Folder, LocalFolder, open_folder

# What is not finished lives here, inside the output folder, until the manifest is written.
WORK = ".prepare"


@dataclass(frozen=True)
class Source:
    """Where a dataset's files are.

    Attributes:
        root: the folder that the tracks' paths begin with.
        url: the remote folder that `root` stands for; None where `root` is the dataset itself.
    """

    root: Path
    url: str | None = None


@dataclass(frozen=True)
class ShardTask:
    """All that a worker must know to make one shard.

    Attributes:
        name: the file's, in the output folder.
        side: "train", "validation" or "test".
        tracks: what goes in, in this order.
        instruments: of each track, in the taxonomy's order.
        source: where the tracks' files are.
        output: path or URL of the output folder.
        spec: how records are laid out.
        pictures: which pictures go in; None for sound alone.
    """

    name: str
    side: str
    tracks: tuple[Track, ...]
    instruments: tuple[tuple[str, ...], ...]
    source: Source
    output: str
    spec: RecordSpec
    pictures: PictureConfig | None = None

    @property
    def entry_name(self) -> str:
        """Name of the file that says that the shard is finished, and what is in it."""
        return f"{WORK}/{self.name}.json"


def make_shard(task: ShardTask) -> str:
    """Writes a shard and, when it has its final name, the entry that makes it count.

    Returns:
        The shard's name.

    Raises:
        MediaError: where a track cannot be read or the shard cannot be written; it says which track.
    """
    output = open_folder(task.output)
    entries: list[dict[str, Any]] = []
    with _room_for(output) as room:
        file = room / f"{secrets.token_hex(8)}.part"
        try:
            summary = write_shard(file, _records(task, entries))
            output.publish(file, task.name)
        except MediaError as error:
            raise _about_the_shard(error, file, task) from error
        finally:
            file.unlink(missing_ok=True)
    entry = {
        "file": task.name,
        "num_records": summary.num_records,
        "num_bytes": summary.num_bytes,
        "sha256": summary.sha256,
        "tracks": entries,
    }
    output.write(task.entry_name, json.dumps(entry, indent=1).encode())
    return task.name


def _about_the_shard(error: MediaError, file: Path, task: ShardTask) -> MediaError:
    """An error in writing names the shard rather than the file that was to become it."""
    if file.stem not in str(error):
        return error
    return MediaError(f"Cannot write {task.output}/{task.name}: {str(error).rpartition(': ')[2].rpartition('; ')[2]}")


def _records(task: ShardTask, entries: list[dict[str, Any]]) -> Iterator[bytes]:
    """Serialised records of all tracks; each track's entry for the manifest is appended when its last one is out."""
    for track, instruments in zip(task.tracks, task.instruments, strict=True):
        num_records = 0
        try:
            with _local(track, task.source) as here:
                audio = TrackAudio(
                    here, instruments, sample_rate_hz=task.spec.sample_rate_hz, num_channels=task.spec.num_channels
                )
                for record in serialized_track(here, audio, task.spec, task.pictures):
                    num_records += 1
                    yield record
        except MediaError as error:
            raise MediaError(f"{track.name}: {error}") from error
        entries.append(_entry(track, audio, num_records))


def serialized_track(
    track: Track, audio: TrackAudio, spec: RecordSpec, pictures: PictureConfig | None = None
) -> Iterator[bytes]:
    """Serialised records of one track.

    Args:
        track: its files are on this machine.
        audio: its sound, not yet read.
        spec: how records are laid out.
        pictures: which pictures of its film go in; None for sound alone.
    """
    film = track_pictures(track, pictures) if pictures else ()
    return track_records(os.fsencode(track.name), audio.blocks(), spec, film)


def _entry(track: Track, audio: TrackAudio, num_records: int) -> dict[str, Any]:
    return {
        "name": track.name,
        "composition": track.composition,
        "instruments": list(audio.instruments),
        "num_players": len(track.parts),
        "mixture": "sum of the stems" if track.mixture is None else "recorded",
        "num_samples": audio.num_samples,
        "num_records": num_records,
        "remarks": [*track.remarks, *audio.remarks],
    }


@contextmanager
def _room_for(output: Folder) -> Iterator[Path]:
    """A local folder to write in: on the output's own disk where it has one, so that publishing is a rename."""
    if isinstance(output, LocalFolder):
        yield output.path / WORK
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


@contextmanager
def _local(track: Track, source: Source) -> Iterator[Track]:
    """The track with its files on this machine."""
    if source.url is None:
        yield track
        return
    folder = open_folder(source.url)
    with tempfile.TemporaryDirectory() as temporary:
        for file in track.files:
            name = file.relative_to(source.root).as_posix()
            folder.fetch(name, Path(temporary) / name)
        yield moved(track, source.root, Path(temporary))


def moved(track: Track, old_root: Path, new_root: Path) -> Track:
    """The same track with its files below another folder."""

    def place(path: Path | None) -> Path | None:
        return None if path is None else new_root / path.relative_to(old_root)

    def sound(old: Sound) -> Sound:
        return replace(old, path=new_root / old.path.relative_to(old_root))

    parts = tuple(
        replace(part, sound=sound(part.sound), notes=place(part.notes), f0s=place(part.f0s)) for part in track.parts
    )
    mixture = None if track.mixture is None else sound(track.mixture)
    return replace(track, parts=parts, mixture=mixture, video=place(track.video), boxes=place(track.boxes))
