"""Label vectors as separators are given them: how much of each source there is, `[num_sources]`, in their order."""

from collections.abc import Sequence

import numpy as np

from av_sep.errors import ParameterError


def validated_labels(label_vector: np.ndarray, source_names: Sequence[str]) -> np.ndarray:
    """A label vector as float32; raises ParameterError for one of another length and for labels outside [0, 1]."""
    label_vector = np.asarray(label_vector, np.float32)
    if label_vector.shape != (len(source_names),):
        raise ParameterError(
            f"Expected one label per instrument: {', '.join(source_names)}. Received: shape {label_vector.shape}"
        )
    if not np.all((label_vector >= 0) & (label_vector <= 1)):
        raise ParameterError(f"Expected labels in [0, 1]. Received: {label_vector.tolist()}")
    return label_vector
