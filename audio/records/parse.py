"""What training reads of a record, as tensors inside a `tf.data` graph; `shards.read_records` reads all of it.

Conventions: T samples of stretch, C channels, S sources of the taxonomy.
"""

import tensorflow as tf

from audio.records import spec as names
from audio.records.spec import RecordSpec


def feature_spec(spec: RecordSpec) -> dict[str, object]:
    """What `tf.io.parse_single_example` needs to know of a record to read labels, sound and pictures."""
    features: dict[str, object] = {
        names.LABELS: tf.io.FixedLenFeature([len(spec.source_names)], tf.int64),
        names.FRAMES: tf.io.RaggedFeature(tf.string),
    }
    if spec.schema == "compact":
        scalar = tf.io.FixedLenFeature([], tf.int64)
        step = tf.io.FixedLenFeature([], tf.float32)
        encoded = tf.io.FixedLenFeature([], tf.string)
        sound = {names.NUM_SAMPLES: scalar, names.HAS_MIXTURE: scalar, names.STEP: step, names.ENCODED: encoded}
        return {**features, **sound}
    num_values = spec.mixture_samples + spec.source_samples * len(spec.source_names)
    return {**features, names.ENCODED: tf.io.FixedLenFeature([num_values * spec.num_channels], tf.float32)}


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
