"""Records into tensors, inside a `tf.data` graph.

Conventions: T samples of stretch, C channels, S sources of the taxonomy. What a record lacks is zeros.
"""

import tensorflow as tf

from audio.records import spec as names
from audio.records.spec import RecordSpec


def parse_example(serialized: tf.Tensor, spec: RecordSpec) -> dict[str, tf.Tensor]:
    """A record as dense tensors.

    Args:
        serialized: one example, string `[]`.
        spec: of the shard.

    Returns:
        name: string `[]`; sample_idx, num_samples (of the stretch, T), covered_samples: int32 `[]`;
        label_vector: float32 `[S]`;
        mixture: float32 `[time, C]`: T samples (compact; unknown to the graph) or `mixture_samples` (published);
        sources: float32 `[S, time, C]`: T samples or `source_samples`;
        frames, detections: string `[num_frames]`, JPEG and JSON; frame_times: float32 `[num_frames]`, seconds.
    """
    parsed = tf.io.parse_single_example(serialized, feature_spec(spec))
    labels = tf.cast(parsed[names.LABELS], tf.float32)
    waveforms = _compact_waveforms(parsed, spec) if spec.schema == "compact" else published_waveforms(parsed, spec)
    return {
        **common_features(parsed),
        "label_vector": labels,
        "mixture": waveforms[0],
        "sources": waveforms[1],
        "frames": parsed[names.FRAMES],
        "frame_times": parsed[names.FRAME_TIMES],
        "detections": parsed[names.DETECTIONS],
    }


def feature_spec(spec: RecordSpec) -> dict[str, object]:
    """What `tf.io.parse_single_example` needs to know of a record."""
    scalar = tf.io.FixedLenFeature([], tf.int64)
    text = tf.io.FixedLenFeature([], tf.string)
    features: dict[str, object] = {
        names.NAME: text,
        names.SAMPLE_IDX: scalar,
        names.NUM_SAMPLES: scalar,
        names.COVERED_SAMPLES: scalar,
        names.LABELS: tf.io.FixedLenFeature([len(spec.source_names)], tf.int64),
        names.FRAMES: tf.io.RaggedFeature(tf.string),
        names.FRAME_TIMES: tf.io.RaggedFeature(tf.float32),
        names.DETECTIONS: tf.io.RaggedFeature(tf.string),
    }
    if spec.schema == "compact":
        step = tf.io.FixedLenFeature([], tf.float32)
        return {**features, names.ENCODED: text, names.STEP: step, names.HAS_MIXTURE: scalar}
    num_values = spec.mixture_samples + spec.source_samples * len(spec.source_names)
    return {**features, names.ENCODED: tf.io.FixedLenFeature([num_values * spec.num_channels], tf.float32)}


def common_features(parsed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Name and place of a parsed record."""
    return {
        "name": parsed[names.NAME],
        "sample_idx": tf.cast(parsed[names.SAMPLE_IDX], tf.int32),
        "num_samples": tf.cast(parsed[names.NUM_SAMPLES], tf.int32),
        "covered_samples": tf.cast(parsed[names.COVERED_SAMPLES], tf.int32),
    }


def compact_signals(parsed: dict[str, tf.Tensor], spec: RecordSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """The integers of a compact record and where they belong.

    Returns:
        (signals int16 `[has_mixture + num_present, T, C]`, slots int32 `[num_present]`, ascending).
    """
    slots = tf.cast(tf.where(parsed[names.LABELS] > 0)[:, 0], tf.int32)
    num_signals = tf.size(slots) + tf.cast(parsed[names.HAS_MIXTURE], tf.int32)
    integers = tf.io.decode_raw(parsed[names.ENCODED], tf.int16, little_endian=True)
    num_samples = tf.cast(parsed[names.NUM_SAMPLES], tf.int32)
    signals = tf.reshape(integers, tf.stack([num_signals, num_samples, spec.num_channels]))
    return tf.ensure_shape(signals, [None, None, spec.num_channels]), slots


def published_waveforms(parsed: dict[str, tf.Tensor], spec: RecordSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """(mixture float32 `[mixture_samples, C]`, sources float32 `[S, source_samples, C]`) of a published record."""
    num_mixture = spec.mixture_samples * spec.num_channels
    encoded = parsed[names.ENCODED]
    mixture = tf.reshape(encoded[:num_mixture], [spec.mixture_samples, spec.num_channels])
    shape = [len(spec.source_names), spec.source_samples, spec.num_channels]
    return mixture, tf.reshape(encoded[num_mixture:], shape)


def split_signals(signals: tf.Tensor, has_mixture: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Integers of a compact record as sound.

    Args:
        signals: int16 `[has_mixture + num_present, time, channels]`.
        has_mixture: integer `[]`, 0 or 1.
        step: float32 `[]`.

    Returns:
        (mixture float32 `[time, channels]`, present sources float32 `[num_present, time, channels]`).
    """
    present = signals[tf.cast(has_mixture, tf.int32) :]
    # Summed as integers and scaled once, the sum is exact in every order.
    integers = tf.cast(signals, tf.int32)
    mixture = tf.cond(tf.cast(has_mixture, tf.bool), lambda: integers[0], lambda: tf.reduce_sum(integers, axis=0))
    return tf.cast(mixture, tf.float32) * step, tf.cast(present, tf.float32) * step


def _compact_waveforms(parsed: dict[str, tf.Tensor], spec: RecordSpec) -> tuple[tf.Tensor, tf.Tensor]:
    signals, slots = compact_signals(parsed, spec)
    mixture, present = split_signals(signals, parsed[names.HAS_MIXTURE], parsed[names.STEP])
    sources = tf.math.unsorted_segment_sum(present, slots, len(spec.source_names))
    mixture.set_shape([None, spec.num_channels])
    sources.set_shape([len(spec.source_names), None, spec.num_channels])
    return mixture, sources
