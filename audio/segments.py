"""Records into segments, inside a `tf.data` graph: the stretch between a shard and a training example.

Conventions:
    A segment is what one training example hears. Up to the shuffle buffer it stays as small as the record holds it
    ("kept": integers, present sources, a JPEG); then it is sound:

        mixture float32 [time, channels]; sources float32 [num_present, time, channels] with slots int32 [num_present],
        their places in the taxonomy (-1 for none); jpeg string [], empty where there is no picture.
"""

import tensorflow as tf

from audio.augmentation import crop, fold_seed, random_start, split_seed
from audio.records import spec as names
from audio.records.parse import compact_signals, feature_spec, published_waveforms, split_signals
from audio.records.spec import RecordSpec

Tensors = dict[str, tf.Tensor]


def random_segments(
    serialized: tf.Tensor,
    spec: RecordSpec,
    seed: tf.Tensor,
    *,
    num_samples: int,
    context_samples: int,
    whole_context: bool,
    crops_per_record: int,
) -> tf.data.Dataset:
    """Kept segments at random places of a record; of the published schema the record as it is, once.

    Args:
        serialized: string `[]`.
        spec: of the record.
        seed: int32 `[2]`.
        num_samples: length of a segment.
        context_samples: how much of it at each end is no target.
        whole_context: keep segments inside the record's stretch.
        crops_per_record: segments to take from a record of full length, see `num_crops`.
    """
    parsed = tf.io.parse_single_example(serialized, feature_spec(spec))
    if spec.schema == "published":
        return _one(_published(parsed, spec, _random_frame(parsed, seed)))
    signals, slots = compact_signals(parsed, spec)
    crops, frames = [], []
    for index in range(crops_per_record):
        seeds = split_seed(fold_seed(seed, index), 2)
        start = random_start(
            tf.shape(signals)[1],
            num_samples,
            seeds[0],
            context_samples=context_samples,
            whole_context=whole_context,
        )
        crops.append(crop(signals, start, num_samples))
        frames.append(_random_frame(parsed, seeds[1]))
    taken = num_crops(tf.shape(signals)[1], spec, crops_per_record)
    return _kept_segments(tf.stack(crops)[:taken], slots, parsed, tf.stack(frames)[:taken])


def num_crops(covered_samples, spec: RecordSpec, crops_per_record: int):
    """How many segments a compact record gives, an integer or a tensor: in proportion to its length, rounded up."""
    return -(-covered_samples * crops_per_record // spec.stretch_samples)


def tiled_segments(
    serialized: tf.Tensor, spec: RecordSpec, *, num_samples: int, context_samples: int
) -> tf.data.Dataset:
    """Kept segments whose targets cover a record without gap or overlap; beyond the record there are zeros."""
    parsed = tf.io.parse_single_example(serialized, feature_spec(spec))
    frames = parsed[names.FRAMES]
    middle = tf.cond(tf.size(frames) > 0, lambda: frames[tf.size(frames) // 2], lambda: "")
    if spec.schema == "published":
        return _one(_published(parsed, spec, middle))
    signals, slots = compact_signals(parsed, spec)
    hop = num_samples - 2 * context_samples
    starts = tf.range(0, tf.shape(signals)[1], hop) - context_samples
    crops = tf.map_fn(lambda start: crop(signals, start, num_samples), starts, fn_output_signature=tf.int16)
    return _kept_segments(crops, slots, parsed, tf.repeat(middle, tf.size(starts)))


def to_sound(kept: Tensors) -> Tensors:
    """A kept segment as sound."""
    if "signals" not in kept:
        return kept
    mixture, sources = split_signals(kept["signals"], kept["has_mixture"], kept["step"])
    num_samples, num_channels = kept["signals"].shape[1:]
    return {
        "mixture": tf.ensure_shape(mixture, [num_samples, num_channels]),
        "sources": tf.ensure_shape(sources, [None, num_samples, num_channels]),
        "slots": kept["slots"],
        "jpeg": kept["jpeg"],
    }


def decode_picture(jpeg: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A JPEG in the wanted size.

    Args:
        jpeg: string `[]`, empty for no picture.
        height: in pixels.
        width: in pixels.

    Returns:
        (picture uint8 `[height, width, 3]`, mask float32 `[]`); zeros and 0 where there is none.
    """

    def decode():
        picture = tf.image.resize(tf.io.decode_jpeg(jpeg, channels=3), [height, width], antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(picture), 0, 255), tf.uint8)

    there = tf.strings.length(jpeg) > 0
    picture = tf.cond(there, decode, lambda: tf.zeros([height, width, 3], tf.uint8))
    return tf.ensure_shape(picture, [height, width, 3]), tf.cast(there, tf.float32)


def _kept_segments(crops: tf.Tensor, slots: tf.Tensor, parsed: Tensors, frames: tf.Tensor) -> tf.data.Dataset:
    segments = tf.data.Dataset.from_tensor_slices({"signals": crops, "jpeg": frames})
    same = {"slots": slots, "has_mixture": parsed[names.HAS_MIXTURE], "step": parsed[names.STEP]}
    return segments.map(lambda segment: {**segment, **same})


def _published(parsed: Tensors, spec: RecordSpec, jpeg: tf.Tensor) -> Tensors:
    mixture, sources = published_waveforms(parsed, spec)
    slots = tf.cast(tf.where(parsed[names.LABELS] > 0)[:, 0], tf.int32)
    return {"mixture": mixture, "sources": tf.gather(sources, slots), "slots": slots, "jpeg": jpeg}


def _one(segment: Tensors) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(segment)


def _random_frame(parsed: Tensors, seed: tf.Tensor) -> tf.Tensor:
    frames = parsed[names.FRAMES]
    place = tf.random.stateless_uniform([], seed, 0, tf.maximum(tf.size(frames), 1), dtype=tf.int32, alg="philox")
    return tf.cond(tf.size(frames) > 0, lambda: frames[place], lambda: "")
