"""Losses on samples: squared and absolute errors.

A silent reference is no special case here: it contributes its estimate's energy (or mean absolute value), on the same
scale as every other error. That is also why these losses let a network ignore the labels: silence is cheap to miss.
"""

import keras
from keras import ops


class _SampleLoss(keras.losses.Loss):
    """A loss of the error `reference - estimate` in float32, one number per example."""

    def call(self, y_true, y_pred):
        # bfloat16 keeps 8 bits of an error, and its sums stop growing after 256 equal terms.
        return self._measure(ops.cast(y_true, "float32") - ops.cast(y_pred, "float32"))

    def _measure(self, error):
        raise NotImplementedError

    def get_config(self):
        return {"name": self.name, "reduction": self.reduction}


@keras.saving.register_keras_serializable(package="av_sep")
class WaveformMSE(_SampleLoss):
    """Squared error, averaged over sources, time and channels (Stoller et al., ISMIR 2018, section 3.3).

    A silent reference contributes the mean square of its estimate.
    """

    def __init__(self, name="waveform_mse", **kwargs):
        super().__init__(name=name, **kwargs)

    def _measure(self, error):
        return ops.mean(ops.square(error), axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="av_sep")
class WaveformSSE(_SampleLoss):
    """Squared error, summed over sources, time and channels, and averaged over the batch alone.

    The form in which published runs on large accelerators report their loss. It is `WaveformMSE` times `num_sources *
    time * channels`, so it grows with the segment, and a learning rate of plain gradient descent or a clipped norm does
    not carry over from one to the other (Adam's does). A silent reference contributes its estimate's energy.
    """

    def __init__(self, name="waveform_sse", **kwargs):
        super().__init__(name=name, **kwargs)

    def _measure(self, error):
        return ops.sum(ops.square(error), axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="av_sep")
class WaveformL1(_SampleLoss):
    """Absolute error, averaged over sources, time and channels; its gradient is 0 where the error is.

    A silent reference contributes the mean absolute value of its estimate.
    """

    def __init__(self, name="waveform_l1", **kwargs):
        super().__init__(name=name, **kwargs)

    def _measure(self, error):
        return ops.mean(magnitude(error), axis=(1, 2, 3))


def magnitude(error):
    """Absolute values whose gradient is 0 at 0 on every backend; JAX's own is 1 there."""
    return error * ops.stop_gradient(ops.sign(error))
