"""EfficientNet-Lite0: 224 x 224 pictures to 1280 features and 1000 ImageNet logits, in Keras 3.

Conventions:
    pictures are uint8 RGB `[batch, 224, 224, 3]`; `scale_pictures` maps them to the network's range, (x - 127) / 128.

References:
    M. Tan, Q. Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019, and the "lite"
    variants of it (no squeeze-excite, relu6, fixed stem and head). Sizes: `STAGES`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from av_sep.errors import ParameterError

if TYPE_CHECKING:
    import keras

PICTURE_SIZE = 224
NUM_FEATURES = 1280
NUM_IMAGENET_CLASSES = 1000
EPSILON = 1e-3  # of every batch normalisation

# (repeats, kernel, stride of the first repeat, expansion, filters)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def scale_pictures(pictures: np.ndarray) -> np.ndarray:
    """uint8 RGB pictures `[batch, height, width, 3]` to float32 in [-1, 1], as the weights were trained."""
    return (np.asarray(pictures, np.float32) - 127.0) / 128.0


def build_efficientnet_lite0(height: int = PICTURE_SIZE, width: int = PICTURE_SIZE) -> "keras.Model":
    """The network with random weights: scaled pictures `[batch, height, width, 3]` to a pair.

    Args:
        height: of the pictures in pixels; any size has the same weights, those here were trained on 224 x 224.
        width: likewise.

    Returns:
        A functional model with outputs `features` float32 `[batch, 1280]` (average-pooled) and `imagenet_logits`
        float32 `[batch, 1000]`.
    """
    import keras

    pictures = keras.Input((height, width, 3), name="pictures")
    x = _convolve(pictures, 32, 3, 2, "stem", "bn0")
    block = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            x = _inverted_residual(x, kernel, stride if repeat == 0 else 1, expansion, filters, f"b{block}")
            block += 1
    x = _convolve(x, NUM_FEATURES, 1, 1, "head", "bn1")
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    logits = keras.layers.Dense(NUM_IMAGENET_CLASSES, name="fc")(features)
    return keras.Model(pictures, {"features": features, "imagenet_logits": logits}, name="efficientnet_lite0")


def load_efficientnet_lite0(
    path: Path | None = None, height: int = PICTURE_SIZE, width: int = PICTURE_SIZE
) -> "keras.Model":
    """The network with ImageNet weights from an .npz file; None loads the ones shipped with the package.

    Args:
        path: of the file.
        height: of the pictures in pixels.
        width: likewise.

    Raises:
        ParameterError: where the file's variables are not exactly this network's.
    """
    path = path or Path(__file__).parent / "weights" / "efficientnet_lite0" / "efficientnet_lite0_imagenet_fp16.npz"
    model = build_efficientnet_lite0(height, width)
    with np.load(path) as arrays:
        wanted = {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}
        wrong = sorted(set(wanted) ^ set(arrays.files))
        if wrong:
            raise ParameterError(
                f"Expected the {len(wanted)} variables of EfficientNet-Lite0 in {path.name}."
                f" Received: {len(arrays.files)}, with {wrong[0]!r} missing or unknown"
            )
        for name, variable in wanted.items():
            variable.assign(arrays[name].astype(np.float32))
    return model


def _convolve(x: Any, filters: int, kernel: int, stride: int, name: str, norm_name: str, relu: bool = True) -> Any:
    import keras

    x = keras.layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)
    return _normalise(x, norm_name, relu)


def _normalise(x: Any, name: str, relu: bool = True) -> Any:
    import keras

    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu6")(x) if relu else x


def _inverted_residual(x: Any, kernel: int, stride: int, expansion: int, filters: int, name: str) -> Any:
    import keras

    given, channels, norm = x, int(x.shape[-1]), 0
    if expansion > 1:
        x = _convolve(x, channels * expansion, 1, 1, f"{name}_exp", f"{name}_bn{norm}")
    norm += 1
    x = keras.layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_dw")(x)
    x = _normalise(x, f"{name}_bn{norm}")
    x = _convolve(x, filters, 1, 1, f"{name}_proj", f"{name}_bn{norm + 1}", relu=False)
    # Only repeats keep the shape, and only they have a shortcut.
    return keras.layers.Add(name=f"{name}_add")([x, given]) if stride == 1 and channels == filters else x
