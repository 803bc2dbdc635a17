"""Shards into batches: what a training run and its validation are fed with.

    shards = list_shards("data/urmp")
    batches = make_dataset("data/urmp", shards.spec, InputConfig(batch_size=16, segment_samples=20480))

Conventions:
    A batch is `({"mixture": [batch, time, channels], "label_vector": [batch, num_sources]}, sources [batch,
    num_sources, time, channels])`, what a `audio.wave_unet.WaveUNet` takes; for networks with context the sources are
    the centre of the mixture's stretch. With pictures the inputs also hold "picture" uint8 `[batch, height, width, 3]`
    and "picture_mask" float32 `[batch]`, 0 where the record has none or sources come from several tracks.

Order: files are shuffled, read in turns, cut into segments, shuffled through a buffer, grouped into batches for
remixing, changed at random, and batched. Element k of the stream depends on the seed, k and the settings alone: not on
the machine, the number of threads or TensorFlow's global seed. A run goes on at batch n with `first_batch=n`: whole
epochs are jumped over where a manifest tells how many records there are; the rest is read and cut, but not changed.

gs:// locations go through TensorFlow's file system like all others; that path was never run here.
"""

from dataclasses import dataclass

import tensorflow as tf

from audio.augmentation import Augmentation, augment, extra_label, fold_seed, remix, split_seed, uniform
from audio.records.prepared import ShardList, list_shards, require_whole
from audio.records.shards import check_first_record
from audio.records.spec import RecordSpec
from audio.segments import Tensors, decode_picture, num_crops, random_segments, tiled_segments, to_sound
from av_sep.errors import ParameterError

DTYPES = ("float32", "bfloat16")
# Nothing here is Python that must become a graph, and looking for it takes most of the time of building one.
_as_it_is = tf.autograph.experimental.do_not_convert

# One seed feeds three streams: the order of segments, what is remixed, what is changed.
_ORDER, _REMIX, _CHANGE = range(3)


@dataclass(frozen=True)
class InputConfig:
    """How records become batches.

    Attributes:
        batch_size: examples per batch.
        segment_samples: length of a mixture.
        output_samples: length of the sources, for networks with context; None for the mixture's.
        split: "train", "validation" or "test".
        training: False gives every sample once, in order, without any change: then augmentation, shuffling, repeating
            and dropping are off, whatever they are set to here.
        augmentation: None for sound as it was recorded.
        crops_per_record: segments taken from a record each time it is read; fewer from the shorter last one of a track.
        whole_context: take only segments that lie in their record, where it is long enough. Otherwise targets are
            spread evenly over the record and the context of those near its ends is zeros.
        shuffle_segments: size of the shuffle buffer.
        cycle_length: files read in turns.
        num_parallel_calls: threads for each step, None to let TensorFlow choose; changes the speed alone.
        seed: of everything random.
        deterministic: False lets whichever batch is ready go first.
        repeat: go on for ever.
        drop_remainder: leave out the last batch where it is not full.
        dtype: of mixture and sources, "float32" or "bfloat16".
        picture_size: (height, width) of pictures, None for none.
        first_batch: batches to skip at the beginning, for a run that goes on.
        verify: compare the files' sizes with the manifest, and the first record with the spec, before anything else.

    Raises:
        ParameterError: for values that cannot be used.
    """

    batch_size: int
    segment_samples: int
    output_samples: int | None = None
    split: str = "train"
    training: bool = True
    augmentation: Augmentation | None = None
    crops_per_record: int = 4
    whole_context: bool = False
    shuffle_segments: int = 256
    cycle_length: int = 8
    num_parallel_calls: int | None = None
    seed: int = 0
    deterministic: bool = True
    repeat: bool = True
    drop_remainder: bool = True
    dtype: str = "float32"
    picture_size: tuple[int, int] | None = None
    first_batch: int = 0
    verify: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "segment_samples", "crops_per_record", "shuffle_segments", "cycle_length"):
            if getattr(self, name) < 1:
                raise ParameterError(f"Expected {name} of at least 1. Received: {getattr(self, name)}")
        context = self.segment_samples - self.num_targets
        if self.num_targets < 1 or context < 0 or context % 2:
            raise ParameterError(
                "Expected output_samples = segment_samples - an even number, the same context on both sides."
                f" Received: segment_samples={self.segment_samples}, output_samples={self.output_samples}"
            )
        if self.dtype not in DTYPES:
            raise ParameterError(f"Expected a dtype of {', '.join(DTYPES)}. Received: {self.dtype!r}")
        if self.first_batch < 0 or not 0 <= self.seed < 2**31:
            raise ParameterError(
                "Expected first_batch of at least 0 and a seed from 0 to 2**31 - 1."
                f" Received: first_batch={self.first_batch}, seed={self.seed}"
            )

    @property
    def num_targets(self) -> int:
        """Length of the sources."""
        return self.segment_samples if self.output_samples is None else self.output_samples

    @property
    def changes(self) -> Augmentation | None:
        """What is changed at random, None for nothing."""
        return self.augmentation if self.training else None

    @property
    def cropped_samples(self) -> int:
        """Length of what is cut out of a record for a segment."""
        return self.changes.num_input_samples(self.segment_samples) if self.changes else self.segment_samples


def make_dataset(location: str, spec: RecordSpec, config: InputConfig) -> tf.data.Dataset:
    """Batches of a split.

    Args:
        location: a prepared folder or a pattern of shards, as `audio.records.prepared.list_shards` takes it.
        spec: of the records.
        config: how they become batches.

    Raises:
        MediaError: where no shard is found, one is missing or truncated, or made for another spec. (Bytes that went bad
            inside a shard show only when they are read, as TensorFlow's DataLossError; `audio.records.check_shard`
            tells where.)
        ParameterError: where spec, config and manifest do not fit together.
    """
    shards = list_shards(str(location), config.split)
    _require_fitting(shards, spec, config)
    if config.verify:
        require_whole(shards)
        check_first_record(shards.files[0], spec)
    segments = (_training_segments if config.training else _evaluation_segments)(shards, spec, config)
    finish = _as_it_is(lambda index, segment: _example(index, segment, spec, config))
    examples = segments.map(finish, num_parallel_calls=_calls(config))
    batches = examples.batch(config.batch_size, drop_remainder=config.training and config.drop_remainder)
    options = tf.data.Options()
    options.deterministic = config.deterministic or not config.training
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _require_fitting(shards: ShardList, spec: RecordSpec, config: InputConfig) -> None:
    if shards.spec is not None and shards.spec != spec:
        raise ParameterError(f"Expected the manifest's record_spec {shards.spec}. Received: {spec}")
    if spec.schema == "compact":
        return
    if (config.segment_samples, config.num_targets) != (spec.mixture_samples, spec.source_samples):
        raise ParameterError(
            f"Expected segment_samples={spec.mixture_samples} and output_samples={spec.source_samples}, the lengths in"
            f" published records. Received: {config.segment_samples} and {config.num_targets}"
        )
    changes = config.changes
    if changes and (spec.context_samples or changes.max_shift_semitones):
        raise ParameterError(
            "Published records hold no context of single sources: use the compact schema to change sources at random,"
            f" or augmentation=None. Received: {changes}"
        )


def _training_segments(shards: ShardList, spec: RecordSpec, config: InputConfig) -> tf.data.Dataset:
    """(index, segment as sound), shuffled and remixed, without end if `repeat`."""
    first_epoch, skipped = _start(shards, spec, config)
    epochs = tf.data.Dataset.counter(first_epoch) if config.repeat else tf.data.Dataset.range(1)
    kept = epochs.flat_map(_as_it_is(lambda epoch: _epoch(shards.files, spec, config, epoch)))
    first = config.first_batch * config.batch_size
    segments = kept.skip(skipped).map(_as_it_is(to_sound), num_parallel_calls=_calls(config))
    if config.changes and config.changes.remix_probability:
        segments = _remixed(segments, config)
    return segments.enumerate(first)


def _evaluation_segments(shards: ShardList, spec: RecordSpec, config: InputConfig) -> tf.data.Dataset:
    """(index, segment as sound) of every stretch of every record, in order."""
    lengths = {"num_samples": config.segment_samples, "context_samples": _context(config)}
    kept = tf.data.TFRecordDataset(list(shards.files)).flat_map(
        _as_it_is(lambda serialized: tiled_segments(serialized, spec, **lengths))
    )
    kept = kept.skip(config.first_batch * config.batch_size)
    return kept.map(_as_it_is(to_sound), num_parallel_calls=_calls(config)).enumerate()


def _epoch(files: tuple[str, ...], spec: RecordSpec, config: InputConfig, epoch: tf.Tensor) -> tf.data.Dataset:
    """Kept segments of one pass over all records, a function of seed and epoch."""
    # This graph's own seed, which `shuffle` mixes into the one it is given: otherwise that would be the global seed.
    tf.compat.v1.set_random_seed(1)
    file_seed, crop_seed, shuffle_seed = split_seed(_seed(config, _ORDER, epoch), 3)
    order = tf.argsort(uniform([len(files)], file_seed))
    records = tf.data.Dataset.from_tensor_slices(tf.gather(tf.constant(files), order)).interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(config.cycle_length, len(files)),
        num_parallel_calls=_calls(config, min(config.cycle_length, len(files))),
        deterministic=config.deterministic,
    )

    @_as_it_is
    def cut(index: tf.Tensor, serialized: tf.Tensor) -> tf.data.Dataset:
        return random_segments(
            serialized,
            spec,
            fold_seed(crop_seed, tf.cast(index, tf.int32)),
            num_samples=config.cropped_samples,
            context_samples=_context(config) + (config.cropped_samples - config.segment_samples) // 2,
            whole_context=config.whole_context,
            crops_per_record=config.crops_per_record,
        )

    segments = records.enumerate().interleave(
        cut, cycle_length=2, num_parallel_calls=_calls(config, 2), deterministic=config.deterministic
    )
    return segments.shuffle(config.shuffle_segments, tf.cast(shuffle_seed[0], tf.int64), reshuffle_each_iteration=False)


def _start(shards: ShardList, spec: RecordSpec, config: InputConfig) -> tuple[int, int]:
    """The first epoch to go through, and segments to skip in it."""
    skipped = config.first_batch * config.batch_size
    if shards.covered_samples is None or not config.repeat:
        return 0, skipped
    if spec.schema == "published":
        return divmod(skipped, len(shards.covered_samples))
    return divmod(skipped, sum(num_crops(covered, spec, config.crops_per_record) for covered in shards.covered_samples))


def _remixed(segments: tf.data.Dataset, config: InputConfig) -> tf.data.Dataset:
    assert config.changes is not None
    probability = config.changes.remix_probability
    padding = {"mixture": 0.0, "sources": 0.0, "slots": -1, "jpeg": ""}

    def change(index: tf.Tensor, group: Tensors) -> Tensors:
        seed = _seed(config, _REMIX, index)
        sources, slots, remixed = remix(group["sources"], group["slots"], seed, probability)
        total = tf.reduce_sum(sources, axis=1)
        return {
            "mixture": tf.where(remixed[:, None, None], total, group["mixture"]),
            "sources": sources,
            "slots": slots,
            "jpeg": tf.where(remixed, "", group["jpeg"]),
        }

    groups = segments.padded_batch(config.batch_size, padding_values=padding).enumerate(config.first_batch)
    return groups.map(_as_it_is(change), num_parallel_calls=_calls(config)).unbatch()


def _example(index: tf.Tensor, segment: Tensors, spec: RecordSpec, config: InputConfig) -> tuple[Tensors, tf.Tensor]:
    """Inputs and references of one example."""
    mixture, sources, slots = segment["mixture"], segment["sources"], segment["slots"]
    seeds = split_seed(_seed(config, _CHANGE, index), 2)
    if config.changes:
        rest = mixture - tf.reduce_sum(sources, axis=0)
        mixture, sources, kept = augment(sources, rest, slots >= 0, config.segment_samples, seeds[0], config.changes)
        slots = tf.where(kept, slots, -1)
    num_sources = len(spec.source_names)
    # Negative slots are left out, which is what -1 stands for.
    labels = tf.math.unsorted_segment_max(tf.ones_like(slots, tf.float32), slots, num_sources)
    labels = tf.maximum(labels, 0.0)
    if config.changes:
        labels = extra_label(labels, seeds[1], config.changes.extra_label_probability)
    excess = (sources.shape[1] - config.num_targets) // 2
    targets = tf.math.unsorted_segment_sum(sources[:, excess : excess + config.num_targets], slots, num_sources)
    dtype = tf.as_dtype(config.dtype)
    inputs = {"mixture": tf.cast(mixture, dtype), "label_vector": labels}
    if config.picture_size:
        inputs["picture"], inputs["picture_mask"] = decode_picture(segment["jpeg"], *config.picture_size)
    targets = tf.ensure_shape(targets, [num_sources, config.num_targets, spec.num_channels])
    return inputs, tf.cast(targets, dtype)


def _seed(config: InputConfig, stream: int, index: tf.Tensor) -> tf.Tensor:
    return fold_seed(tf.constant([config.seed, stream], tf.int32), tf.cast(index, tf.int32))


def _context(config: InputConfig) -> int:
    return (config.segment_samples - config.num_targets) // 2


def _calls(config: InputConfig, most: int = 2**16) -> int:
    return tf.data.AUTOTUNE if config.num_parallel_calls is None else min(config.num_parallel_calls, most)
