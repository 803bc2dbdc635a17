"""What a run is fed with: batches whose content depends on the seed and their number alone.

Conventions: a batch is `({"mixture": [batch, time, channels], "label_vector": [batch, num_sources]}, sources [batch,
num_sources, output_time, channels])`, all float32.
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from audio.augmentation import Augmentation
from audio.input_pipeline import InputConfig, make_dataset
from audio.label_noise import LabelNoise, with_label_noise
from audio.records.prepared import list_shards
from av_sep.datasets.packed_bank import is_bank
from av_sep.datasets.solo_bank import SoloBank
from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig
from pipelines.distribution import hide_gpus_from_tensorflow
from pipelines.joint.feed import JointFeed
from pipelines.joint.model import JointModel
from pipelines.overrides import from_options
from pipelines.train.bank_batches import VALIDATION_SEED, batch_maker, open_sides, require_rate
from pipelines.train.noisy_labels import label_noise_of


class Feed(Protocol):
    """Where batches come from."""

    def training(self, first_step: int) -> tf.data.Dataset:
        """Batches from number `first_step` on, without end."""

    def validation(self) -> tf.data.Dataset:
        """The fixed validation batches, the same for every run."""


def feed_for(config: TrainConfig, location: str, network: keras.Model) -> Feed:
    """The feed of a folder as a network needs it, with the labels' noise that the run asks for.

    Args:
        config: of the run.
        location: see `open_feed`.
        network: that is to be trained, one of `pipelines.networks.NETWORKS`.

    Raises:
        MediaError: as `open_feed`.
        ParameterError: where data, model and settings do not fit together.
    """
    hide_gpus_from_tensorflow()
    feed = open_feed(config, location, network.output_samples(config.segment_samples))
    joint = isinstance(network, JointModel)
    if joint:
        feed = JointFeed(feed, network, config)
    noise = label_noise_of(config, network)
    if noise is not None:
        feed = _NoisyFeed(feed, noise, config.seed)
    return feed if joint or network.takes_labels else _UnlabelledFeed(feed)


def open_feed(config: TrainConfig, location: str, output_samples: int) -> Feed:
    """The feed of a folder: a bank of solo lines (bank.json, packed_bank.json), or records (manifest.json).

    Args:
        config: of the run.
        location: the folder; that of records may be a URL that TensorFlow's file system knows.
        output_samples: length of the network's output for `config.segment_samples` of mixture.

    Raises:
        MediaError: where the folder is neither, or its files cannot be read.
        ParameterError: where data and model do not fit together.
    """
    location = location.rstrip("/")
    if tf.io.gfile.exists(f"{location}/manifest.json"):
        return RecordsFeed(config, location, output_samples)
    if is_bank(Path(location)):
        return BankFeed(config, Path(location), output_samples)
    raise MediaError(
        "Expected a folder with records (manifest.json, made by `av-sep prepare`) or with a bank of solo lines"
        f" (bank.json). Received: {location}"
    )


class _NoisyFeed:
    """Another feed with wrong labels in training; see `audio.label_noise`."""

    def __init__(self, feed: Feed, noise: LabelNoise, seed: int):
        self.feed, self.noise, self.seed = feed, noise, seed

    def training(self, first_step: int) -> tf.data.Dataset:
        """See `Feed.training`."""
        return with_label_noise(self.feed.training(first_step), self.noise, seed=self.seed, first_batch=first_step)

    def validation(self) -> tf.data.Dataset:
        """See `Feed.validation`: labels as the data have them."""
        return self.feed.validation()


class _UnlabelledFeed:
    """Another feed for a network without labels: of too many inputs Keras takes the first for the right one.

    Args:
        feed: the other one.
    """

    def __init__(self, feed: Feed):
        self.feed = feed

    def training(self, first_step: int) -> tf.data.Dataset:
        """See `Feed.training`."""
        return self.feed.training(first_step).map(_without_labels)

    def validation(self) -> tf.data.Dataset:
        """See `Feed.validation`."""
        return self.feed.validation().map(_without_labels)


def _without_labels(inputs: dict[str, tf.Tensor], sources: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    return {name: values for name, values in inputs.items() if name != "label_vector"}, sources


class BankFeed:
    """Mixtures of unrelated solo lines, made on the fly; see `av_sep.datasets.mixing`.

    Args:
        config: of the run.
        folder: of the bank, packed or not.
        output_samples: length of the sources; the centre of the mixture's stretch.

    Raises:
        MediaError: as `open_sides`.
        ParameterError: likewise.
    """

    def __init__(self, config: TrainConfig, folder: Path, output_samples: int):
        self.config, self.output_samples = config, output_samples
        self.sides = open_sides(config, folder)

    def training(self, first_step: int) -> tf.data.Dataset:
        """See `Feed.training`."""
        return self._batches(self.sides["train"], self.config.seed, tf.data.Dataset.counter(first_step))

    def validation(self) -> tf.data.Dataset:
        """See `Feed.validation`: mixtures of sources that are held out as a whole."""
        numbers = tf.data.Dataset.range(self.config.validation_steps)
        return self._batches(self.sides["heldout"], VALIDATION_SEED, numbers)

    def _batches(self, bank: SoloBank, seed: int, numbers: tf.data.Dataset) -> tf.data.Dataset:
        config, num_sources = self.config, len(self.config.model["source_names"])
        make = batch_maker(config, bank, self.output_samples, seed)

        def load(index):
            mixture, labels, sources = tf.numpy_function(make, [index], [tf.float32] * 3)
            mixture.set_shape((config.batch_size, config.segment_samples, 1))
            labels.set_shape((config.batch_size, num_sources))
            sources.set_shape((config.batch_size, num_sources, self.output_samples, 1))
            return {"mixture": mixture, "label_vector": labels}, sources

        return numbers.map(load, num_parallel_calls=2, deterministic=True).prefetch(2)


class RecordsFeed:
    """Segments of real or made pieces from TFRecords; see `audio.input_pipeline`.

    Args:
        config: of the run.
        location: folder made by `av-sep prepare`.
        output_samples: length of the sources; the centre of the mixture's stretch.
    """

    def __init__(self, config: TrainConfig, location: str, output_samples: int):
        spec = list_shards(location, "train").spec
        if spec is None:
            raise ParameterError(f"Expected a folder with the manifest of `av-sep prepare`. Received: {location}")
        require_rate(config, spec.sample_rate_hz)
        if tuple(config.model["source_names"]) != spec.source_names:
            raise ParameterError(
                f"Expected records of the model's sources {', '.join(config.model['source_names'])}."
                f" Received: {', '.join(spec.source_names)}"
            )
        self.config, self.location, self.spec = config, location, spec
        augmentation = None
        if config.augmentation is not None:
            augmentation = from_options("augmentation", Augmentation, config.augmentation)
        self.inputs = InputConfig(
            batch_size=config.batch_size,
            segment_samples=config.segment_samples,
            output_samples=output_samples,
            augmentation=augmentation,
            seed=config.seed,
            picture_size=config.picture_size,
        )

    def training(self, first_step: int) -> tf.data.Dataset:
        """See `Feed.training`."""
        return make_dataset(self.location, self.spec, replace(self.inputs, first_batch=first_step))

    def validation(self) -> tf.data.Dataset:
        """See `Feed.validation`: the first segments of the validation side, cut evenly and left as they are."""
        inputs = replace(self.inputs, split=self.config.validation_split, training=False)
        batches = make_dataset(self.location, self.spec, inputs)
        whole = batches.filter(lambda inputs, sources: tf.shape(sources)[0] == self.config.batch_size)
        whole = whole.take(self.config.validation_steps)
        num_batches = int(whole.reduce(np.int64(0), lambda num, batch: num + 1))
        if not num_batches:
            side = self.config.validation_split
            expected = f"Expected one batch of {self.config.batch_size} examples or more on the side {side!r}"
            raise ParameterError(f"{expected}. Received: fewer in {self.location}")
        # Keras takes the end of batches of unknown number for a mishap, and warns.
        return whole.apply(tf.data.experimental.assert_cardinality(num_batches))
