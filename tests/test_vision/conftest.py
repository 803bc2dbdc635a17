"""Pictures and places that several tests need."""

import os
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


@pytest.fixture(scope="session")
def data_folder():
    """The folder with the reference photos and clips; without it the test is skipped."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("AV_SEP_DATA", beside))
    if not (folder / "vision").is_dir():
        pytest.skip("needs the reference photos: set AV_SEP_DATA to their folder, or keep them beside the checkout")
    return folder
