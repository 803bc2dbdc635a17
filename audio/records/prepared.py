"""Which shards belong to a split: a prepared folder with its manifest, or a pattern of file names.

Folders and patterns may be anything that TensorFlow's file system reaches, gs:// included.
"""

import fnmatch
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from audio.records.shards import FRAMING_BYTES, one_line
from audio.records.spec import RecordSpec
from av_sep.errors import MediaError, ParameterError

MANIFEST = "manifest.json"
# Length and its checksum.
_HEADER = struct.Struct("<QI")


@dataclass(frozen=True)
class ShardList:
    """Shards of one split.

    Attributes:
        files: sorted by name.
        covered_samples: of every record of all of them, None where no manifest tells.
        num_bytes: of each shard, likewise.
        spec: of the records, likewise.
    """

    files: tuple[str, ...]
    covered_samples: tuple[int, ...] | None = None
    num_bytes: tuple[int, ...] | None = None
    spec: RecordSpec | None = None


def list_shards(location: str, split: str = "train") -> ShardList:
    """The shards of a split.

    Args:
        location: a folder made by `av-sep prepare` (or one of `<split>-*.tfrecord` files), or a pattern of shards'
            names, to which the split then does not matter.
        split: "train", "validation" or "test".

    Raises:
        MediaError: where nothing matches, or the manifest cannot be read.
        ParameterError: for a manifest of a newer version, and a split that it does not know.
    """
    location = location.rstrip("/")
    try:
        if tf.io.gfile.exists(f"{location}/{MANIFEST}"):
            return _listed(location, split)
        pattern = f"{location}/{split}-*.tfrecord" if tf.io.gfile.isdir(location) else location
        files = tuple(sorted(_matches(location, pattern)))
    except tf.errors.OpError as error:
        raise MediaError(f"Cannot look for records at {location}: {one_line(error)}") from error
    if not files:
        raise MediaError(f"Expected TFRecord files (made by `av-sep prepare`). Received: {pattern}, which matches none")
    return ShardList(files)


def _matches(location: str, pattern: str) -> list[str]:
    if pattern == location:
        return tf.io.gfile.glob(pattern)
    # Names of folders may hold what means something in a pattern.
    names = fnmatch.filter(tf.io.gfile.listdir(location), pattern.rpartition("/")[2])
    return [f"{location}/{name}" for name in names]


def require_whole(shards: ShardList) -> None:
    """Refuses missing and truncated shards, without reading their content.

    Sizes are compared with the manifest's. Where there is none, the lengths of the records must add up to the
    file's; that costs one seek a record, so it is done for local files only.

    Raises:
        MediaError: naming the file.
    """
    for index, file in enumerate(shards.files):
        try:
            received = tf.io.gfile.stat(file).length
        except tf.errors.OpError as error:
            raise MediaError(f"Expected a shard. Received: {file} ({one_line(error)})") from error
        if shards.num_bytes is not None:
            expected = shards.num_bytes[index]
        else:
            expected = received if "://" in file else _framed_bytes(file, received)
        if received != expected:
            raise MediaError(
                f"Expected a TFRecord file of {expected} bytes; prepare it or copy it again."
                f" Received: {file} with {received} bytes"
            )


def _listed(folder: str, split: str) -> ShardList:
    manifest = _read_manifest(f"{folder}/{MANIFEST}")
    try:
        sides = manifest["sides"]
        spec = RecordSpec.from_dict(manifest["record_spec"])
        if split not in sides:
            raise ParameterError(f"Expected a split of {', '.join(sides)}. Received: {split!r}")
        entries = sorted(sides[split]["shards"], key=lambda entry: entry["file"])
        files = tuple(f"{folder}/{entry['file']}" for entry in entries)
        covered = tuple(_covered_samples(entries, spec))
        num_records = sum(entry["num_records"] for entry in entries)
        num_bytes = tuple(entry["num_bytes"] for entry in entries)
    except (KeyError, TypeError) as error:
        what = f"{folder}/{MANIFEST} ({error!r})"
        raise MediaError(f"Expected a manifest of `av-sep prepare`. Received: {what}") from error
    if not num_records:
        raise MediaError(f"Expected records in the split {split!r}. Received: {folder}, where it is empty")
    return ShardList(files, covered if len(covered) == num_records else None, num_bytes, spec)


def _covered_samples(entries: Sequence[Mapping[str, Any]], spec: RecordSpec) -> Iterator[int]:
    for track in (track for entry in entries for track in entry["tracks"]):
        for start in range(0, track["num_samples"], spec.covered_samples):
            yield min(spec.covered_samples, track["num_samples"] - start)


def _read_manifest(path: str) -> Mapping[str, Any]:
    with tf.io.gfile.GFile(path) as file:
        try:
            return json.loads(file.read())
        except ValueError as error:
            raise MediaError(f"Expected JSON. Received: {path} ({error})") from error


def _framed_bytes(path: str, num_bytes: int) -> int:
    """Where the last record of a file would end."""
    position = 0
    with open(path, "rb") as file:
        while position < num_bytes:
            file.seek(position)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return position + _HEADER.size
            position += _HEADER.unpack(header)[0] + FRAMING_BYTES
    return position
