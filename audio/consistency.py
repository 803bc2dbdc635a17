"""What makes a set of stems honest: absent instruments are silent, and the stems add up to the recording.

Conventions: estimates are `[batch, num_sources, time, channels]`, mixtures `[batch, time, channels]`, label vectors
`[batch, num_sources]`; an instrument is active where its label is above 0.

References: S. Wisdom, J. R. Hershey, K. Wilson, J. Thorpe, M. Chinen, B. Patton, R. A. Saurous, "Differentiable
consistency constraints for improved deep speech enhancement", ICASSP 2019, equation 5 with uniform weights, here
over the active sources only.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="av_sep")
class LabelGate(keras.layers.Layer):
    """Sets the estimates of instruments whose label is 0 to exactly zero; the others pass unchanged.

    Without a hard gate, and with a loss that is small for silence, networks learn to ignore the labels.
    """

    def call(self, estimates, label_vector):
        return estimates * _activity(label_vector, estimates.dtype)

    def compute_output_shape(self, estimates_shape, label_vector_shape):
        return estimates_shape


@keras.saving.register_keras_serializable(package="av_sep")
class MixtureConsistency(keras.layers.Layer):
    """Shares the difference between the mixture and the estimates' sum equally among the active instruments.

    Afterwards the active estimates add up to the mixture; absent ones are left as they are (exactly zero behind a
    `LabelGate`). With no active instrument nothing changes.
    """

    def call(self, estimates, mixture, label_vector):
        activity = _activity(label_vector, estimates.dtype)
        num_active = ops.maximum(ops.sum(activity, axis=1), 1)
        difference = ops.cast(mixture, estimates.dtype) - ops.sum(estimates, axis=1)
        return estimates + activity * (difference / num_active)[:, None, :, :]

    def compute_output_shape(self, estimates_shape, mixture_shape, label_vector_shape):
        return estimates_shape


def gated_and_consistent(estimates, mixture, label_vector, options):
    """Estimates behind the layers that a network's options `gate` and `mixture_consistency` ask for, in float32."""
    if options["gate"]:
        estimates = LabelGate(name="gate", dtype="float32")(estimates, label_vector)
    if options["mixture_consistency"]:
        consistency = MixtureConsistency(name="mixture_consistency", dtype="float32")
        estimates = consistency(estimates, mixture, label_vector)
    return estimates


def _activity(label_vector, dtype):
    return ops.cast(label_vector > 0, dtype)[:, :, None, None]
