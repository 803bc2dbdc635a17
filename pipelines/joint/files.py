"""Models and detectors by name or file, joint models among them: one file, two halves."""

import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from audio.keras_file import load_keras
from audio.models import load_model
from audio.separation_model import NetworkModel, SeparationModel, WholeMixtureModel
from av_sep.errors import MediaError, ParameterError
from vision.detector import InstrumentDetector, create_detector

if TYPE_CHECKING:
    from pipelines.joint.model import JointModel

REGISTERED_NAME = "av_sep>JointModel"


def is_joint(name_or_path: str | Path) -> bool:
    """Whether this is the file of a joint model; told without loading it, or TensorFlow."""
    try:
        with zipfile.ZipFile(name_or_path) as archive:
            return json.loads(archive.read("config.json"))["registered_name"] == REGISTERED_NAME
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return False


def load_joint(path: str | Path) -> "JointModel":
    """A joint model from its file; the last one is kept, since both halves ask for it.

    Raises:
        MediaError: if the file does not exist.
        ParameterError: if it holds something else.
    """
    if not Path(path).is_file():
        raise MediaError(f"Expected a .keras file. Received: {path}, which does not exist")
    if not is_joint(path):
        raise ParameterError(f"Expected the .keras file of a joint model. Received: {path}, which is none")
    state = os.stat(path)
    return _load(str(path), (state.st_mtime_ns, state.st_size))


def load_separation_model(name_or_path: str | Path) -> SeparationModel | WholeMixtureModel:
    """As `audio.models.load_model`; of a joint model the half that hears."""
    if is_joint(name_or_path):
        return NetworkModel(load_joint(name_or_path).separation_network())
    return load_model(name_or_path)


def open_detector(name: str) -> InstrumentDetector:
    """As `vision.detector.create_detector`; of a `.keras` file of a joint model the half that looks."""
    if not name.endswith(".keras"):
        return create_detector(name)
    model = load_joint(name)
    from pipelines.joint.detector import JointDetector

    return JointDetector(model)


def require_detector(name: str) -> None:
    """Raises what `open_detector` would, as far as that can be told without loading networks."""
    if not name.endswith(".keras"):
        create_detector(name)
    elif not is_joint(name):
        load_joint(name)


@lru_cache(maxsize=1)
def _load(path: str, state: tuple[int, int]) -> "JointModel":
    # Registers the class.
    import pipelines.joint.model  # noqa: F401

    return load_keras(path)
