"""Records into segments, inside a `tf.data` graph: the stretch between a shard and a training example.

Conventions:
    A segment is what one training example hears. Up to the shuffle buffer it stays as small as the record holds it
    ("kept": integers, present sources, a JPEG); then it is sound:

        mixture float32 [time, channels]; sources float32 [num_present, time, channels] with slots int32 [num_present],
        their places in the taxonomy (-1 for none); jpeg string [], empty where there is no picture.
"""

import tensorflow as tf

from audio.augmentation import crop, random_starts, split_seed, uniform
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
        return _one(_published(parsed, spec, _random_frames(parsed, 1, seed)[0]))
    signals, slots = compact_signals(parsed, spec)
    seeds = split_seed(seed, 2)
    starts = random_starts(
        crops_per_record,
        tf.shape(signals)[1],
        num_samples,
        seeds[0],
        context_samples=context_samples,
        whole_context=whole_context,
    )[: num_crops(tf.shape(signals)[1], spec, crops_per_record)]
    frames = _random_frames(parsed, crops_per_record, seeds[1])[: tf.size(starts)]
    return _kept_segments(_crops(signals, starts, num_samples), slots, parsed, frames)


def num_crops(covered_samples, spec: RecordSpec, crops_per_record: int):
    """How many segments a compact record gives, an integer or a tensor: in proportion to its length, rounded up."""
    return -(-covered_samples * crops_per_record // spec.stretch_samples)


def tiled_segments(
    serialized: tf.Tensor, spec: RecordSpec, *, num_samples: int, context_samples: int
) -> tf.data.Dataset:
    """Kept segments whose targets cover a record without gap or overlap; beyond the record there are zeros."""
    parsed = tf.io.parse_single_example(serialized, feature_spec(spec))
    middle = tf.concat([parsed[names.FRAMES], [""]], axis=0)[tf.size(parsed[names.FRAMES]) // 2]
    if spec.schema == "published":
        return _one(_published(parsed, spec, middle))
    signals, slots = compact_signals(parsed, spec)
    hop = num_samples - 2 * context_samples
    starts = tf.range(0, tf.shape(signals)[1], hop) - context_samples
    frames = tf.repeat(middle, tf.size(starts))
    return _kept_segments(_crops(signals, starts, num_samples), slots, parsed, frames)


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


def _crops(signals: tf.Tensor, starts: tf.Tensor, num_samples: int) -> tf.Tensor:
    """int16 `[num_starts, num_signals, num_samples, channels]`."""
    return tf.map_fn(lambda start: crop(signals, start, num_samples), starts, fn_output_signature=tf.int16)


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


def _random_frames(parsed: Tensors, num: int, seed: tf.Tensor) -> tf.Tensor:
    """JPEGs of random pictures of the record, string `[num]`, empty where it has none."""
    # With an empty string behind the last picture there is always one to take.
    frames = tf.concat([parsed[names.FRAMES], [""]], axis=0)
    num_frames = tf.maximum(tf.size(frames) - 1, 1)
    places = tf.cast(uniform([num], seed) * tf.cast(num_frames, tf.float32), tf.int32)
    return tf.gather(frames, tf.minimum(places, num_frames - 1))
