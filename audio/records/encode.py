"""One record: arrays in, a serialised `tf.train.Example` out, the same bytes for the same arrays everywhere."""

import numpy as np
import tensorflow as tf

from audio.records import spec as names
from audio.records.spec import SCHEMA_VERSION, RecordPicture, RecordSpec

# 24-bit files lie on this grid; a finer one would keep nothing that was recorded.
FINEST_STEP = 2.0**-23
STEP_16_BIT = 2.0**-15


def encode_record(
    name: bytes,
    index: int,
    signals: np.ndarray,
    covered_samples: int,
    slots: list[int],
    pictures: list[RecordPicture],
    spec: RecordSpec,
) -> bytes:
    """Serialises one record.

    Args:
        name: of the track.
        index: of the record within the track.
        signals: float32 `[1 + num_present, time, channels]`, the mixture first, then the sources by ascending slot.
        covered_samples: samples of the track that the record covers; the rest of its stretch is padding.
        slots: positions of the present sources in the taxonomy, ascending.
        pictures: of the covered stretch.
        spec: of the shard.
    """
    labels = np.zeros(len(spec.source_names), np.int64)
    labels[slots] = 1
    features = {
        names.NAME: bytes_feature([name]),
        names.SAMPLE_RATE: int_feature([spec.sample_rate_hz]),
        names.SAMPLE_IDX: int_feature([index]),
        names.CHANNELS: int_feature([spec.num_channels]),
        names.NUM_SOURCES: int_feature([len(labels)]),
        names.LABELS: int_feature(labels),
        names.SOURCE_NAMES: bytes_feature([",".join(spec.abbreviations[slot] for slot in slots).encode()]),
        names.VERSION: int_feature([SCHEMA_VERSION]),
        names.COVERED_SAMPLES: int_feature([covered_samples]),
        names.FRAMES: bytes_feature([picture.jpeg for picture in pictures]),
        names.FRAME_TIMES: float_feature(np.array([picture.time_seconds for picture in pictures])),
        names.DETECTIONS: bytes_feature([picture.detections.encode() for picture in pictures]),
    }
    if spec.schema == "compact":
        features.update(_compact_features(signals[:, :covered_samples]))
    else:
        features.update(_published_features(signals, slots, spec))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _compact_features(signals: np.ndarray) -> dict[str, tf.train.Feature]:
    step = step_for(signals[1:])
    integers = quantize(signals[1:], step)
    has_mixture = not is_sum(signals[0], integers, step)
    if has_mixture:
        step = step_for(signals)
        integers = quantize(signals, step)
    return {
        names.NUM_SAMPLES: int_feature([signals.shape[1]]),
        names.STEP: float_feature(np.array([step])),
        names.HAS_MIXTURE: int_feature([int(has_mixture)]),
        names.ENCODED: bytes_feature([integers.tobytes()]),
    }


def _published_features(signals: np.ndarray, slots: list[int], spec: RecordSpec) -> dict[str, tf.train.Feature]:
    sources = np.zeros((len(spec.source_names), spec.source_samples, spec.num_channels), np.float32)
    begin = spec.context_samples
    sources[slots] = signals[1:, begin : begin + spec.source_samples]
    return {
        names.NUM_SAMPLES: int_feature([spec.source_samples]),
        names.ENCODED: float_feature(np.concatenate([signals[0].ravel(), sources.ravel()])),
    }


def step_for(signals: np.ndarray) -> float:
    """The finest power of two in whose multiples 16-bit integers can hold all of the signals."""
    highest, lowest = float(signals.max()), float(signals.min())
    step = FINEST_STEP
    while np.rint(highest / step) > 32767 or np.rint(lowest / step) < -32768:
        step *= 2
    return step


def quantize(signals: np.ndarray, step: float) -> np.ndarray:
    """`signals / step`, rounded to even, as little-endian int16 of the same shape."""
    # The step is a power of two, so the product is exact.
    return np.rint(signals * np.float32(1 / step)).astype("<i2")


def is_sum(mixture: np.ndarray, integers: np.ndarray, step: float) -> bool:
    """Whether rounding alone explains how the mixture `[time, channels]` differs from `integers * step`, summed."""
    total = integers.sum(axis=0, dtype=np.int32) * np.float32(step)
    tolerance = (len(integers) + 1) / 2 * max(step, STEP_16_BIT)
    return bool(np.max(np.abs(total - mixture)) <= tolerance)


def int_feature(values) -> tf.train.Feature:
    """An int64 list."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def bytes_feature(values: list[bytes]) -> tf.train.Feature:
    """A list of strings."""
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def float_feature(values: np.ndarray) -> tf.train.Feature:
    """A float32 list."""
    data = np.ascontiguousarray(values, "<f4").tobytes()
    # Field 1, packed: a list of Python floats would cost twenty times the time of everything else.
    packed = b"\x0a" + _varint(len(data)) + data if data else b""
    return tf.train.Feature(float_list=tf.train.FloatList.FromString(packed))


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
