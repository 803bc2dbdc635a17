"""`audio.label_noise` as a pure function of JAX, for batches that are made on the device.

Conventions: label vectors float32 `[batch, num_sources]` in [0, 1], references `[batch, num_sources, time, channels]`.
The random numbers are others than those of `audio.label_noise`; what they do is the same, and the reasons are there.
"""

import jax
import jax.numpy as jnp

from audio.label_noise_settings import LabelNoise

# Apart from the streams of `audio.device_mixing`, which folds steps alone into the key of a seed.
_STREAM = 1_000_003


def noisy_batch(label_vector, references, noise: LabelNoise, seed, step):
    """Label vectors and references of a batch, with the references of dropped labels silent.

    Args:
        label_vector: `[batch, num_sources]`.
        references: `[batch, num_sources, time, channels]`.
        noise: the strengths.
        seed: integer or int32 `[]`.
        step: number of the batch, likewise; the same (seed, step) gives the same noise.

    Returns:
        (label_vector, references), of the same shapes.
    """
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _STREAM), step)
    drop_key, add_key, slot_key, confidence_key = jax.random.split(key, 4)
    batch_size, num_sources = label_vector.shape
    labelled = label_vector > 0
    drawn = jnp.where(labelled, jax.random.uniform(drop_key, label_vector.shape), -1.0)
    kept = drawn >= noise.drop_probability
    # One always stays: the one that was nearest to it.
    nearest = jnp.arange(num_sources) == jnp.argmax(drawn, axis=1, keepdims=True)
    kept = labelled & (kept | (nearest & ~jnp.any(kept, axis=1, keepdims=True)))
    adds = jax.random.uniform(add_key, (batch_size, 1)) < noise.add_probability
    slots = jax.random.randint(slot_key, (batch_size, 1), 0, num_sources)
    labels = jnp.where(adds & (jnp.arange(num_sources) == slots), 1.0, label_vector)
    dropped = labelled & ~kept
    # What was dropped is not added again: its reference is gone.
    labels = jnp.where(dropped, 0.0, labels)
    labels *= jax.random.uniform(confidence_key, labels.shape, minval=noise.lowest_confidence, maxval=1.0)
    return labels, jnp.where(dropped[:, :, None, None], 0.0, references)
