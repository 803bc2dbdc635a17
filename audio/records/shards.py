"""Shards on disk: written whole or not at all, read by people, checked before a training run relies on them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from audio.records import spec as names
from audio.records.spec import RecordPicture, RecordSpec, require_known_version
from av_sep.errors import MediaError, ParameterError, shown
from av_sep.media.files import replace_when_complete, require_readable

_READ_BYTES = 2**20
# Length and its checksum before a record, the record's checksum behind it.
FRAMING_BYTES = 16


@dataclass(frozen=True)
class ShardSummary:
    """What a shard holds.

    Attributes:
        num_records: its records.
        num_samples: samples per channel of the tracks that they cover, without padding.
        num_bytes: size of the file.
        sha256: of the file.
    """

    num_records: int
    num_samples: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True, eq=False)
class Record:
    """One record as arrays.

    Attributes:
        name: of its track.
        sample_idx: its place in the track, from 0.
        start_sample: first sample of the track that it covers.
        covered_samples: samples of the track that it covers.
        mixture: float32 `[time, channels]`; in the published schema with context on both sides.
        sources: instrument -> float32 `[time, channels]`, the present ones.
        label_vector: float32 `[num_sources]`, 0 or 1.
        pictures: of the stretch, ordered by time.
    """

    name: str
    sample_idx: int
    start_sample: int
    covered_samples: int
    mixture: np.ndarray
    sources: Mapping[str, np.ndarray]
    label_vector: np.ndarray
    pictures: tuple[RecordPicture, ...]


def write_shard(path: Path, records: Iterable[bytes]) -> ShardSummary:
    """Writes serialised records to a TFRecord file, which appears under its name only when it is complete.

    Raises:
        MediaError: where the folder is missing, the disk is full or writing fails otherwise.
    """
    num_records = num_samples = 0
    with replace_when_complete(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for record in records:
                    writer.write(record)
                    num_records += 1
                    num_samples += _covered(tf.train.Example.FromString(record))
        except tf.errors.OpError as error:
            raise MediaError(f"Cannot write {shown(path)}: {one_line(error)}") from error
        num_bytes, sha256 = _fingerprint(temporary)
    return ShardSummary(num_records, num_samples, num_bytes, sha256)


def read_records(path: Path, spec: RecordSpec) -> Iterator[Record]:
    """The records of a shard in order, decoded without TensorFlow's graph.

    Raises:
        MediaError: for a file that is damaged, not a shard, or made for another spec, as `check_shard` does.
    """
    for index, example in _examples(path):
        features = _checked_features(example, spec, f"record {index} of {shown(path)}")
        yield _decode(features, spec)


def check_shard(path: Path, spec: RecordSpec) -> ShardSummary:
    """Reads a whole shard and compares it with the spec.

    Raises:
        MediaError: for a file that is truncated or otherwise damaged, is not a TFRecord file, holds no records or
            features of something else, was made by a newer version or for another rate, taxonomy or size.
    """
    num_records = num_samples = 0
    for index, example in _examples(path):
        features = _checked_features(example, spec, f"record {index} of {shown(path)}")
        num_records += 1
        num_samples += features[names.COVERED_SAMPLES].int64_list.value[0]
    if not num_records:
        raise MediaError(f"Expected a TFRecord file with records. Received: {shown(path)}, which holds none")
    return ShardSummary(num_records, num_samples, *_fingerprint(path))


def check_first_record(file: str, spec: RecordSpec) -> None:
    """Compares the first record of a shard with the spec; what that costs does not grow with the file.

    Args:
        file: path, or a URL that TensorFlow's file system reaches.
        spec: what is expected.

    Raises:
        MediaError: as `check_shard`.
    """
    for _, example in _read(file):
        _checked_features(example, spec, f"record 0 of {shown(file)}")
        return
    raise MediaError(f"Expected a TFRecord file with records. Received: {shown(file)}, which holds none")


def _examples(path: Path) -> Iterator[tuple[int, tf.train.Example]]:
    """The numbered records of a local file, which must be whole."""
    require_readable(path)
    num_records = num_bytes = 0
    for serialized, example in _read(str(path)):
        yield num_records, example
        num_records, num_bytes = num_records + 1, num_bytes + len(serialized) + FRAMING_BYTES
    # TensorFlow takes a file that ends within the length of a record for one that ends before it.
    if num_bytes != path.stat().st_size:
        raise _damaged(str(path), num_records)


def _read(file: str) -> Iterator[tuple[bytes, tf.train.Example]]:
    index = 0
    try:
        for serialized in tf.data.TFRecordDataset(file).as_numpy_iterator():
            yield serialized, tf.train.Example.FromString(serialized)
            index += 1
    except tf.errors.DataLossError as error:
        raise _damaged(file, index) from error
    except DecodeError as error:
        raise MediaError(
            f"Expected tf.train.Example records. Received: {shown(file)}, whose record {index} is something else"
        ) from error
    except tf.errors.OpError as error:
        raise MediaError(f"Cannot read {shown(file)}: {one_line(error)}") from error


def _damaged(file: str, num_whole: int) -> MediaError:
    what = f"is damaged or cut off after {num_whole} records" if num_whole else "is not a TFRecord file, or damaged"
    return MediaError(f"Expected a whole TFRecord file. Received: {shown(file)}, which {what}")


def _checked_features(example: tf.train.Example, spec: RecordSpec, where: str) -> Mapping[str, tf.train.Feature]:
    features = example.features.feature
    version = _integers(features, names.VERSION)
    if not version:
        raise MediaError(f"Expected records made by `av-sep prepare`. Received: {where}, which has no {names.VERSION}")
    try:
        require_known_version(version[0])
    except ParameterError as error:
        raise MediaError(f"{error} ({where})") from None
    expected = {
        names.SAMPLE_RATE: [spec.sample_rate_hz],
        names.CHANNELS: [spec.num_channels],
        names.NUM_SOURCES: [len(spec.source_names)],
    }
    for name, values in expected.items():
        if _integers(features, name) != values:
            raise MediaError(f"Expected {name} of {values[0]}. Received: {_integers(features, name)} in {where}")
    _check_labels(features, spec, where)
    _check_size(features, spec, where)
    return features


def _check_labels(features: Mapping[str, tf.train.Feature], spec: RecordSpec, where: str) -> None:
    labels = _integers(features, names.LABELS)
    listed = b"".join(features[names.SOURCE_NAMES].bytes_list.value).decode("utf-8", "backslashreplace")
    expected = ",".join(name for name, label in zip(spec.abbreviations, labels) if label)
    if len(labels) != len(spec.source_names) or listed != expected:
        raise MediaError(
            f"Expected records for the instruments {','.join(spec.abbreviations)}."
            f" Received: {listed!r} with the labels {labels} in {where}"
        )


def _check_size(features: Mapping[str, tf.train.Feature], spec: RecordSpec, where: str) -> None:
    num_samples, covered = _integers(features, names.NUM_SAMPLES), _integers(features, names.COVERED_SAMPLES)
    if not num_samples or not covered or not 1 <= covered[0] <= num_samples[0] <= spec.covered_samples:
        raise MediaError(
            f"Expected a stretch of 1 to {spec.covered_samples} samples."
            f" Received: {names.NUM_SAMPLES}={num_samples}, {names.COVERED_SAMPLES}={covered} in {where}"
        )
    expected = _expected_bytes(features, spec)
    encoded = features[names.ENCODED]
    received = 4 * len(encoded.float_list.value) + sum(len(value) for value in encoded.bytes_list.value)
    kind = "bytes_list" if spec.schema == "compact" else "float_list"
    if received != expected or encoded.WhichOneof("kind") != kind:
        raise MediaError(
            f"Expected {expected} bytes of sound in the {spec.schema} schema."
            f" Received: {received} bytes of {encoded.WhichOneof('kind')} in {where}"
        )


def _expected_bytes(features: Mapping[str, tf.train.Feature], spec: RecordSpec) -> int:
    if spec.schema == "published":
        values = spec.mixture_samples + spec.source_samples * len(spec.source_names)
        return 4 * values * spec.num_channels
    num_signals = sum(_integers(features, names.LABELS)) + sum(_integers(features, names.HAS_MIXTURE))
    return 2 * num_signals * _integers(features, names.NUM_SAMPLES)[0] * spec.num_channels


def _decode(features: Mapping[str, tf.train.Feature], spec: RecordSpec) -> Record:
    labels = np.array(_integers(features, names.LABELS), np.float32)
    sample_idx = _integers(features, names.SAMPLE_IDX)[0]
    decode = _decode_compact if spec.schema == "compact" else _decode_published
    mixture, sources = decode(features, np.flatnonzero(labels), spec)
    return Record(
        name=features[names.NAME].bytes_list.value[0].decode("utf-8", "backslashreplace"),
        sample_idx=sample_idx,
        start_sample=sample_idx * spec.covered_samples,
        covered_samples=_integers(features, names.COVERED_SAMPLES)[0],
        mixture=mixture,
        sources={spec.source_names[slot]: source for slot, source in zip(np.flatnonzero(labels), sources, strict=True)},
        label_vector=labels,
        pictures=_pictures(features),
    )


def _decode_compact(features, slots: np.ndarray, spec: RecordSpec) -> tuple[np.ndarray, np.ndarray]:
    integers = np.frombuffer(features[names.ENCODED].bytes_list.value[0], "<i2")
    step = np.float32(features[names.STEP].float_list.value[0])
    has_mixture = bool(_integers(features, names.HAS_MIXTURE)[0])
    integers = integers.reshape(has_mixture + len(slots), -1, spec.num_channels).astype(np.int32)
    mixture = integers[0] if has_mixture else integers.sum(axis=0)
    return (mixture * step).astype(np.float32), (integers[has_mixture:] * step).astype(np.float32)


def _decode_published(features, slots: np.ndarray, spec: RecordSpec) -> tuple[np.ndarray, np.ndarray]:
    values = np.array(features[names.ENCODED].float_list.value, np.float32)
    mixture, sources = np.split(values, [spec.mixture_samples * spec.num_channels])
    sources = sources.reshape(len(spec.source_names), spec.source_samples, spec.num_channels)
    return mixture.reshape(-1, spec.num_channels), sources[slots]


def _pictures(features: Mapping[str, tf.train.Feature]) -> tuple[RecordPicture, ...]:
    times = features[names.FRAME_TIMES].float_list.value
    jpegs = features[names.FRAMES].bytes_list.value
    detections = features[names.DETECTIONS].bytes_list.value
    return tuple(RecordPicture(t, jpeg, text.decode()) for t, jpeg, text in zip(times, jpegs, detections, strict=True))


def _integers(features: Mapping[str, tf.train.Feature], name: str) -> list[int]:
    return list(features[name].int64_list.value) if name in features else []


def _covered(example: tf.train.Example) -> int:
    return sum(example.features.feature[names.COVERED_SAMPLES].int64_list.value)


def _fingerprint(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
        return file.tell(), digest.hexdigest()


def one_line(error: tf.errors.OpError) -> str:
    """What TensorFlow says about a failed file, on one line."""
    return " ".join((error.message or type(error).__name__).split())
