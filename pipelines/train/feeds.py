"""What a run is fed with: batches whose content depends on the seed and their number alone.

Conventions: a batch is `({"mixture": [batch, time, channels], "label_vector": [batch, num_sources]}, sources [batch,
num_sources, output_time, channels])`, all float32.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from audio.augmentation import Augmentation
from audio.input_pipeline import InputConfig, make_dataset
from audio.records.prepared import list_shards
from av_sep.datasets.mixing import MixingConfig, make_batch
from av_sep.datasets.solo_bank import SoloBank, open_bank
from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig

# A stream of its own, so that validation examples never depend on the training seed.
VALIDATION_SEED = 20_000


class Feed(Protocol):
    """Where batches come from."""

    def training(self, first_step: int) -> tf.data.Dataset:
        """Batches from number `first_step` on, without end."""

    def validation(self) -> tf.data.Dataset:
        """The fixed validation batches, the same for every run."""


def open_feed(config: TrainConfig, location: str, output_samples: int) -> Feed:
    """The feed of a folder: a bank of solo lines (bank.json), or records with a manifest (manifest.json).

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
    if (Path(location) / "bank.json").is_file():
        return BankFeed(config, Path(location), output_samples)
    raise MediaError(
        "Expected a folder with records (manifest.json, made by `av-sep prepare`) or with a bank of solo lines"
        f" (bank.json). Received: {location}"
    )


class BankFeed:
    """Mixtures of unrelated solo lines, made on the fly; see `av_sep.datasets.mixing`.

    Args:
        config: of the run.
        folder: with `bank.json`, `train/` and `heldout/`.
        output_samples: length of the sources; the centre of the mixture's stretch.
    """

    def __init__(self, config: TrainConfig, folder: Path, output_samples: int):
        rate_hz = json.loads((folder / "bank.json").read_text())["sample_rate_hz"]
        _require_rate(config, rate_hz)
        self.config, self.folder, self.output_samples = config, folder, output_samples

    def training(self, first_step: int) -> tf.data.Dataset:
        """See `Feed.training`."""
        numbers = tf.data.Dataset.counter(first_step)
        return self._batches(open_bank(self.folder, "train"), self.config.seed, numbers)

    def validation(self) -> tf.data.Dataset:
        """See `Feed.validation`: mixtures of sources that are held out as a whole."""
        numbers = tf.data.Dataset.range(self.config.validation_steps)
        return self._batches(open_bank(self.folder, "heldout"), VALIDATION_SEED, numbers)

    def _batches(self, bank: SoloBank, seed: int, numbers: tf.data.Dataset) -> tf.data.Dataset:
        config, names = self.config, list(self.config.model["source_names"])
        mixing = MixingConfig(num_samples=config.segment_samples, **config.mixing)
        excess = (config.segment_samples - self.output_samples) // 2

        def draw(index):
            batch = make_batch(bank, names, mixing, seed=seed, index=int(index), batch_size=config.batch_size)
            return batch[0], batch[1], batch[2][:, :, excess : excess + self.output_samples]

        def load(index):
            mixture, labels, sources = tf.numpy_function(draw, [index], [tf.float32] * 3)
            mixture.set_shape((config.batch_size, config.segment_samples, 1))
            labels.set_shape((config.batch_size, len(names)))
            sources.set_shape((config.batch_size, len(names), self.output_samples, 1))
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
        assert spec is not None
        _require_rate(config, spec.sample_rate_hz)
        if tuple(config.model["source_names"]) != spec.source_names:
            raise ParameterError(
                f"Expected records of the model's sources {', '.join(config.model['source_names'])}."
                f" Received: {', '.join(spec.source_names)}"
            )
        self.config, self.location, self.spec = config, location, spec
        augmentation = Augmentation(**config.augmentation) if config.augmentation is not None else None
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


def _require_rate(config: TrainConfig, rate_hz: int) -> None:
    if rate_hz != config.model["sample_rate_hz"]:
        expected = f"Expected data at the model's {config.model['sample_rate_hz']} Hz"
        raise ParameterError(f"{expected}. Received: {rate_hz} Hz")
