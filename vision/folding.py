"""Batch normalisations folded into the convolutions before them, for inference.

A trained normalisation multiplies and shifts each channel by constants; so can the convolution itself. The network's
answers stay the same to rounding, and the pixels are read and written once less.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


def fold_normalisations(model: "keras.Model") -> "keras.Model":
    """A copy of a functional model in which no normalisation follows a convolution.

    Args:
        model: with convolutions (`Conv2D`, `DepthwiseConv2D`) without bias or activation before its normalisations.

    Returns:
        A model with the same names for the layers that are left; not for further training.
    """
    import keras

    norms = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            source = layer.input._keras_history.operation
            if _is_plain_convolution(source):
                norms[source.name] = layer
    folded_names = {norm.name for norm in norms.values()}

    def clone(layer: "keras.layers.Layer") -> "keras.layers.Layer":
        return type(layer).from_config({**layer.get_config(), **({"use_bias": True} if layer.name in norms else {})})

    def call(layer: "keras.layers.Layer", *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in folded_names else layer(*args, **kwargs)

    folded = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.name in norms:
            folded.get_layer(layer.name).set_weights(_fold(layer, norms[layer.name]))
        elif layer.weights and layer.name not in folded_names:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    return folded


def _is_plain_convolution(layer: "keras.layers.Layer") -> bool:
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return isinstance(layer, kinds) and not layer.use_bias and layer.activation is keras.activations.linear


def _fold(convolution: "keras.layers.Layer", norm: "keras.layers.Layer") -> list[np.ndarray]:
    """Kernel and bias of a convolution that does what it and its normalisation did."""
    import keras

    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    # Depthwise kernels are [height, width, channels, multiplier], others [height, width, inputs, channels].
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    (kernel,) = convolution.get_weights()
    return [kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale), beta - mean * scale]
