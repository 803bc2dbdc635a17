"""Which instrument a picture shows: EfficientNet-Lite0 and a head of 13 instruments and `other`.

The head is linear in the network's features. Its rows start from the network's own ImageNet classes (nine of our
instruments are among them, and harps, guitars and drums for `other`), and training pulls them towards our photos only
as far as those insist. With few photos that beats both the ImageNet classes as they are and a head trained from
nothing: the two fail on different pictures. `benchmarks/train_instrument_head.py` makes the head's file, and
`weights/README.md` has its scores.

Conventions:
    views are uint8 RGB `[batch, 224, 224, 3]`, see `vision.crops`; probabilities are float32
    `[batch, num_instruments + 1]` that sum to 1, `other` last.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from av_sep.errors import ParameterError
from vision.efficientnet_lite0 import NUM_FEATURES, PICTURE_SIZE, load_efficientnet_lite0, scale_pictures
from vision.folding import fold_normalisations

if TYPE_CHECKING:
    import keras

OTHER = "other"
BATCH_SIZE = 32
# Close to one another: on a CPU a few black views soon cost more than compiling once would have.
BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, BATCH_SIZE)
HEAD_PATH = Path(__file__).parent / "weights" / "instrument_head.npz"


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """A trained head.

    Attributes:
        instruments: names in the order of the head's logits, without `other`.
        kernel: float32 `[1280, num_instruments + num_other]`.
        bias: float32 `[num_instruments + num_other]`.
        temperature: what the logits are divided by.
    """

    instruments: tuple[str, ...]
    kernel: np.ndarray
    bias: np.ndarray
    temperature: float

    def save(self, path: Path) -> None:
        """Write an .npz file, the kernel as float16."""
        np.savez_compressed(
            path,
            instruments=np.array(self.instruments),
            kernel=self.kernel.astype(np.float16),
            bias=self.bias.astype(np.float32),
            temperature=np.float32(self.temperature),
        )

    @classmethod
    def load(cls, path: Path = HEAD_PATH) -> "HeadWeights":
        """Read an .npz file written by `save`.

        Raises:
            ParameterError: where the file is no head for this network.
        """
        with np.load(path) as arrays:
            missing = {"instruments", "kernel", "bias", "temperature"} - set(arrays.files)
            if missing or arrays["kernel"].shape[0] != NUM_FEATURES:
                raise ParameterError(
                    f"Expected a head over {NUM_FEATURES} features in {path.name}, with instruments, kernel, bias and"
                    f" temperature. Received: {sorted(arrays.files)}"
                )
            return cls(
                tuple(map(str, arrays["instruments"])),
                arrays["kernel"].astype(np.float32),
                arrays["bias"].astype(np.float32),
                float(arrays["temperature"]),
            )


def build_instrument_classifier(weights: HeadWeights | None = None) -> "keras.Model":
    """The whole classifier as one Keras model, for the detector and for training it further.

    Args:
        weights: a trained head; None loads the one shipped with the package.

    Returns:
        A functional model from scaled pictures `[batch, 224, 224, 3]` (see `scale_pictures`) to probabilities
        `[batch, num_instruments + 1]`.
    """
    import keras

    from vision.instrument_head import InstrumentHead

    weights = weights or HeadWeights.load()
    backbone = load_efficientnet_lite0()
    num_other = weights.kernel.shape[1] - len(weights.instruments)
    head = InstrumentHead(len(weights.instruments), num_other, weights.temperature, name="instrument_head")
    logits = head(backbone.output["features"])
    head.set_weights([weights.kernel, weights.bias])
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(backbone.input, probabilities, name="instrument_classifier")


class InstrumentClassifier:
    """Judges views of any number in batches. Weights are loaded at the first use.

    Args:
        weights: a trained head; None loads the one shipped with the package.
    """

    def __init__(self, weights: HeadWeights | None = None):
        self._weights = weights
        self._model: "keras.Model | None" = None

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names in the order of the probabilities, without `other`, which comes last."""
        self._weights = self._weights or HeadWeights.load()
        return self._weights.instruments

    def classify(self, views: np.ndarray) -> np.ndarray:
        """Probabilities `[num_views, num_instruments + 1]` of views, uint8 RGB `[num_views, 224, 224, 3]`."""
        if views.ndim != 4 or views.shape[1:] != (PICTURE_SIZE, PICTURE_SIZE, 3) or views.dtype != np.uint8:
            raise ParameterError(
                f"Expected uint8 views [num_views, {PICTURE_SIZE}, {PICTURE_SIZE}, 3]."
                f" Received: {views.dtype} array of shape {views.shape}"
            )
        num_classes = len(self.instruments) + 1
        if self._model is None:
            self._model = fold_normalisations(build_instrument_classifier(self._weights))
        batches = [
            np.asarray(self._model.predict_on_batch(scale_pictures(_filled_up(views[start : start + BATCH_SIZE]))))
            for start in range(0, len(views), BATCH_SIZE)
        ]
        return np.concatenate(batches)[: len(views)] if batches else np.zeros((0, num_classes), np.float32)


def _filled_up(views: np.ndarray) -> np.ndarray:
    """Under JAX, views and then black ones up to the next of `BATCH_SIZES`.

    JAX compiles for every number of views, and frames have many numbers of them; TensorFlow compiles for any, so that
    there they would only cost time.
    """
    import keras

    if keras.backend.backend() != "jax":
        return views
    num_more = next(size for size in BATCH_SIZES if size >= len(views)) - len(views)
    return np.pad(views, ((0, num_more), (0, 0), (0, 0), (0, 0)))
