"""Batches for the joint model: what another feed gives, with targets for both halves and some labels given away.

Conventions: a batch is `(inputs, targets, weights)`: inputs "mixture", "picture", "picture_mask", and in training
"label_vector" and "label_given", as `pipelines.joint.model.JointModel` takes them; targets "sources" and
"label_vector"; weights float32 `[batch]` of the targets, those of the labels 0 where there is no picture.
"""

from typing import Any

import tensorflow as tf

from audio.augmentation import Augmentation, fold_seed, split_seed, uniform
from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.joint.model import JointModel

# Beside the three random streams of `audio.input_pipeline`.
_GIVEN = 3


class JointFeed:
    """Another feed, made ready for a joint model.

    Args:
        feed: gives pictures.
        model: that is to be trained.
        config: of the run.

    Raises:
        ParameterError: where there are no pictures, or sound is changed so that they no longer show what is heard.
        MediaError: where the feed cannot be read.
    """

    def __init__(self, feed: Any, model: JointModel, config: TrainConfig):
        if config.picture_size is None or tuple(config.picture_size) != tuple(model.options["picture_size"]):
            expected = f"Expected the run's picture_size to be the model's, {tuple(model.options['picture_size'])}"
            raise ParameterError(f"{expected}. Received: {config.picture_size}")
        _require_true_pictures(config)
        self.feed, self.options, self.seed = feed, dict(model.options), config.seed
        self._validation = feed.validation()
        _require_pictures(self._validation)

    def training(self, first_step: int) -> tf.data.Dataset:
        """See `pipelines.train.feeds.Feed.training`."""
        numbered = self.feed.training(first_step).enumerate(first_step)
        return numbered.map(lambda index, batch: self._with_given_labels(index, *batch)).prefetch(2)

    def validation(self) -> tf.data.Dataset:
        """See `pipelines.train.feeds.Feed.validation`; no labels are given, so it measures both halves together."""
        return self._validation.map(_with_targets)

    def _with_given_labels(self, index: tf.Tensor, inputs: dict[str, tf.Tensor], sources: tf.Tensor):
        labels = inputs["label_vector"]
        batch_size, num_sources = labels.shape
        seed = fold_seed(tf.constant([self.seed, _GIVEN], tf.int32), tf.cast(index, tf.int32))
        seeds = split_seed(seed, 2)
        drawn = tf.cast(uniform([batch_size], seeds[0]) < self.options["given_label_probability"], tf.float32)
        # An example without a picture has nothing to look at; and letting all play would drown the loss.
        known = tf.maximum(drawn, 1 - inputs["picture_mask"])
        extra = _extra_labels(batch_size, num_sources, seeds[1], self.options["extra_label_probability"])
        inputs, targets, weights = _with_targets(inputs, sources)
        return {**inputs, "label_vector": tf.maximum(labels, extra), "label_given": known}, targets, weights


def _with_targets(inputs: dict[str, tf.Tensor], sources: tf.Tensor):
    seen = {name: inputs[name] for name in ("mixture", "picture", "picture_mask")}
    targets = {"sources": sources, "label_vector": inputs["label_vector"]}
    weights = {"sources": tf.ones_like(inputs["picture_mask"]), "label_vector": inputs["picture_mask"]}
    return seen, targets, weights


def _extra_labels(batch_size: int, num_sources: int, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """`[batch, num_sources]`: in an example, with the given chance, one label of any instrument."""
    if not probability:
        return tf.zeros([batch_size, num_sources])
    # As in `audio.augmentation.extra_label`: what lies behind the last label is none.
    slots = tf.cast(uniform([batch_size], seed) / probability * tf.cast(num_sources, tf.float32), tf.int32)
    return tf.one_hot(slots, num_sources)


def _require_true_pictures(config: TrainConfig) -> None:
    changes = Augmentation(**config.augmentation) if config.augmentation is not None else None
    if changes and (changes.dropout_probability or changes.extra_label_probability):
        raise ParameterError(
            "Expected augmentation with dropout_probability=0 and extra_label_probability=0: pictures would show other"
            " instruments than the labels say (the model has its own extra_label_probability)."
            f" Received: {changes.dropout_probability} and {changes.extra_label_probability}"
        )
    if config.label_noise is not None:
        raise ParameterError(
            "Expected label_noise=None: what a joint model sees is noisy by itself, and it has its own"
            f" extra_label_probability. Received: {config.label_noise}"
        )


def _require_pictures(batches: tf.data.Dataset) -> None:
    if "picture_mask" in batches.element_spec[0]:
        if any(float(tf.reduce_sum(inputs["picture_mask"])) for inputs, _ in batches.take(1)):
            return
    raise ParameterError(
        "Expected records with pictures, made by `av-sep prepare … --fps 1`. Received: data without pictures"
    )
