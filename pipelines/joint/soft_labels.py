"""What gate and mixture consistency are for labels between 0 and 1, so that gradients reach who made the labels.

For labels of 0 and 1 both give exactly what `audio.consistency` gives, which counts an instrument as active or not and
so has no gradient: what is trained here is later used there.

Conventions: estimates are `[batch, num_sources, time, channels]`, mixtures `[batch, time, channels]`, label vectors
`[batch, num_sources]` in [0, 1].
"""

from typing import Any

from keras import ops


def soft_gate(estimates: Any, label_vector: Any) -> Any:
    """Each estimate times its label. The gradient asks of every label: would more of this stem explain more?"""
    return estimates * label_vector[:, :, None, None]


def soft_consistency(estimates: Any, mixture: Any, label_vector: Any) -> Any:
    """Shares the difference between the mixture and the estimates' sum in proportion to the labels.

    Labels that sum to less than 1 share as much of the difference as they sum to.
    """
    shares = label_vector / ops.maximum(ops.sum(label_vector, axis=1, keepdims=True), 1.0)
    difference = mixture - ops.sum(estimates, axis=1)
    return estimates + shares[:, :, None, None] * difference[:, None]
