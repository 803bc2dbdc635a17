"""What methods that know no instruments are given: a whole mixture, and who plays in it."""

from collections.abc import Sequence

import numpy as np

from audio.label_vectors import validated_labels
from av_sep.errors import ParameterError


def validated_inputs(
    mixture: np.ndarray, label_vector: np.ndarray, source_names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The mixture `[time, channels]`, float64, and the indices of the active instruments, those above 0.

    Raises:
        ParameterError: for a mixture of another shape, without a sample or with samples that are none, and as
            `validated_labels`.
    """
    mixture = np.asarray(mixture, np.float64)
    if mixture.ndim != 2 or not mixture.size:
        raise ParameterError(f"Expected a mixture [time, channels] with sound. Received: shape {mixture.shape}")
    if not np.all(np.isfinite(mixture)):
        raise ParameterError("Expected finite samples; clean the recording first. Received: NaN or infinity")
    return mixture, np.flatnonzero(validated_labels(label_vector, source_names))
