"""Layer of the activity detector: moments hear of their neighbours and of the whole window.

Conventions: features of moments are `[batch, num_moments, units]`.
"""

import keras
from keras import ops

from audio.conditioning import Conditioning

CONTEXT_DROPOUT = 0.1


@keras.saving.register_keras_serializable(package="av_sep")
class MomentContext(keras.layers.Layer):
    """Adds to the features of moments what their neighbours and the window as a whole say.

    `[batch, num_moments, units]`, `[batch, candidate_units]` -> `[batch, num_moments, units]`. A layer norm, a dilated
    convolution over three moments, steered by the candidates; of its outputs, their greatest and their mean over the
    window, a dense layer makes what is added. It starts as the identity.

    How an instrument sounds in this recording is told where it is heard best; hence the greatest.

    Args:
        dilation: moments from one of the three to the next.

    References:
        F. Yu, V. Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR 2016.
        C. Qi, H. Su, K. Mo, L. Guibas, "PointNet: deep learning on point sets for 3D classification and segmentation",
        CVPR 2017, section 4.2 (each point's features beside the greatest over all).
    """

    def __init__(self, dilation=1, **kwargs):
        super().__init__(**kwargs)
        self.dilation = dilation

    def build(self, moments_shape, known_shape):
        units = moments_shape[-1]
        self.norm = keras.layers.LayerNormalization(name="norm")
        self.convolution = keras.layers.Conv1D(
            units, 3, padding="same", dilation_rate=self.dilation, name="convolution"
        )
        self.steer = Conditioning("film", name="steer")
        self.dropout = keras.layers.Dropout(CONTEXT_DROPOUT, name="dropout")
        self.mix = keras.layers.Dense(units, kernel_initializer="zeros", name="mix")
        self.norm.build(moments_shape)
        self.convolution.build(moments_shape)
        self.steer.build(moments_shape, known_shape)
        self.mix.build((*moments_shape[:-1], 3 * units))
        super().build(moments_shape)

    def call(self, moments, known, training=None):
        heard = ops.relu(self.steer(self.convolution(self.norm(moments)), known))
        everywhere = ops.ones_like(heard)
        greatest = ops.max(heard, axis=1, keepdims=True) * everywhere
        mean = ops.mean(heard, axis=1, keepdims=True) * everywhere
        together = ops.concatenate([heard, greatest, mean], axis=-1)
        return moments + self.mix(self.dropout(together, training=training))

    def compute_output_shape(self, moments_shape, known_shape):
        return moments_shape

    def get_config(self):
        return {**super().get_config(), "dilation": self.dilation}
