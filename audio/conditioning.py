"""How a label vector steers a network: one layer, four mechanisms, usable at any place of the network.

Conventions: features are `[batch, time, channels]` or `[batch, stft_frames, num_bins, channels]`, label vectors
`[batch, num_instruments]` in [0, 1]; what follows holds at each place between the first axis and the last. Every
operation keeps the batch axis apart, so an example is never steered by its neighbour's labels.

References:
    concat, additive, multiplicative: O. Slizovskaia, L. Kim, G. Haro, E. Gomez, "End-to-end sound source separation
    conditioned on instrument labels", ICASSP 2019, section 3.
    film: E. Perez, F. Strub, H. de Vries, V. Dumoulin, A. Courville, "FiLM: visual reasoning with a general
    conditioning layer", AAAI 2018, equation 2.
"""

import keras
from keras import ops

from av_sep.errors import ParameterError

MECHANISMS = ("concat", "additive", "multiplicative", "film")
SITES = ("input", "bottleneck", "output")


@keras.saving.register_keras_serializable(package="av_sep")
class Conditioning(keras.layers.Layer):
    """Steers features by a label vector.

    Args:
        mechanism: "concat" repeats the labels at every place and appends them as channels (`channels +
            num_instruments` out); "additive" adds a learned projection of the labels (`channels` out);
            "multiplicative" takes the outer product `features[..., :, None] * labels[..., None, :]` at every place
            (`channels * num_instruments` out): one gated copy of the features per instrument; "film" scales and shifts
            every channel by learned projections of the labels, `(1 + gamma) * features + beta` (`channels` out),
            starting as the identity.

    Raises:
        ParameterError: for an unknown mechanism.
    """

    def __init__(self, mechanism="multiplicative", **kwargs):
        super().__init__(**kwargs)
        if mechanism not in MECHANISMS:
            raise ParameterError(f"Expected mechanism to be one of {MECHANISMS}. Received: mechanism={mechanism!r}")
        self.mechanism = mechanism

    def build(self, features_shape, label_vector_shape):
        channels, num_instruments = features_shape[-1], label_vector_shape[-1]
        if self.mechanism == "additive":
            self.shift = self.add_weight(
                shape=(num_instruments, channels), initializer="glorot_uniform", name="shift"
            )
        if self.mechanism == "film":
            self.scale = self.add_weight(shape=(num_instruments, channels), initializer="zeros", name="scale")
            self.shift = self.add_weight(shape=(num_instruments, channels), initializer="zeros", name="shift")

    def call(self, features, label_vector):
        labels = ops.cast(label_vector, features.dtype)
        if self.mechanism == "concat":
            everywhere = ops.ones_like(features[..., :1]) * _at_every_place(labels, features)
            return ops.concatenate([features, everywhere], axis=-1)
        if self.mechanism == "multiplicative":
            product = features[..., None] * _at_every_place(labels, features)[..., None, :]
            channels = features.shape[-1] * label_vector.shape[-1]
            return ops.reshape(product, (-1, *ops.shape(features)[1:-1], channels))
        shift = _at_every_place(ops.matmul(labels, ops.cast(self.shift, features.dtype)), features)
        if self.mechanism == "additive":
            return features + shift
        scale = _at_every_place(ops.matmul(labels, ops.cast(self.scale, features.dtype)), features)
        return (1 + scale) * features + shift

    def compute_output_shape(self, features_shape, label_vector_shape):
        channels, num_instruments = features_shape[-1], label_vector_shape[-1]
        widths = {"concat": channels + num_instruments, "multiplicative": channels * num_instruments}
        return (*features_shape[:-1], widths.get(self.mechanism, channels))

    def get_config(self):
        return {**super().get_config(), "mechanism": self.mechanism}


def conditioned_at(features, site, label_vector, options):
    """Features at a site of a network, steered where its options `conditioning` and `conditioning_site` say so."""
    if options["conditioning"] is None or options["conditioning_site"] != site:
        return features
    return Conditioning(options["conditioning"], name=f"conditioning_{site}")(features, label_vector)


def _at_every_place(per_example, features):
    """`[batch, n]` as `[batch, 1, …, 1, n]`, of the features' rank."""
    return ops.reshape(per_example, (-1, *(1 for _ in features.shape[1:-1]), per_example.shape[-1]))
