"""Labels as a detector would get them wrong, for training alone: some missing, some too many, none quite sure.

Conventions: as in `audio.augmentation`, functions of one example, its label vector float32 `[num_sources]` in [0, 1],
its references `[num_sources, time, channels]`, and a seed int32 `[2]`. Adding is that module's `extra_label`, which its
`Augmentation` offers by itself; this one is for what needs the references to change as well.

What a missing label asks for. Behind a gate the output of an instrument without label is exactly silent, whatever the
network does: its loss against the true reference would be a constant without gradient, and it would count as a source.
And an instrument that is heard but not named belongs to the residual, not to its neighbours. So its reference becomes
silent, the mixture stays as it is, and the other references stay as they are: the network is asked to keep what nobody
named out of the named stems. A wrong label changes no reference: it asks for silence where there is nothing to find.

A network with mixture consistency has no residual. It shares what nobody named among the named, in training as in
separation, so part of its loss cannot be learned away; dropping labels teaches such a network little and costs much.
"""

import tensorflow as tf

from audio.augmentation import extra_label, fold_seed, random_dropout, split_seed, uniform
from audio.label_noise_settings import LabelNoise


def noisy_labels(
    label_vector: tf.Tensor, references: tf.Tensor, seed: tf.Tensor, noise: LabelNoise
) -> tuple[tf.Tensor, tf.Tensor]:
    """Label vector and references of one example, with the references of dropped labels silent.

    Args:
        label_vector: float32 `[num_sources]`.
        references: `[num_sources, time, channels]`.
        seed: int32 `[2]`.
        noise: the strengths.

    Returns:
        (label_vector, references), of the same shapes.
    """
    drop_seed, add_seed, confidence_seed = split_seed(seed, 3)
    labelled = label_vector > 0
    dropped = labelled & ~random_dropout(labelled, drop_seed, noise.drop_probability)
    # What was dropped is not added again: its reference is gone.
    labels = tf.where(dropped, 0.0, extra_label(label_vector, add_seed, noise.add_probability))
    # `uniform` excludes its upper end, so that 1 is drawn as 1 alone where nothing is to change.
    labels *= uniform(tf.shape(labels), confidence_seed, noise.lowest_confidence, 1.0)
    return labels, tf.where(dropped[:, None, None], tf.zeros_like(references), references)


def with_label_noise(
    batches: tf.data.Dataset, noise: LabelNoise, *, seed: int = 0, first_batch: int = 0
) -> tf.data.Dataset:
    """Training batches with wrong labels.

    Item i of batch n depends on the seed, n and i alone, so a run that goes on at batch n passes `first_batch=n`.

    Args:
        batches: of `({"mixture": …, "label_vector": [batch, num_sources], …}, references [batch, num_sources, time,
            channels])`, as `audio.input_pipeline.make_dataset` makes them.
        noise: the strengths.
        seed: of the noise, from 0.
        first_batch: number of the first of these batches.
    """

    def change(index, batch):
        inputs, references = batch
        labels = inputs["label_vector"]
        batch_seed = fold_seed(tf.constant([seed, 0], tf.int32), tf.cast(index, tf.int32))

        def change_item(item):
            number, item_labels, item_references = item
            return noisy_labels(item_labels, item_references, fold_seed(batch_seed, number), noise)

        items = (tf.range(tf.shape(labels)[0]), labels, references)
        shapes = (tf.TensorSpec(labels.shape[1:], labels.dtype), tf.TensorSpec(references.shape[1:], references.dtype))
        labels, references = tf.map_fn(change_item, items, fn_output_signature=shapes)
        return {**inputs, "label_vector": labels}, references

    return batches.enumerate(first_batch).map(change, num_parallel_calls=tf.data.AUTOTUNE)
