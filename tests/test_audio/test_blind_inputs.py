"""What ICA, PCA and blind NMF refuse to take apart."""

import numpy as np
import pytest

from audio.baselines.blind_nmf import BlindNMF
from audio.baselines.component_naming import ComponentNamer
from audio.baselines.ica import ICA
from audio.baselines.pca import PCA
from av_sep.errors import ParameterError

RATE_HZ = 8000
NAMES = ("violin", "flute", "tuba", "horn")


@pytest.mark.parametrize("method", [ICA, PCA, BlindNMF])
@pytest.mark.parametrize(
    ("mixture", "labels", "message"),
    (
        (np.ones(9), np.ones(4), r"Expected a mixture \[time, channels\] with sound. Received: shape \(9,\)"),
        (np.ones((0, 1)), np.ones(4), r"with sound. Received: shape \(0, 1\)"),
        (np.full((9, 1), np.nan), np.ones(4), "Expected finite samples"),
        (np.ones((9, 1)), np.ones(3), r"one label per instrument: violin, flute, tuba, horn. Received: shape \(3,\)"),
        (np.ones((9, 1)), [1, 0, 2, 0], r"Expected labels in \[0, 1\]. Received: \[1.0, 0.0, 2.0, 0.0\]"),
    ),
    ids=("no channels", "no samples", "nan", "number of labels", "labels"),
)
def test_what_cannot_be_taken_apart_is_refused(method, mixture, labels, message):
    namer = ComponentNamer(NAMES, np.full((4, 5), 0.2), RATE_HZ)
    with pytest.raises(ParameterError, match=message):
        method(namer).separate_mixture(mixture, labels, RATE_HZ)
