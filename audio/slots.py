"""Slots for the few sources that play of the many that a network knows, so that no work goes into silence.

Conventions: estimates are `[batch, num_sources, time, channels]`, label vectors `[batch, num_sources]`, slots
`[batch, num_slots, num_sources]`: one row per slot, 1 in the place of its source.
"""

from typing import Any

import keras
from keras import ops

from av_sep.errors import ParameterError


@keras.saving.register_keras_serializable(package="av_sep")
class ActiveSlots(keras.layers.Layer):
    """Which sources get one of a few slots: the ones with the highest labels.

    `[batch, num_sources]` -> one row per slot, 1 in the place of its source, `[batch, num_slots, num_sources]`; rows of
    slots that no source with a label above 0 is left for are all 0.

    Args:
        num_slots: how many.

    Raises:
        ParameterError: for less than one.
    """

    def __init__(self, num_slots, **kwargs):
        super().__init__(**kwargs)
        if num_slots < 1:
            raise ParameterError(f"Expected num_slots >= 1. Received: num_slots={num_slots}")
        self.num_slots = num_slots

    def call(self, label_vector):
        labels, places = ops.top_k(label_vector, self.num_slots)
        rows = ops.one_hot(places, label_vector.shape[-1], dtype=label_vector.dtype)
        return rows * ops.cast(labels > 0, rows.dtype)[..., None]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_slots, input_shape[1])

    def get_config(self):
        return {**super().get_config(), "num_slots": self.num_slots}


@keras.saving.register_keras_serializable(package="av_sep")
class ToSlots(keras.layers.Layer):
    """Estimates of the sources that have slots, silence in slots that nobody has.

    `([batch, num_sources, time, channels], slots [batch, num_slots, num_sources])` -> `[batch, num_slots, time,
    channels]`.
    """

    def call(self, estimates, slots):
        return _picked(estimates, slots)

    def compute_output_shape(self, estimates_shape, slots_shape):
        return (estimates_shape[0], slots_shape[1], *estimates_shape[2:])


@keras.saving.register_keras_serializable(package="av_sep")
class FromSlots(keras.layers.Layer):
    """Estimates of the slots in the places of their sources, silence in the others'.

    `([batch, num_slots, time, channels], slots [batch, num_slots, num_sources])` -> `[batch, num_sources, time,
    channels]`.
    """

    def call(self, estimates, slots):
        return _picked(estimates, ops.transpose(slots, (0, 2, 1)))

    def compute_output_shape(self, estimates_shape, slots_shape):
        return (estimates_shape[0], slots_shape[2], *estimates_shape[2:])


def require_num_slots(options: dict[str, Any]) -> None:
    """Checks a network's `num_slots`: None, or no more than it has sources.

    Raises:
        ParameterError: where that is not so.
    """
    num_slots, num_sources = options["num_slots"], len(options["source_names"])
    if num_slots is not None and not 1 <= num_slots <= num_sources:
        raise ParameterError(f"Expected num_slots from 1 to {num_sources}. Received: num_slots={num_slots}")


def _picked(waveforms, rows):
    """Of `[batch, num_given, time, channels]` the one that each row names, `[batch, num_rows, num_given]` of 0 and 1.

    Not a product of matrices: accelerators round its factors to 8 or 11 bits.
    """
    places = ops.argmax(rows, axis=2)[:, :, None, None]
    named = ops.max(rows, axis=2)[:, :, None, None]
    return ops.take_along_axis(waveforms, places, axis=1) * ops.cast(named, waveforms.dtype)
