"""The activity detector's network: features of the moments of one window, and of each one logit per instrument."""

import keras

from audio.activity_detector.layers import MomentContext
from audio.listening.network import ListeningNetwork

# Moments apart: with three places each, the last of them see 7 moments to both sides.
CONTEXT_DILATIONS = (1, 2, 4)


@keras.saving.register_keras_serializable(package="av_sep")
class ActivityDetector(ListeningNetwork):
    """Layers in which moments hear of each other: logits `[batch, num_moments, num_instruments]`.

    A moment is `moment_samples` long. Arguments, inputs and errors are those of `ListeningNetwork`.
    """

    @staticmethod
    def _classify(moments, known, options):
        for level, dilation in enumerate(CONTEXT_DILATIONS):
            moments = MomentContext(dilation, name=f"context_{level}")(moments, known)
        return keras.layers.Dense(len(options["instruments"]), name="evidence")(moments)
