"""Pictures and places that several tests need."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from vision.instrument_classifier import InstrumentClassifier
from vision.players import load_person_network


@pytest.fixture(scope="session")
def portrait():
    """A public-domain portrait that matplotlib ships: a navy officer, head and shoulders, uint8 RGB [600, 512, 3]."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


@pytest.fixture(scope="session")
def person_network():
    """The shipped person network; loading it is the slowest step of these tests."""
    return load_person_network()


@pytest.fixture(scope="session")
def classifier():
    """The shipped classifier."""
    return InstrumentClassifier()
