"""The tagger's network: features of the moments of one window, and of them all one logit per instrument."""

import keras

from audio.listening.network import ListeningNetwork
from audio.tagger.layers import AttentionPooling


@keras.saving.register_keras_serializable(package="av_sep")
class InstrumentTagger(ListeningNetwork):
    """Attention over the moments of a window: logits `[batch, num_instruments]`.

    Arguments, inputs and errors are those of `ListeningNetwork`.
    """

    @staticmethod
    def _classify(moments, known, options):
        return AttentionPooling(len(options["instruments"]), name="instruments")(moments)
