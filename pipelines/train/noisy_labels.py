"""The wrong labels that a run asks for."""

import keras

from audio.label_noise_settings import LabelNoise
from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.joint.model import JointModel
from pipelines.overrides import from_options


def label_noise_of(config: TrainConfig, network: keras.Model) -> LabelNoise | None:
    """How wrong labels are in training; None where they are right.

    Raises:
        ParameterError: for settings that are none, and for a network that is told no labels: what plays unlabelled
            would have to be silent, and nobody would have told it.
    """
    if config.label_noise is None:
        return None
    if not isinstance(network, JointModel) and not network.takes_labels:
        raise ParameterError(f"label_noise needs a network that is told labels. Received: {config.network}, without")
    return from_options("label_noise", LabelNoise, config.label_noise)
